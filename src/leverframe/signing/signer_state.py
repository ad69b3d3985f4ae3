"""What a signer process keeps: the key of each log, and the head that it signed last.

Knows: that a head is on disk before its signature leaves, so what anyone was given is never forgotten; and that a head
is signed only if a proof shows that it continues the last one, or in a new epoch that was begun openly.
Never: talks to anyone; `signer_process` does.  Rules: docs/adr/0008-a-signer-that-refuses-rollback.md.
"""

import fcntl
import os
from pathlib import Path
from urllib.parse import quote

import msgspec

from leverframe.core import merkle
from leverframe.core.epochs import origin_in
from leverframe.domain.errors import EvidenceBroken, KeyUnsafe, SignerUnavailable
from leverframe.domain.evidence import Checkpoint
from leverframe.domain.time import from_us
from leverframe.signing.ed25519 import Ed25519FileSigner
from leverframe.signing.files import private_folder, read_secret, replace
from leverframe.signing.signer_wire import STALE, Answer, AskBegin, AskLog, AskSign, KeptHead, Request

MAX_LOGS = 256
MAX_CLOSED = 16
_FORMAT = "leverframe-signer/1"
_SECRET = 0o600


class _Memory(msgspec.Struct, frozen=True, kw_only=True):
    """The file of one log: its open epoch, the head signed last in it, and the epochs that were given up."""

    format: str = _FORMAT
    log: str
    epoch: int = 1
    head: KeptHead | None = None
    closed: tuple[KeptHead, ...] = ()


_decode_memory = msgspec.json.Decoder(_Memory).decode


class SignerState:
    """The state folder, of which one process at a time is the owner.

    Raises:
        KeyUnsafe: the folder is not this user's alone.
        SignerUnavailable: another signer uses it.
    """

    def __init__(self, folder: Path) -> None:
        private_folder(folder)
        self._folder = folder
        # Two signers that remember apart would sign two continuations of one log.
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _SECRET)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            os.close(self._lock)
            raise SignerUnavailable(
                f"Another signer uses the folder {str(folder)!r}.", next_move="Stop it, or name another --state."
            ) from err

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._lock)

    def answer(self, request: Request) -> Answer:
        """Do what is asked, or say why not.

        Raises:
            KeyUnsafe: a key or a memory is open to others or damaged: nothing is signed with it.
            OSError: the disk does not take the memory; nothing was signed.
        """
        signer = self._signer(request)
        if signer is None:
            return Answer(problem="not-found", message=f"There is no key of the log {request.log!r} here.")
        memory = self._memory(request.log)
        try:
            match request:
                case AskLog():
                    return _told(signer, memory)
                case AskBegin():
                    return self._begin(signer, memory, request)
                case AskSign():
                    return self._sign(signer, memory, request)
        except EvidenceBroken as err:
            return Answer(problem=EvidenceBroken.slug, message=err.message, epoch=memory.epoch, head=memory.head)

    def _sign(self, signer: Ed25519FileSigner, memory: _Memory, asked: AskSign) -> Answer:
        if asked.epoch != memory.epoch:
            raise EvidenceBroken(f"The log {asked.log!r} is in epoch {memory.epoch}, not in {asked.epoch}.")
        if memory.head is not None:
            stale = _refusal(memory.head, asked)
            if stale is not None:
                return stale
        head = KeptHead(epoch=asked.epoch, size=asked.size, root=asked.root)
        if head != memory.head:
            # Before the signature leaves: a head that somebody holds must never be forgotten here.
            memory = self._keep(msgspec.structs.replace(memory, head=head))
        origin = origin_in(asked.log, asked.epoch)
        checkpoint = Checkpoint(origin=origin, size=asked.size, root=asked.root, at=from_us(0))
        note = signer.in_epoch(asked.epoch).sign(checkpoint)
        return msgspec.structs.replace(_told(signer, memory), note=note.decode())

    def _begin(self, signer: Ed25519FileSigner, memory: _Memory, asked: AskBegin) -> Answer:
        if asked.epoch <= memory.epoch:
            raise EvidenceBroken(
                f"The log {asked.log!r} is in epoch {memory.epoch} already; {asked.epoch} is no later."
            )
        given_up = () if memory.head is None else (memory.head,)
        begun = msgspec.structs.replace(
            memory,
            epoch=asked.epoch,
            head=KeptHead(epoch=asked.epoch, size=asked.size, root=asked.root),
            closed=(*memory.closed, *given_up)[-MAX_CLOSED:],
        )
        return _told(signer, self._keep(begun))

    def _signer(self, request: Request) -> Ed25519FileSigner | None:
        log = request.log
        path = self._path(log, "key")
        if path.exists():
            # Read each time: a key that became readable to others is used no more.
            found = Ed25519FileSigner.load(path)
            if found.origin != log:
                raise KeyUnsafe(f"{str(path)!r} holds the key of {found.origin!r}, not of {log!r}.")
            return found
        if not (isinstance(request, AskLog) and request.create):
            return None
        if sum(1 for _ in self._folder.glob("*.key")) >= MAX_LOGS:
            raise KeyUnsafe(
                f"{MAX_LOGS} logs have a key here already.", next_move="Start a signer with another folder."
            )
        return Ed25519FileSigner.create(path, log)

    def _memory(self, log: str) -> _Memory:
        path = self._path(log, "head")
        if not path.exists():
            return _Memory(log=log)
        try:
            memory = _decode_memory(read_secret(path))
        except (msgspec.DecodeError, ValueError, RecursionError) as err:
            raise _damaged(path) from err
        if memory.format != _FORMAT or memory.log != log:
            raise _damaged(path)
        return memory

    def _keep(self, memory: _Memory) -> _Memory:
        replace(self._path(memory.log, "head"), msgspec.json.encode(memory), mode=_SECRET)
        return memory

    def _path(self, log: str, kind: str) -> Path:
        return self._folder / f"{quote(log, safe='')}.{kind}"


def _told(signer: Ed25519FileSigner, memory: _Memory) -> Answer:
    return Answer(vkey=signer.vkey, epoch=memory.epoch, head=memory.head, closed=memory.closed)


def _refusal(last: KeptHead, asked: AskSign) -> Answer | None:
    """Why a head does not continue the last one: refused for good, or only proven from another; None where it does.

    Raises:
        EvidenceBroken: it is behind the last head, or its proof does not hold.
    """
    if asked.size < last.size:
        raise EvidenceBroken(
            f"The log {asked.log!r} was signed with {last.size} entries and now shows {asked.size}: it was rolled back."
        )
    if asked.proven_from != last.size:
        return Answer(problem=STALE, message="The proof begins at another head.", epoch=last.epoch, head=last)
    if not merkle.verify_consistency(last.size, last.root, asked.size, asked.root, asked.proof):
        raise EvidenceBroken(
            f"Nothing shows that the {asked.size} entries of the log {asked.log!r} continue the {last.size} that were"
            " signed: it was forked or rewritten."
        )
    return None


def _damaged(path: Path) -> KeyUnsafe:
    return KeyUnsafe(
        f"{str(path)!r} is not what a signer keeps of a log, so the head signed last is not known.",
        next_move="Restore it from a backup; never start without it, or a rollback would be signed.",
    )
