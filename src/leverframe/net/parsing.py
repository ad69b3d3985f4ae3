"""An HTTP/1.1 answer read as it arrives: each piece of its body is given on at once.

Knows: how far an answer has come.  Never: guesses where it ends (`net.http1` has the letter of it), keeps a body, or
looks twice at more than a line.
Property, kept by tests/property/test_net_parsing.py: however an answer is cut into pieces, head, body and end are the
same, and the same as `net.http1.read_answer` finds.
"""

import re
from typing import Final

from leverframe.net.http1 import (
    MAX_HEAD_BYTES,
    MAX_INTERIM,
    Ending,
    Garbled,
    Head,
    body_ending,
    check_encoding,
    chunk_size,
    parse_head,
)

_MAX_LINE_BYTES: Final = 1024  # of a chunk's size with its extensions
_CRLF: Final = 2
_BLANK_LINE: Final = re.compile(rb"\r\n\r\n|\n\n")


class AnswerParser:
    """Reads one answer."""

    __slots__ = (
        "_ending",
        "_interim",
        "_left",
        "_max_bytes",
        "_rest",
        "_size",
        "_trailer",
        "head",
        "is_done",
        "surplus",
    )

    def __init__(self, max_body_bytes: int) -> None:
        self.head: Head | None = None
        self.is_done = False
        self.surplus = False  # more arrived than belongs to this answer
        self._max_bytes = max_body_bytes
        self._ending: int | Ending = 0
        self._rest = b""
        self._left = 0  # bytes of the body, or of the chunk and its line end, to come
        self._size = 0  # bytes of the body so far
        self._interim = 0
        self._trailer = -1  # bytes of the trailer so far; -1 before it

    @property
    def is_reusable(self) -> bool:
        """Whether the connection can carry another answer."""
        told = self._ending is not Ending.BY_CLOSING
        return self.is_done and told and not self.surplus and self.head is not None and self.head.is_kept

    def feed(self, data: bytes) -> bytes:
        """Take what arrived; gives the bytes of the body in it.

        Raises:
            Garbled: it is no answer, or is larger than allowed.
        """
        if self._rest:
            data, self._rest = self._rest + data, b""
        if self.head is None:
            data = self._take_head(data)
            if self.head is None:
                return b""
        if self.is_done:
            self.surplus = self.surplus or bool(data)
            return b""
        if self._ending is Ending.CHUNKED:
            return self._take_chunks(data)
        if self._ending is Ending.BY_CLOSING:
            self._grow(len(data))
            return data
        if len(data) >= self._left:
            self.is_done, self.surplus = True, len(data) > self._left
            return data[: self._left]
        self._left -= len(data)
        return data

    def end(self) -> None:
        """The peer closes.

        Raises:
            Garbled: that is in the middle of an answer.
        """
        if self.head is not None and self._ending is Ending.BY_CLOSING:
            self.is_done = True
        if not self.is_done:
            raise Garbled("it breaks off")

    def _take_head(self, data: bytes) -> bytes:
        """Read heads until one is final; gives what stands behind it."""
        while True:
            blank = _BLANK_LINE.search(data)
            end = blank.end() if blank is not None else len(data)
            if end > MAX_HEAD_BYTES:
                raise Garbled(f"its head has more than {MAX_HEAD_BYTES:,} bytes")
            if blank is None:
                self._rest = data
                return b""
            head = parse_head(data[:end])
            data = data[end:]
            if head.status // 100 != 1:
                break
            self._interim += 1
            if self._interim >= MAX_INTERIM:
                raise Garbled(f"it begins with {MAX_INTERIM} interim answers")
        check_encoding(head)
        self._ending = body_ending(head, self._max_bytes)
        self.head = head
        if isinstance(self._ending, int):
            self._left = self._ending
            self.is_done = not self._left
        return data

    def _take_chunks(self, data: bytes) -> bytes:
        pieces = []
        position = 0
        while True:
            if self._left > _CRLF:
                taken = data[position : position + self._left - _CRLF]
                position += len(taken)
                self._left -= len(taken)
                pieces.append(taken)
                if self._left > _CRLF:
                    break
            if self._left:
                if len(data) - position < _CRLF:
                    break
                if data[position : position + _CRLF] != b"\r\n":
                    raise Garbled("one of its chunks does not end where it says")
                position += _CRLF
                self._left = 0
            end = data.find(b"\n", position) + 1
            if not end:
                break
            line = data[position:end]
            position = end
            if self._take_line(line):
                self.is_done = True
                self.surplus = position < len(data)
                return b"".join(pieces)
        self._rest = data[position:] if position else data
        if len(self._rest) > _MAX_LINE_BYTES:
            raise Garbled("one of its lines is too long")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take_line(self, line: bytes) -> bool:
        """A line between chunks or of the trailer; True for the last one."""
        if len(line) > _MAX_LINE_BYTES:
            raise Garbled("one of its lines is too long")
        if self._trailer >= 0:
            self._trailer += len(line)
            if self._trailer > MAX_HEAD_BYTES:
                raise Garbled("its trailer is too long")
            return line == b"\r\n"
        size = chunk_size(line)
        self._grow(size)
        if size:
            self._left = size + _CRLF
        else:
            self._trailer = 0
        return False

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._max_bytes:
            raise Garbled(f"its body has more than {self._max_bytes:,} bytes")
