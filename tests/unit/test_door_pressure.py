"""Reads that share an answer, and tools in trouble: each call decided and recorded, whoever was asked."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from leverframe.config.project import load_project
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.ids import EnvironmentName, PrincipalId, TenantId, WorkflowName
from leverframe.domain.labels import Integrity
from leverframe.runtime.outcomes import Answered, Failed, ToolOutcome
from leverframe.runtime.outside import OutsideRun
from leverframe.runtime.sessions import Opening
from leverframe.testing import CredentialedMcpServer
from leverframe.wiring.assembly import Assembly, open_assembly
from tests.pinning import pin_everything
from tests.waiting import until

# Any: plain JSON.
PlainJson = dict[str, Any]
ACME, GLOBEX = TenantId("acme"), TenantId("globex")
OBJECT = {"type": "object", "properties": {"q": {}, "key": {"type": "string"}}}


@dataclass(slots=True)
class Shop:
    """What stands behind the server: a number that a write raises, and answers that can be held back or spoiled."""

    value: int = 0
    may_answer: threading.Event = field(default_factory=threading.Event)
    failing: bool = False
    at_work: int = 0
    most_at_work: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, arguments: PlainJson, credential: str) -> PlainJson:
        with self.lock:
            self.at_work += 1
            self.most_at_work = max(self.most_at_work, self.at_work)
        seen = self.value
        self.may_answer.wait(20)
        with self.lock:
            self.at_work -= 1
        if self.failing:
            return {"resultType": "broken"}
        return {"structuredContent": {"value": seen, "of": credential, "q": arguments.get("q")}, "content": []}

    def write(self, arguments: PlainJson, credential: str) -> PlainJson:
        self.value += 1
        return {"structuredContent": {"done": arguments.get("q"), "by": credential}, "content": []}


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    assembly: Assembly
    shop: Shop
    remote: CredentialedMcpServer

    async def run(self, tenant: TenantId = ACME, subject: str = "c1") -> OutsideRun:
        opening = Opening(
            tenant=tenant,
            environment=EnvironmentName("default"),
            initiator=PrincipalId("key:key_test"),
            launcher=PrincipalId("key:key_test"),
            input={"customer": subject},
            opener_integrity=Integrity.USER,
        )
        contract = self.assembly.project.contracts[WorkflowName("desk")]
        return await self.assembly.runner.open_outside(contract, opening)

    def asked(self, tool: str = "read") -> int:
        return len(self.remote.calls(tool))

    async def reached(self, count: int) -> None:
        """Turn the loop until the server was asked so often."""
        await asyncio.to_thread(until, lambda: self.asked() >= count, what=f"{count} requests")


def play(
    folder: Path,
    act: Callable[[Desk], Awaitable[None]],
    *,
    read: Mapping[str, object] | None = None,
    project: Mapping[str, object] | None = None,
    credential: str = "secret://env/SHOP_{tenant}",
    server: Mapping[str, object] | None = None,
) -> None:
    async def whole() -> None:
        async with desk(folder, read or {}, project or {}, {"credential": credential, **(server or {})}) as found:
            await act(found)

    asyncio.run(whole())


@asynccontextmanager
async def desk(
    folder: Path, read: Mapping[str, object], project: Mapping[str, object], more: Mapping[str, object]
) -> AsyncIterator[Desk]:
    shop = Shop()
    shop.may_answer.set()
    with CredentialedMcpServer(tools={"read": shop.read, "write": shop.write}) as remote:
        server = {"url": remote.url, "private": "allowed", **more}
        (folder / "workflows").mkdir()
        (folder / "tools").mkdir()
        (folder / "leverframe.yaml").write_text(
            json.dumps({"tenants": {"acme": {}, "globex": {}}, "servers": {"remote": server}, **project})
        )
        spec = {"from": {"mcp": "remote", "name": "read"}, "effect": "read", "input": OBJECT, **read}
        (folder / "tools" / "read.yaml").write_text(json.dumps({"tool": "read", **spec}))
        write = {"from": {"mcp": "remote", "name": "write"}, "effect": "idempotent", "input": OBJECT}
        (folder / "tools" / "write.yaml").write_text(json.dumps({"tool": "write", **write}))
        contract = {
            "workflow": "desk",
            "input": {"type": "object", "properties": {"customer": {"type": "string"}}},
            "subject": "input.customer",
            "budget": {"max_tool_calls": 40},
            "policy": {"allow_tools": ["read", "write"]},
        }
        (folder / "workflows" / "desk.yaml").write_text(json.dumps(contract))
        loaded = load_project(folder)
        await pin_everything(loaded.servers, folder, loaded.tenants)
        async with open_assembly(loaded, create=True) as assembly:
            yield Desk(assembly=assembly, shop=shop, remote=remote)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_ACME", "sk-acme-0123456789")
    monkeypatch.setenv("SHOP_GLOBEX", "sk-globex-0123456789")


def value(outcome: ToolOutcome) -> object:
    assert isinstance(outcome, Answered), outcome
    assert isinstance(outcome.value, dict)
    return outcome.value["value"]


async def settled(desk: Desk, run: OutsideRun) -> list[PlainJson]:
    """The details and labels of each `call.settled` of a run, in order."""
    leaves = await desk.assembly.services.evidence.leaves_of_run(run.ctx.run.tenant, run.run_id)
    entries = [json.loads(one.leaf) for one in leaves]
    return [{**entry["detail"], "labels": entry.get("labels")} for entry in entries if entry["type"] == "call.settled"]


def test_a_read_is_answered_again_without_asking_and_each_call_is_decided_and_recorded(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        first, second = await desk.run(), await desk.run()
        assert value(await first.call_tool("read", {"q": 1})) == 0
        desk.shop.value = 5
        assert value(await first.call_tool("read", {"q": 1})) == 0
        assert value(await second.call_tool("read", {"q": 1})) == 0
        assert value(await second.call_tool("read", {"q": 2})) == 5
        assert desk.asked() == 2

        (asked, hit), (other, _) = await settled(desk, first), await settled(desk, second)
        assert asked["attempts"] == 1
        assert "how" not in asked
        assert (hit["how"], other["how"], hit["attempts"]) == ("cached", "cached", 0)
        assert hit["answer_of"] == other["answer_of"] == next(iter(first.ctx.steps.values())).call_id
        assert hit["labels"] == asked["labels"]

    play(tmp_path, act, read={"cache_s": 60})


def test_what_is_answered_again_counts_in_no_limit_of_calls_and_costs_nothing(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        run = await desk.run()
        for _ in range(5):
            await run.call_tool("read", {"q": 1})
        windows = {one.unit: one for one in await desk.assembly.services.journal.windows(run.run_id)}
        assert windows[BudgetUnit.TOOL_CALLS].settled == 1
        assert windows[BudgetUnit.STEPS].settled == 5
        assert [step.cost for step in run.ctx.steps.values()] == [1000, 0, 0, 0, 0]

    play(tmp_path, act, read={"cache_s": 60, "cost_usd": 0.001})


@pytest.mark.parametrize("credential", ["secret://env/SHOP_{tenant}", "secret://env/SHOP_ACME"])
def test_no_answer_crosses_a_tenant_or_a_subject(tmp_path: Path, credential: str) -> None:
    async def act(desk: Desk) -> None:
        for tenant, subject in ((ACME, "c1"), (GLOBEX, "c1"), (ACME, "c2"), (GLOBEX, "c2")):
            run = await desk.run(tenant, subject)
            desk.shop.value += 1
            assert value(await run.call_tool("read", {"q": 1})) == desk.shop.value
            assert value(await run.call_tool("read", {"q": 1})) == desk.shop.value
        assert desk.asked() == 4

    play(
        tmp_path, act, read={"cache_s": 60}, credential=credential, server={"shared_credential": {"because": "a test"}}
    )


def test_parallel_reads_of_two_tenants_share_nothing(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        desk.shop.may_answer.clear()
        runs = [await desk.run(tenant) for tenant in (ACME, GLOBEX) for _ in range(3)]
        asking = [asyncio.create_task(run.call_tool("read", {"q": 1})) for run in runs]
        await desk.reached(2)
        desk.shop.may_answer.set()
        assert {value(one) for one in await asyncio.gather(*asking)} == {0}
        assert {one.credential for one in desk.remote.calls("read")} == {"sk-acme-0123456789", "sk-globex-0123456789"}
        assert desk.asked() == 2
        hows = [one.get("how", "") for run in runs for one in await settled(desk, run)]
        assert sorted(hows) == ["", "", "shared", "shared", "shared", "shared"]

    play(tmp_path, act, read={"cache_s": 60})


def test_without_cache_s_every_read_asks(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        run = await desk.run()
        await asyncio.gather(*(run.call_tool("read", {"q": 1}) for _ in range(4)))
        assert desk.asked() == 4

    play(tmp_path, act)


def test_nobody_reads_what_was_before_their_own_write(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        run, other = await desk.run(), await desk.run(GLOBEX)
        await run.call_tool("read", {"q": 1})
        await other.call_tool("read", {"q": 1})
        await run.call_tool("write", {"q": 1})
        assert value(await run.call_tool("read", {"q": 1})) == 1
        # Another tenant's own answers are as good as they were.
        assert value(await other.call_tool("read", {"q": 1})) == 0

        desk.shop.may_answer.clear()
        under_way = asyncio.create_task(run.call_tool("read", {"q": 2}))
        await desk.reached(4)
        await run.call_tool("write", {"q": 2})
        desk.shop.may_answer.set()
        after = await run.call_tool("read", {"q": 2})
        assert value(await under_way) == 1
        assert value(after) == 2

    play(tmp_path, act, read={"cache_s": 60})


def test_a_shared_request_that_fails_is_asked_anew_by_the_next_and_kept_by_nobody(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        run = await desk.run()
        desk.shop.may_answer.clear()
        desk.shop.failing = True
        asking = [asyncio.create_task(run.call_tool("read", {"q": 1})) for _ in range(3)]
        await desk.reached(1)
        desk.shop.may_answer.set()
        assert all(isinstance(one, Failed) for one in await asyncio.gather(*asking))
        desk.shop.failing = False
        assert value(await run.call_tool("read", {"q": 1})) == 0
        assert desk.asked() == 4

    play(tmp_path, act, read={"cache_s": 60})


def test_an_answer_that_broke_its_schema_is_not_given_again(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        run = await desk.run()
        for _ in range(2):
            await run.call_tool("read", {"q": 1})
        assert desk.asked() == 2

    play(tmp_path, act, read={"cache_s": 60, "output": {"type": "object", "required": ["nothing of the kind"]}})


def test_no_more_requests_are_at_work_than_the_tool_says_and_the_others_wait(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        run = await desk.run()
        desk.shop.may_answer.clear()
        asking = [asyncio.create_task(run.call_tool("read", {"q": number})) for number in range(6)]
        await desk.reached(2)
        desk.shop.may_answer.set()
        assert [value(one) for one in await asyncio.gather(*asking)] == [0] * 6
        assert desk.shop.most_at_work <= 2
        assert desk.asked() == 6

    play(tmp_path, act, project={"tool_limits": {"max_parallel": 2}})


def test_who_waited_too_long_is_told_so_and_did_not_leave_and_another_tenant_does_not_wait(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        run, other = await desk.run(), await desk.run(GLOBEX)
        desk.shop.may_answer.clear()
        first = asyncio.create_task(run.call_tool("read", {"q": 1}))
        await desk.reached(1)
        # One of these may get the place when the first has used up its time; the other gives up just before.
        waiting = [asyncio.create_task(run.call_tool("read", {"q": 2})) for _ in range(2)]
        elsewhere = asyncio.create_task(other.call_tool("read", {"q": 4}))
        await desk.reached(2)
        assert [one.arguments["q"] for one in desk.remote.calls("read")] == [1, 4]
        late = next(one for one in await asyncio.gather(*waiting) if "at work" in getattr(one, "message", ""))
        desk.shop.may_answer.set()
        await asyncio.gather(first, elsewhere)
        assert isinstance(late, Failed)
        assert late.error == "tool-busy"
        assert "'acme'" in late.message
        busy = [one["attempts"] for one in await settled(desk, run) if one.get("error") == "tool-busy"]
        assert busy
        assert set(busy) == {0}

    play(tmp_path, act, read={"max_parallel": 1, "timeout_s": 1})


def test_a_tool_that_fails_again_and_again_rests_for_that_tenant_alone(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        run, other = await desk.run(), await desk.run(GLOBEX)
        desk.shop.failing = True
        for number in range(3):
            assert isinstance(await run.call_tool("read", {"q": number}), Failed)
        resting = await run.call_tool("read", {"q": 9})
        assert isinstance(resting, Failed)
        assert resting.error == "tool-resting"
        assert desk.asked() == 3
        desk.shop.failing = False
        assert value(await other.call_tool("read", {"q": 1})) == 0
        # Another tool of the same server goes on.
        assert isinstance(await run.call_tool("write", {"q": 1}), Answered)

    play(tmp_path, act, read={"breaker": {"failures": 3, "rest_s": 3600}})


def test_after_its_rest_one_request_tries_it_and_a_good_answer_closes_the_breaker(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        run = await desk.run()
        desk.shop.failing = True
        await run.call_tool("read", {"q": 0})
        await asyncio.sleep(0.3)
        desk.shop.may_answer.clear()
        desk.shop.failing = False
        probe = asyncio.create_task(run.call_tool("read", {"q": 1}))
        await desk.reached(2)
        beside = await run.call_tool("read", {"q": 2})
        desk.shop.may_answer.set()
        assert value(await probe) == 0
        assert isinstance(beside, Failed)
        assert beside.error == "tool-resting"
        assert [value(await run.call_tool("read", {"q": number})) for number in range(3, 6)] == [0] * 3
        assert desk.asked() == 5

    play(tmp_path, act, read={"breaker": {"failures": 1, "rest_s": 0.2}})


def test_retries_are_a_share_of_the_requests_and_no_more(tmp_path: Path) -> None:
    async def act(desk: Desk) -> None:
        run = await desk.run()
        desk.remote.credentials = {"nobody"}
        desk.shop.failing = True
        for number in range(8):
            await run.call_tool("read", {"q": number})
        attempts = [one["attempts"] for one in await settled(desk, run)]
        assert sum(attempts) == 8 + 10
        assert attempts == [3, 3, 3, 3, 3, 1, 1, 1]

    limits = {"retries": {"max": 2, "on": ["connect"], "percent": 0}, "breaker": {"failures": 1000}}
    play(tmp_path, act, read=limits)
