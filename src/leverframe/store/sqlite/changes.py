"""Carrying out one proposal inside the writer's transaction: guards, then changes, then entries, in order.

Knows: which module answers each guard and does each change.  Never: begins, commits or rolls back; the writer does.
"""

import sqlite3
from typing import assert_never

from leverframe.domain.ids import TenantId
from leverframe.domain.proposals import (
    AnswerApproval,
    ApprovalUsable,
    AuthorityIs,
    Change,
    CommitResult,
    Committed,
    DestroyKey,
    EnsureWindow,
    Guard,
    GuardFailed,
    HistoryStill,
    MoveApproval,
    OnceFree,
    OpenRun,
    Proposal,
    PruneDisclosures,
    PutApproval,
    PutArtifact,
    PutKey,
    PutKill,
    PutOnceKey,
    PutRaise,
    PutRun,
    PutStep,
    PutValue,
    RunIs,
    SettleDirect,
    SettleReserves,
    SettleRun,
    TakeReserves,
    VoidReserves,
)
from leverframe.store.sqlite import approvals, artifacts, authority, disclosures, history, runs, steps, windows
from leverframe.store.sqlite.data_keys import Keys
from leverframe.store.sqlite.evidence import Appender
from leverframe.store.sqlite.windows import Leases


def carry_out(tx: sqlite3.Connection, log: Appender, leases: Leases, proposal: Proposal) -> CommitResult:
    """Do all of a proposal, or say which guard failed; the caller then rolls its savepoint back.

    Raises:
        ValueError: the proposal is malformed, a bug of ours; the caller rolls back as well.
        sqlite3.Error: the database failed.
    """
    try:
        return _carry_out(tx, log, leases, proposal)
    except sqlite3.IntegrityError as err:
        raise ValueError("A row of a proposal is there already, or refers to one that is not there") from err


def _carry_out(tx: sqlite3.Connection, log: Appender, leases: Leases, proposal: Proposal) -> CommitResult:
    for guard in proposal.guards:
        failed = _check(tx, log.keys, leases, guard)
        if failed is not None:
            return failed
    for change in proposal.changes:
        failed = _do(tx, log.keys, leases, proposal.tenant, change)
        if failed is not None:
            return failed
    first_index = -1
    for draft in proposal.entries:
        if draft.tenant != proposal.tenant:
            raise ValueError(f"Entry {draft.entry_id!r} is of tenant {draft.tenant!r}, not {proposal.tenant!r}")
        index = log.append(draft)
        first_index = index if first_index < 0 else first_index
    return Committed(first_index=first_index)


def _check(tx: sqlite3.Connection, keys: Keys, leases: Leases, guard: Guard) -> GuardFailed | None:
    match guard:
        case HistoryStill():
            return history.still(tx, guard)
        case RunIs():
            return runs.still(tx, guard)
        case ApprovalUsable():
            return approvals.usable(tx, keys.vault, guard)
        case OnceFree():
            return history.free(tx, guard)
        case AuthorityIs():
            if leases.generation is None:
                leases.generation = authority.generation(tx)
            return authority.still(leases.generation, guard)
        case _:
            assert_never(guard)


def _do(tx: sqlite3.Connection, keys: Keys, leases: Leases, tenant: TenantId, change: Change) -> GuardFailed | None:
    match change:
        case PutRun():
            return runs.replace(tx, change)
        case PutStep():
            return steps.put(tx, change)
        case TakeReserves() | SettleReserves() | SettleRun() | VoidReserves() | SettleDirect() | EnsureWindow():
            return _book(tx, leases, tenant, change)
        case AnswerApproval():
            return approvals.answer(tx, keys, change)
        case MoveApproval():
            return approvals.move(tx, keys.vault, change)
        case DestroyKey():
            return disclosures.destroy(tx, keys, change)
        case PutKey() | PutKill() | PutRaise():
            # Read again by whoever asks next, also where this proposal is rolled back.
            leases.generation = None
            authority.put(tx, keys.vault, tenant, change)
            return None
        case _:
            _write(tx, keys, change)
            return None


def _book(
    tx: sqlite3.Connection,
    leases: Leases,
    tenant: TenantId,
    change: TakeReserves | SettleReserves | SettleRun | VoidReserves | SettleDirect | EnsureWindow,
) -> GuardFailed | None:
    """The moves on budget windows."""
    match change:
        case TakeReserves():
            return windows.take(tx, leases, tenant, change)
        case SettleReserves():
            return windows.settle(tx, leases, tenant, change)
        case SettleRun():
            windows.settle_run(tx, leases, tenant, change)
        case VoidReserves():
            windows.void(tx, leases, tenant, change.reservation_id)
        case SettleDirect():
            windows.settle_direct(tx, leases, tenant, change)
        case EnsureWindow():
            if change.tenant != tenant:
                raise ValueError(f"Window {change.window.window_id!r} is of {change.tenant!r}, not of {tenant!r}")
            windows.ensure(tx, change)
        case _:
            assert_never(change)
    return None


def _write(
    tx: sqlite3.Connection,
    keys: Keys,
    change: OpenRun | PutValue | PutOnceKey | PutApproval | PutArtifact | PruneDisclosures,
) -> None:
    """The changes that have no guard of their own."""
    match change:
        case OpenRun():
            runs.insert(tx, change.run)
            for window in change.windows:
                windows.insert(tx, change.run, window)
        case PutValue():
            steps.put_value(tx, change)
        case PutOnceKey():
            steps.put_once_key(tx, change)
        case PutApproval():
            approvals.insert(tx, keys, change.approval)
        case PutArtifact():
            artifacts.put(tx, change)
        case PruneDisclosures():
            disclosures.prune(tx, change)
        case _:
            assert_never(change)
