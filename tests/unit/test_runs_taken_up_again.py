"""An agent that comes back to its run after a while in which it asked nothing, or in which the run was ended."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from leverframe.config.project import load_project
from leverframe.core.wires import read_call
from leverframe.domain.json import JsonObject
from leverframe.domain.relays import WireFormat
from leverframe.domain.runs import RunOutcome
from leverframe.runtime import live_runs
from leverframe.runtime.closing import RunEnd
from leverframe.runtime.door.relay_run import RelayAsk
from leverframe.runtime.door.relay_stream import Relayed
from leverframe.runtime.live_runs import Caller, LiveRuns
from leverframe.runtime.opened_runs import Wanted as WantedRun
from leverframe.runtime.opened_runs import open_for_agent
from leverframe.runtime.outcomes import Answered
from leverframe.runtime.selections import Selection
from leverframe.testing import FakeVendor
from leverframe.wiring.assembly import Assembly, open_assembly
from tests.desk_keys import desk_key
from tests.door_desk import Shop, write_desk
from tests.served import PROJECT

PEOPLE = "people:\n  lena: {roles: [approver]}\n"
CONTRACT = "workflow: desk\nmodels: {default: fast}\npolicy: {allow_tools: [peek]}\n"
TOOLS = "workflow: desk\npolicy: {allow_tools: [peek]}\n"
ORDER: JsonObject = {"order_id": "W00001"}
BODY = {"model": "fast", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}


@asynccontextmanager
async def worker(folder: Path) -> AsyncIterator[tuple[Assembly, LiveRuns, Caller]]:
    """A worker, and whoever has the token of a run that a team's backend opened."""
    async with open_assembly(load_project(folder), create=True, serves=True) as assembly:
        services = assembly.services
        key = await desk_key(services)
        live = LiveRuns(services, assembly.runner, assembly.store.live)
        with live.alive():
            asked = WantedRun(workflow="", environment="", input={}, subject=None, on_behalf_of=None, ttl_s=3600)
            opened = await open_for_agent(live, Caller(key=key), asked)
            yield assembly, live, Caller(key=key, run_id=opened.run.run_id)


@pytest.fixture
def let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked for was used too long ago, whenever that was."""
    monkeypatch.setattr(live_runs, "IDLE_S", -1.0)


@pytest.mark.usefixtures("let_go")
def test_an_agent_that_comes_back_to_its_run_calls_models_in_it(tmp_path: Path) -> None:
    async def call(assembly: Assembly, live: LiveRuns, agent: Caller) -> str:
        ask = RelayAsk(
            call=read_call(WireFormat.CHAT, json.dumps(BODY).encode()),
            key=agent.key,
            candidates=assembly.project.tiers["fast"],
            began_at=assembly.services.clock.monotonic(),
        )
        relayed = await assembly.door.relay(await live.run_for(agent, Selection()), ask)
        assert isinstance(relayed, Relayed), relayed
        while await relayed.read() is not None:
            pass
        return relayed.model

    async def act() -> int:
        async with worker(tmp_path) as (assembly, live, agent):
            await call(assembly, live, agent)
            live.forget_idle()
            await call(assembly, live, agent)
            assert agent.run_id is not None
            return len(await assembly.services.journal.steps(agent.run_id))

    with FakeVendor() as vendor:
        write_desk(tmp_path, CONTRACT, project=PROJECT.format(url=vendor.url, more=PEOPLE))

        assert asyncio.run(act()) == 2


@pytest.mark.usefixtures("let_go")
def test_an_agent_that_comes_back_to_its_run_reads_anew_in_it(tmp_path: Path) -> None:
    """Neither what another call of before was answered, nor a refusal because it was another."""

    async def act() -> list[bool]:
        async with worker(tmp_path) as (_, live, agent):
            found = []
            for order in ("W00001", "W00001", "W00002"):
                run = await live.outside_for(agent, {})
                answer = await run.call_tool("peek", {"order_id": order})
                assert isinstance(answer, Answered), answer
                found.append(answer.is_repeat)
                live.forget_idle()
            return found

    with FakeVendor() as vendor:
        write_desk(tmp_path, CONTRACT, project=PROJECT.format(url=vendor.url, more=PEOPLE))

        assert asyncio.run(act()) == [False, False, False]
    assert Shop(folder=tmp_path).reads()["peek"] == 3


def test_a_key_whose_run_was_ended_elsewhere_calls_tools_in_the_next_one(tmp_path: Path) -> None:
    """As its model calls do, and not in 15 minutes."""

    async def act() -> int:
        async with worker(tmp_path) as (assembly, live, agent):
            key, ended = Caller(key=agent.key), set()
            for _ in range(2):
                run = (await live.outside_for(key, {})).ctx.run
                assert isinstance(await (await live.outside_for(key, {})).call_tool("peek", ORDER), Answered)
                other = LiveRuns(assembly.services, assembly.runner, assembly.store.live)
                await other.end(run, RunEnd(outcome=RunOutcome.STOPPED, output=None))
                ended.add(run.run_id)
            return len(ended)

    write_desk(tmp_path, TOOLS, project=PEOPLE)

    assert asyncio.run(act()) == 2
    assert Shop(folder=tmp_path).reads()["peek"] == 2
