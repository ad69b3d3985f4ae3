"""The tree against a naive reference, for every size up to a few dozen."""

import hashlib

import pytest

from leverframe.core.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    extend,
    inclusion_proof,
    leaf_hash,
    nodes_used,
    root,
    state_of,
    verify_consistency,
    verify_inclusion,
)
from leverframe.domain.evidence import TreeState

SIZES = range(34)


def naive_root(hashes: list[bytes]) -> bytes:
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return hashlib.sha256(b"\x01" + naive_root(hashes[:split]) + naive_root(hashes[split:])).digest()


class Tree:
    def __init__(self, size: int) -> None:
        self.hashes = [leaf_hash(b"leaf %d" % number) for number in range(size)]
        growth = extend(TreeState(), self.hashes)
        self.state = growth.state
        self.nodes = {(node.level, node.index): node.hash for node in growth.nodes}

    def get_hash(self, level: int, index: int) -> bytes:
        return self.nodes[level, index]


@pytest.mark.parametrize("size", SIZES)
def test_the_root_is_that_of_the_definition(size: int) -> None:
    tree = Tree(size)

    assert root(tree.state) == naive_root(tree.hashes)


def test_the_root_of_no_leaves_is_the_hash_of_nothing() -> None:
    assert root(TreeState()) == EMPTY_ROOT == hashlib.sha256(b"").digest()


@pytest.mark.parametrize("size", SIZES)
def test_growing_in_two_steps_gives_the_tree_and_the_nodes_of_one(size: int) -> None:
    whole = Tree(size)

    for cut in range(size + 1):
        first = extend(TreeState(), whole.hashes[:cut])
        second = extend(first.state, whole.hashes[cut:])

        assert second.state == whole.state
        assert {(node.level, node.index): node.hash for node in first.nodes + second.nodes} == whole.nodes


@pytest.mark.parametrize("size", SIZES)
def test_the_frontier_is_found_again_from_stored_nodes(size: int) -> None:
    tree = Tree(size)

    assert state_of(size, tree.get_hash) == tree.state


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_is_proved_and_no_other_leaf_passes_for_it(size: int) -> None:
    tree = Tree(size)

    for index in range(size):
        proof = inclusion_proof(index, size, tree.get_hash)

        assert verify_inclusion(tree.hashes[index], index, size, proof, root(tree.state))
        assert not verify_inclusion(leaf_hash(b"other"), index, size, proof, root(tree.state))
        assert not verify_inclusion(tree.hashes[index], index + 1, size, proof, root(tree.state))
        assert not verify_inclusion(tree.hashes[index], index, size, [*proof, b"x" * 32], root(tree.state))
        assert not proof or not verify_inclusion(tree.hashes[index], index, size, proof[:-1], root(tree.state))


@pytest.mark.parametrize("size", SIZES)
def test_every_prefix_is_proved_and_no_other_root_passes_for_it(size: int) -> None:
    tree, other = Tree(size), leaf_hash(b"other")

    for old in range(size + 1):
        proof = consistency_proof(old, size, tree.get_hash)
        old_root = naive_root(tree.hashes[:old])

        assert verify_consistency(old, old_root, size, root(tree.state), proof)
        assert not verify_consistency(old, other, size, root(tree.state), proof)
        assert old == 0 or not verify_consistency(old, old_root, size, other, proof)


def test_a_fork_has_no_consistency_proof() -> None:
    honest, forked = Tree(8), extend(TreeState(), [leaf_hash(b"forked %d" % number) for number in range(12)])
    nodes = {(node.level, node.index): node.hash for node in forked.nodes}

    proof = consistency_proof(8, 12, lambda level, index: nodes[level, index])

    assert not verify_consistency(8, root(honest.state), 12, root(forked.state), proof)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_a_proof_of_a_leaf_that_is_not_there_is_refused(index: int, size: int) -> None:
    with pytest.raises(ValueError, match=f"A tree of {size} leaves has no leaf {index}"):
        inclusion_proof(index, size, Tree(size).get_hash)


@pytest.mark.parametrize("old", [-1, 4])
def test_a_proof_of_a_prefix_that_is_none_is_refused(old: int) -> None:
    with pytest.raises(ValueError, match=f"has no prefix of {old}"):
        consistency_proof(old, 3, Tree(3).get_hash)


def test_the_nodes_of_a_proof_are_known_before_they_are_fetched() -> None:
    tree = Tree(21)

    used = nodes_used(lambda get: inclusion_proof(5, 21, get))

    fetched = {place: tree.nodes[place] for place in used}
    proof = inclusion_proof(5, 21, lambda level, index: fetched[level, index])
    assert verify_inclusion(tree.hashes[5], 5, 21, proof, root(tree.state))
