"""Opening the store on SQLite: file, lock, schema, head, writer and readers, in this order."""

import sqlite3
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from leverframe.domain.ids import TenantId
from leverframe.ports.signing import Signer
from leverframe.ports.store import ApprovalBook, EvidenceLog, Journal, Writer
from leverframe.store.sqlite.connection import (
    BUSY_MS,
    cannot_write,
    check_file,
    create_file,
    open_writer,
    said_plainly,
)
from leverframe.store.sqlite.filelock import FileLock
from leverframe.store.sqlite.heads import HeadKeeper
from leverframe.store.sqlite.migrate import migrate
from leverframe.store.sqlite.reads import Readers, SqliteApprovalBook, SqliteEvidenceLog, SqliteJournal
from leverframe.store.sqlite.writer import SqliteWriter

_NO_SIGNERS: Mapping[TenantId, Signer] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """An open database.  Whoever opened it closes it."""

    writer: Writer
    journal: Journal
    approvals: ApprovalBook
    evidence: EvidenceLog
    _connection: sqlite3.Connection
    _lock: FileLock
    _readers: Readers

    async def close(self) -> None:
        """Finish what waits and let go of the file.  Safe to call twice."""
        await self.writer.close()
        self._readers.close()
        self._connection.close()
        self._lock.close()


def open_sqlite(
    path: Path, *, create: bool, signers: Mapping[TenantId, Signer] = _NO_SIGNERS, patience_s: float = BUSY_MS / 1000
) -> Store:
    """Open the database, bring it to this version's schema, and start its writer.

    Args:
        path: the database file; `.lock`, `.head`, `-wal` and `-shm` stand beside it.
        create: make it where it is missing; otherwise a missing one is an error, never an accident.
        signers: the key of each tenant's log; a tenant without one has no checkpoints.
        patience_s: how long a proposal waits for other processes before it gives up.

    Raises:
        StoreUnavailable: it is missing, read-only, damaged, foreign, locked, or its disk is full.
        SchemaTooNew: a later version wrote it.
        EvidenceBroken: the log does not continue the newest head that was signed.
    """
    path = path.absolute()
    if create:
        create_file(path)
    check_file(path)
    try:
        lock = FileLock(path.with_name(path.name + ".lock"))
    except OSError as err:
        raise cannot_write(path) from err
    with ExitStack() as undo:
        undo.callback(lock.close)
        lock.acquire_within(patience_s)
        connection = open_writer(path)
        undo.callback(connection.close)
        with said_plainly(path):
            migrate(connection, path, create=create)
            heads = HeadKeeper(connection, path, signers)
            heads.check()
        lock.release()
        undo.pop_all()
    readers = Readers(path)
    return Store(
        writer=SqliteWriter(connection=connection, path=path, lock=lock, heads=heads, patience_s=patience_s),
        journal=SqliteJournal(readers),
        approvals=SqliteApprovalBook(readers),
        evidence=SqliteEvidenceLog(readers),
        _connection=connection,
        _lock=lock,
        _readers=readers,
    )
