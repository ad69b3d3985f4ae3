"""The evidence log: how fast a stranger verifies it, and how small a proof is."""

import base64
import time
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.report import Row, at_least, at_most
from leverframe.core import merkle
from leverframe.core.bundles import BundleParts, build_bundle
from leverframe.core.leaves import encode_leaf
from leverframe.domain.evidence import Checkpoint, EntryDraft, EventType, TreeState
from leverframe.domain.ids import EntryId, PrincipalId, TenantId
from leverframe.sdk.onefile import verify_py
from leverframe.sdk.verify import verify
from leverframe.signing.ed25519 import Ed25519FileSigner

RECORDS, TREE = 50_000, 10_000_000
_AT = datetime(2026, 3, 1, tzinfo=UTC)


def measure() -> list[Row]:
    """Two rows."""
    return [
        at_least("offline verify of a log", _records_per_s(), "records/s", 50_000),
        at_most("inclusion proof at 10,000,000 entries", _proof_bytes(), "bytes", 2_000),
    ]


def _records_per_s() -> float:
    leaves = [encode_leaf(_entry(number), None) for number in range(RECORDS)]
    grown = merkle.extend(TreeState(), [merkle.leaf_hash(leaf) for leaf in leaves])
    signer = Ed25519FileSigner("leverframe.example/acme", Ed25519PrivateKey.from_private_bytes(b"b" * 32))
    head = Checkpoint(origin=signer.origin, size=RECORDS, root=merkle.root(grown.state), at=_AT)
    made = BundleParts(
        origin=signer.origin,
        vkey=signer.vkey,
        tenant=TenantId("acme"),
        created_at=_AT,
        checkpoint=signer.sign(head, lambda _size: ()),
        leaves=tuple(enumerate(leaves)),
        verify_py=verify_py(),
    )
    bundle = build_bundle(made)
    trust = {
        "format": "leverframe-trust/1",
        "origin": signer.origin,
        "vkey": signer.vkey,
        "head": {"size": RECORDS, "root": base64.b64encode(head.root).decode()},
    }
    begun = time.process_time()
    report = verify(bundle, trust)
    taken = time.process_time() - begun
    assert report.verdict == "OK", report.text()  # noqa: S101 a broken bundle would be measured as a quick one
    return RECORDS / taken


def _entry(number: int) -> EntryDraft:
    """Heartbeats and refused keys: entries of no run, so that the reading of each is what is measured."""
    return EntryDraft(
        entry_id=EntryId(f"ent_{number:026d}"),
        at=_AT + timedelta(milliseconds=number),
        type=EventType.HEARTBEAT,
        tenant=TenantId("acme"),
        actor=PrincipalId("os:maria"),
        detail={"process": f"p_{number % 8}"},
    )


def _proof_bytes() -> float:
    """Of the entry with the longest path, as `proofs.jsonl` writes it: base64 text."""
    proof = merkle.inclusion_proof(0, TREE, lambda level, index: merkle.leaf_hash(b"%d %d" % (level, index)))
    return sum(len(base64.b64encode(one)) + 3 for one in proof)
