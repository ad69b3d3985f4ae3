"""The `mcp` package, loaded when the first server starts.

Knows: the few names of it that we use.  Its import takes a second, most of it for servers and HTTP that we do not use;
it happens in a thread while the server's process starts, which takes as long.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp.client.session import ClientSession
    from mcp.shared.exceptions import MCPError
    from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
    from mcp.shared.message import SessionMessage
    from mcp_types import Implementation, PaginatedRequestParams


@dataclass(frozen=True, slots=True, kw_only=True)
class McpSdk:
    """What we use of the package."""

    session: "type[ClientSession]"
    dispatcher: "type[JSONRPCDispatcher]"
    page: "type[PaginatedRequestParams]"
    implementation: "type[Implementation]"
    error: "type[MCPError]"
    closed: type[Exception]  # what the dispatcher understands as "the connection is closed"
    parse: "Callable[[object], SessionMessage]"


async def load_sdk() -> McpSdk:
    """The package, imported once for the process."""
    return await asyncio.to_thread(_load)


def _load() -> McpSdk:
    # Imported here, since it takes a second that a project without MCP servers must not pay.
    from anyio import ClosedResourceError
    from mcp.client.session import ClientSession
    from mcp.shared.exceptions import MCPError
    from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
    from mcp.shared.message import SessionMessage
    from mcp_types import Implementation, PaginatedRequestParams, jsonrpc_message_adapter

    def parse(value: object) -> "SessionMessage":
        return SessionMessage(jsonrpc_message_adapter.validate_python(value, by_name=False))

    return McpSdk(
        session=ClientSession,
        dispatcher=JSONRPCDispatcher,
        page=PaginatedRequestParams,
        implementation=Implementation,
        error=MCPError,
        closed=ClosedResourceError,
        parse=parse,
    )
