"""Characters that show nothing, and letters that are written in other ways.

Source: Unicode Standard 15, chapters 23 and 3.11 (NFKC); UAX 9 for the bidirectional controls.
"""

import unicodedata
from collections.abc import Callable
from typing import Final

import re2

from leverframe.core.hidden_text import PILED_UP
from leverframe.core.hygiene.removals import Removed, RemovedKind, removed

_CLASSES: Final = (
    (RemovedKind.TAG_CHARACTER, r"[\x{E0000}-\x{E007F}]+"),
    (RemovedKind.VARIATION_SELECTOR, r"[\x{E0100}-\x{E01EF}]+"),
    (RemovedKind.BIDI_CONTROL, r"[\x{061C}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2066}-\x{2069}]+"),
    (
        RemovedKind.ZERO_WIDTH,
        (
            r"[\x{00AD}\x{034F}\x{115F}\x{1160}\x{17B4}\x{17B5}\x{180B}-\x{180F}\x{200B}\x{2060}-\x{2065}"
            r"\x{206A}-\x{206F}\x{3164}\x{FEFF}\x{FFA0}\x{FFF9}-\x{FFFB}\x{1BCA0}-\x{1BCA3}"
            r"\x{1D173}-\x{1D17A}]+"
        ),
    ),
    (RemovedKind.CONTROL, r"[\x{00}-\x{08}\x{0B}\x{0C}\x{0E}-\x{1F}\x{7F}-\x{9F}]+"),
)
_PATTERNS: Final = tuple((kind, re2.compile(pattern)) for kind, pattern in _CLASSES)
_ANY: Final = re2.compile("|".join(pattern for _, pattern in _CLASSES))
# A joiner shapes letters and emoji in honest text; among ASCII letters it only splits a word for the machine.
_JOINER: Final = re2.compile(r"[\x{200C}\x{200D}]+")
_JOINS_FROM: Final = 0x0600
_MAX_PIECE: Final = 32
_VARIES: Final = re2.compile(r"[\x{FE00}-\x{FE0F}]{2,}")


def strip_invisible(text: str, found: list[Removed]) -> str:
    """Take out what no font shows."""
    if text.isascii() and text.isprintable():
        return text
    if _ANY.search(text):
        for kind, pattern in _PATTERNS:
            text = _without(text, pattern, kind, found)
    text = _without(text, _JOINER, RemovedKind.ZERO_WIDTH, found, is_kept=_joins)
    # One selector chooses a glyph; a row of them chooses nothing and can spell bytes.
    return _without(text, _VARIES, RemovedKind.VARIATION_SELECTOR, found)


def normalise(text: str, found: list[Removed]) -> str:
    """NFKC, of every piece that it does not lengthen: `ﬁ` stays, since two letters in its place would be added."""
    if text.isascii():
        return text
    if not PILED_UP.search(text) and unicodedata.normalize("NFKC", text) == text:
        return text
    out: list[str] = []
    for piece in _pieces(text):
        form = piece if len(piece) > _MAX_PIECE else unicodedata.normalize("NFKC", piece)
        if form == piece or len(form) > len(piece):
            out.append(piece)
            continue
        if unicodedata.normalize("NFC", piece) != form:
            found.append(removed(RemovedKind.COMPATIBILITY, piece, form))
        out.append(form)
    return "".join(out)


def _pieces(text: str) -> list[str]:
    """Each letter with the marks upon it; Hangul jamo stay together, since they compose."""
    pieces: list[str] = []
    at = 0
    for place, char in enumerate(text):
        if place and not (unicodedata.combining(char) or _is_trailing_jamo(char)):
            pieces.append(text[at:place])
            at = place
    pieces.append(text[at:])
    return pieces


def _is_trailing_jamo(char: str) -> bool:
    return "\u1161" <= char <= "\u11ff"


# Any: re2 has no types of its own for matches and patterns.
def _without(
    text: str,
    pattern: "re2._Regexp",
    kind: RemovedKind,
    found: list[Removed],
    is_kept: Callable[[str, int, int], bool] = lambda _text, _start, _end: False,
) -> str:
    out: list[str] = []
    at = 0
    for match in pattern.finditer(text):
        if is_kept(text, match.start(), match.end()):
            continue
        found.append(removed(kind, match.group()))
        out.append(text[at : match.start()])
        at = match.end()
    return text if at == 0 and not out else "".join([*out, text[at:]])


def _joins(text: str, start: int, end: int) -> bool:
    """A single joiner between two characters of a script, or of emoji, that is shaped by it."""
    if end - start != 1 or start == 0 or end == len(text):
        return False
    return ord(text[start - 1]) >= _JOINS_FROM and ord(text[end]) >= _JOINS_FROM
