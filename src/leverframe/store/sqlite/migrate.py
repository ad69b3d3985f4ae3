"""Bringing a database file to the schema of this version.

Knows: the numbered files of `store/migrations`, forward only, one transaction each; each ends by setting
`user_version` to its own number.  Never: touches a database that a later version or another program wrote.
"""

import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from leverframe.domain.errors import SchemaTooNew, StoreUnavailable
from leverframe.ports.vault import Vault
from leverframe.store.sqlite.sealing import seal_kept

APPLICATION_ID = 0x4C564652  # "LVFR", set by the first migration
_SEALS = 5  # before this one the values that it drops are sealed


def migrations() -> tuple[tuple[int, str], ...]:
    """Number and SQL of every migration, in order."""
    folder = resources.files("leverframe.store").joinpath("migrations")
    found = [(int(one.name.partition("_")[0]), one.read_text("utf-8")) for one in folder.iterdir() if _is_sql(one.name)]
    return tuple(sorted(found))


def newest() -> int:
    """The schema that this version writes."""
    return migrations()[-1][0]


def migrate(connection: sqlite3.Connection, path: Path, *, create: bool, vault: Vault) -> None:
    """Apply what is missing; nothing where the schema is current.  The caller holds the lock between processes.

    Raises:
        SchemaTooNew: a later version wrote it.
        StoreUnavailable: it is empty and `create` is false, or it is the database of something else.
        KeyUnsafe: there are values to be sealed, and a key of the vault cannot be made or read.
    """
    version = _pragma(connection, "PRAGMA user_version")
    if _pragma(connection, "PRAGMA application_id") != APPLICATION_ID:
        _refuse_foreign(connection, path, version=version, create=create)
    refuse_newer(connection, path)
    known = migrations()
    for number, sql in known:
        if number > version:
            _apply(connection, sql, vault if number == _SEALS else None)
    if 0 < version < _SEALS:
        # The pages that held clear text are overwritten in the file itself, and nothing of them is left in the log.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def refuse_newer(connection: sqlite3.Connection, path: Path) -> None:
    """Raise SchemaTooNew where a later version wrote it, whose rows may say what this one does not know of."""
    version, known = _pragma(connection, "PRAGMA user_version"), newest()
    if version > known:
        raise SchemaTooNew(
            f"The database {str(path)!r} has schema {version}; this version of Leverframe knows up to {known}.",
            next_move="Use the version of Leverframe that wrote it, or a later one; nothing was changed.",
        )


def statements(sql: str) -> Iterator[str]:
    """Split a script into statements, since `executescript` would commit in the middle of it."""
    pending = ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def _apply(connection: sqlite3.Connection, sql: str, vault: Vault | None) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if vault is not None:
            seal_kept(connection, vault)
        for statement in statements(sql):
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _refuse_foreign(connection: sqlite3.Connection, path: Path, *, version: int, create: bool) -> None:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version or tables:
        raise StoreUnavailable(
            f"The file {str(path)!r} is the SQLite database of something else; expected one made by Leverframe.",
            next_move="Name another path; nothing was changed in this one.",
        )
    if not create:
        raise StoreUnavailable(
            f"The database {str(path)!r} is empty; expected one with runs in it.",
            next_move="Make one with `leverframe init`, or let the first `leverframe run` of a project make it.",
        )


def _pragma(connection: sqlite3.Connection, pragma: str) -> int:
    (value,) = connection.execute(pragma).fetchone()
    return int(value)


def _is_sql(name: str) -> bool:
    return name.endswith(".sql")
