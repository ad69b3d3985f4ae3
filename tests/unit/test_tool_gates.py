"""The breaker, as a table of answers and what it then lets through; pauses between retries."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from leverframe.domain.calls import ToolAnswer, ToolFailed, ToolLost, ToolOk
from leverframe.domain.errors import ToolResting
from leverframe.domain.ids import TenantId
from leverframe.domain.pins import DRIFTED, QUARANTINED
from leverframe.domain.tools import ToolLimits, ToolSpec
from leverframe.runtime.door.tool_gates import Entry, ToolGates, pause_s
from leverframe.testing import FakeClock
from tests.property.test_read_cache import READ

ACME = TenantId("acme")
OK = ToolOk(value=1)
LOST = ToolLost(message="gone", kind="timeout", has_left=True)
BUSY = ToolFailed(message="busy", kind="429")
BROKEN = ToolFailed(message="broken", kind="5xx")
REFUSED = ToolFailed(message="no")
SPEC = replace(READ, limits=ToolLimits(breaker_failures=3, breaker_rest_s=10))


def middle() -> float:
    return 0.5


async def send(gates: ToolGates, clock: FakeClock, answer: ToolAnswer | None, spec: ToolSpec = SPEC) -> str:
    try:
        async with gates.entered(ACME, spec, clock, within_s=1, chance=middle) as entry:
            entry.answer = answer
            return "probe" if entry.is_probe else "sent"
    except ToolResting:
        return "rests"


@pytest.mark.parametrize(
    ("answers", "then"),
    [
        ([LOST] * 2, "sent"),
        ([LOST] * 3, "rests"),
        ([BUSY, BROKEN, LOST], "rests"),
        ([LOST, LOST, OK, LOST, LOST], "sent"),
        ([LOST, LOST, REFUSED, LOST, LOST], "sent"),
        ([REFUSED] * 9, "sent"),
        ([ToolLost(message="", kind=kind, has_left=False) for kind in (QUARANTINED, DRIFTED)] * 3, "sent"),
        ([None] * 9, "sent"),
    ],
    ids=["two", "three", "of any kind", "a good one between", "a refusal between", "refusals", "reviews", "cancelled"],
)
def test_it_rests_after_so_many_failures_in_a_row(answers: list[ToolAnswer | None], then: str) -> None:
    async def whole() -> str:
        gates, clock = ToolGates(), FakeClock()
        for answer in answers:
            await send(gates, clock, answer)
        return await send(gates, clock, OK)

    assert asyncio.run(whole()) == then


def test_each_rest_is_twice_as_long_until_a_probe_is_answered() -> None:
    async def whole() -> list[int]:
        gates, clock, rests = ToolGates(), FakeClock(), []
        for _ in range(3):
            await send(gates, clock, LOST)
        for _ in range(7):
            slept = 0
            while await send(gates, clock, LOST) == "rests":
                clock.advance(1)
                slept += 1
            rests.append(slept)
        slept = 0
        while await send(gates, clock, OK) == "rests":
            clock.advance(1)
            slept += 1
        assert [await send(gates, clock, LOST) for _ in range(3)] == ["sent"] * 3
        assert await send(gates, clock, OK) == "rests"
        clock.advance(10)
        assert await send(gates, clock, OK) == "probe"
        return [*rests, slept]

    assert asyncio.run(whole()) == [10, 20, 40, 80, 160, 300, 300, 300]


def test_a_probe_that_is_cancelled_leaves_its_place_to_the_next() -> None:
    async def whole() -> str:
        gates, clock = ToolGates(), FakeClock()
        for _ in range(3):
            await send(gates, clock, LOST)
        clock.advance(11)

        async def probe(entered: asyncio.Event) -> None:
            async with gates.entered(ACME, SPEC, clock, within_s=1, chance=middle) as entry:
                assert isinstance(entry, Entry)
                entered.set()
                await asyncio.sleep(60)

        entered = asyncio.Event()
        task = asyncio.create_task(probe(entered))
        await entered.wait()
        assert await send(gates, clock, OK) == "rests"
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return await send(gates, clock, OK)

    assert asyncio.run(whole()) == "probe"


def test_pauses_grow_and_are_anything_up_to_their_length() -> None:
    assert [pause_s(retry, 1.0) for retry in (1, 2, 3, 7, 50)] == [0.1, 0.2, 0.4, 5.0, 5.0]
    assert pause_s(3, 0.0) == 0.0
    assert pause_s(3, 0.5) == 0.2


def test_a_tool_that_is_seldom_called_may_be_retried_too_and_a_busy_one_in_proportion() -> None:
    async def whole() -> tuple[int, int]:
        gates, clock = ToolGates(), FakeClock()
        at_once = sum(gates.takes_retry(ACME, SPEC) for _ in range(100))
        for _ in range(20):
            await send(gates, clock, OK)
        return at_once, sum(gates.takes_retry(ACME, SPEC) for _ in range(100))

    assert asyncio.run(whole()) == (10, 4)
