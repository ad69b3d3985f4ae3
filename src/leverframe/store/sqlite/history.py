"""SQL of the questions that policy asks of earlier calls.

Reads `steps`, `call_values`, `runs` and `approvals`; owns and writes nothing.  What counts: tool calls in
flight, done and `unknown`, and held ones that were granted, in full; not pending holds, denials, nor errors proven
without effect.  A call whose start lies in the future (the clock jumped back) counts: no jump frees a limit.

The four scopes are four statements, so that each has an index of its own.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from types import MappingProxyType

from leverframe.domain.conditions import HistoryScope
from leverframe.domain.proposals import GuardFailed, HistoryLookup, HistoryStill, HistoryValues, OnceFree
from leverframe.domain.time import to_us

_SECOND_US = 1_000_000
_MILLIONTHS = 1_000_000
_PLACES = -6
# Wide enough that no sum of 64-bit amounts is ever rounded.
_EXACT = Context(prec=60)

# A sum is taken in whole units and in rest, since 64 bits could not hold it in millionths.
_OF_RUN = """
SELECT count(*), sum(v.amount / 1000000), sum(v.amount % 1000000), count(v.amount),
       count(CASE WHEN v.value_digest = :value_digest THEN 1 END)
  FROM steps AS s
  LEFT JOIN call_values AS v ON v.step_id = s.step_id AND v.arg = :arg
 WHERE s.run_id = :run_id AND s.name = :tool AND s.started_us >= :since_us AND s.kind = 'tool'
   AND s.path <> :except_path
   AND (s.state IN ('started', 'intended', 'ok', 'unknown')
        OR (s.state = 'held' AND EXISTS (
            SELECT 1 FROM approvals AS a WHERE a.approval_id = s.approval_id AND a.state = 'granted')))
"""

_OF_SUBJECT = """
SELECT count(*), sum(v.amount / 1000000), sum(v.amount % 1000000), count(v.amount),
       count(CASE WHEN v.value_digest = :value_digest THEN 1 END)
  FROM runs AS r
 CROSS JOIN steps AS s
  LEFT JOIN call_values AS v ON v.step_id = s.step_id AND v.arg = :arg
 WHERE r.subject_digest = :subject_digest AND r.tenant = :tenant
   AND s.run_id = r.run_id AND s.name = :tool AND s.started_us >= :since_us AND s.kind = 'tool'
   AND NOT (s.run_id = :run_id AND s.path = :except_path)
   AND (s.state IN ('started', 'intended', 'ok', 'unknown')
        OR (s.state = 'held' AND EXISTS (
            SELECT 1 FROM approvals AS a WHERE a.approval_id = s.approval_id AND a.state = 'granted')))
"""

_OF_WORKFLOW = """
SELECT count(*), sum(v.amount / 1000000), sum(v.amount % 1000000), count(v.amount),
       count(CASE WHEN v.value_digest = :value_digest THEN 1 END)
  FROM steps AS s
 CROSS JOIN runs AS r
  LEFT JOIN call_values AS v ON v.step_id = s.step_id AND v.arg = :arg
 WHERE s.name = :tool AND s.started_us >= :since_us AND s.kind = 'tool'
   AND r.run_id = s.run_id AND r.tenant = :tenant AND r.workflow = :workflow
   AND NOT (s.run_id = :run_id AND s.path = :except_path)
   AND (s.state IN ('started', 'intended', 'ok', 'unknown')
        OR (s.state = 'held' AND EXISTS (
            SELECT 1 FROM approvals AS a WHERE a.approval_id = s.approval_id AND a.state = 'granted')))
"""

_OF_TENANT = """
SELECT count(*), sum(v.amount / 1000000), sum(v.amount % 1000000), count(v.amount),
       count(CASE WHEN v.value_digest = :value_digest THEN 1 END)
  FROM steps AS s
 CROSS JOIN runs AS r
  LEFT JOIN call_values AS v ON v.step_id = s.step_id AND v.arg = :arg
 WHERE s.name = :tool AND s.started_us >= :since_us AND s.kind = 'tool'
   AND r.run_id = s.run_id AND r.tenant = :tenant
   AND NOT (s.run_id = :run_id AND s.path = :except_path)
   AND (s.state IN ('started', 'intended', 'ok', 'unknown')
        OR (s.state = 'held' AND EXISTS (
            SELECT 1 FROM approvals AS a WHERE a.approval_id = s.approval_id AND a.state = 'granted')))
