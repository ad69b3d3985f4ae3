"""A pooled HTTP/1.1 client that gives an answer on as it arrives.

Knows: how to connect to the very address that the guard judged, and what an ending says about what was sent.
Never: follows a redirect, retries, reads a proxy variable, speaks plain HTTP to a public address, unpacks a body, or
lets a header or body into a message.  One timer watches all exchanges, since a timer for each would cost more than
reading it.  Sources: RFC 9112; `net.egress` for the guard.
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from leverframe.net.egress import EgressGuard, EgressRefused, Resolver, reason_of, refused_words
from leverframe.net.exchange import HttpLost, HttpRequest, Limits, StreamBroken
from leverframe.net.http1 import Garbled, Head, request_bytes
from leverframe.net.parsing import AnswerParser

_MAX_IDLE: Final = 64  # connections kept for each host
_MAX_IDLE_S: Final = 15.0
_TICK_S: Final = 0.05
_MAX_WAITING_BYTES: Final = 256 << 10
_RESUME_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class _Where:
    """What a connection is for; those opened under a permission serve no request without it."""

    scheme: str
    host: str
    port: int
    is_private_allowed: bool


class HttpStream:
    """One answer that has begun.

    `status` and `headers` (names in lower case) are there from the start.  Read it to its end or close it; closing
    drops a connection on which more would come.
    """

    __slots__ = (
        "_authority",
        "_connection",
        "_ended",
        "_head",
        "_lost",
        "_pieces",
        "_waiter",
        "_waiting_bytes",
        "began_at",
        "limits",
        "progress_at",
    )

    def __init__(self, authority: str, connection: "_Connection", limits: Limits, now: float) -> None:
        self.limits = limits
        self.began_at = now
        self.progress_at = now
        self._authority = authority
        self._connection: _Connection | None = connection
        self._head: Head | None = None
        self._ended = False
        self._lost: StreamBroken | None = None
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._waiter: asyncio.Future[None] | None = None

    @property
    def status(self) -> int:
        """The status code."""
        return self._head.status if self._head is not None else 0

    @property
    def headers(self) -> Mapping[str, str]:
        """All headers."""
        return self._head.headers if self._head is not None else {}

    async def read(self) -> bytes:
        """The next piece, as it came; empty at the proper end.

        Raises:
            StreamBroken: the peer breaks off, falls silent, or goes beyond the limits; what came before was read.
        """
        while not self._pieces:
            if self._lost is not None:
                raise self._lost
            if self._ended:
                return b""
            await self._change()
        piece = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._waiting_bytes = 0
        if self._connection is not None:
            self._connection.resume()
        return piece

    def close(self) -> None:
        """Let go of the connection.  Safe to call twice."""
        connection, self._connection = self._connection, None
        self._ended = True
        self._pieces.clear()
        if connection is not None:
            connection.abort()

    async def begun(self) -> HttpLost | None:
        """Wait for the head; how it was lost where it does not come."""
        while self._head is None and self._lost is None:
            await self._change()
        if self._lost is None:
            return None
        return HttpLost(kind=self._lost.kind, message=self._lost.message, has_left=True)

    def arrived(self, head: Head | None, body: bytes, now: float) -> bool:
        """From the connection: more is there; True where too much waits to be read."""
        self._head = self._head or head
        self.progress_at = now
        if body:
            self._pieces.append(body)
            self._waiting_bytes += len(body)
        self._wake()
        return self._waiting_bytes > _MAX_WAITING_BYTES

    def ended(self) -> None:
        """From the connection: the answer is whole, and the connection is not this answer's any more."""
        self._connection = None
        self._ended = True
        self._wake()

    def lost(self, kind: str, what: str) -> None:
        """From the connection: no more will come."""
        self._connection = None
        if self._lost is None and not self._ended:
            self._lost = StreamBroken(f"{self._authority!r} {what}.", kind=kind)
        self._wake()

    def is_late(self, now: float) -> str:
        """What limit it has broken by now; empty for none."""
        limits = self.limits
        if now - self.began_at > limits.total_s:
            return f"did not end its answer within {limits.total_s:g} s"
        if self._head is None:
            late = now - self.began_at > limits.first_byte_s
            return f"did not begin to answer within {limits.first_byte_s:g} s" if late else ""
        # What waits to be read is the reader's silence, not the peer's.
        late = now - self.progress_at > limits.idle_s and not self._pieces
        return f"was silent for {limits.idle_s:g} s in the middle of its answer" if late else ""

    async def _change(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class StreamClient:
    """One client for a process and its event loop."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, resolver: Resolver | None = None) -> None:
        self._guard = EgressGuard(tls=tls, resolver=resolver)
        self._idle: dict[_Where, list[_Connection]] = {}
        self._busy: set[_Connection] = set()
        self._ticker: asyncio.TimerHandle | None = None

    async def open(self, request: HttpRequest, limits: Limits) -> HttpStream | HttpLost:
        """Send a request and wait for the head of its answer: at most one is sent, and every ending is a value."""
        try:
            message = request_bytes(request)
            self._guard.check_host(request)
        except ValueError as err:
            return HttpLost(kind="refused", message=f"The request cannot be sent: {err}.", has_left=False)
        except EgressRefused as err:
            return HttpLost(kind="refused", message=refused_words(err, request), has_left=False)
        url = request.url
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        connection = self._take(_Where(url.scheme, url.host, url.port, request.is_private_allowed), began_at)
        if connection is None:
            found = await self._connect(request, min(limits.connect_s, limits.total_s))
            if isinstance(found, HttpLost):
                return found
            connection = found
        stream = HttpStream(url.authority, connection, limits, loop.time())
        stream.began_at = began_at
        self._busy.add(connection)
        connection.send(message, stream)
        if self._ticker is None:
            self._ticker = loop.call_later(_TICK_S, self._tick)
        try:
            lost = await stream.begun()
        except asyncio.CancelledError:
            stream.close()
            raise
        return lost or stream

    async def close(self) -> None:
        """Close every connection, those in use too.  Safe to call twice."""
        for connections in self._idle.values():
            for connection in tuple(connections):  # each takes itself out
                connection.abort()
        self._idle.clear()
        for connection in tuple(self._busy):
            connection.fail("connect", "was let go of: the client closes")
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None

    def released(self, connection: "_Connection", *, is_reusable: bool) -> None:
        """From a connection: its exchange is over."""
        self._busy.discard(connection)
        idle = self._idle.setdefault(connection.where, [])
        if is_reusable and len(idle) < _MAX_IDLE:
            connection.idle_since = asyncio.get_running_loop().time()
            idle.append(connection)
        else:
            connection.abort()

    def gone(self, connection: "_Connection") -> None:
        """From a connection: it is closed."""
        self._busy.discard(connection)
        idle = self._idle.get(connection.where)
        if idle is not None and connection in idle:
            idle.remove(connection)

    def _take(self, where: _Where, now: float) -> "_Connection | None":
        """An idle connection that is still open, the youngest first."""
        idle = self._idle.get(where)
        while idle:
            connection = idle.pop()
            if now - connection.idle_since < _MAX_IDLE_S and connection.is_open:
                return connection
            connection.abort()
        return None

    async def _connect(self, request: HttpRequest, within_s: float) -> "_Connection | HttpLost":
        url = request.url
        try:
            async with asyncio.timeout(within_s):
                return await self._open(request)
        except TimeoutError:
            what = f"could not be connected to within {within_s:g} s"
        except EgressRefused as err:
            return HttpLost(kind="refused", message=refused_words(err, request), has_left=False)
        except OSError as err:
            what = f"could not be connected to: {reason_of(err)}"
        return HttpLost(kind="connect", message=f"{url.authority!r} {what}.", has_left=False)

    async def _open(self, request: HttpRequest) -> "_Connection":
        loop, url = asyncio.get_running_loop(), request.url
        where = _Where(url.scheme, url.host, url.port, request.is_private_allowed)
        tls = self._guard.tls(url)
        last: OSError = OSError("the name has no address")
        for address in await self._guard.addresses(request):
            try:
                _, connection = await loop.create_connection(
                    lambda: _Connection(self, where),
                    address,
                    url.port,
                    ssl=tls,
                    server_hostname=url.host if tls is not None else None,
                )
            except OSError as err:
                last = err
            else:
                return connection
        raise last

    def _tick(self) -> None:
        """Judge every exchange by its limits; ends where none is under way."""
        self._ticker = None
        if not self._busy:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in tuple(self._busy):
            connection.judge(now)
        self._ticker = loop.call_later(_TICK_S, self._tick)


class _Connection(asyncio.Protocol):
    """One connection; it carries one exchange at a time."""

    def __init__(self, pool: StreamClient, where: _Where) -> None:
        self.where = where
        self.idle_since = 0.0
        self.is_open = False
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._parser: AnswerParser | None = None
        self._stream: HttpStream | None = None
        self._is_paused = False
        self._time = asyncio.get_running_loop().time

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From the event loop."""
        # The transports of uvloop are asyncio.Transport in all but their class.
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True
        sock = transport.get_extra_info("socket")
        if sock is not None:
            # A frame that waits for another to share its packet comes late.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, message: bytes, stream: HttpStream) -> None:
        """Begin an exchange."""
        self._parser = AnswerParser(stream.limits.max_body_bytes)
        self._stream = stream
        if self._transport is not None:
            self._transport.write(message)
        if not self.is_open:
            self.fail("connect", "closed the connection without an answer")

    def data_received(self, data: bytes) -> None:
        """From the event loop."""
        stream, parser = self._stream, self._parser
        if stream is None or parser is None:
            # Nobody asked for this; what it would be taken for is the next answer.
            self.abort()
            return
        try:
            body = parser.feed(data)
        except Garbled as err:
            self.fail("garbage", f"sent an answer that cannot be used: {err}")
            return
        if parser.is_done:
            stream.arrived(parser.head, body, self._time())
            self._finish(stream, is_reusable=parser.is_reusable)
        elif stream.arrived(parser.head, body, self._time()) and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """From the event loop: the peer closes its side; the transport then closes too."""
        self._closed(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """From the event loop."""
        self._closed(exc)
        self._pool.gone(self)

    def resume(self) -> None:
        """From the stream: what waited has been read."""
        if self._is_paused and self._transport is not None and self.is_open:
            self._is_paused = False
            self._transport.resume_reading()

    def judge(self, now: float) -> None:
        """From the pool's timer."""
        late = self._stream.is_late(now) if self._stream is not None else ""
        if late:
            self.fail("timeout", late)

    def fail(self, kind: str, what: str) -> None:
        """End the exchange in bad order."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.lost(kind, what)
        self.abort()

    def abort(self) -> None:
        """Close at once, without a goodbye: a peer that does not answer one must not hold the caller."""
        self.is_open = False
        self._stream = None
        if self._transport is not None:
            self._transport.abort()
        self._pool.gone(self)

    def _finish(self, stream: HttpStream, *, is_reusable: bool) -> None:
        self._stream = None
        stream.ended()
        self.resume()
        self._pool.released(self, is_reusable=is_reusable and self.is_open)

    def _closed(self, exc: Exception | None) -> None:
        self.is_open = False
        stream, parser = self._stream, self._parser
        if stream is None or parser is None:
            return
        if parser.head is None:
            what = f"broke the connection: {reason_of(exc)}" if isinstance(exc, OSError) else ""
            self.fail("connect", what or "closed the connection without an answer")
            return
        try:
            if exc is None:
                parser.end()
        except Garbled as err:
            self.fail("garbage", f"sent an answer that cannot be used: {err}")
            return
        if exc is not None:
            self.fail("connect", "broke the connection in the middle of its answer")
            return
        self._finish(stream, is_reusable=False)
