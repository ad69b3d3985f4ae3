"""Time and randomness, so that tests can hold them still."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Contract: `now` is aware UTC and may jump; `monotonic` (seconds) never goes back within a process."""

    def now(self) -> datetime:
        """The wall clock."""
        ...

    def monotonic(self) -> float:
        """A clock for deadlines and durations."""
        ...


class Entropy(Protocol):
    """Contract: unpredictable bytes; ids and salts rest on it."""

    def token(self, size_bytes: int) -> bytes:
        """That many random bytes."""
        ...
