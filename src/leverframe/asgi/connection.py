"""One connection of a client: HTTP/1.1 read by llhttp, one exchange after the other, in the place of uvicorn's own.

Knows: that a client may send header after header, one that never ends, one byte a minute, the rest of what is answered
already, or nothing more and read nothing either; and that it may ask again before it was answered.
Never: takes a field behind a body for a header of the request, loses a request that would like to go on in another
protocol, or writes a refusal into the middle of an answer.
Sources: RFC 9110 (6.5, 7.8), RFC 9112; `uvicorn.Config(http=…)` for who makes these and tells them to stop.
"""

import asyncio
import fcntl
import sys
import termios
from collections import deque
from contextlib import suppress
from typing import Final, cast
from urllib.parse import unquote

import httptools
from uvicorn import Config
from uvicorn.server import ServerState

from leverframe.asgi.exchange import Exchange
from leverframe.gateway.asgi_types import App, Scope

MAX_HEAD_BYTES: Final = 65_536
MAX_HEADERS: Final = 200
# Bytes in a row in which nothing ends: neither a head nor a piece of a body.  With all that stands around the fields.
MAX_UNREAD_BYTES: Final = 2 * MAX_HEAD_BYTES
HEAD_S: Final = 15.0  # for a head, and for the rest of a request that is answered already
STALLED_S: Final = 120.0  # for a client to take any byte of its answer
# Who was refused is read from for so long, and so much: a socket that is closed over unread bytes is reset, and what
# the client was told is lost to it.  A client that has read it closes, and ends this.
LINGERS_S: Final = 2.0
_LINGERS_BYTES: Final = 2_097_152
PARTS_S: Final = 0.5  # for a client's goodbye when the server stops
_LOOKS: Final = 4  # times in the shortest of these
_MOST_KEPT_BYTES: Final = 65_536  # of a body that is read faster than it is asked for
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_NEVER: Final = float("inf")
_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}


def _told(status: int, title: str, detail: str) -> bytes:
    body = f'{{"detail":"{detail}","status":{status},"title":"{title}","type":"about:blank"}}'.encode()
    head = f"HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\nconnection: close\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


_MALFORMED: Final = _told(400, "Bad Request", "This is not a request of HTTP/1.1.")
_TOO_LARGE: Final = _told(
    431,
    "Request Header Fields Too Large",
    f"A request may have {MAX_HEADERS} headers, and {MAX_HEAD_BYTES:,} bytes before its body.",
)
_TOO_SLOW: Final = _told(408, "Request Timeout", f"The head of a request has to be here within {HEAD_S:.0f} s.")


