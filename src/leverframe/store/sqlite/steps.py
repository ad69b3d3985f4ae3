"""SQL of `steps` and `call_values`.

Owner: the journal.  Writer: the store's writer.  Trust: trusted; whoever can edit this can make a resumed run repeat
or skip a call, or hide a call from history rules; the evidence log would contradict it.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from leverframe.domain.ids import ApprovalId, CallId, RuleId, RunId, Sha256, StepPath
from leverframe.domain.money import MicroUsd
from leverframe.domain.proposals import GuardFailed, PutOnceKey, PutStep, PutValue
from leverframe.domain.runs import Step, StepKind, StepState
from leverframe.domain.time import from_us, to_us

_LARGEST = 2**63 - 1

_INSERT = """
INSERT INTO steps (
    run_id, path, kind, name, request_digest, state, started_us, call_id, attempts, finished_us, action_digest,
    decision, rule, rule_source, args_ref, result_ref, detail_ref, approval_id, idempotency_key, cost_microusd,
    input_tokens, output_tokens, error, is_counted
) VALUES (
    :run_id, :path, :kind, :name, :request_digest, :state, :started_us, :call_id, :attempts, :finished_us,
    :action_digest, :decision, :rule, :rule_source, :args_ref, :result_ref, :detail_ref, :approval_id,
    :idempotency_key, :cost_microusd, :input_tokens, :output_tokens, :error, :is_counted
)
ON CONFLICT (run_id, path) DO NOTHING
"""

# As many slots as there are states: the text of the statement never depends on its values.
_UPDATE = """
UPDATE steps
   SET kind = :kind, name = :name, request_digest = :request_digest, state = :state, started_us = :started_us,
       call_id = :call_id, attempts = :attempts, finished_us = :finished_us, action_digest = :action_digest,
       decision = :decision, rule = :rule, rule_source = :rule_source, args_ref = :args_ref,
       result_ref = :result_ref, detail_ref = :detail_ref, approval_id = :approval_id,
       idempotency_key = :idempotency_key, cost_microusd = :cost_microusd, input_tokens = :input_tokens,
       output_tokens = :output_tokens, error = :error, is_counted = :is_counted
 WHERE run_id = :run_id AND path = :path
   AND state IN (:expect_0, :expect_1, :expect_2, :expect_3, :expect_4, :expect_5, :expect_6)
"""
_SLOTS = len(StepState)

_STATE = "SELECT state FROM steps WHERE run_id = :run_id AND path = :path"

_OF_RUN = """
SELECT run_id, path, kind, name, request_digest, state, started_us, call_id, attempts, finished_us, action_digest,
       decision, rule, rule_source, args_ref, result_ref, detail_ref, approval_id, idempotency_key, cost_microusd,
       input_tokens, output_tokens, error, is_counted
  FROM steps
 WHERE run_id = :run_id
 ORDER BY step_id
"""

_OF_CALL = """
SELECT run_id, path, kind, name, request_digest, state, started_us, call_id, attempts, finished_us, action_digest,
       decision, rule, rule_source, args_ref, result_ref, detail_ref, approval_id, idempotency_key, cost_microusd,
       input_tokens, output_tokens, error, is_counted
  FROM steps
 WHERE call_id = :call_id
