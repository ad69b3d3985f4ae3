"""Approvals as values: a person's answer to one held call, bound to the exact bytes that will run.

States: pending -> granted | denied | expired | cancelled | superseded; granted -> consumed | expired | revoked.
The moves are in `core.approvals`; the store makes each a compare-and-set.
"""

from dataclasses import dataclass
from datetime import datetime

from leverframe.domain.ids import ApprovalId, PrincipalId, RuleId, RunId, Sha256, StepPath, TenantId, ToolName
from leverframe.domain.policy import ApprovalRequirement
from leverframe.domain.words import Word


class ApprovalState(Word):
    """Where an approval stands."""

    PENDING = "pending"
    GRANTED = "granted"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    CONSUMED = "consumed"
    REVOKED = "revoked"


class AnswerWord(Word):
    """What an approver says."""

    GRANT = "grant"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One person's word on one approval.  `proof` names how they proved who they are, e.g. `os-user`."""

    principal: PrincipalId
    word: AnswerWord
    at: datetime
    reason: str
    proof: str
    viewed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One held call.  `action_digest` is over the envelope, whose bytes are kept as disclosure `envelope_ref`.

    `selector_digest` is a keyed hash of tool, selector and recipient values: a denial sticks to it.
    """

    approval_id: ApprovalId
    tenant: TenantId
    run_id: RunId
    path: StepPath
    tool: ToolName
    action_digest: Sha256
    rules: tuple[RuleId, ...]
    requirement: ApprovalRequirement
    initiator: PrincipalId
    launcher: PrincipalId
    selector_digest: bytes
    asked_at: datetime
    decide_by: datetime
    state: ApprovalState = ApprovalState.PENDING
    execute_by: datetime | None = None  # set when the quorum is reached
    answers: tuple[Answer, ...] = ()
    subject_digest: bytes = b""
