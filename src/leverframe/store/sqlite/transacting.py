"""One transaction for a batch of proposals, by whoever has the turn.

Knows: the write connection, and what of the last transaction the next may go on with.
Never: goes on with a head or a window of an earlier transaction where any other connection has committed since; waits
for a flush.  Rules: ADR-0004, ADR-0007, ADR-0011.
"""

import logging
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from leverframe.domain.errors import LeverframeError, StoreUnavailable
from leverframe.domain.proposals import Committed
from leverframe.ports.crash_points import crash_point
from leverframe.store.sqlite import clean_mark
from leverframe.store.sqlite.batches import Batch
from leverframe.store.sqlite.changes import carry_out
from leverframe.store.sqlite.connection import BUSY_MS, is_about_the_database, unavailable
from leverframe.store.sqlite.data_keys import Keyring
from leverframe.store.sqlite.flushing import Grown
from leverframe.store.sqlite.half_done import HalfDone
from leverframe.store.sqlite.line import Outcome, Ticket

_BEGIN = "BEGIN IMMEDIATE"
# Set for each transaction: what waits for another program's lock would hold up a whole event loop.
_PATIENT = f"PRAGMA busy_timeout = {BUSY_MS}"
_IMPATIENT = "PRAGMA busy_timeout = 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of a batch: an outcome for each; `must_flush`: before the lock between processes is let go of."""

    outcomes: list[Outcome]
    grown: Grown = field(default_factory=dict)
    must_flush: bool = False


class Transactions:
    """The transactions of one write connection.  The caller has the turn, and holds the lock between processes.

    Args:
        connection: the only one of this process that changes what proposals change.
        ring: the keys under which values are sealed.
        path: the database, for errors.
        boot: which start of the machine this is.
        waits: whether a ticket's caller is answered only after the flush.
    """

    def __init__(
        self, connection: sqlite3.Connection, ring: Keyring, *, path: Path, boot: str, waits: Callable[[Ticket], bool]
    ) -> None:
        self._connection = connection
        self._ring = ring
        self._path = path
        self._boot = boot
        self._waits = waits
        self._kept: Batch | None = None  # of the last transaction that committed
        self._is_patient = True

    def begin(self, *, is_patient: bool) -> bool:
        """Begin one; False where another program is in a transaction and `is_patient` is not.

        Raises:
            StoreUnavailable: the database cannot take it.
        """
        try:
            if self._is_patient is not is_patient:
                self._connection.execute(_PATIENT if is_patient else _IMPATIENT).fetchall()
                self._is_patient = is_patient
            crash_point("before_begin")
            self._connection.execute(_BEGIN)
            crash_point("after_begin")
        except sqlite3.Error as err:
            if not is_patient and getattr(err, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                return False
            raise unavailable(self._path, err) from err
        return True

    def abandon(self) -> None:
        """End the transaction that has begun, with nothing done."""
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def commit(self, tickets: list[Ticket]) -> Done:
        """Carry out a batch in the transaction that has begun, and commit it."""
        try:
            try:
                return self._transact(tickets, is_careful=False)
            except HalfDone:
                self._connection.execute("ROLLBACK")
                self.begin(is_patient=True)
                return self._transact(tickets, is_careful=True)
        except StoreUnavailable as err:
            return refused(err, tickets)
        except sqlite3.Error as err:
            self.abandon()
            # One each: a raised exception carries the traceback of its own caller.
            return Done(outcomes=[unavailable(self._path, err) for _ in tickets])
        except Exception as err:  # noqa: BLE001  a fault of ours: it leaves no transaction open and nobody unanswered
            self.abandon()
            return refused(_faulty(err), tickets)

    def _transact(self, tickets: list[Ticket], *, is_careful: bool) -> Done:
        batch, is_marked = self._begin(is_careful=is_careful), False
        if not all(self._waits(ticket) for ticket in tickets) and not batch.is_marked(self._boot):
            clean_mark.put(self._connection, self._boot)
            is_marked = True
        if is_careful:
            outcomes = [self._in_savepoint(batch, ticket) for ticket in tickets]
        else:
            _at_once(lambda: batch.prefetch([ticket.proposal for ticket in tickets]))
            outcomes = [self._quickly(batch, ticket) for ticket in tickets]
            _at_once(batch.write)
        grown = batch.finish()
        crash_point("before_commit")
        self._connection.execute("COMMIT")
        crash_point("after_commit")
        self._kept = None if is_careful else batch
        # Nobody may build on a ceiling or a mark that a power cut could take away.
        return Done(outcomes=outcomes, grown=grown, must_flush=batch.books.is_raised or is_marked)

    def _begin(self, *, is_careful: bool) -> Batch:
        """The last batch, where all it knew is still so; else a new one, which looks."""
        kept, self._kept = self._kept, None
        if kept is not None and not is_careful and kept.goes_on():
            return kept
        batch = Batch(self._connection, self._ring, is_careful=is_careful)
        batch.begin()
        return batch

    def _quickly(self, batch: Batch, ticket: Ticket) -> Outcome:
        """Carry out a proposal without a savepoint, its rows written with those of the others.

        Raises:
            HalfDone: it failed after its first change, which is seldom; then all of the batch is done again.
        """
        before = batch.place
        outcome = self._outcome(batch, ticket)
        if not isinstance(outcome, Committed) and (isinstance(outcome, HalfDone) or batch.place != before):
            raise HalfDone
        return outcome

    def _outcome(self, batch: Batch, ticket: Ticket) -> Outcome:
        try:
            return carry_out(batch, ticket.proposal)
        except Exception as err:
            # A bug in one proposal is raised at its caller, and the proposals beside it do not suffer; but a full
            # or failing disk ends the transaction of all, and no savepoint is left to go back to.
            if is_about_the_database(err):
                raise
            return err

    def _in_savepoint(self, batch: Batch, ticket: Ticket) -> Outcome:
        place = batch.log.mark()
        self._connection.execute("SAVEPOINT proposal")
        outcome = self._outcome(batch, ticket)
        if not isinstance(outcome, Committed):
            self._connection.execute("ROLLBACK TO proposal")
            batch.log.reset(place)
            batch.forget()
        self._connection.execute("RELEASE proposal")
        return outcome

    def leave_clean(self) -> None:
        """Take the mark of this boot away, when all that anyone committed is flushed."""
        with suppress(sqlite3.Error):
            if clean_mark.is_there(self._connection, self._boot):
                self._connection.execute("PRAGMA synchronous = FULL")  # flushes what others committed since
                clean_mark.take_away(self._connection)


def refused(why: LeverframeError, tickets: list[Ticket]) -> Done:
    """Nothing was done, for one reason; an error each, since a raised one carries the traceback of its own caller."""
    return Done(outcomes=[type(why)(why.message, next_move=why.next_move) for _ in tickets])


def _faulty(err: Exception) -> StoreUnavailable:
    logging.getLogger(__name__).error("A transaction was undone by a fault of Leverframe.", exc_info=err)
    return StoreUnavailable(
        f"A transaction was undone, by a fault of Leverframe: {type(err).__name__}.",
        next_move="Try again; please report it, with what the log says of it.",
    )


def _at_once(do: Callable[[], None]) -> None:
    """Do for a whole batch what only the database may fail.

    Raises:
        HalfDone: something else failed, which is of one proposal alone: carefully, it is told to its caller.
    """
    try:
        do()
    except Exception as err:
        if is_about_the_database(err):
            raise
        raise HalfDone from err
