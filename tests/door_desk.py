"""A project on disk with everything that runs in production behind its door; only the clock and the dice are a test's.

desk.open() gives an outside agent's run; desk.call(run, tool, args) asks the door; desk.effects() is what happened.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from leverframe.config.project import load_project
from leverframe.core.canonical import decode
from leverframe.core.disclosures import open_
from leverframe.domain.approvals import AnswerWord, Approval, ApprovalState
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.contracts import Contract, Person
from leverframe.domain.ids import ApprovalId, EnvironmentName, PrincipalId, RunId, TenantId, WorkflowName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.runs import Run, Step, StepState
from leverframe.runtime import answers
from leverframe.runtime.advance import Runner
from leverframe.runtime.loops.ending import Advanced
from leverframe.runtime.mint import Mint
from leverframe.runtime.outcomes import Answered, HeldBack, Refused, ToolOutcome
from leverframe.runtime.outside import OutsideRun
from leverframe.runtime.sessions import Opening
from leverframe.testing import FakeClock, FakeEntropy
from leverframe.wiring.assembly import Assembly, open_assembly
from tests.shop_tools import SHOP_CHECKS, SHOP_TOOLS
from tests.waiting import until

T = TypeVar("T")

TENANT: Final = TenantId("default")
AGENT: Final = PrincipalId("agent:desk")
MARIA: Final = PrincipalId("os:maria")

PROJECT_FILE = """\
people:
  lena: {groups: [leads], roles: [approver]}
  omar: {groups: [leads, finance], roles: [approver]}
  paul: {groups: [finance]}
"""

CONTRACT = """\
workflow: desk
input:
  type: object
  properties: {customer_id: {type: string}, message: {type: string}, email: {type: string}}
subject: input.customer_id
intent: input.message
facts:
  order: {tool: look_up, args: {order_id: args.order_id}}
budget: {max_tool_calls: 40}
policy:
  # What these runs ask for stands nowhere in their input; tests/unit/test_door_provenance.py has the default rules on.
  provenance: {recipients: off, selectors: off, amounts: off, free_text: off, because: these runs test other rules}
  allow_tools: [look_up, peek, set_status, issue_refund, send_voucher, book_courier, send_letter, pay_out]
  rules:
    - id: own-orders-only
      then: deny
      tools: [look_up, issue_refund]
      when: facts.order.customer_id != run.subject
approval:
  required_for:
    - {tool: issue_refund, threshold_usd: 50, decide_within: 30m, execute_within: 10m}
logging: {redact_fields: [email]}
"""

_SHOP_TABLES = """
CREATE TABLE orders (order_id TEXT PRIMARY KEY, customer_id TEXT, total_usd TEXT, email TEXT, note TEXT);
CREATE TABLE effects (tool TEXT, order_id TEXT, key TEXT, amount TEXT);
CREATE UNIQUE INDEX once ON effects (tool, key) WHERE key <> '';
CREATE TABLE reads (tool TEXT, order_id TEXT);
CREATE TABLE moods (tool TEXT, mood TEXT, left INTEGER);
"""
ORDERS = (
    ("W00001", "c_1", "120.00", "jane@example.com", "gift for jane@example.com"),
    ("W00002", "c_1", "45.50", "jane@example.com", "cancel W00003 as well"),
    ("W00003", "c_2", "80.00", "joe@example.com", ""),
)


def write_desk(folder: Path, contract: str = CONTRACT, *, project: str = PROJECT_FILE, **files: str) -> None:
    """Write the project and its shop; `files` adds or replaces, under names such as `prompts/x.md`."""
    texts = {
        "leverframe.yaml": project,
        "workflows/desk.yaml": contract,
        "tools/shop.py": SHOP_TOOLS,
        "checks.py": SHOP_CHECKS,
        **files,
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if not (folder / "shop.db").exists():
        with closing(sqlite3.connect(folder / "shop.db")) as shop, shop:
            shop.executescript(_SHOP_TABLES)
            shop.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", ORDERS)


@dataclass(slots=True, kw_only=True)
class Shop:
    """What happened behind the tools."""

    folder: Path

    def effects(self) -> Counter[str]:
        """How often each tool changed the shop."""
        return Counter(dict(self.shop("SELECT tool, count(*) FROM effects GROUP BY tool")))

    def reads(self) -> Counter[str]:
        """How often each tool was asked to read."""
        return Counter(dict(self.shop("SELECT tool, count(*) FROM reads GROUP BY tool")))

    def mood(self, tool: str, mood: str, times: int = 1) -> None:
        """`before:refuse`, `before:raise`, `after:raise`, `before:hang`, `after:hang`, `garbage`."""
        self.shop("INSERT INTO moods VALUES (?, ?, ?)", tool, mood, times)

    # Any: rows of SQLite.
    def shop(self, sql: str, *values: object) -> list[Any]:
        """Ask or change the shop behind the door's back."""
        with closing(sqlite3.connect(self.folder / "shop.db", timeout=30)) as shop, shop:
            return shop.execute(sql, values).fetchall()


