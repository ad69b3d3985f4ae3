"""SQL of `approvals` and `approval_answers`.

Owner: approvals.  Writer: the store's writer.  Trust: tagged; a row carries a MAC over itself and its answers, under a
key that is not in the database.  An editor can delete one, or put an older one back; the first leaves a call held, the
second is refused where the log says that it was used, and `evidence verify` sees both.
A person's reason is sealed and not part of the tag: it grants nothing, and it can be erased.
Rules: docs/adr/0010-sealed-values-and-tagged-rows.md.
"""

import hmac
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from leverframe.domain.approvals import Answer, AnswerWord, Approval, ApprovalState
from leverframe.domain.errors import AuthorityForged
from leverframe.domain.ids import ApprovalId, PrincipalId, RuleId, RunId, Sha256, StepPath, TenantId, ToolName
from leverframe.domain.policy import ApprovalRequirement, SourceRef
from leverframe.domain.proposals import AnswerApproval, ApprovalUsable, GuardFailed, MoveApproval
from leverframe.domain.time import from_us, to_us
from leverframe.ports.audit import StoredApproval, Unreadable
from leverframe.ports.vault import DataKey, Vault
from leverframe.store.sqlite.data_keys import Keys

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
INSERT INTO approval_answers (approval_id, principal, word, at_us, proof, viewed_us, key_id, reason)
VALUES (:approval_id, :principal, :word, :at_us, :proof, :viewed_us, :key_id, :reason)
ON CONFLICT (approval_id, principal) DO NOTHING
"""

_TAG = "UPDATE approvals SET tag = :tag WHERE approval_id = :approval_id"

_MOVE = "UPDATE approvals SET state = :to WHERE approval_id = :approval_id AND state = :expect"

_USED = """
SELECT 1 FROM leaves
 WHERE tenant = :tenant AND run_id = :run_id AND type = 'approval.consumed'
   AND instr(CAST(leaf AS TEXT), '"' || :approval_id || '"')
"""

_ONE = """
SELECT approval_id, tenant, run_id, path, tool, action_digest, rules, requirement, initiator, launcher,
       selector_digest, asked_us, decide_by_us, state, execute_by_us, subject_digest,
       decided_us, tag
  FROM approvals
 WHERE approval_id = :approval_id
"""

_NEWEST = """
SELECT approval_id, tenant, run_id, path, tool, action_digest, rules, requirement, initiator, launcher,
       selector_digest, asked_us, decide_by_us, state, execute_by_us, subject_digest,
       decided_us, tag
  FROM approvals
 WHERE (:state IS NULL OR state = :state)
 ORDER BY asked_us DESC, approval_id DESC
 LIMIT :limit
"""

_DENIED_LIKE = """
SELECT approval_id, tenant, run_id, path, tool, action_digest, rules, requirement, initiator, launcher,
       selector_digest, asked_us, decide_by_us, state, execute_by_us, subject_digest,
       decided_us, tag
  FROM approvals
 WHERE tenant = :tenant AND selector_digest = :selector_digest AND state = 'denied'
   AND (run_id = :run_id OR (subject_digest = :subject_digest AND subject_digest <> x'' AND decided_us >= :since_us))
 ORDER BY run_id = :run_id DESC, decided_us DESC, approval_id DESC
 LIMIT 1
"""

_ANSWERS = """
SELECT a.principal, a.word, a.at_us, a.proof, a.viewed_us, a.key_id, a.reason, k.wrapped
  FROM approval_answers AS a
  LEFT JOIN data_keys AS k ON k.tenant = :tenant AND k.key_id = a.key_id
 WHERE a.approval_id = :approval_id
 ORDER BY a.answer_id
"""

_ALL = """
SELECT approval_id, tenant, run_id, path, tool, action_digest, rules, requirement, initiator, launcher,
       selector_digest, asked_us, decide_by_us, state, execute_by_us, subject_digest,
       decided_us, tag
  FROM approvals
 WHERE tenant = :tenant
 ORDER BY asked_us DESC, approval_id DESC
