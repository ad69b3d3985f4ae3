"""JSON with half of a character in its texts, as servers write it that cut what a model says at UTF-16 units.

Knows: that only an escape can write such a half, that no strict reader takes one alone, and that the other half may
come in the next piece.  Never: takes anything else that is no JSON.
"""

import re
from json import JSONDecoder
from typing import Final, NoReturn

_HALF: Final = re.compile("[\ud800-\udfff]")


def read_halves(data: bytes | bytearray) -> dict[str, object] | None:
    """The object that a strict reader did not take for a half alone; None where it is none for another reason too.

    Its texts may hold halves, which nothing can write before they went through `mended`.
    """
    if b"\\u" not in data:
        return None
    try:
        value: object = _DECODER.decode(data.decode())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def mended(text: str) -> str:
    """The text with halves that follow each other made one character, and U+FFFD for those that stay alone."""
    if text.isascii() or not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _constant(word: str) -> NoReturn:
    raise ValueError(f"JSON has no {word}")


_DECODER: Final = JSONDecoder(parse_constant=_constant)
