"""SQL of `runs`.

Owner: the journal.  Writer: the store's writer.  Trust: tagged; a row carries a MAC over all of it, under a key that is
not in the database: nobody with SQL alone points a run at another release or policy, at other people, or opens one
that has ended.  An editor can delete a row, or put an older one back; the first leaves its run unknown, the second is
refused where the log says that the run has ended, and `evidence verify` sees both.
Rules: docs/adr/0010-sealed-values-and-tagged-rows.md.
"""

import hmac
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec

from leverframe.domain.errors import AuthorityForged
from leverframe.domain.ids import EnvironmentName, PrincipalId, RunId, Sha256, TenantId, ToolName, WorkflowName
from leverframe.domain.proposals import GuardFailed, PutRun, RunIs
from leverframe.domain.runs import Run, RunOutcome, RunState
from leverframe.domain.time import from_us, to_us
from leverframe.ports.audit import StoredRun, Unreadable
from leverframe.ports.live import KeyUse, RunName
from leverframe.ports.store import RunFilter
from leverframe.ports.vault import Vault
from leverframe.store.sqlite.data_keys import Keys

_INSERT = """
INSERT INTO runs (
    run_id, tenant, environment, workflow, kind, release_digest, policy_digest, initiator, launcher, opened_us, state,
    outcome, stop_reason, handoff_queue, ended_us, active_us, waited_us, subject_digest, item, input_ref, output_ref,
    is_recorded_model, tag
) VALUES (
    :run_id, :tenant, :environment, :workflow, :kind, :release_digest, :policy_digest, :initiator, :launcher,
    :opened_us, :state, :outcome, :stop_reason, :handoff_queue, :ended_us, :active_us, :waited_us, :subject_digest,
    :item, :input_ref, :output_ref, :is_recorded_model, :tag
)
"""

_UPDATE = """
UPDATE runs
   SET environment = :environment, workflow = :workflow, kind = :kind, release_digest = :release_digest,
       policy_digest = :policy_digest, initiator = :initiator, launcher = :launcher, opened_us = :opened_us,
       state = :state, outcome = :outcome, stop_reason = :stop_reason, handoff_queue = :handoff_queue,
       ended_us = :ended_us, active_us = :active_us, waited_us = :waited_us, subject_digest = :subject_digest,
       item = :item, input_ref = :input_ref, output_ref = :output_ref, is_recorded_model = :is_recorded_model,
       tag = :tag
 WHERE run_id = :run_id AND tenant = :tenant AND state = :expect
"""

_STATE = "SELECT state, tag FROM runs WHERE run_id = :run_id"

_TAG = "UPDATE runs SET tag = :tag WHERE run_id = :run_id"

_ENDED = "SELECT 1 FROM leaves WHERE tenant = :tenant AND run_id = :run_id AND type = 'run.ended'"

_ONE = """
SELECT run_id, tenant, environment, workflow, kind, release_digest, policy_digest, initiator, launcher, opened_us,
       state, outcome, stop_reason, handoff_queue, ended_us, active_us, waited_us, subject_digest, item, input_ref,
       output_ref, is_recorded_model, tag
  FROM runs
 WHERE run_id = :run_id
"""

_NEWEST = """
SELECT run_id, tenant, environment, workflow, kind, release_digest, policy_digest, initiator, launcher, opened_us,
       state, outcome, stop_reason, handoff_queue, ended_us, active_us, waited_us, subject_digest, item, input_ref,
       output_ref, is_recorded_model, tag
  FROM runs
 WHERE (:workflow IS NULL OR workflow = :workflow)
   AND (:state IS NULL OR state = :state)
   AND substr(item, 1, length(:item_prefix)) = :item_prefix
 ORDER BY opened_us DESC, run_id DESC
 LIMIT :limit
"""

_LIVE = """
SELECT run_id, tenant, environment, workflow, kind, release_digest, policy_digest, initiator, launcher, opened_us,
       state, outcome, stop_reason, handoff_queue, ended_us, active_us, waited_us, subject_digest, item, input_ref,
       output_ref, is_recorded_model, tag
  FROM runs INDEXED BY runs_live
 WHERE tenant = :tenant AND workflow = :workflow AND environment = :environment AND item = :item
   AND state <> 'ended' AND item GLOB 'key:*'
"""

# The index holds the open runs of keys alone, so this reads those and no others.  See `steps.used_until`.
_IDLE = """
SELECT run_id FROM runs INDEXED BY runs_live
 WHERE state <> 'ended' AND item GLOB 'key:*' AND opened_us < :since_us
   AND NOT EXISTS (
       SELECT 1 FROM steps WHERE steps.run_id = runs.run_id
          AND (steps.started_us >= :since_us OR steps.finished_us >= :since_us)
   )
   AND NOT EXISTS (
       SELECT 1 FROM steps JOIN approvals AS a ON a.approval_id = steps.approval_id
        WHERE steps.run_id = runs.run_id AND steps.kind = 'tool' AND steps.approval_id <> '' AND :since_us <=
              CASE a.state WHEN 'pending' THEN a.decide_by_us WHEN 'granted' THEN a.execute_by_us ELSE a.decided_us END
   )
 ORDER BY run_id
 LIMIT :limit
"""

