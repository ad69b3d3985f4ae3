"""Whose a request is: its run, its session, and the server of a resource that it names."""

from typing import Final

import mcp_types as types
from mcp.shared.exceptions import MCPError

from leverframe.domain.errors import LeverframeError
from leverframe.domain.tools import McpPart
from leverframe.mcp.catalog import catalog, owner_of
from leverframe.mcp.guests import Guest
from leverframe.mcp.talk import Context
from leverframe.ports.upstreams import Listing, Upstreams
from leverframe.runtime.outside import OutsideRun

GUEST: Final = "leverframe.guest"
_NOT_FOUND: Final = -32002  # of the protocols through 2025-11-25


def guest_of(context: Context) -> Guest:
    """Whoever asks."""
    request = context.request
    guest = request.scope.get(GUEST) if request is not None else None
    if not isinstance(guest, Guest):
        raise MCPError(types.INVALID_REQUEST, "The request belongs to nobody")
    return guest


async def run_of(context: Context) -> OutsideRun:
    """The run of whoever asks."""
    try:
        return await guest_of(context).run()
    except LeverframeError as err:
        raise MCPError(types.INVALID_REQUEST, f"{err.message}  {err.next_move}".strip()) from err


def session_of(context: Context) -> str:
    """The session's id; empty where there is none."""
    return str(context.request.headers.get("mcp-session-id", "")) if context.request is not None else ""


def not_found_code(context: Context) -> int:
    """The error of a resource that nobody has."""
    return types.INVALID_PARAMS if context.protocol_version >= "2026" else _NOT_FOUND


async def resource_of(context: Context, upstreams: Upstreams, run: OutsideRun, uri: str) -> tuple[str, str]:
    """The server of a resource, and its name there.

    Raises:
        MCPError: it is not found.
    """
    found = await catalog(upstreams, run.ctx.contract, Listing.RESOURCES, run.ctx.run.tenant)
    server, own = owner_of(found, run.ctx.contract, McpPart.RESOURCE, uri)
    if not server:
        raise MCPError(not_found_code(context), f"Resource {uri!r} is not found", {"uri": uri})
    return server, own
