"""The records of a burst's refusals stand behind its answers, and behind nothing for longer than a moment."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from leverframe.runtime.door import relay_refusals
from leverframe.runtime.door.refusal_tally import RefusalTally
from leverframe.runtime.door.relay_record import Decision
from leverframe.runtime.door.relay_refusals import RefusalRecords
from leverframe.runtime.door.relay_run import RelayAsk, RelayRun
from leverframe.wiring.clock import SystemClock


class Desk:
    """Refusals that are told, and when each is recorded, in seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.records = RefusalRecords()
        self.tally = RefusalTally()
        self.written: list[float] = []
        monkeypatch.setattr(relay_refusals, "_write", self._write)

    async def refuse(self) -> None:
        services = SimpleNamespace(clock=SystemClock())
        run = SimpleNamespace(ctx=SimpleNamespace(services=services), refusals=self.tally)
        made = SimpleNamespace(answer=None, unrecorded=0)
        # cast: when a record is written does not depend on what is in it.
        await self.records.write(cast("RelayRun", run), cast("RelayAsk", None), cast("Decision", made))

    async def _write(self, *_: object) -> None:
        self.written.append(asyncio.get_running_loop().time())


def test_records_wait_while_calls_are_decided_and_are_written_once_none_is(monkeypatch: pytest.MonkeyPatch) -> None:
    # A machine that stands still for a moment is no reason to write them sooner.
    monkeypatch.setattr(relay_refusals, "_MOST_BEHIND_S", 60.0)

    async def act() -> tuple[int, int]:
        desk = Desk(monkeypatch)
        desk.records.deciding = 1
        for _ in range(3):
            await desk.refuse()
        await asyncio.sleep(0.1)
        before = len(desk.written)
        desk.records.deciding = 0
        await desk.records.close()
        return before, len(desk.written)

    assert asyncio.run(act()) == (0, 3)


def test_where_calls_are_decided_all_the_time_records_are_written_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> list[float]:
        desk = Desk(monkeypatch)
        desk.records.deciding = 1
        began = asyncio.get_running_loop().time()
        await desk.refuse()
        await desk.records.close()
        return [at - began for at in desk.written]

    (after_s,) = asyncio.run(act())
    assert after_s > 0.2
