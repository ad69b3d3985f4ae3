"""Flushing what is committed, and signing what is flushed.

Knows: that one fdatasync of the write-ahead log makes all durable that was committed before it began, by whichever
process.  A thread flushes at once where a durable proposal waits, and otherwise within FLUSH_WITHIN_S of the first
unflushed commit; then it signs the heads of the log, at most every SIGN_EVERY_S unless somebody waits for a head.
Never: holds the lock between processes while it flushes, so others commit meanwhile.
Rules: docs/adr/0007-visible-and-durable.md.
"""

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from leverframe.domain.errors import LeverframeError, StoreUnavailable
from leverframe.domain.evidence import TreeState
from leverframe.domain.ids import TenantId
from leverframe.ports.crash_points import crash_point
from leverframe.store.sqlite import evidence
from leverframe.store.sqlite.filelock import FileLock, lock_file
from leverframe.store.sqlite.heads import HeadKeeper

FLUSH_WITHIN_S = 0.01
SIGN_EVERY_S = 0.1
# A signer that does not answer is asked again after this long; what it has not signed is in the log all the same.
_RETRY_SIGN_S = 1.0

Grown = dict[TenantId, tuple[TreeState, int]]


class WalFile:
    """The write-ahead log beside a database, to be flushed.

    Opened once and kept: a failed flush is reported once for each descriptor, and SQLite never removes the file while
    a connection is open.  It takes no lock on it, so that closing this descriptor drops none.
    """

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + "-wal")
        self._file = -1

    def flush(self) -> None:
        """Return when all that was written to it before is on the disk.  Raises OSError."""
        if self._file < 0:
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            _flush_folder(self._path.parent)
        if hasattr(fcntl, "F_FULLFSYNC"):
            fcntl.fcntl(self._file, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(self._file)

    def close(self) -> None:
        """Let go of it.  Safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


@dataclass(slots=True, kw_only=True, eq=False)
class Commit:
    """One committed transaction that is not flushed yet."""

    grown: Grown
    tell: Callable[[Exception | None], None] | None = None  # who waits for the flush; None on success, else why not
    is_signed: bool = False  # they wait for the signed head as well


@dataclass(slots=True, kw_only=True)
class _Pending:
    """What was committed since the last flush."""

    commits: list[Commit] = field(default_factory=list)
    since: float = 0.0
    is_urgent: bool = False


class Flusher:
    """One thread that flushes and signs.  `broken` holds why nothing may be written any more, or None."""

    def __init__(self, *, wal: WalFile, path: Path, heads: HeadKeeper, connection: sqlite3.Connection) -> None:
        self._wal = wal
        self._path = path
        self._heads = heads
        self._connection = connection  # of this thread alone; the heads write through it
        self._lock = FileLock(lock_file(path))
        self._wake = threading.Condition()
        self._pending = _Pending()
        self._unsigned: Grown = {}
        self._sign_at = 0.0
        self._is_closing = self._is_flushing = self._is_asleep = False
        self.broken: Exception | None = None
        self._thread = threading.Thread(target=self._serve, name="leverframe-store-flusher", daemon=True)
        self._thread.start()

    def add(self, commit: Commit) -> None:
        """Take over a committed transaction.  In the order of the commits."""
        with self._wake:
            if not self._pending.commits:
                self._pending.since = time.monotonic()
            self._pending.commits.append(commit)
            self._pending.is_urgent |= commit.tell is not None
            if self._pending.is_urgent or self._is_asleep:
                self._wake.notify()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being flushed, nor waits for it."""
        return not self._is_flushing and not self._pending.commits

    @property
    def is_signer_late(self) -> bool:
        """Whether `admit` may have to wait for a signer."""
        return self._heads.is_late

    def flush(self) -> Exception | None:
        """Flush all that is committed, from any thread; returns why it failed."""
        try:
            self._wal.flush()
        except OSError as err:
            # After a failed flush nobody knows what is on the disk, and a second one may lie: nothing more is written.
            self.broken = err
            return flush_failed(self._path, err)
        crash_point("after_flush")
        return None

    def admit(self) -> LeverframeError | None:
        """Why nothing may be written just now, if it may not.  The caller holds the lock between processes."""
        try:
            self._heads.admit()
        except LeverframeError as err:
            if not err.is_retryable:
                self.broken = err
            return err
        return None

    def close(self) -> None:
        """Flush and sign what is left, then stop.  Safe to call twice."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        self._thread.join()
        self._wal.close()
        self._lock.close()

    def _serve(self) -> None:
        while True:
            with self._wake:
                self._wait()
                commits, self._pending = self._pending.commits, _Pending()
                is_last = self._is_closing
                self._is_flushing = bool(commits)
            failed = self.flush() if commits else None
            self._is_flushing = False
            if failed is None:
                for commit in commits:
                    self._unsigned.update(commit.grown)
                is_wanted = is_last or any(commit.is_signed for commit in commits)
                if self._unsigned and (is_wanted or time.monotonic() >= self._sign_at):
                    self._sign()
            for commit in commits:
                if commit.tell is not None:
                    commit.tell(failed)
            if is_last and not self._pending.commits:
                return

    def _wait(self) -> None:
        """Sleep until something is to be flushed or signed; holds `_wake`.

        Right after a flush it looks once more by itself: to be woken by the next commit would cost that commit's thread
        more than most of what it does, and under load there always is a next one.
        """
        has_looked = False
        while not (self._is_closing or self._pending.is_urgent):
            times = [self._pending.since + FLUSH_WITHIN_S] if self._pending.commits else []
            if self._unsigned:
                times.append(self._sign_at)
            now = time.monotonic()
            if not (self._pending.commits or has_looked):
                times.append(now + FLUSH_WITHIN_S)
            left = min(times) - now if times else None
            if left is not None and left <= 0:
                return
            self._is_asleep = has_looked and not self._pending.commits
            has_looked = True
            self._wake.wait(left)
            self._is_asleep = False

    def _sign(self) -> None:
        grown, self._unsigned = self._unsigned, {}
        self._sign_at = time.monotonic() + SIGN_EVERY_S
        try:
            try:
                with self._lock:
                    newer = {tenant: one for tenant, one in grown.items() if self._is_newer(tenant, one[0])}
                    self._heads.publish(newer)
            finally:
                self._heads.keep()
        except LeverframeError as err:
            if err.is_retryable:
                self._unsigned = grown
                self._sign_at = time.monotonic() + _RETRY_SIGN_S
            else:
                self.broken = err
        except Exception as err:  # noqa: BLE001 the entries are flushed, so their callers are told so; later ones get this
            self.broken = err

    def _is_newer(self, tenant: TenantId, tree: TreeState) -> bool:
        """Whether no other process has signed as much already."""
        note = evidence.note_of(self._connection, tenant)
        return note is None or note[0] < tree.size


def flush_failed(path: Path, err: OSError) -> StoreUnavailable:
    """The disk did not take what was committed."""
    return StoreUnavailable(
        f"The disk of {str(path)!r} failed to flush ({err.strerror}); what was written last may be lost.",
        next_move="Check the disk, then start again: what is not there then did not happen.",
    )


def _flush_folder(folder: Path) -> None:
    """Make the names in a folder durable: a file whose name is lost is lost."""
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
