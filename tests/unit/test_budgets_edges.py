"""The edges of a budget's window: what fits exactly, what asks nothing, and which part of a cost is counted once."""

import pytest

from leverframe.core.budgets import counts, fits, lacking, reserve_all, without_counts
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.ids import WindowId
from leverframe.domain.policy import Reserve
from tests.policy_samples import window

CALLS, USD = BudgetUnit.TOOL_CALLS, BudgetUnit.USD


@pytest.mark.parametrize(("amount", "has_room"), [(0, True), (3, True), (4, False)])
def test_what_fits_exactly_fits_and_one_more_does_not(amount: int, *, has_room: bool) -> None:
    each = window(CALLS, 10, settled=5, reserved=2)
    part = Reserve(window_id=each.window_id, unit=CALLS.value, amount=amount)

    taken = reserve_all((each,), (part,))

    assert fits(each, amount) is has_room
    assert (lacking((each,), {CALLS: amount}) == ()) is has_room
    assert taken == ((window(CALLS, 10, settled=5, reserved=2 + amount),) if has_room else None)


def test_a_full_window_has_room_for_a_call_that_asks_nothing_of_it_and_an_overrun_one_has_not() -> None:
    full, overrun = window(CALLS, 10, settled=10), window(CALLS, 10, settled=11)

    assert lacking((full,), {USD: 5}) == ()
    assert lacking((overrun,), {USD: 5}) == (overrun,)


def test_a_part_of_less_than_nothing_takes_nothing() -> None:
    each = window(CALLS, 10, reserved=5)

    assert reserve_all((each,), (Reserve(window_id=each.window_id, unit=CALLS.value, amount=-1),)) is None


def test_parts_of_one_window_add_up_before_they_are_held_against_it() -> None:
    each = window(CALLS, 10)
    half = Reserve(window_id=WindowId(each.window_id), unit=CALLS.value, amount=6)

    assert reserve_all((each,), (half, half)) is None


def test_a_cost_is_counts_and_the_rest_and_nothing_twice() -> None:
    cost = {unit: number for number, unit in enumerate(BudgetUnit, start=1)}

    counted, rest = counts(cost), without_counts(cost)

    assert counted.keys() == {BudgetUnit.TOOL_CALLS, BudgetUnit.MODEL_CALLS, BudgetUnit.STEPS}
    assert {**counted, **rest} == cost
    assert counted.keys() & rest.keys() == set()
