"""A log's Ed25519 key in a file beside the database: the embedded default.

It stops whoever has the database and not this file; docs/evidence-bundle.md says what it does not stop.
The file is the text `PRIVATE+KEY+<name>+<hash>+<base64>` of Go's `sumdb/note`, so that its tools read it.
"""

import base64
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leverframe.core.epochs import log_and_epoch, origin_in
from leverframe.core.notes import SignedHead, VerifierKey, checkpoint_body, compose_note, is_key_name
from leverframe.domain.errors import EvidenceBroken, KeyUnsafe
from leverframe.domain.evidence import Checkpoint
from leverframe.ports.signing import ProofSource
from leverframe.signing.files import create_secret, read_secret

_PREFIX = "PRIVATE+KEY"
_ED25519 = b"\x01"
_SEED_BYTES = 32


class Ed25519FileSigner:
    """Signs the heads of one log with a key from a file.  Implements `leverframe.ports.signing.Signer`.

    Ed25519 is deterministic, so the same checkpoint gives the same bytes.  It refuses a head smaller than one it has
    signed in this process; across processes only the trust file or a separate signer can.
    """

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self._vkey = VerifierKey(name=name, public_key=key.public_key().public_bytes_raw())
        self._key = key
        self._head: SignedHead | None = None

    @classmethod
    def create(cls, path: Path, origin: str) -> "Ed25519FileSigner":
        """Make a new key for the log `origin` and write it to `path` (0600).

        Raises:
            AlreadyExists: there is a key at `path`.
            ValueError: `origin` cannot name a log: it is empty, or has white space or a plus in it.
        """
        if not is_key_name(origin):
            raise ValueError(f"The origin of a log has neither white space nor '+', got {origin!r}")
        key = Ed25519PrivateKey.generate()
        signer = cls(origin, key)
        seed = base64.b64encode(_ED25519 + key.private_bytes_raw()).decode()
        create_secret(path, f"{_PREFIX}+{origin}+{signer._vkey.key_id.hex()}+{seed}\n".encode())
        return signer

    @classmethod
    def load(cls, path: Path) -> "Ed25519FileSigner":
        """Read the key at `path`.

        Raises:
            KeyUnsafe: it is missing, open to other users, or not such a key.
        """
        text = read_secret(path).decode(errors="replace").strip()
        name, key_hash, seed = _parts(text)
        if len(seed) == _SEED_BYTES + 1 and seed[:1] == _ED25519 and is_key_name(name):
            signer = cls(name, Ed25519PrivateKey.from_private_bytes(seed[1:]))
            if signer._vkey.key_id.hex() == key_hash:
                return signer
        raise KeyUnsafe(
            f"{str(path)!r} does not hold a log key; expected '{_PREFIX}+<name>+<hash>+<base64>'.",
            next_move="Restore it from a backup; a new key starts a new log.",
        )

    @property
    def origin(self) -> str:
        """The name of the log."""
        return self._vkey.name

    @property
    def vkey(self) -> str:
        """The public key as `sumdb/note` writes it."""
        return str(self._vkey)

    def head(self) -> SignedHead | None:
        """Nothing: what a file beside the database remembers is rolled back with it."""
        return None

    def in_epoch(self, epoch: int) -> "Ed25519FileSigner":
        """The same key in another epoch of the log."""
        origin = origin_in(log_and_epoch(self.origin)[0], epoch)
        return self if origin == self.origin else Ed25519FileSigner(origin, self._key)

    def begin(self, epoch: int, size: int, root: bytes) -> None:
        """Nothing: what is signed in this process is remembered for each epoch apart."""

    def sign(self, checkpoint: Checkpoint, _prove: ProofSource | None = None, /) -> bytes:
        """The checkpoint as a signed note; no proof is asked for, since whoever gives it could read the key.

        Raises:
            EvidenceBroken: it is of another log, smaller than one signed before, or equally large with another root.
        """
        head = self._head
        if checkpoint.origin != self.origin:
            raise EvidenceBroken(f"The key of log {self.origin!r} does not sign a checkpoint of {checkpoint.origin!r}")
        if head is not None and (
            checkpoint.size < head.size or (checkpoint.size == head.size and checkpoint.root != head.root)
        ):
            raise EvidenceBroken(
                f"The log {self.origin!r} was signed with {head.size} entries and now shows another head of"
                f" {checkpoint.size}: it was rolled back or forked.",
                next_move="Stop writing; compare the database with its last backup: leverframe evidence verify",
            )
        body = checkpoint_body(checkpoint.origin, checkpoint.size, checkpoint.root)
        note = compose_note(body, self._vkey, self._key.sign(body.encode()))
        self._head = SignedHead(origin=checkpoint.origin, size=checkpoint.size, root=checkpoint.root)
        return note


def _parts(text: str) -> tuple[str, str, bytes]:
    match text.removeprefix(f"{_PREFIX}+").split("+", 2):
        case [name, key_hash, encoded] if text.startswith(_PREFIX):
            try:
                return name, key_hash, base64.b64decode(encoded, validate=True)
            except ValueError:  # of which binascii.Error is one
                pass
    return "", "", b""
