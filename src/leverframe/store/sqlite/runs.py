"""SQL of `runs`.

Owner: the journal.  Writer: the store's writer.  Trust: trusted; whoever can edit this can reopen or end a run, and
only the evidence log would contradict it.
"""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from leverframe.domain.ids import EnvironmentName, PrincipalId, RunId, Sha256, TenantId, WorkflowName
from leverframe.domain.proposals import GuardFailed, PutRun, RunIs
from leverframe.domain.runs import Run, RunOutcome, RunState
from leverframe.domain.time import from_us, to_us
from leverframe.ports.audit import Unreadable
from leverframe.ports.store import RunFilter

_INSERT = """
INSERT INTO runs (
    run_id, tenant, environment, workflow, kind, release_digest, policy_digest, initiator, launcher, opened_us, state,
    outcome, stop_reason, handoff_queue, ended_us, active_us, waited_us, subject_digest, item, input_ref, output_ref,
    is_recorded_model
) VALUES (
    :run_id, :tenant, :environment, :workflow, :kind, :release_digest, :policy_digest, :initiator, :launcher,
    :opened_us, :state, :outcome, :stop_reason, :handoff_queue, :ended_us, :active_us, :waited_us, :subject_digest,
    :item, :input_ref, :output_ref, :is_recorded_model
)
"""

_UPDATE = """
UPDATE runs
   SET environment = :environment, workflow = :workflow, kind = :kind, release_digest = :release_digest,
       policy_digest = :policy_digest, initiator = :initiator, launcher = :launcher, opened_us = :opened_us,
       state = :state, outcome = :outcome, stop_reason = :stop_reason, handoff_queue = :handoff_queue,
       ended_us = :ended_us, active_us = :active_us, waited_us = :waited_us, subject_digest = :subject_digest,
       item = :item, input_ref = :input_ref, output_ref = :output_ref, is_recorded_model = :is_recorded_model
 WHERE run_id = :run_id AND tenant = :tenant AND state = :expect
"""

_STATE = "SELECT state FROM runs WHERE run_id = :run_id"

_ONE = """
SELECT run_id, tenant, environment, workflow, kind, release_digest, policy_digest, initiator, launcher, opened_us,
       state, outcome, stop_reason, handoff_queue, ended_us, active_us, waited_us, subject_digest, item, input_ref,
       output_ref, is_recorded_model
  FROM runs
 WHERE run_id = :run_id
"""

_NEWEST = """
SELECT run_id, tenant, environment, workflow, kind, release_digest, policy_digest, initiator, launcher, opened_us,
       state, outcome, stop_reason, handoff_queue, ended_us, active_us, waited_us, subject_digest, item, input_ref,
       output_ref, is_recorded_model
  FROM runs
 WHERE (:workflow IS NULL OR workflow = :workflow)
   AND (:state IS NULL OR state = :state)
   AND substr(item, 1, length(:item_prefix)) = :item_prefix
 ORDER BY opened_us DESC, run_id DESC
 LIMIT :limit
"""

_HEADS = """
SELECT r.run_id, r.tenant, r.state, r.subject_digest,
       (SELECT max(l.run_seq) FROM leaves AS l WHERE l.tenant = r.tenant AND l.run_id = r.run_id)
  FROM json_each(?1) AS j
 CROSS JOIN runs AS r
 WHERE r.run_id = j.value
"""

# Run, tenant, state, subject, and the place of its newest entry, None before the first.
Head = tuple[RunId, TenantId, str, bytes, int | None]


def heads(tx: sqlite3.Connection, run_ids: Collection[RunId]) -> Sequence[Head]:
    """What a batch asks of its runs; those that are not there are left out."""
    if not run_ids:
        return []
    return tx.execute(_HEADS, (msgspec.json.encode(list(run_ids)).decode(),)).fetchall()


def insert(tx: sqlite3.Connection, run: Run) -> None:
    """Write a new run.  A second one of the same id is a bug of ours and raises."""
    tx.execute(_INSERT, _params(run))


