"""The one writer of a process.

Knows: group commit.  A thread owns the write connection, takes what waits (up to 256 proposals), holds the lock between
processes, opens one transaction, carries each proposal out in a savepoint of its own, commits and flushes once, signs
the new head, and only then answers.  Never: keeps a head or a window between transactions, since other processes write
too.  Rules: ADR-0004; the contract is `ports.store.Writer`.
"""

import asyncio
import sqlite3
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from leverframe.domain.errors import EvidenceBroken, StoreUnavailable
from leverframe.domain.proposals import CommitResult, Committed, Proposal
from leverframe.ports.crash_points import crash_point
from leverframe.store.sqlite.changes import carry_out
from leverframe.store.sqlite.connection import is_about_the_database, unavailable
from leverframe.store.sqlite.evidence import Appender
from leverframe.store.sqlite.filelock import FileLock, held_too_long
from leverframe.store.sqlite.heads import HeadKeeper
from leverframe.store.sqlite.windows import Leases

MAX_BATCH = 256
MAX_WAITING = 8_192


@dataclass(slots=True, kw_only=True, eq=False)
class _Ticket:
    """A proposal that waits, and whom to tell.  `is_taken` once the writer has begun or the caller has left."""

    proposal: Proposal
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[CommitResult]
    is_taken: bool = False


_Outcome = CommitResult | Exception
_Told = list[tuple[asyncio.Future[CommitResult], _Outcome]]


class SqliteWriter:
    """The writer of `ports.store`.  Every commit is flushed: durability `strict` (see Proposal.is_durable).

    Callers may sit in any event loop and thread.  A caller that is cancelled before its batch began has done nothing;
    after that its proposal happens.
    """

    def __init__(
        self, *, connection: sqlite3.Connection, path: Path, lock: FileLock, heads: HeadKeeper, patience_s: float
    ) -> None:
        self._connection = connection
        self._path = path
        self._lock = lock
        self._heads = heads
        self._patience_s = patience_s
        self._waiting: SimpleQueue[_Ticket | None] = SimpleQueue()
        # Guards `is_taken` of every ticket and `_is_closed`; held for instants only.
        self._mutex = threading.Lock()
        self._is_closed = False
        self._broken: Exception | None = None
        # A daemon: a process that ends without close() must not wait for ever; what was not committed never happened.
        self._thread = threading.Thread(target=self._serve, name="leverframe-store-writer", daemon=True)
        self._thread.start()

    async def commit(self, proposal: Proposal) -> CommitResult:
        """Carry out a proposal; returns after its flush.

        Raises:
            StoreUnavailable: the database cannot take it, is closed, or has been locked for too long.
            EvidenceBroken: an earlier head could not be signed; nothing is written any more.
        """
        loop = asyncio.get_running_loop()
        ticket = _Ticket(proposal=proposal, loop=loop, future=loop.create_future())
        self._enqueue(ticket)
        timer = loop.call_later(self._patience_s, self._give_up, ticket)
        try:
            return await ticket.future
        finally:
            timer.cancel()
            self._withdraw(ticket)

    async def close(self) -> None:
        """Finish what waits, then stop.  Safe to call twice."""
        with self._mutex:
            if not self._is_closed:
                self._is_closed = True
                self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)

    def _enqueue(self, ticket: _Ticket) -> None:
        with self._mutex:
            if self._is_closed:
                raise StoreUnavailable(
                    f"The store {str(self._path)!r} is closed.", next_move="Open it again; nothing was written."
                )
            if self._broken is not None:
                raise EvidenceBroken(
                    "A head of the evidence log could not be signed, so nothing more is written.",
                    next_move="Run `leverframe evidence verify` before starting again.",
                ) from self._broken
            if self._waiting.qsize() >= MAX_WAITING:
                raise StoreUnavailable(
                    f"{MAX_WAITING} proposals wait for the database {str(self._path)!r} already.",
                    next_move="Send less at once, or try again in a moment; nothing was written.",
                )
            self._waiting.put(ticket)

    def _withdraw(self, ticket: _Ticket) -> bool:
        """Whether it was still waiting; then it never happens."""
        with self._mutex:
            was_waiting, ticket.is_taken = not ticket.is_taken, True
        return was_waiting

    def _give_up(self, ticket: _Ticket) -> None:
        if self._withdraw(ticket) and not ticket.future.done():
            ticket.future.set_exception(held_too_long(self._path, self._patience_s))

    def _serve(self) -> None:
        is_last = False
        while not is_last:
            first = self._waiting.get()
            if first is None:
                return
            with self._lock:
                batch, is_last = self._take(first)
                outcomes = self._commit(batch)
            _tell(batch, outcomes)

    def _take(self, first: _Ticket) -> tuple[list[_Ticket], bool]:
        """What waits now, in order, without those whose caller left; and whether nothing comes after it."""
        found: list[_Ticket | None] = [first]
        with suppress(Empty):
            while len(found) < MAX_BATCH and found[-1] is not None:
                found.append(self._waiting.get_nowait())
        batch = []
        with self._mutex:
            for ticket in found:
                if ticket is not None and not ticket.is_taken:
                    ticket.is_taken = True
                    batch.append(ticket)
        return batch, found[-1] is None

    def _commit(self, batch: list[_Ticket]) -> list[_Outcome]:
        crash_point("before_begin")
        log = Appender(self._connection)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            crash_point("after_begin")
            leases = Leases()
            outcomes = [self._carry_out(log, leases, ticket.proposal) for ticket in batch]
            grown = log.finish()
            crash_point("before_commit")
            self._connection.execute("COMMIT")
        except sqlite3.Error as err:
            self._roll_back()
            # One each: a raised exception carries the traceback of its own caller.
            return [unavailable(self._path, err) for _ in batch]
        crash_point("after_commit")
        try:
            self._heads.publish(grown)
        except Exception as err:  # noqa: BLE001 the batch has happened, so its callers are told so; all later ones get this
            with self._mutex:
                self._broken = err
        return outcomes

    def _carry_out(self, log: Appender, leases: Leases, proposal: Proposal) -> _Outcome:
        mark = log.mark()
        self._connection.execute("SAVEPOINT proposal")
        outcome: _Outcome
        try:
            outcome = carry_out(self._connection, log, leases, proposal)
        except Exception as err:
            # A bug in one proposal is raised at its caller, and the proposals beside it do not suffer; but a full
            # or failing disk ends the transaction of all, and no savepoint is left to go back to.
            if is_about_the_database(err):
                raise
            outcome = err
        if not isinstance(outcome, Committed):
            self._connection.execute("ROLLBACK TO proposal")
            log.reset(mark)
        self._connection.execute("RELEASE proposal")
        return outcome

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _tell(batch: list[_Ticket], outcomes: list[_Outcome]) -> None:
    """Answer the callers, with one wake-up for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, _Told] = {}
    for ticket, outcome in zip(batch, outcomes, strict=True):
        by_loop.setdefault(ticket.loop, []).append((ticket.future, outcome))
    for loop, told in by_loop.items():
        # The loop may have been closed since; its callers are gone.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, told)


def _settle(told: _Told) -> None:
    for future, outcome in told:
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
