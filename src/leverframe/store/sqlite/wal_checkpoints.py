"""Copying the write-ahead log into the database, beside the writers and not in their way.

Knows: that a passive checkpoint works while others commit, and that the log is begun anew only where all of it was
copied at one moment.  A thread copies after every so many proposals; where the log has grown long all the same, it
copies the rest under the lock between processes, when nothing is added meanwhile.
Never: decides what is durable; SQLite flushes the log before it copies, and the database before the log is begun anew.
Source: sqlite.org/wal.html, "Checkpointing"; docs/adr/0019-who-has-the-turn-commits.md.
"""

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from leverframe.store.sqlite.filelock import FileLock, lock_file

# A proposal of the door leaves some 4 to 12 pages of 4 KiB.
COPY_EVERY: Final = 500
# Of pages; 64 MiB.  Then the last of it is copied while nobody commits, which takes two flushes.
LONG: Final = 16_384

_PASSIVE: Final = "PRAGMA wal_checkpoint(PASSIVE)"


class WalCheckpoints:
    """One thread that copies.  The connection is another's, and of this thread alone until `close`."""

    def __init__(self, connection: sqlite3.Connection, database: Path) -> None:
        self._connection = connection
        # A descriptor of its own, so that it excludes the writer of this process too.
        self._lock = FileLock(lock_file(database))
        self._wake = threading.Condition()
        self._count = 0
        self._is_closing = False
        self._thread = threading.Thread(target=self._serve, name="leverframe-store-checkpoints", daemon=True)
        self._thread.start()

    def committed(self, count: int) -> None:
        """So many proposals were committed."""
        self._count += count
        if self._count >= COPY_EVERY:
            with self._wake:
                self._wake.notify()

    def close(self) -> None:
        """Stop.  Safe to call twice."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        self._thread.join()
        self._lock.close()

    def _serve(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._is_closing or self._count >= COPY_EVERY)
                if self._is_closing:
                    return
                self._count = 0
            # A disk that is full or broken is met by the writer as well, which tells its callers.
            with suppress(sqlite3.Error, OSError):
                self._copy()

    def _copy(self) -> None:
        if self._copied() > LONG:
            # What came meanwhile is little, and the next commit begins the log anew.
            with self._lock:
                self._copied()

    def _copied(self) -> int:
        """Copy what is there; returns how many pages the log has."""
        is_busy, pages, _ = self._connection.execute(_PASSIVE).fetchone()
        return 0 if is_busy else int(pages)  # busy: another process copies, and does what follows
