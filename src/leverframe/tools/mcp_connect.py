"""How a conversation with an MCP server begins, for each way there is to reach one."""

from collections.abc import Sequence
from pathlib import Path

from leverframe.domain.contracts import McpServer
from leverframe.domain.errors import ProviderUnavailable, ToolUnavailable
from leverframe.net.pool import StreamClient
from leverframe.net.url import parse_url
from leverframe.tools.mcp_http import HttpPeer
from leverframe.tools.mcp_peer import Ears
from leverframe.tools.mcp_process import ServerProcess
from leverframe.tools.mcp_stdio import StdioPeer
from leverframe.tools.mcp_upstream import Connect, Connection
from leverframe.tools.sandbox import launch_of


def connector(root: Path, hidden: Sequence[Path], http: StreamClient) -> Connect:
    """Connects to the servers of a project.  Raises `ToolUnavailable` where one cannot be started or reached."""

    async def connect(server: McpServer, ears: Ears) -> Connection:
        if server.url:
            return Connection(peer=_http_peer(server, ears, http), last_words=_silent)
        process = await ServerProcess.start(await launch_of(server, root, hidden))
        peer = StdioPeer(server.name, process, ears)

        async def last_words() -> str:
            await process.silence()
            said = f" after {process.fault}" if process.fault else ""
            return f"{said}; its last words: {process.last_words}" if process.last_words else said

        return Connection(peer=peer, ended=peer.ended, last_words=last_words)

    return connect


def _http_peer(server: McpServer, ears: Ears, http: StreamClient) -> HttpPeer:
    try:
        url = parse_url(server.url)
    except ProviderUnavailable as err:
        raise ToolUnavailable(err.message, next_move="Mend `url` in `servers` of leverframe.yaml.") from err
    return HttpPeer(server.name, url, http, ears, is_private_allowed=server.allows_private_hosts)


async def _silent() -> str:
    return ""
