"""The books of a relayed call: who finds room beside those that take theirs just now."""

from leverframe.domain.budgets import BudgetUnit
from leverframe.runtime.door.relay_books import Books

USD, CALLS = BudgetUnit.USD, BudgetUnit.MODEL_CALLS


def books(**left: int) -> Books:
    known = {BudgetUnit(unit): amount for unit, amount in left.items()}
    return Books(
        windows=(),
        recorded=b"[]",
        to_ensure=(),
        at_work={},
        uncounted=(),
        left=known,
        limits=known,
        headers={},
        raw_headers=(),
        marks={},
        read_at=0.0,
        until=None,
    )


def test_a_call_has_room_beside_as_many_like_it_as_the_money_is_enough_for() -> None:
    found = [books(usd=39, model_calls=1_000).has_room_beside(others, {USD: 10, CALLS: 1}) for others in range(5)]

    assert found == [True, True, True, False, False]


def test_every_limit_counts_and_what_has_none_does_not() -> None:
    assert not books(usd=1_000, model_calls=2).has_room_beside(2, {USD: 10, CALLS: 1})
    assert books(usd=1_000).has_room_beside(50, {USD: 10, CALLS: 1})
    assert books().has_room_beside(50, {USD: 10})
