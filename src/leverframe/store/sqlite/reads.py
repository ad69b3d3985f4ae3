"""The reading ports over connections that cannot write.

Knows: one connection a thread; WAL lets it read beside the writers of all processes.  A read sees all that was
committed before it began, and one state throughout.  The functions are `async` as the ports are and run their query in
place: it takes tens of microseconds, less than handing it to another thread would.
"""

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from leverframe.domain.approvals import Approval, ApprovalState
from leverframe.domain.authority import Authority
from leverframe.domain.budgets import Window
from leverframe.domain.evidence import Disclosure, KeptValue, TreeState
from leverframe.domain.ids import ApprovalId, CallId, EntryId, RunId, Sha256, StepPath, TenantId, WindowId, WorkflowName
from leverframe.domain.proposals import HistoryLookup, HistoryValues, OnceFree
from leverframe.domain.runs import Run, Step
from leverframe.ports.store import LoggedLeaf, RunFilter
from leverframe.ports.vault import Vault
from leverframe.store.sqlite import (
    approvals,
    artifacts,
    authority,
    disclosures,
    evidence,
    history,
    reservations,
    runs,
    steps,
    windows,
)
from leverframe.store.sqlite.connection import open_reader, said_plainly


class Readers:
    """A read connection for each thread that asks; close() closes them all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """One state of the database.  Raises StoreUnavailable where it cannot be read."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = open_reader(self._path)
            self._all.append(connection)
        with said_plainly(self._path):
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close every connection.  Safe to call twice."""
        for connection in self._all:
            connection.close()


class SqliteJournal:
    """The journal of `ports.store`."""

    def __init__(self, readers: Readers, vault: Vault) -> None:
        self._readers = readers
        self._vault = vault

    async def run(self, run_id: RunId) -> Run | None:
        """One run."""
        with self._readers.snapshot() as tx:
            return runs.one(tx, self._vault, run_id)

    async def runs(self, wanted: RunFilter) -> Sequence[Run]:
        """Runs, newest first."""
        with self._readers.snapshot() as tx:
            return runs.newest(tx, self._vault, wanted)

    async def steps(self, run_id: RunId) -> Sequence[Step]:
        """All steps of a run in the order in which they were first written."""
        with self._readers.snapshot() as tx:
            return steps.of_run(tx, run_id)

    async def step(self, run_id: RunId, path: StepPath) -> Step | None:
        """One step."""
        with self._readers.snapshot() as tx:
            return steps.one(tx, run_id, path)

    async def tool_call_count(self, run_id: RunId) -> int:
        """How many tool calls of a run are recorded."""
        with self._readers.snapshot() as tx:
            return steps.tool_call_count(tx, run_id)

    async def step_of_call(self, call_id: CallId) -> Step | None:
        """The step that a call is."""
        with self._readers.snapshot() as tx:
            return steps.of_call(tx, call_id)

    async def windows(self, run_id: RunId) -> Sequence[Window]:
        """The run's budget windows by id and unit."""
        with self._readers.snapshot() as tx:
            return windows.of_run(tx, run_id)

    async def shared_windows(self, window_ids: Sequence[WindowId]) -> Sequence[Window]:
        """Windows that span runs, by id and unit."""
        with self._readers.snapshot() as tx:
            return windows.shared(tx, window_ids)

    async def unsettled_runs(self, limit: int) -> Sequence[RunId]:
        """Runs with an open reservation, by id."""
        with self._readers.snapshot() as tx:
            return reservations.unsettled(tx, limit)

    async def history(self, lookups: Sequence[HistoryLookup]) -> HistoryValues:
        """Answer history queries."""
        with self._readers.snapshot() as tx:
            return history.values(tx, lookups)

    async def once_seen(self, guard: OnceFree) -> bool:
        """Whether another call did this business act since then."""
        with self._readers.snapshot() as tx:
            return history.once_seen(tx, guard)

    async def artifacts(self, release_digest: Sha256) -> Mapping[str, bytes]:
        """The kept bytes of a release's files by name."""
        with self._readers.snapshot() as tx:
            return artifacts.of_release(tx, release_digest)


