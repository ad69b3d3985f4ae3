"""The source of a small shop: tools of each effect class over a SQLite file, which a test puts in any mood.

`orders` and `effects` outlive the process that called; `moods` says how often a tool misbehaves before it does not.
"""

SHOP_TOOLS = '''\
"""Tools of a shop that counts its effects and misbehaves on demand."""

import sqlite3
import threading
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import TypedDict

from leverframe.sdk.tool import ToolRefused, tool

SHOP = Path(__file__).parent.parent / "shop.db"
SELECTOR = {"role": "selector"}
USD = {"role": "amount", "currency": "USD"}


class Order(TypedDict):
    order_id: str
    customer_id: str
    total_usd: Decimal
    email: str
    note: str


class Done(TypedDict):
    order_id: str
    count: int


def _ask(sql, *values):
    with closing(sqlite3.connect(SHOP, timeout=30)) as shop, shop:
        return shop.execute(sql, values).fetchall()


def _mood(name, when):
    moods = _ask("SELECT rowid, mood FROM moods WHERE tool = ? AND left > 0 ORDER BY rowid LIMIT 1", name)
    if not moods or not moods[0][1].startswith(when):
        return
    rowid, mood = moods[0]
    _ask("UPDATE moods SET left = left - 1 WHERE rowid = ?", rowid)
    match mood.removeprefix(when + ":"):
        case "refuse":
            raise ToolRefused("not today")
        case "raise":
            raise RuntimeError("the line went dead")
        case "hang":
            threading.Event().wait(20)


def _count(name, order_id):
    return _ask("SELECT count(*) FROM effects WHERE tool = ? AND order_id = ?", name, order_id)[0][0]


def _do(name, order_id, key="", amount=None):
    _mood(name, "before")
    _ask("INSERT OR IGNORE INTO effects VALUES (?, ?, ?, ?)", name, order_id, key, amount and str(amount))
    _mood(name, "after")
    if _ask("SELECT 1 FROM moods WHERE tool = ? AND mood = 'garbage'", name):
        return {"surprise": _ask("SELECT email FROM orders LIMIT 1")[0][0]}
    return {"order_id": order_id, "count": _count(name, order_id)}


def _order(name, order_id):
    _ask("INSERT INTO reads VALUES (?, ?)", name, order_id)
    _mood(name, "before")
    rows = _ask("SELECT order_id, customer_id, total_usd, email, note FROM orders WHERE order_id = ?", order_id)
    if not rows:
        raise ToolRefused(f"no order {order_id!r}")
    if _ask("SELECT 1 FROM moods WHERE tool = ? AND mood = 'garbage'", name):
        return {"surprise": True}
    found = dict(zip(("order_id", "customer_id", "total_usd", "email", "note"), rows[0]))
    return {**found, "total_usd": Decimal(found["total_usd"])}


@tool(
    effect="read",
    args={"order_id": SELECTOR},
    output_trust={"default": "tenant-record", "/note": "third-party"},
    cost_usd=Decimal("0.001"),
    timeout_s=5,
)
def look_up(order_id: str) -> Order:
    """An order as the shop has it."""
    return _order("look_up", order_id)


@tool(effect="read", args={"order_id": SELECTOR}, timeout_s=Decimal("0.3"), retries={"max": 2, "on": ["timeout"]})
def peek(order_id: str) -> Order:
    """The same, from a slow machine."""
    return _order("peek", order_id)


@tool(effect="idempotent", args={"order_id": SELECTOR}, timeout_s=5)
def set_status(order_id: str, status: str) -> Done:
    """Set a status; a second time changes nothing."""
    return _do("set_status", order_id, f"{order_id} is {status}")


@tool(
    effect="keyed",
    idempotency="key",
    args={"order_id": SELECTOR, "amount_usd": USD, "note": {"role": "free_text"}},
    cost_usd=Decimal("0.01"),
    timeout_s=5,
)
def issue_refund(order_id: str, amount_usd: Decimal, note: str = "", *, key: str) -> Done:
    """Refund part of an order; the shop knows the key of an earlier request."""
    return _do("issue_refund", order_id, key, amount_usd)


@tool(
    effect="keyed",
    idempotency="key",
    args={"order_id": SELECTOR},
    timeout_s=Decimal("0.3"),
    retries={"max": 2, "on": ["timeout"]},
)
def send_voucher(order_id: str, *, key: str) -> Done:
    """Send a voucher from a slow machine, which knows the key of an earlier request."""
    return _do("send_voucher", order_id, key)


@tool(effect="read", args={"order_id": SELECTOR}, timeout_s=5)
def find_courier(order_id: str) -> Done:
    """How many couriers are booked for an order."""
    _ask("INSERT INTO reads VALUES ('find_courier', ?)", order_id)
    _mood("find_courier", "before")
    return {"order_id": order_id, "count": _count("book_courier", order_id)}


@tool(
    effect="reconcilable",
    reconcile={"tool": "find_courier", "args": {"order_id": "args.order_id"}, "done": "checks.py:is_booked"},
    args={"order_id": SELECTOR},
    timeout_s=Decimal("0.3"),
    retries={"max": 2, "on": ["timeout"]},
)
def book_courier(order_id: str) -> Done:
    """Book a courier; a second request books a second one."""
    return _do("book_courier", order_id)


@tool(
    effect="irreversible",
    args={"order_id": SELECTOR, "text": {"role": "free_text"}},
    timeout_s=Decimal("0.3"),
    retries={"max": 2, "on": ["timeout"]},
)
def send_letter(order_id: str, text: str = "") -> Done:
    """Send a letter; a second request sends a second one, and nobody can be asked."""
    return _do("send_letter", order_id)


@tool(
    effect="irreversible",
    args={"order_id": SELECTOR, "amount_usd": USD},
    once_per={"keys": ["order_id", "amount_usd"], "within": "24h"},
    timeout_s=5,
)
def pay_out(order_id: str, amount_usd: Decimal, memo: str = "") -> Done:
    """Pay an amount for an order, once."""
    return _do("pay_out", order_id, "", amount_usd)
'''

SHOP_CHECKS = '''\
"""Pure functions of the project."""


def is_booked(args, result):
    """Whether the courier of this call is booked."""
    if result["count"] > 90:
        raise ValueError("who could know")
    return result["count"] > 0


def half_of(order, amount):
    """Half of what an order is worth, or of the amount that was asked for where that is more."""
    return max(order["total_usd"], amount or 0) / 2


def is_five_digits(order_id):
    """Whether it reads as an order number."""
    return isinstance(order_id, str) and len(order_id) == 6 and order_id[1:].isdigit()
'''
