"""The store: one writer, and reads without a lock.

Contract for every implementation (tests/contract/test_store_*.py):
- A proposal happens whole or not at all, and its evidence entries with it, in one transaction.
- `commit` returns after the flush for a durable proposal, and after visibility to every process otherwise; what is
  visible is flushed within 10 ms, and by any durable commit after it.  A crash of the machine loses the end of what was
  not flushed, never a part from the middle; windows then count as used up to a flushed ceiling.
- Proposals of one caller commit in the order of their calls.  `run_seq` of entries is 1, 2, 3 … per run, without gap.
- Guards are evaluated inside the transaction; a failed guard or a lost compare-and-set is a `GuardFailed`, never an
  exception.  An exception (`StoreUnavailable`) means that nothing of the proposal happened.
- Reads see everything committed before they began.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from leverframe.core.notes import SignedHead
from leverframe.domain.approvals import Approval, ApprovalState
from leverframe.domain.authority import Authority
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.evidence import Disclosure, EntryDraft, KeptValue, TreeState
from leverframe.domain.ids import ApprovalId, CallId, EntryId, RunId, Sha256, StepPath, TenantId, WindowId, WorkflowName
from leverframe.domain.proposals import CommitResult, HistoryLookup, HistoryValues, OnceFree, Proposal
from leverframe.domain.runs import Run, RunState, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Forfeited:
    """A window that counts as used up to its ceiling after the machine crashed: by `amount` more than its books."""

    window_id: WindowId
    unit: BudgetUnit
    tenant: TenantId
    run_id: RunId | None
    amount: int


ForfeitEntry = Callable[[Forfeited], EntryDraft]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """How a log goes on from a backup: in `epoch`, from its first `kept` entries.  `lost` is the head given up.

    `unended` are the runs that the backup has open: what they did after it was made is not known any more.
    """

    tenant: TenantId
    epoch: int
    kept: int
    lost: SignedHead
    unended: tuple[RunId, ...]


# The entries that begin the epoch, the first of them `log.recovered`.
RecoveryEntries = Callable[[Recovered], Sequence[EntryDraft]]


class Writer(Protocol):
    """The one way to change anything."""

    async def commit(self, proposal: Proposal) -> CommitResult:
        """Carry out a proposal.  Raises StoreUnavailable when the database cannot take it."""
        ...

    async def close(self) -> None:
        """Finish what waits, then stop.  Safe to call twice."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs to list; newest first."""

    workflow: WorkflowName | None = None
    state: RunState | None = None
    item_prefix: str = ""
    limit: int = 50


class Journal(Protocol):
    """Reads of runs, steps, windows and history."""

    async def run(self, run_id: RunId) -> Run | None:
        """One run."""
        ...

    async def runs(self, wanted: RunFilter) -> Sequence[Run]:
        """Runs, newest first."""
        ...

    async def steps(self, run_id: RunId) -> Sequence[Step]:
        """All steps of a run in the order in which they were first written."""
        ...

    async def step(self, run_id: RunId, path: StepPath) -> Step | None:
        """One step."""
        ...

    async def tool_call_count(self, run_id: RunId) -> int:
        """How many tool calls of a run are recorded, whatever became of them; cheap, for the door asks with each."""
        ...

    async def step_of_call(self, call_id: CallId) -> Step | None:
        """The step that a call is; for a person who asks, not for the door: it may read every step."""
        ...

    async def windows(self, run_id: RunId) -> Sequence[Window]:
        """The run's budget windows with what is settled and reserved."""
        ...

    async def shared_windows(self, window_ids: Sequence[WindowId]) -> Sequence[Window]:
        """Windows that span runs, every unit of each, by id and unit; an id that nobody ensured is left out."""
        ...

    async def unsettled_runs(self, limit: int) -> Sequence[RunId]:
        """Runs with an open reservation, by id: those at work, and those whose worker died (see `SettleRun`)."""
        ...

    async def history(self, lookups: Sequence[HistoryLookup]) -> HistoryValues:
        """Answer history queries.  A sum over a value that has no exact amount is None (unknown)."""
        ...

    async def once_seen(self, guard: OnceFree) -> bool:
        """Whether another call did this business act since then (in flight, done, granted or unknown)."""
        ...

    async def artifacts(self, release_digest: Sha256) -> Mapping[str, bytes]:
        """The kept bytes of a release's files by name; empty where it is not known."""
        ...


class ApprovalBook(Protocol):
    """Reads of approvals."""

    async def approval(self, approval_id: ApprovalId) -> Approval | None:
        """One approval with its answers."""
        ...

    async def approvals(self, state: ApprovalState | None, limit: int) -> Sequence[Approval]:
        """Approvals, newest first."""
        ...

    async def denied_like(
        self, tenant: TenantId, selector_digest: bytes, *, run_id: RunId, subject_digest: bytes, since: datetime
    ) -> Approval | None:
        """The denial that sticks to this tool, selectors and recipients.

        The latest in this run, however old; else the latest since then in another run of this subject.
        """
        ...


class AuthorityBook(Protocol):
    """Reads of keys, kill switches and raised budgets.  Any process may change them, each time by one generation."""

    async def authority(self) -> Authority:
        """All of it.

        Raises:
            AuthorityForged: a row was written, changed or taken away by something else than Leverframe.
        """
        ...

    async def generation(self) -> int:
        """The number of the newest change; cheap, for whoever asks often."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedLeaf:
    """A leaf with its place in the tenant's tree."""

    index: int
    entry_id: EntryId
    leaf: bytes


class EvidenceLog(Protocol):
    """Reads of the evidence log of one tenant."""

    async def leaves(self, tenant: TenantId, first: int, count: int) -> Sequence[LoggedLeaf]:
        """Leaves by index."""
        ...

    async def leaves_of_run(self, tenant: TenantId, run_id: RunId) -> Sequence[LoggedLeaf]:
        """A run's leaves in order."""
        ...

    async def node_hash(self, tenant: TenantId, level: int, index: int) -> bytes:
        """The hash of a complete subtree of 2**level leaves; level 0 is a leaf's hash."""
        ...

    async def tree(self, tenant: TenantId) -> TreeState:
        """The head of the tree as it stands, signed or not; empty before the first entry."""
        ...

    async def checkpoint(self, tenant: TenantId) -> bytes | None:
        """The newest signed note, or None before the first.

        It covers flushed entries alone and follows them within a fraction of a second; an answered approval, a parked
        or an ended run, and all that an earlier process wrote is covered.
        """
        ...

    async def disclosures(self, tenant: TenantId, entry_ids: Sequence[EntryId]) -> Mapping[str, Disclosure]:
        """What these entries disclose, by digest; what is pruned or erased is left out."""
        ...

    async def inputs(self, tenant: TenantId, run_ids: Sequence[RunId]) -> Mapping[str, Disclosure]:
        """What the first entries of these runs disclose, by digest: what the runs were opened with."""
        ...

    async def disclosures_of_run(self, tenant: TenantId, run_id: RunId) -> Sequence[Disclosure]:
        """All disclosures that a run's entries carry."""
        ...

    async def disclosures_of_subject(self, tenant: TenantId, subject_digest: bytes) -> Sequence[KeptValue]:
        """All that is kept of a subject's runs, oldest first: what `DestroyKey` must name."""
        ...

    async def prunable(
        self, tenant: TenantId, before: datetime, workflow: WorkflowName, limit: int
    ) -> Sequence[KeptValue]:
        """What is kept of that workflow's ended runs and older than `before`."""
        ...
