"""Signing the heads of the log, and keeping the newest beside the database.

Knows: that a head is signed only after its entries are flushed, so what is signed never runs ahead of the log: a crash
before the note is kept leaves an older head, which the next batch replaces.  `<db>.head` is JSON of tenant to size,
root and note, replaced whole; it lets an open find a log that was cut or rewritten by someone without that file.
Never: holds a key; the signers do.  Rules: ADR-0004; C2SP tlog-checkpoint.
"""

import base64
import os
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from leverframe.core import merkle
from leverframe.core.epochs import log_and_epoch
from leverframe.core.notes import SignedHead
from leverframe.domain.errors import SignerUnavailable, StoreUnavailable
from leverframe.domain.evidence import Checkpoint, TreeState
from leverframe.domain.ids import TenantId
from leverframe.domain.time import from_us
from leverframe.ports.crash_points import crash_point
from leverframe.ports.signing import Signer
from leverframe.store.sqlite import evidence, known_heads
from leverframe.store.sqlite.connection import cannot_write
from leverframe.store.sqlite.filelock import FileLock, lock_file
from leverframe.store.sqlite.known_heads import KnownHead

# A signer that is restarted is away for seconds.  What it has not signed is what a thief of the folder could change.
MAX_UNSIGNED_S = 60.0
MAX_UNSIGNED = 1_000
_ASK_AGAIN_S = 1.0
_KEEPS_WITHIN_S = 1.0


class KeptHead(msgspec.Struct, frozen=True):
    """One tenant's part of the head file; `root` is base64."""

    size: int
    root: str
    note: str


_decode = msgspec.json.Decoder(dict[str, KeptHead]).decode


class HeadKeeper:
    """Signs and keeps heads.  The caller holds the lock between processes, but for `keep`.

    While a signer that is another process does not answer, entries go on for MAX_UNSIGNED_S seconds and MAX_UNSIGNED
    entries at most; in a process that it has not answered yet, not at all (ADR-0008).
    """

    def __init__(self, connection: sqlite3.Connection, database: Path, signers: Mapping[TenantId, Signer]) -> None:
        self._connection = connection
        self._database = database
        self._file = head_file(database)
        self._signers = dict(signers)
        self._unchecked: dict[TenantId, SignerUnavailable] = {}
        self._late: dict[TenantId, tuple[float, SignerUnavailable]] = {}
        self._ask_again_at = 0.0
        self._unkept: dict[str, KeptHead] = {}  # in the database, and not in the file yet

    @property
    def signers(self) -> Mapping[TenantId, Signer]:
        """The signer of each log, after `check` in the epoch of its log."""
        return self._signers

    def check(self) -> None:
        """Compare the log with the newest heads that are known, and sign what a crash left unsigned.

        Raises:
            EvidenceBroken: the log is shorter than one of them, or its entries are others.
            StoreUnavailable: the head file cannot be read.
        """
        try:
            kept = self._kept()
        except OSError as err:
            raise cannot_write(self._file, err) from err
        for tenant, signer in self._signers.items():
            self._signers[tenant] = signer.in_epoch(known_heads.epoch_of(self._connection, tenant))
            tree = evidence.tree_of(self._connection, tenant)
            if tenant in kept:
                known_heads.compare(self._connection, tenant, tree, known_head(self._file, kept[tenant]))
        for tenant in self._signers:
            try:
                self._check_remembered(tenant)
            except SignerUnavailable as err:
                self._unchecked[tenant] = err

    @property
    def is_late(self) -> bool:
        """Whether a signer has not answered, so that `admit` may have to ask it, and wait."""
        return bool(self._unchecked or self._late)

    def admit(self) -> None:
        """Say whether anything may be written just now; quick where every signer answers.

        Raises:
            SignerUnavailable: a signer has been away for too long, or since before this process began.
            EvidenceBroken: it is back, and remembers a head that this log does not continue.
        """
        if not self.is_late:
            return
        if time.monotonic() >= self._ask_again_at:
            self._ask_again_at = time.monotonic() + _ASK_AGAIN_S
            with suppress(SignerUnavailable):
                for tenant in (*self._unchecked, *self._late):
                    self._check_remembered(tenant)
        for away in self._unchecked.values():
            raise _refused(away)
        for tenant, (since, away) in self._late.items():
            note = evidence.note_of(self._connection, tenant)
            count = evidence.tree_of(self._connection, tenant).size - (0 if note is None else note[0])
            if time.monotonic() - since > MAX_UNSIGNED_S or count >= MAX_UNSIGNED:
                raise _refused(away)

    def publish(self, grown: Mapping[TenantId, tuple[TreeState, int]]) -> None:
        """Sign each new head and put its note into the database; `keep` puts it into the head file.

        Raises:
            EvidenceBroken: a signer refuses, since it has signed a head that this one does not continue.
            SignerUnavailable: one does not answer; the heads of the others are kept all the same.
        """
        heads: dict[str, KeptHead] = {}
        for tenant, (tree, at_us) in grown.items():
            if tenant not in self._signers:
                continue
            root = merkle.root(tree)
            try:
                note = self._sign(tenant, tree, root, at_us)
            except SignerUnavailable as err:
                self._late[tenant] = self._late.get(tenant, (time.monotonic(), err))[0], err
                continue
            self._late.pop(tenant, None)
            heads[tenant] = KeptHead(size=tree.size, root=base64.b64encode(root).decode(), note=note.decode())
        if heads:
            crash_point("before_head")
            self._put_notes(heads)
        for tenant in grown:
            if tenant in self._late:
                raise _refused(self._late[tenant][1])

    def _sign(self, tenant: TenantId, tree: TreeState, root: bytes, at_us: int) -> bytes:
        signer = self._signers[tenant]
        checkpoint = Checkpoint(origin=signer.origin, size=tree.size, root=root, at=from_us(at_us))
        return signer.sign(
            checkpoint, lambda old: known_heads.continuation(self._connection, tenant, old, checkpoint.size)
        )

    def _check_remembered(self, tenant: TenantId) -> None:
        """Compare with what the signer remembers, and have signed what is not."""
        tree = evidence.tree_of(self._connection, tenant)
        remembered = self._signers[tenant].head()
        if remembered is not None:
            known_heads.compare(self._connection, tenant, tree, KnownHead(where="the signer", head=remembered))
        self._unchecked.pop(tenant, None)
        note = evidence.note_of(self._connection, tenant)
        if tree.size and (note is None or note[0] != tree.size):
            self.publish({tenant: (tree, evidence.last_at_us(self._connection, tenant, tree.size))})
            self.keep()

    def keep(self) -> None:
        """Put what was published into the head file.

        Without the lock between processes, where nobody needs it otherwise: a file system may take long to replace a
        file, and every writer would wait.
        """
        heads, self._unkept = self._unkept, {}
        if not heads:
            return
        try:
            with closing(FileLock(lock_file(self._file))) as lock:
                lock.acquire_within(_KEEPS_WITHIN_S)
                # Closing lets go of it.
                self._replace_file(_newest(self._kept(), heads))
        except (OSError, StoreUnavailable):
            # A full disk here loses a head, not an entry: the head stays older than the log until the next batch.
            self._unkept = {**heads, **self._unkept}

    def _put_notes(self, heads: Mapping[str, KeptHead]) -> None:
        # Not flushed: the same head gives the same note again, so only the entries need to survive a power cut.
        # A full disk here loses a head, not an entry, as with the file.
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA synchronous = NORMAL")
            try:
                for tenant, head in heads.items():
                    evidence.put_note(self._connection, TenantId(tenant), head.size, head.note.encode())
            finally:
                self._connection.execute("PRAGMA synchronous = FULL")
            self._unkept |= heads

    def _replace_file(self, heads: Mapping[str, KeptHead]) -> None:
        fresh = self._file.with_name(self._file.name + ".new")
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(file, msgspec.json.encode(heads))
        finally:
            os.close(file)
        fresh.replace(self._file)

    def _kept(self) -> Mapping[str, KeptHead]:
        return read_kept(self._database)