def replace(tx: sqlite3.Connection, change: PutRun) -> GuardFailed | None:
    """Compare-and-set of a run's row on its state."""
    if tx.execute(_UPDATE, {**_params(change.run), "expect": change.expect.value}).rowcount == 1:
        return None
    return GuardFailed(guard="PutRun", detail=_found(tx, change.run.run_id, change.expect))


def still(tx: sqlite3.Connection, guard: RunIs) -> GuardFailed | None:
    """The guard `RunIs`."""
    row = tx.execute(_STATE, {"run_id": guard.run_id}).fetchone()
    if row is not None and row[0] == guard.state.value:
        return None
    return GuardFailed(guard="RunIs", detail=_found(tx, guard.run_id, guard.state))


def one(tx: sqlite3.Connection, run_id: RunId) -> Run | None:
    """One run."""
    row = tx.execute(_ONE, {"run_id": run_id}).fetchone()
    return None if row is None else _run(row)


def newest(tx: sqlite3.Connection, wanted: RunFilter) -> Sequence[Run]:
    """Runs, newest first."""
    params = {
        "workflow": wanted.workflow,
        "state": None if wanted.state is None else wanted.state.value,
        "item_prefix": wanted.item_prefix,
        "limit": wanted.limit,
    }
    return [_run(row) for row in tx.execute(_NEWEST, params)]


def stored(tx: sqlite3.Connection, tenant: TenantId) -> Sequence[Run | Unreadable]:
    """All runs of a tenant, newest first, those included whose rows hold what is never written there."""
    found: list[Run | Unreadable] = []
    everything = {"workflow": None, "state": None, "item_prefix": "", "limit": -1}
    for row in tx.execute(_NEWEST, everything):
        if row[1] == tenant:
            try:
                found.append(_run(row))
            except (ValueError, OverflowError) as err:
                found.append(Unreadable(key=row[0], why=str(err)))
    return found


def _found(tx: sqlite3.Connection, run_id: RunId, expected: RunState) -> str:
    row = tx.execute(_STATE, {"run_id": run_id}).fetchone()
    return f"run {run_id} is {row[0] if row else 'not there'}, expected {expected.value}"


def _params(run: Run) -> Mapping[str, object]:
    return {
        "run_id": run.run_id,
        "tenant": run.tenant,
        "environment": run.environment,
        "workflow": run.workflow,
        "kind": run.kind,
        "release_digest": run.release_digest,
        "policy_digest": run.policy_digest,
        "initiator": run.initiator,
        "launcher": run.launcher,
        "opened_us": to_us(run.opened_at),
        "state": run.state.value,
        "outcome": None if run.outcome is None else run.outcome.value,
        "stop_reason": run.stop_reason,
        "handoff_queue": run.handoff_queue,
        "ended_us": None if run.ended_at is None else to_us(run.ended_at),
        "active_us": run.active_us,
        "waited_us": run.waited_us,
        "subject_digest": run.subject_digest,
        "item": run.item,
        "input_ref": run.input_ref,
        "output_ref": run.output_ref,
        "is_recorded_model": int(run.is_recorded_model),
    }


# Any: a row of SQLite has no static type; STRICT tables keep what each column may hold.
def _run(row: tuple[Any, ...]) -> Run:
    return Run(
        run_id=RunId(row[0]),
        tenant=TenantId(row[1]),
        environment=EnvironmentName(row[2]),
        workflow=WorkflowName(row[3]),
        kind=row[4],
        release_digest=Sha256(row[5]),
        policy_digest=Sha256(row[6]),
        initiator=PrincipalId(row[7]),
        launcher=PrincipalId(row[8]),
        opened_at=from_us(row[9]),
        state=RunState(row[10]),
        outcome=None if row[11] is None else RunOutcome(row[11]),
        stop_reason=row[12],
        handoff_queue=row[13],
        ended_at=None if row[14] is None else from_us(row[14]),
        active_us=row[15],
        waited_us=row[16],
        subject_digest=row[17],
        item=row[18],
        input_ref=row[19],
        output_ref=row[20],
        is_recorded_model=bool(row[21]),
    )
