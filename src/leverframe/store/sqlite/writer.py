"""The one writer of a process.

Knows: group commit.  A thread owns the write connection, takes what waits (up to 256 proposals), holds the lock between
processes, opens one transaction, carries the proposals out and commits.  Visible proposals are answered then; durable
ones when the flusher has flushed.  Never: goes on with a head or a window of an earlier transaction where any other
connection has committed since.  Rules: ADR-0004, ADR-0007, ADR-0011; the contract is `ports.store.Writer`.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from leverframe.domain.errors import EvidenceBroken, LeverframeError, StoreUnavailable
from leverframe.domain.proposals import AnswerApproval, CommitResult, Committed, Proposal, PutRun
from leverframe.ports.crash_points import crash_point
from leverframe.store.sqlite import clean_mark
from leverframe.store.sqlite.batches import Batch
from leverframe.store.sqlite.changes import carry_out
from leverframe.store.sqlite.connection import is_about_the_database, unavailable
from leverframe.store.sqlite.data_keys import Keyring
from leverframe.store.sqlite.filelock import FileLock, held_too_long
from leverframe.store.sqlite.flushing import Commit, Flusher, Grown, flush_failed
from leverframe.store.sqlite.half_done import HalfDone
from leverframe.store.sqlite.line import Line, Outcome, Ticket, tell

MAX_BATCH = 256
MAX_WAITING = 8_192
# Where several callers are at work, a transaction waits this long for as many of them as came lately: it has costs of
# its own, whatever is in it.  Who is alone never waits.
LINGER_S = 0.001
_LINGERS_FROM = 1.25
_WHOLE_UP_TO = 16  # a smaller batch is not split: a transaction has costs of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """What became of a batch: an outcome for each, and why it could not be flushed where it had to be at once."""

    outcomes: list[Outcome]
    grown: Grown = field(default_factory=dict)
    failed: Exception | None = None


_NOTHING = _Done(outcomes=[])


class SqliteWriter:
    """The writer of `ports.store`.

    Callers may sit in any event loop and thread.  A caller that is cancelled before its batch began has done nothing;
    after that its proposal happens.  `is_strict` flushes every proposal before it is answered.
    """

    def __init__(
        self,
        *,
        connection: sqlite3.Connection,
        path: Path,
        lock: FileLock,
        flusher: Flusher,
        ring: Keyring,
        boot: str,
        is_strict: bool,
        patience_s: float,
    ) -> None:
        self._connection = connection
        self._path = path
        self._lock = lock
        self._flusher = flusher
        self._ring = ring
        self._boot = boot
        self._is_strict = is_strict
        self._usual = 0.0  # how many proposals a batch has had lately
        self._kept: Batch | None = None  # of the last transaction that committed
        self._line = Line(patience_s=patience_s, admit=self._admit, late=partial(held_too_long, path, patience_s))
        # A daemon: a process that ends without close() must not wait for ever; what was not committed never happened.
        self._thread = threading.Thread(target=self._serve, name="leverframe-store-writer", daemon=True)
        self._thread.start()

    async def commit(self, proposal: Proposal) -> CommitResult:
        """Carry out a proposal; returns after its flush where it is durable, after its commit otherwise.

        Raises:
            StoreUnavailable: the database cannot take it, is closed, or has been locked for too long.
            EvidenceBroken: an earlier head could not be signed; nothing is written any more.
        """
        return await self._line.wait(proposal)

    async def close(self) -> None:
        """Finish, flush and sign what waits, then stop.  Safe to call twice."""
        is_first = self._line.close()
        await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self._flusher.close)
        if is_first:
            await asyncio.to_thread(self._leave_clean)

    def _admit(self, waiting: int) -> None:
        if self._line.is_closed:
            raise StoreUnavailable(
                f"The store {str(self._path)!r} is closed.", next_move="Open it again; nothing was written."
            )
        if self._flusher.broken is not None:
            raise _broken(self._path, self._flusher.broken) from self._flusher.broken
        if waiting >= MAX_WAITING:
            raise StoreUnavailable(
                f"{MAX_WAITING} proposals wait for the database {str(self._path)!r} already.",
                next_move="Send less at once, or try again in a moment; nothing was written.",
            )

    def _serve(self) -> None:
        while self._line.sleep():
            if self._usual > _LINGERS_FROM:
                self._line.linger(min(MAX_BATCH, 1 + int(2 * self._usual)), LINGER_S)
            with self._lock:
                # What waits now: others may have joined while the lock was waited for.
                batch = self._line.take(self._most())
                done = self._commit(batch) if batch else _NOTHING
            self._usual += (len(batch) - self._usual) / 8
            self._answer(batch, done)

    def _most(self) -> int:
        """How many proposals make a batch just now."""
        if not self._flusher.is_idle:
            return MAX_BATCH
        # The disk has nothing to do: give it half, and commit the other half while it flushes the first.
        return max(_WHOLE_UP_TO, min(MAX_BATCH, len(self._line) // 2 + 1))

    def _commit(self, batch: list[Ticket]) -> _Done:
        crash_point("before_begin")
        refused = self._flusher.admit()
        if refused is not None:
            # One each: a raised exception carries the traceback of its own caller.
            return _Done(outcomes=[type(refused)(refused.message, next_move=refused.next_move) for _ in batch])
        try:
            try:
                return self._transact(batch, is_careful=False)
            except HalfDone:
                self._connection.execute("ROLLBACK")
                return self._transact(batch, is_careful=True)
        except sqlite3.Error as err:
            self._roll_back()
            # One each: a raised exception carries the traceback of its own caller.
            return _Done(outcomes=[unavailable(self._path, err) for _ in batch])

    def _transact(self, tickets: list[Ticket], *, is_careful: bool) -> _Done:
        """One transaction for the batch."""
        self._connection.execute("BEGIN IMMEDIATE")
        crash_point("after_begin")
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
        # Still under the lock: nobody may build on a ceiling or a mark that a power cut could take away.
        failed = self._flusher.flush() if batch.books.is_raised or is_marked else None
        return _Done(outcomes=outcomes, grown=grown, failed=failed)

    def _begin(self, *, is_careful: bool) -> Batch:
        """The last batch, where all it knew is still so; else a new one, which looks."""
        kept, self._kept = self._kept, None
        if kept is not None and not is_careful and kept.goes_on():
            return kept
        batch = Batch(self._connection, self._ring, is_careful=is_careful)
        batch.begin()
        return batch

    def _waits(self, ticket: Ticket) -> bool:
        """Whether its caller is answered only after the flush."""
        return self._is_strict or ticket.proposal.is_durable

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

    def _answer(self, batch: list[Ticket], done: _Done) -> None:
        """Tell whom the commit is enough, and hand the others to the flusher."""
        at_once: list[Ticket] = []
        later: list[Ticket] = []
        for ticket, outcome in zip(batch, done.outcomes, strict=True):
            is_committed = isinstance(outcome, Committed)
            ticket.outcome = done.failed if is_committed and done.failed is not None else outcome
            (later if is_committed and done.failed is None and self._waits(ticket) else at_once).append(ticket)
        tell(at_once)
        if any(isinstance(outcome, Committed) for outcome in done.outcomes):
            self._flusher.add(
                Commit(
                    grown=done.grown,
                    tell=partial(_tell_flushed, later) if later else None,
                    is_signed=any(_wants_a_head(ticket.proposal) for ticket in later),
                )
            )

    def _leave_clean(self) -> None:
        """Take the mark away, when all that anyone committed is flushed."""
        if self._flusher.broken is not None:
            return
        with suppress(sqlite3.Error, OSError), self._lock:
            if clean_mark.is_there(self._connection, self._boot):
                self._connection.execute("PRAGMA synchronous = FULL")  # flushes what others committed since
                clean_mark.take_away(self._connection)

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


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


def _broken(path: Path, err: Exception) -> LeverframeError:
    """Why nothing more is written."""
    if isinstance(err, OSError):
        return flush_failed(path, err)
    return EvidenceBroken(
        "A head of the evidence log could not be signed, so nothing more is written.",
        next_move="Run `leverframe evidence verify` before starting again.",
    )


def _wants_a_head(proposal: Proposal) -> bool:
    """Whether its caller is answered only when a signed head covers it: an answer of a person, the rest of a run."""
    return any(isinstance(change, AnswerApproval | PutRun) for change in proposal.changes)


def _tell_flushed(tickets: list[Ticket], failed: Exception | None) -> None:
    if failed is not None:
        for ticket in tickets:
            ticket.outcome = failed
    tell(tickets)
