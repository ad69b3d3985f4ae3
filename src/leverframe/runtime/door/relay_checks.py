"""What of a relayed call is refused whatever is left of the budgets; of a workflow that is only watched it is told.

Knows: that an id of no answer of the run, more answers than a step may write, and a part without price or bound are
refused by the door and not by the reading of the body.  Never: decides.
"""

from leverframe.domain.errors import ModelUnpriced, WireRefused
from leverframe.domain.records import replace
from leverframe.ports.acting import ModelRelay
from leverframe.runtime.door.relay_clamp import check_bounded
from leverframe.runtime.door.relay_ids import check_ids
from leverframe.runtime.door.relay_run import RelayAsk, RelayRun


async def checked(relays: ModelRelay, run: RelayRun, ask: RelayAsk) -> RelayAsk:
    """The call as it is decided on; of a watched workflow with why it would have been refused.

    Raises:
        WireRefused: an id in it is of no answer of this run, and the workflow is enforced.
    """
    try:
        if ask.call.sealed_ids:
            await check_ids(run, ask.call)
        # Of one that is enforced each candidate is bounded when its turn comes.
        if run.is_observed and ask.candidates:
            check_bounded(relays, ask.call, ask.candidates[0], run.ctx.contract)
    except (WireRefused, ModelUnpriced) as err:
        if not run.is_observed:
            raise
        return replace(ask, refused_as=ask.refused_as or (err.code if isinstance(err, WireRefused) else err.slug))
    return ask
