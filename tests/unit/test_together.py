"""What is found out once for many: each gets it, whoever goes away, and however it ends."""

import asyncio

import pytest

from leverframe.runtime.together import Together


async def _told(gate: asyncio.Event, error: Exception | None = None) -> str:
    await gate.wait()
    if error is not None:
        raise error
    return "found"


def test_each_gets_what_one_finds_though_others_go_away() -> None:
    async def act() -> list[object]:
        gate = asyncio.Event()
        together = Together(_told(gate))
        waiting = [asyncio.ensure_future(together.wait()) for _ in range(4)]
        waiting[0].cancel()
        waiting[2].cancel()
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*waiting, return_exceptions=True)

    told = asyncio.run(act())

    assert told[1::2] == ["found", "found"]
    assert all(isinstance(one, asyncio.CancelledError) for one in told[::2])


def test_each_is_told_why_nothing_was_found() -> None:
    async def act() -> list[object]:
        gate = asyncio.Event()
        together = Together(_told(gate, LookupError("nothing")))
        waiting = [asyncio.ensure_future(together.wait()) for _ in range(2)]
        gate.set()
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert [str(one) for one in asyncio.run(act())] == ["nothing", "nothing"]


def test_nobody_waits_for_ever_where_the_finding_is_given_up() -> None:
    async def act() -> None:
        together = Together(_told(asyncio.Event()))
        turn = together.wait()
        await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await turn

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(act())
