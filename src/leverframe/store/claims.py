"""Who advances a run, on one machine: one byte of one file, locked.

Knows: that a lock of an open file description ends with its process, kill -9 included, so no claim is ever stale.
Trust: whoever can lock the file can keep runs from being advanced, and can do nothing else with it.
Source: fcntl(2), "Open file description locks".
"""

import fcntl
import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leverframe.domain.descriptors import is_out_of_descriptors, out_of_descriptors
from leverframe.domain.errors import StoreUnavailable
from leverframe.domain.ids import RunId

_OFFSET_BYTES = 7  # 2**56 places: two runs share one with a chance that does not matter, and then only wait


class FileClaims:
    """`ports.claims.Claims` on a lock file beside the database."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def claim(self, run_id: RunId) -> Iterator[bool]:
        """Enter with True when the run is ours now, with False when another process or task advances it.

        Raises:
            StoreUnavailable: the lock file cannot be opened.
        """
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as err:
            if is_out_of_descriptors(err):
                raise out_of_descriptors(f"The file of claims {str(self._path)!r}", err) from err
            raise StoreUnavailable(
                f"The file of claims {str(self._path)!r} cannot be opened ({err.strerror}).",
                next_move="Make the folder writable for this user.",
            ) from err
        try:
            yield _locked(descriptor, run_id)
        finally:
            os.close(descriptor)


def _locked(descriptor: int, run_id: RunId) -> bool:
    offset = int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:_OFFSET_BYTES], "big")
    # struct flock of Linux on 64 bits: type, whence, start, length, pid (zero for these locks)
    wanted = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)
    except BlockingIOError:
        return False
    except OSError as err:
        raise StoreUnavailable(f"A run cannot be claimed here ({err.strerror}).") from err
    return True
