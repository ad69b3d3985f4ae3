"""Of calls that stood back a few look after each that has room, and many after one that has none."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import cast

import pytest

from leverframe.runtime.door.relay_room import let_look, looking_after, stand_back
from leverframe.runtime.door.relay_run import RelayRun


@dataclass
class Standing:
    """As much of a run as those that stand back need."""

    is_short: bool = False
    standing: deque[asyncio.Future[None]] = field(default_factory=deque)


async def looked(*, is_allowed: bool, is_short: bool, waiting: int) -> list[int]:
    """Which of so many look after one decision."""
    # cast: standing back reads nothing else of a run.
    run, seen = cast("RelayRun", Standing(is_short=is_short)), list[int]()

    async def call(number: int) -> None:
        await stand_back(run)
        seen.append(number)

    calls = [asyncio.create_task(call(number)) for number in range(waiting)]
    await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.sleep(0)
    let_look(run, looking_after(run, is_allowed=is_allowed))
    await asyncio.sleep(0)
    for one in calls:
        one.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    return seen


@pytest.mark.parametrize(
    ("is_allowed", "is_short", "last"), [(True, False, 4), (True, True, 4), (False, True, 16), (False, False, 1)]
)
def test_the_first_that_still_wait_look_few_after_room_and_many_after_none(
    *, is_allowed: bool, is_short: bool, last: int
) -> None:
    seen = asyncio.run(looked(is_allowed=is_allowed, is_short=is_short, waiting=40))

    assert seen == list(range(1, last + 1))
