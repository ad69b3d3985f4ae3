"""Which windows a call counts in, and what a decision makes of one that has no room."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from leverframe.core.budgets import last_to_reset
from leverframe.core.policy import ModelQuestion, compile_contract, decide
from leverframe.core.shared_budgets import shared_windows, with_books
from leverframe.domain.budgets import BudgetPeriod, BudgetUnit, SharedBudget, Window
from leverframe.domain.contracts import Contract, WorkflowKind
from leverframe.domain.ids import BudgetId, PrincipalId, TenantId, WindowId, WorkflowName
from leverframe.domain.policy import Allow, Decision, Deny, RunFacts, SourceRef

NOW = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
ACME, GLOBEX = TenantId("acme"), TenantId("globex")
REFUND, OTHER = WorkflowName("refund"), WorkflowName("other")
FILE = SourceRef(file="leverframe.yaml", line=3)
RUN = RunFacts(
    run_id="run_1",
    tenant="acme",
    environment="prod",
    workflow="refund",
    initiator=PrincipalId("agent:refund"),
    subject=None,
)
CONTRACT = Contract(
    workflow=REFUND,
    source=SourceRef(file="workflows/refund.yaml", line=1),
    kind=WorkflowKind.AGENT,
    rules=(),
    allow_tools=(),
    deny_tools=(),
    tools={},
    tier="fast",
)


def budget(
    limit: int = 10,
    *,
    tenant: TenantId | None = None,
    workflow: WorkflowName | None = None,
    period: BudgetPeriod = BudgetPeriod.DAY,
    unit: BudgetUnit = BudgetUnit.MODEL_CALLS,
) -> SharedBudget:
    return SharedBudget(period=period, source=FILE, tenant=tenant, workflow=workflow, limits={unit: limit})


def names(*budgets: SharedBudget, tenant: TenantId = ACME, workflow: WorkflowName = REFUND) -> list[str]:
    windows = shared_windows(budgets, tenant=tenant, workflow=workflow, at=NOW, zone=UTC)
    return [one.window_id for one in windows]


def test_a_budget_of_a_workflow_is_counted_for_each_tenant_by_itself() -> None:
    each = budget(workflow=REFUND)

    assert names(each, tenant=ACME) == ["workflow/acme/refund/day/2026-11-22"]
    assert names(each, tenant=GLOBEX) == ["workflow/globex/refund/day/2026-11-22"]


def test_a_budget_applies_to_its_own_tenant_and_workflow_alone() -> None:
    budgets = (budget(tenant=ACME), budget(workflow=REFUND), budget(tenant=ACME, workflow=OTHER))

    assert names(*budgets, workflow=REFUND) == ["tenant/acme/day/2026-11-22", "workflow/acme/refund/day/2026-11-22"]
    assert names(*budgets, workflow=OTHER) == ["tenant/acme/day/2026-11-22", "workflow/acme/other/day/2026-11-22"]
    assert names(*budgets, tenant=GLOBEX, workflow=OTHER) == []


def test_overlapping_windows_of_several_lengths_all_apply() -> None:
    found = names(*(budget(tenant=ACME, period=period) for period in BudgetPeriod))

    assert found == [
        "tenant/acme/day/2026-11-22",
        "tenant/acme/hour/2026-11-22T23Z",
        "tenant/acme/minute/2026-11-22T23:30Z",
        "tenant/acme/month/2026-11",
        "tenant/acme/now/now",
        "tenant/acme/total/all",
    ]


@pytest.mark.parametrize("limits", [(10, 4), (4, 10)])
def test_two_budgets_of_one_window_leave_the_lower_limit(limits: tuple[int, int]) -> None:
    general, particular = budget(limits[0], workflow=REFUND), budget(limits[1], tenant=ACME, workflow=REFUND)

    (window,) = shared_windows((general, particular), tenant=ACME, workflow=REFUND, at=NOW, zone=UTC)

    assert window.limit == 4


def test_the_day_of_a_window_is_the_tenants() -> None:
    (window,) = shared_windows((budget(tenant=ACME),), tenant=ACME, workflow=REFUND, at=NOW, zone=BERLIN)

    assert window.window_id == "tenant/acme/day/2026-11-23"
    assert window.resets_at == datetime(2026, 11, 23, 23, tzinfo=UTC)


def test_the_books_of_the_store_go_to_the_window_and_unit_they_are_of() -> None:
    calls, tokens = window_of(BudgetUnit.MODEL_CALLS, 10), window_of(BudgetUnit.OUTPUT_TOKENS, 10)
    stored = window_of(BudgetUnit.OUTPUT_TOKENS, limit=99, settled=3, reserved=2)

    filled = with_books((calls, tokens), (stored,))

    assert [(one.limit, one.settled, one.reserved) for one in filled] == [(10, 0, 0), (10, 3, 2)]


def window_of(
    unit: BudgetUnit = BudgetUnit.MODEL_CALLS,
    limit: int = 10,
    *,
    settled: int = 0,
    reserved: int = 0,
    name: str = "tenant/acme/day",
    resets_at: datetime | None = NOW,
) -> Window:
    return Window(
        window_id=WindowId(f"{name}/x"),
        unit=unit,
        limit=limit,
        settled=settled,
        reserved=reserved,
        source=FILE,
        key=f"max_{unit.value}",
        budget=BudgetId(name),
        resets_at=resets_at,
    )


def own_window(limit: int, settled: int = 0) -> Window:
    return Window(
        window_id=WindowId("run/run_1"),
        unit=BudgetUnit.MODEL_CALLS,
        limit=limit,
        settled=settled,
        source=CONTRACT.source,
        key="max_model_calls",
    )


def decided(*windows: Window, cost: int = 1) -> Decision:
    question = ModelQuestion(model="a/b", run=RUN, windows=windows, cost={BudgetUnit.MODEL_CALLS: cost})
    return decide(question, compile_contract(CONTRACT))


def test_a_call_reserves_in_its_run_and_in_every_shared_window() -> None:
    answer = decided(own_window(5), window_of(), window_of(name="workflow/acme/refund/day"))

    assert isinstance(answer, Allow)
    assert [(part.window_id, part.amount) for part in answer.reserves] == [
        ("run/run_1", 1),
        ("tenant/acme/day/x", 1),
        ("workflow/acme/refund/day/x", 1),
    ]


def test_a_full_shared_window_refuses_without_stopping_the_run_and_says_when_it_resets() -> None:
    answer = decided(own_window(5), window_of(limit=10, settled=7, reserved=3))

    assert isinstance(answer, Deny)
    assert (answer.stops_run, answer.exhausted, answer.resets_at) == ("", "tenant/acme/day", NOW)
    (reason,) = answer.reasons
    assert (reason.rule, reason.source) == ("budget-exhausted", FILE)
    assert reason.text == (
        "budget tenant/acme/day has 0 left of max_model_calls 10, and this call needs 1. "
        "It resets at 2026-11-22T23:30:00Z; ask again then, or raise it for a while: leverframe budgets raise "
        "tenant/acme/day"
    )


def test_a_call_that_never_fits_is_told_so_and_not_to_ask_again() -> None:
    small = window_of(BudgetUnit.OUTPUT_TOKENS, limit=10)
    later = window_of(BudgetUnit.MODEL_CALLS, settled=10, name="workflow/acme/refund/day", resets_at=None)
    cost = {BudgetUnit.MODEL_CALLS: 1, BudgetUnit.OUTPUT_TOKENS: 11}
    question = ModelQuestion(model="a/b", run=RUN, windows=(own_window(5), small, later), cost=cost)

    answer = decide(question, compile_contract(CONTRACT))

    assert isinstance(answer, Deny)
    assert (answer.exhausted, answer.fits_ever, answer.resets_at) == ("tenant/acme/day", False, NOW)
    assert answer.reasons[0].text == (
        "budget tenant/acme/day has 10 left of max_output_tokens 10, and this call needs 11. There is never so much:"
        " ask for less, such as fewer output tokens, or raise it for a while: leverframe budgets raise tenant/acme/day"
    )


def test_a_limit_of_the_run_stops_it_also_where_a_shared_window_is_full_too() -> None:
    answer = decided(own_window(5, settled=5), window_of(settled=10))

    assert isinstance(answer, Deny)
    assert (answer.stops_run, answer.exhausted) == ("max_model_calls 5", "")
    assert [reason.rule for reason in answer.reasons] == ["max_model_calls", "budget-exhausted"]


def test_an_overrun_shared_window_refuses_a_call_that_asks_nothing_of_it() -> None:
    tokens = window_of(BudgetUnit.OUTPUT_TOKENS, limit=10, settled=11)

    answer = decided(own_window(5), tokens)

    assert isinstance(answer, Deny)
    assert answer.exhausted == "tenant/acme/day"


def test_of_several_full_windows_the_one_that_resets_last_is_named() -> None:
    soon = window_of(settled=10, name="tenant/acme/hour", resets_at=NOW)
    later = window_of(settled=10, name="tenant/acme/day", resets_at=NOW + timedelta(hours=9))
    never = window_of(settled=10, name="tenant/acme/total", resets_at=None)

    assert last_to_reset((later, soon)) == last_to_reset((soon, later)) == later
    assert last_to_reset((soon, never, later)) == never
