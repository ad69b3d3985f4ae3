"""Text to tokens, in one pass over the text.

Knows: how names, numbers, strings and operators are spelled; CEL's spelling, less its bytes, raw strings, unsigned
integers, hexadecimals and exponents.  Never: decides what a token means.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from leverframe.domain.errors import ConditionError

MAX_CHARS: Final = 4096

TokenKind = Literal["name", "number", "string", "op", "end"]


@dataclass(frozen=True, slots=True)
class Token:
    """One word of the text.  `text` is as written, but for a string, where it is the string's value."""

    kind: TokenKind
    text: str
    at: int


# No alternative can begin inside another one and none repeats a repetition, so a scan never goes back.
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n\f]+)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>[0-9]+(?:\.[0-9]+)?)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<op>&&|\|\||==|!=|<=|>=|[<>!+\-.,()\[\]])""",
    re.VERBOSE,
)
_NAME_CHAR = re.compile(r"[A-Za-z0-9_]")
_SIMPLE_ESCAPES = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "r": "\r", "t": "\t"}
_HEX_ESCAPES = {"u": 4, "U": 8}
_HEX = frozenset("0123456789abcdefABCDEF")
_HINTS = {
    "=": "Write `==` to compare; nothing is assigned in a condition.",
    "&": "Write `&&`.",
    "|": "Write `||`.",
    "*": "There is `+` and `-`; compute anything else in a fact.",
    "/": "There is `+` and `-`; compute anything else in a fact.",
    "%": "There is `+` and `-`; compute anything else in a fact.",
    "?": "There is no `? :`; write two rules, or `(a && b) || (!a && c)`.",
    "{": "There are no map literals; compare the fields one by one.",
}


def tokens(text: str) -> list[Token]:
    """Split `text`; the last token is always `end`.

    Raises:
        ConditionError: the text is too long, or a character, number or string in it is not of the language.
    """
    if len(text) > MAX_CHARS:
        raise ConditionError(
            f"The condition has {len(text)} characters, and at most {MAX_CHARS} are read.",
            offset=MAX_CHARS,
            next_move="Move a part of it into a fact, or write several rules.",
        )
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _unreadable(text, at)
        kind, word = match.lastgroup, match.group()
        if kind == "name":
            found.append(Token("name", word, at))
        elif kind == "number":
            _refuse_glued_letter(text, at, match.end())
            found.append(Token("number", word, at))
        elif kind == "string":
            found.append(Token("string", _unescape(word, at), at))
        elif kind == "op":
            found.append(Token("op", word, at))
        at = match.end()
    found.append(Token("end", "", at))
    return found


def number_value(word: str) -> int | Decimal:
    """The value of a number token: exact, an integer unless it has a point."""
    return Decimal(word) if "." in word else int(word)


def _unreadable(text: str, at: int) -> ConditionError:
    if text[at] in "\"'":
        return ConditionError(
            "The string has no closing quote on its line.",
            offset=at,
            next_move=f"Close it with {text[at]}; write a quote inside it as \\{text[at]}.",
        )
    return ConditionError(
        f"The character {text[at]!r} is not part of the condition language.",
        offset=at,
        next_move=_HINTS.get(text[at], "Strings stand in double quotes."),
    )


def _refuse_glued_letter(text: str, at: int, end: int) -> None:
    if end < len(text) and _NAME_CHAR.match(text, end):
        raise ConditionError(
            f"A number ends in the character {text[end]!r}.",
            offset=at,
            next_move="Write numbers in digits, such as 50 or 49.99; durations stand in quotes, such as `24h`.",
        )


def _unescape(quoted: str, at: int) -> str:
    if "\\" not in quoted:
        return quoted[1:-1]
    parts: list[str] = []
    position = 1
    end = len(quoted) - 1
    while position < end:
        char = quoted[position]
        if char != "\\":
            parts.append(char)
            position += 1
            continue
        letter = quoted[position + 1]
        if letter in _SIMPLE_ESCAPES:
            parts.append(_SIMPLE_ESCAPES[letter])
            position += 2
        else:
            length = _HEX_ESCAPES.get(letter, 0)
            parts.append(_code_point(quoted[position + 2 : min(position + 2 + length, end)], length, at + position))
            position += 2 + length
    return "".join(parts)


def _code_point(digits: str, length: int, at: int) -> str:
    if length and len(digits) == length and _HEX.issuperset(digits):
        value = int(digits, 16)
        if value <= 0x10FFFF and not 0xD800 <= value <= 0xDFFF:  # noqa: PLR2004  the bounds of Unicode scalar values
            return chr(value)
    raise ConditionError(
        "A backslash in a string begins no known escape.",
        offset=at,
        next_move=r"The escapes are \\ \" \' \n \r \t \uXXXX and \UXXXXXXXX.",
    )
