"""What a process left on its way when its run comes to an end: settled first, so that nothing stays open behind it.

Knows: that a write which may have left is `unknown` where nobody asks any more, that a read had no effect, and that a
model may bill its whole bound.  Never: sends anything.
"""

from leverframe.domain.errors import Contended
from leverframe.domain.ids import ToolName
from leverframe.domain.runs import Run, Step, StepKind, StepState
from leverframe.runtime.closing import RunEnd, end_run
from leverframe.runtime.context import RunContext
from leverframe.runtime.door.modelling import settle_abandoned
from leverframe.runtime.door.ownership import is_left_behind
from leverframe.runtime.door.recording import settled
from leverframe.runtime.door.recovering import abandon_own_reads, abandoned, unknown
from leverframe.runtime.sessions import catch_up

_ON_THEIR_WAY = frozenset({StepState.STARTED, StepState.INTENDED})


async def finish_run(ctx: RunContext, end: RunEnd) -> Run:
    """End a run after settling what is still open in it.

    Raises:
        Contended: the run has ended before, or a call of it is being done just now.
    """
    await catch_up(ctx)
    await abandon_own_reads(ctx)
    for step in [one for one in ctx.steps.values() if one.state in _ON_THEIR_WAY]:
        await _settle(ctx, step)
    return await end_run(ctx, end)


async def _settle(ctx: RunContext, step: Step) -> None:
    if step.kind is StepKind.MODEL:
        await settle_abandoned(ctx, step)
        return
    if step.kind is StepKind.FACT or not is_left_behind(ctx, step.path):
        raise Contended(
            f"Step {step.path} of {ctx.run.run_id} is being done just now; the run ends after it.",
            next_move="Ask again in a moment.",
        )
    spec = ctx.contract.tools[ToolName(step.name)]
    outcome = (
        unknown("the run ended before anyone could tell whether it happened") if spec.effect.is_write else abandoned()
    )
    done, proposal = settled(ctx, step, spec, outcome, at=ctx.services.mint.now())
    await ctx.services.writer.commit(proposal)
    ctx.steps[step.path] = done
