"""Tools of MCP servers: one conversation for each server and tenant, shared by all of the tenant's calls.

Knows: what an answer of the protocol means for the effect.  Never: lets two tenants share a process of foreign
code, which may remember; lets an answer of a server stand for a person's approval.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from leverframe.core import canonical
from leverframe.core.nearest import nearest
from leverframe.domain.calls import ToolAnswer, ToolFailed, ToolLost, ToolOk, ToolRequest
from leverframe.domain.contracts import McpServer
from leverframe.domain.errors import JsonInvalid, ToolUnavailable
from leverframe.domain.ids import TenantId
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.pins import Closed, Offering
from leverframe.domain.tools import McpOrigin, McpPart, ToolSpec
from leverframe.net.pool import StreamClient
from leverframe.ports.acting import ToolExecutor
from leverframe.ports.conversation import InputNeeded, Unanswerable, exchange
from leverframe.ports.secrets import Secrets
from leverframe.ports.upstreams import ListChanged, Listing, Updated, Upstreams, UpstreamState, UpstreamStatus
from leverframe.tools.mcp_connect import Connector
from leverframe.tools.mcp_link import Link
from leverframe.tools.mcp_peer import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, PeerLost, RpcError
from leverframe.tools.mcp_upstream import Upstream
from leverframe.tools.pin_book import PinBook
from leverframe.tools.results import MAX_RESULT_BYTES, within

_START_WAIT_S: Final = 30.0
# MissingRequiredClientCapability of 2026-07-28.
_LACKING: Final = -32021
# The request was not understood, so no tool ran.
_NOT_RUN: Final = frozenset({PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, -32002, _LACKING})
_MAX_MESSAGE: Final = 2000
# Listing tools for nobody in particular: a tenant's own conversation is not used for it where there is another.
_NOBODY: Final = TenantId("")
_EVERYBODY: Final = TenantId("*")  # no tenant has this name
# Server, tenant, the reference of the credential that opens it.
_Whose = tuple[str, TenantId, str]
_METHODS: Final = {
    McpPart.TOOL: "tools/call",
    McpPart.RESOURCE: "resources/read",
    McpPart.PROMPT: "prompts/get",
    McpPart.COMPLETION: "completion/complete",
    McpPart.ELICITATION: "elicitation/create",
    McpPart.SAMPLING: "sampling/createMessage",
    McpPart.ROOTS: "roots/list",
}
_ASKING: Final = frozenset({McpPart.ELICITATION, McpPart.SAMPLING, McpPart.ROOTS})


class McpTools(ToolExecutor, Upstreams):
    """All MCP servers of a project, each started at its first use."""

    def __init__(
        self,
        servers: Mapping[str, McpServer],
        root: Path,
        pins: PinBook,
        secrets: Secrets,
        *,
        hidden: Sequence[Path] = (),
        tenants: Sequence[TenantId] = (),
    ) -> None:
        """`hidden`: files of ours beside the state folder, which no server may see; `tenants`: the project's."""
        self._pins = pins
        self._servers = servers
        self._http = StreamClient()
        self._connector = Connector(root=root, hidden=hidden, http=self._http, secrets=secrets)
        self._tenants = tenants
        # One conversation for each server, tenant and credential: none is continued with another's.
        self._upstreams: dict[_Whose, Upstream] = {}
        self._two_way: dict[_Whose, Upstream] = {}
        self._watchers: list[ListChanged] = []

    async def execute(self, request: ToolRequest) -> ToolAnswer:
        """Do one attempt."""
        spec, loop = request.spec, asyncio.get_running_loop()
        deadline = loop.time() + request.deadline_s
        try:
            origin, upstream = self._upstream(spec, request.tenant)
            upstream = await self._for_asking(origin, spec, request.tenant, upstream, request.deadline_s)
            if origin.part in _ASKING:
                return await _asked(origin, request.args)
            params = _params(origin, spec, request)
            offering = await _offering(origin.server, await upstream.link(request.deadline_s))
            refusal = self._pins.check(origin, offering)
            if refusal is not None:
                return ToolLost(message=refusal.message, kind=refusal.slug, has_left=False)
            result = await upstream.request(_METHODS[origin.part], params, deadline_s=deadline - loop.time())
        except ToolUnavailable as err:
            return ToolLost(message=str(err), kind="connect", has_left=False)
        except RpcError as err:
            message = f"{origin.name!r} of server {origin.server!r}: {err.message}"[:_MAX_MESSAGE]
            if err.code in _NOT_RUN or not spec.effect.is_write:
                _note_refusal(err)
                return ToolFailed(message=message)
            return ToolLost(message=message, kind="crash", has_left=True)
        except PeerLost as err:
            kind = "timeout" if err.is_timeout else "garbage" if err.is_garbled else "crash"
            return ToolLost(message=err.message, kind=kind if err.has_left else "connect", has_left=err.has_left)
        return _needs_input(result, origin, self._servers[origin.server]) or _answer(
            result, origin, is_typed=spec.output_schema is not None
        )

    async def ready(self, spec: ToolSpec) -> str:
        """Say why this tool cannot be called now; starts its server."""
        try:
            origin, _ = self._upstream(spec, self._somebody(spec))
            offering = await self.offering(origin.server)
        except ToolUnavailable as err:
            return str(err)
        if origin.part is McpPart.TOOL and origin.name not in offering.tools:
            close = nearest(origin.name, offering.tools)
            known = ", ".join(sorted(offering.tools)[:20]) or "none"
            hint = f"Did you mean {close!r}?" if close else f"It has: {known}."
            return f"Server {origin.server!r} has no tool {origin.name!r}, which {spec.name!r} names.  {hint}"
        refusal = self._pins.check(origin, offering)
        return "" if refusal is None else f"{refusal.message}  See it and say so: leverframe tools diff {spec.name}"

    def closed(self, spec: ToolSpec) -> Closed | None:
        """Why no call of this tool may be sent, as far as is known without starting or asking its server."""
        return self._pins.known(spec.origin) if isinstance(spec.origin, McpOrigin) else None

    def pin(self, spec: ToolSpec) -> str:
        """The digest of its definition in `tools.lock`."""
        return self._pins.digest(spec.origin) if isinstance(spec.origin, McpOrigin) else ""

    async def offering(self, server: str) -> Offering:
        """What a server says of itself now; starts it.

        Raises:
            ToolUnavailable: the project has no such server, or it does not start or answer.
        """
        return await _offering(server, await self._of(server, self._tenant_of(server)).link(_START_WAIT_S))

    async def close(self) -> None:
        """Stop every server."""
        await asyncio.gather(*(upstream.close() for upstream in (*self._upstreams.values(), *self._two_way.values())))
        await self._http.close()

    def statuses(self) -> Mapping[str, UpstreamStatus]:
        """Every server of the project; of one that runs for several tenants, the worst."""
        found = {name: UpstreamStatus(server=name, state=UpstreamState.IDLE) for name in self._servers}
        order = [UpstreamState.IDLE, UpstreamState.UP, UpstreamState.STARTING, UpstreamState.DOWN]
        for (name, *_), upstream in self._upstreams.items():
            status = upstream.status
            if order.index(status.state) >= order.index(found[name].state):
                found[name] = status
        return found

    async def listed(self, server: str, listing: Listing, tenant: TenantId) -> Sequence[JsonObject]:
        """One list of a server, whole, as it is for this tenant; one that nobody reviewed is not started for it."""
        self._reviewed(server)
        upstream = self._of(server, tenant)
        link = await upstream.link(_START_WAIT_S)
        try:
            return await link.listed(listing)
        except (RpcError, PeerLost, ValueError) as err:
            raise ToolUnavailable(
                f"Server {server!r} does not list its {listing.value}: {str(err)[:_MAX_MESSAGE]}",
                next_move="Look at its log.",
            ) from err

    async def follow(self, server: str, uri: str, tenant: TenantId, updated: Updated) -> Callable[[], None]:
        """Be told whenever a resource may have changed, as it is for this tenant."""
        self._reviewed(server)
        return await self._of(server, tenant).follow(uri, updated, within_s=_START_WAIT_S)

    def _reviewed(self, server: str) -> None:
        closed = self._pins.known(McpOrigin(server=server, name="", part=McpPart.RESOURCE))
        if closed is not None:
            raise ToolUnavailable(closed.message, next_move="See it and say so: leverframe tools diff")

    def watch(self, changed: ListChanged) -> None:
        """Be told whenever a list or the state of a server changes."""
        self._watchers.append(changed)

    def _tell(self, server: str, listing: Listing | None) -> None:
        if listing is None or listing is Listing.TOOLS:
            self._pins.forget(server)
        for watcher in self._watchers:
            watcher(server, listing)

    def _upstream(self, spec: ToolSpec, tenant: TenantId) -> tuple[McpOrigin, Upstream]:
        if not isinstance(spec.origin, McpOrigin):
            raise ToolUnavailable(f"Tool {spec.name!r} is not a tool of an MCP server.", next_move="Mend its `from`.")
        name = spec.origin.server
        if name not in self._servers:
            close = nearest(name, self._servers)
            raise ToolUnavailable(
                f"The project has no server {name!r}, which tool {spec.name!r} names.",
                next_move=f"Did you mean {close!r}?" if close else "Add it to `servers` of leverframe.yaml.",
            )
        return spec.origin, self._of(name, tenant, spec.credential)

    async def _for_asking(
        self, origin: McpOrigin, spec: ToolSpec, tenant: TenantId, upstream: Upstream, within_s: float
    ) -> Upstream:
        """The conversation to call in: one of the older protocols, where server and client both talk during a call.

        A server at an address can be spoken to in both; of a process there is one, with one memory.
        """
        server, round_ = self._servers[origin.server], exchange.get()
        is_two_way = round_ is not None and round_.has_way_back and bool(server.may_ask) and bool(server.url)
        if not is_two_way or not (await upstream.link(within_s)).greeting.is_modern:
            return upstream
        server = _with_credential(server, spec.credential)
        key = (origin.server, tenant, server.credential)
        found = self._two_way.get(key)
        if found is None:
            found = self._two_way[key] = self._new(server, tenant, is_handshake=True)
        try:
            await found.link(within_s)
        except ToolUnavailable:
            # It speaks the new one alone, and asks with its results.
            return upstream
        return found

    def _of(self, name: str, tenant: TenantId, credential: str = "") -> Upstream:
        """The conversation of a tenant with a server; `credential`: a tool's own, in place of the server's."""
        if name not in self._servers:
            raise ToolUnavailable(f"The project has no server {name!r}.", next_move="Look at `servers`.")
        server = _with_credential(self._servers[name], credential)
        if server.trusted_because and not server.url:
            # Our own code, as the project says: it keeps tenants apart itself, like a Python tool in this process.
            tenant = _EVERYBODY
        whose = (name, tenant, server.credential)
        found = self._upstreams.get(whose)
        # One that was started to be looked at has done nothing for anybody, and becomes the first tenant's.
        found = found or self._upstreams.pop((name, _NOBODY, server.credential), None)
        if found is not None:
            self._upstreams[whose] = found
        else:
            found = self._upstreams[whose] = self._new(server, tenant)
        return found

    def _new(self, server: McpServer, tenant: TenantId, *, is_handshake: bool = False) -> Upstream:
        return Upstream(server, partial(self._connector.connect, tenant), self._tell, is_handshake=is_handshake)

    def _somebody(self, spec: ToolSpec) -> TenantId:
        return self._tenant_of(spec.origin.server) if isinstance(spec.origin, McpOrigin) else _NOBODY

    def _tenant_of(self, server: str) -> TenantId:
        """A tenant whose conversation with the server is there already: what a server lists is no tenant's secret."""
        found = next((tenant for name, tenant, _ in self._upstreams if name == server), _NOBODY)
        if not found and server in self._servers and _is_of_one_tenant(self._servers[server]):
            # What is opened with a tenant's own credential is that tenant's from the start.
            return next(iter(self._tenants), _NOBODY)
        return found