class Connection(asyncio.Protocol):
    """One connection; a server makes one for each client."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: object = None,
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        del app_state  # what a lifespan left for the application; there is none
        # cast: uvicorn's name for the same three callables.
        self._app = cast("App", config.loaded_app)
        self._state = server_state
        self._idle_s: float = config.timeout_keep_alive
        self._scheme = "https" if config.is_ssl else "http"
        self.loop = _loop or asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = self._unread_bytes = 0
        self._is_in_head = self._expects_continue = False
        self._hosts = 0  # headers of this name; there has to be one (RFC 9112, 3.2)
        self._is_refused = self._is_paused = False
        self._current: Exchange | None = None  # is being answered
        self._read: Exchange | None = None  # its body is being read
        self._next: deque[Exchange] = deque()  # were asked before the current one was answered
        self._due_at = _NEVER  # when it has taken too long; on the loop's clock
        self._timer: asyncio.TimerHandle | None = None
        self.is_full = False
        self._writable: asyncio.Future[None] | None = None
        self._stalled_since, self._stalled_bytes, self._is_parted = 0.0, 0, False

    # Of asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The time of the first head begins."""
        # cast: a stream's transport, which uvloop's own class does not say it is.
        self._transport = cast("asyncio.Transport", transport)
        # cast: uvicorn only tells its connections to shut down, and looks at nothing else of them.
        cast("set[Connection]", self._state.connections).add(self)
        now = self._stalled_since = self.loop.time()
        self._due_at = now + HEAD_S
        self._look_in(min(HEAD_S, self._idle_s) / _LOOKS)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Whoever answers learns that nobody listens any more."""
        # cast: see `connection_made`.
        cast("set[Connection]", self._state.connections).discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self.resume_writing()
        if self._current is not None:
            self._current.lose()
        self._next.clear()
        self._current = self._read = self._transport = None
        # It holds what it tells of itself: a circle that only the collector would find, once for each connection.
        self._is_refused = True
        del self._parser

    def data_received(self, data: bytes) -> None:
        """A piece of requests."""
        self._unread_bytes += len(data)
        if self._is_refused:
            # What is under way is answered first, and what comes meanwhile is thrown away.
            if self._unread_bytes > _LINGERS_BYTES and self._current is None and self._transport is not None:
                self._transport.close()
            return
        try:
            while data:
                data = self._fed(data)
        except httptools.HttpParserError:
            self._refuse(_MALFORMED)
        if self._unread_bytes > MAX_UNREAD_BYTES:
            self._refuse(_TOO_LARGE)
        if self._current is not None and not self._current.is_begun:
            self._current.begin(self._app, self._state.tasks)

    def pause_writing(self) -> None:
        """The client reads more slowly than it is sent to."""
        if self._writable is None and self._transport is not None:
            self._writable, self.is_full = self.loop.create_future(), True
            self._stalled_since = self.loop.time()
            self._stalled_bytes = self._transport.get_write_buffer_size()
            self._look_in(min(HEAD_S, STALLED_S) / _LOOKS)

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable, self.is_full = None, False

    # Of the parser.

    def on_message_begin(self) -> None:
        """A head begins."""
        if self._is_refused:
            # What stands behind a refusal in the same piece moves none of its times.
            return
        self._url, self._headers, self._head_bytes = b"", [], 0
        self._is_in_head, self._expects_continue, self._hosts = True, False, 0
        self._due_at = self.loop.time() + HEAD_S

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._url += url
        self._head_bytes += len(url)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; or a field behind the body, which says nothing here: who may call was decided before it came."""
        self._head_bytes += len(name) + len(value)
        if self._is_in_head:
            name = name.lower()
            self._headers.append((name, value))
            if name == b"expect":
                self._expects_continue = value.lower() == b"100-continue"
            elif name == b"host":
                self._hosts += 1
        if self._head_bytes > MAX_HEAD_BYTES or len(self._headers) > MAX_HEADERS:
            self._refuse(_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """The head is whole; what follows has its own bounds."""
        transport = self._transport
        if self._is_refused or transport is None or transport.is_closing():
            return
        self._is_in_head, self._unread_bytes, self._due_at = False, 0, _NEVER
        method = self._parser.get_method()
        if method == b"CONNECT":
            # No wish of a request for something else, which could be left out, but the request itself.
            self._refuse(_MALFORMED)
            return
        if self._parser.should_upgrade():
            return
        version = self._parser.get_http_version()
        if version not in _VERSIONS or self._hosts > 1 or (version == "1.1" and not self._hosts):
            self._refuse(_MALFORMED)
            return
        found = self._read = Exchange(
            self,
            transport,
            self._scope(method, version),
            keeps_alive=version != "1.0" and self._parser.should_keep_alive(),
            expects_continue=self._expects_continue and version != "1.0",
        )
        if self._current is None:
            self._current = found
        else:
            self._next.append(found)
            self._pause()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._unread_bytes = 0
        if self._read is not None and self._read.add(body) > _MOST_KEPT_BYTES:
            self._pause()

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._unread_bytes = 0
        found, self._read = self._read, None
        if found is None:
            return
        found.end_body()
        if found.is_over:
            # It was answered before all of it was here.
            self._go_on(found)

    # Of an exchange, and of the server.

    def read_on(self) -> None:
        """What was kept of a body has been taken."""
        if self._is_paused and not self._next and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()

    async def writable(self) -> None:
        """Wait until the client has caught up, or is gone."""
        if self._writable is not None:
            await asyncio.shield(self._writable)

    def answered(self, exchange: Exchange) -> None:
        """The current exchange is over."""
        self._state.total_requests += 1
        self._current = None
        if exchange.is_whole:
            self._go_on(exchange)
        else:
            # Whoever is refused in the middle of a body reads the refusal once all of it is sent.
            self._due_at = self.loop.time() + HEAD_S
            self.read_on()

    def shutdown(self) -> None:
        """The server stops: what is under way is still answered."""
        if self._current is not None:
            self._current.keeps_alive = False
        elif self._transport is not None:
            self._transport.close()
            self._look_in(PARTS_S)

    def _go_on(self, after: Exchange) -> None:
        """Close, or go on with the next request."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._is_refused:
            self._linger(transport)
            return
        if not after.keeps_alive:
            transport.close()
            return
        if self._next:
            self._current = self._next.popleft()
            self._current.begin(self._app, self._state.tasks)
        elif self._current is None:
            self._due_at = self.loop.time() + (HEAD_S if self._is_in_head else self._idle_s)
        self.read_on()

    def _look_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """See whether anything takes too long; one look now and then costs less than a timer for each of them."""
        self._timer, now, transport = None, self.loop.time(), self._transport
        if transport is None:
            return
        unsent_bytes, was_parted = self._unsent_bytes(transport), self._is_parted
        self._is_parted = unsent_bytes == 0
        if self._is_stalled(transport, now, unsent_bytes or 0) or (was_parted and self._is_parted):
            # Gone, as far as anybody can tell: whoever writes to it goes on without it.
            transport.abort()
            return
        if self._is_parted:  # unless the event loop has some more, which it was too busy to send
            self._look_in(PARTS_S / _LOOKS)
            return
        left_s = self._due_at - now if self._current is None and not transport.is_closing() else _NEVER
        if left_s <= 0:
            if self._is_in_head or not self._headers:
                self._refuse(_TOO_SLOW)
            transport.close()
        # A closed one is looked at as well: it ends no sooner than the last of its answer is taken.
        self._look_in(max(0.001, min(HEAD_S / _LOOKS, self._idle_s / _LOOKS, STALLED_S / _LOOKS, max(left_s, 0.0))))

    def _is_stalled(self, transport: asyncio.Transport, now: float, unsent_bytes: int) -> bool:
        """Whether a client that has to take some of its answer now has taken none for too long."""
        waiting_bytes = transport.get_write_buffer_size() + unsent_bytes
        if waiting_bytes != self._stalled_bytes or not (self.is_full or transport.is_closing()):
            self._stalled_since, self._stalled_bytes = now, waiting_bytes
        return now - self._stalled_since > STALLED_S

    def _unsent_bytes(self, transport: asyncio.Transport) -> int | None:
        """What the system has yet to send on a closed connection of TLS; None of any other.

        At none it waits for the goodbye alone: half a minute, of a client that does not read until its next call.
        """
        if self._scheme != "https" or not transport.is_closing():
            return None
        with suppress(OSError):
            unsent = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
            return int.from_bytes(unsent, sys.byteorder)
        return 0  # the socket is closed

    def _pause(self) -> None:
        if not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def _refuse(self, words: bytes) -> None:
        """Read no more of this client; the request that is being answered is answered still, if it is whole."""
        transport, current = self._transport, self._current
        if self._is_refused or transport is None or transport.is_closing():
            return
        self._is_refused = True
        self._next.clear()
        if current is not None and current.is_whole:
            current.keeps_alive = False
            self._pause()
            return
        self._current = None
        if current is not None:
            current.lose()
        if not self._is_told(current or self._read):
            transport.write(words)
        self._linger(transport)

    def _linger(self, transport: asyncio.Transport) -> None:
        """Say that nothing follows, and let what the client still sends go by until it has read that."""
        if transport.can_write_eof():
            transport.write_eof()
        self._unread_bytes, self._due_at = 0, self.loop.time() + LINGERS_S
        if self._is_paused:
            self._is_paused = False
            transport.resume_reading()
        self._look_in(LINGERS_S)

    @staticmethod
    def _is_told(exchange: Exchange | None) -> bool:
        """Whether the client has seen any of its answer: it takes what comes after for more of it, or for the next."""
        return exchange is not None and exchange.is_out

    def _fed(self, data: bytes) -> bytes:
        """Read it; gives what is to be read after that.  Raises HttpParserError."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as err:
            transport = self._transport
            if not (self._is_refused or transport is None or transport.is_closing()):
                return self._without_upgrade() + data[err.args[0] :]
        return b""

    def _without_upgrade(self) -> bytes:
        """The head again without its wish; the parser would take the body for the other protocol."""
        method, version = self._parser.get_method(), self._parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (method, self._url, version)]
        lines += [b"%b: %b" % header for header in self._headers if header[0] != b"upgrade"]
        self._parser = httptools.HttpRequestParser(self)
        return b"\r\n".join([*lines, b"", b""])

    def _scope(self, method: bytes, version: str) -> Scope:
        url, query = self._url, b""
        if b"?" in url or b"#" in url or not url.startswith(b"/"):
            parsed = httptools.parse_url(url)
            # Of another server's whole address the path may be missing.
            url, query = parsed.path or b"/", parsed.query or b""
        path = url.decode("ascii")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "method": method.decode("ascii"),
            "scheme": self._scheme,
            "path": unquote(path) if "%" in path else path,
            "raw_path": url,
            "query_string": query,
            "root_path": "",
            "headers": self._headers,
        }
