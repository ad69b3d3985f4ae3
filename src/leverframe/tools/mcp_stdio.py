"""One conversation with an MCP server over the pipes of its process.

Knows: which answer belongs to which request, and when a server is not worth listening to any more.
The SDK's transport is not used: it hands PATH, HOME and more to the server and reads fractions as floats.
Source: MCP specification, transports/stdio.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from leverframe.core import canonical
from leverframe.domain.errors import JsonInvalid
from leverframe.domain.json import Json, JsonObject
<<<<<<< HEAD
from leverframe.domain.pins import Closed, Offering
from leverframe.domain.tools import McpOrigin, ToolSpec
from leverframe.ports.acting import ToolExecutor
from leverframe.tools.mcp_session import NoReply, ProtocolError, Reply, ServerSession
from leverframe.tools.pin_book import PinBook
from leverframe.tools.results import MAX_RESULT_BYTES, within
=======
from leverframe.ports.conversation import Exchange, exchange
from leverframe.tools.mcp_peer import (
    INTERNAL_ERROR,
    Ears,
    Incoming,
    Peer,
    PeerLost,
    RpcError,
    incoming,
    what,
    with_progress,
)
from leverframe.tools.mcp_process import ServerProcess
>>>>>>> a14baca (Speak to MCP servers in both eras; run foreign ones in a sandbox)

# A server may talk without being asked; this much of it without one answer in between is a flood.
_MAX_UNASKED: Final = 10_000
_MAX_STRAYS: Final = 1_000  # answers to requests that were never made
_MAX_ASKED_AT_ONCE: Final = 16
_CANCEL_S: Final = 1.0


class StdioPeer(Peer):
    """The server at the other end of a process's pipes.  `name` is for messages."""

<<<<<<< HEAD
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
=======
    def __init__(self, name: str, process: ServerProcess, ears: Ears) -> None:
        self._name = name
        self._process = process
        self._ears = ears
        self._next = 0
        self._waiting: dict[int, tuple[asyncio.Future[JsonObject], Exchange | None]] = {}
        self._given_up: set[int] = set()
        self._unasked = self._strays = 0
        self._asked: set[asyncio.Task[None]] = set()
        self._reading = asyncio.create_task(self._read(), name=f"leverframe-mcp-{name}")
