"""How a conversation with an MCP server begins, for each way there is to reach one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from leverframe.domain.contracts import McpServer
from leverframe.domain.errors import ProviderUnavailable, SecretUnavailable, ToolUnavailable
from leverframe.domain.ids import TenantId
from leverframe.net.pool import StreamClient
from leverframe.net.url import Url, parse_url
from leverframe.ports.secrets import Secrets
from leverframe.tools.mcp_credential import CredentialedClient, Given, ScrubbedEars, ScrubbedPeer
from leverframe.tools.mcp_http import HttpPeer
from leverframe.tools.mcp_peer import Ears
from leverframe.tools.mcp_process import ServerProcess
from leverframe.tools.mcp_stdio import StdioPeer
from leverframe.tools.mcp_upstream import Connection
from leverframe.tools.sandbox import launch_of

_REFERENCE: Final = "secret://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """Connects to the servers of a project, for one tenant each time."""

    root: Path
    hidden: Sequence[Path]
    http: StreamClient
    secrets: Secrets

    async def connect(self, tenant: TenantId, server: McpServer, ears: Ears) -> Connection:
        """Begin a conversation.

        Raises:
            ToolUnavailable: it cannot be started or reached, or its credential cannot be resolved.
        """
        given = Given()
        try:
            if server.url:
                return await self._at_address(tenant, server, ears, given)
            return await self._as_process(await self._with_secrets(tenant, server, given), ears, given)
        except SecretUnavailable as err:
            raise ToolUnavailable(
                f"Server {server.name!r} has no credential: {err.message}", next_move=err.next_move
            ) from err

    async def _as_process(self, server: McpServer, ears: Ears, given: Given) -> Connection:
        process = await ServerProcess.start(await launch_of(server, self.root, self.hidden))
        peer = StdioPeer(server.name, process, ScrubbedEars(ears, given))

        async def last_words() -> str:
            await process.silence()
            said = f": {process.over}" if process.over else f" after {process.fault}" if process.fault else ""
            words = f"{said}; its last words: {process.last_words}" if process.last_words else said
            return given.out_of_text(words)

        return Connection(peer=ScrubbedPeer(peer, given), ended=peer.ended, last_words=last_words)

    async def _with_secrets(self, tenant: TenantId, server: McpServer, given: Given) -> McpServer:
        """The server with its variables as the process gets them: a reference is replaced by its value."""
        env = dict(server.env)
        for name, value in env.items():
            if value.startswith(_REFERENCE):
                env[name] = await self.secrets.resolved(value, tenant=tenant)
                given.add(env[name])
        return replace(server, env=env)

    async def _at_address(self, tenant: TenantId, server: McpServer, ears: Ears, given: Given) -> Connection:
        url = _url(server)
        allowed = server.allows_private_hosts
        if not server.credential:
            peer = HttpPeer(server.name, url, self.http, ears, is_private_allowed=allowed)
            return Connection(peer=peer, last_words=_silent)
        # Asked for now, so that a reference which does not resolve is named at the start and not as a lost call.
        given.add(await self.secrets.resolved(server.credential, tenant=tenant))
        client = CredentialedClient(
            self.http,
            self.secrets,
            given,
            url=url,
            reference=server.credential,
            header=server.credential_header,
            tenant=tenant,
        )
        inner = HttpPeer(server.name, url, client, ScrubbedEars(ears, given), is_private_allowed=allowed)
        return Connection(peer=ScrubbedPeer(inner, given), last_words=_silent)


def _url(server: McpServer) -> Url:
    try:
        return parse_url(server.url)
    except ProviderUnavailable as err:
        raise ToolUnavailable(err.message, next_move="Mend `url` in `servers` of leverframe.yaml.") from err


async def _silent() -> str:
    return ""