"""

# What a tag is over: every column of the row but the tag, and of each answer these.
_ROW_COLUMNS = 17
_ANSWER_COLUMNS = 5

ERASED = "[erased]"
CHANGED = "[changed in the database]"

# Any: a row of SQLite has no static type; STRICT tables keep what each column may hold.
_Row = tuple[Any, ...]
_pack = msgspec.msgpack.Encoder().encode


def insert(tx: sqlite3.Connection, keys: Keys, approval: Approval) -> None:
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
        _put_answer(tx, keys, approval.approval_id, (approval.tenant, approval.run_id), answer)
    tag(tx, keys.vault, approval.approval_id)


def answer(tx: sqlite3.Connection, keys: Keys, change: AnswerApproval) -> GuardFailed | None:
    """Compare-and-set on pending, the action digest and the answers so far; a second word of one person loses too.

    Raises:
        AuthorityForged: the row is not what was written, so no answer to it may count.
    """
    row = _genuine(tx, keys.vault, change.approval_id)
    is_decided = change.state is not ApprovalState.PENDING
    params = {
        "approval_id": change.approval_id,
        "action_digest": change.action_digest,
        "answers_before": change.answers_before,
        "state": change.state.value,
        "execute_by_us": None if change.execute_by is None else to_us(change.execute_by),
        "decided_us": to_us(change.answer.at) if is_decided else None,
    }
    if row is None or tx.execute(_DECIDE, params).rowcount != 1:
        return GuardFailed(guard="AnswerApproval", detail=_found(row, change.approval_id, change.action_digest))
    if not _put_answer(tx, keys, change.approval_id, (TenantId(row[1]), RunId(row[2])), change.answer):
        detail = f"{change.answer.principal} has answered {change.approval_id} already"
        return GuardFailed(guard="AnswerApproval", detail=detail)
    tag(tx, keys.vault, change.approval_id)
    return None


def move(tx: sqlite3.Connection, vault: Vault, change: MoveApproval) -> GuardFailed | None:
    """Compare-and-set of an approval's state.  Raises AuthorityForged as `answer` does."""
    row = _genuine(tx, vault, change.approval_id)
    params = {"approval_id": change.approval_id, "expect": change.expect.value, "to": change.to.value}
    if row is not None and tx.execute(_MOVE, params).rowcount == 1:
        tag(tx, vault, change.approval_id)
        return None
    found = f"approval {change.approval_id} is {row[13] if row else 'not there'}, expected {change.expect.value}"
    return GuardFailed(guard="MoveApproval", detail=found)


def usable(tx: sqlite3.Connection, vault: Vault, guard: ApprovalUsable) -> GuardFailed | None:
    """The guard `ApprovalUsable`: granted, over these bytes, before its second clock ran out, and not used before.

    Raises:
        AuthorityForged: the row is not what was written, or the log says that it was used and the row does not.
    """
    row = _genuine(tx, vault, guard.approval_id)
    if row is None or row[13] != ApprovalState.GRANTED.value or row[5] != guard.action_digest:
        return GuardFailed(guard="ApprovalUsable", detail=_found(row, guard.approval_id, guard.action_digest))
    if row[14] is None or row[14] <= to_us(guard.now):
        return GuardFailed(guard="ApprovalUsable", detail=f"approval {guard.approval_id} is past its execute_by")
    # An older row, put back whole, has a good tag.
    if tx.execute(_USED, {"tenant": row[1], "run_id": row[2], "approval_id": row[0]}).fetchone():
        raise _forged(guard.approval_id, "it is granted, and the log says that it was used")
    return None


def tag(tx: sqlite3.Connection, vault: Vault, approval_id: str) -> None:
    """Compute a row's tag anew, as it stands now."""
    row = tx.execute(_ONE, {"approval_id": approval_id}).fetchone()
    params = {"approval_id": approval_id, "tag": vault.tag(TenantId(row[1]), _tagged(row, _answers(tx, row)))}
    tx.execute(_TAG, params)


def seal_reason(vault: Vault, key: DataKey, approval_id: ApprovalId, principal: PrincipalId, reason: str) -> bytes:
    """A person's words, bound to their answer."""
    return vault.seal(key, _place(approval_id, principal), reason.encode())


def one(tx: sqlite3.Connection, vault: Vault, approval_id: ApprovalId) -> Approval | None:
    """One approval with its answers.  Raises AuthorityForged where it is not what was written."""
    row = tx.execute(_ONE, {"approval_id": approval_id}).fetchone()
    return None if row is None else _believed(tx, vault, row)


def newest(tx: sqlite3.Connection, vault: Vault, state: ApprovalState | None, limit: int) -> Sequence[Approval]:
    """Approvals, newest first.  Raises AuthorityForged where one is not what was written."""
    params = {"state": None if state is None else state.value, "limit": limit}
    return [_believed(tx, vault, row) for row in tx.execute(_NEWEST, params).fetchall()]


