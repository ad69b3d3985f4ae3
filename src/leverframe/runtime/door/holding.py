"""Held calls: where each stands, and how one ends that never runs.

Knows: the two clocks of an approval and what each of its states means for the step that waits.  Never: answers an
approval; that is a person's, through `runtime.answers`.
"""

from leverframe.core.approvals import may_consume
from leverframe.core.policy import Question
from leverframe.domain.approvals import Answer, AnswerWord, Approval, ApprovalState
from leverframe.domain.authority import KeyState
from leverframe.domain.errors import AuthRefused, EvidenceBroken
from leverframe.domain.evidence import EventType
from leverframe.domain.ids import RuleId, StepPath, ToolName
from leverframe.domain.json import Json
from leverframe.domain.policy import Deny, Reason, SourceRef, Then
from leverframe.domain.proposals import Change, Committed, GuardFailed, MoveApproval, Proposal, PutStep
from leverframe.domain.records import replace
from leverframe.domain.runs import Step, StepState
from leverframe.runtime.closing import LET_GO
from leverframe.runtime.context import RunContext, opener_key
from leverframe.runtime.door.asking import Ask, Loaded
from leverframe.runtime.door.envelopes import freeze
from leverframe.runtime.door.recording import decided
from leverframe.runtime.entries import approval_entry, decided_entry
from leverframe.runtime.outcomes import HeldBack, Refused

BYTES_RULE = RuleId("approval-binds-bytes")
_BUILT_IN = SourceRef(file="(built-in)")
_HAPPENED = {KeyState.REVOKED.value: "was revoked", KeyState.EXPIRED.value: "has expired"}
_KEY_RULES = frozenset(f"key-{state}" for state in _HAPPENED)
# How an approval ends that nobody denied, where a clock ended it; without its key it ends as with its run.
_BY_CLOCK = (ApprovalState.EXPIRED, EventType.APPROVAL_EXPIRED)


async def standing(ctx: RunContext, step: Step) -> Approval | HeldBack | Refused:
    """Where a held step stands: to be decided anew, still waiting, or refused for good.

    It is decided anew under its grant, or while it is pending where a value of the run was endorsed since.
    """
    approval = await ctx.services.approvals.approval(step.approval_id)
    if approval is None:
        raise EvidenceBroken(f"Step {step.path} of {step.run_id} waits for {step.approval_id!r}, which is not there.")
    now = ctx.services.mint.now()
    match approval.state:
        case ApprovalState.GRANTED if approval.execute_by is not None and now < approval.execute_by:
            # Whoever granted must still be someone who may: a grant of one who has left counts no more.
            lost = may_consume(approval, ctx.services.people, action_digest=approval.action_digest, now=now)
            return _of_a_live_key(ctx, step, approval) if lost is None else _refused(step, lost.code, lost.text)
        case ApprovalState.PENDING if now < approval.decide_by:
            if await _is_eased_since(ctx, approval):
                return _of_a_live_key(ctx, step, approval)
            message = f"Still waiting for {approval.approval_id}."
            return HeldBack(path=step.path, approval_id=approval.approval_id, reasons=(), message=message)
        case ApprovalState.PENDING | ApprovalState.GRANTED:
            text = (
                "nobody answered in time"
                if approval.state is ApprovalState.PENDING
                else "the grant was not used in time"
            )
            return _refused(step, "approval-expired", text)
        case ApprovalState.DENIED:
            answer = next((one for one in approval.answers if one.word is AnswerWord.DENY), None)
            return _refused(step, "approval-denied", _denied_text(answer))
        case state:
            return _refused(step, f"approval-{state.value}", f"the approval is {state.value}")


def ended_key(ctx: RunContext) -> AuthRefused | None:
    """Why the key that opened the run may not be used any more, if so: a person's grant does not stand in for it."""
    key = opener_key(ctx, ctx.services.authority.current())
    try:
        if key is not None:
            ctx.services.authority.check_live(key)
    except AuthRefused as ended:
        return ended
    return None


def _of_a_live_key(ctx: RunContext, step: Step, approval: Approval) -> Approval | Refused:
    ended = ended_key(ctx)
    if ended is None:
        return approval
    text = f"the key {ended.key_id}, which opened this run, {_HAPPENED[ended.why]}; ask again in a run of a live key"
    return _refused(step, f"key-{ended.why}", text)


