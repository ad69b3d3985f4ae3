"""An outcome that a fault of ours keeps from being written: what it holds is free again while the worker lives."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from leverframe.config.project import load_project
from leverframe.domain.evidence import Disclosure
from leverframe.domain.relays import WireFormat
from leverframe.gateway.asgi_types import Message
from leverframe.gateway.metrics import Metrics
from leverframe.gateway.relays import Relays
from leverframe.models.relay import VendorRelay
from leverframe.runtime.door import relay_outcomes, relay_stream
from leverframe.runtime.door.relay_run import RelayRun
from leverframe.runtime.live_runs import LiveRuns
from leverframe.testing import TroubledVendor
from leverframe.wiring.assembly import open_assembly
from tests.served import ServedProject
from tests.troubled import ASKED, CHAT, PROJECT
from tests.waiting import until

MODEL = "fake-0ms-i70-o33"
CONTRACT = "workflow: desk\nmodels: {default: fast}\nbudget: {max_usd: 1}\n"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedProject]:
    monkeypatch.setattr(relay_outcomes, "_AGAIN_S", 0.01)
    with TroubledVendor() as vendor:
        (tmp_path / "workflows").mkdir()
        project = PROJECT.format(url=vendor.url, models=f"vendor/{MODEL}", more="")
        (tmp_path / "leverframe.yaml").write_text(project, encoding="utf-8")
        (tmp_path / "workflows" / "desk.yaml").write_text(CONTRACT, encoding="utf-8")
        found = ServedProject(folder=tmp_path, port=0)
        found.key = found.create_key()
        yield found


def call(desk: ServedProject, *, stream: bool, then: Callable[["asyncio.Task[None]"], None] | None = None) -> list[str]:
    """Make one call in a worker that goes on living; gives the faults that it met."""

    async def act() -> list[str]:
        faults: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: faults.append(repr(told.get("exception"))))
        async with open_assembly(load_project(desk.folder), create=True, serves=True) as assembly:
            live = LiveRuns(assembly.services, assembly.runner, assembly.store.live)
            with live.alive():
                asking = asyncio.create_task(_asked(Relays(assembly.door, live, Metrics()), desk.key, stream=stream))
                if then is not None:
                    then(asking)
                with suppress(RuntimeError, asyncio.CancelledError):
                    await asking
                held = "SELECT 1 FROM reservations WHERE state = 'open'"
                await asyncio.to_thread(until, lambda: not desk.rows(held), what="nothing is set aside")
        return faults

    return asyncio.run(act())


async def _asked(relays: Relays, key: str, *, stream: bool) -> None:
    body = json.dumps({"model": MODEL, **ASKED[CHAT], "stream": stream}).encode()

    async def receive() -> Message:
        if not received:
            received.append(True)
            return {"type": "http.request", "body": body}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(_: Message) -> None:
        await asyncio.sleep(0)

    received: list[bool] = []
    headers = [(b"authorization", b"Bearer " + key.encode()), (b"content-type", b"application/json")]
    await relays.serve(WireFormat.CHAT, {"type": "http", "headers": headers}, receive, send)


def settled(desk: ServedProject) -> tuple[str, str, int]:
    ((state, error, cost, settled_usd, reserved),) = desk.rows(
        "SELECT s.state, s.error, s.cost_microusd, w.settled, w.reserved FROM steps AS s, windows AS w"
        " WHERE unit = 'usd'"
    )
    assert (settled_usd, reserved) == (cost, 0)
    desk.verified()
    return state, error, cost


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_cannot_be_sealed_costs_its_bound(
    desk: ServedProject, monkeypatch: pytest.MonkeyPatch, *, stream: bool
) -> None:
    seal = RelayRun.seal

    def failing(self: RelayRun, name: str, value_bytes: bytes) -> tuple[Disclosure, ...]:
        if name == "answer" and b"lorem" in value_bytes:
            raise RuntimeError("a fault of ours")
        return seal(self, name, value_bytes)

    monkeypatch.setattr(RelayRun, "seal", failing)

    assert call(desk, stream=stream) == []

    assert settled(desk)[:2] == ("error", "model-abandoned")


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_of_which_no_outcome_can_be_made_costs_its_bound(
    desk: ServedProject, monkeypatch: pytest.MonkeyPatch, *, stream: bool
) -> None:
    def failing(*_: object) -> bytes:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(relay_stream, "answer_bytes", failing)

    assert call(desk, stream=stream) == []

    assert settled(desk)[:2] == ("error", "model-abandoned")


@pytest.mark.parametrize("times", [1, 3])
def test_an_outcome_that_a_fault_of_ours_stopped_is_written_by_a_later_try(
    desk: ServedProject, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    commit, tries = relay_outcomes._commit, []

    async def failing(*given: object) -> None:
        tries.append(given)
        if len(tries) <= times:
            raise RuntimeError("a fault of ours")
        # Any: it is handed on as it came.
        await commit(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(relay_outcomes, "_commit", failing)

    faults = call(desk, stream=True)

    assert (len(tries), len(faults)) == (times + 1, times - 1)
    assert settled(desk)[:2] == ("error", "model-abandoned")


def test_a_call_that_is_cancelled_while_its_outcome_is_written_is_settled_at_what_it_took(
    desk: ServedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, tries = relay_outcomes._commit, []
    asked: list[asyncio.Task[None]] = []

    async def cancelling(*given: object) -> None:
        tries.append(given)
        if len(tries) == 1:
            asked[0].cancel()
            await asyncio.sleep(0)
        # Any: it is handed on as it came.
        await commit(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(relay_outcomes, "_commit", cancelling)

    assert call(desk, stream=True, then=asked.append) == []

    assert settled(desk)[:2] == ("ok", "")


def test_a_call_whose_sending_a_fault_of_ours_stopped_costs_its_bound(
    desk: ServedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(VendorRelay, "send", failing)

    assert call(desk, stream=False) == []

    assert settled(desk)[:2] == ("error", "model-abandoned")


def test_an_outcome_that_can_never_be_written_keeps_neither_the_others_nor_the_store_from_the_end(
    desk: ServedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, first, is_ending = relay_outcomes._commit, [], False
    faults: list[str] = []

    async def failing(*given: object) -> None:
        first.append(given[2])
        if not is_ending or given[2] == first[0]:
            raise RuntimeError("a fault of ours")
        # Any: it is handed on as it came.
        await commit(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(relay_outcomes, "_AGAIN_S", 60.0)
    monkeypatch.setattr(relay_outcomes, "_commit", failing)

    async def act() -> None:
        nonlocal is_ending
        asyncio.get_running_loop().set_exception_handler(lambda _, told: faults.append(repr(told.get("exception"))))
        async with open_assembly(load_project(desk.folder), create=True, serves=True) as assembly:
            live = LiveRuns(assembly.services, assembly.runner, assembly.store.live)
            with live.alive():
                for _ in range(2):
                    with suppress(RuntimeError):
                        await _asked(Relays(assembly.door, live, Metrics()), desk.key, stream=True)
            is_ending = True

    asyncio.run(act())

    assert set(faults) == {"RuntimeError('a fault of ours')"}
    assert len(desk.rows("SELECT 1 FROM reservations WHERE state = 'open'")) == 1
    desk.verified()