def stored(tx: sqlite3.Connection, vault: Vault, tenant: TenantId) -> Sequence[StoredApproval | Unreadable]:
    """All approvals of a tenant as they are stored, newest first, and whether each carries its tag."""
    found: list[StoredApproval | Unreadable] = []
    for row in tx.execute(_ALL, {"tenant": tenant}).fetchall():
        answers = _answers(tx, row)
        try:
            approval = _approval(vault, row, answers)
        except (ValueError, KeyError, TypeError, OverflowError, msgspec.MsgspecError) as err:
            found.append(Unreadable(key=row[0], why=str(err)))
        else:
            found.append(StoredApproval(approval=approval, is_tagged=_is_genuine(vault, row, answers)))
    return found


def denied_like(
    tx: sqlite3.Connection,
    vault: Vault,
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
    return None if row is None else _believed(tx, vault, row)


def _genuine(tx: sqlite3.Connection, vault: Vault, approval_id: ApprovalId) -> _Row | None:
    """The row; None where there is none."""
    row: _Row | None = tx.execute(_ONE, {"approval_id": approval_id}).fetchone()
    if row is not None and not _is_genuine(vault, row, _answers(tx, row)):
        raise _forged(approval_id, "its row is not what Leverframe wrote")
    return row


def _is_genuine(vault: Vault, row: _Row, answers: Sequence[_Row]) -> bool:
    tenant, tag_there = TenantId(row[1]), row[_ROW_COLUMNS]
    if tag_there is None or not vault.has_tagged(tenant):
        return False
    return hmac.compare_digest(vault.tag(tenant, _tagged(row, answers)), tag_there)


def _tagged(row: _Row, answers: Sequence[_Row]) -> bytes:
    return b"approval\0" + _pack((row[:_ROW_COLUMNS], [one[:_ANSWER_COLUMNS] for one in answers]))


def _forged(approval_id: str, why: str) -> AuthorityForged:
    return AuthorityForged(
        f"Approval {approval_id!r} was changed outside of Leverframe: {why}.  The call that it is for will not run.",
        next_move="Keep the database as it is, and find what else was changed: leverframe evidence verify",
    )


def _found(row: _Row | None, approval_id: ApprovalId, action_digest: Sha256) -> str:
    if row is None:
        return f"approval {approval_id} is not there"
    return f"approval {approval_id} is {row[13]} over {'this' if row[5] == action_digest else 'another'} action"


def _put_answer(
    tx: sqlite3.Connection, keys: Keys, approval_id: ApprovalId, of_run: tuple[TenantId, RunId], answer: Answer
) -> bool:
    """Whether it is the first of this person."""
    key = keys.of_run(*of_run) if answer.reason else None
    params = {
        "approval_id": approval_id,
        "principal": answer.principal,
        "word": answer.word.value,
        "at_us": to_us(answer.at),
        "proof": answer.proof,
        "viewed_us": None if answer.viewed_at is None else to_us(answer.viewed_at),
        "key_id": None if key is None else key.key_id,
        "reason": None if key is None else seal_reason(keys.vault, key, approval_id, answer.principal, answer.reason),
    }
    return tx.execute(_PUT_ANSWER, params).rowcount == 1


def _place(approval_id: str, principal: str) -> bytes:
    return f"reason 1\0{approval_id}\0{principal}".encode()


def _answers(tx: sqlite3.Connection, row: _Row) -> Sequence[_Row]:
    return tx.execute(_ANSWERS, {"tenant": row[1], "approval_id": row[0]}).fetchall()


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


def _believed(tx: sqlite3.Connection, vault: Vault, row: _Row) -> Approval:
    answers = _answers(tx, row)
    if not _is_genuine(vault, row, answers):
        raise _forged(row[0], "its row is not what Leverframe wrote")
    return _approval(vault, row, answers)


def _approval(vault: Vault, row: _Row, answers: Sequence[_Row]) -> Approval:
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
        answers=tuple(_answer(vault, row, one) for one in answers),
        subject_digest=row[15],
    )


def _answer(vault: Vault, row: _Row, one: _Row) -> Answer:
    return Answer(
        principal=PrincipalId(one[0]),
        word=AnswerWord(one[1]),
        at=from_us(one[2]),
        reason=_reason(vault, row, one),
        proof=one[3],
        viewed_at=None if one[4] is None else from_us(one[4]),
    )


def _reason(vault: Vault, row: _Row, one: _Row) -> str:
    if one[5] is None or one[6] is None:
        return ""
    if one[7] is None:
        return ERASED
    key = DataKey(tenant=TenantId(row[1]), key_id=one[5], wrapped=one[7])
    inside = vault.open(key, _place(row[0], one[0]), one[6])
    return CHANGED if inside is None else inside.decode()
