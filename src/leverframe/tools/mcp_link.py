"""A conversation with an MCP server in the protocol that both sides speak, and what the server said of itself.

Knows: both eras.  `server/discover` asks for the stateless protocol of 2026-07-28, where every request carries its own
envelope; a server that does not know it is shaken hands with, as protocols through 2025-11-25 ask for.
Source: MCP specification, basic/lifecycle (2025-11-25) and basic/versioning (2026-07-28).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from leverframe import __version__
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.pins import Offering
from leverframe.ports.conversation import exchange
from leverframe.ports.upstreams import Listing
from leverframe.tools.mcp_headers import modern_headers, version_headers
from leverframe.tools.mcp_peer import METHOD_NOT_FOUND, UNSUPPORTED_VERSION, Peer, PeerLost, RpcError

MODERN: Final = "2026-07-28"
HANDSHAKE: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
_CLIENT: Final[JsonObject] = {"name": "leverframe", "version": __version__}
_META: Final = "io.modelcontextprotocol/"
# A server of the old era that says nothing at all to a question it does not know is greeted the old way after this.
_PROBE_S: Final = 3.0
_MAX_PAGES: Final = 100
_MAX_ITEMS: Final = 10_000
_LIST_S: Final = 30.0
# How old a list may be of a server whose word that it changed may not be heard.
FRESH_S: Final = 60.0
_METHODS: Final = {
    Listing.TOOLS: "tools/list",
    Listing.RESOURCES: "resources/list",
    Listing.TEMPLATES: "resources/templates/list",
    Listing.PROMPTS: "prompts/list",
}
_OFFERED: Final = {
    Listing.TOOLS: "tools",
    Listing.RESOURCES: "resources",
    Listing.TEMPLATES: "resources",
    Listing.PROMPTS: "prompts",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What was agreed on: the protocol's version, and what the server says it can do and is."""

    version: str
    capabilities: JsonObject
    server: JsonObject

    @property
    def is_modern(self) -> bool:
        """Whether requests carry their own envelope."""
        return self.version == MODERN


class Link:
    """A greeted server."""

    def __init__(self, peer: Peer, greeting: Greeting, capabilities: JsonObject) -> None:
        self.peer = peer
        self.greeting = greeting
        self._capabilities = capabilities
        self._lists: dict[Listing, Sequence[JsonObject]] = {}
        self._asked_at: dict[Listing, float] = {}  # of the loop's clock
        self._listing = asyncio.Lock()
        self._offering: Offering | None = None
        self._offered: Sequence[JsonObject] = ()

    async def request(self, method: str, params: JsonObject, *, deadline_s: float) -> JsonObject:
        """One request in the agreed protocol.  Raises `RpcError` or `PeerLost`."""
        if not self.greeting.is_modern:
            headers = version_headers(self.greeting.version)
            return await self.peer.request(method, params, deadline_s=deadline_s, headers=headers)
        headers = modern_headers(self.greeting.version, method, params, self._schema(method, params))
        round_, capabilities = exchange.get(), self._capabilities
        if round_ is not None and round_.can_answer is not None:
            capabilities = {name: one for name, one in capabilities.items() if name in round_.can_answer}
        sent = _enveloped(params, capabilities, round_.log_level if round_ is not None else "")
        return await self.peer.request(method, sent, deadline_s=deadline_s, headers=headers)

    async def overhear(self, opened: "asyncio.Future[None]") -> None:
        """Hear what the server says by itself, in the older protocols.  Raises `RpcError` or `PeerLost`."""
        await self.peer.overhear(opened, headers=version_headers(self.greeting.version))

    async def listed(self, listing: Listing) -> Sequence[JsonObject]:
        """One list of the server, from memory where it was asked for lately; empty where it keeps none.

        Raises:
            RpcError: the server refuses.
            PeerLost: no answer.
            ValueError: the list is no list, or never ends.
        """
        async with self._listing:
            now = asyncio.get_running_loop().time()
            found = self._lists.get(listing)
            is_old = not self.peer.always_hears and now - self._asked_at.get(listing, now) > FRESH_S
            if found is None or is_old:
                asked = await self._ask_for(listing)
                self._asked_at[listing] = now
                # An equal list is the one that was there: what was made of it stays as it is.
                found = self._lists[listing] = found if found == asked else asked
            return found

    async def offering(self) -> Offering:
        """Who the server is and what tools it has; the same value until it says that they changed.

        Raises:
            RpcError, PeerLost: no list.
            ValueError: the list is no list, or has a tool twice.
        """
        tools = await self.listed(Listing.TOOLS)
        if self._offering is None or self._offered is not tools:
            self._offering, self._offered = _offering(self.greeting.server, tools), tools
        return self._offering

    def forget(self, listing: Listing) -> None:
        """The server says that a list changed; it is asked for again when it is next looked at."""
        self._lists.pop(listing, None)
        if listing is Listing.RESOURCES:
            self._lists.pop(Listing.TEMPLATES, None)

    async def _ask_for(self, listing: Listing) -> Sequence[JsonObject]:
        if _OFFERED[listing] not in self.greeting.capabilities:
            return ()
        items: list[JsonObject] = []
        cursor: Json = None
        for _ in range(_MAX_PAGES):
            params: JsonObject = {} if cursor is None else {"cursor": cursor}
            try:
                page = await self.request(_METHODS[listing], params, deadline_s=_LIST_S)
            except RpcError as err:
                # A server with resources need not have templates of them.
                if err.code == METHOD_NOT_FOUND and not items:
                    return ()
                raise
            found = page.get(listing.value)
            if not isinstance(found, list | tuple) or not all(isinstance(one, Mapping) for one in found):
                raise ValueError(f"its answer to {_METHODS[listing]} has no list {listing.value!r}")
            items.extend(one for one in found if isinstance(one, Mapping))
            cursor = page.get("nextCursor")
            if cursor is None:
                return items
            if len(items) > _MAX_ITEMS:
                break
        raise ValueError(f"its {listing.value} do not end after {len(items):,} entries")

    def _schema(self, method: str, params: JsonObject) -> JsonObject:
        """The input schema of the tool that is called, which may name arguments to repeat as headers."""
        if method != "tools/call":
            return {}
        for tool in self._lists.get(Listing.TOOLS, ()):
            schema = tool.get("inputSchema")
            if tool.get("name") == params.get("name") and isinstance(schema, Mapping):
                return schema
        return {}


