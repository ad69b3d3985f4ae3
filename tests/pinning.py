"""Pins for tests: all that a server offers, as a person would review it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from leverframe.config.lock_file import load_lock, write_lock
from leverframe.core.pins import reached_by, with_pins
from leverframe.domain.contracts import McpServer
from leverframe.domain.ids import PrincipalId, TenantId
from leverframe.domain.pins import Offering, Reviewed
from leverframe.identity.secrets import ProjectSecrets
from leverframe.ports.secrets import Secrets
from leverframe.tools.mcp_tools import McpTools
from leverframe.tools.pin_book import PinBook

REVIEWED = Reviewed(by=PrincipalId("os:test"), at=datetime(2026, 1, 1, tzinfo=UTC), because="a test")


def mcp_tools(
    servers: Mapping[str, McpServer], root: Path, secrets: Secrets | None = None, tenants: Sequence[TenantId] = ()
) -> McpTools:
    """The executor of these servers, with the pins of the folder."""
    return McpTools(servers, root, PinBook(root, servers), secrets or ProjectSecrets(root), tenants=tenants)


async def pin_everything(servers: Mapping[str, McpServer], root: Path, tenants: Sequence[TenantId] = ()) -> None:
    """Pin all tools of all servers as they are offered now, by servers that are stopped again."""
    tools = mcp_tools(servers, root, tenants=tenants)
    try:
        for name, server in servers.items():
            pin_offering(root, server, await tools.offering(name))
    finally:
        await tools.close()


def pin_offering(root: Path, server: McpServer, offering: Offering) -> None:
    """Pin all tools of one server as this says."""
    lock = load_lock(root)
    new = with_pins(lock, server.name, reached_by(server), offering, names=tuple(offering.tools), reviewed=REVIEWED)
    write_lock(root, new)


SHOP_TOOLS = ("lookup_order", "echo", "refuse", "hang", "crash", "huge", "broken", "garbled", "environment")
# What `tests/fixtures/mcp_shop.py` says of itself.
SHOP = Offering(
    info={"name": "shop", "version": "1"},
    tools={name: {"name": name, "inputSchema": {"type": "object"}} for name in SHOP_TOOLS},
)
