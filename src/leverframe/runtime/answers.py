"""A person's answers to held calls.

Knows: what an approver is shown, and what an answer records.  Never: decides who may answer (`core.approvals` does)
nor executes the call: a granted one is decided anew by the door.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from leverframe.core.approvals import after_answer, may_answer, state_at
from leverframe.core.canonical import decode
from leverframe.core.disclosures import seal
from leverframe.core.redaction import redaction_of
from leverframe.domain.approvals import Answer, AnswerWord, Approval, ApprovalState
from leverframe.domain.contracts import Person
from leverframe.domain.errors import ApprovalRefused, Contended, NotFound
from leverframe.domain.evidence import Disclosure, EventType
from leverframe.domain.ids import ApprovalId
from leverframe.domain.json import Json
from leverframe.domain.proposals import AnswerApproval, Committed, MoveApproval, Proposal
from leverframe.domain.runs import Run
from leverframe.runtime.entries import answered_entry, approval_entry
from leverframe.runtime.services import Services
from leverframe.runtime.sessions import find_run
from leverframe.runtime.showing import effect_sentence, values_of

_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What an approver sees of a held call: rendered from the frozen bytes, redacted values withheld."""

    approval: Approval
    run: Run
    sentence: str  # the effect, from the tool's `summary` and the frozen values
    envelope: Json
    reasons: Json
    state: ApprovalState  # with both clocks looked at


async def find_approval(services: Services, approval_id: ApprovalId) -> Approval:
    """An approval by its id.

    Raises:
        NotFound: there is none of that id.
    """
    approval = await services.approvals.approval(approval_id)
    if approval is None:
        raise NotFound(f"There is no approval {approval_id!r} here.", next_move="List them: leverframe approvals list")
    return approval


async def show(services: Services, approval_id: ApprovalId) -> Shown:
    """What is held, in the words of the frozen bytes."""
    approval = await find_approval(services, approval_id)
    run = await find_run(services, approval.run_id)
    recorded = await _recorded_call(services, run, approval)
    envelope = recorded.get("envelope")
    return Shown(
        approval=approval,
        run=run,
        sentence=_sentence(services, run, approval, envelope),
        envelope=envelope,
        reasons=recorded.get("reasons"),
        state=state_at(approval, services.mint.now()),
    )


async def record_viewed(services: Services, approval_id: ApprovalId, person: Person) -> None:
    """Record that someone who may answer opened a held call; nothing for anyone else, or once it is answered.

    How long they looked is counted from the first time.
    """
    approval = await find_approval(services, approval_id)
    is_open = state_at(approval, services.mint.now()) is ApprovalState.PENDING
    if not is_open or may_answer(approval, person) is not None or await _viewed_at(services, approval, person):
        return
    entry = approval_entry(
        approval,
        await find_run(services, approval.run_id),
        entry_id=services.mint.entry_id(),
        at=services.mint.now(),
        event=EventType.APPROVAL_VIEWED,
        actor=person.id,
    )
    await services.writer.commit(Proposal(tenant=approval.tenant, entries=(entry,)))


async def _viewed_at(services: Services, approval: Approval, person: Person) -> datetime | None:
    """When this person first opened the call, by the log."""
    for leaf in await services.evidence.leaves_of_run(approval.tenant, approval.run_id):
        entry = decode(leaf.leaf)
        if not isinstance(entry, Mapping) or entry.get("type") != EventType.APPROVAL_VIEWED.value:
            continue
        if entry.get("approval_id") == approval.approval_id and entry.get("actor") == person.id:
            return datetime.fromisoformat(str(entry["at"]))
    return None


async def answer(
    services: Services, approval_id: ApprovalId, person: Person, word: AnswerWord, *, reason: str, proof: str
) -> Approval:
    """Record one person's word on one held call.

    Args:
        services: the runtime's.
        approval_id: which.
        person: who answers, authenticated by the caller.
        word: grant or deny.
        reason: why, in the person's words; disclosed, never in clear.
        proof: how the caller knows who it is, e.g. `os-user`.

    Raises:
        ApprovalRefused: this person may not answer, or the time to answer is over.
        ApprovalAlreadyDecided: somebody was first.
        Contended: others answered in the same moment, again and again.
    """
    for _ in range(_TRIES):
        answered = await _answer_once(services, approval_id, person, word, reason=reason, proof=proof)
        if answered is not None:
            return answered
    raise Contended(
        f"Others answered {approval_id!r} {_TRIES} times in this moment; nothing of this answer was recorded.",
        next_move=f"See where it stands: leverframe approvals show {approval_id}",
    )


