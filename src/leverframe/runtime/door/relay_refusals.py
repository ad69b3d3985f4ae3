"""The record of refusals for want of room, written behind the answer: a burst is told at once that there is none.

Knows: that nothing was done, so nothing has to be on disk before anyone is told; that the order of the records is that
of the refusals; that no more wait than memory is meant for; that of very many in a minute only some are recorded, with
how many were not.  Never: loses one while process and run go on.
"""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from leverframe.domain.errors import LeverframeError
from leverframe.domain.policy import Allow
from leverframe.domain.proposals import GuardFailed
from leverframe.domain.records import replace
from leverframe.runtime.door.relay_record import Decision, decided
from leverframe.runtime.door.relay_run import RelayAsk, RelayRun

_MOST_BEHIND: Final = 512
# The answers of a burst go first, since to record a refusal takes longer than to tell it: records wait while calls are
# being decided or somebody was refused so lately, and none longer than the second.
_BEHIND_S: Final = 0.02
_MOST_BEHIND_S: Final = 0.25
_AT_ONCE: Final = 16
# Of those that waited so long, the next burst is in the middle of its answers: few at a time, with time between them.
_AT_ONCE_WHEN_BUSY, _PAUSE_S = 4, 0.005


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A refusal that was told at `at` (of the event loop's clock), and is not recorded."""

    at: float
    run: RelayRun
    ask: RelayAsk
    made: Decision


class RefusalRecords:
    """One for each process; `deciding` is how many calls wait for their decision just now."""

    def __init__(self) -> None:
        self.deciding = 0
        self._behind: deque[_Waiting] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def write(self, run: RelayRun, ask: RelayAsk, made: Decision) -> None:
        """Have it written, or count it; comes back at once unless too many are behind."""
        told = counted(run, made)
        if told.unrecorded is None:
            return
        if len(self._behind) >= _MOST_BEHIND:
            await _write(run, ask, told)
            return
        loop = asyncio.get_running_loop()
        self._behind.append(_Waiting(loop.time(), run, ask, told))
        if self._writing is None or self._writing.done():
            self._writing = loop.create_task(self._write_all(loop))

    async def close(self) -> None:
        """Wait for those that are behind."""
        if self._writing is not None:
            await self._writing

    async def _write_all(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._behind:
            now = loop.time()
            is_busy = self.deciding > 0 or now - self._behind[-1].at < _BEHIND_S
            if is_busy and now - self._behind[0].at < _MOST_BEHIND_S:
                await asyncio.sleep(_BEHIND_S)
                continue
            most = _AT_ONCE_WHEN_BUSY if is_busy else _AT_ONCE
            some = [self._behind.popleft() for _ in range(min(most, len(self._behind)))]
            await asyncio.gather(*(_write(one.run, one.ask, one.made) for one in some))
            if is_busy:
                await asyncio.sleep(_PAUSE_S)


def counted(run: RelayRun, made: Decision) -> Decision:
    """A refusal with what the tally of its run says of it; what is allowed is no part of one."""
    if isinstance(made.answer, Allow):
        return made
    unrecorded = run.refusals.record(run.ctx.services.clock.monotonic())
    return made if unrecorded == 0 else replace(made, unrecorded=unrecorded)


async def _write(run: RelayRun, ask: RelayAsk, made: Decision) -> None:
    _, proposal = decided(run, ask, made)
    # A database that cannot be written now is told to whoever has a call to make.
    with suppress(LeverframeError):
        result = await run.ctx.services.writer.commit(proposal)
        if not isinstance(result, GuardFailed):
            return
        if result.guard == "AuthorityIs":
            # It was refused under the authority of that moment, and a refusal needs none.
            result = await run.ctx.services.writer.commit(replace(proposal, guards=proposal.guards[:1]))
        if isinstance(result, GuardFailed) and result.guard == "RunIs":
            run.is_over = True