def _offering(info: JsonObject, tools: Sequence[JsonObject]) -> Offering:
    found: dict[str, JsonObject] = {}
    for tool in tools:
        name = tool.get("name")
        if not isinstance(name, str):
            raise ValueError("its list of tools is none")  # noqa: TRY004 what it says is wrong, not our argument
        if name in found:
            raise ValueError(f"its list has the tool {name!r} twice")
        found[name] = tool
    return Offering(info=info, tools=found)


async def greet(peer: Peer, capabilities: JsonObject, *, deadline_s: float, is_handshake: bool = False) -> Link:
    """Agree on a protocol with a server.

    Args:
        peer: the server.
        capabilities: what we say that we can be asked.
        deadline_s: for all of it.
        is_handshake: whether to speak the older protocols alone, where a server can ask in the middle of a call.

    Raises:
        RpcError: the server refuses every protocol that we speak.
        PeerLost: no answer.
        ValueError: its answer is not one.
    """
    if is_handshake:
        return Link(peer, await _shake_hands(peer, capabilities, deadline_s), capabilities)
    discovering = asyncio.create_task(_discover(peer, capabilities, deadline_s))
    try:
        await asyncio.wait({discovering}, timeout=min(_PROBE_S, deadline_s))
        if discovering.done():
            found = discovering.result()
            return Link(peer, found or await _shake_hands(peer, capabilities, deadline_s), capabilities)
        return await _either(peer, discovering, capabilities, deadline_s)
    finally:
        discovering.cancel()
        await asyncio.wait({discovering})


async def _either(
    peer: Peer, discovering: "asyncio.Task[Greeting | None]", capabilities: JsonObject, deadline_s: float
) -> Link:
    # It may be slow to start, or silent about what it does not know: whichever answer comes first decides.
    shaking = asyncio.create_task(_shake_hands(peer, capabilities, deadline_s))
    try:
        await asyncio.wait({discovering, shaking}, return_when=asyncio.FIRST_COMPLETED)
        found = discovering.result() if discovering.done() else None
        return Link(peer, found or await shaking, capabilities)
    except RpcError as err:
        if err.code != UNSUPPORTED_VERSION:
            raise
        found = await discovering
        if found is None:
            raise
        return Link(peer, found, capabilities)
    finally:
        shaking.cancel()
        await asyncio.wait({shaking})


async def _discover(peer: Peer, capabilities: JsonObject, deadline_s: float) -> Greeting | None:
    """What a server of the 2026-07-28 protocol says; None: it is of the older ones."""
    headers = modern_headers(MODERN, "server/discover", {}, {})
    try:
        said = await peer.request(
            "server/discover", _enveloped({}, capabilities), deadline_s=deadline_s, headers=headers
        )
    except RpcError:
        # Whatever the error is, the handshake tells for certain.
        return None
    except PeerLost as err:
        if err.is_timeout:
            return None
        raise
    versions, offered = said.get("supportedVersions"), said.get("capabilities")
    if not isinstance(versions, list | tuple) or MODERN not in versions:
        return None
    meta = said.get("_meta")
    server = meta.get(f"{_META}serverInfo") if isinstance(meta, Mapping) else None
    return Greeting(
        version=MODERN,
        capabilities=offered if isinstance(offered, Mapping) else {},
        server=server if isinstance(server, Mapping) else {},
    )


async def _shake_hands(peer: Peer, capabilities: JsonObject, deadline_s: float) -> Greeting:
    params: JsonObject = {"protocolVersion": HANDSHAKE[0], "capabilities": capabilities, "clientInfo": _CLIENT}
    said = await peer.request("initialize", params, deadline_s=deadline_s, headers={})
    version, offered, server = said.get("protocolVersion"), said.get("capabilities"), said.get("serverInfo")
    if version not in HANDSHAKE or not isinstance(version, str):
        raise ValueError(f"it speaks protocol {version!r}, and we speak {MODERN} and {', '.join(HANDSHAKE)}")
    await peer.notify("notifications/initialized", {}, headers=version_headers(version))
    return Greeting(
        version=version,
        capabilities=offered if isinstance(offered, Mapping) else {},
        server=server if isinstance(server, Mapping) else {},
    )


def _enveloped(params: JsonObject, capabilities: JsonObject, log_level: str = "") -> JsonObject:
    meta = params.get("_meta")
    wanted: JsonObject = {f"{_META}logLevel": log_level} if log_level else {}
    return {
        **params,
        "_meta": {
            **(meta if isinstance(meta, Mapping) else {}),
            f"{_META}protocolVersion": MODERN,
            f"{_META}clientInfo": _CLIENT,
            f"{_META}clientCapabilities": capabilities,
            **wanted,
        },
    }
