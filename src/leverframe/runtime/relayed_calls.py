"""Relayed calls in the runs that they are of: into the next one where theirs ended, and the end of a run at its limits.

Knows: that a run of a key goes on as another where it ended, one with a token of its own does not; and that a limit
of a run never resets, so a run that met one is over, by the same words as one of our own loops.
"""

from contextlib import suppress

from leverframe.domain.errors import CallDenied, LeverframeError
from leverframe.runtime.door import Door
from leverframe.runtime.door.relay_run import RelayAsk, RelayRun
from leverframe.runtime.door.relay_unasked import Unasked, record
from leverframe.runtime.door.relaying import RelayOutcome
from leverframe.runtime.live_runs import Caller, LiveRuns
from leverframe.runtime.outcomes import Stopped
from leverframe.runtime.run_stops import end_now, end_stopped
from leverframe.runtime.selections import Selection


class RelayedCalls:
    """Every relayed call of one worker."""

    def __init__(self, door: Door, live: LiveRuns) -> None:
        self._door = door
        self._live = live

    async def ask(
        self, caller: Caller, selected: Selection, run: RelayRun, ask: RelayAsk
    ) -> tuple[RelayRun, RelayOutcome]:
        """Ask in the run, or in the next one of the key where that one ended while the call was on its way into it.

        Raises:
            CallDenied: the run of a token is over.
            LeverframeError: as `Door.relay`.
        """
        try:
            outcome = await self._door.relay(run, ask)
        except CallDenied:
            if caller.run_id is not None or not run.is_over:
                raise
            run = await self._live.run_for(caller, selected)
            outcome = await self._door.relay(run, ask)
        if isinstance(outcome, Stopped):
            await end_stopped(self._live, run.ctx.run, outcome.limit)
        return run, outcome

    async def refused(self, caller: Caller, selected: Selection, run: RelayRun, call: Unasked) -> None:
        """Record a call that no rule was asked about, in the run or, where that is over by now, in the key's next one.

        What its client is told is decided already: a database that cannot take it is told to whoever calls next.
        """
        with suppress(LeverframeError):
            if not await record(run, call) and caller.run_id is None:
                await record(await self._live.run_for(caller, selected), call)

    async def settled(self, run: RelayRun) -> None:
        """An answer in it is settled: stop a run in which a vendor took more than it declared."""
        if run.is_overrun:
            # Calls of it that are on their way end first.
            run.is_overrun, run.is_over = False, True
            await end_now(self._live, run.ctx.run, "budget-overrun")
