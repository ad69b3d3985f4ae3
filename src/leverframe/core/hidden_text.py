"""Characters that a person does not see and a model reads.

Source: Unicode Standard Annex 9 (bidi), Technical Report 36 (security); the tags of plane 14 spell ASCII unseen.
"""

import unicodedata
from typing import Final

import re2

# To order a long row of marks takes time by its square, so such a row is left as it is (UAX 15, section 13).
PILED_UP: Final = re2.compile(r"[\p{M}\x{1161}-\x{11FF}]{31,}")

_TAGS: Final = range(0xE0000, 0xE0080)
_SPELLING_TAGS: Final = range(0xE0020, 0xE007F)
_SELECTORS: Final = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Letters and fillers that print as nothing.
_BLANK: Final = frozenset("\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u2800\u3164\uffa0")
_LINE_ENDS: Final = frozenset("\n\r\t")


def is_hidden(char: str) -> bool:
    """Whether a character shows nothing of itself, or changes the order in which others are shown."""
    if char.isascii():
        return not char.isprintable() and char not in _LINE_ENDS
    code = ord(char)
    if code in _TAGS or char in _BLANK or any(code in each for each in _SELECTORS):
        return True
    return unicodedata.category(char) in {"Cf", "Cc", "Co", "Cn", "Cs", "Zl", "Zp"}


def hidden_kinds(text: str) -> tuple[str, ...]:
    """What kinds of hidden characters a text has, each with its count: `3 tags`, `1 bidi`, `2 zero-width`."""
    counts: dict[str, int] = {}
    for char in text:
        if is_hidden(char):
            kind = _kind(char)
            counts[kind] = counts.get(kind, 0) + 1
    return tuple(f"{count} {kind}" for kind, count in sorted(counts.items()))


def spelled_by_tags(text: str) -> str:
    """The ASCII text that the tag characters of a text spell."""
    return "".join(chr(ord(char) - _TAGS.start) for char in text if ord(char) in _SPELLING_TAGS)


def _kind(char: str) -> str:
    code = ord(char)
    if code in _TAGS:
        return "tag"
    if char in _BIDI:
        return "bidi"
    if any(code in each for each in _SELECTORS):
        return "variation selector"
    return "control" if unicodedata.category(char) in {"Cc", "Cs", "Co", "Cn"} else "zero-width"
