"""Laws of the budget moves, for any order of any moves on any windows."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverframe.core.budgets import fits, lacking, left_text, limit_text, plan, reserve_all, settle, void
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.ids import WindowId
from leverframe.domain.policy import Reserve
from tests.policy_samples import window

UNITS = (BudgetUnit.TOOL_CALLS, BudgetUnit.USD)
COSTS = st.fixed_dictionaries({unit: st.integers(0, 600) for unit in UNITS})
# (move, cost or actual, which open reservation)
MOVES = st.lists(
    st.tuples(st.sampled_from(["reserve", "settle", "void"]), COSTS, st.integers(0, 5)), min_size=1, max_size=40
)


def fresh() -> tuple[Window, ...]:
    return tuple(window(unit, 1_000) for unit in UNITS)


@given(moves=MOVES)
def test_no_order_of_moves_spends_or_holds_more_than_the_limit(
    moves: list[tuple[str, dict[BudgetUnit, int], int]],
) -> None:
    windows, still_open, spent = fresh(), list[dict[BudgetUnit, int]](), dict.fromkeys(UNITS, 0)

    for move, cost, which in moves:
        if move == "reserve":
            taken = reserve_all(windows, plan(windows, cost))
            assert (taken is None) == bool(lacking(windows, cost))
            if taken is not None:
                windows = taken
                still_open.append(cost)
        elif still_open:
            held = still_open.pop(which % len(still_open))
            actual = {unit: min(cost[unit], held[unit]) for unit in UNITS} if move == "settle" else {}
            windows = tuple(finish(each, held[each.unit], actual) for each in windows)
            spent = {unit: spent[unit] + actual.get(unit, 0) for unit in UNITS}

        for each in windows:
            assert each.settled == spent[each.unit]
            assert each.reserved == sum(held[each.unit] for held in still_open)
            assert each.settled + each.reserved <= each.limit
            assert each.left >= 0


def finish(each: Window, reserved: int, actual: dict[BudgetUnit, int]) -> Window:
    if not actual:
        return void(each, reserved=reserved)
    return settle(each, reserved=reserved, actual=actual[each.unit])


@given(cost=COSTS)
def test_reserving_and_voiding_changes_nothing(cost: dict[BudgetUnit, int]) -> None:
    taken = reserve_all(fresh(), plan(fresh(), cost))
    assert taken is not None

    back = tuple(void(each, reserved=cost[each.unit]) for each in taken)

    assert back == fresh()


@given(cost=COSTS, used=st.fixed_dictionaries({unit: st.integers(0, 1_000) for unit in UNITS}))
def test_all_windows_are_taken_or_none(cost: dict[BudgetUnit, int], used: dict[BudgetUnit, int]) -> None:
    windows = tuple(replace(each, settled=used[each.unit]) for each in fresh())

    taken = reserve_all(windows, plan(windows, cost))

    if taken is None:
        assert any(used[unit] + cost[unit] > 1_000 for unit in UNITS)
    else:
        assert [each.reserved for each in taken] == [cost[each.unit] for each in windows]


@given(actual=st.integers(0, 5_000), asked=st.integers(0, 1_000))
def test_an_overrun_is_settled_in_full_and_closes_the_window(actual: int, asked: int) -> None:
    held = reserve_all(fresh(), plan(fresh(), {BudgetUnit.USD: asked}))
    assert held is not None

    settled = settle(held[1], reserved=asked, actual=actual)

    assert (settled.settled, settled.reserved) == (actual, 0)
    assert fits(settled, 0) is (actual <= 1_000)
    assert (settled in lacking((settled,), {})) is (actual > 1_000)


def test_a_part_of_an_unknown_window_takes_nothing() -> None:
    strange = Reserve(window_id=WindowId("run/other"), unit="usd", amount=1)

    assert reserve_all(fresh(), (*plan(fresh(), {BudgetUnit.TOOL_CALLS: 1}), strange)) is None


def test_what_was_not_reserved_can_be_neither_settled_nor_voided() -> None:
    (calls, _) = fresh()

    with pytest.raises(ValueError, match="holds 0 tool_calls in reserve, got 1"):
        void(calls, reserved=1)
    with pytest.raises(ValueError, match="in reserve"):
        settle(calls, reserved=1, actual=1)
    with pytest.raises(ValueError, match="zero or more"):
        settle(calls, reserved=0, actual=-1)
    with pytest.raises(ValueError, match="zero or more"):
        plan(fresh(), {BudgetUnit.USD: -1})


@pytest.mark.parametrize(
    ("each", "limit", "left"),
    [
        (window(BudgetUnit.TOOL_CALLS, 20, settled=20), "max_tool_calls 20", "0"),
        (window(BudgetUnit.USD, 50_000, reserved=49_999), "max_usd 0.05", "0.000001"),
        (window(BudgetUnit.USD, 200_000_000), "max_usd 200", "200"),
        (window(BudgetUnit.WALL_US, 90_000_000, settled=100_500_000, key="max_wall_s"), "max_wall_s 90", "-10.5"),
    ],
)
def test_a_limit_is_told_as_its_contract_writes_it(each: Window, limit: str, left: str) -> None:
    assert (limit_text(each), left_text(each)) == (limit, left)
