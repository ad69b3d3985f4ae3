"""How many refusals of a run its worker records: a client that asks in vain again and again fills no disk.

Knows: that what is refused costs nothing and so has no budget to stop it; that of very many a person reads the first
ones and how many there were.  Never: tells a client anything else for it.
"""

from typing import Final

import msgspec

# A burst, and whoever asks again with some patience, is recorded call by call; a loop that asks thousands of times a
# second is not.
_MOST_EACH_BY_ITSELF: Final = 1_000
_THEN_EVERY: Final = 100
_WINDOW_S: Final = 60.0


class RefusalTally(msgspec.Struct):
    """Of one run in one worker.  `unrecorded`: those since the last one that was recorded."""

    began_at: float = -_WINDOW_S  # monotonic
    count: int = 0
    unrecorded: int = 0

    def record(self, now: float) -> int | None:
        """Whether one more is to be recorded: how many were not since the last; None where this one is not either."""
        if now - self.began_at >= _WINDOW_S:
            self.began_at, self.count = now, 0
        self.count += 1
        if self.count > _MOST_EACH_BY_ITSELF and self.count % _THEN_EVERY:
            self.unrecorded += 1
            return None
        unrecorded, self.unrecorded = self.unrecorded, 0
        return unrecorded
