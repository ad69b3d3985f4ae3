"""What the returns desk works out from an order that its shop answered: what it is worth, and what happened to it.

Pure functions of the shop's JSON: amounts are exact decimals in US dollars, never floats.  Each raises on an answer
that lacks what it needs, so that a fact stays unknown rather than wrong; an unknown fact never allows.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

# Any: a JSON object of the shop, checked against schemas/order.json before it comes here.
Order = Mapping[str, Any]
# Any: the arguments of one call, checked against the tool's input schema before they come here.
Args = Mapping[str, Any]


def refund_value(order: Order, item_ids: Sequence[str] | None = None) -> Decimal:
    """What the customer gets back: for a return the price of these items, for a cancel (None) all that was paid.

    An item named twice counts twice.  Where an order holds one item at two prices, the higher counts first, so that
    the value is never too low.

    Raises:
        ValueError: the order has fewer of these items than are named.
    """
    if item_ids is None:
        paid = (entry for entry in order["payment_history"] if entry["transaction_type"] == "payment")
        return sum((Decimal(entry["amount"]) for entry in paid), Decimal(0))
    prices: dict[str, list[Decimal]] = {}
    for item in order["items"]:
        prices.setdefault(item["item_id"], []).append(Decimal(item["price"]))
    for of_item in prices.values():
        of_item.sort()
    total = Decimal(0)
    for item_id in item_ids:
        if not prices.get(item_id):
            raise ValueError(f"Order {order['order_id']!r} has no (further) item {item_id!r} to give back")
        total += prices[item_id].pop()
    return total


# Whether a write had happened, asked after a crash between sending it and recording its answer.  The shop refuses each
# of these on an order that is in that state already, so the state tells; the arguments tell whose act it was.


def cancelled(args: Args, order: Order) -> bool:
    """`cancel_pending_order` happened."""
    return bool(order["status"] == "cancelled" and order["cancel_reason"] == args["reason"])


def returned(args: Args, order: Order) -> bool:
    """`return_delivered_order_items` happened."""
    return bool(
        order["status"] == "return requested"
        and sorted(order["return_items"] or ()) == sorted(args["item_ids"])
        and order["return_payment_method_id"] == args["payment_method_id"]
    )


def exchanged(args: Args, order: Order) -> bool:
    """`exchange_delivered_order_items` happened."""
    return bool(
        order["status"] == "exchange requested"
        and sorted(order["exchange_items"] or ()) == sorted(args["item_ids"])
        and sorted(order["exchange_new_items"] or ()) == sorted(args["new_item_ids"])
        and order["exchange_payment_method_id"] == args["payment_method_id"]
    )


def items_modified(args: Args, order: Order) -> bool:
    """`modify_pending_order_items` happened."""
    held = [item["item_id"] for item in order["items"]]
    return bool(
        order["status"] == "pending (item modified)"
        and all(held.count(item_id) >= args["new_item_ids"].count(item_id) for item_id in args["new_item_ids"])
    )


def payment_modified(args: Args, order: Order) -> bool:
    """`modify_pending_order_payment` happened.  The shop allows it once, while the history is one payment long."""
    return any(
        entry["transaction_type"] == "payment" and entry["payment_method_id"] == args["payment_method_id"]
        for entry in order["payment_history"][1:]
    )
