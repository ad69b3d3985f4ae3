"""One request and its answer, as an ASGI application sees them.

Knows: that the head of an answer leaves with the first of its body, since each write is a packet, a system call and a
wake-up of the client; and that what an application says of an answer's length has to be so.
Never: keeps the head of a stream for longer than one turn of the loop.  Source: the ASGI specification, version 3.
"""

import asyncio
import logging
from collections.abc import MutableSet
from contextvars import Context
from http import HTTPStatus
from typing import Final, Protocol

from leverframe.gateway.asgi_types import App, Message, Scope
from leverframe.gateway.exchange import WHOLE_BODY

_LOG: Final = logging.getLogger("uvicorn.error")
_STATUS: Final = {one.value: f"HTTP/1.1 {one.value} {one.phrase}\r\n".encode() for one in HTTPStatus}
_WITHOUT_BODY: Final = frozenset({204, 304})
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_FAILED_HEAD: Final = (
    b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
    b"content-length: 21\r\n\r\n"
)
_FAILED: Final = _FAILED_HEAD + b"Internal Server Error"
_UNTIL_CLOSED: Final = -1


class Client(Protocol):
    """The connection of an exchange, as far as it needs one."""

    loop: asyncio.AbstractEventLoop
    is_full: bool  # it takes no more for now

    def read_on(self) -> None:
        """What was kept of a body has been taken."""

    async def writable(self) -> None:
        """Wait until the client has caught up, or is gone."""

    def answered(self, exchange: "Exchange") -> None:
        """The exchange is over."""


