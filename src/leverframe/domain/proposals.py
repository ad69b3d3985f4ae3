"""What the one writer commits: guards, changes and evidence of one decision or outcome, all or nothing.

Knows: the shape of a proposal.  Never: SQL.  The store carries each out inside one transaction, in a savepoint of
its own; a guard that fails rolls the savepoint back and says which.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from leverframe.domain.approvals import Answer, Approval, ApprovalState
from leverframe.domain.authority import ApiKey, BudgetRaise, Endorsement, KillSwitch
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.conditions import HistoryQuery
from leverframe.domain.evidence import EntryDraft, KeptValue
from leverframe.domain.ids import (
    ApprovalId,
    ReservationId,
    RunId,
    Sha256,
    StepPath,
    TenantId,
    ToolName,
    WindowId,
    WorkflowName,
)
from leverframe.domain.policy import Reserve
from leverframe.domain.runs import Run, RunState, Step, StepState


class HistoryLookup(msgspec.Struct, frozen=True, kw_only=True):
    """One history query with the run it is asked for.

    Counts calls in flight, done, granted and `unknown`; not pending holds, denials, nor errors without effect.
    `value_digest` is the keyed hash for `seen`; `subject_digest` empty with scope `subject` is unknown.
    """

    query: HistoryQuery
    tenant: TenantId
    run_id: RunId
    workflow: WorkflowName
    subject_digest: bytes
    value_digest: bytes
    now: datetime
    except_path: StepPath  # the call itself is left out


HistoryValues = Mapping[HistoryQuery, object]


class HistoryStill(msgspec.Struct, frozen=True, kw_only=True):
    """Guard: asked again in the transaction, the history still gives the same decision.

    `holds` is a pure function of the new values; a closure over the question and the compiled policy.
    """

    lookups: tuple[HistoryLookup, ...]
    holds: Callable[[HistoryValues], bool]


class RunIs(msgspec.Struct, frozen=True, kw_only=True):
    """Guard: the run is in this state."""

    run_id: RunId
    state: RunState


class ApprovalUsable(msgspec.Struct, frozen=True, kw_only=True):
    """Guard: granted, unused, within its clock, over this action."""

    approval_id: ApprovalId
    action_digest: Sha256
    now: datetime


class OnceFree(msgspec.Struct, frozen=True, kw_only=True):
    """Guard: no other call of this business act since then (in flight, done, granted or unknown)."""

    tenant: TenantId
    tool: ToolName
    key_digest: bytes
    since: datetime
    run_id: RunId
    path: StepPath


class AuthorityIs(msgspec.Struct, frozen=True, kw_only=True):
    """Guard: nobody changed a key, a kill switch, a raised budget or an endorsement since this generation was read.

    It costs one comparison: the store reads the number once for all proposals of a transaction.
    """

    generation: int


class NothingOpen(msgspec.Struct, frozen=True, kw_only=True):
    """Guard: no call of the run is on its way: each reservation of it is settled or voided."""

    run_id: RunId


class BooksAre(msgspec.Struct, frozen=True, kw_only=True):
    """Guard: what is settled in these windows is still this."""

    settled: Mapping[tuple[WindowId, BudgetUnit], int]


Guard = HistoryStill | RunIs | ApprovalUsable | OnceFree | AuthorityIs | NothingOpen | BooksAre


class OpenRun(msgspec.Struct, frozen=True, kw_only=True):
    """A new run with its budget windows.

    Fails where `run.item` begins with "key:" and another run of that name, tenant, workflow and environment has not
    ended.
    """

    run: Run
    windows: tuple[Window, ...]


class PutRun(msgspec.Struct, frozen=True, kw_only=True):
    """Replace a run's row, if it is still in `expect`."""

    run: Run
    expect: RunState


class PutStep(msgspec.Struct, frozen=True, kw_only=True):
    """Write a step; `expect` None: it must not exist yet; else its state must be one of these."""

    step: Step
    expect: frozenset[StepState] | None


class PutValue(msgspec.Struct, frozen=True, kw_only=True):
    """One argument's value of a call, for history: an exact amount in millionths, and a keyed hash."""

    run_id: RunId
    path: StepPath
    tool: ToolName
    arg: str
    amount: int | None
    value_digest: bytes


class PutOnceKey(msgspec.Struct, frozen=True, kw_only=True):
    """The business act that a call does, for `once_per`."""

    run_id: RunId
    path: StepPath
    tool: ToolName
    key_digest: bytes


class EnsureWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A window that spans runs: made where it is missing; its limit, source and end follow the project's file.

    `window.settled` and `window.reserved` are not read: a new window begins empty and an old one keeps its books.
    `resets_at` is the end of its period, None for `total`; the id names the period, so a new period is a new window.
    """

    window: Window
    tenant: TenantId
    resets_at: datetime | None


class TakeReserves(msgspec.Struct, frozen=True, kw_only=True):
    """Reserve in every window or in none; a window without room fails the proposal.

    Windows are those of the proposal's tenant: the run's own, and shared ones that `EnsureWindow` made.
    """

    reservation_id: ReservationId
    run_id: RunId
    path: StepPath
    reserves: tuple[Reserve, ...]


class SettleReserves(msgspec.Struct, frozen=True, kw_only=True):
    """Turn a reservation into spending, once.

    What `actual` does not name is settled as it was reserved, and what was at work (`in_flight`) as nothing.
    """

    reservation_id: ReservationId
    actual: Mapping[tuple[WindowId, BudgetUnit], int]


class SettleRun(msgspec.Struct, frozen=True, kw_only=True):
    """Settle all that a run has open at its bound: its worker is dead, and what the calls took cannot be known.

    Whoever proposes it holds the run's claim, or the run has ended.
    """

    run_id: RunId


class VoidReserves(msgspec.Struct, frozen=True, kw_only=True):
    """Give back a reservation whose call never left the process."""

    reservation_id: ReservationId


class SettleDirect(msgspec.Struct, frozen=True, kw_only=True):
    """Count something without reserving it first (the step counter, wall time): settled += amount, no room asked."""

    window_id: WindowId
    unit: BudgetUnit
    amount: int


class PutApproval(msgspec.Struct, frozen=True, kw_only=True):
    """A new approval."""

    approval: Approval


class AnswerApproval(msgspec.Struct, frozen=True, kw_only=True):
    """Record one answer and the state it leads to, if the approval is still `pending` over this action.

    `answers_before` is how many answers the state was computed from: two who answer at once must both be counted.
    """

    approval_id: ApprovalId
    action_digest: Sha256
    answer: Answer
    answers_before: int
    state: ApprovalState
    execute_by: datetime | None


class MoveApproval(msgspec.Struct, frozen=True, kw_only=True):
    """Compare-and-set of an approval's state (consumed, expired, cancelled, superseded)."""

    approval_id: ApprovalId
    expect: ApprovalState
    to: ApprovalState


class PutArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """Keep the bytes of a file that a release is made of, by their digest.  A second time is nothing."""

    release_digest: Sha256
    sha256: Sha256
    name: str
    content: bytes


class PruneDisclosures(msgspec.Struct, frozen=True, kw_only=True):
    """Delete these disclosures (retention); their digests stay in the leaves, so every proof holds."""

    tenant: TenantId
    values: tuple[KeptValue, ...]


class DestroyKey(msgspec.Struct, frozen=True, kw_only=True):
    """Erase a subject: delete these disclosures, the last that are left of them, and destroy the key that sealed them.

    Fails where more is left under that key than was named.  Goes with `disclosure.erased` entries that name every
    digest; what is said of the subject afterwards is under a new key.  `run_id` counts where `subject_digest` is empty:
    a run without a subject has a key of its own.
    """

    tenant: TenantId
    values: tuple[KeptValue, ...]
    subject_digest: bytes = b""
    run_id: RunId = RunId("")


class PutKey(msgspec.Struct, frozen=True, kw_only=True):
    """Write an API key, or replace the one of its id.  Bumps the authority's generation by one."""

    key: ApiKey


class PutKill(msgspec.Struct, frozen=True, kw_only=True):
    """Throw a kill switch (`is_on`), or clear the one of its scope, name and tenant.  Bumps the generation by one."""

    kill: KillSwitch
    is_on: bool


class PutRaise(msgspec.Struct, frozen=True, kw_only=True):
    """Raise a budget for a while.  Bumps the authority's generation by one."""

    budget_raise: BudgetRaise


class PutEndorsement(msgspec.Struct, frozen=True, kw_only=True):
    """Endorse a value of a run that has not ended.  Bumps the authority's generation by one."""

    endorsement: Endorsement


Change = (
    OpenRun
    | PutRun
    | PutStep
    | PutValue
    | PutOnceKey
    | EnsureWindow
    | TakeReserves
    | SettleReserves
    | SettleRun
    | VoidReserves
    | SettleDirect
    | PutApproval
    | AnswerApproval
    | MoveApproval
    | PutArtifact
    | PruneDisclosures
    | DestroyKey
    | PutKey
    | PutKill
    | PutRaise
    | PutEndorsement
)


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """One unit of work for the writer: guards, then changes in order, then evidence entries in order.

    `is_durable`: the answer waits for the flush (writes, approvals, authority rows); else for visibility.
    """

    tenant: TenantId
    guards: tuple[Guard, ...] = ()
    changes: tuple[Change, ...] = ()
    entries: tuple[EntryDraft, ...] = ()
    is_durable: bool = True


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """Done; `first_index` is the place of its first evidence entry in the tenant's tree, -1 without entries."""

    first_index: int


class GuardFailed(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing of the proposal happened.  `guard` is the kind, e.g. "HistoryStill", "TakeReserves", "PutStep"."""

    guard: str
    detail: str


CommitResult = Committed | GuardFailed
