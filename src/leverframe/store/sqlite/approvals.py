"""SQL of `approvals` and `approval_answers`.

Owner: approvals.  Writer: the store's writer.  Trust: trusted; whoever can edit this can forge approvals, which the
evidence log would contradict.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from leverframe.domain.approvals import Answer, AnswerWord, Approval, ApprovalState
from leverframe.domain.ids import ApprovalId, PrincipalId, RuleId, RunId, Sha256, StepPath, TenantId, ToolName
from leverframe.domain.policy import ApprovalRequirement, SourceRef
from leverframe.domain.proposals import AnswerApproval, ApprovalUsable, GuardFailed, MoveApproval
from leverframe.domain.time import from_us, to_us

_INSERT = """
INSERT INTO approvals (
    approval_id, tenant, run_id, path, tool, action_digest, rules, requirement, initiator, launcher, selector_digest,
    asked_us, decide_by_us, state, execute_by_us, decided_us, subject_digest
) VALUES (
    :approval_id, :tenant, :run_id, :path, :tool, :action_digest, :rules, :requirement, :initiator, :launcher,
    :selector_digest, :asked_us, :decide_by_us, :state, :execute_by_us, :decided_us, :subject_digest
)
"""

_DECIDE = """
UPDATE approvals SET state = :state, execute_by_us = :execute_by_us, decided_us = :decided_us
 WHERE approval_id = :approval_id AND state = 'pending' AND action_digest = :action_digest
   AND (SELECT count(*) FROM approval_answers WHERE approval_id = :approval_id) = :answers_before
"""

_PUT_ANSWER = """
INSERT INTO approval_answers (approval_id, principal, word, at_us, reason, proof, viewed_us)
VALUES (:approval_id, :principal, :word, :at_us, :reason, :proof, :viewed_us)
ON CONFLICT (approval_id, principal) DO NOTHING
"""

_MOVE = "UPDATE approvals SET state = :to WHERE approval_id = :approval_id AND state = :expect"

_STANDING = "SELECT state, action_digest, execute_by_us FROM approvals WHERE approval_id = :approval_id"

_ONE = """
SELECT approval_id, tenant, run_id, path, tool, action_digest, rules, requirement, initiator, launcher,
       selector_digest, asked_us, decide_by_us, state, execute_by_us, subject_digest
  FROM approvals
 WHERE approval_id = :approval_id
"""

_NEWEST = """
SELECT approval_id, tenant, run_id, path, tool, action_digest, rules, requirement, initiator, launcher,
       selector_digest, asked_us, decide_by_us, state, execute_by_us, subject_digest
  FROM approvals
 WHERE (:state IS NULL OR state = :state)
 ORDER BY asked_us DESC, approval_id DESC
 LIMIT :limit
"""

_DENIED_LIKE = """
SELECT approval_id, tenant, run_id, path, tool, action_digest, rules, requirement, initiator, launcher,
       selector_digest, asked_us, decide_by_us, state, execute_by_us, subject_digest
  FROM approvals
 WHERE tenant = :tenant AND selector_digest = :selector_digest AND state = 'denied'
   AND (run_id = :run_id OR (subject_digest = :subject_digest AND subject_digest <> x'' AND decided_us >= :since_us))
 ORDER BY run_id = :run_id DESC, decided_us DESC, approval_id DESC
 LIMIT 1
"""

_ANSWERS = """
SELECT principal, word, at_us, reason, proof, viewed_us
  FROM approval_answers
 WHERE approval_id = :approval_id
 ORDER BY answer_id
"""


def insert(tx: sqlite3.Connection, approval: Approval) -> None:
    """Write a new approval, with the answers that it has."""
    is_decided = approval.state is not ApprovalState.PENDING and approval.answers
    params = {
        "approval_id": approval.approval_id,
        "tenant": approval.tenant,
        "run_id": approval.run_id,
        "path": approval.path,
        "tool": approval.tool,
        "action_digest": approval.action_digest,
        "rules": msgspec.json.encode(approval.rules).decode(),
        "requirement": _requirement_text(approval.requirement),
        "initiator": approval.initiator,
        "launcher": approval.launcher,
        "selector_digest": approval.selector_digest,
        "asked_us": to_us(approval.asked_at),
        "decide_by_us": to_us(approval.decide_by),
        "state": approval.state.value,
        "execute_by_us": None if approval.execute_by is None else to_us(approval.execute_by),
        "decided_us": to_us(approval.answers[-1].at) if is_decided else None,
        "subject_digest": approval.subject_digest,
    }
    tx.execute(_INSERT, params)
    for answer in approval.answers:
        tx.execute(_PUT_ANSWER, _answer_params(approval.approval_id, answer))


def answer(tx: sqlite3.Connection, change: AnswerApproval) -> GuardFailed | None:
    """Compare-and-set on pending, the action digest and the answers so far; a second word of one person loses too."""
    is_decided = change.state is not ApprovalState.PENDING
    params = {
        "approval_id": change.approval_id,
        "action_digest": change.action_digest,
        "answers_before": change.answers_before,
        "state": change.state.value,
        "execute_by_us": None if change.execute_by is None else to_us(change.execute_by),
        "decided_us": to_us(change.answer.at) if is_decided else None,
    }
    if tx.execute(_DECIDE, params).rowcount != 1:
        return GuardFailed(guard="AnswerApproval", detail=_found(tx, change.approval_id, change.action_digest))
    if tx.execute(_PUT_ANSWER, _answer_params(change.approval_id, change.answer)).rowcount != 1:
        detail = f"{change.answer.principal} has answered {change.approval_id} already"
        return GuardFailed(guard="AnswerApproval", detail=detail)
    return None


def move(tx: sqlite3.Connection, change: MoveApproval) -> GuardFailed | None:
    """Compare-and-set of an approval's state."""
    params = {"approval_id": change.approval_id, "expect": change.expect.value, "to": change.to.value}
    if tx.execute(_MOVE, params).rowcount == 1:
        return None
    row = tx.execute(_STANDING, {"approval_id": change.approval_id}).fetchone()
    found = f"approval {change.approval_id} is {row[0] if row else 'not there'}, expected {change.expect.value}"
    return GuardFailed(guard="MoveApproval", detail=found)


