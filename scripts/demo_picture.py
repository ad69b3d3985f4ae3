"""`python -m examples.returns_desk | python -m scripts.demo_picture`: draw docs/images/demo.svg, the README's picture.

The picture is a part of what the demo printed, line by line: the weak model and the hostile agent.  A test fails while
the demo decides something else than the picture shows.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from html import escape, unescape
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

from examples.returns_desk.screen import WIDTH, WORDS

PICTURE: Final = Path(__file__).parent.parent / "docs" / "images" / "demo.svg"
_BEGINS, _ENDS = "2  A weak model", "4  Evidence"
_PROGRESS: Final = re.compile(r"\s+\d+/\d+ ")
_COLUMN_PX, _LINE_PX, _MARGIN_PX = 8.4, 19, 16
_COLOURS: Final = {"\x1b[31m": "#ff7b72", "\x1b[32m": "#7ee787", "\x1b[33m": "#e3b341"}
_DECISION: Final = re.compile(rf"(?<= )({'|'.join(WORDS)})(?= )")
_DRAWN: Final = re.compile(r'<text [^>]*y="(\d+)"[^>]*>(.*?)</text>')


def shown(transcript: Sequence[str]) -> list[str]:
    """The lines of a transcript that the picture shows."""
    begin = next(at for at, line in enumerate(transcript) if line.startswith(_BEGINS))
    end = next(at for at, line in enumerate(transcript) if line.startswith(_ENDS))
    return [line for line in transcript[begin:end] if not _PROGRESS.match(line)]


def drawn(lines: Sequence[str]) -> str:
    """The lines as SVG, the decision words in their colours."""
    while lines and not lines[-1]:
        lines = lines[:-1]
    width, height = round(WIDTH * _COLUMN_PX) + 2 * _MARGIN_PX, len(lines) * _LINE_PX + 2 * _MARGIN_PX
    size = f'width="{width}" height="{height}"'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}" role="img">',
            f'<rect {size} rx="8" fill="#0d1117"/>',
            '<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="14">',
            *_texts(lines),
            "</g>",
            "</svg>",
            "",
        )
    )


def lines_of(picture: str) -> list[str]:
    """The lines that a picture shows."""
    drawn = groupby(_DRAWN.findall(picture), key=itemgetter(0))
    return ["".join(unescape(piece) for _, piece in pieces) for _, pieces in drawn]


def _texts(lines: Sequence[str]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        column = 0
        for piece in filter(None, _DECISION.split(line)):
            place = f'x="{_MARGIN_PX + column * _COLUMN_PX:.1f}" y="{_MARGIN_PX + number * _LINE_PX - 5}"'
            # A reader's own font has letters of another width: the length keeps the columns where they are.
            length = f'textLength="{len(piece) * _COLUMN_PX:.1f}" lengthAdjust="spacingAndGlyphs"'
            fill = f'fill="{_COLOURS[WORDS[piece]]}" font-weight="bold"' if piece in WORDS else 'fill="#e6edf3"'
            yield f'<text {place} {length} {fill} xml:space="preserve">{escape(piece, quote=False)}</text>'
            column += len(piece)


if __name__ == "__main__":
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(drawn(shown(sys.stdin.read().splitlines())), encoding="utf-8")
