"""The one writer of a process.

Knows: group commit.  Whoever has the turn takes what waits, holds the lock between processes, and commits it in one
transaction.  Visible proposals are committed by the event loop of their callers, which wakes no thread for it; durable
ones, and all that would make a loop wait, by a thread.  Visible proposals are answered at their commit; durable ones
when the flusher has flushed.  Never: lets an event loop wait for a lock or a disk.
Rules: ADR-0004, ADR-0007, ADR-0011, ADR-0019; the contract is `ports.store.Writer`.
"""

import asyncio
import sqlite3
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from leverframe.domain.errors import EvidenceBroken, LeverframeError, StoreUnavailable
from leverframe.domain.proposals import AnswerApproval, CommitResult, Committed, Proposal, PutRun
from leverframe.store.sqlite.data_keys import Keyring
from leverframe.store.sqlite.filelock import FileLock, held_too_long
from leverframe.store.sqlite.flushing import Commit, Flusher, flush_failed
from leverframe.store.sqlite.line import Line, Ticket, tell
from leverframe.store.sqlite.transacting import Done, Transactions, refused
from leverframe.store.sqlite.wal_checkpoints import WalCheckpoints

MAX_BATCH = 256
MAX_WAITING = 8_192
# Where several callers are at work, a transaction waits this long for as many of them as came lately: it has costs of
# its own, whatever is in it.  Who is alone never waits.
LINGER_S = 0.001
_LINGERS_FROM = 1.25
# A loop gathers by itself what becomes ready while it is busy, so that it lingers for a crowd alone.
_LOOP_LINGERS_FROM = 4
# A head that is signed, or a ceiling that is flushed, takes the turn or the lock for milliseconds.  A loop comes back
# so soon for as long as this, before it leaves its proposals to the thread: the two would fight over the interpreter,
# and a thread that fell behind would be left all that comes meanwhile.
_COMES_BACK_S = 0.001
_GIVES_UP_S = 0.05
_WHOLE_UP_TO = 16  # a smaller batch is not split: a transaction has costs of its own
_NOTHING = Done(outcomes=[])


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
        checkpoints: WalCheckpoints,
        ring: Keyring,
        boot: str,
        is_strict: bool,
        patience_s: float,
    ) -> None:
        self._path = path
        self._lock = lock
        self._flusher = flusher
        self._checkpoints = checkpoints
        self._is_strict = is_strict
        self._patience_s = patience_s
        self._transactions = Transactions(connection, ring, path=path, boot=boot, waits=self._waits)
        # Who has it uses the connection, and may take the lock between processes, which is of the whole process.
        self._turn = threading.Lock()
        self._usual = 0.0  # how many proposals a batch has had lately
        # Loops that will commit in a moment, and since when each means to.
        self._due: dict[asyncio.AbstractEventLoop, float] = {}
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
        return await self._line.wait(proposal, None if self._is_strict or proposal.is_durable else self._commit_soon)

    async def close(self) -> None:
        """Finish, flush and sign what waits, then stop.  Safe to call twice."""
        is_first = self._line.close()
        await asyncio.to_thread(self._end)
        await asyncio.to_thread(self._flusher.close)
        await asyncio.to_thread(self._checkpoints.close)
        if is_first:
            await asyncio.to_thread(self._leave_clean)

    def _end(self) -> None:
        self._thread.join()
        with self._turn:
            pass  # whoever had it has handed all to the flusher

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

    # In the event loop of the callers.

    def _commit_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have a loop commit what waits once it has done what is ready now, so that what comes with it goes along."""
        if loop in self._due:
            return
        self._due[loop] = time.monotonic()
        if self._usual >= _LOOP_LINGERS_FROM:
            loop.call_later(LINGER_S, self._commit_here, loop)
        else:
            loop.call_soon(self._commit_here, loop)

    def _commit_here(self, loop: asyncio.AbstractEventLoop) -> None:
        """Commit what is visible at the head of the line; whatever would have to be waited for is the thread's."""
        since = self._due.pop(loop)
        if not len(self._line):
            return
        if not self._turn.acquire(blocking=False):
            self._come_back(loop, since)
            return
        has_lock, handed = False, False
        try:
            if self._flusher.is_signer_late:
                self._line.wake()
                return
            has_lock = self._lock.try_acquire()
            if not (has_lock and self._transactions.begin(is_patient=False)):
                self._come_back(loop, since)
                return
            tickets = self._line.take_visible(MAX_BATCH)
            if not tickets:
                self._transactions.abandon()
                return
            done = self._transactions.commit(tickets)
            handed = done.must_flush
        except StoreUnavailable:
            # The thread meets it too, and tells the callers.
            self._line.wake()
            return
        finally:
            if not handed:
                self._give_up_turn(has_lock=has_lock)
        self._learn(len(tickets))
        if handed:
            # Seldom: a ceiling rises by a part of its limit.  The turn and the lock go along.
            threading.Thread(target=self._flush_for, args=(tickets, done), name="leverframe-store-raise").start()
        else:
            self._answer(tickets, done, None)

    def _come_back(self, loop: asyncio.AbstractEventLoop, since: float) -> None:
        """Try again in a moment; where that has taken too long, the thread waits in the loop's place."""
        if time.monotonic() - since > _GIVES_UP_S:
            self._line.wake()
        else:
            self._due[loop] = since
            loop.call_later(_COMES_BACK_S, self._commit_here, loop)

    def _give_up_turn(self, *, has_lock: bool) -> None:
        if has_lock:
            self._lock.release()
        self._turn.release()

    def _flush_for(self, tickets: list[Ticket], done: Done) -> None:
        """Flush what a loop has committed, in a thread that has its turn and its lock."""
        try:
            failed = self._flusher.flush()
            self._answer(tickets, done, failed)
        finally:
            self._give_up_turn(has_lock=True)

    # In the thread.

    def _serve(self) -> None:
        while self._line.sleep():
            if self._usual > _LINGERS_FROM:
                self._line.linger(min(MAX_BATCH, 1 + int(2 * self._usual)), LINGER_S)
            failed: Exception | None = None
            with self._turn, self._lock:
                # What waits now: others may have joined while the lock was waited for.
                batch = self._line.take(self._most())
                done = self._commit(batch) if batch else _NOTHING
                if done.must_flush:
                    failed = self._flusher.flush()
            self._learn(len(batch))
            self._answer(batch, done, failed)

    def _most(self) -> int:
        """How many proposals make a batch just now."""
        if not self._flusher.is_idle:
            return MAX_BATCH
        # The disk has nothing to do: give it half, and commit the other half while it flushes the first.
        return max(_WHOLE_UP_TO, min(MAX_BATCH, len(self._line) // 2 + 1))

    def _commit(self, batch: list[Ticket]) -> Done:
        why = self._flusher.admit()
        if why is not None:
            return refused(why, batch)
        try:
            self._transactions.begin(is_patient=True)
        except StoreUnavailable as err:
            return refused(err, batch)
        return self._transactions.commit(batch)

    # In either.

    def _learn(self, count: int) -> None:
        self._usual += (count - self._usual) / 8

    def _waits(self, ticket: Ticket) -> bool:
        """Whether its caller is answered only after the flush."""
        return self._is_strict or ticket.proposal.is_durable

    def _answer(self, batch: list[Ticket], done: Done, failed: Exception | None) -> None:
        """Tell whom the commit is enough, and hand the others to the flusher; `failed`: why it could not be flushed."""
        at_once: list[Ticket] = []
        later: list[Ticket] = []
        for ticket, outcome in zip(batch, done.outcomes, strict=True):
            is_committed = isinstance(outcome, Committed)
            ticket.outcome = failed if is_committed and failed is not None else outcome
            (later if is_committed and failed is None and self._waits(ticket) else at_once).append(ticket)
        tell(at_once)
        if any(isinstance(outcome, Committed) for outcome in done.outcomes):
            self._checkpoints.committed(len(batch))
            self._flusher.add(
                Commit(
                    grown=done.grown,
                    tell=partial(_tell_flushed, later) if later else None,
                    is_signed=any(_wants_a_head(ticket.proposal) for ticket in later),
                )
            )

    def _leave_clean(self) -> None:
        if self._flusher.broken is not None:
            return
        # Who is stopped with the lock in hand keeps nobody from ending: the mark stays, as after a process that died.
        with suppress(OSError, StoreUnavailable):
            self._lock.acquire_within(self._patience_s)
            try:
                self._transactions.leave_clean()
            finally:
                self._lock.release()


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
