"""One conversation with one MCP server, from its start to its end.

Knows: whether a request was written, which is what tells a call that never left from one that may have had its effect.
The SDK's own stdio transport is not used: it hands PATH, HOME and more to the server, and reads fractions as floats.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from leverframe import __version__
from leverframe.core import canonical
from leverframe.domain.errors import JsonInvalid, ToolUnavailable
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.pins import Offering
from leverframe.tools.mcp_process import ServerProcess
from leverframe.tools.mcp_sdk import McpSdk, load_sdk

if TYPE_CHECKING:
    from mcp.shared.message import SessionMessage

_MAX_PAGES: Final = 100
_START_S: Final = 30.0
_LIST_CHANGED: Final = "notifications/tools/list_changed"


@dataclass(slots=True)
class _Sending:
    """Whether the request of this call was handed to the pipe."""

    has_left: bool = False


_sending: ContextVar[_Sending] = ContextVar("leverframe_mcp_sending")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The server answered, with the raw `result` of the protocol."""

    result: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolError:
    """The server answered with a JSON-RPC error."""

    code: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoReply:
    """It did not answer: in time (`is_timeout`), or ever."""

    message: str
    has_left: bool
    is_timeout: bool = False
    is_garbled: bool = False


class ServerSession:
    """A server that was started, shaken hands with and asked for its tools."""

    def __init__(self, name: str, command: Sequence[str], root: Path) -> None:
        self._name = name
        self._command = command
        self._root = root
        self._closing = asyncio.Event()
        self._process: ServerProcess | None = None
        self._streams: _Streams | None = None
        self._sdk: McpSdk | None = None
        self._offering = Offering(info={}, tools={})
        self._relisting = asyncio.Lock()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Looked at here too, so that a start which nobody waits for any more is not reported as lost.
        self.ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())
        self._task = asyncio.create_task(self._run(), name=f"leverframe-mcp-{name}")

    @property
    def is_alive(self) -> bool:
        """Whether a request sent now may be answered."""
        return not self._task.done() and not (self._process is not None and self._process.has_ended)

    async def call(self, tool: str, arguments: JsonObject, deadline_s: float) -> Reply | ProtocolError | NoReply:
        """Send one `tools/call`.  Only after `ready`."""
        assert self._sdk is not None  # noqa: S101 ready() came first
        assert self._streams is not None  # noqa: S101 ready() came first
        sending = _Sending()
        token = _sending.set(sending)
        parameters = {"name": tool, "arguments": dict(arguments)}
        try:
            # Not by `ClientSession.call_tool`, which would turn decimals into strings on their way out.
            async with asyncio.timeout(deadline_s):
                result = await self._streams.dispatcher.send_raw_request("tools/call", parameters)
        except TimeoutError:
            message = f"{tool!r} of server {self._name!r} did not answer in {deadline_s:g} s{self._trailer()}"
            return NoReply(message=message, has_left=sending.has_left, is_timeout=True)
        except self._sdk.error as err:
            if not self.is_alive:
                return await self._gone(tool, has_left=sending.has_left)
            return ProtocolError(code=err.code, message=err.message)
        finally:
            _sending.reset(token)
        return Reply(result=result)

    async def offering(self, deadline_s: float) -> Offering:
        """Who the server is and what it has; asked again after it said that its tools changed.  Only after `ready`.

        Raises:
            ToolUnavailable: it does not answer, or answers with no list.
        """
        assert self._streams is not None  # noqa: S101 ready() came first
        if not self._streams.is_list_stale:
            return self._offering
        try:
            async with asyncio.timeout(deadline_s), self._relisting:
                if self._streams.is_list_stale:
                    # Before it is asked: a change while it answers is asked for once more.
                    self._streams.is_list_stale = False
                    self._offering = await _listed(self._streams, self._offering.info)
        # What a server answers in place of its list is its own affair: every kind of it closes the tool.
        except (TimeoutError, ValueError, self._error) as err:
            self._streams.is_list_stale = True
            raise ToolUnavailable(
                f"Server {self._name!r} said that its tools changed and does not list them: {err or 'no answer'}",
                next_move="Nothing was sent.  Ask again, or look at the server.",
            ) from err
        return self._offering

    @property
    def _error(self) -> type[Exception]:
        assert self._sdk is not None  # noqa: S101 ready() came first
        return self._sdk.error

    async def close(self) -> None:
        """End the conversation and the process."""
        self._closing.set()
        await asyncio.wait({self._task})

    async def _gone(self, tool: str, *, has_left: bool) -> NoReply:
        fault = ""
        if self._process is not None:
            await self._process.silence()
            fault = self._process.fault
        if fault:
            message = f"Server {self._name!r} sent {fault}, so nothing more is read from it{self._trailer()}"
            return NoReply(message=message, has_left=has_left, is_garbled=True)
        when = "before it answered" if has_left else "before it was asked for"
        return NoReply(message=f"Server {self._name!r} ended {when} {tool!r}{self._trailer()}", has_left=has_left)

    def _trailer(self) -> str:
        words = self._process.last_words if self._process is not None else ""
        return f"; its last words: {words}" if words else ""

    async def _run(self) -> None:
        try:
            self._process = await ServerProcess.start(self._command, self._root)
            try:
                await self._converse(self._process)
            finally:
                await self._process.stop()
        except ToolUnavailable as err:
            self._fail(err)
        finally:
            self._fail(self._not_started("it was stopped"))

    async def _converse(self, process: ServerProcess) -> None:
        # The process starts while we import; both take about a second.
        self._sdk = sdk = await load_sdk()
        self._streams = streams = _Streams(process, sdk, self._closing)
        client = sdk.implementation(name="leverframe", version=__version__)
        async with sdk.session(dispatcher=streams.dispatcher, client_info=client) as session:
            # Nothing may be raised in here: the SDK's task group would wrap it.
            try:
                async with asyncio.timeout(_START_S):
                    about = await session.initialize()
                    info = about.server_info.model_dump(mode="python", by_alias=True, exclude_unset=True)
                    self._offering = await _listed(streams, info)
            except TimeoutError:
                self._fail(self._not_started(f"no handshake in {_START_S:g} s"))
            except (sdk.error, RuntimeError, ValueError) as err:
                reason = "it ended during the handshake" if process.has_ended else str(err).splitlines()[0]
                # Its last words may still be in the pipe.
                await process.silence()
                self._fail(self._not_started(process.fault or reason))
            else:
                self.ready.set_result(None)
                await self._closing.wait()

    def _not_started(self, reason: str) -> ToolUnavailable:
        return ToolUnavailable(
            f"Server {self._name!r} did not start: {reason}{self._trailer()}.",
            next_move=f"Run it by hand: {' '.join(self._command)}",
        )

    def _fail(self, error: ToolUnavailable) -> None:
        if not self.ready.done():
            self.ready.set_exception(error)


