"""The moves of an approval, as pure functions: who may answer, what an answer leads to, when a clock ends it.

Knows: the states and their order.  Never: reads a clock; `now` is an argument, and a timeout always denies.
The store makes each move a compare-and-set, so a second answer loses visibly.
Source: docs/reference/contract.md (`approval`).  States: pending -> granted | denied | expired | cancelled |
superseded; granted -> consumed | expired | revoked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from leverframe.core.token_types import normal_value
from leverframe.domain.approvals import Answer, AnswerWord, Approval, ApprovalState
from leverframe.domain.contracts import Person
from leverframe.domain.errors import ApprovalAlreadyDecided
from leverframe.domain.ids import PrincipalId, Sha256
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.tools import ArgRole, ToolSpec

APPROVER_ROLE = "approver"

_NEXT: Mapping[ApprovalState, frozenset[ApprovalState]] = {
    ApprovalState.PENDING: frozenset(
        {
            ApprovalState.GRANTED,
            ApprovalState.DENIED,
            ApprovalState.EXPIRED,
            ApprovalState.CANCELLED,
            ApprovalState.SUPERSEDED,
        }
    ),
    ApprovalState.GRANTED: frozenset({ApprovalState.CONSUMED, ApprovalState.EXPIRED, ApprovalState.REVOKED}),
}
_STICKY_ROLES = frozenset({ArgRole.SELECTOR, ArgRole.RECIPIENT})
_LOOSE_ROLES = frozenset({ArgRole.AMOUNT, ArgRole.FREE_TEXT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a person may not answer, or a grant may not be used.  `code` is a slug; `text` is for that person."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What an answer leads to.  `execute_by` is set when the quorum is reached; `missing` more grants are needed."""

    state: ApprovalState
    execute_by: datetime | None
    missing: int


def may_move(before: ApprovalState, after: ApprovalState) -> bool:
    """Whether one state follows another."""
    return after in _NEXT.get(before, frozenset())


def may_answer(approval: Approval, person: Person) -> Refusal | None:
    """Say why this person may not answer, or None where they may.

    Never the initiator, nor the launcher where `distinct_from` says so; only in the approval's tenant; in one of the
    groups of `from`, or with the role approver where `from` is absent; once each.
    """
    refusal = _not_eligible(approval, person)
    if refusal is None and any(answer.principal == person.id for answer in approval.answers):
        text = f"{person.id!r} has answered {approval.approval_id!r} before; another person must"
        return Refusal(code="answered-before", text=text)
    return refusal


def after_answer(approval: Approval, answer: Answer) -> Answered:
    """Where one more answer leads: one denial denies, a quorum of grants by different people grants.

    An answer at or after `decide_by` finds the approval expired, whatever it says.

    Raises:
        ApprovalAlreadyDecided: the approval is not pending; the first answer stands.
    """
    if approval.state is not ApprovalState.PENDING:
        text = f"Approval {approval.approval_id!r} is {approval.state.value} already; the first answer stands."
        raise ApprovalAlreadyDecided(text, next_move=f"See it: leverframe approvals show {approval.approval_id}")
    if answer.at >= approval.decide_by:
        return Answered(state=ApprovalState.EXPIRED, execute_by=None, missing=0)
    if answer.word is AnswerWord.DENY:
        return Answered(state=ApprovalState.DENIED, execute_by=None, missing=0)
    missing = approval.requirement.quorum - len(_granters((*approval.answers, answer)))
    if missing > 0:
        return Answered(state=ApprovalState.PENDING, execute_by=None, missing=missing)
    execute_by = answer.at + timedelta(seconds=approval.requirement.execute_within_s)
    return Answered(state=ApprovalState.GRANTED, execute_by=execute_by, missing=0)


def state_at(approval: Approval, now: datetime) -> ApprovalState:
    """The state with both clocks looked at: pending ends at `decide_by`, granted at `execute_by`.

    A granted approval without `execute_by` is expired: nobody could say until when it holds.
    """
    if approval.state is ApprovalState.PENDING and now >= approval.decide_by:
        return ApprovalState.EXPIRED
    if approval.state is ApprovalState.GRANTED and (approval.execute_by is None or now >= approval.execute_by):
        return ApprovalState.EXPIRED
    return approval.state


def may_consume(
    approval: Approval, people: Mapping[PrincipalId, Person], *, action_digest: Sha256, now: datetime
) -> Refusal | None:
    """Say why a granted approval may not be used for these bytes now, or None where it may.

    Whoever granted must still be eligible: a grant of someone who has left counts no more.
    """
    state = state_at(approval, now)
    if state is not ApprovalState.GRANTED:
        text = f"Approval {approval.approval_id!r} is {state.value}, and only a granted one is used"
        return Refusal(code=f"is-{state.value}", text=text)
    if action_digest != approval.action_digest:
        text = f"granted {_short(approval.action_digest)}, asked {_short(action_digest)}: other bytes need a new answer"
        return Refusal(code="other-action", text=text)
    eligible = [
        who for who in _granters(approval.answers) if who in people and _not_eligible(approval, people[who]) is None
    ]
    if len(eligible) < approval.requirement.quorum:
        text = f"{len(eligible)} of the {approval.requirement.quorum} who must grant may still answer"
        return Refusal(code="quorum-lost", text=text)
    return None


def sticky_values(spec: ToolSpec, args: JsonObject) -> tuple[tuple[str, Json], ...]:
    """What a denial of a call sticks to: its selector and recipient values by name, in their normal form.

    Amounts and free text do not make a call new.  A tool that declares neither role sticks to all other arguments.
    """
    roles = {name: arg.role for name, arg in spec.args.items()}
    named = sorted(name for name, role in roles.items() if role in _STICKY_ROLES)
    names = named or sorted(name for name in args if roles.get(name) not in _LOOSE_ROLES)
    return tuple((name, normal_value(spec.type_of(name), args.get(name))) for name in names)


def _not_eligible(approval: Approval, person: Person) -> Refusal | None:
    if person.id == approval.initiator:
        text = f"approver is the initiator: {person.id!r} is behind this run and may not answer for it"
        return Refusal(code="is-initiator", text=text)
    if person.id == approval.launcher and "launcher" in approval.requirement.distinct_from:
        text = f"{person.id!r} launched this run, and the approval row asks for another person"
        return Refusal(code="is-launcher", text=text)
    if approval.tenant not in person.tenants:
        text = f"{person.id!r} is not of the tenant {approval.tenant!r}"
        return Refusal(code="other-tenant", text=text)
    groups = approval.requirement.from_groups
    if groups and not any(person.groups.issuperset(entry.split("+")) for entry in groups):
        text = f"{person.id!r} is in none of the groups that may answer: {', '.join(groups)}"
        return Refusal(code="not-in-from", text=text)
    if not groups and APPROVER_ROLE not in person.roles:
        text = f"{person.id!r} does not have the role {APPROVER_ROLE}"
        return Refusal(code="no-approver", text=text)
    return None


def _granters(answers: tuple[Answer, ...]) -> frozenset[PrincipalId]:
    return frozenset(answer.principal for answer in answers if answer.word is AnswerWord.GRANT)


def _short(digest: Sha256) -> str:
    return f"{digest[:4]}…{digest[-4:]}" if digest else "nothing"
