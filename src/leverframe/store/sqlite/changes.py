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
    BooksAre,
    Change,
    CommitResult,
    Committed,
    DestroyKey,
    EnsureWindow,
    Guard,
    GuardFailed,
    HistoryStill,
    MoveApproval,
    NothingOpen,
    OnceFree,
    OpenRun,
    Proposal,
    PruneDisclosures,
    PutApproval,
    PutArtifact,
    PutEndorsement,
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
from leverframe.store.sqlite import approvals, artifacts, authority, disclosures, history, runs, windows
from leverframe.store.sqlite.batches import Batch


def carry_out(batch: Batch, proposal: Proposal) -> CommitResult:
    """Do all of a proposal, or say which guard failed; the caller then rolls its savepoint back.

    Raises:
        ValueError: the proposal is malformed, a bug of ours; the caller rolls back as well.
        sqlite3.Error: the database failed.
    """
    try:
        return _carry_out(batch, proposal)
    except sqlite3.IntegrityError as err:
        raise ValueError("A row of a proposal is there already, or refers to one that is not there") from err


def _carry_out(batch: Batch, proposal: Proposal) -> CommitResult:
    for guard in proposal.guards:
        failed = _check(batch, guard)
        if failed is not None:
            return failed
    for change in proposal.changes:
        failed = _do(batch, proposal.tenant, change)
        if failed is not None:
            return failed
    if batch.is_careful:
        batch.books.write()
    first_index = -1
    for draft in proposal.entries:
        if draft.tenant != proposal.tenant:
            raise ValueError(f"Entry {draft.entry_id!r} is of tenant {draft.tenant!r}, not {proposal.tenant!r}")
        index = batch.log.append(draft)
        first_index = index if first_index < 0 else first_index
    return Committed(first_index=first_index)


def _check(batch: Batch, guard: Guard) -> GuardFailed | None:
    match guard:
        case RunIs():
            return batch.run_is(guard)
        case HistoryStill():
            batch.steps.settle_for(guard.lookups)
            return history.still(batch.tx, guard)
        case OnceFree():
            batch.steps.settle_for_act(guard)
            return history.free(batch.tx, guard)
        case ApprovalUsable():
            return approvals.usable(batch.tx, batch.keys.vault, guard)
        case AuthorityIs():
            return batch.authority_is(guard)
        case NothingOpen():
            return batch.books.nothing_open(guard)
        case BooksAre():
            return batch.books.are(guard)
        case _:
            assert_never(guard)


def _do(batch: Batch, tenant: TenantId, change: Change) -> GuardFailed | None:
    match change:
        case PutStep():
            return batch.steps.put(change)
        case PutValue():
            batch.steps.put_value(change)
        case PutOnceKey():
            batch.steps.put_once_key(change)
        case TakeReserves() | SettleReserves() | SettleRun() | VoidReserves() | SettleDirect() | EnsureWindow():
            return _book(batch, tenant, change)
        case PutApproval() | AnswerApproval() | MoveApproval():
            return _ask(batch, change)
        case PutKey() | PutKill() | PutRaise() | PutEndorsement():
            batch.authority_moved()
            authority.put(batch.tx, batch.keys.vault, tenant, change)
        case _:
            return _write(batch, change)
    return None


def _book(
    batch: Batch,
    tenant: TenantId,
    change: TakeReserves | SettleReserves | SettleRun | VoidReserves | SettleDirect | EnsureWindow,
) -> GuardFailed | None:
    """The moves on budget windows."""
    match change:
        case TakeReserves():
            return batch.books.take(tenant, change)
        case SettleReserves():
            return batch.books.settle(tenant, change)
        case SettleRun():
            batch.books.settle_run(tenant, change)
        case VoidReserves():
            batch.books.void(tenant, change.reservation_id)
        case SettleDirect():
            batch.books.settle_direct(tenant, change)
        case EnsureWindow():
            batch.books.ensure(tenant, change)
        case _:
            assert_never(change)
    return None


def _ask(batch: Batch, change: PutApproval | AnswerApproval | MoveApproval) -> GuardFailed | None:
    """What becomes of held calls."""
    match change:
        case PutApproval():
            approvals.insert(batch.tx, batch.keys, change.approval)
        case AnswerApproval():
            return approvals.answer(batch.tx, batch.keys, change)
        case MoveApproval():
            return approvals.move(batch.tx, batch.keys.vault, change)
        case _:
            assert_never(change)
    return None


def _write(batch: Batch, change: OpenRun | PutRun | PutArtifact | PruneDisclosures | DestroyKey) -> GuardFailed | None:
    """Runs, releases, and what is deleted."""
    match change:
        case OpenRun():
            failed = runs.insert(batch.tx, batch.keys, change.run)
            if failed is not None:
                return failed
            for window in change.windows:
                windows.insert(batch.tx, change.run, window)
            batch.books.opened(change)
        case PutRun():
            batch.run_moved(change.run.run_id)
            return runs.replace(batch.tx, batch.keys, change)
        case PutArtifact():
            artifacts.put(batch.tx, change)
        case PruneDisclosures():
            disclosures.prune(batch.tx, change)
        case DestroyKey():
            return disclosures.destroy(batch.tx, batch.keys, change)
        case _:
            assert_never(change)
    return None
