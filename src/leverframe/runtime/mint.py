"""Where ids, salts and timestamps are made, and nowhere else."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from leverframe.core.api_keys import ID_BYTES, SECRET_BYTES, KeyText, spell
from leverframe.domain.ids import ApprovalId, CallId, EntryId, ReservationId, RunId, ulid
from leverframe.domain.time import to_us
from leverframe.ports.clock import Clock, Entropy

_SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Mint:
    """Makes ids that sort by time, from the clock and the entropy it was given."""

    clock: Clock
    entropy: Entropy

    def now(self) -> datetime:
        """The wall clock, aware UTC."""
        return self.clock.now()

    def run_id(self) -> RunId:
        """`run_…`."""
        return RunId(f"run_{self._ulid()}")

    def call_id(self) -> CallId:
        """`call_…`, one for each call of a step."""
        return CallId(f"call_{self._ulid()}")

    def entry_id(self) -> EntryId:
        """`ent_…`, one for each evidence entry."""
        return EntryId(f"ent_{self._ulid()}")

    def reservation_id(self) -> ReservationId:
        """`rsv_…`."""
        return ReservationId(f"rsv_{self._ulid()}")

    def approval_id(self) -> ApprovalId:
        """`apr_…`."""
        return ApprovalId(f"apr_{self._ulid()}")

    def key_text(self) -> KeyText:
        """A new API key, its id and its secret."""
        return spell(self.entropy.token(ID_BYTES), self.entropy.token(SECRET_BYTES))

    def nonce(self) -> str:
        """128 random bits in hexadecimal, for the envelope."""
        return self.entropy.token(_SALT_BYTES).hex()

    def salts(self) -> Iterator[bytes]:
        """An endless supply of 16-byte salts."""
        while True:
            yield self.entropy.token(_SALT_BYTES)

    def _ulid(self) -> str:
        return ulid(to_us(self.clock.now()), int.from_bytes(self.entropy.token(10), "big"))