def usable(tx: sqlite3.Connection, guard: ApprovalUsable) -> GuardFailed | None:
    """The guard `ApprovalUsable`: granted, over these bytes, before its second clock ran out."""
    row = tx.execute(_STANDING, {"approval_id": guard.approval_id}).fetchone()
    if row is None or row[0] != ApprovalState.GRANTED.value or row[1] != guard.action_digest:
        return GuardFailed(guard="ApprovalUsable", detail=_found(tx, guard.approval_id, guard.action_digest))
    if row[2] is None or row[2] <= to_us(guard.now):
        return GuardFailed(guard="ApprovalUsable", detail=f"approval {guard.approval_id} is past its execute_by")
    return None


def one(tx: sqlite3.Connection, approval_id: ApprovalId) -> Approval | None:
    """One approval with its answers."""
    row = tx.execute(_ONE, {"approval_id": approval_id}).fetchone()
    return None if row is None else _approval(tx, row)


def newest(tx: sqlite3.Connection, state: ApprovalState | None, limit: int) -> Sequence[Approval]:
    """Approvals, newest first."""
    params = {"state": None if state is None else state.value, "limit": limit}
    return [_approval(tx, row) for row in tx.execute(_NEWEST, params).fetchall()]


def denied_like(
    tx: sqlite3.Connection,
    tenant: TenantId,
    selector_digest: bytes,
    *,
    run_id: RunId,
    subject_digest: bytes,
    since: datetime,
) -> Approval | None:
    """The denial over these selectors: the latest in this run, else the latest since then of this subject."""
    params = {
        "tenant": tenant,
        "selector_digest": selector_digest,
        "run_id": run_id,
        "subject_digest": subject_digest,
        "since_us": to_us(since),
    }
    row = tx.execute(_DENIED_LIKE, params).fetchone()
    return None if row is None else _approval(tx, row)


def _found(tx: sqlite3.Connection, approval_id: ApprovalId, action_digest: Sha256) -> str:
    row = tx.execute(_STANDING, {"approval_id": approval_id}).fetchone()
    if row is None:
        return f"approval {approval_id} is not there"
    return f"approval {approval_id} is {row[0]} over {'this' if row[1] == action_digest else 'another'} action"


def _answer_params(approval_id: ApprovalId, answer: Answer) -> Mapping[str, object]:
    return {
        "approval_id": approval_id,
        "principal": answer.principal,
        "word": answer.word.value,
        "at_us": to_us(answer.at),
        "reason": answer.reason,
        "proof": answer.proof,
        "viewed_us": None if answer.viewed_at is None else to_us(answer.viewed_at),
    }


def _requirement_text(requirement: ApprovalRequirement) -> str:
    fields = {
        "from_groups": requirement.from_groups,
        "quorum": requirement.quorum,
        "distinct_from": sorted(requirement.distinct_from),
        "decide_within_s": requirement.decide_within_s,
        "execute_within_s": requirement.execute_within_s,
        "source_file": requirement.source.file,
        "source_line": requirement.source.line,
    }
    return msgspec.json.encode(fields).decode()


def _requirement(text: str) -> ApprovalRequirement:
    fields = msgspec.json.decode(text)
    return ApprovalRequirement(
        from_groups=tuple(fields["from_groups"]),
        quorum=fields["quorum"],
        distinct_from=frozenset(fields["distinct_from"]),
        decide_within_s=fields["decide_within_s"],
        execute_within_s=fields["execute_within_s"],
        source=SourceRef(file=fields["source_file"], line=fields["source_line"]),
    )


# Any: a row of SQLite has no static type; STRICT tables keep what each column may hold.
def _approval(tx: sqlite3.Connection, row: tuple[Any, ...]) -> Approval:
    return Approval(
        approval_id=ApprovalId(row[0]),
        tenant=TenantId(row[1]),
        run_id=RunId(row[2]),
        path=StepPath(row[3]),
        tool=ToolName(row[4]),
        action_digest=Sha256(row[5]),
        rules=tuple(RuleId(one) for one in msgspec.json.decode(row[6])),
        requirement=_requirement(row[7]),
        initiator=PrincipalId(row[8]),
        launcher=PrincipalId(row[9]),
        selector_digest=row[10],
        asked_at=from_us(row[11]),
        decide_by=from_us(row[12]),
        state=ApprovalState(row[13]),
        execute_by=None if row[14] is None else from_us(row[14]),
        answers=tuple(_answer(one) for one in tx.execute(_ANSWERS, {"approval_id": row[0]})),
        subject_digest=row[15],
    )


# Any: see `_approval`.
def _answer(row: tuple[Any, ...]) -> Answer:
    return Answer(
        principal=PrincipalId(row[0]),
        word=AnswerWord(row[1]),
        at=from_us(row[2]),
        reason=row[3],
        proof=row[4],
        viewed_at=None if row[5] is None else from_us(row[5]),
    )
