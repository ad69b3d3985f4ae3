"""SQL of `steps` and `call_values`.

Owner: the journal.  Writer: the store's writer.  Trust: trusted; whoever can edit this can make a resumed run repeat
or skip a call, or hide a call from history rules; the evidence log would contradict it.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from leverframe.domain.ids import ApprovalId, CallId, RuleId, RunId, Sha256, StepPath
from leverframe.domain.money import MicroUsd
from leverframe.domain.proposals import GuardFailed, PutStep, PutValue
from leverframe.domain.runs import Step, StepKind, StepState
from leverframe.domain.time import from_us, to_us

_LARGEST = 2**63 - 1

_INSERT = """
INSERT INTO steps (
    step_id, run_id, path, kind, name, request_digest, started_us, state, call_id, attempts, finished_us, action_digest,
    decision, rule, rule_source, args_ref, result_ref, detail_ref, approval_id, idempotency_key, cost_microusd,
    input_tokens, output_tokens, error, is_counted, once_digest
) VALUES (
    ?25, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24,
    ?26
)
ON CONFLICT (run_id, path) DO NOTHING
"""

# As many slots as there are states: the text of the statement never depends on its values.
_UPDATE = """
UPDATE steps
   SET kind = ?3, name = ?4, request_digest = ?5, started_us = ?6, state = ?7, call_id = ?8, attempts = ?9,
       finished_us = ?10, action_digest = ?11, decision = ?12, rule = ?13, rule_source = ?14, args_ref = ?15,
       result_ref = ?16, detail_ref = ?17, approval_id = ?18, idempotency_key = ?19, cost_microusd = ?20,
       input_tokens = ?21, output_tokens = ?22, error = ?23, is_counted = ?24
 WHERE run_id = ?1 AND path = ?2 AND state IN (?25, ?26, ?27, ?28, ?29, ?30, ?31)
"""

# The same for a step whose kind, name and start stay: SQLite writes an index anew for each column that is set.
_UPDATE_SAME = """
UPDATE steps
   SET request_digest = ?5, state = ?7, call_id = ?8, attempts = ?9,
       finished_us = ?10, action_digest = ?11, decision = ?12, rule = ?13, rule_source = ?14, args_ref = ?15,
       result_ref = ?16, detail_ref = ?17, approval_id = ?18, idempotency_key = ?19, cost_microusd = ?20,
       input_tokens = ?21, output_tokens = ?22, error = ?23, is_counted = ?24
 WHERE run_id = ?1 AND path = ?2 AND kind = ?3 AND name = ?4 AND started_us = ?6
   AND state IN (?25, ?26, ?27, ?28, ?29, ?30, ?31)
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

_ONE = """
SELECT run_id, path, kind, name, request_digest, state, started_us, call_id, attempts, finished_us, action_digest,
       decision, rule, rule_source, args_ref, result_ref, detail_ref, approval_id, idempotency_key, cost_microusd,
       input_tokens, output_tokens, error, is_counted
  FROM steps
 WHERE run_id = :run_id AND path = :path
"""

_BUT_MODELS = """
SELECT run_id, path, kind, name, request_digest, state, started_us, call_id, attempts, finished_us, action_digest,
       decision, rule, rule_source, args_ref, result_ref, detail_ref, approval_id, idempotency_key, cost_microusd,
       input_tokens, output_tokens, error, is_counted
  FROM steps
 WHERE run_id = :run_id AND kind <> 'model'
 ORDER BY step_id
"""

_USED_UNTIL = """
SELECT max(max(started_us, coalesce(finished_us, 0))) FROM steps WHERE run_id = :run_id
 UNION ALL
SELECT max(CASE a.state WHEN 'pending' THEN a.decide_by_us WHEN 'granted' THEN a.execute_by_us ELSE a.decided_us END)
  FROM steps JOIN approvals AS a ON a.approval_id = steps.approval_id
 WHERE steps.run_id = :run_id AND steps.kind = 'tool' AND steps.approval_id <> ''
"""

# Answered from the index `steps_by_run` alone.
_TOOL_CALLS = "SELECT count(*) FROM steps WHERE run_id = :run_id AND kind = 'tool'"

_OF_CALL = """
SELECT run_id, path, kind, name, request_digest, state, started_us, call_id, attempts, finished_us, action_digest,
       decision, rule, rule_source, args_ref, result_ref, detail_ref, approval_id, idempotency_key, cost_microusd,
       input_tokens, output_tokens, error, is_counted
  FROM steps
 WHERE call_id = :call_id
"""

_PUT_VALUE = """
INSERT INTO call_values (step_id, arg, amount, value_digest) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (step_id, arg) DO UPDATE SET amount = excluded.amount, value_digest = excluded.value_digest
"""

_PUT_ONCE_KEY = "UPDATE steps SET once_digest = ?2 WHERE step_id = ?1"

_ID = "SELECT step_id FROM steps WHERE run_id = ?1 AND path = ?2"
_LAST_ID = "SELECT max(step_id) FROM steps"

Row = tuple[object, ...]