"""

_PUT_VALUE = """
INSERT INTO call_values (step_id, arg, amount, value_digest)
SELECT step_id, ?3, ?4, ?5 FROM steps WHERE run_id = ?1 AND path = ?2
ON CONFLICT (step_id, arg) DO UPDATE SET amount = excluded.amount, value_digest = excluded.value_digest
"""

_PUT_ONCE_KEY = """
UPDATE steps SET once_digest = :key_digest WHERE run_id = :run_id AND path = :path
"""


def put(tx: sqlite3.Connection, change: PutStep) -> GuardFailed | None:
    """Write a step, new or over one in an expected state."""
    params = _params(change.step)
    if change.expect is None:
        cursor = tx.execute(_INSERT, params)
    else:
        expected = sorted(state.value for state in change.expect) or [""]
        slots = {f"expect_{slot}": expected[min(slot, len(expected) - 1)] for slot in range(_SLOTS)}
        cursor = tx.execute(_UPDATE, {**params, **slots})
    if cursor.rowcount == 1:
        return None
    row = tx.execute(_STATE, {"run_id": change.step.run_id, "path": change.step.path}).fetchone()
    wanted = "absent" if change.expect is None else " or ".join(sorted(state.value for state in change.expect))
    found = f"step {change.step.path} of {change.step.run_id} is {row[0] if row else 'absent'}, expected {wanted}"
    return GuardFailed(guard="PutStep", detail=found)


def put_value(tx: sqlite3.Connection, change: PutValue) -> None:
    """Keep one argument's value for history.  A call decided anew over the same step replaces it.

    An amount beyond 64 bits is kept as inexact: a sum over it is unknown, which never allows.
    """
    is_exact = change.amount is not None and -_LARGEST <= change.amount <= _LARGEST
    amount = change.amount if is_exact else None
    params = (change.run_id, change.path, change.arg, amount, change.value_digest)
    if tx.execute(_PUT_VALUE, params).rowcount != 1:
        raise _no_step(change)


def put_once_key(tx: sqlite3.Connection, change: PutOnceKey) -> None:
    """Keep the business act of a call."""
    params = {"run_id": change.run_id, "path": change.path, "key_digest": change.key_digest}
    if tx.execute(_PUT_ONCE_KEY, params).rowcount != 1:
        raise _no_step(change)


def of_run(tx: sqlite3.Connection, run_id: RunId) -> Sequence[Step]:
    """All steps of a run in the order in which they were first written."""
    return [_step(row) for row in tx.execute(_OF_RUN, {"run_id": run_id})]


def of_call(tx: sqlite3.Connection, call_id: CallId) -> Step | None:
    """The step that a call is; reads every step, since nothing but a person's question asks for it."""
    row = tx.execute(_OF_CALL, {"call_id": call_id}).fetchone()
    return None if row is None else _step(row)


def _no_step(change: PutValue | PutOnceKey) -> ValueError:
    return ValueError(f"There is no step {change.path!r} of {change.run_id!r}; put it before its values")


def _params(step: Step) -> Mapping[str, object]:
    return {
        "run_id": step.run_id,
        "path": step.path,
        "kind": step.kind.value,
        "name": step.name,
        "request_digest": step.request_digest,
        "state": step.state.value,
        "started_us": to_us(step.started_at),
        "call_id": step.call_id,
        "attempts": step.attempts,
        "finished_us": None if step.finished_at is None else to_us(step.finished_at),
        "action_digest": step.action_digest,
        "decision": step.decision,
        "rule": step.rule,
        "rule_source": step.rule_source,
        "args_ref": step.args_ref,
        "result_ref": step.result_ref,
        "detail_ref": step.detail_ref,
        "approval_id": step.approval_id,
        "idempotency_key": step.idempotency_key,
        "cost_microusd": step.cost,
        "input_tokens": step.input_tokens,
        "output_tokens": step.output_tokens,
        "error": step.error,
        "is_counted": int(step.is_counted),
    }


# Any: a row of SQLite has no static type; STRICT tables keep what each column may hold.
def _step(row: tuple[Any, ...]) -> Step:
    return Step(
        run_id=RunId(row[0]),
        path=StepPath(row[1]),
        kind=StepKind(row[2]),
        name=row[3],
        request_digest=row[4],
        state=StepState(row[5]),
        started_at=from_us(row[6]),
        call_id=CallId(row[7]),
        attempts=row[8],
        finished_at=None if row[9] is None else from_us(row[9]),
        action_digest=Sha256(row[10]),
        decision=row[11],
        rule=RuleId(row[12]),
        rule_source=row[13],
        args_ref=row[14],
        result_ref=row[15],
        detail_ref=row[16],
        approval_id=ApprovalId(row[17]),
        idempotency_key=row[18],
        cost=MicroUsd(row[19]),
        input_tokens=row[20],
        output_tokens=row[21],
        error=row[22],
        is_counted=bool(row[23]),
    )
