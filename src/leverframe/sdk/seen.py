"""What was seen of a log before, and whether the log of now continues it, over recoveries from a backup too.

Part of the offline verifier (`leverframe.sdk.onefile`): standard library only.  After a recovery the log goes on under
an origin of its own, `<log>/epoch-2`, with the same key; its entry `log.recovered` says what was given up.
Source: docs/evidence-record.md and docs/evidence-trust.md.
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass

from leverframe.sdk.heads import Head, is_prefix, read_hash
from leverframe.sdk.report import Check, Leaf

_EPOCH = re.compile(r"(.+)/epoch-([1-9][0-9]{0,8})")
_NO_JSON = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True, slots=True)
class Recovery:
    """What one `log.recovered` says: from entry `kept` on the log is in `epoch`; the head of `lost` was given up."""

    kept: int
    epoch: int
    lost: Head

    @classmethod
    def read(cls, index: int, leaf: Leaf) -> "Recovery":
        """Out of its entry.  Raises KeyError, TypeError or ValueError where it says something else."""
        detail = leaf["detail"]
        lost = Head(str(detail["lost_origin"]), int(detail["lost_size"]), bytes.fromhex(detail["lost_root"]))
        found = cls(int(detail["kept"]), int(detail["epoch"]), lost)
        if found.kept != index:
            raise ValueError(f"{found.kept} entries are said to be kept, and {index} stand before it")
        return found


def epoch_of(origin: str) -> tuple[str, int]:
    """The log that an origin names, and the epoch."""
    found = _EPOCH.fullmatch(origin)
    return (found[1], int(found[2])) if found else (origin, 1)


def key_for(vkey: str, note: bytes) -> str:
    """A key that was got for one epoch, under the name that a later epoch of the same log signs with."""
    origin = note.split(b"\n", 1)[0].decode(errors="replace")
    name, _, rest = vkey.partition("+")
    log, epoch = epoch_of(origin)
    if epoch_of(name)[0] != log or epoch <= epoch_of(name)[1]:
        return vkey
    try:
        key = base64.b64decode(rest.partition("+")[2], validate=True)
    except ValueError:
        return vkey
    key_id = hashlib.sha256(origin.encode() + b"\n" + key).hexdigest()[:8]
    return f"{origin}+{key_id}+{base64.b64encode(key).decode()}"


def trusted_head(trust: Leaf | None, check: Check) -> Head | None:
    """The head that a trust file names."""
    if trust is None or trust.get("head") is None:
        check.not_here = "the trust file names no head" if trust else "needs a trust file"
        return None
    return Head(str(trust["origin"]), trust["head"]["size"], read_hash(trust["head"]["root"]))


def check_seen(seen: Head, head: Head, root: bytes | None, proofs: bytes, check: Check) -> None:
    """Hold a log against a head of the same epoch that was seen before.  `root`: of its first `seen.size` entries."""
    check.checked += 1
    if seen.size > head.size:
        check.fail(f"{seen.size} entries were seen before, and {head.size} are signed now: rolled back or cut")
    elif root is None and seen.size != head.size:
        try:
            known = {item["from"]: [read_hash(one) for one in item["hashes"]] for item in json.loads(proofs)}
        except _NO_JSON:
            known = {}
        if seen.size not in known:
            check.not_here = f"the bundle has no proof from the {seen.size} entries seen before"
        elif not is_prefix(seen.size, seen.root, head.size, head.root, known[seen.size]):
            check.fail(f"the first {seen.size} entries are not those seen before: forked or rewritten")
    elif (head.root if root is None else root) != seen.root:
        check.fail(f"the first {seen.size} entries are not those seen before: forked or rewritten")


def is_given_up(seen: Head, head: Head, recoveries: list[Recovery], check: Check, *, is_whole: bool) -> bool:
    """Whether entries that were seen in an earlier epoch were given up in a recovery, as the log says openly.

    What it does not say openly is a failure of the check.  False: the log must continue the head that was seen.
    """
    if epoch_of(seen.origin)[1] >= epoch_of(head.origin)[1]:
        return False
    after = [one for one in recoveries if one.epoch > epoch_of(seen.origin)[1]]
    if not after and is_whole:
        check.fail(f"the log is in another epoch than when it was seen, {seen.origin!r}, and no entry says why")
        return True
    if not after or seen.size <= min(one.kept for one in after):
        return False
    check.checked += 1
    first = after[0]
    is_named = first.lost.origin == seen.origin and (
        seen.size < first.lost.size or (seen.size == first.lost.size and seen.root == first.lost.root)
    )
    if not is_named:
        check.fail(f"{seen.size} entries of {seen.origin!r} were seen, and the recovery at {first.kept} names others")
    kept = min(one.kept for one in after)
    check.notes.append(f"{seen.size - kept} entries seen before were given up, as entry {first.kept} says")
    return True