def _with_credential(server: McpServer, credential: str) -> McpServer:
    return replace(server, credential=credential) if credential and server.url else server


def _is_of_one_tenant(server: McpServer) -> bool:
    """Whether what opens it is another for each tenant."""
    return any("{tenant}" in one for one in (server.credential, *server.env.values()))


async def _offering(server: str, link: Link) -> Offering:
    try:
        return await link.offering()
    # What a server answers in place of its list is its own affair: every kind of it closes the tool.
    except (RpcError, PeerLost, ValueError) as err:
        raise ToolUnavailable(
            f"Server {server!r} does not list its tools: {str(err)[:_MAX_MESSAGE]}",
            next_move="Nothing was sent.  Ask again, or look at the server.",
        ) from err


def _note_refusal(err: RpcError) -> None:
    """Keep the protocol's own code for the surface: a client tells a wrong request from a tool's error by it."""
    round_ = exchange.get()
    if round_ is None or err.code not in _NOT_RUN:
        return
    data = err.data.get("requiredCapabilities") if isinstance(err.data, Mapping) else None
    round_.refused = err.code
    round_.lacks = frozenset(str(kind) for kind in data) if isinstance(data, Mapping) else frozenset()


def _params(origin: McpOrigin, spec: ToolSpec, request: ToolRequest) -> JsonObject:
    arguments: dict[str, Json] = dict(request.args)
    if spec.idempotency_argument:
        arguments[spec.idempotency_argument] = request.idempotency_key
    params: dict[str, Json] = arguments
    if origin.part is McpPart.TOOL:
        params = {"name": origin.name, "arguments": arguments}
    round_ = exchange.get()
    if round_ is not None and round_.answers:
        params["inputResponses"] = round_.answers
    if round_ is not None and round_.state:
        params["requestState"] = round_.state
    return params


