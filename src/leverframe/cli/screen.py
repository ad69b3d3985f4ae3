"""How this command line prints: lines and tables for people, JSON for programs, colour on decision words alone.

Knows: that whatever it prints may hold hostile text (a customer's words, a tool's answer), and so writes no character
that a terminal obeys or that reorders a line.  Never: computes what it prints.
"""

import os
import sys
import unicodedata
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TextIO

from leverframe.domain.json import Json

_RED, _GREEN, _YELLOW, _BOLD, _RESET = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[1m", "\x1b[0m"
_COLOURS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ALLOW": _GREEN,
        "HOLD": _YELLOW,
        "HELD": _YELLOW,
        "DENY": _RED,
        "DENIED": _RED,
        "GRANTED": _GREEN,
        "SUCCESS": _GREEN,
        "HANDOFF": _YELLOW,
        "STOPPED": _YELLOW,
        "FAILED": _RED,
        "UNKNOWN": _RED,
        "REFUSED": _RED,
        "READY": _GREEN,
        "NOT READY": _RED,
        "OK": _GREEN,
        "BROKEN": _RED,
        "ERROR": _RED,
        "WARNING": _YELLOW,
    }
)
_IN_ASCII: Final = str.maketrans({"…": "...", "·": "-", "→": "->", "≥": ">="})
_ESCAPED_BELOW, _BYTE_BELOW, _SHORT_BELOW = 0x20, 0x100, 0x10000
_NAMED: Final[Mapping[str, str]] = MappingProxyType({"\n": r"\n", "\t": r"\t", "\r": r"\r"})


@dataclass(frozen=True, slots=True)
class Word:
    """A decision word, printed in capitals and, on a terminal, in its colour."""

    text: str


Part = str | Word


def neutral(text: str) -> str:
    r"""Show what a terminal would obey as an escape: `\x1b`, `\u202e`, `\n`.  All else stays as it is.

    Everything that this command line prints goes through here, so a planted text can neither move the cursor, nor
    begin a line of its own, nor turn the order of what follows.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(char) if _is_obeyed(char) else char for char in text)


def neutral_json(text: str) -> str:
    r"""The same for JSON text: such characters stand inside its strings alone, where `\uXXXX` means the same."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_json_escape(char) if _is_obeyed(char) else char for char in text)


def _is_obeyed(char: str) -> bool:
    """Controls, bidi and zero-width characters, other line ends, and what this Unicode does not know yet; no spaces."""
    return not char.isprintable() and unicodedata.category(char) != "Zs"


def _escape(char: str) -> str:
    code = ord(char)
    if char in _NAMED:
        return _NAMED[char]
    if code < _BYTE_BELOW:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < _SHORT_BELOW else f"\\U{code:08x}"


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


class Screen:
    """Where one command prints.

    Args:
        out: for what was asked.
        err: for problems and for the progress of long work.
        is_json: one JSON document on `out` in place of lines.
        has_color: whether decision words are coloured.
    """

    def __init__(self, out: TextIO, err: TextIO, *, is_json: bool, has_color: bool) -> None:
        self._out = out
        self._err = err
        self.is_json = is_json
        self.has_color = has_color

    @classmethod
    def of(cls, args: Namespace, environment: Mapping[str, str] = os.environ) -> "Screen":
        """The screen that the words of the command line ask for."""
        allowed = not args.no_color and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
        out: TextIO = getattr(args, "standard_output", sys.stdout)
        return cls(out, sys.stderr, is_json=args.json, has_color=allowed and out.isatty())

    @property
    def is_terminal(self) -> bool:
        """Whether a person watches, so that progress may be drawn over itself."""
        return not self.is_json and self._err.isatty() and self._out.isatty()

    def line(self, *parts: Part) -> None:
        """Print one line, now: a line feed inside a part is shown, never obeyed."""
        self._out.write("".join(self._shown(part) for part in parts).rstrip() + "\n")
        self._out.flush()

    def lines(self, lines: Iterable[str]) -> None:
        """Print several."""
        for text in lines:
            self.line(text)

    def pairs(self, pairs: Iterable[tuple[str, str | tuple[Part, ...]]], *, indent: int = 0) -> None:
        """Print names and what they are, in two columns; a pair without text is left out."""
        shown = [(name, text if isinstance(text, tuple) else (text,)) for name, text in pairs if text]
        width = max((len(name) for name, _ in shown), default=0)
        for name, parts in shown:
            self.line(f"{'':<{indent}}{name:<{width}}  ", *parts)

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[Part]], *, indent: int = 0) -> None:
        """Print columns; the last one takes what it needs."""
        cells = [[_plain(part) for part in row] for row in (heads, *rows)]
        widths = [max(_columns(row[at]) for row in cells) for at in range(len(heads))]
        for row, texts in zip((heads, *rows), cells, strict=True):
            parts: list[Part] = [" " * indent]
            for part, text, width in zip(row, texts, widths, strict=True):
                parts += [part, " " * (width - _columns(text) + 2)]
            self.line(*parts)

    def document(self, value: Json) -> None:
        """Print a value as one line of JSON."""
        # 25 ms of libraries, which a command that prints no JSON does not need.
        from leverframe.core.canonical import encode

        self._out.write(neutral_json(encode(value).decode()) + "\n")
        self._out.flush()

    def verbatim(self, text: str) -> None:
        """Print a text of ours as it stands, line ends included."""
        self.lines(text.splitlines())

    def warn(self, *lines: str) -> None:
        """Print lines for whoever watches, beside what was asked."""
        for text in lines:
            self._err.write(self._encodable(neutral(text), self._err) + "\n")
        self._err.flush()

    def _shown(self, part: Part) -> str:
        if isinstance(part, str):
            return self._encodable(neutral(part), self._out)
        text = _plain(part)
        colour = _COLOURS.get(text, _BOLD) if self.has_color else ""
        return f"{colour}{text}{_RESET}" if colour else text

    def _encodable(self, text: str, stream: TextIO) -> str:
        """The text in ASCII where the stream cannot write more, such as under `LC_ALL=C`."""
        encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "")
        if encoding == "utf8" or text.isascii():
            return text
        return text.translate(_IN_ASCII).encode(encoding, "backslashreplace").decode(encoding)


def _plain(part: Part) -> str:
    return neutral(part) if isinstance(part, str) else neutral(part.text).upper()


def _columns(text: str) -> int:
    """How many cells of a terminal a text takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(char) in {"W", "F"} for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)
