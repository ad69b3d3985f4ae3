"""The work of one transaction: what its proposals read once, and the rows that are written once at its end.

Knows: the books, the steps, the states of runs and the log of one transaction, and when they must be written before
something else reads them.  Never: believes after its transaction what another connection may have changed since
(`goes_on`).
Rules: docs/adr/0011-a-batch-writes-each-row-once.md.
"""

import sqlite3
from collections.abc import Sequence

from leverframe.domain.evidence import TreeState
from leverframe.domain.ids import RunId, TenantId
from leverframe.domain.proposals import AuthorityIs, GuardFailed, Proposal, RunIs
from leverframe.store.sqlite import authority, clean_mark, runs
from leverframe.store.sqlite.books import Books
from leverframe.store.sqlite.data_keys import Keyring
from leverframe.store.sqlite.evidence import Appender
from leverframe.store.sqlite.step_rows import StepRows

# Of runs; beyond this many all are looked up again, so that a process that lives long does not grow.
_MOST_KNOWN = 4_096

_VERSION = "PRAGMA data_version"


class Batch:
    """One transaction, and what of it the next one may go on with.

    `is_careful`: each row is written at once, for proposals that share it with savepoints.
    """

    def __init__(self, tx: sqlite3.Connection, ring: Keyring, *, is_careful: bool) -> None:
        self.tx = tx
        self.is_careful = is_careful
        self.log = Appender(tx, ring)
        self.keys = self.log.keys
        self.books = Books(tx, is_careful=is_careful)
        self.steps = StepRows(tx, is_careful=is_careful)
        self._states: dict[RunId, str] = {}
        self._generation: int | None = None
        self._version = 0
        self._is_marked = False

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Grows with every change, whether it waits or is written."""
        return self.tx.total_changes, self.log.size, self.books.moves, self.steps.moves

    def begin(self) -> None:
        """Remember which version of the database this transaction sees."""
        self._version = _version(self.tx)

    def goes_on(self) -> bool:
        """Whether nobody else has committed since: then what this one knew is still so.  Within a transaction.

        Source: sqlite.org/pragma.html, data_version.
        """
        if self._version != _version(self.tx):
            return False
        self.books.again()
        self.steps.again()
        if len(self._states) > _MOST_KNOWN:
            self._states.clear()
            self.log.forget()
        return True

    def is_marked(self, boot: str) -> bool:
        """Whether the mark of this boot stands."""
        self._is_marked = self._is_marked or clean_mark.is_there(self.tx, boot)
        return self._is_marked

    def prefetch(self, proposals: Sequence[Proposal]) -> None:
        """Read in a few questions what these proposals will ask for."""
        self.books.prefetch(proposals)
        run_ids = {guard.run_id for one in proposals for guard in one.guards if type(guard) is RunIs}
        run_ids.update([entry.run_id for one in proposals for entry in one.entries if entry.run_id is not None])
        run_ids.difference_update(self._states)
        sealing: dict[TenantId, set[RunId]] = {}
        for run_id, tenant, state, tag, subject_digest, last_seq in runs.heads(self.tx, run_ids):
            # A row whose MAC this process has not looked at is left to the guard.
            if self.keys.is_known_run(run_id, (state, tag)):
                self._states[run_id] = state
            self.log.know(tenant, run_id, last_seq)
            self.keys.know(run_id, subject_digest)
            sealing.setdefault(tenant, set()).add(run_id)
        for tenant, found in sealing.items():
            self.keys.prefetch(tenant, found)

    def run_is(self, guard: RunIs) -> GuardFailed | None:
        """The guard `RunIs`."""
        if self._states.get(guard.run_id) == guard.state:
            return None
        return runs.still(self.tx, self.keys, guard)

    def authority_is(self, guard: AuthorityIs) -> GuardFailed | None:
        """The guard `AuthorityIs`."""
        if self._generation is None:
            self._generation = authority.generation(self.tx)
        return authority.still(self._generation, guard)

    def authority_moved(self) -> None:
        """A row of the authority is about to change: look again, also where that is rolled back."""
        self._generation = None

    def run_moved(self, run_id: RunId) -> None:
        """A run's row is about to change: look again."""
        self._states.pop(run_id, None)

    def write(self) -> None:
        """Write the rows that wait.  Raises HalfDone where one was not as it was believed to be."""
        self.steps.write()
        self.books.write()

    def forget(self) -> None:
        """Look again: a savepoint was rolled back."""
        self.steps.forget()
        self.books.forget()
        self._states.clear()
        self._generation = None

    def finish(self) -> dict[TenantId, tuple[TreeState, int]]:
        """Write all of it; returns the heads of the trees that grew, with the microsecond of their last entry."""
        self.write()
        return self.log.finish()


def _version(tx: sqlite3.Connection) -> int:
    (version,) = tx.execute(_VERSION).fetchone()
    return int(version)
