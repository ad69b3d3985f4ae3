"""Settling what dead workers left on its way, and ending what nobody uses any more.

Knows: that a worker's calls are named with its tag and its claim ends with its process, so that a call which is open
under the tag of a dead one is settled at its bound: nobody can tell what it took, nothing is free and nothing is held
for ever.  Done at the start of every worker and by all of them every few seconds.
"""

from datetime import timedelta
from typing import Final

from leverframe.domain.errors import Contended, IntegrityError
from leverframe.domain.ids import RunId
from leverframe.domain.runs import RunOutcome, RunState, StepKind, StepState
from leverframe.ports.live import OpenCall
from leverframe.runtime.advance import Runner
from leverframe.runtime.closing import RunEnd
from leverframe.runtime.door.modelling import settle_abandoned
from leverframe.runtime.door.relay_run import owner_of
from leverframe.runtime.leftovers import is_alive, is_lost_read, settle_lost_read
from leverframe.runtime.live_runs import IDLE_S, LiveRuns
from leverframe.runtime.sessions import take_up_lightly

SWEEP_S: Final = 2.0
_MOST_CALLS: Final = 2_000
_MOST_RUNS: Final = 50
# Another worker has it in hand, or somebody changed it outside of Leverframe; either way the others go on.
_OF_THIS_RUN: Final = (Contended, IntegrityError)


async def settle_dead(live: LiveRuns, runner: Runner) -> int:
    """Settle open calls of workers that are gone, at their bound, and reads that nobody does; how many there were."""
    services, dead, alive = live.services, set[str](), {live.owner}
    left: list[OpenCall] = []
    for call in await live.book.open_calls(_MOST_CALLS):
        owner = owner_of(call.path)
        if not owner and is_lost_read(services.claims, call):
            left.append(call)
        if not owner or owner in alive:
            continue
        if owner not in dead:
            (alive if is_alive(services.claims, owner) else dead).add(owner)
        if owner in dead:
            left.append(call)
    settled = 0
    for call in left:
        settled += await _settle(live, runner, call)
    return settled


async def _settle(live: LiveRuns, runner: Runner, call: OpenCall) -> int:
    try:
        step = await live.services.journal.step(call.run_id, call.path)
        run = await live.services.journal.run(call.run_id)
        if step is None or run is None or step.state is not StepState.STARTED:
            return 0
        contract, _ = await runner.pinned(run)
        ctx = await take_up_lightly(live.services, contract, run)
        await (settle_abandoned if step.kind is StepKind.MODEL else settle_lost_read)(ctx, step)
    except _OF_THIS_RUN:
        return 0
    return 1


async def end_idle(live: LiveRuns) -> int:
    """End runs that a key opened and nobody has asked in for a while; how many there were."""
    since = live.services.mint.now() - timedelta(seconds=IDLE_S)
    ended = 0
    for run_id in await live.book.idle_runs(since, _MOST_RUNS):
        ended += await _end(live, run_id)
    live.forget_idle()
    return ended


async def _end(live: LiveRuns, run_id: RunId) -> int:
    try:
        run = await live.services.journal.run(run_id)
        if run is None or run.state is RunState.ENDED:
            return 0
        await live.end(run, RunEnd(outcome=RunOutcome.SUCCESS, output=None, stop_reason="idle"))
    except _OF_THIS_RUN:
        return 0
    return 1
