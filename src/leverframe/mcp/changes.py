"""Word of lists that changed, to the clients that looked at them: each hears of the servers of its own contract alone.

Knows: that the older protocols tell it on a session's own stream, and the 2026-07-28 one to whoever listens.  What a
server says again and again within a moment is told once.  Source: MCP specification, server/tools ("List changed
notification"), 2026-07-28 basic/subscriptions.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import mcp_types as types
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    SubscriptionBus,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError

from leverframe.domain.contracts import Contract
from leverframe.domain.tools import McpOrigin
from leverframe.mcp.talk import Context
from leverframe.mcp.values import PlainJson
from leverframe.ports.upstreams import Listing, Upstreams, UpstreamState, UpstreamStatus

_MOMENT_S: Final = 0.1
_MOST_SESSIONS: Final = 4_096
_MOST_LISTENERS: Final = 1_024
_Event = ToolsListChanged | ResourcesListChanged | PromptsListChanged
_EVENTS: Final[dict[Listing, type[_Event]]] = {
    Listing.TOOLS: ToolsListChanged,
    Listing.RESOURCES: ResourcesListChanged,
    Listing.TEMPLATES: ResourcesListChanged,
    Listing.PROMPTS: PromptsListChanged,
}
_Hear = Callable[[ServerEvent], None]


class Changes:
    """What changed, and who wants to know.  One for a process."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams
        self._missing: set[str] = set()
        self._due: dict[tuple[str, type[_Event]], None] = {}
        self._listeners: dict[object, tuple[frozenset[str], _Hear]] = {}
        self._sessions: OrderedDict[str, tuple[frozenset[str], ServerSession]] = OrderedDict()
        self._telling: set[asyncio.Task[None]] = set()
        upstreams.watch(self._changed)

    def looked(self, session_id: str, context: Context, contract: Contract) -> None:
        """A session asked for a list: it is told when that changes."""
        if session_id and session_id not in self._sessions:
            self._sessions[session_id] = _servers(contract), context.session
            if len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)

    def listener(self, contract: Contract) -> "Listener":
        """Who listens for what happens at the servers of a contract."""
        if len(self._listeners) >= _MOST_LISTENERS:
            raise MCPError(types.INTERNAL_ERROR, f"{_MOST_LISTENERS:,} clients listen already; ask for the list again")
        return Listener(self._listeners, _servers(contract))

    def ended(self, session_id: str) -> None:
        """A session is over."""
        self._sessions.pop(session_id, None)

    def missing(self) -> dict[str, str]:
        """The servers that are down, or on their way back from that, with the reason."""
        return {one.server: one.reason for one in self._upstreams.statuses().values() if _is_missing(one)}

    def _changed(self, server: str, listing: Listing | None) -> None:
        if listing is None:
            # A list says who is missing; that a server starts for the first time is no news.
            is_missing = server in self.missing()
            if is_missing == (server in self._missing):
                return
            (self._missing.add if is_missing else self._missing.discard)(server)
        if not self._due:
            asyncio.get_running_loop().call_later(_MOMENT_S, self._tell)
        self._due[server, ToolsListChanged if listing is None else _EVENTS[listing]] = None

    def _tell(self) -> None:
        due, self._due = tuple(self._due), {}
        for server, kind in due:
            for servers, hear in tuple(self._listeners.values()):
                if server in servers:
                    hear(kind())
        for servers, session in self._sessions.values():
            for kind in dict.fromkeys(kind for server, kind in due if server in servers):
                task = asyncio.create_task(_told(session, kind))
                self._telling.add(task)
                task.add_done_callback(self._telling.discard)


class Listener(SubscriptionBus):
    """The bus of one listener."""

    def __init__(self, listeners: dict[object, tuple[frozenset[str], _Hear]], servers: frozenset[str]) -> None:
        self._listeners = listeners
        self._servers = servers
        self._hear: _Hear | None = None

    async def listen(self, context: Context, params: types.SubscriptionsListenRequestParams) -> PlainJson:
        """`subscriptions/listen`: until the client has enough."""
        return await ListenHandler(self)(context, params)

    def updated(self, uri: str) -> None:
        """A resource changed that this listener watches."""
        if self._hear is not None:
            self._hear(ResourceUpdated(uri=uri))

    async def publish(self, event: ServerEvent) -> None:
        """Nothing is published by a listener."""

    def subscribe(self, listener: _Hear) -> Callable[[], None]:
        """From now on, until what is given back is called."""
        token = object()
        self._hear = listener
        self._listeners[token] = self._servers, listener

        def unsubscribe() -> None:
            self._listeners.pop(token, None)

        return unsubscribe


async def _told(session: ServerSession, kind: type[_Event]) -> None:
    if kind is ToolsListChanged:
        await session.send_tool_list_changed()
    elif kind is PromptsListChanged:
        await session.send_prompt_list_changed()
    else:
        await session.send_resource_list_changed()


def _servers(contract: Contract) -> frozenset[str]:
    specs = (contract.tools.get(name) for name in contract.callable_tools())
    return frozenset(spec.origin.server for spec in specs if spec is not None and isinstance(spec.origin, McpOrigin))


def _is_missing(one: UpstreamStatus) -> bool:
    """Down, or on its way back from that; a server that nobody asked yet is not missing."""
    return one.state is UpstreamState.DOWN or (one.state is UpstreamState.STARTING and one.failures > 0)
