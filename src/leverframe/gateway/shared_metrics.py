"""The counts of all workers of one server: each writes its own into a folder, and whoever is asked adds them up.

Knows: that a counter must never fall, so what a dead worker served still counts; what it had under way does not.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from leverframe.gateway.metrics import Counts, Metrics

_EVERY_S: Final = 0.5
_decode: Final = msgspec.json.Decoder(Counts).decode


class SharedMetrics:
    """Those of this worker, and in `folder` those of the others; without a folder there are none.

    Args:
        own: what this worker counts.
        folder: of this server alone, made by the parent of its workers.
        waiting: how many proposals wait for the database.
    """

    def __init__(self, own: Metrics, folder: Path | None, waiting: Callable[[], int]) -> None:
        self.own = own
        self._folder = folder
        self._waiting = waiting
        self._written = b""

    async def keep(self) -> None:
        """Write down what is counted here, again and again."""
        while True:
            self.write()
            await asyncio.sleep(_EVERY_S)

    def write(self) -> None:
        """Write down what is counted here, where it has changed."""
        if self._folder is None:
            return
        self.own.waiting = self._waiting()
        data = msgspec.json.encode(self.own.counts())
        if data == self._written:
            return
        place, fresh = self._folder / f"{os.getpid()}.json", self._folder / f"{os.getpid()}.new"
        # A full disk leaves older counts; no call waits for it.
        with suppress(OSError):
            fresh.write_bytes(data)
            fresh.replace(place)
            self._written = data

    def text(self) -> bytes:
        """What all of them served."""
        self.own.waiting = self._waiting()
        if self._folder is None:
            return self.own.text()
        total = Metrics()
        total.workers = 0
        total.add(self.own.counts(), is_alive=True)
        for place in sorted(self._folder.glob("*.json")):
            pid = int(place.stem)
            if pid != os.getpid():
                with suppress(OSError, msgspec.DecodeError):
                    total.add(_decode(place.read_bytes()), is_alive=_is_alive(pid))
        return total.text()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
