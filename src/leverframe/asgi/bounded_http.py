"""uvicorn's HTTP protocol with bounds that it does not have: on a head and its time, and on a client that never reads.

Knows: that a client may send header after header or one header without end, one byte a minute, the rest of a request
that is answered already, or nothing more; or leave an answer unread for ever, and with it whatever the answer holds:
what is set aside for it, and a place among the calls at work.
Never: takes a field behind a body for a header of the request, or loses the body of a request that would like to go on
in another protocol.  Sources: uvicorn.protocols.http.httptools_impl; RFC 9110, sections 6.5 and 7.8.
"""

import asyncio
from typing import Any, Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from leverframe.asgi.whole_writes import WholeWrites

MAX_HEAD_BYTES: Final = 65_536
MAX_HEADERS: Final = 200
# Bytes in a row in which nothing ends: neither a head nor a piece of a body.  With all that stands around the fields.
MAX_UNREAD_BYTES: Final = 2 * MAX_HEAD_BYTES
HEAD_S: Final = 15.0
STALLED_S: Final = 120.0  # in which a client takes no byte of its answer
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_NO_REQUEST: Final = "Invalid HTTP request received."


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    # Any: the arguments are uvicorn's own and are handed on as they are.
    def __init__(self, *args: Any, **words: Any) -> None:
        super().__init__(*args, **words)
        self._head_bytes = 0
        self._unread_bytes = 0
        self._is_in_head = False
        self._is_whole = True  # no request is half here
        self._wants_upgrade = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    # uvicorn narrows the argument itself; asyncio calls it with a transport of TCP or TLS.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The clock of the first head runs from here."""
        # cast: it has all that a transport has.
        super().connection_made(cast("asyncio.Transport", WholeWrites(transport, self.loop)))
        self._head_timer = self.loop.call_later(HEAD_S, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """No clock runs on."""
        self._stop_timer()
        self._stop_rest()
        self._stop_stall()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Something arrived."""
        self._unset_keepalive_if_required()
        self._unread_bytes += len(data)
        try:
            while data:
                data = self._fed(data)
        except httptools.HttpParserError:
            self.logger.warning(_NO_REQUEST)
            self.send_400_response(_NO_REQUEST)
            return
        if self._unread_bytes > MAX_UNREAD_BYTES:
            self._refuse(_TOO_LARGE)
        elif self._is_idle and self.timeout_keep_alive_task is None:
            # A blank line between requests begins none, and the clock that it stopped must run again.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_message_begin(self) -> None:
        """A head begins: of a later request of the connection too."""
        super().on_message_begin()
        self._head_bytes = 0
        self._is_in_head, self._is_whole, self._wants_upgrade = True, False, False
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self._too_slow)

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        super().on_url(url)
        self._head_bytes += len(url)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; or a field behind the body, which says nothing here: who may call was decided before it came."""
        if self._is_in_head:
            super().on_header(name, value)
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self._refuse(_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """The head is whole; what follows has its own bounds."""
        self._stop_timer()
        self._is_in_head, self._unread_bytes = False, 0
        if self.transport.is_closing():
            return
        self._wants_upgrade = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if not self._wants_upgrade:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._unread_bytes = 0
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._is_whole, self._unread_bytes = True, 0
        self._stop_rest()
        if not self._wants_upgrade and not self.transport.is_closing():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is out; of a request that is not here as a whole the rest is waited for, and not for long."""
        super().on_response_complete()
        is_answered = not self._is_whole and not self._is_in_head and self.cycle.response_complete
        if is_answered and self._rest_timer is None:
            self._rest_timer = self.loop.call_later(HEAD_S, self.timeout_keep_alive_handler)

    def pause_writing(self) -> None:
        """The client has not taken what was written; it gets so long to take any of it."""
        super().pause_writing()
        self._watch_stall(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """It reads again."""
        self._stop_stall()
        super().resume_writing()

    @property
    def _is_idle(self) -> bool:
        """Whether everything that was asked is answered."""
        is_answered = self.cycle is not None and self.cycle.response_complete
        return is_answered and self._is_whole and not self.transport.is_closing()

    def _fed(self, data: bytes) -> bytes:
        """Read it; gives what is to be read after that.  Raises HttpParserError."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as err:
            return self._without_upgrade() + data[err.args[0] :]
        return b""

    def _without_upgrade(self) -> bytes:
        """The head again without its wish; the parser would take the body for the other protocol."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"\r\n".join([*lines, b"", b""])

    def _watch_stall(self, waiting_bytes: int) -> None:
        self._stop_stall()
        self._stall_timer = self.loop.call_later(STALLED_S, self._judge_stall, waiting_bytes)

    def _judge_stall(self, waiting_bytes: int) -> None:
        """Where it took nothing it is gone, as far as anybody can tell: whoever writes to it goes on without it."""
        self._stall_timer = None
        now_bytes = self.transport.get_write_buffer_size()
        if now_bytes >= waiting_bytes:
            self.transport.abort()
        else:
            self._watch_stall(now_bytes)

    def _too_slow(self) -> None:
        self._head_timer = None
        self._refuse(_TOO_SLOW)

    def _refuse(self, words: bytes) -> None:
        if self.transport.is_closing():
            return
        is_answering = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if not is_answering and not self.pipeline:
            # In the middle of an answer they would be taken for a part of it.
            self.transport.write(words)
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_rest(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

    def _stop_stall(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
