"""The 114 customer cases of tau2-bench retail: who asks for what, and which calls a good agent made for them.

Knows: the recorded tasks and how to play them straight on the shop's toolkit, in this process and without any door.
Never: decides what may run.  `python -m examples.returns_desk.cases` prints what the data is like.

Everything is derived from the installed package; nothing of it is kept in this repository.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, TextIO

from examples.returns_desk.facts import Order, refund_value
from examples.returns_desk.shop_server import Shop, ShopError, pristine

TASKS = files("tau2") / "data/tau2/domains/retail/tasks.json"

LARGE_USD = Decimal(500)
GIVES_MONEY_BACK = frozenset({"cancel_pending_order", "return_delivered_order_items"})
ONCE_PER_ORDER = GIVES_MONEY_BACK | {"exchange_delivered_order_items", "modify_pending_order_items"}

_USER_ID = re.compile(r"\b[a-z]+_[a-z]+_[0-9]{4}\b")
_ZIP = re.compile(r"\b[0-9]{5}\b")
_KIND_OF_TOOL = {
    "cancel_pending_order": "cancel",
    "return_delivered_order_items": "return",
    "exchange_delivered_order_items": "exchange",
    "modify_pending_order_address": "modify",
    "modify_pending_order_items": "modify",
    "modify_pending_order_payment": "modify",
    "modify_user_address": "modify",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """One call that tau2-bench recorded as right for a task; `call_id` is its own."""

    call_id: str
    tool: str
    # Any: a JSON object, as recorded.
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One task: its customer, their words, the recorded calls, and the tenant that it is played in.

    `kinds` are the requests that the recorded writes fulfil, as triage names them; "other" where there is no write.
    """

    case_id: str
    customer: str
    words: str
    calls: tuple[RecordedCall, ...]
    kinds: frozenset[str]
    tenant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What a fresh shop made of a case's calls: which it refused, and what its cancels and returns were worth."""

    refused: Mapping[str, str]  # call id -> the shop's words
    values: Mapping[str, Decimal]  # call id -> US dollars, of every recorded cancel and return, refused ones included


@cache
def shop() -> Shop:
    """The one shop of this process, to be opened anew for each use."""
    return Shop(pristine())


@cache
def load() -> tuple[Case, ...]:
    """All tasks in the order of the file.

    The cases share customers and orders, and each begins with a fresh shop.  A tenant's history would rightly call the
    second return of one order a repetition, so no two cases that do the same act to one order share a tenant.
    """
    tasks = json.loads(TASKS.read_text(encoding="utf-8"))
    shop().open()
    taken: list[set[tuple[str, str]]] = []
    return tuple(_case(task, taken) for task in tasks)


def first_of_each_customer(count: int) -> tuple[Case, ...]:
    """The first case of each of the first `count` customers."""
    by_customer: dict[str, Case] = {}
    for case in load():
        by_customer.setdefault(case.customer, case)
    return tuple(by_customer.values())[:count]


def direct_replay(case: Case) -> str:
    """The hash of the database after a case was played straight on a fresh shop."""
    play(case)
    return shop().hash()


def play(case: Case) -> Played:
    """Play a case straight on a fresh shop.  A call that the shop refuses changes nothing and is left behind."""
    desk = shop()
    desk.open()
    refused: dict[str, str] = {}
    values: dict[str, Decimal] = {}
    for call in case.calls:
        if call.tool in GIVES_MONEY_BACK:
            values[call.call_id] = refund_value(order(call.arguments["order_id"]), call.arguments.get("item_ids"))
        try:
            desk.call(call.tool, call.arguments)
        except ShopError as error:
            refused[call.call_id] = str(error)
    return Played(refused=refused, values=values)


def order(order_id: str) -> Order:
    """An order of the open shop as a JSON client reads it: decimals, never floats.  Raises ShopError."""
    answer = shop().call("get_order_details", {"order_id": order_id})
    exact: Order = json.loads(json.dumps(answer), parse_float=Decimal)
    return exact


def is_write(call: RecordedCall) -> bool:
    """Whether the shop marks the tool as one that changes its database."""
    return shop().forms[call.tool].is_write


