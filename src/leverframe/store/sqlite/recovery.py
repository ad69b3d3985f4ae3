"""Going on from a backup that is behind what was signed of it: a new epoch, named in the log and to the signer.

Knows: which heads a log is behind, and in what order an epoch begins: the signer closes the old one for good, then the
entry that says so is written with the new epoch, then the new head is signed.  A crash in between leaves a log that is
behind again, which the next recovery mends.  Never: goes on with a log that its own signed head does not cover.
Rules: docs/adr/0009-recovery-epochs.md.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from leverframe.core import merkle
from leverframe.core.notes import open_checkpoint, parse_vkey
from leverframe.domain.errors import EvidenceBroken
from leverframe.domain.ids import RunId, TenantId
from leverframe.ports.signing import Signer
from leverframe.ports.store import Recovered, RecoveryEntries
from leverframe.ports.vault import Vault
from leverframe.store.sqlite import evidence, known_heads
from leverframe.store.sqlite.connection import BUSY_MS, check_file, open_writer, said_plainly
from leverframe.store.sqlite.data_keys import Keyring
from leverframe.store.sqlite.evidence import Appender
from leverframe.store.sqlite.filelock import FileLock
from leverframe.store.sqlite.heads import HeadKeeper, head_file, known_head, read_kept
from leverframe.store.sqlite.known_heads import KnownHead
from leverframe.store.sqlite.migrate import migrate
from leverframe.store.sqlite.sealing import check_vault

_MOVE = "Restore a backup that is whole, and recover from that."

_UNENDED = "SELECT run_id FROM runs WHERE tenant = :tenant AND state <> 'ended' ORDER BY opened_us, run_id"


def recover_sqlite(
    path: Path,
    *,
    vault: Vault,
    signers: Mapping[TenantId, Signer],
    entries_of: RecoveryEntries,
    patience_s: float = BUSY_MS / 1000,
) -> tuple[Recovered, ...]:
    """Begin a new epoch of every log that is behind a head that was signed of it; none where none is.

    Raises:
        StoreUnavailable: the database is missing, damaged, locked or cannot be written.
        SignerUnavailable: what the signer remembers cannot be asked.
        EvidenceBroken: what is left of a log is not what was signed of it.
        KeyUnsafe: the vault is not the one of this database, or a key of it is missing.
    """
    path = path.absolute()
    check_file(path)
    with ExitStack() as open_things, said_plainly(path):
        lock = FileLock(path.with_name(path.name + ".lock"))
        open_things.callback(lock.close)
        lock.acquire_within(patience_s)
        connection = open_writer(path)
        open_things.callback(connection.close)
        migrate(connection, path, create=False, vault=vault)
        check_vault(connection, vault)
        ring = Keyring(vault)
        connection.execute("PRAGMA synchronous = FULL")
        found = tuple(
            _begin(connection, path, tenant, signer, ring=ring, entries_of=entries_of)
            for tenant, signer in signers.items()
            if _newest(connection, path, tenant, signer) is not None
        )
        heads = HeadKeeper(connection, path, signers)
        heads.check()
        heads.admit()
    return found


def _newest(tx: sqlite3.Connection, path: Path, tenant: TenantId, signer: Signer) -> KnownHead | None:
    """The newest head that the log is behind; None where it is behind none."""
    kept, remembered = read_kept(path).get(tenant), signer.head()
    known = [] if kept is None else [known_head(head_file(path), kept)]
    known += [] if remembered is None else [KnownHead(where="the signer", head=remembered)]
    behind = [one for one in known if known_heads.is_behind(tx, tenant, one)]
    return max(behind, key=lambda one: (one.epoch, one.head.size), default=None)


def _begin(
    tx: sqlite3.Connection,
    path: Path,
    tenant: TenantId,
    signer: Signer,
    *,
    ring: Keyring,
    entries_of: RecoveryEntries,
) -> Recovered:
    newest = _newest(tx, path, tenant, signer)
    if newest is None:
        msg = f"The log of {tenant!r} is behind no head"
        raise AssertionError(msg)
    epoch, tree = known_heads.epoch_of(tx, tenant), evidence.tree_of(tx, tenant)
    _check_what_is_left(tx, tenant, signer.in_epoch(epoch), tree.size)
    recovered = Recovered(
        tenant=tenant,
        epoch=max(epoch, newest.epoch) + 1,
        kept=tree.size,
        lost=newest.head,
        unended=tuple(RunId(run_id) for (run_id,) in tx.execute(_UNENDED, {"tenant": tenant})),
    )
    signer.begin(recovered.epoch, tree.size, merkle.root(tree))
    tx.execute("BEGIN IMMEDIATE")
    try:
        log = Appender(tx, ring)
        for entry in entries_of(recovered):
            log.append(entry)
        log.finish()
        known_heads.put_epoch(tx, tenant, recovered.epoch)
        tx.execute("COMMIT")
    except BaseException:
        if tx.in_transaction:
            tx.execute("ROLLBACK")
        raise
    return recovered


def _check_what_is_left(tx: sqlite3.Connection, tenant: TenantId, signer: Signer, size: int) -> None:
    """A backup is older and not another: its own signed head covers what it holds, but for what was not signed yet."""
    if size == 0:
        return
    note = evidence.note_of(tx, tenant)
    if note is None:
        raise EvidenceBroken(f"Nothing signed covers the {size} entries of the log of {tenant!r}.", next_move=_MOVE)
    head = open_checkpoint(note[1], parse_vkey(signer.vkey))
    root = merkle.root(evidence.tree_of(tx, tenant))
    is_whole = head.size <= size and known_heads.root_of(tx, tenant, head.size) == head.root
    if not is_whole or known_heads.root_of(tx, tenant, size) != root:
        raise EvidenceBroken(
            f"The {size} entries of the log of {tenant!r} are not those of their own signed head, of {head.size}.",
            next_move=_MOVE,
        )
