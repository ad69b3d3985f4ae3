"""The credential of one conversation with an MCP server: to whom it is sent, and that it never comes back.

Knows: one reference, one tenant, one address.  The value is resolved for each request, so that a rotated one takes
effect, and is set only on a request to that very scheme, host and port.  Whatever the server says is scrubbed of it
here, before a list, a notification, a question or an error of the server is looked at by anybody.
Never: follows a redirect (`net` does not), keeps a value beyond what must be scrubbed, or puts one into a message.
Source: MCP specification, basic/authorization ("Access Token Usage"); RFC 6750, section 2.1.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

from leverframe.core.scrub import scrubbed, scrubbed_text
from leverframe.domain.errors import SecretUnavailable
from leverframe.domain.ids import TenantId
from leverframe.domain.json import Json, JsonObject
from leverframe.net.exchange import HttpLost, HttpRequest, Limits
from leverframe.net.pool import HttpStream
from leverframe.net.url import Url
from leverframe.ports.conversation import Exchange
from leverframe.ports.secrets import Secrets
from leverframe.tools.mcp_peer import INVALID_REQUEST, Ears, Peer, PeerLost, RpcError

_UNAUTHORIZED: Final = 401
AUTHORIZATION: Final = "Authorization"


class Opens(Protocol):
    """What a transport needs of an HTTP client."""

    async def open(self, request: HttpRequest, limits: Limits) -> HttpStream | HttpLost:
        """Send a request and wait for the head of its answer."""
        ...


class Given:
    """The values that a conversation was opened with so far: what must not come back."""

    def __init__(self) -> None:
        self._values: frozenset[str] = frozenset()

    def add(self, value: str) -> None:
        """From now on this is scrubbed too."""
        if value not in self._values:
            self._values |= {value}

    def out_of(self, value: Json) -> Json:
        """The same without them."""
        return scrubbed(value, self._values) if self._values else value

    def out_of_object(self, value: JsonObject) -> JsonObject:
        """The same for an object."""
        found = self.out_of(value)
        return found if isinstance(found, Mapping) else {}

    def out_of_text(self, text: str) -> str:
        """The same for a text."""
        return scrubbed_text(text, self._values)


class CredentialedClient(Opens):
    """A client for one server: each request to its own address carries the credential, and no other request does."""

    def __init__(
        self, http: Opens, secrets: Secrets, given: Given, *, url: Url, reference: str, header: str, tenant: TenantId
    ) -> None:
        self._http = http
        self._secrets = secrets
        self._given = given
        self._place = (url.scheme, url.host, url.port)
        self._reference = reference
        self._header = header or AUTHORIZATION
        self._tenant = tenant

    async def open(self, request: HttpRequest, limits: Limits) -> HttpStream | HttpLost:
        """As the client's own, with the credential.

        Raises:
            RpcError: the server does not take the credential.
        """
        url = request.url
        if (url.scheme, url.host, url.port) != self._place:
            return HttpLost(
                kind="refused", message=f"{url.authority!r} is not the host of this credential.", has_left=False
            )
        try:
            value = await self._secrets.resolved(self._reference, tenant=self._tenant)
        except SecretUnavailable as err:
            return HttpLost(kind="refused", message=str(err), has_left=False)
        self._given.add(value)
        word = f"Bearer {value}" if self._header.lower() == AUTHORIZATION.lower() else value
        sent = HttpRequest(
            method=request.method,
            url=url,
            headers={**request.headers, self._header: word},
            body=request.body,
            is_private_allowed=request.is_private_allowed,
            may_reach=request.may_reach,
        )
        found = await self._http.open(sent, limits)
        if isinstance(found, HttpStream) and found.status == _UNAUTHORIZED:
            found.close()
            raise RpcError(
                INVALID_REQUEST, f"it does not take the credential {self._reference!r} (HTTP status {_UNAUTHORIZED})"
            )
        return found


class ScrubbedPeer(Peer):
    """A peer whose every answer is without the values that it was given."""

    def __init__(self, peer: Peer, given: Given) -> None:
        self._peer = peer
        self._given = given

    @property
    def is_alive(self) -> bool:
        """Whether a request sent now may be answered."""
        return self._peer.is_alive

    @property
    def always_hears(self) -> bool:
        """Whether what the peer says while no request is under way is heard."""
        return self._peer.always_hears

    async def request(
        self, method: str, params: JsonObject, *, deadline_s: float, headers: Mapping[str, str]
    ) -> JsonObject:
        """Send one request and wait for its answer."""
        try:
            found = await self._peer.request(method, params, deadline_s=deadline_s, headers=headers)
        except RpcError as err:
            given = self._given
            raise RpcError(err.code, given.out_of_text(err.message), given.out_of(err.data)) from None
        except PeerLost as err:
            message = self._given.out_of_text(err.message)
            if message == err.message:
                raise
            raise PeerLost(
                message, has_left=err.has_left, is_timeout=err.is_timeout, is_garbled=err.is_garbled
            ) from None
        return self._given.out_of_object(found)

    async def notify(self, method: str, params: JsonObject, *, headers: Mapping[str, str]) -> None:
        """Send a notification."""
        await self._peer.notify(method, params, headers=headers)

    async def overhear(self, opened: "asyncio.Future[None]", *, headers: Mapping[str, str]) -> None:
        """Hear what the peer says by itself."""
        try:
            await self._peer.overhear(opened, headers=headers)
        except PeerLost as err:
            raise PeerLost(self._given.out_of_text(err.message), has_left=err.has_left) from None

    async def close(self) -> None:
        """End the conversation."""
        await self._peer.close()


class ScrubbedEars(Ears):
    """Ears for a peer that has a credential: what it says by itself is without it too."""

    def __init__(self, ears: Ears, given: Given) -> None:
        self._ears = ears
        self._given = given

    async def asked(self, method: str, params: JsonObject, during: Exchange | None) -> JsonObject:
        """Answer a request of the peer."""
        return await self._ears.asked(method, self._given.out_of_object(params), during)

    async def told(self, method: str, params: JsonObject, during: Exchange | None) -> None:
        """Hear a notification."""
        await self._ears.told(method, self._given.out_of_object(params), during)
