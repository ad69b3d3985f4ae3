"""What ends a batch that was carried out in the quick way, so that it is done again carefully."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


class HalfDone(Exception):
    """A proposal failed after a change of its own, or a row was not as the quick way believed it to be."""


@contextmanager
def of_several(*, is_careful: bool) -> Iterator[None]:
    """Rows of several proposals are written: what one of them fails on is told to its caller, carefully.

    Raises:
        HalfDone: a row cannot be written, and nobody knows here whose it is.
    """
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, ValueError, OverflowError) as err:
        if is_careful:
            raise
        raise HalfDone from err
