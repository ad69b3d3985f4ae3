"""Who advances a run."""

from contextlib import AbstractContextManager
from typing import Protocol

from leverframe.domain.ids import RunId


class Claims(Protocol):
    """Contract: at most one holder of a run on this store; a claim ends with its process, kill -9 included."""

    def claim(self, run_id: RunId) -> AbstractContextManager[bool]:
        """Enter with True when the run is ours now, with False when someone else advances it."""
        ...
