"""The end of an outside agent's run that met a limit of its own.

Knows: that such a limit never resets, so that the run is over, by the same words as one of our own loops; and that a
key goes on in its next run.
"""

from contextlib import suppress
from typing import Final

from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.errors import Contended
from leverframe.domain.runs import Run, RunOutcome
from leverframe.runtime.closing import RunEnd
from leverframe.runtime.live_runs import LiveRuns
from leverframe.runtime.run_limits import is_of_a_key

_WORK: Final = frozenset({BudgetUnit.MODEL_CALLS, BudgetUnit.TOOL_CALLS})


async def end_stopped(live: LiveRuns, run: Run, why: str) -> None:
    """End a run that met a limit, unless nothing was done in it: then the next would meet it, too."""
    windows = await live.services.journal.windows(run.run_id)
    if any(one.settled for one in windows if one.unit in _WORK):
        await end_now(live, run, why)


async def end_stopped_by_tools(live: LiveRuns, run: Run, why: str) -> None:
    """The same where a tool call met it.  A run that was opened for a task is its opener's to end."""
    if is_of_a_key(run):
        await end_stopped(live, run, why)


async def end_now(live: LiveRuns, run: Run, why: str) -> None:
    """End a run.  Where a call of it is still on its way, it ends when the next one meets the limit."""
    with suppress(Contended):
        await live.end(run, RunEnd(outcome=RunOutcome.STOPPED, output=None, stop_reason=why))
