"""Trees, their proofs and their signed heads, as a verifier needs them.

Part of the offline verifier (`leverframe.sdk.onefile`): standard library and `cryptography` only.  Written apart from
`leverframe.core.merkle` and `core.notes`, which make what is verified here.
Source: RFC 6962; RFC 9162, sections 2.1.3.2 and 2.1.4.2; C2SP signed-note and tlog-checkpoint.
"""

import base64
import hashlib
import re
from dataclasses import dataclass

from leverframe.sdk.report import Check

HASH_BYTES, KEY_ID_BYTES = 32, 4
_sha256 = hashlib.sha256


class Tree:
    """An RFC 6962 tree that keeps its frontier only."""

    def __init__(self) -> None:
        self.size = 0
        self._frontier: list[bytes] = []

    def append(self, digest: bytes) -> None:
        """Add the hash of a leaf."""
        index = self.size
        while index & 1:
            digest, index = _sha256(b"\x01" + self._frontier.pop() + digest).digest(), index >> 1
        self._frontier.append(digest)
        self.size += 1

    def root(self) -> bytes:
        """The root of what was added."""
        if not self._frontier:
            return _sha256(b"").digest()
        digest = self._frontier[-1]
        for left in self._frontier[-2::-1]:
            digest = _sha256(b"\x01" + left + digest).digest()
        return digest


def climb(digest: bytes, node: int, last: int, proof: list[bytes]) -> tuple[bytes, bytes] | None:
    """The roots that a proof leads to (RFC 9162, sections 2.1.3.2 and 2.1.4.2): of the smaller and the larger tree."""
    first = second = digest
    for sibling in proof:
        if last == 0:
            return None
        if node & 1 or node == last:
            first, second = _sha256(b"\x01" + sibling + first).digest(), _sha256(b"\x01" + sibling + second).digest()
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            second = _sha256(b"\x01" + second + sibling).digest()
        node, last = node >> 1, last >> 1
    return (first, second) if last == 0 else None


def is_included(digest: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    """Whether a leaf hash is number `index` of the tree."""
    roots = climb(digest, index, size - 1, proof) if 0 <= index < size else None
    return roots is not None and roots[1] == root


def is_prefix(old: int, old_root: bytes, size: int, root: bytes, proof: list[bytes]) -> bool:
    """Whether a tree of `old` leaves is the beginning of the one of `size`."""
    if not 0 < old < size:
        return not proof and (old_root == (root if old else _sha256(b"").digest())) and old in (0, size)
    path = [old_root, *proof] if old & (old - 1) == 0 else proof
    node, last = old - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    roots = climb(path[0], node, last, path[1:]) if path else None
    return roots == (old_root, root)


@dataclass(frozen=True, slots=True)
class Head:
    """What is signed: the root of the first `size` entries of a log."""

    origin: str
    size: int
    root: bytes


def parse_head(body: str) -> Head:
    """Read a checkpoint body.  Raises ValueError where it is none."""
    origin, size, root, *_ = body.split("\n")
    if not re.fullmatch("0|[1-9][0-9]{0,18}", size):
        raise ValueError(f"{size!r} is no size of a tree")
    return Head(origin, int(size), read_hash(root))


def read_hash(text: str) -> bytes:
    """32 bytes of base64.  Raises ValueError for anything else."""
    digest = base64.b64decode(text, validate=True)
    if len(digest) != HASH_BYTES:
        raise ValueError(f"{text[:80]!r} is not the base64 of a SHA-256 hash")
    return digest


def _signatures(lines: str) -> list[tuple[str, bytes]]:
    """Signer, and key id with signature, of each line below the blank one.  Raises ValueError where one is no such."""
    found = []
    for line in lines.removesuffix("\n").split("\n"):
        dash, signer, signature = line.split(" ")
        found.append((signer, base64.b64decode(signature, validate=True)))
        if dash != "\u2014" or len(found[-1][1]) <= KEY_ID_BYTES or not lines.endswith("\n"):
            raise ValueError(f"{line[:80]!r} is no signature line")
    return found


def check_signature(note: bytes, vkey: str, check: Check) -> Head | None:
    """The head that a note states; whether `vkey` signed it goes into the check."""
    # Only this function needs it, so that `--help` and the reading of bundles work without.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    head: Head | None = None
    try:
        body, _, lines = note.decode().rpartition("\n\n")
        head = parse_head(body + "\n")
        name, key_id, encoded = vkey.split("+", 2)
        key = base64.b64decode(encoded, validate=True)
        if key[:1] != b"\x01" or _sha256(name.encode() + b"\n" + key).hexdigest()[:8] != key_id:
            check.fail(f"{vkey!r} is not an Ed25519 key of that name")
        if name != head.origin:
            check.fail(f"the head is of the log {head.origin!r}, the key of {name!r}")
        for signer, raw in _signatures(lines):
            if signer == name and raw[:KEY_ID_BYTES].hex() == key_id:
                Ed25519PublicKey.from_public_bytes(key[1:]).verify(raw[KEY_ID_BYTES:], f"{body}\n".encode())
                check.checked += 1
        if not check.checked:
            check.fail(f"no signature of the key {vkey!r} is on the head")
    except InvalidSignature:
        check.fail(f"the signature of {vkey!r} does not fit the head")
    except ValueError as err:
        check.fail(f"the head or its key cannot be read: {err}")
    return head
