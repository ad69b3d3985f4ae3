"""Laws of the tree: any growth is consistent, and nothing but the truth is proved."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from leverframe.core.merkle import (
    consistency_proof,
    extend,
    inclusion_proof,
    leaf_hash,
    root,
    state_of,
    verify_consistency,
    verify_inclusion,
)
from leverframe.domain.evidence import TreeState
from leverframe.sdk.heads import Tree, is_included, is_prefix

LEAVES = st.lists(st.binary(max_size=4), min_size=1, max_size=200)


def grown(leaves: list[bytes]) -> tuple[TreeState, dict[tuple[int, int], bytes]]:
    growth = extend(TreeState(), [leaf_hash(leaf) for leaf in leaves])
    return growth.state, {(node.level, node.index): node.hash for node in growth.nodes}


@given(leaves=LEAVES, cuts=st.lists(st.integers(0, 200), max_size=5))
def test_batches_of_any_size_grow_the_same_tree(leaves: list[bytes], cuts: list[int]) -> None:
    whole, _ = grown(leaves)
    state, places = TreeState(), sorted({0, len(leaves), *(min(cut, len(leaves)) for cut in cuts)})

    for start, end in itertools.pairwise(places):
        state = extend(state, [leaf_hash(leaf) for leaf in leaves[start:end]]).state

    assert state == whole


@given(leaves=LEAVES, data=st.data())
def test_every_proof_holds_for_both_verifiers(leaves: list[bytes], data: st.DataObject) -> None:
    state, nodes = grown(leaves)
    size, index = len(leaves), data.draw(st.integers(0, len(leaves) - 1))
    old = data.draw(st.integers(0, size))

    inclusion = inclusion_proof(index, size, lambda level, at: nodes[level, at])
    consistency = consistency_proof(old, size, lambda level, at: nodes[level, at])
    old_root = root(state_of(old, lambda level, at: nodes[level, at]))

    assert len(inclusion) <= size.bit_length()
    assert verify_inclusion(leaf_hash(leaves[index]), index, size, inclusion, root(state))
    assert is_included(leaf_hash(leaves[index]), index, size, list(inclusion), root(state))
    assert verify_consistency(old, old_root, size, root(state), consistency)
    assert is_prefix(old, old_root, size, root(state), list(consistency))


@given(leaves=LEAVES, data=st.data())
def test_no_bent_proof_holds_for_either_verifier(leaves: list[bytes], data: st.DataObject) -> None:
    state, nodes = grown(leaves)
    size, index = len(leaves), data.draw(st.integers(0, len(leaves) - 1))
    proof = list(inclusion_proof(index, size, lambda level, at: nodes[level, at]))
    bend = data.draw(st.sampled_from(["flip", "drop", "add", "move"]))
    digest = leaf_hash(leaves[index])

    if bend == "flip" and proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        proof[at] = leaf_hash(proof[at])
    elif bend == "drop" and proof:
        proof.pop(data.draw(st.integers(0, len(proof) - 1)))
    elif bend == "add":
        proof.insert(data.draw(st.integers(0, len(proof))), digest)
    else:
        digest = leaf_hash(b"none of them")

    assert not verify_inclusion(digest, index, size, proof, root(state))
    assert not is_included(digest, index, size, proof, root(state))


@given(leaves=LEAVES, old=st.integers(1, 200), data=st.data())
def test_no_fork_passes_for_a_growth(leaves: list[bytes], old: int, data: st.DataObject) -> None:
    old = min(old, len(leaves))
    state, nodes = grown(leaves)
    at = data.draw(st.integers(0, old - 1))
    forked, _ = grown([*leaves[:at], leaves[at] + b"!", *leaves[at + 1 : old]])
    proof = consistency_proof(old, len(leaves), lambda level, index: nodes[level, index])

    assert not verify_consistency(old, root(forked), len(leaves), root(state), proof)
    assert not is_prefix(old, root(forked), len(leaves), root(state), list(proof))


@given(leaves=LEAVES)
def test_the_verifiers_tree_is_the_writers_tree(leaves: list[bytes]) -> None:
    state, _ = grown(leaves)
    tree = Tree()

    for leaf in leaves:
        tree.append(leaf_hash(leaf))

    assert tree.root() == root(state)
