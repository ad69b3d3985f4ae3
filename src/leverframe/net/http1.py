"""HTTP/1.1 as it stands on the wire.

Knows: how a request is written and an answer read, by the letter, and with a limit on every part.
Never: guesses where an answer ends: two lengths, a bad chunk or a compressed answer nobody asked for is garbled.
Source: RFC 9112.
"""

import re
from asyncio import IncompleteReadError, LimitOverrunError, StreamReader
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from leverframe.net.exchange import HttpAnswer, HttpRequest

MAX_HEAD_BYTES: Final = 64 << 10
MAX_INTERIM: Final = 10
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ERRORS: Final = 400  # and above
_NO_BODY: Final = frozenset({204, 304})
_OWN_HEADERS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})


class Garbled(Exception):
    """What arrived is not an HTTP/1.1 answer within our limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An answer, and whether the connection can carry another one."""

    answer: HttpAnswer
    is_reusable: bool


def request_bytes(request: HttpRequest) -> bytes:
    """The request as it is sent.

    Raises:
        ValueError: the method or a header would change the meaning of the message; the text names no value.
    """
    if not _TOKEN.fullmatch(request.method):
        raise ValueError("the method is not a token")
    lines = [
        f"{request.method} {request.url.path} HTTP/1.1",
        f"Host: {request.url.authority}",
        "Accept-Encoding: identity",
        f"Content-Length: {len(request.body)}",
    ]
    for name, value in request.headers.items():
        if not _TOKEN.fullmatch(name) or name.lower() in _OWN_HEADERS:
            raise ValueError(f"the header {name!r} cannot be set")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"the value of the header {name!r} has a character that no header has")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + request.body


async def read_answer(reader: StreamReader, first: bytes, max_body_bytes: int) -> Received:
    """Read one answer; `first` is what has been read of it already.

    Raises:
        Garbled: it is not one, or is larger than allowed.
    """
    try:
        return await _read_answer(reader, first, max_body_bytes)
    except IncompleteReadError as err:
        raise Garbled("it breaks off") from err
    except LimitOverrunError as err:
        raise Garbled("one of its lines is too long") from err


async def _read_answer(reader: StreamReader, first: bytes, max_body_bytes: int) -> Received:
    for _ in range(MAX_INTERIM):
        head = await _read_head(reader, first)
        first = b""
        if head.status // 100 != 1:
            break
    else:
        raise Garbled(f"it begins with {MAX_INTERIM} interim answers")
    body, is_delimited = await _read_body(reader, head, max_body_bytes)
    check_encoding(head)
    answer = HttpAnswer(status=head.status, headers=head.headers, body=body)
    return Received(answer=answer, is_reusable=is_delimited and head.is_kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Status and headers; names in lower case, equal ones joined by a comma."""

    minor: int
    status: int
    headers: dict[str, str]

    @property
    def is_kept(self) -> bool:
        """Whether the peer keeps the connection open."""
        said = self.headers.get("connection")
        if said is None:
            return self.minor == 1
        tokens = {token.strip().lower() for token in said.split(",")}
        return "close" not in tokens if self.minor else "keep-alive" in tokens


class Ending(Enum):
    """How the end of a body is told, where it is not told by a length."""

    CHUNKED = auto()
    BY_CLOSING = auto()


def check_encoding(head: Head) -> None:
    """Refuse a body that must be unpacked: what unpacks to how much is for the sender to choose.

    That of an error is taken as it is, since its status says more than nothing: nobody unpacks it.

    Raises:
        Garbled: it is encoded.
    """
    encoding = head.headers.get("content-encoding") if head.status < _ERRORS else None
    if encoding is not None and encoding.lower() not in {"identity", ""}:
        raise Garbled(f"it is encoded as {encoding[:20]!r}, which was not asked for")


def body_ending(head: Head, max_body_bytes: int) -> int | Ending:
    """The length of the body in bytes, or how else its end is told.

    Raises:
        Garbled: it is told in two ways or in a strange one, or the body is too large.
    """
    if head.status in _NO_BODY:
        return 0
    coding, length = head.headers.get("transfer-encoding"), head.headers.get("content-length")
    if coding is not None:
        if length is not None or coding.lower() != "chunked" or not head.minor:
            raise Garbled("it says in two ways, or in a strange one, where its body ends")
        return Ending.CHUNKED
    if length is None:
        return Ending.BY_CLOSING
    # Equal lengths said twice are joined by a comma, and refused like different ones.
    if not (length.isascii() and length.isdigit()) or len(length) > len(str(1 << 62)):
        raise Garbled("its Content-Length is no number")
    if int(length) > max_body_bytes:
        raise Garbled(f"its body has {int(length):,} bytes, at most {max_body_bytes:,} are taken")
    return int(length)


def chunk_size(line: bytes) -> int:
    """The size that a chunk begins with; `line` has its line end.

    Raises:
        Garbled: it is no size.
    """
    match = _CHUNK_SIZE.fullmatch(line)
    if match is None:
        raise Garbled("one of its chunks has no size")
    return int(match[1], 16)


async def _read_head(reader: StreamReader, first: bytes) -> Head:
    data = first + await reader.readuntil(b"\n")
    while not data.endswith((b"\r\n\r\n", b"\n\n")):
        data += await reader.readuntil(b"\n")
        if len(data) > MAX_HEAD_BYTES:
            raise Garbled(f"its head has more than {MAX_HEAD_BYTES:,} bytes")
    return parse_head(data)


def parse_head(data: bytes) -> Head:
    """Read a head, the blank line included.

    Raises:
        Garbled: it is not one.
    """
    lines = data.replace(b"\r\n", b"\n").split(b"\n")
    status = _STATUS_LINE.fullmatch(lines[0])
    if status is None:
        raise Garbled("it does not begin with a status line of HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines[1:-2]:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise Garbled("it has a line in its head that is no header")
        name, value = header[1].decode("ascii").lower(), header[2].decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Head(minor=int(status[1]), status=int(status[2]), headers=headers)


async def _read_body(reader: StreamReader, head: Head, max_bytes: int) -> tuple[bytes, bool]:
    """The body, and whether its end was told by its length."""
    ending = body_ending(head, max_bytes)
    if ending is Ending.CHUNKED:
        return await _read_chunks(reader, max_bytes), True
    if isinstance(ending, int):
        return (await reader.readexactly(ending) if ending else b""), True
    body = bytearray()
    while piece := await reader.read(1 << 16):
        body += piece
        _check_size(len(body), max_bytes)
    return bytes(body), False


async def _read_chunks(reader: StreamReader, max_bytes: int) -> bytes:
    body = bytearray()
    while True:
        size = chunk_size(await reader.readuntil(b"\n"))
        _check_size(len(body) + size, max_bytes)
        if size == 0:
            break
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise Garbled("one of its chunks does not end where it says")
    trailer_bytes = 0
    while (line := await reader.readuntil(b"\n")) != b"\r\n":
        trailer_bytes += len(line)
        if trailer_bytes > MAX_HEAD_BYTES:
            raise Garbled("its trailer is too long")
    return bytes(body)


def _check_size(size_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise Garbled(f"its body has more than {max_bytes:,} bytes")
