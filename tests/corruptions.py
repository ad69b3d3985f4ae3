"""Random corruptions of a log, done alike to its database and to a bundle of it.

The n-th corruption is the same on every machine.  Some are of somebody without the key; some of its holder, who signs
what was made of the log, so that only its story can show it.
"""

import hashlib
import json
import random
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leverframe.core import merkle
from leverframe.domain.evidence import Checkpoint, TreeState
from leverframe.domain.time import from_us, rfc3339, to_us
from leverframe.signing.ed25519 import Ed25519FileSigner
from tests.door_desk import TENANT
from tests.evidence_project import database

COUNT = 1_000


@dataclass(slots=True, kw_only=True)
class Log:
    """What both forms hold: entries in order, values by digest, policies by digest, and the head."""

    leaves: list[bytes]
    disclosures: dict[str, bytes]  # digest: line of disclosures.jsonl
    policies: dict[str, bytes]
    note: bytes
    hashes: list[bytes] = field(default_factory=list)
    is_signed_anew: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Corruption:
    """What was done; `log` is what became of it."""

    what: str
    log: Log


def corrupted(number: int, clean: Log, key: Path) -> Corruption:
    """The corruption of that number; `key` is the file of the log's key, for those of its holder."""
    dice = random.Random(f"corruption {number}")  # noqa: S311 - chosen, not secret
    log = Log(
        leaves=list(clean.leaves),
        disclosures=dict(clean.disclosures),
        policies=dict(clean.policies),
        note=clean.note,
        hashes=list(clean.hashes),
    )
    does = [*_OUTSIDER, *_INSIDER]
    name = does[number % len(does)]
    what = (_OUTSIDER.get(name) or _INSIDER[name])(log, dice)
    if name in _INSIDER:
        log.is_signed_anew = True
        log.hashes = [merkle.leaf_hash(leaf) for leaf in log.leaves]
        log.note = Ed25519FileSigner.load(key).sign(_head(log, "leverframe/default"))
    return Corruption(what=f"{number}: {name}: {what}", log=log)


def write_bundle(files: Mapping[str, bytes], log: Log) -> dict[str, bytes]:
    """The bundle of a corrupted log, the manifest as its forger would write it."""
    changed = {name: content for name, content in files.items() if not name.startswith("policy/")}
    changed |= {
        "checkpoint": log.note,
        "leaves.jsonl": b"".join(leaf + b"\n" for leaf in log.leaves),
        "hashes.bin": b"".join(log.hashes),
        "disclosures.jsonl": b"".join(log.disclosures.values()),
        **{f"policy/{digest}": content for digest, content in log.policies.items()},
    }
    manifest = json.loads(changed.pop("manifest.json"))
    manifest["files"] = {name: hashlib.sha256(content).hexdigest() for name, content in changed.items()}
    return {**changed, "manifest.json": json.dumps(manifest).encode()}


