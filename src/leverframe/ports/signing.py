"""The key of an evidence log, as the store and the runtime need it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from leverframe.core.notes import SignedHead
from leverframe.domain.evidence import Checkpoint

# From the size that a signer signed last: the RFC 6962 proof that the checkpoint to be signed continues it.
# Raises EvidenceBroken where the log cannot show it.
ProofSource = Callable[[int], Sequence[bytes]]


class Signer(Protocol):
    """Holds the key of one log and signs its heads, in one epoch of it (`core.epochs`).

    Signing is quick and never repeats itself wrongly: the same checkpoint gives the same bytes.  A signer refuses a
    checkpoint that does not continue the one it signed last; the caller then stops writing.  Signing happens only
    after the entries of the checkpoint are flushed.
    """

    @property
    def origin(self) -> str:
        """The name of the log in this epoch: first line of its checkpoints and name of its key."""

    @property
    def vkey(self) -> str:
        """The public key as `sumdb/note` writes it: `name+hash+base64(type || key)`.

        Raises:
            SignerUnavailable: the key is held elsewhere, and nobody answers there.
        """

    def head(self) -> SignedHead | None:
        """The newest head that is remembered, of whichever epoch; None where nothing is remembered.

        Raises:
            SignerUnavailable: it is remembered elsewhere, and nobody answers there.
        """

    def in_epoch(self, epoch: int, /) -> "Signer":
        """The same key in another epoch of the same log."""

    def begin(self, epoch: int, size: int, root: bytes) -> None:
        """Remember, for good, that the log goes on in a new epoch from its first `size` entries.

        Raises:
            EvidenceBroken: the epoch is not later than the one that is remembered.
            SignerUnavailable: nobody answers.
        """

    def sign(self, checkpoint: Checkpoint, prove: ProofSource, /) -> bytes:
        """The checkpoint as a C2SP signed note, in UTF-8.

        Raises:
            EvidenceBroken: the checkpoint is of another log or epoch, or does not continue the one signed before.
            SignerUnavailable: nobody answers; nothing was signed, and asking again is safe.
        """
