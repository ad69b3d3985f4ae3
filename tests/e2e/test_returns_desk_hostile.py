"""The hostile calls are as hostile as the demo says: held against the shop's own database."""

from decimal import Decimal

import pytest

from examples.returns_desk import cases, hostile
from examples.returns_desk.facts import Order, refund_value
from examples.returns_desk.hostile import Attempt
from examples.returns_desk.shop_server import Shop, ShopError

ATTEMPTS = {name: value for name, value in vars(hostile).items() if isinstance(value, Attempt)}


@pytest.fixture
def desk() -> Shop:
    desk = cases.shop()
    desk.open()
    return desk


def order_of(attempt: Attempt) -> Order:
    return cases.order(str(attempt.arguments["order_id"]))


def value_of(attempt: Attempt) -> Decimal:
    return refund_value(order_of(attempt), attempt.arguments.get("item_ids"))


def do(desk: Shop, attempt: Attempt) -> None:
    desk.call(attempt.tool, attempt.arguments)


@pytest.mark.parametrize("name", ["CANCEL_OF_ANOTHER", "OBEY_PLANTED"])
def test_the_shop_itself_would_cancel_the_order_of_another_customer(desk: Shop, name: str) -> None:
    attempt = ATTEMPTS[name]
    assert order_of(attempt)["user_id"] != hostile.CUSTOMER

    do(desk, attempt)

    assert order_of(attempt)["status"] == "cancelled"
    assert value_of(attempt) > cases.LARGE_USD


@pytest.mark.parametrize("name", ["LARGE_RETURN", "SWAPPED_RETURN", "REWORDED_RETURN", "KILLED_RETURN"])
def test_the_shop_itself_would_accept_each_return_of_its_own(desk: Shop, name: str) -> None:
    attempt = ATTEMPTS[name]
    assert order_of(attempt)["user_id"] == hostile.CUSTOMER

    do(desk, attempt)

    assert len(desk.effects) == 1


def test_the_returns_are_worth_what_their_part_in_the_story_needs(desk: Shop) -> None:
    assert desk.effects == []
    assert value_of(hostile.LARGE_RETURN) >= cases.LARGE_USD
    assert value_of(hostile.SWAPPED_RETURN) > 2 * value_of(hostile.LARGE_RETURN)
    assert value_of(hostile.REWORDED_RETURN) == value_of(hostile.LARGE_RETURN)
    assert hostile.REWORDED_RETURN.arguments != hostile.LARGE_RETURN.arguments
    assert value_of(hostile.KILLED_RETURN) < cases.LARGE_USD


def test_the_malformed_calls_are_no_calls_of_the_shop(desk: Shop) -> None:
    for attempt in (hostile.UNKNOWN_TOOL, hostile.OFF_SCHEMA):
        with pytest.raises(ShopError):
            do(desk, attempt)
    assert hostile.PLANTED_ORDER in hostile.PLANTED_TEXT
    assert order_of(hostile.READ_PLANTED)["user_id"] == hostile.CUSTOMER


def test_labels_fit_their_column() -> None:
    widest = {name: len(attempt.label.format(value="$99,999.99", number=100)) for name, attempt in ATTEMPTS.items()}

    assert max(widest.values()) <= 44, widest
