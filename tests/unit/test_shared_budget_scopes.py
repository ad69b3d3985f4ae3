"""Budgets of teams, keys and models, of what is at work, and raised for a while."""

from datetime import UTC, datetime, timedelta

import pytest

from leverframe.core.budgets import at_work, lacking, last_to_reset, plan
from leverframe.core.shared_budgets import every_window, shared_windows, with_raises
from leverframe.domain.authority import BudgetRaise
from leverframe.domain.budgets import BudgetPeriod, BudgetUnit, SharedBudget, Window
from leverframe.domain.ids import BudgetId, PrincipalId, TeamName, TenantId, WindowId, WorkflowName
from leverframe.domain.policy import SourceRef

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
ACME, REFUND = TenantId("acme"), WorkflowName("refund")
SUPPORT = TeamName("support")
FILE = SourceRef(file="leverframe.yaml", line=3)
DAY = "day/2026-11-28"


def budget(
    *,
    workflow: WorkflowName | None = None,
    team: TeamName | None = None,
    key: str | None = None,
    model: str | None = None,
    limit: int = 10,
) -> SharedBudget:
    return SharedBudget(
        period=BudgetPeriod.DAY,
        source=FILE,
        workflow=workflow,
        team=team,
        key=key,
        model=model,
        limits={BudgetUnit.MODEL_CALLS: limit},
    )


ALL = (
    budget(team=SUPPORT),
    budget(key="bot"),
    budget(model="openai"),
    budget(model="openai/gpt-5"),
    budget(workflow=REFUND, team=SUPPORT, key="bot", model="openai/gpt-5"),
)


def names(team: TeamName | None = None, key: str | None = None, model: str | None = None) -> list[str]:
    found = shared_windows(ALL, tenant=ACME, workflow=REFUND, at=NOW, zone=UTC, team=team, key=key, model=model)
    return [one.window_id for one in found]


@pytest.mark.parametrize(
    ("team", "key", "model", "expected"),
    [
        (None, None, None, []),
        (TeamName(""), "other", None, []),
        (SUPPORT, "other", None, [f"team/acme/support/{DAY}"]),
        (TeamName("sales"), "bot", None, [f"key/acme/bot/{DAY}"]),
        (None, None, "openai/gpt-4", [f"model/acme/openai/{DAY}"]),
        (None, None, "open/gpt-5", []),
        (
            SUPPORT,
            "bot",
            "openai/gpt-5",
            [
                f"key/acme/bot/{DAY}",
                f"model/acme/openai/{DAY}",
                f"model/acme/openai/gpt-5/{DAY}",
                f"team/acme/support/{DAY}",
                f"workflow/acme/refund/team/support/key/bot/model/openai/gpt-5/{DAY}",
            ],
        ),
    ],
)
def test_a_call_counts_in_the_budgets_of_its_team_key_and_model_and_in_no_other(
    team: TeamName | None, key: str | None, model: str | None, expected: list[str]
) -> None:
    assert names(team, key, model) == expected


def test_every_window_of_a_tenant_is_listed_without_a_call() -> None:
    assert len(every_window(ALL, tenant=ACME, at=NOW, zone=UTC)) == len(ALL)


def in_flight(limit: int, reserved: int) -> Window:
    return Window(
        window_id=WindowId("key/acme/bot/now/now"),
        unit=BudgetUnit.IN_FLIGHT,
        limit=limit,
        reserved=reserved,
        key="max_in_flight",
        budget=BudgetId("key/acme/bot/now"),
    )


def test_what_is_at_work_is_asked_of_a_call_only_where_something_bounds_it() -> None:
    assert at_work(()) == {}
    assert at_work((in_flight(2, 1),)) == {BudgetUnit.IN_FLIGHT: 1}
    assert [part.amount for part in plan((in_flight(2, 1),), {BudgetUnit.IN_FLIGHT: 1})] == [1]
    assert lacking((in_flight(2, 2),), {BudgetUnit.IN_FLIGHT: 1}) == (in_flight(2, 2),)


def test_what_is_at_work_is_full_for_the_shortest_time() -> None:
    day = Window(
        window_id=WindowId("d"), unit=BudgetUnit.USD, limit=0, budget=BudgetId("d"), resets_at=NOW + timedelta(hours=1)
    )

    assert last_to_reset((in_flight(1, 1), day)) is day
    assert last_to_reset((day, in_flight(1, 1))) is day


def raised(amount: int, until: datetime, unit: BudgetUnit = BudgetUnit.MODEL_CALLS) -> BudgetRaise:
    return BudgetRaise(
        budget=BudgetId("team/acme/support/day"),
        tenant=ACME,
        unit=unit,
        amount=amount,
        until=until,
        by=PrincipalId("os:maria"),
        at=NOW,
    )


def test_raises_add_up_until_each_ends_and_touch_no_other_unit_or_budget() -> None:
    windows = every_window(ALL, tenant=ACME, at=NOW, zone=UTC)
    raises = (
        raised(5, NOW + timedelta(hours=1)),
        raised(2, NOW + timedelta(hours=2)),
        raised(99, NOW + timedelta(hours=2), BudgetUnit.USD),
        raised(50, NOW),
    )

    def limits(at: datetime) -> dict[str, int]:
        return {str(one.budget): one.limit for one in with_raises(windows, raises, at) if one.limit != 10}

    assert limits(NOW) == {"team/acme/support/day": 17}
    assert limits(NOW + timedelta(hours=1)) == {"team/acme/support/day": 12}
    assert limits(NOW + timedelta(hours=2)) == {}
