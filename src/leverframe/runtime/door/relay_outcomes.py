"""Outcomes of relayed calls on their way into the books, also where the database cannot take them at once.

Knows: that a full disk, a lock that a stopped process holds and a signer that is away pass, and that until its outcome
is written a call holds its budget: so what was not taken is kept and proposed again until it is.  It is no more than
was on its way, since no call is let through that cannot be recorded.  What a process keeps when it ends is settled at
its bound by the next one, and so is here what a fault of ours kept from being written.
Never: writes an outcome twice: a step that is settled is not settled again.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable
from contextlib import suppress
from datetime import datetime
from typing import Final, TypeVar

import msgspec

from leverframe.domain.errors import Contended, UnavailableError
from leverframe.domain.proposals import Committed, GuardFailed
from leverframe.domain.records import replace
from leverframe.domain.runs import StepState
from leverframe.runtime.door.relay_record import Attempt
from leverframe.runtime.door.relay_run import RelayAsk, RelayRun
from leverframe.runtime.door.relay_settling import Settlement, is_over, settled

_AGAIN_S: Final = 1.0
T = TypeVar("T")


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

        Whatever else stops it is raised too, and the attempt is settled at its bound as soon as it can be.
        """
        ended_at = run.ctx.services.mint.now()
        try:
            await _commit(run, ask, attempt, settlement)
        except (UnavailableError, asyncio.CancelledError):
            # Who waited for the database was not at work meanwhile.
            self._keep(run, ask, attempt, replace(settlement, ended_at=ended_at))
            raise
        except BaseException:
            self._keep(run, ask, attempt, _abandoned(ended_at))
            raise

    async def sending(self, run: RelayRun, ask: RelayAsk, attempt: Attempt, sent: Awaitable[T]) -> T:
        """Wait until an attempt is answered.  Where that ends in any other way, the vendor may have been asked."""
        try:
            return await sent
        except BaseException:
            self.abandon(run, ask, attempt)
            raise

    def abandon(self, run: RelayRun, ask: RelayAsk, attempt: Attempt) -> None:
        """Settle an attempt at its bound as soon as it can be, where nothing is known of its end."""
        self._keep(run, ask, attempt, _abandoned(run.ctx.services.mint.now()))

    async def close(self) -> None:
        """Try once more to write what is left.  A fault of ours is told by the loop, and keeps nothing else open."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.cancel()
            await asyncio.wait([writing])
        for _ in range(len(self._late)):
            (fault,) = await asyncio.gather(self._write_late(), return_exceptions=True)
            if fault is None or isinstance(fault, UnavailableError):
                return
            told = {"message": "An outcome could not be written at the end.", "exception": fault}
            asyncio.get_running_loop().call_exception_handler(told)

    def _keep(self, run: RelayRun, ask: RelayAsk, attempt: Attempt, settlement: Settlement) -> None:
        self._late.append(_Late(run=run, ask=ask, attempt=attempt, settlement=settlement))
        if self._writing is None or self._writing.done():
            self._go_on()

    def _go_on(self) -> None:
        self._writing = asyncio.create_task(self._keep_writing(), name="leverframe-late-outcomes")
        self._writing.add_done_callback(self._written)

    def _written(self, writing: "asyncio.Task[None]") -> None:
        # A fault of ours, which the loop tells: what is left is tried again all the same.
        if self._late and not writing.cancelled() and writing is self._writing:
            self._go_on()

    async def _keep_writing(self) -> None:
        while self._late:
            await asyncio.sleep(_AGAIN_S)
            with suppress(UnavailableError):
                await self._write_late()

    async def _write_late(self) -> None:
        while self._late:
            one = self._late[0]
            try:
                # Settled by someone else, or by a commit of ours whose flush was told to have failed.
                with suppress(Contended):
                    await _commit(one.run, one.ask, one.attempt, one.settlement)
            except (UnavailableError, asyncio.CancelledError):
                raise
            except BaseException:
                # Behind the others, which have no part in it; and with nothing that may be at fault.
                ended_at = one.settlement.ended_at or one.run.ctx.services.mint.now()
                self._late.popleft()
                self._late.append(replace(one, settlement=_abandoned(ended_at)))
                raise
            self._late.popleft()


def _abandoned(ended_at: datetime) -> Settlement:
    """What the next process would write of an attempt that this one left behind."""
    return Settlement(state=StepState.ERROR, outcome="unknown", used=None, error="model-abandoned", ended_at=ended_at)


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