def head_file(database: Path) -> Path:
    """Where the newest heads are kept, beside the database."""
    return database.with_name(database.name + ".head")


def read_kept(database: Path) -> Mapping[str, KeptHead]:
    """The newest heads by tenant; none where the file is missing or damaged.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        kept = _decode(head_file(database).read_bytes())
        for one in kept.values():
            base64.b64decode(one.root, validate=True)
    except FileNotFoundError:
        return {}
    except (msgspec.DecodeError, ValueError, RecursionError):
        # A power cut may leave it empty, since it is not flushed; the next head replaces it.
        return {}
    return kept


def known_head(file: Path, kept: KeptHead) -> KnownHead:
    """A head out of the file, with the epoch that its note names; the note's signature is for verification."""
    head = SignedHead(origin=_origin(kept), size=kept.size, root=base64.b64decode(kept.root))
    return KnownHead(where=repr(str(file)), head=head)


def _newest(kept: Mapping[str, KeptHead], ours: Mapping[str, KeptHead]) -> dict[str, KeptHead]:
    """Of each tenant the newer head: another process may have kept its own meanwhile."""
    return {
        tenant: max((heads[tenant] for heads in (kept, ours) if tenant in heads), key=_age)
        for tenant in kept.keys() | ours.keys()
    }


def _age(head: KeptHead) -> tuple[int, int]:
    return log_and_epoch(_origin(head))[1], head.size


def _origin(head: KeptHead) -> str:
    return head.note.partition("\n")[0]


def _refused(away: SignerUnavailable) -> SignerUnavailable:
    """The same again: a raised exception carries the traceback of its own caller."""
    return SignerUnavailable(f"{away.message} Nothing more is written unsigned.", next_move=away.next_move)