# A run that was over before answered nothing since; one may be open, and in use, for days.
_USES = """
SELECT DISTINCT r.workflow, r.environment, r.run_id, coalesce(s.name, '')
  FROM runs AS r INDEXED BY runs_by_initiator
  LEFT JOIN steps AS s ON s.run_id = r.run_id AND s.kind = 'tool' AND s.state IN ('ok', 'error', 'unknown')
       AND s.started_us >= :since_us
 WHERE r.initiator = :initiator AND coalesce(r.ended_us, 9223372036854775807) >= :since_us
   AND (s.name IS NOT NULL OR r.opened_us >= :since_us)
"""

_HEADS = """
SELECT r.run_id, r.tenant, r.state, r.tag, r.subject_digest,
       (SELECT max(l.run_seq) FROM leaves AS l WHERE l.tenant = r.tenant AND l.run_id = r.run_id)
  FROM json_each(?1) AS j
 CROSS JOIN runs AS r
 WHERE r.run_id = j.value
"""

# Run, tenant, state, tag, subject, and the place of its newest entry, None before the first.
Head = tuple[RunId, TenantId, str, bytes | None, bytes, int | None]


def heads(tx: sqlite3.Connection, run_ids: Collection[RunId]) -> Sequence[Head]:
    """What a batch asks of its runs; those that are not there are left out."""
    if not run_ids:
        return []
    return tx.execute(_HEADS, (msgspec.json.encode(list(run_ids)).decode(),)).fetchall()


_UNTAGGED = """
SELECT run_id, tenant, environment, workflow, kind, release_digest, policy_digest, initiator, launcher, opened_us,
       state, outcome, stop_reason, handoff_queue, ended_us, active_us, waited_us, subject_digest, item, input_ref,
       output_ref, is_recorded_model, tag
  FROM runs
 WHERE tag IS NULL
"""

# What a tag is over: every column of the row but the tag.
_COLUMNS = 22

# Any: a row of SQLite has no static type; STRICT tables keep what each column may hold.
_Row = tuple[Any, ...]
_pack = msgspec.msgpack.Encoder().encode


def insert(tx: sqlite3.Connection, keys: Keys, run: Run) -> GuardFailed | None:
    """Write a new run.  A second one of the same id is a bug of ours and raises; one of the same live name loses."""
    if run.item.startswith("key:"):
        name = RunName(tenant=run.tenant, workflow=run.workflow, environment=run.environment, item=run.item)
        there = live(tx, keys.vault, name)
        if there is not None:
            return GuardFailed(guard="OpenRun", detail=f"run {there.run_id} goes by that name")
    tx.execute(_INSERT, _with_tag(keys, run))
    return None


def replace(tx: sqlite3.Connection, keys: Keys, change: PutRun) -> GuardFailed | None:
    """Compare-and-set of a run's row on its state.

    Raises:
        AuthorityForged: the row that is there is not what was written.
    """
    if _is_in(tx, keys, change.run.run_id, change.expect):
        params = {**_with_tag(keys, change.run), "expect": change.expect.value}
        if tx.execute(_UPDATE, params).rowcount == 1:
            return None
    return GuardFailed(guard="PutRun", detail=_found(tx, change.run.run_id, change.expect))


def still(tx: sqlite3.Connection, keys: Keys, guard: RunIs) -> GuardFailed | None:
    """The guard `RunIs`.  Raises AuthorityForged as `replace` does."""
    if _is_in(tx, keys, guard.run_id, guard.state):
        return None
    return GuardFailed(guard="RunIs", detail=_found(tx, guard.run_id, guard.state))


def one(tx: sqlite3.Connection, vault: Vault, run_id: RunId) -> Run | None:
    """One run.

    Raises:
        AuthorityForged: the row is not what was written, or the log says that the run has ended and the row does not.
    """
    row = tx.execute(_ONE, {"run_id": run_id}).fetchone()
    if row is None:
        return None
    run = _believed(vault, row)
    # An older row, put back whole, has a good tag.
    if run.state is not RunState.ENDED and tx.execute(_ENDED, {"tenant": run.tenant, "run_id": run_id}).fetchone():
        raise _forged(run_id, f"it is {run.state.value}, and the log says that it has ended")
    return run


def live(tx: sqlite3.Connection, vault: Vault, name: RunName) -> Run | None:
    """The run of a name that has not ended.  Raises AuthorityForged where its row is not what was written."""
    params = {"tenant": name.tenant, "workflow": name.workflow, "environment": name.environment, "item": name.item}
    row = tx.execute(_LIVE, params).fetchone()
    return None if row is None else _believed(vault, row)


