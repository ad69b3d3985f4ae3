"""Sessions of the older protocols, in which an answer is not lost with its connection.

Knows: what each session has said lately, so that a client which lost a stream, or was let go, takes it up again with
`Last-Event-ID`.  Never: lets one session see an event of another; the protocol's package numbers the streams of all
sessions alike, so each has a memory of its own.  Source: MCP specification 2025-11-25, basic/transports, resumability.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from mcp.server.streamable_http import EventCallback, EventMessage, EventStore, StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCResponse

RETRY_MS: Final = 500
_MOST_STREAMS: Final = 64
_MOST_ANSWERED: Final = 16
_MOST_EVENTS: Final = 256  # of one stream


@dataclass(slots=True)
class _Stream:
    """The events of one stream, the oldest first, each with its number."""

    events: OrderedDict[int, JSONRPCMessage | None] = field(default_factory=OrderedDict)
    is_answered: bool = False
    is_resumed: bool = False  # a client just took it up again, and its next event is the mark of that


class SessionEvents(EventStore):
    """What one session said lately: of its newest streams, the newest events; those without an answer are kept."""

    def __init__(self) -> None:
        self._streams: OrderedDict[str, _Stream] = OrderedDict()
        self._next = 0

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Keep an event; its id."""
        self._next += 1
        stream = self._streams.setdefault(stream_id, _Stream())
        if message is None:
            if stream.is_answered and not stream.is_resumed:
                # A client that numbers its requests anew begins another stream.
                stream = self._streams[stream_id] = _Stream()
            stream.is_resumed = False
        stream.events[self._next] = message
        stream.is_answered = stream.is_answered or isinstance(message, JSONRPCResponse | JSONRPCError)
        if len(stream.events) > _MOST_EVENTS:
            stream.events.popitem(last=False)
        self._forget()
        return f"{self._next}.{stream_id}"

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        """Send again what came after an event; the stream that it is of, or None where nobody knows it."""
        number, _, stream_id = last_event_id.partition(".")
        stream = self._streams.get(stream_id)
        if stream is None or not number.isdigit():
            return None
        for known, message in list(stream.events.items()):
            if known > int(number[:18]) and message is not None:
                await send_callback(EventMessage(message, f"{known}.{stream_id}"))
        stream.is_resumed = not stream.is_answered
        return stream_id if stream.is_resumed else None

    def _forget(self) -> None:
        answered = [name for name, one in self._streams.items() if one.is_answered]
        for name in answered[:-_MOST_ANSWERED]:
            del self._streams[name]
        if len(self._streams) > _MOST_STREAMS:
            self._streams.popitem(last=False)


class Sessions(StreamableHTTPSessionManager):
    """The package's manager, with a memory for each session in place of one for all.

    `ended` is called with the id of a session that is over.
    """

    ended: Callable[[str], None]

    @property
    def event_store(self) -> EventStore | None:
        """A new one each time: the manager asks when it opens a session."""
        return SessionEvents()

    @event_store.setter
    def event_store(self, _: EventStore | None) -> None: ...

    async def _discard_session(self, session_id: str, transport: StreamableHTTPServerTransport) -> None:
        """As the package does, whatever it was that ended the session."""
        self.ended(session_id)
        await super()._discard_session(session_id, transport)
