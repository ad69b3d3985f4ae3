"""Time and randomness that a test holds in its hand."""

import threading
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from leverframe.ports.clock import Clock, Entropy

START: Final = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock(Clock):
    """Stands still until it is told to go."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._monotonic_s = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The wall clock."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Let time pass, on both clocks."""
        if seconds < 0:
            raise ValueError("time passes forward; use `jump` for a wall clock that was set back")
        with self._lock:
            self._now += timedelta(seconds=seconds)
            self._monotonic_s += seconds

    def jump(self, to: datetime) -> None:
        """Set the wall clock, forward or back, as an operator or NTP may."""
        with self._lock:
            self._now = to


class FakeEntropy(Entropy):
    """Bytes that follow from a seed: the same test, the same ids."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._drawn = 0
        self._lock = threading.Lock()

    def token(self, size_bytes: int) -> bytes:
        """That many bytes, never the same twice."""
        token = b""
        with self._lock:
            while len(token) < size_bytes:
                token += sha256(f"{self._seed}:{self._drawn}".encode()).digest()
                self._drawn += 1
        return token[:size_bytes]
