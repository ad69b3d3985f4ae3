"""SQL of `leaves`, `trees`, `tree_nodes` and `checkpoints`: the log and its tree.

Owner: evidence.  Writer: the store's writer.  Trust: untrusted; against a head that is kept elsewhere an editor can
only make verification fail.
Invariant: the frontier in `trees` is that of the leaves, and `run_seq` of a run is 1, 2, 3 ... in commit order
(tests/crash/test_store_kill.py).
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leverframe.core import merkle
from leverframe.core.leaves import encode_leaf
from leverframe.domain.evidence import EntryDraft, TreeState
from leverframe.domain.ids import EntryId, RunId, TenantId
from leverframe.domain.time import to_us
from leverframe.ports.store import LoggedLeaf
from leverframe.store.sqlite import disclosures

_HASH_BYTES = 32
# A kept level every 8: what lies between is at most 2**7 hashes of the level below away.
_KEPT_LEVELS = (24, 16, 8)

_TREE = "SELECT size, frontier FROM trees WHERE tenant = :tenant"

_PUT_TREE = """
INSERT INTO trees (tenant, size, frontier) VALUES (:tenant, :size, :frontier)
ON CONFLICT (tenant) DO UPDATE SET size = excluded.size, frontier = excluded.frontier
"""

_LAST_SEQ = "SELECT max(run_seq) FROM leaves WHERE tenant = :tenant AND run_id = :run_id"

_PUT_LEAF = """
INSERT INTO leaves (tenant, leaf_index, entry_id, run_id, run_seq, type, at_us, leaf, leaf_hash)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
"""

_PUT_NODE = """
INSERT INTO tree_nodes (tenant, level, node_index, hash) VALUES (:tenant, :level, :node_index, :hash)
"""

_LEAVES = """
SELECT leaf_index, entry_id, leaf FROM leaves
 WHERE tenant = :tenant AND leaf_index >= :first AND leaf_index < :first + :count
 ORDER BY leaf_index
"""

_LEAVES_OF_RUN = """
SELECT leaf_index, entry_id, leaf FROM leaves WHERE tenant = :tenant AND run_id = :run_id ORDER BY run_seq
"""

_LEAF_HASHES = """
SELECT leaf_hash FROM leaves
 WHERE tenant = :tenant AND leaf_index >= :first AND leaf_index < :first + :count
 ORDER BY leaf_index
"""

_NODE_HASHES = """
SELECT hash FROM tree_nodes
 WHERE tenant = :tenant AND level = :level AND node_index >= :first AND node_index < :first + :count
 ORDER BY node_index
"""

_PUT_NOTE = """
INSERT INTO checkpoints (tenant, size, note) VALUES (:tenant, :size, :note)
ON CONFLICT (tenant) DO UPDATE SET size = excluded.size, note = excluded.note
"""

_NOTE = "SELECT size, note FROM checkpoints WHERE tenant = :tenant"

_LAST_AT = "SELECT at_us FROM leaves WHERE tenant = :tenant AND leaf_index = :leaf_index"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """What an `Appender` knew before a proposal."""

    trees: Mapping[TenantId, TreeState]
    seqs: Mapping[tuple[TenantId, RunId], int]
    grown: Mapping[TenantId, int]


class Appender:
    """Appends entries within one transaction.

    The trees and places that it has read are good until that transaction ends, and never longer: other processes write
    too.
    """

    def __init__(self, tx: sqlite3.Connection) -> None:
        self._tx = tx
        self._trees: dict[TenantId, TreeState] = {}
        self._seqs: dict[tuple[TenantId, RunId], int] = {}
        self._grown: dict[TenantId, int] = {}

    def mark(self) -> _Mark:
        """Remember the trees before a proposal; goes with its savepoint."""
        return _Mark(trees=dict(self._trees), seqs=dict(self._seqs), grown=dict(self._grown))

    def reset(self, mark: _Mark) -> None:
        """Go back to a mark, as the savepoint did."""
        self._trees, self._seqs, self._grown = dict(mark.trees), dict(mark.seqs), dict(mark.grown)

    def append(self, draft: EntryDraft) -> int:
        """Write one entry with its disclosures; returns its index in the tenant's tree."""
        tree = self._trees.get(draft.tenant)
        if tree is None:
            tree = tree_of(self._tx, draft.tenant)
        run_seq = None if draft.run_id is None else self._next_seq(draft.tenant, draft.run_id)
        at_us = to_us(draft.at)
        leaf = encode_leaf(draft, run_seq)
        growth = merkle.extend(tree, [merkle.leaf_hash(leaf)])
        self._tx.execute(
            _PUT_LEAF,
            (
                draft.tenant,
                tree.size,
                draft.entry_id,
                draft.run_id,
                run_seq,
                draft.type.value,
                at_us,
                leaf,
                growth.nodes[0].hash,
            ),
        )
        for node in growth.nodes:
            if node.level in _KEPT_LEVELS:
                place = {"tenant": draft.tenant, "level": node.level, "node_index": node.index}
                self._tx.execute(_PUT_NODE, {**place, "hash": node.hash})
        if draft.disclosures:
            disclosures.put(self._tx, draft)
        self._trees[draft.tenant] = growth.state
        self._grown[draft.tenant] = at_us
        if draft.run_id is not None and run_seq is not None:
            self._seqs[draft.tenant, draft.run_id] = run_seq
        return tree.size

    def finish(self) -> Mapping[TenantId, tuple[TreeState, int]]:
        """Write the heads of the trees that grew; returns them with the time of their last entry in microseconds."""
        grown = {tenant: (self._trees[tenant], at_us) for tenant, at_us in self._grown.items()}
        for tenant, (tree, _) in grown.items():
            params = {"tenant": tenant, "size": tree.size, "frontier": b"".join(tree.frontier)}
            self._tx.execute(_PUT_TREE, params)
        return grown

    def _next_seq(self, tenant: TenantId, run_id: RunId) -> int:
        known = self._seqs.get((tenant, run_id))
        if known is not None:
            return known + 1
        (last,) = self._tx.execute(_LAST_SEQ, {"tenant": tenant, "run_id": run_id}).fetchone()
        return (last or 0) + 1