async def _answer_once(
    services: Services, approval_id: ApprovalId, person: Person, word: AnswerWord, *, reason: str, proof: str
) -> Approval | None:
    """The approval with this answer; None where another answer came first, so that this one leads elsewhere."""
    approval = await find_approval(services, approval_id)
    run = await find_run(services, approval.run_id)
    refusal = may_answer(approval, person)
    if refusal is not None:
        await _record_refused(services, approval, run, person, refusal.code)
        raise ApprovalRefused(
            f"{person.id!r} may not answer {approval_id!r}: {refusal.text}.",
            next_move=f"Who may: leverframe approvals show {approval_id}",
        )
    given = Answer(
        principal=person.id,
        word=word,
        at=services.mint.now(),
        reason=reason,
        proof=proof,
        viewed_at=await _viewed_at(services, approval, person),
    )
    result = after_answer(approval, given)
    if result.state is ApprovalState.EXPIRED:
        await _expire(services, approval, run, given.at)
        raise ApprovalRefused(
            f"The time to answer {approval_id!r} ended at {approval.decide_by:%Y-%m-%d %H:%M:%S} UTC; it is denied.",
            next_move="The agent must ask again.",
        )
    entry = answered_entry(
        approval,
        run,
        given,
        entry_id=services.mint.entry_id(),
        groups=person.groups,
        disclosures=_seal_reason(services, run, reason),
        execute_by=result.execute_by,
    )
    change = AnswerApproval(
        approval_id=approval_id,
        action_digest=approval.action_digest,
        answer=given,
        answers_before=len(approval.answers),
        state=result.state,
        execute_by=result.execute_by,
    )
    committed = await services.writer.commit(Proposal(tenant=approval.tenant, changes=(change,), entries=(entry,)))
    return await find_approval(services, approval_id) if isinstance(committed, Committed) else None


async def _expire(services: Services, approval: Approval, run: Run, at: datetime) -> None:
    entry = approval_entry(approval, run, entry_id=services.mint.entry_id(), at=at, event=EventType.APPROVAL_EXPIRED)
    move = MoveApproval(approval_id=approval.approval_id, expect=ApprovalState.PENDING, to=ApprovalState.EXPIRED)
    await services.writer.commit(Proposal(tenant=approval.tenant, changes=(move,), entries=(entry,)))


async def _record_refused(services: Services, approval: Approval, run: Run, person: Person, code: str) -> None:
    """Someone tried to answer who may not: that is evidence too."""
    entry = approval_entry(
        approval,
        run,
        entry_id=services.mint.entry_id(),
        at=services.mint.now(),
        event=EventType.AUTH_REFUSED,
        actor=person.id,
        detail={"reason": code},
    )
    await services.writer.commit(Proposal(tenant=approval.tenant, entries=(entry,)))


async def _recorded_call(services: Services, run: Run, approval: Approval) -> Mapping[str, Json]:
    """The `call` disclosure of the held step as it may be shown."""
    step = next((one for one in await services.journal.steps(run.run_id) if one.path == approval.path), None)
    return (await values_of(services, run)).fields(step.args_ref) if step is not None else {}


def _sentence(services: Services, run: Run, approval: Approval, envelope: Json) -> str:
    args = envelope.get("args") if isinstance(envelope, Mapping) else None
    project = services.project
    contract = project.contract_in(run.workflow, run.environment) or project.contracts.get(run.workflow)
    spec = contract.tools.get(approval.tool) if contract is not None else None
    return effect_sentence(spec, approval.tool, args if isinstance(args, Mapping) else {})


def _seal_reason(services: Services, run: Run, reason: str) -> tuple[Disclosure, ...]:
    if not reason:
        return ()
    return seal(
        "reason",
        reason,
        redaction=redaction_of(()),
        salts=services.mint.salts(),
        token_key=services.fingerprints.fingerprint(run.tenant, "redaction-token", run.run_id.encode()),
    )