def write_database(root: Path, clean: Log, log: Log) -> None:
    """The same in a database: rows that are gone, rows that are others, and columns as a forger would write them."""
    with closing(sqlite3.connect(database(root))) as db, db:
        db.execute("PRAGMA foreign_keys = off")
        before = {leaf: index for index, leaf in enumerate(clean.leaves)}
        rows = {row[1]: row for row in db.execute("SELECT * FROM leaves")}
        db.execute("DELETE FROM leaves")
        for index, leaf in enumerate(log.leaves):
            row = list(rows[before.get(leaf, min(index, len(rows) - 1))])
            if log.is_signed_anew:
                row = _columns(row, leaf)
            is_again = leaf in log.leaves[:index]
            row[1], row[7], row[8] = index, leaf, log.hashes[index] if index < len(log.hashes) else bytes(32)
            if is_again or _stands(db, row):
                row[3] = row[4] = None  # its place is taken
            db.execute("INSERT INTO leaves VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        if log.is_signed_anew:
            state = merkle.extend(TreeState(), log.hashes).state
            db.execute("UPDATE trees SET size = ?, frontier = ?", (state.size, b"".join(state.frontier)))
            db.execute("UPDATE checkpoints SET size = ?", (state.size,))
            Path(f"{database(root)}.head").unlink()
        db.execute("UPDATE checkpoints SET note = ?", (log.note,))
        for digest, line in clean.disclosures.items():
            if digest not in log.disclosures:
                db.execute("DELETE FROM disclosures WHERE digest = ?", (digest,))
            elif log.disclosures[digest] != line:
                db.execute("UPDATE disclosures SET sealed = zeroblob(length(sealed)) WHERE digest = ?", (digest,))
        for digest in clean.policies:
            content = log.policies.get(digest)
            if content is None:
                db.execute("DELETE FROM release_files WHERE sha256 = ?", (digest,))
            db.execute("UPDATE artifacts SET content = coalesce(?, content) WHERE sha256 = ?", (content, digest))


def _stands(db: sqlite3.Connection, row: list[object]) -> bool:
    query = "SELECT 1 FROM leaves WHERE tenant = ? AND run_id = ? AND run_seq = ?"
    return db.execute(query, (row[0], row[3], row[4])).fetchone() is not None


def _columns(row: list[object], leaf: bytes) -> list[object]:
    entry = json.loads(leaf)
    at = datetime.fromisoformat(entry["at"]) if isinstance(entry.get("at"), str) else from_us(0)
    told = [entry.get("entry_id", ""), entry.get("run_id"), entry.get("run_seq"), entry.get("type", ""), to_us(at)]
    return [TENANT, row[1], *told, leaf, b""]


def _at(log: Log, dice: random.Random) -> int:
    return dice.randrange(len(log.leaves))


def _flipped(raw: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(raw))
    return raw[:at] + bytes([raw[at] ^ (1 << dice.randrange(8))]) + raw[at + 1 :]


def _edit(log: Log, dice: random.Random) -> str:
    index = _at(log, dice)
    log.leaves[index] = _flipped(log.leaves[index], dice)
    return f"entry {index}"


def _delete(log: Log, dice: random.Random) -> str:
    index = _at(log, dice)
    del log.leaves[index]
    return f"entry {index}"


def _swap(log: Log, dice: random.Random) -> str:
    one, other = sorted(dice.sample(range(len(log.leaves)), 2))
    log.leaves[one], log.leaves[other] = log.leaves[other], log.leaves[one]
    return f"entries {one} and {other}"


def _repeat(log: Log, dice: random.Random) -> str:
    index, to = _at(log, dice), _at(log, dice)
    log.leaves.insert(to, log.leaves[index])
    return f"entry {index} at {to}"


def _cut(log: Log, dice: random.Random) -> str:
    del log.leaves[_at(log, dice) :]
    return f"{len(log.leaves)} left"


def _lose_value(log: Log, dice: random.Random) -> str:
    digest = dice.choice(sorted(log.disclosures))
    del log.disclosures[digest]
    return digest


def _edit_value(log: Log, dice: random.Random) -> str:
    digest = dice.choice([one for one, line in sorted(log.disclosures.items()) if b'"disclosure"' in line])
    encoded = bytearray(json.loads(log.disclosures[digest])["disclosure"].encode())
    at = dice.randrange(len(encoded))
    encoded[at] = ord("A") if encoded[at] != ord("A") else ord("B")
    log.disclosures[digest] = json.dumps({"disclosure": encoded.decode()}).encode() + b"\n"
    return digest


def _edit_policy(log: Log, dice: random.Random) -> str:
    digest = dice.choice(sorted(log.policies))
    log.policies[digest] = _flipped(log.policies[digest], dice)
    return digest


def _edit_note(log: Log, dice: random.Random) -> str:
    changed = log.note
    while changed == log.note:
        changed = _flipped(log.note, dice)
    log.note = changed
    return "a bit"


def _sign_as_another(log: Log, dice: random.Random) -> str:
    stranger = Ed25519FileSigner("leverframe/default", Ed25519PrivateKey.from_private_bytes(dice.randbytes(32)))
    log.note = stranger.sign(_head(log, stranger.origin))
    return "another key"


def _head(log: Log, origin: str) -> Checkpoint:
    state = merkle.extend(TreeState(), log.hashes).state
    return Checkpoint(origin=origin, size=state.size, root=merkle.root(state), at=from_us(0))


# Any: an entry is JSON whose fields each change knows.
Entry = dict[str, Any]


def _retell(change: Callable[[Entry, random.Random, Log], None]) -> Callable[[Log, random.Random], str]:
    """A change of what one entry says."""

    def told(log: Log, dice: random.Random) -> str:
        index = _at(log, dice)
        entry = json.loads(log.leaves[index])
        change(entry, dice, log)
        log.leaves[index] = json.dumps(entry, separators=(",", ":"), ensure_ascii=False).encode()
        return f"entry {index} ({entry.get('type')})"

    return told


def _other(log: Log, dice: random.Random) -> Entry:
    # Any: as above.
    other: Entry = json.loads(dice.choice(log.leaves))
    return other


def _take_fields(entry: Entry, dice: random.Random, log: Log) -> None:
    other = _other(log, dice)
    for key in dice.sample(sorted(other), min(3, len(other))):
        if key not in ("entry_id", "run_id", "run_seq", "at"):
            entry[key] = other[key]


def _turn_word(entry: Entry, dice: random.Random, _log: Log) -> None:
    words = {"decision": ("allow", "hold", "deny"), "outcome": ("ok", "error", "unknown", "success")}
    words["effect_class"] = ("read", "keyed", "irreversible")
    for key in sorted(words.keys() & entry.keys()):
        entry[key] = dice.choice([word for word in words[key] if word != entry[key]])


def _turn_time(entry: Entry, dice: random.Random, _log: Log) -> None:
    moved = datetime.fromisoformat(entry["at"]) + timedelta(seconds=dice.choice([-7_200, -90, -1, 90, 7_200]))
    entry["at"] = rfc3339(moved)


def _drop_field(entry: Entry, dice: random.Random, _log: Log) -> None:
    del entry[dice.choice([key for key in sorted(entry) if key not in ("entry_id", "at", "type")])]


def _turn_number(entry: Entry, dice: random.Random, _log: Log) -> None:
    for holder in (entry, entry.get("detail", {})):
        for key in [key for key, value in sorted(holder.items()) if isinstance(value, int)]:
            holder[key] += dice.choice([-1, 1, 1_000])


_OUTSIDER: dict[str, Callable[[Log, random.Random], str]] = {
    "edit": _edit,
    "delete": _delete,
    "swap": _swap,
    "repeat": _repeat,
    "cut": _cut,
    "lose a value": _lose_value,
    "edit a value": _edit_value,
    "edit a policy": _edit_policy,
    "edit the head": _edit_note,
    "sign as another": _sign_as_another,
}
_INSIDER: dict[str, Callable[[Log, random.Random], str]] = {
    "delete and sign": _delete,
    "swap and sign": _swap,
    "repeat and sign": _repeat,
    "cut and sign": _cut,
    "take fields and sign": _retell(_take_fields),
    "turn a word and sign": _retell(_turn_word),
    "turn the time and sign": _retell(_turn_time),
    "drop a field and sign": _retell(_drop_field),
    "turn numbers and sign": _retell(_turn_number),
}
