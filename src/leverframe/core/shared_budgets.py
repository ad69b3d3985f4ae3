"""Which windows of the project's shared budgets a call falls into, at one instant.

Knows: how a budget and its window are named, and that overlapping budgets all apply.  Never: reads a clock or a store;
what is settled and reserved in a window is the store's to say.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, tzinfo

from leverframe.core.periods import period
from leverframe.domain.budgets import BudgetUnit, SharedBudget, Window
from leverframe.domain.ids import BudgetId, TenantId, WindowId, WorkflowName

# The keys of a shared budget, as the project file writes them.  Steps and wall time are a run's own.
SHARED_KEYS: Mapping[BudgetUnit, str] = {
    BudgetUnit.USD: "max_usd",
    BudgetUnit.MODEL_CALLS: "max_model_calls",
    BudgetUnit.TOOL_CALLS: "max_tool_calls",
    BudgetUnit.INPUT_TOKENS: "max_input_tokens",
    BudgetUnit.OUTPUT_TOKENS: "max_output_tokens",
}


def budget_id(budget: SharedBudget, tenant: TenantId) -> BudgetId:
    """`tenant/acme/month`, or `workflow/acme/refund_request/day`: one of a workflow counts within a tenant, always."""
    scope = f"tenant/{tenant}" if budget.workflow is None else f"workflow/{tenant}/{budget.workflow}"
    return BudgetId(f"{scope}/{budget.period.value}")


def shared_windows(
    budgets: Iterable[SharedBudget],
    *,
    tenant: TenantId,
    workflow: WorkflowName,
    at: datetime,
    zone: tzinfo,
) -> tuple[Window, ...]:
    """The windows that a call of this tenant's workflow counts in now, still empty, by id and unit.

    Two budgets that name the same window and unit (a workflow's for every tenant and for this one) count the same
    spending, so the lower limit is the one that both allow.
    """
    found: dict[tuple[WindowId, BudgetUnit], Window] = {}
    for budget in budgets:
        if budget.tenant not in {None, tenant} or budget.workflow not in {None, workflow}:
            continue
        for window in _windows(budget, tenant, at, zone):
            place = (window.window_id, window.unit)
            other = found.get(place)
            if other is None or window.limit < other.limit:
                found[place] = window
    return tuple(found[place] for place in sorted(found))


def with_books(windows: Iterable[Window], stored: Iterable[Window]) -> tuple[Window, ...]:
    """The windows with what the store has settled and reserved in them; one that it does not have is empty."""
    books = {(one.window_id, one.unit): (one.settled, one.reserved) for one in stored}
    filled = []
    for window in windows:
        settled, reserved = books.get((window.window_id, window.unit), (0, 0))
        filled.append(replace(window, settled=settled, reserved=reserved))
    return tuple(filled)


def _windows(budget: SharedBudget, tenant: TenantId, at: datetime, zone: tzinfo) -> Iterable[Window]:
    name = budget_id(budget, tenant)
    now = period(budget.period, at, zone)
    for unit, limit in budget.limits.items():
        yield Window(
            window_id=WindowId(f"{name}/{now.id}"),
            unit=unit,
            limit=limit,
            source=budget.sources.get(unit, budget.source),
            key=SHARED_KEYS[unit],
            budget=name,
            resets_at=now.resets_at,
        )
