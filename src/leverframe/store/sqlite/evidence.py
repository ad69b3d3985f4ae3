"""SQL of `leaves`, `trees`, `tree_nodes` and `checkpoints`: the log and its tree.

Owner: evidence.  Writer: the store's writer.  Trust: untrusted; against a head that is kept elsewhere an editor can
only make verification fail.  The row of `trees` is tagged: entries after the newest signed head are signed, by the next
head, only where the store wrote them (leverframe.store.sqlite.tree_tags).
Invariant: the frontier in `trees` is that of the leaves, and `run_seq` of a run is 1, 2, 3 ... in commit order
(tests/crash/test_store_kill.py).
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from leverframe.core import merkle
from leverframe.core.leaves import encode_leaf
from leverframe.domain.evidence import EntryDraft, TreeState
from leverframe.domain.ids import EntryId, RunId, TenantId
from leverframe.domain.time import to_us
from leverframe.ports.store import LoggedLeaf
from leverframe.store.sqlite import disclosures, tree_tags
from leverframe.store.sqlite.data_keys import Keyring, Keys

_HASH_BYTES = 32
# A kept level every 8: what lies between is at most 2**7 hashes of the level below away.
_KEPT_LEVELS = (24, 16, 8)

_TREE = "SELECT size, frontier FROM trees WHERE tenant = :tenant"

_PUT_TREE = """
INSERT INTO trees (tenant, size, frontier, tag) VALUES (:tenant, :size, :frontier, :tag)
ON CONFLICT (tenant) DO UPDATE SET size = excluded.size, frontier = excluded.frontier, tag = excluded.tag
"""

_LAST_SEQ = "SELECT max(run_seq) FROM leaves WHERE tenant = :tenant AND run_id = :run_id"

_PUT_LEAF = """
INSERT INTO leaves (tenant, leaf_index, entry_id, run_id, run_seq, type, at_us, leaf, leaf_hash)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
"""

_PUT_NODE = """
INSERT INTO tree_nodes (tenant, level, node_index, hash) VALUES (?1, ?2, ?3, ?4)
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

    counts: Mapping[TenantId, int]
    seqs: Mapping[tuple[TenantId, RunId], int]


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that waits for the end of the transaction."""

    draft: EntryDraft
    run_seq: int | None
    leaf: bytes


class Appender:
    """Appends entries within one transaction: each gets its place at once, and is written with all others at the end.

    The trees and places that it has read are good until that transaction ends, and longer only while no other
    connection commits (`Batch.goes_on`): other processes write too.
    """

    def __init__(self, tx: sqlite3.Connection, ring: Keyring) -> None:
        self._tx = tx
        self.keys = Keys(tx, ring)
        self._trees: dict[TenantId, TreeState] = {}
        self._seqs: dict[tuple[TenantId, RunId], int] = {}
        self._entries: dict[TenantId, list[_Entry]] = {}

    def mark(self) -> _Mark:
        """Remember the log before a proposal; goes with its savepoint."""
        return _Mark(counts={tenant: len(one) for tenant, one in self._entries.items()}, seqs=dict(self._seqs))

    def reset(self, mark: _Mark) -> None:
        """Go back to a mark, as the savepoint did."""
        self._seqs = dict(mark.seqs)
        self.keys.reset()
        for tenant, entries in self._entries.items():
            del entries[mark.counts.get(tenant, 0) :]

    def know(self, tenant: TenantId, run_id: RunId, last_seq: int | None) -> None:
        """Remember how many entries a run has, as this transaction found it."""
        self._seqs[tenant, run_id] = last_seq or 0

    @property
    def size(self) -> int:
        """How many entries wait."""
        return sum(map(len, self._entries.values()))

    def append(self, draft: EntryDraft) -> int:
        """Take one entry with its disclosures; returns its index in the tenant's tree."""
        tree = self._trees.get(draft.tenant)
        if tree is None:
            tree = tree_of(self._tx, draft.tenant)
            tree_tags.refuse_foreign(self._tx, self.keys.vault, draft.tenant, tree)
            self._trees[draft.tenant] = tree
        run_seq = None if draft.run_id is None else self._next_seq(draft.tenant, draft.run_id)
        if draft.disclosures:
            # Now rather than at the end: a key that cannot be used fails this proposal and none beside it.
            self.keys.of_run(draft.tenant, draft.run_id)
        entries = self._entries.setdefault(draft.tenant, [])
        entries.append(_Entry(draft=draft, run_seq=run_seq, leaf=encode_leaf(draft, run_seq)))
        if draft.run_id is not None and run_seq is not None:
            self._seqs[draft.tenant, draft.run_id] = run_seq
        return tree.size + len(entries) - 1

    def finish(self) -> dict[TenantId, tuple[TreeState, int]]:
        """Write all of it; returns the heads of the trees that grew, with the microsecond of their last entry."""
        grown: dict[TenantId, tuple[TreeState, int]] = {}
        for tenant, entries in self._entries.items():
            if entries:
                self._trees[tenant] = tree = self._write(tenant, entries)
                grown[tenant] = tree, to_us(entries[-1].draft.at)
        self._entries.clear()
        return grown

    def forget(self) -> None:
        """Look again for the places of runs, and for the keys of their values."""
        self._seqs.clear()
        self.keys.reset()

    def _write(self, tenant: TenantId, entries: Sequence[_Entry]) -> TreeState:
        tree = self._trees[tenant]
        hashes = [merkle.leaf_hash(one.leaf) for one in entries]
        growth = merkle.extend(tree, hashes, levels=_KEPT_LEVELS)
        self._tx.executemany(
            _PUT_LEAF,
            [
                (
                    tenant,
                    index,
                    one.draft.entry_id,
                    one.draft.run_id,
                    one.run_seq,
                    one.draft.type.value,
                    to_us(one.draft.at),
                    one.leaf,
                    leaf_hash,
                )
                for index, (one, leaf_hash) in enumerate(zip(entries, hashes, strict=True), tree.size)
            ],
        )
        kept = [(tenant, node.level, node.index, node.hash) for node in growth.nodes]
        if kept:
            self._tx.executemany(_PUT_NODE, kept)
        disclosures.put(self._tx, self.keys, [one.draft for one in entries if one.draft.disclosures])
        state = growth.state
        tag = tree_tags.tag_of(self.keys.vault, tenant, state)
        params = {"tenant": tenant, "size": state.size, "frontier": b"".join(state.frontier), "tag": tag}
        self._tx.execute(_PUT_TREE, params)
        return state

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