async def _listed(streams: "_Streams", info: JsonObject) -> Offering:
    """All its tools, each definition exactly as it was sent; of two with one name the list is refused."""
    tools: dict[str, JsonObject] = {}
    cursor: Json = None
    for _ in range(_MAX_PAGES):
        page = await streams.dispatcher.send_raw_request("tools/list", {"cursor": cursor} if cursor else None)
        for tool in _definitions(page):
            name = str(tool["name"])
            if name in tools:
                raise ValueError(f"its list has the tool {name!r} twice")
            tools[name] = tool
        cursor = page.get("nextCursor")
        if not cursor:
            return Offering(info=info, tools=tools)
    raise ValueError(f"its list of tools has more than {_MAX_PAGES} pages")


def _definitions(page: JsonObject) -> list[JsonObject]:
    found = page.get("tools")
    tools = [one for one in found if isinstance(one, Mapping)] if isinstance(found, list | tuple) else None
    if tools is None or any(not isinstance(one.get("name"), str) for one in tools):
        raise ValueError("its list of tools is none")
    return tools


class _Streams:
    """The two streams that the SDK's dispatcher wants, over a process: JSON in and out with exact decimals."""

    def __init__(self, process: ServerProcess, sdk: McpSdk, ended: asyncio.Event) -> None:
        self._process = process
        self._sdk = sdk
        self._ended = ended
        self.dispatcher = sdk.dispatcher(self, self)
        self.is_list_stale = False  # the server said that its tools changed, and was not asked since

    async def send(self, item: "SessionMessage", /) -> None:
        """Write one message whole.  Once this has begun, the message may have arrived."""
        if self._process.has_ended:
            raise self._sdk.closed
        line = canonical.encode(item.message.model_dump(mode="python", by_alias=True, exclude_unset=True))
        sending = _sending.get(None)
        if sending is not None:
            sending.has_left = True
        try:
            await self._process.write_line(line)
        except OSError as err:
            self._process.end("")
            raise self._sdk.closed from err

    async def receive(self) -> "SessionMessage | Exception":
        """The next message; a line that does not even look like one is a stray print, and skipped."""
        while line := await self._process.read_line():
            if line.lstrip().startswith(b"{"):
                try:
                    message = canonical.decode(line)
                    if isinstance(message, Mapping) and message.get("method") == _LIST_CHANGED:
                        self.is_list_stale = True
                    return self._sdk.parse(message)
                except (JsonInvalid, ValueError) as err:
                    self._process.end(f"a message that is not JSON-RPC ({str(err).splitlines()[0]})")
        self._ended.set()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Nothing of its own to close; the session stops the process."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> "SessionMessage | Exception":
        return await self.receive()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
