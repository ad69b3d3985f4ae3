"""Who has a call in hand: one task of one process at a time.

Knows: that a step which is on its way belongs to whoever holds its claim, and that a claim ends with its process.  So
a call that is asked for twice at once is done once, and what a dead process left behind is told from what is still
going on.  Never: takes a step away from someone who holds it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from leverframe.domain.errors import Contended
from leverframe.domain.ids import RunId, StepPath
from leverframe.ports.claims import Claims
from leverframe.runtime.context import RunContext

_POLL_S = 0.02


@asynccontextmanager
async def in_hand(ctx: RunContext, path: StepPath, *, patience_s: float) -> AsyncIterator[None]:
    """Hold a step; waits for whoever does it just now.

    Raises:
        Contended: someone else still has it after `patience_s`.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + patience_s
    while True:
        with ctx.services.claims.claim(_claim_of(ctx.run.run_id, path)) as is_ours:
            if is_ours:
                yield
                return
        if loop.time() > until:
            raise Contended(
                f"Step {path} of {ctx.run.run_id} is still being done elsewhere after {patience_s:g} s.",
                next_move=f"Ask again for its outcome, or see: leverframe runs show {ctx.run.run_id}",
            )
        await asyncio.sleep(_POLL_S)


def is_left_behind(ctx: RunContext, path: StepPath) -> bool:
    """Whether nobody does this step just now: an unfinished one was left by a process that is gone."""
    return is_nobodys(ctx.services.claims, ctx.run.run_id, path)


def is_nobodys(claims: Claims, run_id: RunId, path: StepPath) -> bool:
    """The same of a run that is not taken up."""
    with claims.claim(_claim_of(run_id, path)) as is_ours:
        return is_ours


def _claim_of(run_id: RunId, path: StepPath) -> RunId:
    # A claim is on a name; no run has this one.
    return RunId(f"{run_id}/{path}")