>>>>>>> a14baca (Speak to MCP servers in both eras; run foreign ones in a sandbox)

    @property
    def is_alive(self) -> bool:
        """Whether a request sent now may be answered."""
        return not self._process.has_ended and not self._reading.done()

    @property
    def ended(self) -> "asyncio.Task[None]":
        """Done when the server has said its last."""
        return self._reading

    async def request(
        self, method: str, params: JsonObject, *, deadline_s: float, headers: Mapping[str, str]
    ) -> JsonObject:
        """Send one request and wait for its answer.  A pipe has no headers."""
        del headers
        if not self.is_alive:
            raise await self._gone(method, has_left=False)
        self._next += 1
        number, answer = self._next, _future()
        self._waiting[number] = answer, exchange.get()
        has_left = False
        try:
            async with asyncio.timeout(deadline_s):
                # Once the write has begun, the message may have arrived.
                has_left = True
                sent = with_progress(params, number)
                await self._write({"jsonrpc": "2.0", "id": number, "method": method, "params": sent})
                return await answer
        except TimeoutError as err:
            await self._give_up(number, method)
            message = f"{what(method, params)} of server {self._name!r} did not answer in {deadline_s:g} s"
            raise PeerLost(message + self._trailer(), has_left=has_left, is_timeout=True) from err
        except asyncio.CancelledError:
            await self._give_up(number, method)
            raise
        except OSError as err:
            self._process.end("")
            raise await self._gone(what(method, params), has_left=has_left) from err
        except _Ended as err:
            raise await self._gone(what(method, params), has_left=has_left) from err
        finally:
            self._waiting.pop(number, None)

    async def notify(self, method: str, params: JsonObject, *, headers: Mapping[str, str]) -> None:
        """Send a notification; silence where the pipe is broken."""
        del headers
        with suppress(OSError):
            await self._write({"jsonrpc": "2.0", "method": method, "params": params})

    async def close(self) -> None:
        """End the process and the reading."""
        self._reading.cancel()
        await asyncio.wait({self._reading, *self._asked})
        await self._process.stop()

    async def _write(self, message: JsonObject) -> None:
        await self._process.write_line(canonical.encode(message))

    async def _give_up(self, number: int, method: str) -> None:
        """Tell the server, which may be wedged; `initialize` must not be cancelled."""
        self._given_up.add(number)
        if method != "initialize":
            params: JsonObject = {"requestId": number, "reason": "given up"}
            with suppress(TimeoutError):
                async with asyncio.timeout(_CANCEL_S):
                    await self.notify("notifications/cancelled", params, headers={})

    async def _read(self) -> None:
        try:
            while line := await self._process.read_line():
                # A line that does not even look like a message is a stray print, and skipped.
                if line.lstrip().startswith(b"{"):
                    self._hear(incoming(canonical.decode(line)))
        except (JsonInvalid, ValueError) as err:
            self._process.end(f"a message that is not JSON-RPC ({str(err).splitlines()[0]})")
        finally:
            for answer, _ in self._waiting.values():
                if not answer.done():
                    answer.set_exception(_Ended())
            for task in self._asked:
                task.cancel()

    def _hear(self, message: Incoming) -> None:
        if message.method:
            self._unasked += 1
            if self._unasked > _MAX_UNASKED:
                self._process.end(f"{_MAX_UNASKED:,} messages in a row that nobody asked for")
            elif message.id is None or len(self._asked) < _MAX_ASKED_AT_ONCE:
                task = asyncio.create_task(self._hear_out(message, self._during(message)))
                self._asked.add(task)
                task.add_done_callback(self._asked.discard)
            return
        number = message.id if isinstance(message.id, int) else -1
        answer, _ = self._waiting.get(number, (None, None))
        if answer is None or answer.done():
            self._stray(number)
            return
        self._unasked = 0
        if message.error is not None:
            answer.set_exception(message.error)
        else:
            answer.set_result(message.result or {})

    def _stray(self, number: int) -> None:
        if number in self._given_up:
            self._given_up.discard(number)
            return
        self._strays += 1
        if self._strays > _MAX_STRAYS:
            self._process.end(f"{_MAX_STRAYS:,} answers to requests that were never made")

    def _during(self, message: Incoming) -> Exchange | None:
        """The call that a message names, or the one that is under way; of several, nobody can tell whose it is."""
        token = (message.params or {}).get("progressToken")
        if message.method == "notifications/progress":
            return self._waiting[token][1] if isinstance(token, int) and token in self._waiting else None
        found = [one for _, one in self._waiting.values() if one is not None]
        return found[0] if found and all(one is found[0] for one in found) else None

    async def _hear_out(self, message: Incoming, during: Exchange | None) -> None:
        params = message.params or {}
        if message.id is None:
            await self._ears.told(message.method, params, during)
            return
        reply: dict[str, Json] = {"jsonrpc": "2.0", "id": message.id}
        try:
            reply["result"] = await self._ears.asked(message.method, params, during)
        except RpcError as err:
            reply["error"] = {"code": err.code, "message": err.message}
        except JsonInvalid as err:
            reply["error"] = {"code": INTERNAL_ERROR, "message": err.message}
        with suppress(OSError):
            await self._write(reply)

    async def _gone(self, what: str, *, has_left: bool) -> PeerLost:
        await self._process.silence()
        if self._process.fault:
            message = f"Server {self._name!r} sent {self._process.fault}, so nothing more is read from it"
            return PeerLost(message + self._trailer(), has_left=has_left, is_garbled=True)
        when = "before it answered" if has_left else "before it was asked for"
        return PeerLost(f"Server {self._name!r} ended {when} {what}{self._trailer()}", has_left=has_left)

    def _trailer(self) -> str:
        words = self._process.last_words
        return f"; its last words: {words}" if words else ""


def _future() -> "asyncio.Future[JsonObject]":
    return asyncio.get_running_loop().create_future()


class _Ended(Exception):
    """The server's output came to its end while a request waited."""
