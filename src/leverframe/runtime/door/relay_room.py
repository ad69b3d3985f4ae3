"""How the calls of a burst wait for room: few propose what all of them want, and whoever finds none is told soon.

Knows: that room which others have only set aside may be free again in a moment, so a call waits for a while before it
is told that there is none; and that of a burst on a small budget all but a few would seal and propose in vain, so those
that may find none let the ones before them go first.
Never: reads the store, or decides.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from leverframe.domain.budgets import BudgetUnit
from leverframe.runtime.door.relay_books import Books
from leverframe.runtime.door.relay_clamp import Clamped
from leverframe.runtime.door.relay_run import RelayRun

TRIES: Final = 4
# A call that finds its room taken by others that are on their way waits for one of them to end, and looks so often.
LOOKS_EVERY_S: Final = (0.008, 0.016)
# In all it waits, and lets others go first, for no longer; after that, room that others are taking counts as taken.
# Once somebody was refused there are more calls than room, and whoever waits is told so sooner.
_PATIENCE_S: Final = 0.1
_PATIENCE_IN_A_CROWD_S: Final = 0.016
# So many of a run wait at once; of a larger burst the others are told at once that there is no room.
MOST_WAITING: Final = 24
# Of those that stood back so many look once a call has room; where one has none, those behind it will have none either,
# most likely, and to be told so takes each of them less than a turn of the loop.
_LOOK_AFTER_ROOM: Final = 4
_LOOK_AFTER_NONE: Final = 16


class Look(msgspec.Struct, kw_only=True):
    """How often one call has asked for room, and on what."""

    began_at: float  # monotonic
    is_asked_anew: bool  # it wants the books of now
    clamped: Clamped | None = None
    tries: int = TRIES
    waits: int = 0

    def left_s(self, run: RelayRun) -> float:
        """How much longer it may wait."""
        patience_s = _PATIENCE_IN_A_CROWD_S if run.refused_at >= self.began_at else _PATIENCE_S
        return self.began_at + patience_s - run.ctx.services.clock.monotonic()


def may_not_fit(run: RelayRun, books: Books, cost: Mapping[BudgetUnit, int]) -> bool:
    """Whether those that take their room just now may leave none for this call; an observed one needs none."""
    taking = run.books.taking
    if not taking or run.is_observed:
        return False
    return books.has_room(cost) and not books.has_room_beside(taking, cost)


async def stand_back(run: RelayRun) -> None:
    """Let those before this call take their room first: the store would refuse what does not fit beside them.

    Of a burst on a small budget each call would else seal and propose what only a few of them can have.
    """
    turn = asyncio.get_running_loop().create_future()
    run.standing.append(turn)
    await turn


def looking_after(run: RelayRun, *, is_allowed: bool) -> int:
    """How many of those that stood back look once a call was decided."""
    if is_allowed:
        return _LOOK_AFTER_ROOM
    return _LOOK_AFTER_NONE if run.is_short else 1


def let_look(run: RelayRun, most: int) -> None:
    """Have some of those that stood back look at what is left, the first ones first.

    Each call that is decided lets at least one other look, whatever came of it: so all do in the end, and few in vain.
    """
    while run.standing and most:
        turn = run.standing.popleft()
        if not turn.done():
            turn.set_result(None)
            most -= 1


async def wait(run: RelayRun, seconds: float) -> None:
    """Wait for room that others have set aside."""
    run.waiting += 1
    try:
        await asyncio.sleep(seconds)
    finally:
        run.waiting -= 1


def is_on_their_way(books: Books, cost: Mapping[BudgetUnit, int]) -> bool:
    """Whether the room that is missing is only set aside, and may be free again in a moment."""
    return all(one.settled + cost.get(one.unit, 0) <= one.limit for one in books.windows)
