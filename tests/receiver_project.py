"""A project whose tools, one of each effect class, write to a receiver that counts state changes.

The receiver is a SQLite file of its own, so that it remembers when the process that called it is killed.
"""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import msgspec

PROJECT_FILE = """\
people: {lena: {groups: [leads], roles: [approver]}}
"""

# Every kind of step that a run can die in: a model's answer, a fact, a held call, a write of each effect class.
HELD_PROJECT_FILE = """\
people: {lena: {groups: [leads], roles: [approver]}}
providers: {played: {wire: recorded, file: recordings/batch.jsonl}}
models: {fast: [played/triage]}
"""

RECORDING = (
    '{"request": {"turn": 0}, "answer": {"text": "{\\"kind\\": \\"refund\\"}",'
    ' "usage": {"input_tokens": 210, "output_tokens": 18}}}\n'
)

HELD_STEPS = """\
models: {default: fast}
facts:
  couriers: {tool: look_up, args: {order_id: args.order_id}}
approval:
  required_for: [{tool: issue_refund}]
steps:
  - model: {prompt: prompts/triage.md, as: triage}
"""

CONTRACT = """\
workflow: batch
description: Do one write of every effect class for one order.
kind: chain
input:
  type: object
  required: [order_id]
  additionalProperties: false
  properties: {order_id: {type: string}}
subject: input.order_id
fallback: {handoff: "queue:tier2", say: A colleague looks at it.}
budget: {max_tool_calls: 10, max_wall_s: 120}
steps:
  - tool: {name: look_up, args: {order_id: input.order_id}, as: order}
  - tool: {name: set_status, args: {order_id: input.order_id}, as: status}
  - tool: {name: issue_refund, args: {order_id: input.order_id}, as: refund}
  - tool: {name: book_courier, args: {order_id: input.order_id}, as: courier}
  - tool: {name: send_letter, args: {order_id: input.order_id}, as: letter}
policy:
  allow_tools: [look_up, set_status, issue_refund, book_courier, send_letter]
logging: {retain_days: 400, redact_fields: []}
"""

TOOLS = '''\
"""Tools over a receiver that counts."""

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import TypedDict

from leverframe.sdk.tool import tool

RECEIVER = Path(__file__).parent.parent / "receiver.db"
SCHEMA = """
CREATE TABLE IF NOT EXISTS effects (tool TEXT, order_id TEXT, key TEXT);
CREATE UNIQUE INDEX IF NOT EXISTS once ON effects (tool, key) WHERE key <> '';
"""


class Answer(TypedDict):
    order_id: str
    count: int


def _record(name: str, order_id: str, key: str) -> Answer:
    with closing(sqlite3.connect(RECEIVER, timeout=30)) as receiver, receiver:
        receiver.executescript(SCHEMA)
        receiver.execute("INSERT OR IGNORE INTO effects VALUES (?, ?, ?)", (name, order_id, key))
    return _count(name, order_id)


def _count(name: str, order_id: str) -> Answer:
    with closing(sqlite3.connect(RECEIVER, timeout=30)) as receiver:
        receiver.executescript(SCHEMA)
        row = receiver.execute("SELECT count(*) FROM effects WHERE tool = ? AND order_id = ?", (name, order_id))
        return {"order_id": order_id, "count": row.fetchone()[0]}


@tool(
    effect="read",
    args={"order_id": {"role": "selector"}},
    output_trust={"default": "tenant-record"},
    cost_usd=Decimal("0.001"),
    timeout_s=2,
)
def look_up(order_id: str) -> Answer:
    """How many couriers are booked for an order."""
    return _count("book_courier", order_id)


@tool(effect="idempotent", args={"order_id": {"role": "selector"}}, timeout_s=2)
def set_status(order_id: str) -> Answer:
    """Set an order's status; a second time changes nothing."""
    return _record("set_status", order_id, f"status of {order_id}")


@tool(effect="keyed", idempotency="key", args={"order_id": {"role": "selector"}}, timeout_s=2, cost_usd=Decimal("0.01"))
def issue_refund(order_id: str, *, key: str) -> Answer:
    """Refund an order; the receiver knows the key of an earlier request."""
    return _record("issue_refund", order_id, key)


@tool(
    effect="reconcilable",
    reconcile={"tool": "look_up", "args": {"order_id": "args.order_id"}, "done": "checks.py:is_booked"},
    args={"order_id": {"role": "selector"}},
    timeout_s=1,
)
def book_courier(order_id: str) -> Answer:
    """Book a courier; a second request books a second one."""
    return _record("book_courier", order_id, "")


@tool(effect="irreversible", args={"order_id": {"role": "selector"}}, timeout_s=2)
def send_letter(order_id: str) -> Answer:
    """Send a letter; a second request sends a second one, and nobody can be asked."""
    return _record("send_letter", order_id, "")
'''

CHECKS = '''\
"""Pure functions of the project."""


def is_booked(args: dict, result: dict) -> bool:
    """Whether the courier of this call is booked."""
    return result["count"] > 0
'''

WRITES = ("set_status", "issue_refund", "book_courier", "send_letter")


def write_project(folder: Path, orders: int, *, is_held: bool = False) -> Path:
    """Make the project with a file of `orders` inputs; returns that file.

    `is_held`: a model is asked first, facts are read, and the refund waits for a person.
    """
    for name, text in {
        "leverframe.yaml": HELD_PROJECT_FILE if is_held else PROJECT_FILE,
        "workflows/batch.yaml": held_contract() if is_held else CONTRACT,
        "prompts/triage.md": "What is it about?",
        "recordings/batch.jsonl": RECORDING,
        "tools/receiver.py": TOOLS,
        "checks.py": CHECKS,
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    items = folder / "orders.jsonl"
    items.write_bytes(b"".join(msgspec.json.encode({"order_id": f"W{n}"}) + b"\n" for n in range(orders)))
    return items


def held_contract() -> str:
    """The contract with a model, a fact that its rule reads, and an approval row."""
    rule = '    - {id: one-courier, then: deny, tools: [book_courier], when: "facts.couriers.count > 0"}\n'
    return CONTRACT.replace("steps:\n", HELD_STEPS).replace("logging:", f"  rules:\n{rule}logging:")


def effects(folder: Path) -> Counter[tuple[str, str]]:
    """How often each (tool, order) changed the receiver's state."""
    path = folder / "receiver.db"
    if not path.exists() or not path.stat().st_size:
        return Counter()
    with closing(sqlite3.connect(path, timeout=30)) as receiver:
        rows = receiver.execute("SELECT tool, order_id, count(*) FROM effects GROUP BY tool, order_id").fetchall()
    return Counter({(tool, order): count for tool, order, count in rows})
