"""Opening the store on SQLite: file, lock, schema, head, writer and readers, in this order."""

import sqlite3
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from leverframe.domain.errors import StoreUnavailable
from leverframe.domain.ids import TenantId
from leverframe.ports.live import LiveBook
from leverframe.ports.signing import Signer
from leverframe.ports.store import ApprovalBook, AuthorityBook, EvidenceLog, ForfeitEntry, Journal, Writer
from leverframe.ports.vault import Vault
from leverframe.store.sqlite import clean_mark, tree_heads, untagged_runs
from leverframe.store.sqlite.connection import (
    BUSY_MS,
    cannot_write,
    check_file,
    create_file,
    open_writer,
    said_plainly,
)
from leverframe.store.sqlite.data_keys import Keyring
from leverframe.store.sqlite.evidence import Appender
from leverframe.store.sqlite.filelock import FileLock, lock_file
from leverframe.store.sqlite.flushing import Flusher, WalFile
from leverframe.store.sqlite.heads import HeadKeeper
from leverframe.store.sqlite.live import SqliteLiveBook
from leverframe.store.sqlite.migrate import migrate
from leverframe.store.sqlite.reads import (
    Readers,
    SqliteApprovalBook,
    SqliteAuthorityBook,
    SqliteEvidenceLog,
    SqliteJournal,
)
from leverframe.store.sqlite.sealing import check_vault
from leverframe.store.sqlite.wal_checkpoints import WalCheckpoints
from leverframe.store.sqlite.writer import SqliteWriter

_NO_SIGNERS: Mapping[TenantId, Signer] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """An open database.  Whoever opened it closes it."""

    writer: Writer
    journal: Journal
    approvals: ApprovalBook
    authority: AuthorityBook
    live: LiveBook
    evidence: EvidenceLog
    signers: Mapping[TenantId, Signer]  # those it was opened with, each in the epoch of its log
    _connection: sqlite3.Connection  # the writer's
    _readers: Readers
    _held: ExitStack  # connections and locks, closed when nobody uses them any more

    async def close(self) -> None:
        """Finish what waits and let go of the file.  Safe to call twice."""
        await self.writer.close()
        self._readers.close()
        self._held.close()


def open_sqlite(
    path: Path,
    *,
    create: bool,
    vault: Vault,
    signers: Mapping[TenantId, Signer] = _NO_SIGNERS,
    durability: str = "grouped",
    entry_of: ForfeitEntry | None = None,
    patience_s: float = BUSY_MS / 1000,
) -> Store:
    """Open the database, bring it to this version's schema, and start its writer.

    Args:
        path: the database file; `.lock`, `.head`, `-wal` and `-shm` stand beside it.
        create: make it where it is missing; otherwise a missing one is an error, never an accident.
        vault: the keys of this database, under which values are sealed and approvals tagged.
        signers: the key of each tenant's log; a tenant without one has no checkpoints.
        durability: `grouped` answers visible proposals at their commit; `strict` flushes every one before.
        entry_of: makes the `budget.forfeited` entry of a window, after the machine crashed with something unflushed.
        patience_s: how long a proposal waits for other processes before it gives up.

    Raises:
        StoreUnavailable: it is missing, read-only, damaged, foreign, locked or full; or the machine crashed, and there
            is no `entry_of`.
        SchemaTooNew: a later version wrote it.
        EvidenceBroken: the log does not continue the newest head that was signed.
        KeyUnsafe: the vault is not the one of this database, or a key of it is missing.
    """
    path = path.absolute()
    lock = _locked(path, create=create)
    boot, wal, ring = clean_mark.boot_id(), WalFile(path), Keyring(vault)
    with ExitStack() as undo, ExitStack() as held:
        held.callback(lock.close)
        lock.acquire_within(patience_s)
        connection = _writer(path, held)
        with said_plainly(path):
            migrate(connection, path, create=create, vault=vault)
            _check_rows(connection, vault, signers)
            _recover(connection, path, boot, ring=ring, entry_of=entry_of)
            head_connection, copying_connection = _writer(path, held), _writer(path, held)
            undo.callback(wal.close)
            _flush(wal, path)
            heads = HeadKeeper(head_connection, path, signers)
            heads.check()
        lock.release()
        undo.pop_all()
        kept = held.pop_all()
    writer = SqliteWriter(
        connection=connection,
        path=path,
        lock=lock,
        flusher=Flusher(wal=wal, path=path, heads=heads, connection=head_connection),
        checkpoints=WalCheckpoints(copying_connection, path),
        ring=ring,
        boot=boot,
        is_strict=durability == "strict",
        patience_s=patience_s,
    )
    return _opened(writer, Readers(path), vault, heads.signers, (connection, kept))


def _writer(path: Path, held: ExitStack) -> sqlite3.Connection:
    connection = open_writer(path)
    held.callback(connection.close)
    return connection


def _check_rows(connection: sqlite3.Connection, vault: Vault, signers: Mapping[TenantId, Signer]) -> None:
    """Whether the vault is the database's own and its logs may be gone on with; then what has no tag yet gets one."""
    check_vault(connection, vault)
    tree_heads.check(connection, vault, signers)
    untagged_runs.tag_those_in_the_log(connection, vault)


def _locked(path: Path, *, create: bool) -> FileLock:
    """The lock of a file that is there; not taken yet."""
    if create:
        create_file(path)
    check_file(path)
    try:
        return FileLock(lock_file(path))
    except OSError as err:
        raise cannot_write(path, err) from err


def _opened(
    writer: SqliteWriter,
    readers: Readers,
    vault: Vault,
    signers: Mapping[TenantId, Signer],
    held: tuple[sqlite3.Connection, ExitStack],
) -> Store:
    return Store(
        writer=writer,
        journal=SqliteJournal(readers, vault),
        approvals=SqliteApprovalBook(readers, vault),
        authority=SqliteAuthorityBook(readers, vault),
        live=SqliteLiveBook(readers, vault),
        evidence=SqliteEvidenceLog(readers, vault),
        signers=signers,
        _connection=held[0],
        _readers=readers,
        _held=held[1],
    )


def _recover(
    connection: sqlite3.Connection, path: Path, boot: str, *, ring: Keyring, entry_of: ForfeitEntry | None
) -> None:
    """After a crash of the machine: use each window up to its ceiling, since what was reserved below it may be lost."""
    if not clean_mark.is_crashed(connection, boot):
        return
    if entry_of is None:
        raise StoreUnavailable(
            f"The machine went down while {str(path)!r} was in use, and its budgets are not reconciled yet.",
            next_move="Open it once with a command of its project, such as: leverframe runs list",
        )
    connection.execute("BEGIN IMMEDIATE")
    try:
        log = Appender(connection, ring)
        for one in clean_mark.forfeit(connection):
            log.append(entry_of(one))
        log.finish()
        clean_mark.take_away(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _flush(wal: WalFile, path: Path) -> None:
    """What is signed must be flushed, and others may have committed since their last flush."""
    try:
        wal.flush()
    except OSError as err:
        raise cannot_write(path, err) from err
