"""Runs that an earlier version wrote without a MAC: each is tagged once, where the log says the same of it.

Knows: which entries speak of a run's row, and that the log may be believed: its leaves give the tree whose head carries
its own MAC.  Never: tags a row of which the log says otherwise; it is refused when it is read, and verify names it.
Not in the log and believed here: a run's item, its times at work, and its subject, which is held against the sealed
input when the run is taken up (leverframe.runtime.sessions).
"""

import sqlite3
from collections.abc import Mapping
from contextlib import suppress

from leverframe.core import merkle
from leverframe.core.canonical import decode
from leverframe.domain.errors import JsonInvalid
from leverframe.domain.evidence import EventType, TreeState
from leverframe.domain.ids import RunId, TenantId
from leverframe.domain.json import JsonObject
from leverframe.domain.runs import Run, RunState
from leverframe.domain.time import rfc3339
from leverframe.ports.vault import Vault
from leverframe.store.sqlite import evidence, runs, tree_tags

_PAGE = 4_096
_TOLD = frozenset({EventType.RUN_STARTED.value, EventType.RUN_ENDED.value})
_Told = Mapping[tuple[str, str], JsonObject]  # by type and run


def tag_those_in_the_log(tx: sqlite3.Connection, vault: Vault) -> None:
    """Tag what has no tag and agrees with its log."""
    waiting = runs.untagged(tx)
    for tenant in sorted({one.tenant for one in waiting}):
        told = _told(tx, vault, tenant, {one.run_id for one in waiting if one.tenant == tenant})
        for run in (one for one in waiting if one.tenant == tenant and _agrees(one, told)):
            runs.tag(tx, vault, run)


def _told(tx: sqlite3.Connection, vault: Vault, tenant: TenantId, wanted: set[RunId]) -> _Told:
    """Beginnings and ends of these runs; nothing where the log is not what the store wrote."""
    tree = evidence.tree_of(tx, tenant)
    if not tree_tags.is_genuine(tx, vault, tenant, tree):
        return {}
    found: dict[tuple[str, str], JsonObject] = {}
    grown = TreeState()
    for first in range(0, tree.size, _PAGE):
        page = [one.leaf for one in evidence.leaves(tx, tenant, first, _PAGE)]
        grown = merkle.extend(grown, map(merkle.leaf_hash, page)).state
        for entry in map(_entry, page):
            if entry.get("type") in _TOLD and entry.get("run_id") in wanted:
                found[str(entry["type"]), str(entry["run_id"])] = entry
    return found if grown == tree else {}


def _entry(leaf: bytes) -> JsonObject:
    with suppress(JsonInvalid):
        entry = decode(leaf)
        if isinstance(entry, Mapping):
            return entry
    return {}


def _agrees(run: Run, told: _Told) -> bool:
    first = told.get((EventType.RUN_STARTED.value, run.run_id))
    last = told.get((EventType.RUN_ENDED.value, run.run_id), {})
    if first is None:
        return False
    detail, sealed = first.get("detail"), first.get("_sd")
    said = detail if isinstance(detail, Mapping) else {}
    outcome = None if run.outcome is None else run.outcome.value
    same = [
        (run.release_digest, first.get("release_digest", "")),
        (run.policy_digest, first.get("policy_digest", "")),
        (run.environment, first.get("environment")),
        (run.initiator, first.get("actor")),
        (run.launcher, said.get("launcher")),
        (run.workflow, said.get("workflow")),
        (run.kind, said.get("kind")),
        (rfc3339(run.opened_at), first.get("at")),
        (run.state is RunState.ENDED, bool(last)),
        (outcome, last.get("outcome")),
    ]
    is_same_input = isinstance(sealed, list) and run.input_ref in sealed
    return is_same_input and all(row == log for row, log in same)
