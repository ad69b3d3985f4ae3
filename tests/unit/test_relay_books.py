"""The books of a relayed call: who finds room beside those that take theirs just now."""

from leverframe.core.budget_headers import BudgetHeaders
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.ids import WindowId
from leverframe.runtime.door.relay_books import Books
from tests.store_samples import a_window

USD, CALLS = BudgetUnit.USD, BudgetUnit.MODEL_CALLS
WINDOW: WindowId = a_window(1, USD).window_id


def books(**left: int) -> Books:
    known = {BudgetUnit(unit): amount for unit, amount in left.items()}
    return Books(
        windows=tuple(a_window(amount, unit) for unit, amount in known.items()),
        recorded=b"[]",
        to_ensure=(),
        at_work={},
        uncounted=(),
        left=known,
        limits=known,
        headers=BudgetHeaders(names=frozenset(), fixed=(), left=()),
        marks={},
        read_at=0.0,
        until=None,
    )


def taking(usd: int, calls: int) -> dict[tuple[WindowId, str], int]:
    return {(WINDOW, USD.value): usd, (WINDOW, CALLS.value): calls}


def test_a_call_has_room_beside_as_many_as_the_money_is_enough_for() -> None:
    cost = {USD: 10, CALLS: 1}
    found = [books(usd=39, model_calls=1_000).has_room_beside(taking(10 * n, n), cost) for n in range(5)]

    assert found == [True, True, True, False, False]


def test_every_limit_counts_and_what_has_none_does_not() -> None:
    cost = {USD: 10, CALLS: 1}

    assert not books(usd=1_000, model_calls=2).has_room_beside(taking(20, 2), cost)
    assert books(usd=1_000).has_room_beside(taking(500, 50), cost)
    assert books().has_room_beside(taking(500, 50), {USD: 10})