def tree_of(tx: sqlite3.Connection, tenant: TenantId) -> TreeState:
    """The head of a tenant's tree; empty before its first entry."""
    row = tx.execute(_TREE, {"tenant": tenant}).fetchone()
    if row is None:
        return TreeState()
    size, frontier = row
    hashes = [frontier[start : start + _HASH_BYTES] for start in range(0, len(frontier), _HASH_BYTES)]
    return TreeState(size=size, frontier=tuple(hashes))


def leaves(tx: sqlite3.Connection, tenant: TenantId, first: int, count: int) -> Sequence[LoggedLeaf]:
    """Leaves by index."""
    rows = tx.execute(_LEAVES, {"tenant": tenant, "first": first, "count": count})
    return [LoggedLeaf(index=index, entry_id=EntryId(entry_id), leaf=leaf) for index, entry_id, leaf in rows]


def leaves_of_run(tx: sqlite3.Connection, tenant: TenantId, run_id: RunId) -> Sequence[LoggedLeaf]:
    """A run's leaves in order."""
    rows = tx.execute(_LEAVES_OF_RUN, {"tenant": tenant, "run_id": run_id})
    return [LoggedLeaf(index=index, entry_id=EntryId(entry_id), leaf=leaf) for index, entry_id, leaf in rows]


def node_hash(tx: sqlite3.Connection, tenant: TenantId, level: int, index: int) -> bytes:
    """The root of a complete subtree, out of at most 128 stored hashes below level 32.

    Raises:
        ValueError: the tree has no such complete subtree, or lost a part of it.
    """
    kept = next((one for one in _KEPT_LEVELS if one <= level), 0)
    count = 1 << (level - kept)
    params: dict[str, object] = {"tenant": tenant, "first": index * count, "count": count}
    if kept:
        rows = tx.execute(_NODE_HASHES, {**params, "level": kept}).fetchall()
    else:
        rows = tx.execute(_LEAF_HASHES, params).fetchall()
    if len(rows) != count:
        raise ValueError(f"The tree of {tenant!r} has no complete subtree {index} of level {level}")
    return merkle.root(merkle.extend(TreeState(), [one for (one,) in rows]).state)


def put_note(tx: sqlite3.Connection, tenant: TenantId, size: int, note: bytes) -> None:
    """Keep the newest signed checkpoint."""
    tx.execute(_PUT_NOTE, {"tenant": tenant, "size": size, "note": note})


def note_of(tx: sqlite3.Connection, tenant: TenantId) -> tuple[int, bytes] | None:
    """Size and text of the newest signed checkpoint."""
    row: tuple[int, bytes] | None = tx.execute(_NOTE, {"tenant": tenant}).fetchone()
    return row


def last_at_us(tx: sqlite3.Connection, tenant: TenantId, size: int) -> int:
    """When the last of the first `size` entries was made; 0 where it is not there."""
    row = tx.execute(_LAST_AT, {"tenant": tenant, "leaf_index": size - 1}).fetchone()
    return 0 if row is None else int(row[0])