class SqliteApprovalBook:
    """The approval book of `ports.store`."""

    def __init__(self, readers: Readers, vault: Vault) -> None:
        self._readers = readers
        self._vault = vault

    async def approval(self, approval_id: ApprovalId) -> Approval | None:
        """One approval with its answers."""
        with self._readers.snapshot() as tx:
            return approvals.one(tx, self._vault, approval_id)

    async def approvals(self, state: ApprovalState | None, limit: int) -> Sequence[Approval]:
        """Approvals, newest first."""
        with self._readers.snapshot() as tx:
            return approvals.newest(tx, self._vault, state, limit)

    async def denied_like(
        self, tenant: TenantId, selector_digest: bytes, *, run_id: RunId, subject_digest: bytes, since: datetime
    ) -> Approval | None:
        """The latest denial in this run, else the latest since then in another run of this subject."""
        with self._readers.snapshot() as tx:
            return approvals.denied_like(
                tx, self._vault, tenant, selector_digest, run_id=run_id, subject_digest=subject_digest, since=since
            )


class SqliteAuthorityBook:
    """The authority book of `ports.store`."""

    def __init__(self, readers: Readers, vault: Vault) -> None:
        self._readers = readers
        self._vault = vault

    async def authority(self) -> Authority:
        """All keys, kill switches and raised budgets, checked."""
        with self._readers.snapshot() as tx:
            return authority.read(tx, self._vault)

    async def generation(self) -> int:
        """The number of the newest change."""
        with self._readers.snapshot() as tx:
            return authority.generation(tx)


class SqliteEvidenceLog:
    """The evidence log of `ports.store`."""

    def __init__(self, readers: Readers, vault: Vault) -> None:
        self._readers = readers
        self._vault = vault

    async def leaves(self, tenant: TenantId, first: int, count: int) -> Sequence[LoggedLeaf]:
        """Leaves by index."""
        with self._readers.snapshot() as tx:
            return evidence.leaves(tx, tenant, first, count)

    async def leaves_of_run(self, tenant: TenantId, run_id: RunId) -> Sequence[LoggedLeaf]:
        """A run's leaves in order."""
        with self._readers.snapshot() as tx:
            return evidence.leaves_of_run(tx, tenant, run_id)

    async def node_hash(self, tenant: TenantId, level: int, index: int) -> bytes:
        """The hash of a complete subtree; ValueError where there is none."""
        with self._readers.snapshot() as tx:
            return evidence.node_hash(tx, tenant, level, index)

    async def tree(self, tenant: TenantId) -> TreeState:
        """The head of the tree as it stands."""
        with self._readers.snapshot() as tx:
            return evidence.tree_of(tx, tenant)

    async def checkpoint(self, tenant: TenantId) -> bytes | None:
        """The newest signed note."""
        with self._readers.snapshot() as tx:
            found = evidence.note_of(tx, tenant)
            return None if found is None else found[1]

    async def disclosures(self, tenant: TenantId, entry_ids: Sequence[EntryId]) -> Mapping[str, Disclosure]:
        """What these entries disclose, by digest."""
        with self._readers.snapshot() as tx:
            return disclosures.of_entries(tx, self._vault, tenant, entry_ids)

    async def inputs(self, tenant: TenantId, run_ids: Sequence[RunId]) -> Mapping[str, Disclosure]:
        """What the first entries of these runs disclose, by digest."""
        with self._readers.snapshot() as tx:
            return disclosures.of_first_entries(tx, self._vault, tenant, run_ids)

    async def disclosures_of_run(self, tenant: TenantId, run_id: RunId) -> Sequence[Disclosure]:
        """All disclosures that a run's entries carry."""
        with self._readers.snapshot() as tx:
            return disclosures.of_run(tx, self._vault, tenant, run_id)

    async def disclosures_of_subject(self, tenant: TenantId, subject_digest: bytes) -> Sequence[KeptValue]:
        """All that is kept of a subject's runs."""
        with self._readers.snapshot() as tx:
            return disclosures.of_subject(tx, tenant, subject_digest)

    async def prunable(
        self, tenant: TenantId, before: datetime, workflow: WorkflowName, limit: int
    ) -> Sequence[KeptValue]:
        """What is kept of that workflow's runs that ended before then."""
        with self._readers.snapshot() as tx:
            return disclosures.prunable(tx, tenant, before, workflow, limit)
