"""Whether a token in a text is a word of its own, or a part of something longer.

Knows: `W123` of `W1234`, `ann@b.com` of `ann@b.com.au` or of `o'ann@b.com`, 250 of 1,250; what the letters beside a
token are, combining marks and signs that nobody sees included.  Never: what a token means.
Source: RFC 5321, section 4.1.2, for what the local part of an address may have; UTS 46 for signs that count as dots.
"""

import unicodedata
from typing import Final

# With letters on both sides, of one name, number or address.
_WITHIN_WORDS: Final = frozenset("._+-@'\u2019\u3002\uff0e\uff61")
# Of the local part of an address; no text has one of these before an address that it means.
_OF_ADDRESS: Final = frozenset("!#$%&+-/?^.@\\\u2019")
# Stands around an address in some texts, and within one in others.
_MARKUP: Final = frozenset("'\"`*_~{|=")
_BESIDE: Final = 8  # characters that are looked at, for the two that are seen

_LONGEST_LOGIN: Final = 200


def splits_a_word(text: str, start: int, end: int) -> bool:
    """Whether a token, from `start` to `end` of a text, is a part of something longer."""
    if "@" in text[start:end]:
        return _goes_on_left(text, start) or _goes_on_right(text, end)
    left = _seen(text[max(0, start - _BESIDE) : start][::-1])
    is_mention = left[:2] == "!<"  # `<!here>`: a word that the user wrote is no such sign
    return is_mention or _goes_on(text[start], left) or _goes_on_right(text, end)


def _goes_on(edge: str, beyond: str) -> bool:
    """Whether what stands beyond the edge of a token, outwards, is of one piece with it."""
    if not edge.isalnum() or not beyond:
        return False
    if _is_letter(beyond[0]):
        return True
    if len(beyond) == 1 or not beyond[1].isalnum():
        return False
    return beyond[0] in _WITHIN_WORDS or (beyond[0] == "," and edge.isdigit() and beyond[1].isdigit())


def _goes_on_right(text: str, end: int) -> bool:
    beyond = _seen(text[end : end + _BESIDE])
    # What is somebody's: `ann@b.com's`.
    if beyond[:1] in {"'", "\u2019"} and beyond[1:2] == "s" and not beyond[2:3].isalnum():
        return False
    return _goes_on(text[end - 1], beyond)


def _goes_on_left(text: str, start: int) -> bool:
    """The same for the beginning of an address, whose local part may have nearly any sign."""
    beyond = _seen(text[max(0, start - _BESIDE) : start][::-1])
    before = text[max(0, start - _LONGEST_LOGIN) : start]
    if "//" in before and not before[-1].isspace() and "//" in before.split()[-1]:
        return True  # the login of a URL
    if not beyond or beyond[0].isspace():
        return False
    if beyond[0] in _MARKUP:
        # A mark opens where nothing, or another mark, stands before it.
        rest = beyond.lstrip("".join(_MARKUP))
        return bool(rest) and (_is_letter(rest[0]) or rest[0] in _OF_ADDRESS)
    return _is_letter(beyond[0]) or beyond[0] in _OF_ADDRESS


def _is_letter(char: str) -> bool:
    # A combining mark makes another letter of the one before it.
    return char.isalnum() or unicodedata.category(char).startswith("M")


def _seen(beside: str) -> str:
    """What is seen of it: a reader takes what stands on both sides of an invisible sign for one word."""
    return beside if beside.isascii() else "".join(char for char in beside if unicodedata.category(char) != "Cf")
