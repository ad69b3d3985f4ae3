"""Server-sent events, cut into frames however the bytes arrive.

Knows: where a frame ends, by the letter of the format: a blank line, with any of the three line ends.
Never: holds more than one unfinished frame, of at most `MAX_FRAME_BYTES`.
Source: WHATWG HTML, section 9.2.  Property, kept by tests/property/test_wire_frames.py: however a stream is cut into
pieces, the frames are the same and their bytes together are the stream.
"""

import re
from typing import Final

from leverframe.domain.errors import WireRefused

MAX_FRAME_BYTES: Final = 4 << 20
_END: Final = rb"(?:\r\n|\r(?!\n)|\n)"
_BLANK_LINE: Final = re.compile(_END + _END)
_LINE: Final = re.compile(rb"\r\n|\r|\n")
_LONGEST_END: Final = len(b"\r\n\r\n")
_BOM: Final = b"\xef\xbb\xbf"


class Frames:
    """Cuts one stream."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are whole now, each with the blank line that ends it.

        Raises:
            WireRefused: a frame has more than `MAX_FRAME_BYTES` bytes and no end.
        """
        # A blank line may have begun in what is kept, and nothing before that is looked at twice.
        seen = max(0, len(self._rest) - _LONGEST_END)
        if self._rest:
            data = self._rest + data
        if b"\r" in data:
            return self._with_returns(data, seen)
        frames = []
        start = 0
        while (end := data.find(b"\n\n", max(start, seen))) >= 0:
            end += 2
            frames.append(data[start:end] if start or end < len(data) else data)
            start = end
        self._keep(data[start:] if start else data)
        return frames

    def end(self) -> bytes:
        """What is left of a stream that has ended: half a frame, or one whose last blank line is missing."""
        rest, self._rest = self._rest, b""
        return rest

    def _with_returns(self, data: bytes, seen: int) -> list[bytes]:
        frames = []
        start = 0
        for match in _BLANK_LINE.finditer(data, seen):
            # A return that ends what has arrived may be half of a line end.
            if match.end() == len(data) and data.endswith(b"\r"):
                break
            frames.append(data[start : match.end()])
            start = match.end()
        self._keep(data[start:])
        return frames

    def _keep(self, rest: bytes) -> None:
        if len(rest) > MAX_FRAME_BYTES:
            raise WireRefused(
                f"The vendor sent a frame of more than {MAX_FRAME_BYTES:,} bytes.", code="too_large", status=502
            )
        self._rest = rest


def payload(frame: bytes) -> bytes:
    """The data of a frame; empty where it has none, as in a comment that keeps the connection awake."""
    # The common frame of one line; what ends in any other way, or at the end of its stream, is read by the letter.
    is_one_line = frame.startswith(b"data: ") and frame.endswith(b"\n\n") and frame.find(b"\n") == len(frame) - 2
    if is_one_line and b"\r" not in frame:
        return frame[6:-2]
    lines = _LINE.split(frame.removeprefix(_BOM))
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))


def apart(last: bytes) -> bytes:
    """What must stand between the last bytes of a stream and a frame that comes after them.

    Nothing behind a frame with its blank line; behind one that the end of its stream stands for, what ends it.
    """
    return b"" if not last or _BLANK_LINE.search(last, max(0, len(last) - _LONGEST_END)) else b"\n\n"


def value_of(frame: bytes, name: bytes) -> bytes:
    """The last value of a field of a frame, such as `id` or `retry`; empty where it has none."""
    lines = _LINE.split(frame.removeprefix(_BOM))
    begins = name + b":"
    found = [line[len(begins) :].removeprefix(b" ") for line in lines if line.startswith(begins)]
    return found[-1] if found else b""
