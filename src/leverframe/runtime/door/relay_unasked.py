"""The record of relayed calls that no rule was asked about: a body that is not passed on, a model that is not there.

Knows: that such a refusal is one of the door like any other, so it is a denied step with its entry, and that nothing
was set aside or sent for it; that of very many in a minute only some are recorded, with how many were not.  What the
client wrote, a name of a model too, stands in the disclosure only.
Never: decides; whoever read the call did.
"""

from datetime import datetime
from typing import Final

import msgspec

from leverframe.core.disclosures import Placeholders, redact_json
from leverframe.core.wires import watch_call
from leverframe.domain.authority import ApiKey
from leverframe.domain.errors import LeverframeError, NotFound, ProviderUnavailable, WireRefused
from leverframe.domain.evidence import DetailValue
from leverframe.domain.ids import RuleId
from leverframe.domain.proposals import GuardFailed, Proposal, PutStep, RunIs
from leverframe.domain.relays import WireFormat
from leverframe.domain.runs import RunState, Step, StepKind, StepState
from leverframe.runtime.door.relay_record import UNREADABLE, called
from leverframe.runtime.door.relay_run import RelayRun, by_digest, recordable
from leverframe.runtime.entries import clear_place

UNKNOWN_MODEL: Final = RuleId("unknown-model")
_NAMELESS: Final = "unread"  # of a body in which nobody found a name
_MOST_NAME_CHARS: Final = 200
_encode: Final = msgspec.json.Encoder(order="sorted").encode


class Unasked(msgspec.Struct, frozen=True, kw_only=True):
    """A call as it came, and why it is refused; `step` is the agent's own name for it, empty without one."""

    wire: WireFormat
    body: bytes
    key: ApiKey
    why: NotFound | WireRefused | ProviderUnavailable
    step: str = ""


async def record(run: RelayRun, call: Unasked) -> bool:
    """Write it down, or count it; False where the run is over by now, so that it stands in no run yet.

    Raises:
        LeverframeError: the database cannot take it.
    """
    unrecorded = run.refusals.record(run.ctx.services.clock.monotonic())
    if unrecorded is None:
        return True
    proposal = _proposal(run, call, run.ctx.services.mint.now(), unrecorded=unrecorded)
    result = await run.ctx.services.writer.commit(proposal)
    if isinstance(result, GuardFailed):
        run.is_over = True
        return False
    return True


def _proposal(run: RelayRun, call: Unasked, at: datetime, *, unrecorded: int) -> Proposal:
    ctx, asked = run.ctx, _asked(call)
    sealed = run.seal("call", _inputs(call, asked))
    step = Step(
        run_id=ctx.run.run_id,
        path=run.next_path(call.step),
        kind=StepKind.MODEL,
        # As the journal calls a tool that nobody knows: outside text, without what the run redacts.
        name=str(redact_json(asked[:_MOST_NAME_CHARS], ctx.redaction, Placeholders())) or _NAMELESS,
        request_digest=b"",
        state=StepState.DENIED,
        started_at=at,
        call_id=ctx.services.mint.call_id(),
        decision="deny",
        rule=rule_of(call.why),
        rule_source=ctx.contract.source.file,
        args_ref=sealed[0].digest,
        finished_at=at,
    )
    detail: dict[str, DetailValue] = {"rule_source": clear_place(step.rule_source), "wire": call.wire.value}
    if isinstance(call.why, WireRefused):
        detail["wire_refused"] = call.why.code
    if unrecorded:
        detail["unrecorded"] = unrecorded
    entry = called(run, step, call.key, sealed, detail=detail, model=None)
    return Proposal(
        tenant=ctx.run.tenant,
        guards=(RunIs(run_id=step.run_id, state=RunState.OPEN),),
        changes=(PutStep(step=step, expect=None),),
        entries=(entry,),
        is_durable=False,
    )


def rule_of(why: LeverframeError) -> RuleId:
    """The name under which it is refused."""
    return UNKNOWN_MODEL if isinstance(why, NotFound) else RuleId(why.slug)


def _asked(call: Unasked) -> str:
    """The model's name as the client wrote it; empty where it wrote none that can be read."""
    try:
        return watch_call(call.wire, call.body).model
    except WireRefused:
        return ""


def _inputs(call: Unasked, asked: str) -> bytes:
    """Why, and the request as the client sent it.  One that no strict reader takes is none that could stand here."""
    why = {"rule": rule_of(call.why), "then": "deny", "source": "", "text": call.why.message, "is_unknown": False}
    is_unread = not asked or (isinstance(call.why, WireRefused) and call.why.code in UNREADABLE)
    request = by_digest(call.body) if is_unread else recordable(call.body)
    told = {"model": asked, "reasons": [why], "unasked": rule_of(call.why)}
    return _encode(told)[:-1] + b',"request":' + request + b"}"
