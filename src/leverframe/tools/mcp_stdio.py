"""Tools of MCP servers over stdio: one process and one session for each server, shared by all calls.

Knows: when a server is started, and again after it crashed; what an answer of the protocol means for the effect.
Never: starts a server that the project does not call trusted, since this version has no sandbox for it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, assert_never

from leverframe.core import canonical
from leverframe.core.nearest import nearest
from leverframe.domain.calls import ToolAnswer, ToolFailed, ToolLost, ToolOk, ToolRequest
from leverframe.domain.contracts import McpServer
from leverframe.domain.errors import JsonInvalid, ToolUnavailable
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.pins import Closed, Offering
from leverframe.domain.tools import McpOrigin, ToolSpec
from leverframe.ports.acting import ToolExecutor
from leverframe.tools.mcp_session import NoReply, ProtocolError, Reply, ServerSession
from leverframe.tools.pin_book import PinBook
from leverframe.tools.results import MAX_RESULT_BYTES, within

_FIRST_BACK_OFF_S: Final = 0.25
_MAX_BACK_OFF_S: Final = 30.0
_START_WAIT_S: Final = 30.0
# JSON-RPC: the request was not understood, so no tool ran (parse error, invalid request, no such method or arguments).
_NOT_RUN: Final = frozenset({-32700, -32600, -32601, -32602})


class McpStdioTools(ToolExecutor):
    """All MCP servers of a project, each started at its first use."""

    def __init__(self, servers: Mapping[str, McpServer], root: Path, pins: PinBook) -> None:
        self._pins = pins
        self._upstreams = {name: _Upstream(server, root) for name, server in servers.items()}

    async def execute(self, request: ToolRequest) -> ToolAnswer:
        """Do one attempt."""
        spec = request.spec
        loop = asyncio.get_running_loop()
        deadline = loop.time() + request.deadline_s
        try:
            origin, upstream = self._upstream(spec)
            session = await upstream.session(request.deadline_s)
            offering = await session.offering(max(deadline - loop.time(), 0.0))
        except ToolUnavailable as err:
            return ToolLost(message=str(err), kind="connect", has_left=False)
        refusal = self._pins.check(origin, offering)
        if refusal is not None:
            return ToolLost(message=refusal.message, kind=refusal.slug, has_left=False)
        arguments: dict[str, Json] = dict(request.args)
        if spec.idempotency_argument:
            arguments[spec.idempotency_argument] = request.idempotency_key
        reply = await session.call(origin.name, arguments, max(deadline - loop.time(), 0.0))
        match reply:
            case Reply(result=result):
                upstream.worked()
                return _answer(result, origin)
            case ProtocolError(code=code, message=message):
                upstream.worked()
                message = f"{origin.name!r} of server {origin.server!r}: {message}"
                if code in _NOT_RUN or not spec.effect.is_write:
                    return ToolFailed(message=message)
                return ToolLost(message=message, kind="crash", has_left=True)
            case NoReply(message=message, has_left=has_left):
                kind = "timeout" if reply.is_timeout else "garbage" if reply.is_garbled else "crash"
                return ToolLost(message=message, kind=kind if has_left else "connect", has_left=has_left)
            case _:
                assert_never(reply)

    async def ready(self, spec: ToolSpec) -> str:
        """Say why this tool cannot be called now; starts its server."""
        try:
            origin, _ = self._upstream(spec)
            offering = await self.offering(origin.server)
        except ToolUnavailable as err:
            return str(err)
        if origin.name not in offering.tools:
            close = nearest(origin.name, offering.tools)
            known = ", ".join(sorted(offering.tools)[:20]) or "none"
            hint = f"Did you mean {close!r}?" if close else f"It has: {known}."
            return f"Server {origin.server!r} has no tool {origin.name!r}, which {spec.name!r} names.  {hint}"
        refusal = self._pins.check(origin, offering)
        return "" if refusal is None else f"{refusal.message}  See it and say so: leverframe tools diff {spec.name}"

    def closed(self, spec: ToolSpec) -> Closed | None:
        """Why no call of this tool may be sent, as far as is known without starting or asking its server."""
        return self._pins.known(spec.origin) if isinstance(spec.origin, McpOrigin) else None

    async def offering(self, server: str) -> Offering:
        """What a server says of itself now; starts it.

        Raises:
            ToolUnavailable: the project has no such server, or it does not start or answer.
        """
        session = await self._named(server, "what is asked for").session(_START_WAIT_S)
        return await session.offering(_START_WAIT_S)

    async def close(self) -> None:
        """Stop every server."""
        await asyncio.gather(*(upstream.close() for upstream in self._upstreams.values()))

    def _upstream(self, spec: ToolSpec) -> "tuple[McpOrigin, _Upstream]":
        if not isinstance(spec.origin, McpOrigin):
            raise ToolUnavailable(f"Tool {spec.name!r} is not a tool of an MCP server.", next_move="Mend its `from`.")
        return spec.origin, self._named(spec.origin.server, f"tool {spec.name!r}")

    def _named(self, name: str, who: str) -> "_Upstream":
        if name not in self._upstreams:
            close = nearest(name, self._upstreams)
            raise ToolUnavailable(
                f"The project has no server {name!r}, which {who} names.",
                next_move=f"Did you mean {close!r}?" if close else "Add it to `servers` of leverframe.yaml.",
            )
        return self._upstreams[name]


class _Upstream:
    """One server, whatever the number of times it was started."""

    def __init__(self, server: McpServer, root: Path) -> None:
        self._server = server
        self._root = root
        self._session: ServerSession | None = None
        self._failures = 0
        self._not_before = 0.0  # of the loop's clock
        self._starting = asyncio.Lock()

    async def session(self, within_s: float) -> ServerSession:
        """The running session, started or started again where it must be.

        A start that takes longer than `within_s` goes on, and serves the next call.

        Raises:
            ToolUnavailable: not in this time, or not at all; nothing was sent.
        """
        if not self._server.trusted_because:
            raise ToolUnavailable(
                f"Server {self._server.name!r} is foreign code, and this version has no sandbox to run it in.",
                next_move='Where you trust it, add trusted_process: {because: "..."} in leverframe.yaml.',
            )
        try:
            async with asyncio.timeout(within_s):
                async with self._starting:
                    if self._session is None or not self._session.is_alive:
                        self._session = await self._start()
                    session = self._session
                await asyncio.shield(session.ready)
        except TimeoutError as err:
            raise ToolUnavailable(
                f"Server {self._server.name!r} was not ready within {within_s:g} s; nothing was sent.",
                next_move="Try again, or give its tools a longer timeout_s.",
            ) from err
        return session

    @property
    def is_running(self) -> bool:
        """Whether a request sent now may be answered without a start."""
        return self._session is not None and self._session.is_alive

    def worked(self) -> None:
        """It answered: the next crash is a first one."""
        self._failures = 0

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _start(self) -> ServerSession:
        loop = asyncio.get_running_loop()
        if self._session is not None:
            self._failures += 1
            await self._session.close()
            self._session = None
            self._not_before = loop.time() + back_off_s(self._failures)
        await asyncio.sleep(max(self._not_before - loop.time(), 0.0))
        return ServerSession(self._server.name, self._server.command, self._root)


def back_off_s(failures: int) -> float:
    """Seconds before the next start: the first restart comes at once, later ones after 0.25, 0.5, 1, ... 30."""
    if failures <= 1:
        return 0.0
    return min(_MAX_BACK_OFF_S, _FIRST_BACK_OFF_S * (1 << min(failures - 2, 20)))


def _answer(result: JsonObject, origin: McpOrigin) -> ToolAnswer:
    """What a `CallToolResult` says.  Source: MCP specification 2025-11-25, server/tools."""
    name = f"{origin.name!r} of server {origin.server!r}"
    content = result.get("content")
    if result.get("resultType", "complete") != "complete" or not isinstance(content, Sequence | None):
        kind = result.get("resultType", "no content")
        return ToolLost(message=f"{name} gave no result ({kind})", kind="garbage", has_left=True)
    value = result.get("structuredContent")
    if value is None:
        value = _content_value(content or ())
    if result.get("isError") is True:
        text = value if isinstance(value, str) else canonical.encode(value).decode()
        return ToolFailed(message=text[:500] or f"{name} refused", value=value)
    try:
        return ToolOk(value=within(value, MAX_RESULT_BYTES))
    except JsonInvalid as err:
        return ToolLost(message=f"{name}: {err.message}", kind="garbage", has_left=True)


def _content_value(content: Sequence[Json]) -> Json:
    """Text blocks as one text, or as the JSON that it is; other blocks as they came."""
    texts = [block.get("text") for block in content if isinstance(block, Mapping) and block.get("type") == "text"]
    lines = [text for text in texts if isinstance(text, str)]
    if len(lines) != len(content):
        return list(content)
    text = "\n".join(lines)
    try:
        return canonical.decode(text.encode())
    except (JsonInvalid, UnicodeEncodeError):
        return text
