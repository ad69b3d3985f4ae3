"""`evidence verify` on the database itself: the offline verifier on all that is stored, and what only a database has.

Knows: that leaves are the only truth, and everything beside them (columns, stored hashes, the head file, the journal)
must say the same.  The checks of a bundle are those of `leverframe.sdk.verify`, run on the same data.
Never: repairs anything.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from leverframe.core import merkle
from leverframe.core.bundles import FORMAT
from leverframe.core.disclosures import encoded, places_in
from leverframe.core.notes import SignedHead, open_checkpoint, parse_vkey
from leverframe.domain.errors import EvidenceBroken
from leverframe.domain.evidence import TreeState
from leverframe.domain.ids import TenantId
from leverframe.domain.time import from_us, rfc3339
from leverframe.ports.audit import EvidenceAudit, StoredDisclosure, StoredLeaf
from leverframe.runtime.agreeing import check_journal
from leverframe.runtime.exporting import Gone
from leverframe.sdk.heads import HASH_BYTES
from leverframe.sdk.report import Check, Leaf, Report, new_checks
from leverframe.sdk.seen import epoch_of, key_for
from leverframe.sdk.story import Story
from leverframe.sdk.verify import UNFORMED, verify

_PAGE = 5_000
_COLUMNS = ("entry_id", "run_id", "run_seq", "type")


def verify_database(
    audit: EvidenceAudit, tenant: TenantId, vkey: str, trust: Leaf | None, remembered: SignedHead | None = None
) -> Report:
    """Verify one tenant's log as it is stored.

    Args:
        audit: a snapshot of the database.
        tenant: whose log.
        vkey: the key beside the database; empty where there is none.
        trust: a trust file that was kept elsewhere, parsed; None without one.
        remembered: the newest head that a signer remembers; None without one.
    """
    rows = tuple(_rows(audit, tenant))
    noted = audit.note(tenant)
    note = b"" if noted is None else noted[1]
    size = min(_signed_size(note), len(rows))
    parsed = [_parsed(row) for row in rows]
    stored = audit.disclosures(tenant)
    later = {str(entry.get("entry_id")) for entry in parsed[size:] if entry is not None}
    signed = [one for one in stored if one.entry_id not in later]
    files = {
        "checkpoint": note,
        "leaves.jsonl": b"".join(row.leaf + b"\n" for row in rows[:size]),
        "hashes.bin": b"".join(row.leaf_hash[:HASH_BYTES] for row in rows[:size]),
        "disclosures.jsonl": b"".join(_line(item) for item in _disclosed(signed, parsed[:size])),
        **{f"policy/{digest}": content for digest, content in audit.policies(tenant)},
    }
    report = verify(_as_bundle(files, tenant, vkey), trust)
    report.checks.pop("files")
    report.about += "" if size == len(rows) else f"; {len(rows) - size} after it are not signed yet"
    if size < len(rows):
        report.checks["signature"].notes.append(f"entries {size} to {len(rows) - 1} are not signed yet")
        _check_tail(parsed, size, frozenset(one.digest for one in stored), report.checks)
    if not vkey and trust is None:
        report.checks["signature"].fail("the key of the log is not here, so its head cannot be held against it")
    if noted is not None and noted[0] != _signed_size(note):
        report.checks["signature"].fail(f"the head of {_signed_size(note)} entries is stored as one of {noted[0]}")
    if missing := report.checks["policy"].not_here:
        report.checks["policy"].not_here = ""
        report.checks["policy"].fail(missing.replace("bundle", "database"))
    _check_sealed(stored, parsed, report.checks["disclosures"])
    _check_columns(rows, parsed, tenant, report.checks["entries"])
    _check_stored_tree(audit, tenant, rows, report.checks["tree"])
    _check_known_heads(audit, tenant, vkey, rows, report.checks["head"], remembered=remembered)
    if forged := audit.authority_problem():
        report.checks["S10"].fail(forged)
    check_journal(audit, tenant, [entry for entry in parsed if entry is not None], report.checks)
    return report


def is_empty(audit: EvidenceAudit, tenant: TenantId) -> bool:
    """Whether a tenant has no log at all, nor ever had one as far as is known here."""
    return not audit.leaves(tenant, 0, 1) and audit.note(tenant) is None and audit.kept_head(tenant) is None


def _rows(audit: EvidenceAudit, tenant: TenantId) -> Iterator[StoredLeaf]:
    first = 0
    while page := audit.leaves(tenant, first, _PAGE):
        yield from page
        first = page[-1].index + 1


def _parsed(row: StoredLeaf) -> Leaf | None:
    try:
        entry = json.loads(row.leaf)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _signed_size(note: bytes) -> int:
    """What the note says, believed by nobody: its signature is checked with everything else."""
    lines = note.split(b"\n")
    return int(lines[1]) if len(lines) > 1 and lines[1].isdigit() else 2**62


def _check_tail(parsed: Sequence[Leaf | None], size: int, kept: frozenset[str], checks: Mapping[str, Check]) -> None:
    """What the entries say that are not signed yet: no head shows them to be others, but they go on with the story."""
    story = Story(new_checks(), is_whole=True)
    for index, entry in enumerate(parsed):
        if index == size:
            story.checks = new_checks()  # what is wrong before is said already
        try:
            story.tell(index, entry or {})
        except UNFORMED as err:
            story.checks["entries"].fail(f"cannot be judged: {err!r}"[:200], index, story.kind)
    for index, entry in enumerate(parsed[size:], start=size):
        for digest in set((entry or {}).get("_sd", ())) - kept:
            checks["disclosures"].fail(f"the value of {digest} is neither given nor explained", index)
    for name, found in story.checks.items():
        if name in checks:
            checks[name].failed += found.failed
            checks[name].places += found.places


def _as_bundle(files: dict[str, bytes], tenant: TenantId, vkey: str) -> dict[str, bytes]:
    """The stored data in the form of a bundle, redacted values and all; it never leaves this process."""
    manifest = {
        "format": FORMAT,
        "vkey": vkey,
        "tenant": tenant,
        "scope": "log",
        "disclosures": "given",
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    return files | {"manifest.json": json.dumps(manifest).encode()}


def _disclosed(stored: Sequence[StoredDisclosure], parsed: Sequence[Leaf | None]) -> Iterator[dict[str, str]]:
    """All stored values, and those that the log itself says were deleted."""
    gone, workflows = Gone(), dict[str, str]()
    known = [entry for entry in parsed if entry is not None]
    for entry in known:
        gone.note(entry)
        if entry.get("type") == "run.started":
            workflows[str(entry.get("run_id"))] = str(entry.get("detail", {}).get("workflow", ""))
    opened = [(one.disclosure, _at(one.created_us)) for one in stored if one.disclosure is not None]
    places = {place for one, _ in opened for place in places_in(one.value_bytes)}
    for one, at in opened:
        # A redacted part whose whole was deleted before it stands in nothing any more; the next start deletes it too.
        is_left_over = one.is_redacted and one.digest not in places
        if not (is_left_over and gone.is_before(at)):
            yield {"disclosure": encoded(one)}
    digests = {one.digest for one in stored}
    for entry in known:
        for digest in entry.get("_sd", ()):
            reason = gone.reason(str(digest), str(entry.get("at")), workflows.get(str(entry.get("run_id")), ""))
            if digest not in digests and reason is not None:
                yield {"digest": str(digest), "name": "", "withheld": reason.value}


def _check_sealed(stored: Sequence[StoredDisclosure], parsed: Sequence[Leaf | None], check: Check) -> None:
    """What does not open is named by its digest, since nobody can say any more what it was."""
    times = {str(entry.get("entry_id")): entry.get("at") for entry in parsed if entry is not None}
    for one in stored:
        if one.disclosure is None:
            check.fail(f"{one.digest} of {one.entry_id} does not open: it was changed, or its key is not here")
        elif times.get(one.entry_id) != _at(one.created_us):
            check.fail(f"{one.digest} is stored under another time than its entry, {one.entry_id}")


def _at(time_us: int) -> str:
    """A stored time as entries write it; empty for one that no clock ever showed."""
    try:
        return rfc3339(from_us(time_us))
    except OverflowError:
        return ""


def _line(item: dict[str, str]) -> bytes:
    return json.dumps(item).encode() + b"\n"


def _check_columns(rows: Sequence[StoredLeaf], parsed: Sequence[Leaf | None], tenant: TenantId, check: Check) -> None:
    """The columns by which entries are found say what the entries say; a moved one would hide it from a question."""
    for position, (row, entry) in enumerate(zip(rows, parsed, strict=True)):
        if row.index != position:
            check.fail("is missing", position, "as stored")
            break
        if entry is None:
            continue
        stored = {"entry_id": row.entry_id, "run_id": row.run_id, "run_seq": row.run_seq, "type": row.type}
        wrong = [name for name in _COLUMNS if stored[name] != entry.get(name)]
        wrong += ["at_us"] * (_at(row.at_us) != entry.get("at"))
        wrong += ["tenant"] * (entry.get("tenant") != tenant)
        if wrong:
            check.fail(f"is stored under another {', '.join(wrong)} than it says", row.index, row.type)


def _check_stored_tree(audit: EvidenceAudit, tenant: TenantId, rows: Sequence[StoredLeaf], check: Check) -> None:
    """The stored hashes and the stored frontier are those of the leaves."""
    growth = merkle.extend(TreeState(), [merkle.leaf_hash(row.leaf) for row in rows])
    for row, node in zip(rows, (one for one in growth.nodes if one.level == 0), strict=True):
        if row.leaf_hash != node.hash:
            check.fail("its stored hash is not that of its bytes", row.index, row.type)
    nodes = {(one.level, one.index): one.hash for one in growth.nodes}
    for level, index, digest in audit.nodes(tenant):
        if nodes.get((level, index)) != digest:
            last = (index + 1 << level) - 1
            check.fail(f"the stored hash over entries {index << level} to {last} is not theirs")
    if check.failed:
        # A head says that something was changed, not what; this finds rows that only changed places.
        for row in (one for one, after in pairwise(rows) if one.written > after.written):
            check.fail("stands before an entry that was written before it", row.index, row.type)
    if not audit.is_tree_tagged(tenant):
        check.fail("the stored head of the tree does not carry its MAC: something else than Leverframe wrote it")
    if audit.tree(tenant) != growth.state:
        check.fail(f"the stored head of the tree is not that of the {len(rows)} entries that are here")


def _check_known_heads(
    audit: EvidenceAudit,
    tenant: TenantId,
    vkey: str,
    rows: Sequence[StoredLeaf],
    check: Check,
    *,
    remembered: SignedHead | None,
) -> None:
    """The log continues the heads that are known here: of the file beside the database, and of the signer."""
    kept = audit.kept_head(tenant)
    found: list[tuple[str, SignedHead]] = [] if remembered is None else [("the head of the signer", remembered)]
    if kept is None:
        check.notes.append("no head is kept beside the database")
    elif vkey and not _is_outdated(kept.note, vkey):
        try:
            key = parse_vkey(key_for(vkey, kept.note))
            found.append(("the head beside the database", open_checkpoint(kept.note, key)))
        except EvidenceBroken as err:
            check.fail(f"the head beside the database: {err.message}")
    if found and check.not_here:
        places = " and ".join(where.removeprefix("the head ") for where, _ in found)
        blind = "" if remembered is not None else f"; {check.not_here} to see a rollback of the whole folder"
        check.notes.append(f"{places}{blind}")
        check.not_here = ""
    epoch = epoch_of(parse_vkey(vkey).name)[1] if vkey else 1
    for where, head in found:
        check.checked += 1
        if epoch_of(head.origin)[1] > epoch:
            check.fail(f"{where} is of {head.origin!r}, a later epoch than the log is in: rolled back")
        elif head.size > len(rows):
            check.fail(f"entries {len(rows)} to {head.size - 1} were signed and are gone: cut or rolled back ({where})")
        else:
            state = merkle.extend(TreeState(), [merkle.leaf_hash(row.leaf) for row in rows[: head.size]]).state
            if merkle.root(state) != head.root:
                check.fail(f"the first {head.size} entries are not those of {where}: rewritten")


def _is_outdated(note: bytes, vkey: str) -> bool:
    """Whether a head is of an epoch that was given up; a crash between a recovery and its first head leaves that."""
    origin = note.split(b"\n", 1)[0].decode(errors="replace")
    return epoch_of(origin)[1] < epoch_of(parse_vkey(vkey).name)[1]
