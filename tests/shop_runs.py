"""A project in which one run of each kind has really happened, for tests that tamper with what was recorded.

Allowed, held and granted, denied by a person, denied by policy, the same act in other words, refused by the tool, lost,
waiting; and two runs whose process was killed in mid-call, of which one was reconciled and one is left unknown.
"""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import cached_property
from pathlib import Path

from leverframe.config.project import load_project
from leverframe.domain.approvals import AnswerWord
from leverframe.domain.ids import EnvironmentName, PrincipalId, RunId, WorkflowName
from leverframe.domain.json import JsonObject
from leverframe.domain.runs import RunOutcome
from leverframe.ports.store import RunFilter
from leverframe.runtime import answers
from leverframe.runtime.outcomes import Answered, Failed, HeldBack, Lost, Refused, ToolOutcome
from leverframe.runtime.outside import OutsideRun
from leverframe.runtime.sessions import Opening
from leverframe.wiring.assembly import Assembly, open_assembly
from tests.door_desk import CONTRACT, PROJECT_FILE, TENANT, write_desk

CHAIN = """\
workflow: errands
kind: chain
input:
  type: object
  required: [order_id]
  properties: {order_id: {type: string}}
subject: input.order_id
fallback: {handoff: "queue:tier2", say: A colleague looks at it.}
budget: {max_tool_calls: 10, max_wall_s: 120}
steps:
  - tool: {name: look_up, args: {order_id: input.order_id}, as: order}
  - tool: {name: book_courier, args: {order_id: input.order_id}, as: courier}
  - tool: {name: send_letter, args: {order_id: input.order_id}, as: letter}
policy:
  allow_tools: [look_up, book_courier, send_letter, find_courier]
logging: {redact_fields: [email]}
"""
EMAIL = "jane@example.com"
ORDER: JsonObject = {"order_id": "W00001"}


class ShopRuns:
    """The project at `root`, and its runs by what became of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runs: dict[str, RunId] = {}

    @cached_property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "XDG_CONFIG_HOME": str(self.root.parent / "config")}

    def make(self) -> None:
        """Let everything happen."""
        write_desk(self.root, CONTRACT, project=PROJECT_FILE, **{"workflows/errands.yaml": CHAIN})
        asyncio.run(self._with_assembly(self._outside_runs))
        for number, order in ((2, "W00001"), (3, "W00002")):
            self._killed(order, f"after_answer:{number}")
        asyncio.run(self._with_assembly(self._resumed))

    async def _with_assembly(self, do: Callable[[Assembly], Awaitable[None]]) -> None:
        async with open_assembly(load_project(self.root), create=True) as assembly:
            await do(assembly)

    async def _outside_runs(self, assembly: Assembly) -> None:
        refund: JsonObject = {**ORDER, "amount_usd": 60, "note": "broken"}
        allowed = await self._run(assembly, "allowed", email=EMAIL, message=f"Write to {EMAIL}")
        await expect(allowed, "look_up", ORDER, Answered)
        await expect(allowed, "set_status", {**ORDER, "status": "paid"}, Answered)
        await expect(allowed, "issue_refund", {**ORDER, "amount_usd": 5}, Answered)
        await expect(allowed, "pay_out", {**ORDER, "amount_usd": 7}, Answered)
        await allowed.end(RunOutcome.SUCCESS, {"done": True})
        again = await self._run(assembly, "said in other words")
        words = await expect(again, "pay_out", {**ORDER, "amount_usd": 7, "memo": "again"}, HeldBack)
        await answer(assembly, words, AnswerWord.DENY)
        await expect(again, "pay_out", {**ORDER, "amount_usd": 7, "memo": "again"}, Refused)
        granted = await self._run(assembly, "granted")
        await answer(assembly, await expect(granted, "issue_refund", refund, HeldBack), AnswerWord.GRANT)
        await expect(granted, "issue_refund", refund, Answered)
        await granted.end(RunOutcome.SUCCESS, {"done": True})
        hostile = await self._run(assembly, "denied")
        await expect(hostile, "issue_refund", {"order_id": "W00003", "amount_usd": 5}, Refused)
        await expect(hostile, "drop_table", {}, Refused)
        await expect(hostile, "issue_refund", {"order_id": 7}, Refused)
        await hostile.end(RunOutcome.SUCCESS, {"done": False})
        lost = await self._run(assembly, "lost")
        self._mood("send_letter", "after:raise")
        await expect(lost, "send_letter", ORDER, Lost)
        self._mood("set_status", "before:refuse")
        await expect(lost, "set_status", {**ORDER, "status": "lost"}, Failed)
        waiting = await self._run(assembly, "waiting")
        await expect(waiting, "issue_refund", {**refund, "note": "later"}, HeldBack)

    async def _resumed(self, assembly: Assembly) -> None:
        """Reconcile what the killed processes left."""
        for row in await assembly.services.journal.runs(RunFilter()):
            if row.workflow == "errands":
                await assembly.runner.resume(row.run_id)
                self.runs[f"killed {len(self.runs)}"] = row.run_id

    async def _run(self, assembly: Assembly, name: str, **values: str) -> OutsideRun:
        opening = Opening(
            tenant=TENANT,
            environment=EnvironmentName("default"),
            initiator=PrincipalId("agent:desk"),
            launcher=PrincipalId("os:maria"),
            input={"customer_id": "c_1", **values},
        )
        contract = assembly.project.contracts[WorkflowName("desk")]
        run = await assembly.runner.open_outside(contract, opening)
        self.runs[name] = run.run_id
        return run

    def _mood(self, tool: str, mood: str) -> None:
        with closing(sqlite3.connect(self.root / "shop.db")) as shop, shop:
            shop.execute("INSERT INTO moods VALUES (?, ?, 1)", (tool, mood))

    def _killed(self, order: str, where: str) -> None:
        """Run the chain in a process of its own, which is killed in mid-call."""
        items = self.root / "order.json"
        items.write_text(f'{{"order_id": "{order}"}}', encoding="utf-8")
        words = ["-C", str(self.root), "run", "errands", "--input", str(items)]
        done = subprocess.run(
            [sys.executable, "-m", "leverframe", *words],
            env=self.environment | {"LEVERFRAME_CRASH_AT": where},
            capture_output=True,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()


async def expect(run: OutsideRun, tool: str, args: JsonObject, kind: type[ToolOutcome]) -> ToolOutcome:
    """Ask for a call, which must come out as said."""
    outcome = await run.call_tool(tool, args)
    assert isinstance(outcome, kind), outcome
    return outcome


async def answer(assembly: Assembly, held: ToolOutcome, word: AnswerWord) -> None:
    """Answer as Lena."""
    assert isinstance(held, HeldBack)
    assert held.approval_id is not None
    lena = assembly.project.people[PrincipalId("person:lena")]
    await answers.answer(assembly.services, held.approval_id, lena, word, reason="looked at it", proof="test")
