"""Whether a log continues the heads that are known of it, wherever they were kept.

Knows: the file beside the database and what a signer remembers are both only heads: an epoch, a size and a root.
Never: writes, or decides what to do with a log that does not continue them.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from leverframe.core import merkle
from leverframe.core.epochs import FIRST_EPOCH, log_and_epoch
from leverframe.core.notes import SignedHead
from leverframe.domain.errors import EvidenceBroken
from leverframe.domain.evidence import TreeState
from leverframe.domain.ids import TenantId
from leverframe.store.sqlite import evidence

_MOVE = "Stop every writer, keep the folder as it is, and run `leverframe evidence verify`."
_RESTORED = (
    "If a backup was restored here, say so and go on in a new epoch: leverframe evidence recover --because TEXT."
    " Otherwise stop every writer, keep the folder as it is, and run `leverframe evidence verify`."
)

# One value a tenant in `meta`, written with the entry that says why.
_EPOCH = "SELECT value FROM meta WHERE name = :name"
_PUT_EPOCH = "INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = :value"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownHead:
    """A head that was signed, and where it is kept: `the signer`, or a file by name."""

    where: str
    head: SignedHead

    @property
    def epoch(self) -> int:
        """The epoch in which it was signed."""
        return log_and_epoch(self.head.origin)[1]


def epoch_of(tx: sqlite3.Connection, tenant: TenantId) -> int:
    """The epoch that a log is in, as the database says."""
    row = tx.execute(_EPOCH, {"name": f"epoch/{tenant}"}).fetchone()
    return FIRST_EPOCH if row is None else int(row[0])


def put_epoch(tx: sqlite3.Connection, tenant: TenantId, epoch: int) -> None:
    """Say which epoch the log is in; in the transaction of the entry that begins it."""
    tx.execute(_PUT_EPOCH, {"name": f"epoch/{tenant}", "value": str(epoch)})


def is_behind(tx: sqlite3.Connection, tenant: TenantId, known: KnownHead) -> bool:
    """Whether the log is older than a head that was signed of it: rolled back, cut, or restored."""
    epoch = epoch_of(tx, tenant)
    return known.epoch > epoch or (known.epoch == epoch and known.head.size > evidence.tree_of(tx, tenant).size)


def compare(tx: sqlite3.Connection, tenant: TenantId, tree: TreeState, known: KnownHead) -> None:
    """Hold the log against a head.

    Raises:
        EvidenceBroken: the log is shorter than that head, in an earlier epoch, or its entries are others.
    """
    epoch, head = epoch_of(tx, tenant), known.head
    if known.epoch < epoch:
        # A head of an epoch that was given up openly; the one that counts is signed with the next entries.
        return
    if known.epoch > epoch:
        raise EvidenceBroken(
            f"The log of {tenant!r} is in epoch {epoch}, and {known.where} knows it in epoch {known.epoch}, with"
            f" {head.size} entries: it was rolled back.",
            next_move=_RESTORED,
        )
    if tree.size < head.size:
        raise EvidenceBroken(
            f"The log of {tenant!r} has {tree.size} entries, and its signed head in {known.where} has"
            f" {head.size}: entries {tree.size} to {head.size - 1} are gone.",
            next_move=_RESTORED,
        )
    if root_of(tx, tenant, head.size) != head.root:
        raise EvidenceBroken(
            f"The first {head.size} entries of the log of {tenant!r} are not those of its signed head in"
            f" {known.where}.",
            next_move=_MOVE,
        )


def root_of(tx: sqlite3.Connection, tenant: TenantId, size: int) -> bytes:
    """The root of the first entries.  Raises EvidenceBroken where stored hashes are missing."""
    try:
        return merkle.root(merkle.state_of(size, lambda level, index: evidence.node_hash(tx, tenant, level, index)))
    except ValueError as err:
        raise EvidenceBroken(f"The log of {tenant!r} has lost entries below {size}.", next_move=_MOVE) from err


def continuation(tx: sqlite3.Connection, tenant: TenantId, old: int, size: int) -> tuple[bytes, ...]:
    """The proof that the first `old` entries begin the first `size`.

    Raises:
        EvidenceBroken: stored hashes that it needs are missing.
    """
    places = merkle.nodes_used(lambda get: merkle.consistency_proof(old, size, get))
    try:
        hashes: Mapping[tuple[int, int], bytes] = {
            place: evidence.node_hash(tx, tenant, *place) for place in dict.fromkeys(places)
        }
    except ValueError as err:
        raise EvidenceBroken(f"The log of {tenant!r} has lost entries below {size}.", next_move=_MOVE) from err
    return merkle.consistency_proof(old, size, lambda level, index: hashes[level, index])
