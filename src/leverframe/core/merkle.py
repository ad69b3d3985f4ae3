"""The Merkle tree of RFC 6962, section 2.1, as functions of hashes.

Knows: how leaves become a root, and the proofs that a leaf is in a tree and that one tree continues another.
Perfect subtrees are named `(level, index)`: the root over leaves `[index << level, (index + 1) << level)`.
Source of the verifiers: RFC 9162, sections 2.1.3.2 and 2.1.4.2.  Never: keeps a node; the store does.
"""

import hashlib
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass

from leverframe.domain.evidence import TreeState

EMPTY_ROOT = hashlib.sha256(b"").digest()

_EVERY_LEVEL: Container[int] = range(64)

GetHash = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The root of a perfect subtree; level 0 is a leaf hash.  Written once, never changed."""

    level: int
    index: int
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A grown tree, and the perfect subtrees that became complete, leaf hashes included, in order of completion."""

    state: TreeState
    nodes: tuple[Node, ...]


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256 of 0x00 and the leaf's bytes."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of 0x01 and two child hashes; the prefix keeps a node from passing as a leaf."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def extend(state: TreeState, leaf_hashes: Iterable[bytes], *, levels: Container[int] = _EVERY_LEVEL) -> Growth:
    """Append leaves to a tree of which only the frontier is known: O(1) hashes a leaf, amortised.

    `levels` are those whose nodes are wanted.
    """
    size, frontier, nodes = state.size, list(state.frontier), list[Node]()
    for one in leaf_hashes:
        digest, level, index = one, 0, size
        if level in levels:
            nodes.append(Node(level=0, index=index, hash=digest))
        while index & 1:
            digest, level, index = node_hash(frontier.pop(), digest), level + 1, index >> 1
            if level in levels:
                nodes.append(Node(level=level, index=index, hash=digest))
        frontier.append(digest)
        size += 1
    return Growth(state=TreeState(size=size, frontier=tuple(frontier)), nodes=tuple(nodes))


def root(state: TreeState) -> bytes:
    """The root hash; of no leaves, the hash of nothing."""
    if not state.frontier:
        return EMPTY_ROOT
    digest = state.frontier[-1]
    for left in reversed(state.frontier[:-1]):
        digest = node_hash(left, digest)
    return digest


def state_of(size: int, get_hash: GetHash) -> TreeState:
    """The frontier of the tree of the first `size` leaves, out of stored nodes."""
    return TreeState(size=size, frontier=tuple(get_hash(level, index) for level, index in _perfect(0, size)))


def nodes_used(proof: Callable[[GetHash], object]) -> tuple[tuple[int, int], ...]:
    """The nodes that a proof reads, so that a store can fetch them in one question.

    `proof` is called once with a source of empty hashes: `nodes_used(lambda get: inclusion_proof(3, 8, get))`.
    """
    used: list[tuple[int, int]] = []

    def note(level: int, index: int) -> bytes:
        used.append((level, index))
        return b""

    proof(note)
    return tuple(used)


def inclusion_proof(index: int, size: int, get_hash: GetHash) -> tuple[bytes, ...]:
    """The hashes from the leaf's sibling up to the root's child (RFC 6962, section 2.1.1).

    Raises:
        ValueError: the tree of `size` leaves has no leaf `index`.
    """
    if not 0 <= index < size:
        raise ValueError(f"A tree of {size} leaves has no leaf {index}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range_hash(middle, end, get_hash))
            end = middle
        else:
            path.append(_range_hash(start, middle, get_hash))
            start = middle
    return tuple(reversed(path))


def consistency_proof(old: int, size: int, get_hash: GetHash) -> tuple[bytes, ...]:
    """The hashes that show the first `old` leaves to be a prefix of `size` (RFC 6962, section 2.1.2).

    Empty where `old` is 0 or `size`: there is nothing to show.

    Raises:
        ValueError: `old` is negative or beyond `size`.
    """
    if not 0 <= old <= size:
        raise ValueError(f"A tree of {size} leaves has no prefix of {old}")
    if old in (0, size):
        return ()
    path: list[bytes] = []
    start, end, is_whole = 0, size, True
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_range_hash(middle, end, get_hash))
            end = middle
        else:
            path.append(_range_hash(start, middle, get_hash))
            start, is_whole = middle, False
    if not is_whole:
        path.append(_range_hash(start, end, get_hash))
    return tuple(reversed(path))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Iterable[bytes], root_hash: bytes) -> bool:
    """Whether the leaf of hash `leaf` is number `index` of the tree (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, digest = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            digest = node_hash(sibling, digest)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and digest == root_hash


def verify_consistency(old: int, old_root: bytes, size: int, root_hash: bytes, proof: Iterable[bytes]) -> bool:
    """Whether the tree of `old` leaves is a prefix of that of `size` (RFC 9162, section 2.1.4.2)."""
    path = list(proof)
    if old in (0, size):
        return not path and old_root == (root_hash if old else EMPTY_ROOT)
    if not 0 < old < size or not path:
        return False
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    node, last = old - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and first == old_root and second == root_hash


def _split(count: int) -> int:
    """The largest power of two below `count`, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)


def _perfect(start: int, end: int) -> list[tuple[int, int]]:
    """The perfect subtrees of a range that begins where one as large as the range could, largest first."""
    parts: list[tuple[int, int]] = []
    while start < end:
        level = (end - start).bit_length() - 1
        parts.append((level, start >> level))
        start += 1 << level
    return parts


def _range_hash(start: int, end: int, get_hash: GetHash) -> bytes:
    hashes = [get_hash(level, index) for level, index in _perfect(start, end)]
    return root(TreeState(size=end - start, frontier=tuple(hashes)))
