"""The lock between the processes that write to one database: `flock` on `<db>.lock`.

Knows: only how to take it and let go.  SQLite's own lock makes waiting processes poll with growing pauses; this one
wakes the next at once, and the kernel lets go of it when its holder dies.
"""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from leverframe.domain.errors import StoreUnavailable

_POLL_S = 0.01


class FileLock:
    """Held by one process, and by one `with` of it, at a time.  Never removed: others may hold its file open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def acquire_within(self, wait_s: float) -> None:
        """Take it, or give up.

        Raises:
            StoreUnavailable: another process has held it for `wait_s` seconds.
        """
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as err:
                if time.monotonic() > deadline:
                    raise held_too_long(self._path, wait_s) from err
                time.sleep(_POLL_S)
            else:
                return

    def try_acquire(self) -> bool:
        """Take it if nobody has it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let the next one in."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the file back; lets go of the lock too.  Safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def lock_file(database: Path) -> Path:
    """Where the lock of a database is, beside it."""
    return database.with_name(database.name + ".lock")


def held_too_long(path: Path, wait_s: float) -> StoreUnavailable:
    """Another process sits on the lock."""
    return StoreUnavailable(
        f"Another process has held {str(path)!r} for {wait_s:g} s; nothing was written.",
        next_move="Find a stopped `leverframe` process (ps, state T), continue or end it, and try again.",
    )
