"""Checkpoints and proofs as text, so that tools of others verify them.

Knows: the checkpoint body, the signed note with its Ed25519 signature lines, the verifier key and the tlog-proof.
Source: C2SP signed-note v1.0.0, tlog-checkpoint and tlog-proof; the verifier key is that of Go's `sumdb/note`.
Never: holds a private key; `leverframe.signing` does.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from leverframe.domain.errors import EvidenceBroken

MAX_NOTE_BYTES = 65_536
_ED25519 = b"\x01"
_KEY_BYTES = 32
_KEY_ID_BYTES = 4
_HASH_BYTES = 32
_BODY_LINES = 3
_SIZE_DIGITS = 19  # 64 bits
_PROOF_HEADER = "c2sp.org/tlog-proof@v1"
_SIGNATURE_START = "\u2014 "


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A log's public key.  `name` is also the origin of its checkpoints."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that find the signature line; an aid, not a proof."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public_key).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        key = base64.b64encode(_ED25519 + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHead:
    """A tree head out of a note whose signature held."""

    origin: str
    size: int
    root: bytes


def is_key_name(name: str) -> bool:
    """Whether a name may stand in a note: not empty, no white space, no control character, no plus."""
    return bool(name) and "+" not in name and name.isprintable() and not any(char.isspace() for char in name)


def parse_vkey(text: str) -> VerifierKey:
    """Read `name+hash+base64`.

    Raises:
        EvidenceBroken: it is not an Ed25519 verifier key, or its hash does not fit name and key.
    """
    name, _, rest = text.strip().partition("+")
    key_hash, _, encoded = rest.partition("+")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:  # of which binascii.Error is one
        raw = b""
    vkey = VerifierKey(name=name, public_key=raw[1:])
    if not is_key_name(name) or raw[:1] != _ED25519 or len(raw) != _KEY_BYTES + 1 or vkey.key_id.hex() != key_hash:
        raise EvidenceBroken(
            f"{text!r} is not a verifier key; expected <name>+<8 hex digits>+<base64 of an Ed25519 key>.",
            next_move="Take the `vkey` of the trust file as it is, from the one who runs the log.",
        )
    return vkey


def checkpoint_body(origin: str, size: int, root: bytes) -> str:
    """The three lines that are signed: origin, size, base64 of the root; each ends with a line feed."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def compose_note(body: str, vkey: VerifierKey, signature: bytes) -> bytes:
    """A note of one signature line, in UTF-8."""
    line = base64.b64encode(vkey.key_id + signature).decode()
    return f"{body}\n{_SIGNATURE_START}{vkey.name} {line}\n".encode()


def open_note(note: bytes, vkey: VerifierKey) -> str:
    """The text of a note that this key signed; signatures of other keys are ignored, as C2SP asks.

    Raises:
        EvidenceBroken: the note is malformed, or has no good signature of this key.
    """
    try:
        text = note.decode() if len(note) <= MAX_NOTE_BYTES else ""
    except UnicodeDecodeError:
        text = ""
    body, separator, tail = text.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise EvidenceBroken(f"A signed note is text, a blank line and signature lines; got {note[:60]!r}")
    body += "\n"
    public_key, was_signed = Ed25519PublicKey.from_public_bytes(vkey.public_key), False
    for signature in _signatures(tail, vkey):
        try:
            public_key.verify(signature, body.encode())
        except InvalidSignature as err:
            raise EvidenceBroken(f"The signature of {vkey.name!r} on its checkpoint does not hold") from err
        was_signed = True
    if not was_signed:
        raise EvidenceBroken(f"The checkpoint is not signed by the key {str(vkey)!r}")
    return body


def open_checkpoint(note: bytes, vkey: VerifierKey) -> SignedHead:
    """Verify a signed checkpoint under its log's key and read it.

    Raises:
        EvidenceBroken: as `open_note`, or the note is no checkpoint, or names another log.
    """
    head = _parse_body(open_note(note, vkey))
    if head.origin != vkey.name:
        raise EvidenceBroken(f"The checkpoint is of the log {head.origin!r}, the key of {vkey.name!r}")
    return head


def tlog_proof(index: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """An inclusion proof with its checkpoint as one C2SP tlog-proof, file extension `.tlog-proof`."""
    lines = [_PROOF_HEADER, f"index {index}", *(base64.b64encode(one).decode() for one in proof), "", ""]
    return "\n".join(lines).encode() + note


def _signatures(tail: str, vkey: VerifierKey) -> list[bytes]:
    found: list[bytes] = []
    for line in tail.removesuffix("\n").split("\n"):
        name, _, encoded = line.removeprefix(_SIGNATURE_START).partition(" ")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except ValueError:
            raw = b""
        if not line.startswith(_SIGNATURE_START) or not is_key_name(name) or len(raw) <= _KEY_ID_BYTES:
            raise EvidenceBroken(f"A signature line is '\u2014 <name> <base64>', got {line[:80]!r}")
        if name == vkey.name and raw[:_KEY_ID_BYTES] == vkey.key_id:
            found.append(raw[_KEY_ID_BYTES:])
    return found


def _parse_body(body: str) -> SignedHead:
    lines = body.split("\n")
    size_text = lines[1] if len(lines) > _BODY_LINES else ""
    is_size = (
        len(size_text) <= _SIZE_DIGITS
        and size_text.isascii()
        and size_text.isdigit()
        and (size_text == "0" or size_text[0] != "0")
    )
    try:
        root = base64.b64decode(lines[2], validate=True) if is_size else b""
    except ValueError:
        root = b""
    if not lines[0] or len(root) != _HASH_BYTES:
        raise EvidenceBroken(f"A checkpoint is origin, size and base64 root, each on a line; got {body[:120]!r}")
    return SignedHead(origin=lines[0], size=int(size_text), root=root)