async def _is_eased_since(ctx: RunContext, approval: Approval) -> bool:
    """Whether a person endorsed a value of the run after it was held: the labels that held it may be others now."""
    await ctx.services.authority.refresh()
    return any(one.at > approval.asked_at for one in ctx.services.authority.current().endorsed(ctx.run.run_id))


def _denied_text(answer: Answer | None) -> str:
    if answer is None:
        return "a person denied it"
    return f"{answer.principal} denied it: {answer.reason}" if answer.reason else f"{answer.principal} denied it"


def _refused(step: Step, rule: str, text: str) -> Refused:
    reason = Reason(rule=RuleId(rule), then=Then.DENY, source=_BUILT_IN, text=text)
    return Refused(path=step.path, reasons=(reason,), message=f"{rule}: {text}")


async def refuse(ctx: RunContext, step: Step, refused: Refused) -> bool:
    """Record that a held call never runs, and its approval's end where no answer ended it.

    False where step or approval moved in this moment, so that nothing was recorded and the question is open again.
    """
    now = ctx.services.mint.now()
    sealed = ctx.seal("call", {"reasons": [{"rule": one.rule, "text": one.text} for one in refused.reasons]})
    denied = replace(
        step, state=StepState.DENIED, finished_at=now, rule=refused.reasons[0].rule, detail_ref=sealed[0].digest
    )
    changes: list[Change] = [PutStep(step=denied, expect=frozenset({StepState.HELD}))]
    entries = [
        decided_entry(
            ctx,
            at=now,
            step=step.path,
            spec=ctx.contract.tools.get(ToolName(step.name)),
            decision=Then.DENY.value,
            reason=refused.reasons[0],
            action_digest=step.action_digest or None,
            arg_labels={},
            disclosures=sealed,
            approval_id=step.approval_id,
            detail={},
        )
    ]
    approval = await ctx.services.approvals.approval(step.approval_id)
    if approval is not None and approval.state in LET_GO:
        to, event = LET_GO[approval.state] if refused.reasons[0].rule in _KEY_RULES else _BY_CLOCK
        changes.append(MoveApproval(approval_id=approval.approval_id, expect=approval.state, to=to))
        entries.append(
            approval_entry(
                approval,
                ctx.run,
                entry_id=ctx.services.mint.entry_id(),
                at=now,
                event=event,
            )
        )
    proposal = Proposal(tenant=ctx.run.tenant, changes=tuple(changes), entries=tuple(entries))
    if isinstance(await ctx.services.writer.commit(proposal), GuardFailed):
        return False
    ctx.steps[step.path] = denied
    return True


async def refuse_other_bytes(ctx: RunContext, ask: Ask, recorded: Step) -> Refused:
    """An outside agent asks for other bytes under the name of a step that was frozen: never, and it is recorded."""
    asked = freeze(ctx, ask.spec, ask.args, facts={}, key=ask.idempotency_key, nonce=ask.nonce) if ask.spec else None
    text = f"this step was frozen as {_short(recorded.action_digest)}, asked {_short(asked.digest if asked else '')}"
    reason = Reason(rule=BYTES_RULE, then=Then.DENY, source=_BUILT_IN, text=text)
    loaded = Loaded(
        question=Question(tool=ask.tool, spec=ask.spec, args=ask.args, run=ctx.facts),
        now=ctx.services.mint.now(),
        envelope=asked,
        lookups=(),
        once=None,
        own_read=None,
        generation=ctx.services.authority.current().generation,
    )
    made = decided(ctx, ask, loaded, Deny(reasons=(reason,)), expect=None)
    if isinstance(await ctx.services.writer.commit(made.proposal), Committed):
        ctx.steps[ask.path] = made.step
    return Refused(path=ask.path, reasons=(reason,), message=f"{reason.rule}: {text}")


def _short(digest: str) -> str:
    return f"{digest[:4]}…{digest[-4:]}" if digest else "an unknown tool"


def nonce_of(recorded: Json, approval: Approval) -> str:
    """The nonce of a granted envelope: with it the same call freezes to the same bytes.  Empty without a grant."""
    if approval.state is not ApprovalState.GRANTED:
        return ""
    envelope = recorded.get("envelope") if isinstance(recorded, dict) else None
    return str(envelope["nonce"]) if isinstance(envelope, dict) else ""


def free_path(ctx: RunContext, base: StepPath) -> StepPath:
    """`base` itself where no step has it, else the first free place beside it: `3.order~1`."""
    path, number = base, 0
    while path in ctx.steps:
        number += 1
        path = StepPath(f"{base}~{number}")
    return path
