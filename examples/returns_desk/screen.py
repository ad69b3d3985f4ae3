"""How the demo prints: at most 100 columns, each line when its thing happens, colour on the decision word alone.

A pipe gets the same words without colour, in ASCII, and a plain line now and then in place of the bar.
Never: computes anything that it prints.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Self, TextIO

WIDTH: Final = 100
_BAR_CELLS: Final = 40
_PLAIN_PROGRESS_LINES: Final = 4
_LABEL_COLUMNS: Final = 45
_WORD_COLUMNS: Final = 9
_REASON_COLUMNS: Final = 20

_RED, _GREEN, _YELLOW, _RESET = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"
WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {"DENIED": _RED, "HELD": _YELLOW, "RAN": _GREEN, "STOPPED": _YELLOW, "OK": _GREEN, "BROKEN": _RED}
)
# Longer in ASCII, so it is written out before a line is measured.
_IN_ASCII: Final = str.maketrans(
    {"\u2026": "...", "\u2588": "#", "\u2591": ".", "\u00b7": "-", "\u2013": "-", "\u2019": "'"}
)


class Screen:
    """One transcript.  `is_terminal`: a bar that is drawn over itself and colour; else plain ASCII lines."""

    def __init__(self, out: TextIO, *, is_terminal: bool, has_colour: bool) -> None:
        self._out = out
        self._is_terminal = is_terminal
        self._has_colour = has_colour and is_terminal
        self._is_bar_open = False

    @classmethod
    def on(cls, out: TextIO, environment: Mapping[str, str] = os.environ) -> Self:
        """The screen for a stream: a terminal only where it can draw UTF-8 and is not said to be dumb."""
        speaks_utf8 = (out.encoding or "").lower().replace("-", "") == "utf8"
        is_terminal = out.isatty() and speaks_utf8 and environment.get("TERM") != "dumb"
        return cls(out, is_terminal=is_terminal, has_colour=not environment.get("NO_COLOR"))

    def line(self, text: str = "", *, indent: int = 0) -> None:
        """Print one line now; what does not fit is cut, and says so."""
        self._write_line(self._fit(" " * indent + text))

    def command(self, label: str, command: str) -> None:
        """Print a command to be pasted: never cut, however long its paths are."""
        self._write_line(f"{label:<11}{command}")

    def decided(
        self,
        label: str,
        word: str,
        reason: str,
        place: str = "",
        *,
        indent: int = 3,
        label_columns: int = _LABEL_COLUMNS,
    ) -> None:
        """Print what was asked, the decision word, why, and the file and line of the rule."""
        inner = label_columns - max(0, indent - 3)
        text = self._fit(
            f"{' ' * indent}{label:<{inner}}{word:<{_WORD_COLUMNS}}{reason:<{_REASON_COLUMNS}}{place}".rstrip()
        )
        self._write_line(self._coloured(text, word))

    def progress(self, done: int, total: int, tail: str) -> None:
        """Show how far a long part is.  On a terminal one line, drawn over; elsewhere a line at each quarter."""
        if self._is_terminal:
            full = _BAR_CELLS * done // total
            text = self._fit(f"   {'█' * full}{'░' * (_BAR_CELLS - full)}  {done}/{total}   {tail}")
            self._out.write(f"\r{text}\x1b[K")
            self._out.flush()
            self._is_bar_open = done < total
            if not self._is_bar_open:
                self._out.write("\n")
        elif done == total or done * _PLAIN_PROGRESS_LINES // total > (done - 1) * _PLAIN_PROGRESS_LINES // total:
            self.line(f"{done}/{total}   {tail}", indent=3)

    def _fit(self, text: str) -> str:
        plain = text if self._is_terminal else text.translate(_IN_ASCII).encode("ascii", "replace").decode("ascii")
        if len(plain) <= WIDTH:
            return plain
        end = "…" if self._is_terminal else "..."
        return plain[: WIDTH - len(end)] + end

    def _coloured(self, text: str, word: str) -> str:
        # The last one: a label may hold the word too.
        at = text.rfind(word)
        if not self._has_colour or at < 0:
            return text
        return f"{text[:at]}{WORDS.get(word, '')}{word}{_RESET}{text[at + len(word) :]}"

    def _write_line(self, text: str) -> None:
        if self._is_bar_open:
            self._out.write("\n")
            self._is_bar_open = False
        self._out.write(f"{text}\n")
        self._out.flush()
