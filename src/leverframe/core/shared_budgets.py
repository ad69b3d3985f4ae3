"""Which windows of the project's shared budgets a call falls into, at one instant.

Knows: how a budget and its window are named, and that overlapping budgets all apply.  Never: reads a clock or a store;
what is settled and reserved in a window is the store's to say.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, tzinfo

from leverframe.core.periods import period
from leverframe.domain.authority import BudgetRaise
from leverframe.domain.budgets import BudgetUnit, SharedBudget, Window
from leverframe.domain.ids import BudgetId, TeamName, TenantId, WindowId, WorkflowName

# The keys of a shared budget, as the project file writes them.  Steps and wall time are a run's own.
SHARED_KEYS: Mapping[BudgetUnit, str] = {
    BudgetUnit.USD: "max_usd",
    BudgetUnit.MODEL_CALLS: "max_model_calls",
    BudgetUnit.TOOL_CALLS: "max_tool_calls",
    BudgetUnit.INPUT_TOKENS: "max_input_tokens",
    BudgetUnit.OUTPUT_TOKENS: "max_output_tokens",
    BudgetUnit.IN_FLIGHT: "max_in_flight",
}


def budget_id(budget: SharedBudget, tenant: TenantId) -> BudgetId:
    """`tenant/acme/month`, `workflow/acme/refund_request/day`, `team/acme/support/model/openai/gpt-5-mini/minute`.

    Every budget counts within a tenant.  A model stands last, as it alone may hold a slash.
    """
    scopes = (("workflow", budget.workflow), ("team", budget.team), ("key", budget.key), ("model", budget.model))
    named = [(scope, name) for scope, name in scopes if name is not None]
    if not named:
        return BudgetId(f"tenant/{tenant}/{budget.period.value}")
    (scope, name), *more = named
    rest = "".join(f"{other}/{of}/" for other, of in more)
    return BudgetId(f"{scope}/{tenant}/{name}/{rest}{budget.period.value}")


def shared_windows(
    budgets: Iterable[SharedBudget],
    *,
    tenant: TenantId,
    workflow: WorkflowName,
    at: datetime,
    zone: tzinfo,
    team: TeamName | None = None,
    key: str | None = None,
    model: str | None = None,
) -> tuple[Window, ...]:
    """The windows that a call of this tenant's workflow counts in now, still empty, by id and unit.

    `team` and `key` (its name) are those of the key that it is made with; `model` is that of a model call.

    Two budgets that name the same window and unit (a workflow's for every tenant and for this one) count the same
    spending, so the lower limit is the one that both allow.
    """
    applying = (
        budget
        for budget in budgets
        if budget.tenant in {None, tenant}
        and budget.workflow in {None, workflow}
        and budget.team in {None, team or None}
        and budget.key in {None, key}
        and _is_of_model(budget, model)
    )
    return _lowest(applying, tenant, at, zone)


def every_window(
    budgets: Iterable[SharedBudget], *, tenant: TenantId, at: datetime, zone: tzinfo
) -> tuple[Window, ...]:
    """Every window that some call of the tenant counts in now, still empty, by id and unit."""
    return _lowest((one for one in budgets if one.tenant in {None, tenant}), tenant, at, zone)


def with_raises(windows: Iterable[Window], raises: Iterable[BudgetRaise], at: datetime) -> tuple[Window, ...]:
    """The windows with what is added to their budgets at that instant."""
    added: dict[tuple[BudgetId, BudgetUnit], int] = {}
    for one in raises:
        if at < one.until:
            place = (one.budget, one.unit)
            added[place] = added.get(place, 0) + one.amount
    if not added:
        return tuple(windows)
    return tuple(
        replace(window, limit=window.limit + added[window.budget, window.unit])
        if (window.budget, window.unit) in added
        else window
        for window in windows
    )


def with_books(windows: Iterable[Window], stored: Iterable[Window]) -> tuple[Window, ...]:
    """The windows with what the store has settled and reserved in them; one that it does not have is empty."""
    books = {(one.window_id, one.unit): (one.settled, one.reserved) for one in stored}
    filled = []
    for window in windows:
        settled, reserved = books.get((window.window_id, window.unit), (0, 0))
        filled.append(replace(window, settled=settled, reserved=reserved))
    return tuple(filled)


def _is_of_model(budget: SharedBudget, model: str | None) -> bool:
    if budget.model is None:
        return True
    return model is not None and (model == budget.model or model.startswith(f"{budget.model}/"))


def _lowest(budgets: Iterable[SharedBudget], tenant: TenantId, at: datetime, zone: tzinfo) -> tuple[Window, ...]:
    found: dict[tuple[WindowId, BudgetUnit], Window] = {}
    for budget in budgets:
        for window in _windows(budget, tenant, at, zone):
            place = (window.window_id, window.unit)
            other = found.get(place)
            if other is None or window.limit < other.limit:
                found[place] = window
    return tuple(found[place] for place in sorted(found))


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
