"""The ASGI application at `/mcp`: who asks, from where, and then the protocol.

Knows: that a page of a browser must not reach us (Host and Origin), that a request without a live credential gets 401
with the address of RFC 9728's metadata, and that the caller's credential goes no further than here.
Source: MCP specification 2025-11-25 and 2026-07-28, basic/transports and basic/authorization; RFC 9728, section 3.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import Receive, Scope, Send

from leverframe.domain.access import TokenAccess
from leverframe.domain.errors import AuthRefused, IssuerUnavailable, LeverframeError, ScopeMissing, TokenRefused
from leverframe.mcp.guests import ApprovalUrl, Guests
from leverframe.mcp.requests import GUEST
from leverframe.mcp.server import AgentServer
from leverframe.mcp.sessions import RETRY_MS, Sessions
from leverframe.mcp.tool_lists import writing_lists
from leverframe.ports.upstreams import Upstreams

METADATA_PATH: Final = "/.well-known/oauth-protected-resource/mcp"
# Of the path-less form: where clients look that do not follow `WWW-Authenticate`.
METADATA_PATHS: Final = (METADATA_PATH, "/.well-known/oauth-protected-resource")
_MAX_BODY_BYTES: Final = 4 << 20
# A session with no request and no stream for so long is over: what it watches is not watched for nobody.
_IDLE_S: Final = 4 * 3_600.0
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
        access: whose access tokens are taken (RFC 9728), for which resource; None: API keys alone.
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
        access: TokenAccess | None = None,
        keeps_sessions: bool = True,
    ) -> None:
        self._guests = guests
        self._public_url = public_url.rstrip("/")
        self._access = access
        host = self._public_url.partition("://")[2]
        self._security = TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=[*_LOOPBACK, *([host] if host else [])],
            allowed_origins=[
                *(f"http://{one}" for one in _LOOPBACK),
                *([self._public_url] if host else []),
            ],
        )
        agents = AgentServer(upstreams, approval_url, has_sessions=keeps_sessions)
        self._manager = Sessions(
            agents.build(),
            security_settings=self._security,
            stateless=not keeps_sessions,
            retry_interval=RETRY_MS,
            max_request_body_size=_MAX_BODY_BYTES,
            session_idle_timeout=_IDLE_S if keeps_sessions else None,
        )
        self._manager.ended = agents.ended

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Within this, requests are served.  Once for each object."""
        async with self._manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        if scope["path"] in METADATA_PATHS:
            await self._tell_metadata(scope, send)
            return
        # Names in any case: the same header twice is joined, so that two readers see one value.
        headers: dict[str, str] = {}
        for raw_name, raw in scope["headers"]:
            name, value = raw_name.decode("latin-1").lower(), raw.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        try:
            guest = await self._guests.admit(headers)
        except (AuthRefused, ScopeMissing, IssuerUnavailable) as err:
            await self._refuse(scope, send, err)
            return
        user = AuthenticatedUser(AccessToken(token="", client_id=guest.name, scopes=[]))
        # What the credential was is of no use to anything behind this line.
        kept = [(name, value) for name, value in scope["headers"] if name.lower() not in _CREDENTIALS]
        inner = {**scope, "headers": kept, "user": user, GUEST: guest}
        await self._manager.handle_request(inner, receive, writing_lists(inner, send))

    async def _tell_metadata(self, scope: Scope, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            await _answer(send, 405, {}, (b"allow", b"GET, HEAD"))
            return
        await _answer(send, 200, self._metadata(scope))

    async def _refuse(self, scope: Scope, send: Send, err: LeverframeError) -> None:
        """A problem document, with what RFC 6750 and RFC 9728 have a client told in the header."""
        said = [f'resource_metadata="{self._base(scope)}{METADATA_PATH}"']
        if isinstance(err, TokenRefused):
            said = ['error="invalid_token"', f'error_description="{err.why}"', *said]
        if isinstance(err, ScopeMissing):
            said = ['error="insufficient_scope"', *said]
        if self._access is not None and self._access.scopes:
            said.append(f'scope="{" ".join(self._access.scopes)}"')
        headers = [(b"www-authenticate", f"Bearer {', '.join(said)}".encode("latin-1"))]
        if isinstance(err, IssuerUnavailable):
            headers = [(b"retry-after", b"10")]
        body: dict[str, object] = {
            "type": f"/problems/{err.slug}",
            "title": err.slug.replace("-", " "),
            "status": err.status,
            "detail": err.message,
            "next_move": err.next_move,
        }
        await _answer(send, err.status, body, *headers, kind=b"application/problem+json")

    def _base(self, scope: Scope) -> str:
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        is_ours = self._public_url or not host.startswith(tuple(one.removesuffix(":*") for one in _LOOPBACK))
        return self._public_url if is_ours else f"{scope.get('scheme', 'http')}://{host}"

    def _metadata(self, scope: Scope) -> dict[str, object]:
        found: dict[str, object] = {"resource": f"{self._base(scope)}/mcp", "bearer_methods_supported": ["header"]}
        if self._access is not None:
            found["resource"] = self._access.audience
            found["authorization_servers"] = [self._access.issuer]
            if self._access.scopes:
                found["scopes_supported"] = list(self._access.scopes)
        return found


_CREDENTIALS: Final = frozenset({b"authorization", b"x-api-key", b"cookie", b"proxy-authorization"})


async def _answer(
    send: Send,
    status: int,
    body: dict[str, object],
    *more: tuple[bytes, bytes],
    kind: bytes = b"application/json",
) -> None:
    headers = [(b"content-type", kind), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": msgspec.json.encode(body)})
