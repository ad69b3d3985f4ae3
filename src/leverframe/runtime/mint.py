"""Where ids, salts and timestamps are made, and nowhere else."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from leverframe.core.api_keys import ID_BYTES, SECRET_BYTES, KeyText, spell
from leverframe.domain.ids import (
    COUNTED,
    ApprovalId,
    CallId,
    EntryId,
    ReservationId,
    RunId,
    ulid,
    ulid_after,
)
from leverframe.domain.time import to_us
from leverframe.ports.clock import Clock, Entropy

_SALT_BYTES = 16
_RANDOM_BYTES = 8


@dataclass(slots=True)
class _Row:
    """The ids of one kind that this process makes: random bits drawn once, and a count below them."""

    random_bits: int = 0
    count: int = 0
    left: int = 0
    pid: int = 0


@dataclass(frozen=True, slots=True)
class Mint:
    """Makes ids that sort by time, from the clock and the entropy it was given."""

    clock: Clock
    entropy: Entropy
    _calls: _Row = field(default_factory=_Row, repr=False, compare=False)
    _entries: _Row = field(default_factory=_Row, repr=False, compare=False)

    def now(self) -> datetime:
        """The wall clock, aware UTC."""
        return self.clock.now()

    def run_id(self) -> RunId:
        """`run_…`."""
        return RunId(f"run_{self._ulid()}")

    def call_id(self) -> CallId:
        """`call_…`, one for each call of a step."""
        return CallId(f"call_{self._next_of(self._calls)}")

    def entry_id(self) -> EntryId:
        """`ent_…`, one for each evidence entry."""
        return EntryId(f"ent_{self._next_of(self._entries)}")

    def reservation_id(self) -> ReservationId:
        """`rsv_…`."""
        return ReservationId(f"rsv_{self._ulid()}")

    def approval_id(self) -> ApprovalId:
        """`apr_…`."""
        return ApprovalId(f"apr_{self._ulid()}")

    def key_text(self) -> KeyText:
        """A new API key, its id and its secret."""
        return spell(self.entropy.token(ID_BYTES), self.entropy.token(SECRET_BYTES))

    def chance(self) -> float:
        """Anything from 0 to 1, for waits that are not to fall together."""
        return int.from_bytes(self.entropy.token(4), "big") / 0x1_0000_0000

    def nonce(self) -> str:
        """128 random bits in hexadecimal, for the envelope."""
        return self.entropy.token(_SALT_BYTES).hex()

    def salts(self) -> Iterator[bytes]:
        """An endless supply of 16-byte salts."""
        while True:
            yield self.entropy.token(_SALT_BYTES)

    def _next_of(self, row: _Row) -> str:
        """The next ULID of a row.  Nothing rests on its being hard to guess: it names, and opens nothing."""
        # A forked child must not give out its parent's ids again.
        if not row.left or row.pid != os.getpid():
            row.random_bits, row.count = int.from_bytes(self.entropy.token(_RANDOM_BYTES), "big"), 0
            row.left, row.pid = COUNTED, os.getpid()
        row.left -= 1
        row.count += 1
        return ulid_after(to_us(self.clock.now()), row.random_bits, row.count - 1)

    def _ulid(self) -> str:
        return ulid(to_us(self.clock.now()), int.from_bytes(self.entropy.token(10), "big"))
