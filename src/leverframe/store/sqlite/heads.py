"""Signing the heads of the log, and keeping the newest beside the database.

Knows: that a head is signed only after its entries are flushed, so what is signed never runs ahead of the log: a crash
before the note is kept leaves an older head, which the next batch replaces.  `<db>.head` is JSON of tenant to size,
root and note, replaced whole; it lets an open find a log that was cut or rewritten by someone without that file.
Never: holds a key; the signers do.  Rules: ADR-0004; C2SP tlog-checkpoint.
"""

import base64
import os
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from leverframe.core import merkle
from leverframe.domain.errors import EvidenceBroken
from leverframe.domain.evidence import Checkpoint, TreeState
from leverframe.domain.ids import TenantId
from leverframe.domain.time import from_us
from leverframe.ports.crash_points import crash_point
from leverframe.ports.signing import Signer
from leverframe.store.sqlite import evidence
from leverframe.store.sqlite.connection import cannot_write


class KeptHead(msgspec.Struct, frozen=True):
    """One tenant's part of the head file; `root` is base64."""

    size: int
    root: str
    note: str


_decode = msgspec.json.Decoder(dict[str, KeptHead]).decode


class HeadKeeper:
    """Signs and keeps heads.  The caller holds the lock between processes."""

    def __init__(self, connection: sqlite3.Connection, database: Path, signers: Mapping[TenantId, Signer]) -> None:
        self._connection = connection
        self._database = database
        self._file = head_file(database)
        self._signers = signers

    def check(self) -> None:
        """Compare the log with the newest head that was kept, and sign what a crash left unsigned.

        Raises:
            EvidenceBroken: the log is shorter than that head, or its entries are others.
        StoreUnavailable: the head file cannot be read.
        """
        try:
            kept = self._kept()
        except OSError as err:
            raise cannot_write(self._file) from err
        unsigned: dict[TenantId, tuple[TreeState, int]] = {}
        for tenant in self._signers:
            tree = evidence.tree_of(self._connection, tenant)
            if tenant in kept:
                self._compare(tenant, tree, kept[tenant])
            note = evidence.note_of(self._connection, tenant)
            if tree.size and (note is None or note[0] != tree.size):
                unsigned[tenant] = tree, evidence.last_at_us(self._connection, tenant, tree.size)
        self.publish(unsigned)

    def publish(self, grown: Mapping[TenantId, tuple[TreeState, int]]) -> None:
        """Sign each new head and keep its note, in the database and in the head file.

        Raises:
            EvidenceBroken: a signer refuses, since it has signed a head that this one does not continue.
        """
        heads: dict[str, KeptHead] = {}
        for tenant, (tree, at_us) in grown.items():
            signer = self._signers.get(tenant)
            if signer is None:
                continue
            root = merkle.root(tree)
            note = signer.sign(Checkpoint(origin=signer.origin, size=tree.size, root=root, at=from_us(at_us)))
            heads[tenant] = KeptHead(size=tree.size, root=base64.b64encode(root).decode(), note=note.decode())
        if heads:
            crash_point("before_head")
            self._keep(heads)

    def _keep(self, heads: Mapping[str, KeptHead]) -> None:
        # A full disk here loses a head, not an entry: the head stays older than the log until the next batch.
        with suppress(OSError, sqlite3.Error):
            self._put_notes(heads)
            self._replace_file({**self._kept(), **heads})

    def _put_notes(self, heads: Mapping[str, KeptHead]) -> None:
        # Not flushed: the same head gives the same note again, so only the entries need to survive a power cut.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        try:
            for tenant, head in heads.items():
                evidence.put_note(self._connection, TenantId(tenant), head.size, head.note.encode())
        finally:
            self._connection.execute("PRAGMA synchronous = FULL")

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

    def _compare(self, tenant: TenantId, tree: TreeState, kept: KeptHead) -> None:
        move = "Stop every writer, keep the folder as it is, and run `leverframe evidence verify`."
        if tree.size < kept.size:
            raise EvidenceBroken(
                f"The log of {tenant!r} has {tree.size} entries, and its signed head {str(self._file)!r} has"
                f" {kept.size}: entries {tree.size} to {kept.size - 1} are gone.",
                next_move=move,
            )

        def stored(level: int, index: int) -> bytes:
            return evidence.node_hash(self._connection, tenant, level, index)

        try:
            root = merkle.root(merkle.state_of(kept.size, stored))
        except ValueError as err:
            raise EvidenceBroken(f"The log of {tenant!r} has lost entries below {kept.size}.", next_move=move) from err
        if base64.b64encode(root).decode() != kept.root:
            raise EvidenceBroken(
                f"The first {kept.size} entries of the log of {tenant!r} are not those of its signed head"
                f" {str(self._file)!r}.",
                next_move=move,
            )


def head_file(database: Path) -> Path:
    """Where the newest heads are kept, beside the database."""
    return database.with_name(database.name + ".head")


def read_kept(database: Path) -> Mapping[str, KeptHead]:
    """The newest heads by tenant; none where the file is missing or damaged.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        return _decode(head_file(database).read_bytes())
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError:
        # A power cut may leave it empty, since it is not flushed; the next head replaces it.
        return {}
