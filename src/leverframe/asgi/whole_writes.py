"""A transport on which the head of an answer leaves with the first of its body.

Knows: that uvicorn writes the two apart, and that each write is a packet, a system call and a wake-up of the client.
Never: keeps a head for longer than one turn of the loop, so a stream begins as soon as before.
"""

import asyncio
from typing import Any, Final

_HEAD: Final = b"HTTP/"


class WholeWrites:
    """What a protocol is given in the place of its transport; all but writing and closing is the transport's own."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    # Any: whatever the transport has under that name.
    def __getattr__(self, name: str) -> Any:
        found = getattr(self._transport, name)
        # Found here from now on; each is a method of the transport.
        setattr(self, name, found)
        return found

    def write(self, data: bytes) -> None:
        """Send what is there, and before it the head that waits."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(_HEAD):
            self._head = data
            self._loop.call_soon(self._send_head)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Close, once all is sent."""
        self._send_head()
        self._transport.close()

    def _send_head(self) -> None:
        head, self._head = self._head, b""
        # Its client may have gone away since.
        if head and not self._transport.is_closing():
            self._transport.write(head)
