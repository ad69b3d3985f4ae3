"""The key of an evidence log, as the runtime needs it."""

from typing import Protocol

from leverframe.domain.evidence import Checkpoint


class Signer(Protocol):
    """Holds the key of one log and signs its heads.

    Signing is quick, does no network call and never repeats itself wrongly: the same checkpoint gives the same bytes.
    A signer may refuse a checkpoint that is behind one it has signed (`EvidenceBroken`); the caller then stops
    writing.  Signing happens only after the entries of the checkpoint are flushed.
    """

    @property
    def origin(self) -> str:
        """The name of the log: first line of its checkpoints and name of its key."""

    @property
    def vkey(self) -> str:
        """The public key as `sumdb/note` writes it: `name+hash+base64(type || key)`."""

    def sign(self, checkpoint: Checkpoint) -> bytes:
        """The checkpoint as a C2SP signed note, in UTF-8.

        Raises:
            EvidenceBroken: the checkpoint is of another log or behind one that was signed before.
        """
