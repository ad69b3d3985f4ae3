"""uvicorn's HTTP protocol with bounds that it does not have: on a head and its time, and on a client that never reads.

Knows: that a client may send header after header, or one byte a minute, or leave an answer unread for ever, and with it
whatever the answer holds: what is set aside for it, and a place among the calls at work.
Source: uvicorn.protocols.http.httptools_impl.
"""

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from leverframe.asgi.whole_writes import WholeWrites

MAX_HEAD_BYTES: Final = 65_536
MAX_HEADERS: Final = 200
HEAD_S: Final = 15.0
STALLED_S: Final = 120.0
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    # Any: the arguments are uvicorn's own and are handed on as they are.
    def __init__(self, *args: Any, **words: Any) -> None:
        super().__init__(*args, **words)
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._stalled_timer: asyncio.TimerHandle | None = None

    # uvicorn narrows the argument itself; asyncio calls it with a transport of TCP or TLS.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The clock of the first head runs from here."""
        # cast: it has all that a transport has.
        super().connection_made(cast("asyncio.Transport", WholeWrites(transport, self.loop)))
        self._head_timer = self.loop.call_later(HEAD_S, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """No clock runs on."""
        self._stop_timer()
        self._reads_again()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client has not taken what was written; it gets so long to take any of it."""
        super().pause_writing()
        if self._stalled_timer is None:
            self._stalled_timer = self.loop.call_later(STALLED_S, self._stalled)

    def resume_writing(self) -> None:
        """It reads again."""
        self._reads_again()
        super().resume_writing()

    def on_message_begin(self) -> None:
        """A head begins: of a later request of the connection too."""
        super().on_message_begin()
        self._head_bytes = 0
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self._too_slow)

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        super().on_url(url)
        self._head_bytes += len(url)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self._refuse(_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """The head is whole; what follows has its own bounds."""
        self._stop_timer()
        if not self.transport.is_closing():
            super().on_headers_complete()

    def _too_slow(self) -> None:
        self._head_timer = None
        self._refuse(_TOO_SLOW)

    def _stalled(self) -> None:
        """It is gone, as far as anybody can tell: whoever writes to it is told so and goes on without it."""
        self._stalled_timer = None
        self.transport.abort()

    def _reads_again(self) -> None:
        if self._stalled_timer is not None:
            self._stalled_timer.cancel()
            self._stalled_timer = None

    def _refuse(self, words: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(words)
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