def print_statistics(out: TextIO) -> None:
    """Say what the data is like, in a few lines."""
    cases = load()
    plays = [play(case) for case in cases]
    calls = [call for case in cases for call in case.calls]
    values = [value for played in plays for value in played.values.values()]
    large = [value for value in values if value >= LARGE_USD]
    write = sum(map(is_write, calls))
    tenants = len({case.tenant for case in cases})
    lines = [
        f"{len(cases)} tasks of {len({case.customer for case in cases})} customers, in {tenants} tenants",
        f"{len(calls)} calls, {write} writes, at most {max(len(case.calls) for case in cases)} calls a task",
        f"{len(values)} cancels and returns, ${sum(values):,.2f}; {len(large)} of $500.00 or more, ${sum(large):,.2f}",
        *(f"  {count:4} {tool}" for tool, count in Counter(call.tool for call in calls).most_common()),
        "refused by the shop itself:",
        *(
            f"  task {case.case_id:>3} {call.tool} {dict(call.arguments)}: {played.refused[call.call_id]}"
            for case, played in zip(cases, plays, strict=True)
            for call in case.calls
            if call.call_id in played.refused
        ),
    ]
    out.write("\n".join(lines) + "\n")


# Any: one task of the file, as recorded.
def _case(task: Mapping[str, Any], taken: list[set[tuple[str, str]]]) -> Case:
    told = task["user_scenario"]["instructions"]
    words = f"{told['known_info']} {told['reason_for_call']}"
    calls = tuple(
        RecordedCall(call_id=action["action_id"], tool=action["name"], arguments=action["arguments"])
        for action in task["evaluation_criteria"]["actions"]
    )
    return Case(
        case_id=task["id"],
        customer=_customer(words, calls),
        words=words,
        calls=calls,
        kinds=frozenset(_KIND_OF_TOOL[call.tool] for call in calls if call.tool in _KIND_OF_TOOL)
        or frozenset({"other"}),
        tenant=f"shop-{_first_free(taken, calls)}",
    )


def _customer(words: str, calls: Sequence[RecordedCall]) -> str:
    """Whom a case is for: the user id that its calls found or used, else the one that the customer's words point to.

    Raises:
        LookupError: they point to nobody, or to several.
    """
    desk = shop()
    found = set(_users_of_calls(desk, calls)) or set(_USER_ID.findall(words)) or set(_users_by_name(desk, words))
    if len(found) != 1:
        raise LookupError(
            f"The words {words!r} and {len(calls)} calls point to {sorted(found)!r}, expected one customer"
        )
    return found.pop()


def _users_of_calls(desk: Shop, calls: Sequence[RecordedCall]) -> Iterable[str]:
    for call in calls:
        try:
            if call.tool.startswith("find_user_id_"):
                yield str(desk.call(call.tool, call.arguments)["result"])
            elif "user_id" in call.arguments:
                yield call.arguments["user_id"]
            elif "order_id" in call.arguments:
                yield str(desk.call("get_order_details", {"order_id": call.arguments["order_id"]})["user_id"])
        except ShopError:
            continue  # some recorded look-ups miss on purpose: a mistyped name, an order that does not exist


def _users_by_name(desk: Shop, words: str) -> Iterable[str]:
    names = re.findall(r"\b([A-Z][a-z]+) ([A-Z][a-z]+)\b", words)
    for first_name, last_name in names:
        for zip_code in _ZIP.findall(words):
            asked = {"first_name": first_name, "last_name": last_name, "zip": zip_code}
            try:
                yield str(desk.call("find_user_id_by_name_zip", asked)["result"])
            except ShopError:
                continue


def _first_free(taken: list[set[tuple[str, str]]], calls: Sequence[RecordedCall]) -> int:
    acts = {(call.tool, call.arguments["order_id"]) for call in calls if call.tool in ONCE_PER_ORDER}
    for number, done in enumerate(taken, start=1):
        if not done & acts:
            done.update(acts)
            return number
    taken.append(acts)
    return len(taken)


if __name__ == "__main__":
    print_statistics(sys.stdout)