class Exchange:
    """One exchange; `keeps_alive`: another may follow on its connection."""

    __slots__ = (
        "_client",
        "_expects_continue",
        "_head",
        "_is_chunked",
        "_is_gone",
        "_is_told",
        "_left",
        "_moved",
        "_pieces",
        "_scope",
        "_size",
        "_task",
        "_transport",
        "is_begun",
        "is_over",
        "is_whole",
        "keeps_alive",
    )

    def __init__(
        self, client: Client, transport: asyncio.Transport, scope: Scope, *, keeps_alive: bool, expects_continue: bool
    ) -> None:
        self.keeps_alive = keeps_alive
        self.is_begun = False
        self.is_whole = False  # all of the request is here
        self.is_over = False  # all of the answer is out
        self._client = client
        self._transport = transport
        self._scope = scope
        self._expects_continue = expects_continue
        self._is_told = False  # the application knows that it is whole
        self._is_gone = False
        self._pieces: list[bytes] = []
        self._size = 0
        self._moved: asyncio.Event | None = None
        self._head: bytes | None = None  # of the answer, while it waits; empty once it has left
        self._is_chunked = False
        self._left = 0  # bytes of the answer's body that are still to come
        self._task: asyncio.Task[None] | None = None

    # Of the connection.

    def begin(self, app: App, tasks: MutableSet["asyncio.Task[None]"]) -> None:
        """Have the application answer."""
        self.is_begun = True
        if self.is_whole:
            self._scope[WHOLE_BODY] = self._joined()
        # Of whoever asked before it on this connection, and may have set off this one, it knows nothing.
        self._task = self._client.loop.create_task(self._run(app, tasks), context=Context())
        tasks.add(self._task)

    def add(self, piece: bytes) -> int:
        """A piece of the request's body; how many bytes wait to be asked for."""
        if self.is_over:
            return 0
        self._pieces.append(piece)
        self._size += len(piece)
        self._wake()
        return self._size

    def end_body(self) -> None:
        """The request is whole."""
        self.is_whole = True
        self._wake()

    @property
    def is_out(self) -> bool:
        """Whether the client has seen any of the answer."""
        return self._head == b""

    def lose(self) -> None:
        """The client has gone away."""
        self._is_gone = True
        self._wake()

    # Of the application.

    async def receive(self) -> Message:
        """What there is of the request's body, or that nobody waits for the answer any more."""
        if self._expects_continue:
            self._expects_continue = False
            if not (self._is_gone or self.is_whole or self._head is not None):
                self._transport.write(_CONTINUE)
        while not (self._is_gone or self.is_over):
            if self._pieces or (self.is_whole and not self._is_told):
                body = self._joined()
                self._pieces, self._size, self._is_told = [], 0, self.is_whole
                self._client.read_on()
                return {"type": "http.request", "body": body, "more_body": not self.is_whole}
            self._client.read_on()
            if self._moved is None:
                self._moved = asyncio.Event()
            self._moved.clear()
            await self._moved.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """The next of the answer; of a client that has gone away nothing is said."""
        if self._client.is_full:
            await self._client.writable()
        if self._is_gone:
            return
        if self._head is None:
            self._head = self._laid_out(message)
            if self._is_chunked or self._left == _UNTIL_CLOSED:
                self._client.loop.call_soon(self._flush)
        elif self.is_over or message["type"] != "http.response.body":
            raise RuntimeError(f"{message['type']} cannot be sent here: the answer has begun, or is over.")
        else:
            self._send_body(message.get("body", b""), is_last=not message.get("more_body", False))

    def _laid_out(self, message: Message) -> bytes:
        """The head of the answer."""
        if message["type"] != "http.response.start":
            raise RuntimeError(f"An answer begins with http.response.start, and not with {message['type']}.")
        status, length = message["status"], _UNTIL_CLOSED
        parts = [_STATUS.get(status) or b"HTTP/1.1 %d \r\n" % status]
        lines = 2
        for given, value in message.get("headers", ()):
            name = given.lower()
            if name == b"content-length":
                length = int(value)
            elif name == b"connection":
                self.keeps_alive = self.keeps_alive and b"close" not in value.lower()
                continue
            elif name == b"transfer-encoding":
                continue
            parts += (name, b": ", value, b"\r\n")
            lines += 1
        if status in _WITHOUT_BODY or self._scope["method"] == "HEAD":
            length = max(0, length) if self._scope["method"] == "HEAD" else 0
        elif length == _UNTIL_CLOSED and self._scope["http_version"] != "1.0":
            self._is_chunked = True
            parts.append(b"transfer-encoding: chunked\r\n")
            lines += 1
        self._left = length
        if not self.keeps_alive:
            parts.append(b"connection: close\r\n")
            lines += 1
        parts.append(b"\r\n")
        head = b"".join(parts)
        # A value with a line's end in it would be read as a header of its own, or as the body.
        if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
            raise RuntimeError("A header of the answer holds a line's end.")
        return head

    def _send_body(self, body: bytes, *, is_last: bool) -> None:
        if self._is_chunked:
            data = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            data += b"0\r\n\r\n" if is_last else b""
        elif self._scope["method"] == "HEAD":
            data = b""
        else:
            data = body
            if self._left != _UNTIL_CLOSED:
                left = self._left - len(body)
                if left < 0 or (is_last and left):
                    raise RuntimeError("The answer's body has another length than its content-length says.")
                self._left = left
        self.is_over = is_last
        head, self._head = self._head or b"", b""
        if head or data:
            self._transport.write(head + data)
        if is_last:
            self._wake()
            self._client.answered(self)

    def _flush(self) -> None:
        """The head of a stream waits for nothing."""
        if self._head and not self._is_gone:
            self._transport.write(self._head)
            self._head = b""

    async def _run(self, app: App, tasks: MutableSet["asyncio.Task[None]"]) -> None:
        try:
            await app(self._scope, self.receive, self.send)
        except Exception:  # noqa: BLE001  whatever an application does, its client is answered and the others are served
            _LOG.exception("A request ended in an error that nobody expected.")
        finally:
            if self._task is not None:
                tasks.discard(self._task)
            if not (self.is_over or self._is_gone):
                self._fail()

    def _fail(self) -> None:
        """There will be no answer, or no more of it."""
        self.is_over, self.keeps_alive = True, False
        if self._head is None or self._head:
            self._transport.write(_FAILED_HEAD if self._scope["method"] == "HEAD" else _FAILED)
        self._transport.close()

    def _joined(self) -> bytes:
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def _wake(self) -> None:
        if self._moved is not None:
            self._moved.set()
