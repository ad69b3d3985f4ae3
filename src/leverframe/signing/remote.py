"""A log's key that another process holds, under another OS user: the door's end of the signer's socket.

Knows: how to show the signer that a head continues the last one.  Never: holds a key, or decides what is signed.
"""

import os
import socket
from pathlib import Path

import msgspec

from leverframe.core.epochs import origin_in
from leverframe.core.notes import SignedHead, VerifierKey, parse_vkey
from leverframe.domain.errors import EvidenceBroken, KeyUnsafe, SignerUnavailable
from leverframe.domain.evidence import Checkpoint
from leverframe.ports.signing import ProofSource
from leverframe.signing.signer_process import peer_uid
from leverframe.signing.signer_wire import (
    LENGTH_BYTES,
    STALE,
    Answer,
    AskBegin,
    AskLog,
    AskSign,
    KeptHead,
    Request,
    body_bytes,
    decode_answer,
    frame,
)

_PATIENCE_S = 2.0
_TRIES = 4  # each loses to another process that had a later head signed in between


class SignerLine:
    """The way to a signer: a connection for each question, so that nothing is left open.  For any thread."""

    def __init__(self, path: Path, *, patience_s: float = _PATIENCE_S) -> None:
        self.path = path
        self._patience_s = patience_s

    def ask(self, request: Request) -> Answer:
        """One request and its answer.

        Raises:
            SignerUnavailable: nobody answers, or not this user.
            EvidenceBroken: the signer refuses.
            KeyUnsafe: it finds its own key unsafe.
        """
        try:
            with self._connected() as connection:
                connection.sendall(frame(request))
                answer = decode_answer(_read(connection, body_bytes(_read(connection, LENGTH_BYTES))))
        except (OSError, EOFError, ValueError, RecursionError, msgspec.DecodeError) as err:
            raise self._away(err) from err
        match answer.problem:
            case "" | "stale" | "not-found":
                return answer
            case EvidenceBroken.slug:
                raise EvidenceBroken(answer.message, next_move="Stop writing: leverframe evidence verify")
            case KeyUnsafe.slug:
                raise KeyUnsafe(answer.message, next_move=f"See to the folder of the signer at {str(self.path)!r}.")
            case _:
                raise SignerUnavailable(answer.message, next_move="Start it with the --allow-uid of this user.")

    def other_user(self) -> int | None:
        """The OS user of the signer, where it is another than this process's; None where it is the same.

        Raises:
            SignerUnavailable: nobody answers.
        """
        try:
            with self._connected() as connection:
                uid = peer_uid(connection)
        except OSError as err:
            raise self._away(err) from err
        return None if uid == os.geteuid() else uid

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(self._patience_s)
        try:
            connection.connect(str(self.path))
        except OSError:
            connection.close()
            raise
        return connection

    def _away(self, err: Exception) -> SignerUnavailable:
        why = getattr(err, "strerror", None) or str(err) or type(err).__name__
        return SignerUnavailable(
            f"The signer of the evidence log does not answer at {str(self.path)!r} ({why}).",
            next_move="Start it as its own user: leverframe signer --socket PATH --state FOLDER --allow-uid UID",
        )


class RemoteSigner:
    """Signs the heads of one log by a signer process.  Implements `leverframe.ports.signing.Signer`.

    Args:
        line: the way to the process, which the signers of several logs may share.
        log: the name of the log, without an epoch.
        create: let the signer make a key where it has none; reading commands do not.
    """

    def __init__(self, line: SignerLine, log: str, *, create: bool, epoch: int = 1) -> None:
        self._line = line
        self._log = log
        self._create = create
        self._epoch = epoch
        self._last: KeptHead | None = None
        self._key: VerifierKey | None = None

    @property
    def origin(self) -> str:
        """The name of the log in this epoch."""
        return origin_in(self._log, self._epoch)

    @property
    def vkey(self) -> str:
        """The public key, as the signer says it."""
        if self._key is None:
            self._known()
        if self._key is None:
            raise SignerUnavailable(
                f"The signer at {str(self._line.path)!r} has no key of the log {self._log!r}.",
                next_move="The first run of a project has it made.",
            )
        return str(VerifierKey(name=self.origin, public_key=self._key.public_key))

    def head(self) -> SignedHead | None:
        """The newest head that the signer signed, of whichever epoch."""
        last = self._known().head
        return None if last is None else _signed(self._log, last)

    def closed(self) -> tuple[SignedHead, ...]:
        """The last heads of epochs that were given up, as the signer remembers them; the newest 16."""
        return tuple(_signed(self._log, one) for one in self._known().closed)

    def other_user(self) -> int | None:
        """The OS user that holds the key, where it is not this process's."""
        return self._line.other_user()

    def in_epoch(self, epoch: int) -> "RemoteSigner":
        """The same key in another epoch."""
        if epoch == self._epoch:
            return self
        return RemoteSigner(self._line, self._log, create=self._create, epoch=epoch)

    def begin(self, epoch: int, size: int, root: bytes) -> None:
        """Close the epoch that the signer has open, and begin a later one."""
        self._line.ask(AskBegin(log=self._log, epoch=epoch, size=size, root=root))

    def sign(self, checkpoint: Checkpoint, prove: ProofSource, /) -> bytes:
        """Prove to the signer that the checkpoint continues its last head, and have it signed."""
        if checkpoint.origin != self.origin:
            raise EvidenceBroken(f"The key of log {self.origin!r} does not sign a checkpoint of {checkpoint.origin!r}")
        if self._last is None:
            self._known()
        for _ in range(_TRIES):
            last = self._last
            size = 0 if last is None or last.size > checkpoint.size else last.size
            answer = self._line.ask(
                AskSign(
                    log=self._log,
                    epoch=self._epoch,
                    size=checkpoint.size,
                    root=checkpoint.root,
                    proven_from=size,
                    proof=tuple(prove(size)) if 0 < size < checkpoint.size else (),
                )
            )
            self._last = answer.head
            if answer.problem != STALE:
                return answer.note.encode()
        raise SignerUnavailable(
            f"The signer of {self.origin!r} had another head signed {_TRIES} times while this one was asked for.",
            next_move="Try again.",
        )

    def _known(self) -> Answer:
        answer = self._line.ask(AskLog(log=self._log, create=self._create))
        self._last = answer.head
        if answer.vkey:
            self._key = parse_vkey(answer.vkey)
        return answer


def _signed(log: str, head: KeptHead) -> SignedHead:
    return SignedHead(origin=origin_in(log, head.epoch), size=head.size, root=head.root)


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError("the connection ended")
        data += part
    return data
