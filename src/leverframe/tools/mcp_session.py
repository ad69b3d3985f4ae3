"""One conversation with one MCP server, from its start to its end.

Knows: whether a request was written, which is what tells a call that never left from one that may have had its effect.
The SDK's own stdio transport is not used: it hands PATH, HOME and more to the server, and reads fractions as floats.
"""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from leverframe import __version__
from leverframe.core import canonical
from leverframe.domain.errors import JsonInvalid, ToolUnavailable
from leverframe.domain.json import JsonObject
from leverframe.tools.mcp_process import ServerProcess
from leverframe.tools.mcp_sdk import McpSdk, load_sdk

if TYPE_CHECKING:
    from mcp.client.session import ClientSession
    from mcp.shared.message import SessionMessage

_MAX_PAGES: Final = 100
_START_S: Final = 30.0


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
        self.tools: frozenset[str] = frozenset()
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
                    await session.initialize()
                    self.tools = await _listed(session, sdk)
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


async def _listed(session: "ClientSession", sdk: McpSdk) -> frozenset[str]:
    """The names of all its tools."""
    names: set[str] = set()
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        page = await session.list_tools(params=sdk.page(cursor=cursor) if cursor else None)
        names.update(tool.name for tool in page.tools)
        cursor = page.next_cursor
        if not cursor:
            return frozenset(names)
    raise ValueError(f"its list of tools has more than {_MAX_PAGES} pages")


class _Streams:
    """The two streams that the SDK's dispatcher wants, over a process: JSON in and out with exact decimals."""

    def __init__(self, process: ServerProcess, sdk: McpSdk, ended: asyncio.Event) -> None:
        self._process = process
        self._sdk = sdk
        self._ended = ended
        self.dispatcher = sdk.dispatcher(self, self)

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
                    return self._sdk.parse(canonical.decode(line))
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
