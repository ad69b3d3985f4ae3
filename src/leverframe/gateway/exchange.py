"""One HTTP exchange over raw ASGI: a bounded body in, whole answers out.

Knows: that nobody may send a body for ever, larger than 50 MB or slower than a piece in 20 s, and that a client which
went away is told nothing.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from leverframe.domain.errors import WireRefused
from leverframe.gateway.asgi_types import Message, Receive, Scope, Send

MAX_BODY_BYTES: Final = 50_000_000
# Where a scope holds the body, if all of it was there when the request was begun to be answered.
WHOLE_BODY: Final = "leverframe.body"
_PIECE_S: Final = 20.0
_BODY_S: Final = 300.0

Headers = Iterable[tuple[bytes, bytes]]
JSON: Final = (b"content-type", b"application/json")
PROBLEM: Final = (b"content-type", b"application/problem+json")


class ClientGoneError(Exception):
    """The client went away before it had said what it wanted."""


def headers_of(scope: Scope) -> dict[str, str]:
    """Header names in lower case; of one that stands twice the last."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def read_body(scope: Scope, receive: Receive, headers: Mapping[str, str]) -> bytes:
    """The whole body.

    Raises:
        WireRefused: it is larger than `MAX_BODY_BYTES`, comes too slowly, or is compressed.
        ClientGoneError: it never comes.
    """
    body = await _read(scope, receive, headers)
    encoding = headers.get("content-encoding", "identity").strip().lower()
    # Only now: a connection whose body was left unread could not be used again.
    if encoding not in {"", "identity"}:
        raise WireRefused(
            f"The body is sent with content-encoding {encoding[:40]!r}, and only plain ones are read here.",
            next_move="Send it uncompressed.",
            code="content_encoding",
            status=415,
        )
    return body


async def _read(scope: Scope, receive: Receive, headers: Mapping[str, str]) -> bytes:
    length = headers.get("content-length", "")
    if length.isdigit() and int(length) > MAX_BODY_BYTES:
        raise _too_large()
    whole: bytes | None = scope.get(WHOLE_BODY)
    if whole is not None:
        return whole
    try:
        message = await _next(receive)
        first: bytes = message.get("body", b"")
        # Most bodies are here with the head; one clock is enough for those.
        return first if not message.get("more_body") else await _rest(receive, first)
    except TimeoutError as err:
        raise WireRefused(
            f"The body stopped for {_PIECE_S:.0f} s, or did not end within {_BODY_S:.0f} s.",
            next_move="Send it again, without pauses.",
            code="too_slow",
            status=408,
        ) from err


async def _rest(receive: Receive, first: bytes) -> bytes:
    pieces, size = [first], len(first)
    async with asyncio.timeout(_BODY_S):
        while True:
            message = await _next(receive)
            piece: bytes = message.get("body", b"")
            pieces.append(piece)
            size += len(piece)
            if size > MAX_BODY_BYTES:
                raise _too_large()
            if not message.get("more_body"):
                return b"".join(pieces)


async def answer(send: Send, status: int, body: bytes, headers: Headers = (JSON,)) -> None:
    """Send a whole answer."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def _next(receive: Receive) -> Message:
    async with asyncio.timeout(_PIECE_S):
        message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    return message


def _too_large() -> WireRefused:
    return WireRefused(
        f"The body is larger than {MAX_BODY_BYTES:,} bytes.",
        next_move="Send less in one call.",
        code="too_large",
        status=413,
    )