def idle(tx: sqlite3.Connection, since: datetime, limit: int) -> Sequence[RunId]:
    """Open runs of keys that nobody has used since then."""
    return [RunId(run_id) for (run_id,) in tx.execute(_IDLE, {"since_us": to_us(since), "limit": limit})]


def uses_of(tx: sqlite3.Connection, initiator: PrincipalId, since: datetime) -> Sequence[KeyUse]:
    """Each tool that answered since then in a run of this principal, also with why it did not."""
    params = {"initiator": initiator, "since_us": to_us(since)}
    return [
        KeyUse(
            workflow=WorkflowName(workflow),
            environment=EnvironmentName(place),
            run_id=RunId(run_id),
            tool=ToolName(tool),
        )
        for workflow, place, run_id, tool in tx.execute(_USES, params)
    ]


def newest(tx: sqlite3.Connection, vault: Vault, wanted: RunFilter) -> Sequence[Run]:
    """Runs, newest first.  Raises AuthorityForged where one is not what was written."""
    params = {
        "workflow": wanted.workflow,
        "state": None if wanted.state is None else wanted.state.value,
        "item_prefix": wanted.item_prefix,
        "limit": wanted.limit,
    }
    return [_believed(vault, row) for row in tx.execute(_NEWEST, params)]


def stored(tx: sqlite3.Connection, vault: Vault, tenant: TenantId) -> Sequence[StoredRun | Unreadable]:
    """All runs of a tenant, newest first, and whether each carries its tag; rows that nobody can read included."""
    found: list[StoredRun | Unreadable] = []
    everything = {"workflow": None, "state": None, "item_prefix": "", "limit": -1}
    for row in tx.execute(_NEWEST, everything):
        if row[1] == tenant:
            try:
                run = _run(row)
            except (ValueError, OverflowError) as err:
                found.append(Unreadable(key=row[0], why=str(err)))
            else:
                found.append(StoredRun(run=run, is_tagged=_is_genuine(vault, row)))
    return found


def untagged(tx: sqlite3.Connection) -> Sequence[Run]:
    """Runs that a version wrote which knew no tags, or whose tag somebody took away."""
    found = []
    for row in tx.execute(_UNTAGGED).fetchall():
        with suppress(ValueError, OverflowError):
            found.append(_run(row))
    return found


def tag(tx: sqlite3.Connection, vault: Vault, run: Run) -> None:
    """Tag a row that is believed."""
    tx.execute(_TAG, {"run_id": run.run_id, "tag": _tag_of(vault, run.tenant, tuple(_params(run).values()))})


def _is_in(tx: sqlite3.Connection, keys: Keys, run_id: RunId, state: RunState) -> bool:
    """Whether a run is in a state, by a row that carries its tag."""
    found = tx.execute(_STATE, {"run_id": run_id}).fetchone()
    if found is None or found[0] != state.value:
        return False
    # The MAC is computed once for each tag that this process meets: a guard stands in every write.
    if not keys.is_known_run(run_id, found):
        row = tx.execute(_ONE, {"run_id": run_id}).fetchone()
        if not _is_genuine(keys.vault, row):
            raise _forged(run_id, "its row is not what Leverframe wrote")
        keys.know_run(run_id, found)
    return True


def _believed(vault: Vault, row: _Row) -> Run:
    if not _is_genuine(vault, row):
        raise _forged(row[0], "its row is not what Leverframe wrote")
    return _run(row)


def _is_genuine(vault: Vault, row: _Row) -> bool:
    tenant, tag_there = TenantId(row[1]), row[_COLUMNS]
    if tag_there is None or not vault.has_tagged(tenant):
        return False
    return hmac.compare_digest(_tag_of(vault, tenant, row[:_COLUMNS]), tag_there)


def _tag_of(vault: Vault, tenant: TenantId, columns: _Row) -> bytes:
    return vault.tag(tenant, b"run\0" + _pack(columns))


def _with_tag(keys: Keys, run: Run) -> Mapping[str, object]:
    """The columns of a row, and its tag, which is remembered as good."""
    params = _params(run)
    made = _tag_of(keys.vault, run.tenant, tuple(params.values()))
    keys.know_run(run.run_id, (run.state.value, made))
    return {**params, "tag": made}


def _forged(run_id: str, why: str) -> AuthorityForged:
    return AuthorityForged(
        f"Run {run_id!r} was changed outside of Leverframe: {why}.  It is not gone on with.",
        next_move="Keep the database as it is, and find what else was changed: leverframe evidence verify",
    )


def _found(tx: sqlite3.Connection, run_id: RunId, expected: RunState) -> str:
    row = tx.execute(_STATE, {"run_id": run_id}).fetchone()
    return f"run {run_id} is {row[0] if row else 'not there'}, expected {expected.value}"


def _params(run: Run) -> Mapping[str, object]:
    """The columns, in the order in which they are read: a tag is over them in that order."""
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


def _run(row: _Row) -> Run:
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
