"""The ASGI application at `/mcp`: who asks, from where, and then the protocol.

Knows: that a page of a browser must not reach us (Host and Origin), that a request without a live credential gets 401
with the address of RFC 9728's metadata, and that the caller's credential goes no further than here.
Source: MCP specification 2025-11-25 and 2026-07-28, basic/transports and basic/authorization; RFC 9728, section 3.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import Receive, Scope, Send

from leverframe.domain.errors import AuthRefused
from leverframe.mcp.guests import ApprovalUrl, Guests
from leverframe.mcp.server import GUEST, AgentServer
from leverframe.mcp.tool_lists import writing_lists
from leverframe.ports.upstreams import Upstreams

METADATA_PATH: Final = "/.well-known/oauth-protected-resource/mcp"
_MAX_BODY_BYTES: Final = 4 << 20
_LOOPBACK: Final = ("127.0.0.1", "127.0.0.1:*", "localhost", "localhost:*", "[::1]", "[::1]:*")


def _nowhere(_: str) -> str:
    return ""


class McpApp:
    """One for a process, running within `running()`.

    Args:
        guests: who may come in.
        upstreams: the tool servers behind it.
        public_url: how clients write our address, such as `https://gate.example.com`; empty: loopback only.
        approval_url: the page of an approval.
        authorization_servers: whose tokens are taken (RFC 9728); none: API keys alone.
        keeps_sessions: whether sessions of the older protocols live in this process.  Where several workers serve one
            port they do not, and each request stands alone.
    """

    def __init__(
        self,
        guests: Guests,
        upstreams: Upstreams,
        *,
        public_url: str = "",
        approval_url: ApprovalUrl = _nowhere,
        authorization_servers: Sequence[str] = (),
        keeps_sessions: bool = True,
    ) -> None:
        self._guests = guests
        self._public_url = public_url.rstrip("/")
        self._authorization_servers = tuple(authorization_servers)
        host = self._public_url.partition("://")[2]
        self._security = TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=[*_LOOPBACK, *([host] if host else [])],
            allowed_origins=[
                *(f"http://{one}" for one in _LOOPBACK),
                *([self._public_url] if host else []),
            ],
        )
        self._manager = StreamableHTTPSessionManager(
            AgentServer(upstreams, approval_url, has_sessions=keeps_sessions).build(),
            security_settings=self._security,
            stateless=not keeps_sessions,
            max_request_body_size=_MAX_BODY_BYTES,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Within this, requests are served.  Once for each object."""
        async with self._manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        if scope["path"] == METADATA_PATH:
            await _answer(send, 200, self._metadata(scope))
            return
        # Names in any case: the same header twice is joined, so that two readers see one value.
        headers: dict[str, str] = {}
        for raw_name, raw in scope["headers"]:
            name, value = raw_name.decode("latin-1").lower(), raw.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        try:
            guest = await self._guests.admit(headers)
        except AuthRefused as err:
            where = f'Bearer resource_metadata="{self._base(scope)}{METADATA_PATH}"'
            body = {"type": "about:blank", "title": err.message, "status": 401, "detail": err.next_move}
            await _answer(send, 401, body, (b"www-authenticate", where.encode("latin-1")))
            return
        user = AuthenticatedUser(AccessToken(token="", client_id=guest.name, scopes=[]))
        # What the credential was is of no use to anything behind this line.
        kept = [(name, value) for name, value in scope["headers"] if name.lower() not in _CREDENTIALS]
        inner = {**scope, "headers": kept, "user": user, GUEST: guest}
        await self._manager.handle_request(inner, receive, writing_lists(inner, send))

    def _base(self, scope: Scope) -> str:
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        is_ours = self._public_url or not host.startswith(tuple(one.removesuffix(":*") for one in _LOOPBACK))
        return self._public_url if is_ours else f"{scope.get('scheme', 'http')}://{host}"

    def _metadata(self, scope: Scope) -> dict[str, object]:
        found: dict[str, object] = {"resource": f"{self._base(scope)}/mcp", "bearer_methods_supported": ["header"]}
        if self._authorization_servers:
            found["authorization_servers"] = list(self._authorization_servers)
        return found


_CREDENTIALS: Final = frozenset({b"authorization", b"x-api-key", b"cookie", b"proxy-authorization"})


async def _answer(send: Send, status: int, body: dict[str, object], *more: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", b"application/json"), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": msgspec.json.encode(body)})