"""

_BY_SCOPE: Mapping[HistoryScope, str] = MappingProxyType(
    {"run": _OF_RUN, "subject": _OF_SUBJECT, "workflow": _OF_WORKFLOW, "tenant": _OF_TENANT}
)

_ONCE_SEEN = """
SELECT s.run_id, s.path
  FROM steps AS s INDEXED BY steps_by_once
 CROSS JOIN runs AS r
 WHERE s.once_digest = :key_digest AND s.name = :tool AND NOT (s.run_id = :run_id AND s.path = :path)
   AND s.started_us >= :since_us
   AND r.run_id = s.run_id AND r.tenant = :tenant
   AND (s.state IN ('started', 'intended', 'ok', 'unknown')
        OR (s.state = 'held' AND EXISTS (
            SELECT 1 FROM approvals AS a WHERE a.approval_id = s.approval_id AND a.state = 'granted')))
 LIMIT 1
"""


def values(tx: sqlite3.Connection, lookups: Sequence[HistoryLookup]) -> HistoryValues:
    """Answer each lookup: int for count, Decimal for sum, bool for seen; None where nobody can know."""
    return {lookup.query: _value(tx, lookup) for lookup in lookups}


def still(tx: sqlite3.Connection, guard: HistoryStill) -> GuardFailed | None:
    """The guard `HistoryStill`: the decision's own function judges the values of now."""
    if guard.holds(values(tx, guard.lookups)):
        return None
    return GuardFailed(guard="HistoryStill", detail="another call changed the history that the decision rested on")


def free(tx: sqlite3.Connection, guard: OnceFree) -> GuardFailed | None:
    """The guard `OnceFree`."""
    found = _once(tx, guard)
    if found is None:
        return None
    detail = f"{guard.tool} was done for the same business act by step {found[1]} of {found[0]}"
    return GuardFailed(guard="OnceFree", detail=detail)


def once_seen(tx: sqlite3.Connection, guard: OnceFree) -> bool:
    """Whether another call did this business act since then."""
    return _once(tx, guard) is not None


def _value(tx: sqlite3.Connection, lookup: HistoryLookup) -> int | Decimal | bool | None:
    query = lookup.query
    statement = _BY_SCOPE.get(query.scope)
    if statement is None or (query.scope == "subject" and not lookup.subject_digest):
        return None
    if query.kind == "seen" and not lookup.value_digest:
        return None
    params = {
        "run_id": lookup.run_id,
        "tool": query.tool,
        "since_us": to_us(lookup.now) - query.window_s * _SECOND_US,
        "except_path": lookup.except_path,
        "arg": query.arg,
        "value_digest": lookup.value_digest,
    }
    if query.scope != "run":
        params["tenant"] = lookup.tenant
    if query.scope == "subject":
        params["subject_digest"] = lookup.subject_digest
    if query.scope == "workflow":
        params["workflow"] = lookup.workflow
    calls, whole, rest, exact, same = tx.execute(statement, params).fetchone()
    if query.kind == "count":
        return int(calls)
    if query.kind == "seen":
        return bool(same)
    if exact != calls:
        return None
    return Decimal((whole or 0) * _MILLIONTHS + (rest or 0)).scaleb(_PLACES, context=_EXACT)


def _once(tx: sqlite3.Connection, guard: OnceFree) -> tuple[str, str] | None:
    params = {
        "tenant": guard.tenant,
        "tool": guard.tool,
        "key_digest": guard.key_digest,
        "since_us": to_us(guard.since),
        "run_id": guard.run_id,
        "path": guard.path,
    }
    row: tuple[str, str] | None = tx.execute(_ONCE_SEEN, params).fetchone()
    return row