def last_id(tx: sqlite3.Connection) -> int:
    """The newest step's place; 0 where there is none."""
    (last,) = tx.execute(_LAST_ID).fetchone()
    return int(last or 0)


def id_of(tx: sqlite3.Connection, run_id: RunId, path: StepPath) -> int:
    """A step's place.  Raises ValueError where the step is not there."""
    row = tx.execute(_ID, (run_id, path)).fetchone()
    if row is None:
        raise ValueError(f"There is no step {path!r} of {run_id!r}; put it before its values")
    return int(row[0])


def insert(tx: sqlite3.Connection, rows: Sequence[Row]) -> int:
    """Write new steps, each a `row_of` with its place and its business act; returns how many were new."""
    return tx.executemany(_INSERT, rows).rowcount


def update(tx: sqlite3.Connection, row: Row) -> bool:
    """Write over a step, a `row_of` with the `slots_of` what is expected; whether it was in one of those states."""
    return tx.execute(_UPDATE_SAME, row).rowcount == 1 or tx.execute(_UPDATE, row).rowcount == 1


# Few sets of states are ever expected.
@lru_cache(maxsize=64)
def slots_of(expect: frozenset[StepState]) -> Row:
    """The states that a step may be in, as `update` takes them."""
    expected = sorted(state.value for state in expect) or [""]
    return tuple(expected[min(slot, len(expected) - 1)] for slot in range(_SLOTS))


def lost(tx: sqlite3.Connection, change: PutStep) -> GuardFailed:
    """Why a step could not be written."""
    row = tx.execute(_STATE, {"run_id": change.step.run_id, "path": change.step.path}).fetchone()
    return lost_to(change, row[0] if row else "absent")


def lost_to(change: PutStep, state: str) -> GuardFailed:
    """Why a step could not be written over one in this state."""
    wanted = "absent" if change.expect is None else " or ".join(sorted(state.value for state in change.expect))
    found = f"step {change.step.path} of {change.step.run_id} is {state}, expected {wanted}"
    return GuardFailed(guard="PutStep", detail=found)


def value_of(step_id: int, change: PutValue) -> Row:
    """One argument's value as `put_values` takes it.

    An amount beyond 64 bits is kept as inexact: a sum over it is unknown, which never allows.
    """
    is_exact = change.amount is not None and -_LARGEST <= change.amount <= _LARGEST
    return step_id, change.arg, change.amount if is_exact else None, change.value_digest


def put_values(tx: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Keep values for history.  A call decided anew over the same step replaces its own."""
    tx.executemany(_PUT_VALUE, rows)


def put_once_key(tx: sqlite3.Connection, step_id: int, key_digest: bytes) -> None:
    """Keep the business act of a call."""
    tx.execute(_PUT_ONCE_KEY, (step_id, key_digest))


def of_run(tx: sqlite3.Connection, run_id: RunId) -> Sequence[Step]:
    """All steps of a run in the order in which they were first written."""
    return [_step(row) for row in tx.execute(_OF_RUN, {"run_id": run_id})]


def one(tx: sqlite3.Connection, run_id: RunId, path: StepPath) -> Step | None:
    """One step."""
    row = tx.execute(_ONE, {"run_id": run_id, "path": path}).fetchone()
    return None if row is None else _step(row)


def but_models(tx: sqlite3.Connection, run_id: RunId) -> Sequence[Step]:
    """The steps of a run that are no model calls, in the order in which they were first written."""
    return [_step(row) for row in tx.execute(_BUT_MODELS, {"run_id": run_id})]


def used_until(tx: sqlite3.Connection, run_id: RunId) -> datetime | None:
    """When a step of a run last began or ended; or until when a person may answer one, or it may run on an answer."""
    found = [at_us for (at_us,) in tx.execute(_USED_UNTIL, {"run_id": run_id}) if at_us is not None]
    return from_us(max(found)) if found else None


def tool_call_count(tx: sqlite3.Connection, run_id: RunId) -> int:
    """How many tool calls of a run there are."""
    (found,) = tx.execute(_TOOL_CALLS, {"run_id": run_id}).fetchone()
    return int(found)


def of_call(tx: sqlite3.Connection, call_id: CallId) -> Step | None:
    """The step that a call is; reads every step, since nothing but a person's question asks for it."""
    row = tx.execute(_OF_CALL, {"call_id": call_id}).fetchone()
    return None if row is None else _step(row)


def row_of(step: Step) -> Row:
    """A step as `insert` and `update` begin with it."""
    return (
        step.run_id,
        step.path,
        step.kind.value,
        step.name,
        step.request_digest,
        to_us(step.started_at),
        step.state.value,
        step.call_id,
        step.attempts,
        None if step.finished_at is None else to_us(step.finished_at),
        step.action_digest,
        step.decision,
        step.rule,
        step.rule_source,
        step.args_ref,
        step.result_ref,
        step.detail_ref,
        step.approval_id,
        step.idempotency_key,
        step.cost,
        step.input_tokens,
        step.output_tokens,
        step.error,
        int(step.is_counted),
    )


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
