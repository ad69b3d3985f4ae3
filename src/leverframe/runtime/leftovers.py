"""What a process left on its way when its run comes to an end: settled first, so that nothing stays open behind it.

Knows: that a write which may have left is `unknown` where nobody asks any more, that a read had no effect, and that a
model may bill its whole bound.  Never: sends anything.
"""

import re
from functools import partial

from leverframe.domain.errors import Contended
from leverframe.domain.ids import RunId, StepPath, ToolName
from leverframe.domain.proposals import Committed
from leverframe.domain.runs import Run, Step, StepKind, StepState
from leverframe.ports.claims import Claims
from leverframe.ports.live import LiveBook, OpenCall
from leverframe.runtime.closing import RunEnd, end_run
from leverframe.runtime.context import RunContext
from leverframe.runtime.door.modelling import settle_abandoned
from leverframe.runtime.door.ownership import is_left_behind, is_nobodys
from leverframe.runtime.door.recording import settled
from leverframe.runtime.door.recovering import abandon_own_reads, abandoned, unknown
from leverframe.runtime.door.relay_run import claim_of, owner_of
from leverframe.runtime.sessions import catch_up

_MOST_OPEN = 10_000
# Calls may begin while what is open is settled; then all is looked at again.
_TRIES = 3
# `k3f9q2+17`, as `outside` numbers such calls of a worker.
_UNNAMED = re.compile(r"[0-9a-z]{8}\+[0-9]+(?=\.|$)")
_ON_THEIR_WAY = frozenset({StepState.STARTED, StepState.INTENDED})


async def finish_run(ctx: RunContext, end: RunEnd) -> Run:
    """End a run after settling what is still open in it.

    Raises:
        Contended: the run has ended before, or a call of it is being done just now.
    """
    learn = partial(catch_up, ctx)
    for _ in range(_TRIES):
        await learn()
        await _settle_own(ctx)
        ended = await end_run(ctx, end, learn)
        if ended is not None:
            return ended
    raise _called_just_now(ctx)


async def finish_outside(ctx: RunContext, end: RunEnd, *, book: LiveBook, owner: str) -> Run:
    """End a run of an outside agent, of which `ctx.steps` is to hold no model calls: there may be very many.

    Raises:
        Contended: the run has ended before, or a call of it is being done just now.
    """
    learn = partial(_learn_tools, ctx, book)
    for _ in range(_TRIES):
        await learn()
        await _settle_relayed(ctx, book, owner)
        await _settle_own(ctx)
        ended = await end_run(ctx, end, learn)
        if ended is not None:
            return ended
    raise _called_just_now(ctx)


async def is_at_work(claims: Claims, book: LiveBook, run_id: RunId, owner: str) -> bool:
    """Whether somebody who lives has a call of the run in hand; `owner` is one who does."""
    for call in await book.open_calls(_MOST_OPEN):
        if call.run_id != run_id:
            continue
        of = owner_of(call.path)
        if of == owner or (is_alive(claims, of) if of else not is_nobodys(claims, run_id, call.path)):
            return True
    return False


async def _learn_tools(ctx: RunContext, book: LiveBook) -> None:
    ctx.steps.update((one.path, one) for one in await book.tool_steps(ctx.run.run_id))


async def _settle_relayed(ctx: RunContext, book: LiveBook, owner: str) -> None:
    for call in await book.open_calls(_MOST_OPEN):
        if call.run_id != ctx.run.run_id or not owner_of(call.path):
            continue
        step = await ctx.services.journal.step(call.run_id, call.path)
        if step is None or step.state is not StepState.STARTED:
            continue
        if owner_of(call.path) == owner or is_alive(ctx.services.claims, owner_of(call.path)):
            raise _done_just_now(ctx, step)
        await settle_abandoned(ctx, step)
        ctx.steps.pop(step.path, None)


async def _settle_own(ctx: RunContext) -> None:
    await abandon_own_reads(ctx)
    for step in [one for one in ctx.steps.values() if one.state in _ON_THEIR_WAY]:
        await _settle(ctx, step)


def is_lost_read(claims: Claims, call: OpenCall) -> bool:
    """Whether a call that is open is a read which nobody does any more, and which nobody asks for again at its place.

    A call with a place that an agent finds again, by a name or as an equal write, is left for it to collect.
    """
    asked = _UNNAMED.match(call.path)
    # What the door reads for a call is done by whoever has the call in hand.
    return asked is not None and is_nobodys(claims, call.run_id, StepPath(asked[0]))


async def settle_lost_read(ctx: RunContext, step: Step) -> None:
    """Settle one: until its run ended it would be at work, and a place of `max_in_flight` taken.

    Raises:
        Contended: someone else did.
    """
    spec = ctx.contract.tools.get(ToolName(step.name))
    if spec is None or spec.effect.is_write:
        raise Contended(f"Step {step.path} of {step.run_id} is no read of its release.")
    ctx.stand_still()
    _, proposal = settled(ctx, step, spec, abandoned(), at=ctx.services.mint.now())
    if not isinstance(await ctx.services.writer.commit(proposal), Committed):
        raise Contended(f"Step {step.path} of {step.run_id} was settled by someone else.")


def is_alive(claims: Claims, owner: str) -> bool:
    """Whether a worker lives: its claim ends with its process."""
    with claims.claim(claim_of(owner)) as is_ours:
        return not is_ours


def _done_just_now(ctx: RunContext, step: Step) -> Contended:
    return Contended(
        f"Step {step.path} of {ctx.run.run_id} is being done just now; the run ends after it.",
        next_move="Ask again in a moment.",
    )


def _called_just_now(ctx: RunContext) -> Contended:
    return Contended(
        f"Calls of {ctx.run.run_id} are being done just now; the run ends after them.",
        next_move="Ask again in a moment.",
    )


async def _settle(ctx: RunContext, step: Step) -> None:
    if step.kind is StepKind.MODEL:
        if owner_of(step.path) and is_alive(ctx.services.claims, owner_of(step.path)):
            raise _done_just_now(ctx, step)
        await settle_abandoned(ctx, step)
        return
    if step.kind is StepKind.FACT or not is_left_behind(ctx, step.path):
        raise _done_just_now(ctx, step)
    spec = ctx.contract.tools[ToolName(step.name)]
    outcome = (
        unknown("the run ended before anyone could tell whether it happened") if spec.effect.is_write else abandoned()
    )
    done, proposal = settled(ctx, step, spec, outcome, at=ctx.services.mint.now())
    await ctx.services.writer.commit(proposal)
    ctx.steps[step.path] = done
