"""The protocol's own Python client, of either era, at an address that asks for a key."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

ERAS: Final = ("legacy", "2026-07-28")


@asynccontextmanager
async def mcp_client(url: str, key: str, era: str) -> AsyncIterator[Client]:
    """A client that has greeted the server, or needs not to."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http), mode=era) as found,
    ):
        yield found