async def _asked(origin: McpOrigin, args: JsonObject) -> ToolAnswer:
    """A question of the server itself, decided and recorded like a call: it is put to the agent's side."""
    round_ = exchange.get()
    if round_ is None or round_.conversation is None:
        return ToolFailed(message=f"Server {origin.server!r} asks, and no conversation is there to answer.")
    try:
        answer = await round_.conversation.put(_METHODS[origin.part], args)
    except Unanswerable as err:
        return ToolFailed(message=str(err))
    return ToolOk(value=answer)


def _needs_input(result: JsonObject, origin: McpOrigin, server: McpServer) -> ToolAnswer | None:
    """A 2026-07-28 server's questions in place of a result; None where it is a result.

    The call is over without an effect, as the protocol has it: with the answers it is asked again.
    """
    if result.get("resultType") != "input_required":
        return None
    name = f"{origin.name!r} of server {origin.server!r}"
    requests, state = result.get("inputRequests") or {}, result.get("requestState") or ""
    if not isinstance(requests, Mapping) or not isinstance(state, str):
        return ToolLost(message=f"{name} asks in a form that nobody knows", kind="garbage", has_left=True)
    allowed = {_METHODS[McpPart(kind)] for kind in server.may_ask}
    asked = {str(one.get("method")) if isinstance(one, Mapping) else "" for one in requests.values()}
    if not asked <= allowed:
        odd = ", ".join(sorted(asked - allowed))
        return ToolFailed(message=f"{name} asks for {odd}, which `may_ask` of the server does not list.")
    round_ = exchange.get()
    if round_ is None:
        return ToolFailed(message=f"{name} asks for more, and no conversation is there to answer.")
    round_.needed = InputNeeded(requests=requests, state=state)
    return ToolFailed(message=f"{name} asks for more before it goes on.", kind="input-needed")


