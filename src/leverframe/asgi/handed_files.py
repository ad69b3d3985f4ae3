"""The files of a project, handed from the parent of several workers to each of them through one open file.

Knows: that the file has no name, or what tidies the folder of temporary files would take it away in time; and that
all who have it open share one position in it, so nobody reads from where the position is.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import msgspec

_decode: Final = msgspec.msgpack.Decoder(dict[str, bytes | None]).decode


@contextmanager
def hand_down(kept: Mapping[str, bytes | None]) -> Iterator[int]:
    """The number of a file that holds them for the length of the block."""
    with tempfile.TemporaryFile(prefix="leverframe-") as file:
        file.write(msgspec.msgpack.encode(kept))
        file.flush()
        yield file.fileno()


def handed_down(number: int) -> Mapping[str, bytes | None]:
    """What such a file holds.  It is closed: nothing that this process starts is to have it."""
    try:
        return _decode(os.pread(number, os.fstat(number).st_size, 0))
    finally:
        os.close(number)
