"""Opening the database file, and saying in our words what SQLite could not do.

Knows: the pragmas every connection runs under and what each SQLite error means to a person.  Never: creates a file
unless it is told to.  Source: sqlite.org/pragma.html, sqlite.org/rescode.html.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from leverframe.domain.descriptors import is_out_of_descriptors, out_of_descriptors
from leverframe.domain.errors import StoreUnavailable

OLDEST_SQLITE = (3, 37, 0)  # STRICT tables
BUSY_MS = 10_000

# synchronous=NORMAL flushes the log before a checkpoint alone; `flushing` does it for whoever waits, and fullfsync
# makes checkpoints true on macOS.  wal_autocheckpoint=0: a checkpoint flushes twice, which no commit shall wait for, so
# `wal_checkpoints` does it.  cache_size is in KiB below zero: a batch touches a few pages for each of its runs.
# secure_delete overwrites what retention and erasure delete.  temp_store=MEMORY keeps what a savepoint may have to undo
# out of the machine's temporary folder.  trusted_schema=OFF keeps a planted view or trigger from calling functions.
_WRITER_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA wal_autocheckpoint = 0",
    "PRAGMA cache_size = -32768",
    "PRAGMA fullfsync = ON",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA trusted_schema = OFF",
)
_READER_PRAGMAS = ("PRAGMA query_only = ON", "PRAGMA trusted_schema = OFF")


def create_file(path: Path) -> None:
    """Make an empty database file, readable by its owner alone; nothing where it is there already.

    Raises:
        StoreUnavailable: the folder cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # O_EXCL: closing a file that this process has open elsewhere would drop SQLite's locks on it.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except OSError as err:
        raise cannot_write(path, err) from err


def check_file(path: Path) -> None:
    """Raises StoreUnavailable where the file is missing, naming what makes one, or is closed to us."""
    try:
        is_there = path.is_file()
    except OSError as err:
        raise cannot_write(path, err) from err
    if not is_there:
        raise StoreUnavailable(
            f"There is no database at {str(path)!r}.",
            next_move="Make one with `leverframe init`, or let the first `leverframe run` of a project make it.",
        )
    # SQLite opens a file that it may not write for reading, and would say so at the first change only.
    if not os.access(path, os.R_OK | os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise cannot_write(path)


def open_writer(path: Path) -> sqlite3.Connection:
    """The connection that changes things; autocommit, transactions are opened by hand.

    Raises:
        StoreUnavailable: the file is no database, cannot be written, or SQLite is too old.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreUnavailable(
            f"SQLite {sqlite3.sqlite_version} is too old; expected 3.37 or later, which has STRICT tables.",
            next_move="Use a Python that is built with a newer SQLite.",
        )
    with said_plainly(path):
        connection = _open(path, _WRITER_PRAGMAS)
        # Takes the write lock once, so that a folder that cannot hold the log beside the file is found now.
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot change anything.  Raises StoreUnavailable where the file cannot be read."""
    with said_plainly(path):
        return _open(path, _READER_PRAGMAS)


@contextmanager
def said_plainly(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the database, not about a statement of ours, into StoreUnavailable."""
    try:
        yield
    except sqlite3.Error as err:
        if not is_about_the_database(err):
            raise
        raise unavailable(path, err) from err


def is_about_the_database(err: Exception) -> bool:
    """Whether the machine failed and not a statement of ours: disk, file, lock; never a constraint or a typo."""
    if isinstance(err, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return False
    return isinstance(err, sqlite3.DatabaseError) and _code(err) not in {"SQLITE_ERROR", ""}


def unavailable(path: Path, err: BaseException) -> StoreUnavailable:
    """The problem and its next move for an error of SQLite."""
    code = _code(err)
    if code.startswith("SQLITE_FULL"):
        why, move = "the disk is full", "Make room on its disk and run the same command again."
    elif code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return cannot_write(path, _lack_of_descriptors())
    elif code.startswith("SQLITE_NOTADB"):
        why = "the file is not a database"
        move = "Check `storage.url` of leverframe.yaml; if it is the right file, restore it from a backup."
    elif code.startswith("SQLITE_CORRUPT"):
        why = "the file is damaged"
        move = "Stop every process that uses it and restore it from a backup; keep the damaged file for the audit."
    elif code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        why = f"another program has held it for {BUSY_MS // 1000} s"
        move = "End the program that has it open, such as a SQL shell in a transaction, and try again."
    else:
        why = f"the machine could not read or write it ({code or type(err).__name__})"
        move = "Check the disk and the limits of this process, and run the same command again."
    return StoreUnavailable(f"The database {str(path)!r} cannot be used: {why}.", next_move=move)


def cannot_write(path: Path, err: OSError | None = None) -> StoreUnavailable:
    """The file or its folder is read-only to us, or by `err` there is no descriptor left for it."""
    if err is not None and is_out_of_descriptors(err):
        return out_of_descriptors(f"The database {str(path)!r}", err)
    return StoreUnavailable(
        f"The database {str(path)!r} or its folder cannot be written by this user.",
        next_move="Give this user write permission on the folder (WAL keeps two files beside the database).",
    )


def _lack_of_descriptors() -> OSError | None:
    """Why nothing at all can be opened just now, if so: SQLite says of no file that it cannot open why it cannot."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as err:
        return err
    return None


def _code(err: BaseException) -> str:
    return getattr(err, "sqlite_errorname", None) or ""


def _open(path: Path, pragmas: tuple[str, ...]) -> sqlite3.Connection:
    # mode=rw: SQLite would otherwise create a missing file.
    uri = f"file:{quote(str(path.absolute()))}?mode=rw"
    # The owner of a connection sees to it that one thread at a time uses it; see writer.py and reads.py.
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        for pragma in pragmas:
            connection.execute(pragma).fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection
