"""A run that is ended in one worker while another relays calls in it: no answer comes after its end."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from leverframe.config.project import load_project
from leverframe.core.canonical import decode
from leverframe.core.wires import read_call
from leverframe.domain.authority import ApiKey
from leverframe.domain.errors import Contended
from leverframe.domain.ids import RunId, TenantId
from leverframe.domain.records import replace
from leverframe.domain.relays import WireFormat
from leverframe.domain.runs import Run, RunOutcome
from leverframe.runtime import live_runs, sweeping
from leverframe.runtime.closing import RunEnd
from leverframe.runtime.door.relay_run import RelayAsk
from leverframe.runtime.door.relay_stream import Relayed
from leverframe.runtime.live_runs import Caller, LiveRuns
from leverframe.runtime.selections import Selection
from leverframe.runtime.sweeping import end_idle, settle_dead
from leverframe.testing import FakeVendor
from leverframe.wiring.assembly import Assembly, open_assembly
from tests.desk_keys import desk_key
from tests.overtaken import Meanwhile, Overtaken
from tests.served import CONTRACT, PROJECT

TENANT = TenantId("default")
PEOPLE = "people:\n  lena: {roles: [approver]}\n"
BODY = {"model": "fast", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}


@dataclass(slots=True, kw_only=True)
class Worker:
    """One of two workers on one database."""

    assembly: Assembly
    key: ApiKey
    live: LiveRuns
    claim: ExitStack = field(default_factory=ExitStack)

    async def run(self, name: str = "") -> Run:
        return (await self.live.run_for(Caller(key=self.key), Selection(run=name))).ctx.run

    async def send(self, name: str = "") -> Relayed:
        """A call that a vendor has begun to answer."""
        run = await self.live.run_for(Caller(key=self.key), Selection(run=name))
        ask = RelayAsk(
            call=read_call(WireFormat.CHAT, json.dumps(BODY).encode()),
            key=self.key,
            candidates=self.assembly.project.tiers["fast"],
            began_at=self.assembly.services.clock.monotonic(),
        )
        relayed = await self.assembly.door.relay(run, ask)
        assert isinstance(relayed, Relayed), relayed
        return relayed

    async def call(self) -> None:
        await read(await self.send())

    async def end(self, run: Run, *meanwhile: Meanwhile) -> None:
        services = self.live.services
        self.live.services = replace(services, writer=Overtaken(services.writer, *meanwhile))
        try:
            await self.live.end(run, RunEnd(outcome=RunOutcome.SUCCESS, output=None))
        finally:
            self.live.services = services

    # Any: a leaf is JSON.
    async def leaves(self, run_id: RunId) -> list[Any]:
        """What the log says of answers and of the end."""
        stored = await self.assembly.services.evidence.leaves_of_run(TENANT, run_id)
        # Any: the same.
        leaves: list[Any] = [decode(one.leaf) for one in stored]
        return [one for one in leaves if one["type"] in {"model.answered", "run.ended"}]


async def read(relayed: Relayed) -> None:
    while await relayed.read() is not None:
        pass


@asynccontextmanager
async def two_workers(folder: Path) -> AsyncIterator[tuple[Worker, Worker]]:
    async with open_assembly(load_project(folder), create=True, serves=True) as assembly:
        services = assembly.services
        key = await desk_key(services, may_open_runs=False)
        workers = [
            Worker(assembly=assembly, key=key, live=LiveRuns(services, assembly.runner, assembly.store.live))
            for _ in range(2)
        ]
        with ExitStack() as alive:
            for one in workers:
                one.claim.enter_context(one.live.alive())
                alive.enter_context(one.claim)
            yield workers[0], workers[1]


def run_both(folder: Path, work: Callable[[Worker, Worker], Awaitable[None]]) -> None:
    """Have two workers do something at a vendor that answers at once."""

    async def do() -> None:
        async with two_workers(folder) as (ours, theirs):
            await work(ours, theirs)

    with FakeVendor() as vendor:
        (folder / "workflows").mkdir()
        (folder / "leverframe.yaml").write_text(PROJECT.format(url=vendor.url, more=PEOPLE))
        (folder / "workflows" / "desk.yaml").write_text(CONTRACT)
        asyncio.run(do())


def test_the_totals_of_an_end_hold_a_relayed_call_that_was_made_in_that_moment(tmp_path: Path) -> None:
    async def work(ours: Worker, theirs: Worker) -> None:
        run = await theirs.run()
        await ours.end(run, theirs.call, theirs.call)

        *answers, ended = await ours.leaves(run.run_id)
        assert [one["type"] for one in answers] == ["model.answered"] * 2
        assert ended["cost_microusd"] == sum(one["cost_microusd"] for one in answers) > 0
        assert ended["detail"]["total_model_calls"] == 2

    run_both(tmp_path, work)


def test_a_run_does_not_end_while_a_relayed_call_is_on_its_way(tmp_path: Path) -> None:
    async def work(ours: Worker, theirs: Worker) -> None:
        run, sent = await theirs.run(), list[Relayed]()

        async def send() -> None:
            sent.append(await theirs.send())

        with pytest.raises(Contended, match="being done just now"):
            await ours.end(run, send)
        await read(sent[0])
        await ours.end(run)

        assert [one["type"] for one in await ours.leaves(run.run_id)] == ["model.answered", "run.ended"]

    run_both(tmp_path, work)


def test_a_relayed_call_of_a_worker_that_died_in_that_moment_is_settled_before_the_end(tmp_path: Path) -> None:
    async def work(ours: Worker, theirs: Worker) -> None:
        run, sent = await theirs.run(), list[Relayed]()

        async def send_and_die() -> None:
            sent.append(await theirs.send())
            theirs.claim.close()

        await ours.end(run, send_and_die)

        answered, ended = await ours.leaves(run.run_id)
        assert (answered["outcome"], ended["type"]) == ("unknown", "run.ended")
        assert ended["detail"]["total_model_calls"] == 1
        with pytest.raises(Contended, match="theirs stands"):
            await read(sent[0])

    run_both(tmp_path, work)


def test_a_key_calls_on_beside_a_call_that_outlives_the_silence_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(ours: Worker, theirs: Worker) -> None:
        run, sent = await ours.run(), await ours.send()
        monkeypatch.setattr(live_runs, "IDLE_S", -1.0)  # as if the last call had begun too long ago

        assert [(await one.run()).run_id for one in (theirs, ours)] == [run.run_id] * 2

        await read(sent)
        assert (await theirs.run()).run_id != run.run_id
        assert [one["type"] for one in await ours.leaves(run.run_id)] == ["model.answered", "run.ended"]

    run_both(tmp_path, work)


def test_a_key_calls_on_beside_a_call_that_outlives_the_contract_of_its_run(tmp_path: Path) -> None:
    async def work(ours: Worker, _: Worker) -> None:
        run, sent = await ours.run(), await ours.send()
        contract = tmp_path / "workflows" / "desk.yaml"
        contract.write_text(f"{CONTRACT}budget: {{max_steps: 9}}\n")
        async with open_assembly(load_project(tmp_path), create=False, serves=True) as assembly:
            next_ = LiveRuns(assembly.services, assembly.runner, assembly.store.live)
            with next_.alive():
                theirs = Worker(assembly=assembly, key=ours.key, live=next_)
                await theirs.call()
                assert (await theirs.run()).run_id == run.run_id

                await read(sent)
                assert (await theirs.run()).run_id != run.run_id
        assert (await ours.leaves(run.run_id))[-1]["detail"]["stop_reason"] == "release-changed"

    run_both(tmp_path, work)


def test_a_run_that_was_changed_by_hand_keeps_no_other_from_being_settled_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(ours: Worker, theirs: Worker) -> None:
        changed, good = await theirs.run(), await theirs.run("another")
        for name in ("", "another"):
            await theirs.send(name)
        theirs.claim.close()
        with closing(sqlite3.connect(tmp_path / ".leverframe" / "leverframe.db")) as store, store:
            store.execute("UPDATE runs SET launcher = 'os:mallory' WHERE run_id = ?", (changed.run_id,))

        assert await settle_dead(ours.live, ours.assembly.runner) == 1
        monkeypatch.setattr(sweeping, "IDLE_S", -1.0)
        assert await end_idle(ours.live) == 1

        assert [one["type"] for one in await ours.leaves(good.run_id)] == ["model.answered", "run.ended"]
        assert await ours.leaves(changed.run_id) == []

    run_both(tmp_path, work)
