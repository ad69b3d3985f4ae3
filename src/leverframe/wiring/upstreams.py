"""The tool servers of a project, started to be looked at and not to be called."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from leverframe.domain.contracts import Project
from leverframe.domain.pins import Offering
from leverframe.identity.secrets import ProjectSecrets
from leverframe.tools.mcp_tools import McpTools
from leverframe.tools.pin_book import PinBook


class OpenUpstreams:
    """The servers of a project, each started at its first question."""

    def __init__(self, tools: McpTools) -> None:
        self._tools = tools

    async def offering(self, server: str) -> Offering:
        """What a server says of itself and its tools, now.

        Raises:
            ToolUnavailable: it does not start, or gives no list.
        """
        return await self._tools.offering(server)


@asynccontextmanager
async def open_upstreams(project: Project) -> AsyncIterator[OpenUpstreams]:
    """Stop every server in the end that was started."""
    root = Path(project.root)
    pins = PinBook(root, project.servers)
    tools = McpTools(project.servers, root, pins, ProjectSecrets(root), tenants=project.tenants)
    try:
        yield OpenUpstreams(tools)
    finally:
        await tools.close()
