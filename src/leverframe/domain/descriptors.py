"""No file descriptor is left, to this process or its machine: it passes, and whatever opens files tells it alike."""

import errno
from typing import Final

from leverframe.domain.errors import StoreUnavailable

_WHOSE: Final = {errno.EMFILE: "this process", errno.ENFILE: "this machine"}
_NEXT_MOVE: Final = (
    "Ask again in a moment.  If it stays so, raise the limit of open files (`ulimit -Hn`, `LimitNOFILE=` of a service),"
    " or take fewer connections at once."
)


def is_out_of_descriptors(err: OSError) -> bool:
    """Whether a file could not be opened for want of a descriptor, which says nothing of the file."""
    return err.errno in _WHOSE


def out_of_descriptors(what: str, err: OSError) -> StoreUnavailable:
    """The problem of `what`, which could not be opened."""
    whose = _WHOSE.get(err.errno or 0, "this process")
    return StoreUnavailable(
        f"{what} cannot be opened: {whose} has as many files and connections open as it may.", next_move=_NEXT_MOVE
    )