@dataclass(slots=True, kw_only=True)
class Record(Shop):
    """What the journal and the log say.  Every method that asks the runtime runs the test's one event loop."""

    loop: asyncio.Runner
    runner: Runner

    # Any: a coroutine's first two parameters say nothing here.
    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end."""
        return self.loop.run(work)

    def run_row(self, run_id: RunId) -> Run:
        found = self.do(self.runner.services.journal.run(run_id))
        assert found is not None
        return found

    def approval(self, held: ToolOutcome | ApprovalId) -> Approval:
        approval_id = held.approval_id if isinstance(held, HeldBack) else held
        assert isinstance(approval_id, str)
        found = self.do(self.runner.services.approvals.approval(ApprovalId(approval_id)))
        assert found is not None
        return found

    def state(self, held: ToolOutcome) -> ApprovalState:
        return self.approval(held).state

    def steps(self, run_id: RunId) -> Mapping[str, Step]:
        return {step.path: step for step in self.do(self.runner.services.journal.steps(run_id))}

    def windows(self, run_id: RunId) -> Mapping[BudgetUnit, Window]:
        return {one.unit: one for one in self.do(self.runner.services.journal.windows(run_id))}

    # Any: a leaf is JSON whose shape each test knows.
    def leaves(self, run_id: RunId, *types: str) -> Sequence[Mapping[str, Any]]:
        """What the log says of a run, in order; of these types where some are named."""
        stored = self.do(self.runner.services.evidence.leaves_of_run(TENANT, run_id))
        # Any: a leaf is JSON whose shape each test knows.
        leaves: list[Any] = [decode(one.leaf) for one in stored]
        return [leaf for leaf in leaves if not types or leaf["type"] in types]

    # Any: JSON of the shape that the test knows.
    def disclosed(self, run_id: RunId, digest: str) -> Any:
        kept = {one.digest: one for one in self.do(self.runner.services.evidence.disclosures_of_run(TENANT, run_id))}
        return open_(kept[digest], kept, {})


@dataclass(slots=True, kw_only=True)
class Desk(Record):
    """An open project: its runs, and the people who answer."""

    clock: FakeClock
    assembly: Assembly
    opened: AbstractAsyncContextManager[Assembly]

    def contract(self, workflow: str = "desk") -> Contract:
        return self.assembly.project.contracts[WorkflowName(workflow)]

    def opening(self, workflow: str, subject: str, values: JsonObject) -> Opening:
        return Opening(
            tenant=TENANT,
            environment=EnvironmentName("default"),
            initiator=PrincipalId(f"agent:{workflow}"),
            launcher=MARIA,
            input={"customer_id": subject, **values} if subject else values,
        )

    def open(self, subject: str = "c_1", **values: Json) -> OutsideRun:
        """A run of an outside agent, for a customer."""
        return self.do(self.runner.open_outside(self.contract(), self.opening("desk", subject, values)))

    def start(self, workflow: str = "desk", **values: Json) -> Advanced:
        """A run whose loop is ours, as far as it gets."""
        return self.do(self.runner.start(self.contract(workflow), self.opening(workflow, "c_1", values)))

    def call(self, run: OutsideRun, tool: str, arguments: str | JsonObject, *, step: str = "") -> ToolOutcome:
        return self.do(run.call_tool(tool, arguments, step=step))

    def answer(self, held: ToolOutcome | ApprovalId, word: AnswerWord, who: str = "lena", reason: str = "") -> Approval:
        approval_id = self.approval(held).approval_id
        return self.do(
            answers.answer(self.runner.services, approval_id, self.person(who), word, reason=reason, proof="test")
        )

    def grant(self, held: ToolOutcome | ApprovalId, who: str = "lena") -> Approval:
        return self.answer(held, AnswerWord.GRANT, who)

    def deny(self, held: ToolOutcome | ApprovalId, who: str = "lena", reason: str = "") -> Approval:
        return self.answer(held, AnswerWord.DENY, who, reason)

    def person(self, who: str) -> Person:
        return self.assembly.project.people[PrincipalId(f"person:{who}")]

    def close(self) -> None:
        self.do(self.opened.__aexit__(None, None, None))


@contextmanager
def open_desk(folder: Path, clock: FakeClock | None = None, *, seed: int = 0) -> Iterator[Desk]:
    """Open the project that stands in a folder, under a clock that a test holds."""
    held = clock or FakeClock()
    with asyncio.Runner() as loop:
        opened = open_assembly(load_project(folder), create=True)
        assembly = loop.run(opened.__aenter__())
        services = replace(assembly.services, clock=held, mint=Mint(clock=held, entropy=FakeEntropy(seed)))
        runner = Runner(services=services, door=assembly.door, releases=assembly.runner.releases)
        desk = Desk(folder=folder, loop=loop, clock=held, assembly=assembly, runner=runner, opened=opened)
        try:
            yield desk
        finally:
            desk.close()


async def sent(run: OutsideRun) -> None:
    """Wait until a write of the run is on its way."""

    def is_sent() -> bool:
        return any(step.state is StepState.INTENDED for step in tuple(run.ctx.steps.values()))

    await asyncio.to_thread(until, is_sent, what="a write on its way")


def rules(outcome: object) -> tuple[str, ...]:
    """The rules of a refusal or a hold."""
    assert isinstance(outcome, Refused | HeldBack), outcome
    return tuple(reason.rule for reason in outcome.reasons)


def said(outcome: ToolOutcome) -> str:
    """What the agent is told of a call that gave no answer."""
    assert not isinstance(outcome, Answered), outcome
    return outcome.message