def _answer(result: JsonObject, origin: McpOrigin, *, is_typed: bool = False) -> ToolAnswer:
    """What a result says.  Source: MCP specification 2025-11-25, server/tools."""
    name = f"{origin.name!r} of server {origin.server!r}"
    kind = result.get("resultType", "complete")
    if kind != "complete":
        return ToolLost(message=f"{name} gave a result of a kind that nobody knows", kind="garbage", has_left=True)
    if origin.part is not McpPart.TOOL:
        plain = {key: value for key, value in result.items() if key not in {"_meta", "resultType"}}
        return _taken(plain, name)
    content = result.get("content")
    if not isinstance(content, Sequence | None) or isinstance(content, str):
        return ToolLost(message=f"{name} gave no result (no content)", kind="garbage", has_left=True)
    value = result.get("structuredContent")
    if value is None:
        value = _content_value(content or (), is_typed=is_typed)
    if result.get("isError") is True:
        text = value if isinstance(value, str) else canonical.encode(value).decode()
        return ToolFailed(message=text[:_MAX_MESSAGE] or f"{name} refused", value=value)
    return _taken(value, name)


def _taken(value: Json, name: str) -> ToolAnswer:
    try:
        return ToolOk(value=within(value, MAX_RESULT_BYTES))
    except JsonInvalid as err:
        return ToolLost(message=f"{name}: {err.message}", kind="garbage", has_left=True)


def _content_value(content: Sequence[Json], *, is_typed: bool) -> Json:
    """Text blocks as one text, or as the JSON that it is; other blocks as they came.

    A text that reads as a lone number or word stays a text, unless the tool says what its answers look like.
    """
    texts = [block.get("text") for block in content if isinstance(block, Mapping) and block.get("type") == "text"]
    lines = [text for text in texts if isinstance(text, str)]
    if len(lines) != len(content):
        return list(content)
    text = "\n".join(lines)
    try:
        found = canonical.decode(text.encode())
    except (JsonInvalid, UnicodeEncodeError):
        return text
    return found if is_typed or isinstance(found, Mapping | list) else text
