"""The base of our enumerations: strings of a closed set.

Knows: that the standard library asks for a member's `value` with two calls of its own in Python, which a model call
pays for some twenty times.  Never: differs from `enum.StrEnum` in anything but how fast `value` is read.
"""

from enum import StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING


class Word(StrEnum):
    """A member is its word: it compares, hashes and is written as that string."""

    if not TYPE_CHECKING:
        value = property(attrgetter("_value_"))
