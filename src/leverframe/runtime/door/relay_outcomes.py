"""Outcomes of relayed calls on their way into the books, also where the database cannot take them at once.

Knows: that a full disk, a lock that a stopped process holds and a signer that is away pass, and that until its outcome
is written a call holds its budget: so what was not taken is kept and proposed again until it is.  It is no more than
was on its way, since no call is let through that cannot be recorded.  What a process keeps when it ends is settled at
its bound by the next one.
Never: writes an outcome twice: a step that is settled is not settled again.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

import msgspec

from leverframe.domain.errors import Contended, LeverframeError, UnavailableError
from leverframe.domain.proposals import Committed, GuardFailed
from leverframe.domain.records import replace
from leverframe.runtime.door.relay_record import Attempt, Settlement, is_over, settled
from leverframe.runtime.door.relay_run import RelayAsk, RelayRun

_AGAIN_S: Final = 1.0


class _Late(msgspec.Struct, frozen=True, kw_only=True):
    run: RelayRun
    ask: RelayAsk
    attempt: Attempt
    settlement: Settlement


class Outcomes:
    """One for each process."""

    def __init__(self) -> None:
        self._late: deque[_Late] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def write(self, run: RelayRun, ask: RelayAsk, attempt: Attempt, settlement: Settlement) -> None:
        """Settle an attempt.

        Raises:
            Contended: someone else has settled it.
            UnavailableError: the database cannot take it now; it is written as soon as it can be.
        """
        ended_at = run.ctx.services.mint.now()
        try:
            await _commit(run, ask, attempt, settlement)
        except UnavailableError:
            # Who waited for the database was not at work meanwhile.
            later = replace(settlement, ended_at=ended_at)
            self._late.append(_Late(run=run, ask=ask, attempt=attempt, settlement=later))
            if self._writing is None or self._writing.done():
                self._writing = asyncio.create_task(self._keep_writing(), name="leverframe-late-outcomes")
            raise

    async def close(self) -> None:
        """Try once more to write what is left."""
        if self._writing is not None:
            self._writing.cancel()
            with suppress(asyncio.CancelledError):
                await self._writing
        with suppress(LeverframeError):
            await self._write_late()

    async def _keep_writing(self) -> None:
        while self._late:
            await asyncio.sleep(_AGAIN_S)
            with suppress(UnavailableError):
                await self._write_late()

    async def _write_late(self) -> None:
        while self._late:
            one = self._late[0]
            # Settled by someone else, or by a commit of ours whose flush was told to have failed.
            with suppress(Contended):
                await _commit(one.run, one.ask, one.attempt, one.settlement)
            self._late.popleft()


async def _commit(run: RelayRun, ask: RelayAsk, attempt: Attempt, settlement: Settlement) -> None:
    services = run.ctx.services
    proposal = settled(run, ask, attempt, settlement, at=services.mint.now())
    began_at = services.clock.monotonic()
    result = await services.writer.commit(proposal)
    if isinstance(result, Committed):
        run.moved(proposal, attempt.reserves, began_at)
        if settlement.used is not None and is_over(attempt, settlement.used):
            run.is_overrun = True
    if isinstance(result, GuardFailed):
        run.books.moved_by_others()
        raise Contended(
            f"The answer at step {attempt.step.path} of {attempt.step.run_id} was settled by someone else"
            f" ({result.detail}); theirs stands.",
            next_move=f"See: leverframe runs show {attempt.step.run_id}",
        )
