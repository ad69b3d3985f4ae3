"""Whatever a bundle holds, the verifier ends with a verdict, and never calls a changed one good."""

import json
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from leverframe.core.bundles import zipped
from leverframe.core.merkle import extend, leaf_hash, root
from leverframe.core.notes import checkpoint_body, compose_note, parse_vkey
from leverframe.domain.evidence import TreeState
from leverframe.sdk.report import BROKEN
from leverframe.sdk.verify import Unreadable, verify
from tests.evidence_log import ORIGIN, honest

LOG = honest()
FILES, TRUST = LOG.bundle(), LOG.trust(0)
LEAVES = FILES["leaves.jsonl"].splitlines()
# `dict`, `list` and `str` share no methods, so each lands on code that expects another.
JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=3)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


def resigned(leaves: list[bytes]) -> dict[str, bytes]:
    """The bundle of someone who holds the key and writes what they like."""
    state = extend(TreeState(), [leaf_hash(leaf) for leaf in leaves]).state
    body = checkpoint_body(ORIGIN, state.size, root(state))
    note = compose_note(body, parse_vkey(LOG.signer().vkey), LOG.key.sign(body.encode()))
    files = {
        **FILES,
        "checkpoint": note,
        "leaves.jsonl": b"".join(leaf + b"\n" for leaf in leaves),
        "hashes.bin": b"".join(leaf_hash(leaf) for leaf in leaves),
    }
    manifest = json.loads(files.pop("manifest.json"))
    manifest["files"] = {name: sha256(data).hexdigest() for name, data in files.items()}
    return {**files, "manifest.json": json.dumps(manifest).encode()}


@given(data=st.data(), junk=JUNK)
def test_an_entry_of_any_shape_is_judged(data: st.DataObject, junk: object) -> None:
    leaves, at = list(LEAVES), data.draw(st.integers(0, len(LEAVES) - 1))
    leaf = json.loads(leaves[at])
    inside = leaf.get("detail", leaf) if data.draw(st.booleans()) else leaf
    inside[data.draw(st.sampled_from(sorted(inside)))] = junk
    leaves[at] = json.dumps(leaf).encode()

    report = verify(resigned(leaves), TRUST)

    assert report.checks["tree"].status == "passed"
    assert report.checks["signature"].status == "passed"


@given(data=st.data(), junk=JUNK)
def test_a_manifest_or_head_of_any_shape_is_judged_or_refused(data: st.DataObject, junk: object) -> None:
    manifest = json.loads(FILES["manifest.json"])
    manifest[data.draw(st.sampled_from(sorted(manifest)))] = junk

    try:
        report = verify({**FILES, "manifest.json": json.dumps(manifest).encode()}, TRUST)
    except Unreadable:
        return

    assert report.checks["signature"].status == "passed"


@given(data=st.data())
def test_no_changed_byte_of_a_file_goes_unseen(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(FILES)))
    changed = bytearray(FILES[name])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))

    try:
        report = verify({**FILES, name: bytes(changed)}, TRUST)
    except Unreadable:
        return

    # The manifest says of itself only what its files bear out; its remarks are no evidence.
    assert report.verdict == BROKEN or name == "manifest.json"


def test_a_bundle_has_the_same_bytes_each_time() -> None:
    assert zipped(FILES) == zipped(honest().bundle())
