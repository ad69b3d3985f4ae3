"""Evidence bundles: the files of an export, ready to be written.

Knows: which file holds what, and that nothing redacted gets in, whatever the caller collected.
The layout is written in docs/evidence-bundle.md; `leverframe.sdk.verify` reads it.  Never: touches a file.
"""

import base64
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from leverframe.core.disclosures import encoded, must_withhold
from leverframe.core.merkle import leaf_hash
from leverframe.core.redaction import Redaction
from leverframe.domain.evidence import Disclosure, Withheld, WithheldReason
from leverframe.domain.ids import RunId, TenantId
from leverframe.domain.time import rfc3339

FORMAT = "leverframe-bundle/1"
_PLACE = re.compile(rb'"\.\.\.":"([A-Za-z0-9_-]{43})"')
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can say: the same bundle has the same bytes

_README = """\
This is an evidence bundle of the log {origin}.

    python verify.py .                        says whether it holds together
    python verify.py . --trust trust.json     says whether it is what the key's owner signed

Take verify.py from the release and trust.json from the log's owner, not from here, if you do not trust who gave you
this. It needs Python 3.11 or later and the package `cryptography`, and nothing else.

manifest.json       what this is, and the sha256 of every file
checkpoint          the signed head of the log (C2SP signed note)
leaves.jsonl        the entries, byte for byte as they were hashed
disclosures.jsonl   the values that entries commit to, and which are withheld and why
hashes.bin          the leaf hash of every entry, to find the one that was changed (whole logs)
proofs.jsonl        the place and inclusion proof of each line of leaves.jsonl (single runs)
consistency.json    proofs that earlier heads are prefixes of this one
policy/             the policies that decided, named by their sha256
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleParts:
    """What an export is made of.  Leaves come in the order of the log.

    `run_id` None: the whole log, where `leaves` are all from index 0 and `proofs` stays empty.  Else one run, with a
    proof for each index.  `redactions` holds, for each run, all that was learned to be redacted in it.
    """

    origin: str
    vkey: str
    tenant: TenantId
    created_at: datetime
    checkpoint: bytes
    leaves: Sequence[tuple[int, bytes]]
    verify_py: bytes
    run_id: RunId | None = None
    proofs: Mapping[int, Sequence[bytes]] = field(default_factory=dict)
    consistency: Mapping[int, Sequence[bytes]] = field(default_factory=dict)
    disclosures: Sequence[Disclosure] = ()
    withheld: Sequence[Withheld] = ()
    redactions: Mapping[RunId, Redaction] = field(default_factory=dict)
    policies: Sequence[bytes] = ()
    has_values: bool = True


def build_bundle(parts: BundleParts) -> dict[str, bytes]:
    """The files of a bundle by name, manifest last.

    A value that holds something redacted is withheld as a whole (`contains-redacted`); a redacted part is only named.
    """
    files = {
        "README.txt": _README.format(origin=parts.origin).encode(),
        "verify.py": parts.verify_py,
        "checkpoint": parts.checkpoint,
        "leaves.jsonl": b"".join(leaf + b"\n" for _, leaf in parts.leaves),
    }
    if parts.run_id is None:
        files["hashes.bin"] = b"".join(leaf_hash(leaf) for _, leaf in parts.leaves)
    else:
        files["proofs.jsonl"] = _lines(
            {"index": index, "hashes": _texts(parts.proofs[index])} for index, _ in parts.leaves
        )
    if parts.consistency:
        known = [{"from": size, "hashes": _texts(proof)} for size, proof in sorted(parts.consistency.items())]
        files["consistency.json"] = json.dumps(known).encode() + b"\n"
    if parts.has_values:
        files["disclosures.jsonl"] = _lines(_disclosed(parts))
    files |= {f"policy/{hashlib.sha256(policy).hexdigest()}": policy for policy in parts.policies}
    return files | {"manifest.json": _manifest(parts, files)}


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A bundle as one zip; the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def _manifest(parts: BundleParts, files: Mapping[str, bytes]) -> bytes:
    manifest = {
        "format": FORMAT,
        "origin": parts.origin,
        "vkey": parts.vkey,
        "tenant": parts.tenant,
        "scope": "log" if parts.run_id is None else "run",
        "run_id": parts.run_id,
        "created_at": rfc3339(parts.created_at),
        "disclosures": "given" if parts.has_values else "none",
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
    }
    return json.dumps({key: value for key, value in manifest.items() if value is not None}, indent=1).encode() + b"\n"


def _disclosed(parts: BundleParts) -> Iterator[dict[str, object]]:
    run_of = _runs_of_digests(parts.leaves) if parts.redactions else {}
    places: set[str] = set()
    for one in parts.disclosures:
        if one.is_redacted:
            continue
        redaction = parts.redactions.get(run_of.get(one.digest, RunId("")))
        if redaction is not None and must_withhold(one, redaction):
            yield _withheld(one.digest, one.name, WithheldReason.CONTAINS_REDACTED, "")
        else:
            places.update(found.decode() for found in _PLACE.findall(one.value_bytes))
            yield {"disclosure": encoded(one)}
    for one in parts.disclosures:
        if one.is_redacted and one.digest in places:
            places.discard(one.digest)
            yield _withheld(one.digest, one.name, WithheldReason.REDACTED, one.token)
    for gone in parts.withheld:
        yield _withheld(gone.digest, gone.name, gone.reason, gone.token)


def _withheld(digest: str, name: str, reason: WithheldReason, token: str) -> dict[str, object]:
    item: dict[str, object] = {"digest": digest, "name": name, "withheld": reason.value}
    return item | ({"token": token} if token else {})


def _runs_of_digests(leaves: Iterable[tuple[int, bytes]]) -> dict[str, RunId]:
    found: dict[str, RunId] = {}
    for _, leaf in leaves:
        entry = json.loads(leaf)
        for digest in entry.get("_sd", ()):
            found[digest] = RunId(entry.get("run_id", ""))
    return found


def _texts(hashes: Iterable[bytes]) -> list[str]:
    return [base64.b64encode(one).decode() for one in hashes]


def _lines(items: Iterable[Mapping[str, object]]) -> bytes:
    return b"".join(json.dumps(item, separators=(",", ":")).encode() + b"\n" for item in items)
