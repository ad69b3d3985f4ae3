"""The machine's own clock and entropy."""

import os
import time
from datetime import UTC, datetime
from functools import partial


class SystemClock:
    """`ports.clock.Clock` on this machine.

    Its methods are the functions themselves: a call asks for the time a dozen times.
    """

    now = staticmethod(partial(datetime.now, UTC))
    monotonic = staticmethod(time.monotonic)


class SystemEntropy:
    """`ports.clock.Entropy` from the operating system, drawn in blocks: one system call gives many salts."""

    _BLOCK_BYTES = 4096

    def __init__(self) -> None:
        self._block = b""
        self._at = 0
        self._pid = os.getpid()

    def token(self, size_bytes: int) -> bytes:
        """That many random bytes, each given out once."""
        # A forked child must not give out its parent's bytes again.
        if self._at + size_bytes > len(self._block) or self._pid != os.getpid():
            self._block = os.urandom(max(self._BLOCK_BYTES, size_bytes))
            self._at, self._pid = 0, os.getpid()
        token = self._block[self._at : self._at + size_bytes]
        self._at += size_bytes
        return token
