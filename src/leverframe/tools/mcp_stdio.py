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
from leverframe.domain.json import JsonObject
from leverframe.ports.conversation import Exchange, exchange
from leverframe.tools.mcp_messages import MAX_ASKED_AT_ONCE, Garbled, Talk, heard, read_message, too_many
from leverframe.tools.mcp_peer import LISTEN, Ears, Incoming, Peer, PeerLost, what, with_progress
from leverframe.tools.mcp_process import ServerProcess

_CANCEL_S: Final = 1.0
# A server that lets a call run out of time, and after it says nothing for so long, not even to a ping, is stuck.
STUCK_S: Final = 10.0


class StdioPeer(Peer):
    """The server at the other end of a process's pipes.  `name` is for messages."""

    def __init__(self, name: str, process: ServerProcess, ears: Ears) -> None:
        self._name = name
        self._process = process
        self._ears = ears
        self._next = 0
        self._waiting: dict[int, tuple[asyncio.Future[JsonObject], Exchange | None]] = {}
        self._given_up: set[int] = set()
        self._open: set[int] = set()  # of those that wait, the ones that are to stay open
        self._talk = Talk()
        self._asked: set[asyncio.Task[None]] = set()
        self._heard = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None  # whether it is stuck
        self._reading = asyncio.create_task(self._read(), name=f"leverframe-mcp-{name}")

    @property
    def is_alive(self) -> bool:
        """Whether a request sent now may be answered."""
        return not self._process.has_ended and not self._reading.done()

    @property
    def always_hears(self) -> bool:
        """A pipe is read all the time."""
        return True

    @property
    def ended(self) -> "asyncio.Task[None]":
        """Done when the server has said its last."""
        return self._reading

    async def request(
        self, method: str, params: JsonObject, *, deadline_s: float, headers: Mapping[str, str]
    ) -> JsonObject:
        """Send one request and wait for its answer.  A pipe has no headers."""
        del headers
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline_s
        await self._not_stuck(method, params, deadline_s)
        if not self.is_alive:
            raise await self._gone(method, has_left=False)
        self._next += 1
        number, answer = self._next, _future()
        self._waiting[number] = answer, exchange.get()
        if method == LISTEN:
            self._open.add(number)
        has_left = False
        try:
            async with asyncio.timeout_at(until):
                # Once the write has begun, the message may have arrived.
                has_left = True
                sent = with_progress(params, number)
                await self._write({"jsonrpc": "2.0", "id": number, "method": method, "params": sent})
                return await answer
        except TimeoutError as err:
            await self._give_up(number, method)
            if self._looking is None and method != LISTEN and self._is_oldest(number):
                self._looking = asyncio.create_task(self._look(), name=f"leverframe-mcp-look-{self._name}")
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
            self._open.discard(number)

    async def notify(self, method: str, params: JsonObject, *, headers: Mapping[str, str]) -> None:
        """Send a notification; silence where the pipe is broken."""
        del headers
        with suppress(OSError):
            await self._write({"jsonrpc": "2.0", "method": method, "params": params})

    async def overhear(self, opened: "asyncio.Future[None]", *, headers: Mapping[str, str]) -> None:
        """Until its end; a pipe is read all the time."""
        del headers
        opened.set_result(None)
        await asyncio.wait({self._reading})

    async def close(self) -> None:
        """End the process and the reading."""
        looking = {self._looking} if self._looking is not None else set()
        for task in (self._reading, *looking):
            task.cancel()
        await asyncio.wait({self._reading, *looking, *self._asked})
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

    async def _not_stuck(self, method: str, params: JsonObject, deadline_s: float) -> None:
        """Wait while nobody knows whether the server still listens: what is not sent is not lost with it."""
        if self._looking is None:
            return
        await asyncio.wait({self._looking}, timeout=deadline_s)
        if self._looking is not None:
            message = f"Server {self._name!r} has been silent since a call ran out of time; {what(method, params)} was"
            raise PeerLost(f"{message} not sent to it", has_left=False, is_timeout=True)

    def _is_oldest(self, number: int) -> bool:
        """Whether no earlier call waits, which would be the one to judge the server by."""
        return not any(one < number for one in self._waiting.keys() - self._open)

    async def _look(self) -> None:
        """After a call ran out of time: whether the server says anything at all, if only that it knows no ping."""
        try:
            self._heard.clear()
            self._next += 1
            self._given_up.add(self._next)
            async with asyncio.timeout(STUCK_S):
                with suppress(OSError):
                    await self._write({"jsonrpc": "2.0", "id": self._next, "method": "ping", "params": {}})
                await self._heard.wait()
        except TimeoutError:
            self._process.end(f"nothing for {STUCK_S:g} s after a call ran out of time, not even to a ping")
        finally:
            self._looking = None

    async def _read(self) -> None:
        try:
            while line := await self._process.read_line():
                self._heard.set()
                # A line that does not even look like a message is a stray print, and skipped.
                if line.lstrip().startswith(b"{"):
                    self._hear(read_message(line, of="a message"))
        except Garbled as err:
            self._process.end(err.fault)
        finally:
            self._heard.set()
            for answer, _ in self._waiting.values():
                if not answer.done():
                    answer.set_exception(_Ended())
            for task in self._asked:
                task.cancel()

    def _hear(self, message: Incoming) -> None:
        if message.method:
            self._talk.unasked()
            is_over = message.id is not None and len(self._asked) >= MAX_ASKED_AT_ONCE
            work = self._reply(too_many(message)) if is_over else self._hear_out(message, self._during(message))
            task = asyncio.create_task(work)
            self._asked.add(task)
            task.add_done_callback(self._asked.discard)
            return
        number = message.id if isinstance(message.id, int) else -1
        answer, _ = self._waiting.get(number, (None, None))
        if answer is None or answer.done():
            self._stray(number)
            return
        self._talk.answered()
        if message.error is not None:
            answer.set_exception(message.error)
        else:
            answer.set_result(message.result or {})

    def _stray(self, number: int) -> None:
        if number in self._given_up:
            self._given_up.discard(number)
            return
        self._talk.stray()

    def _during(self, message: Incoming) -> Exchange | None:
        """The call that a message names, or the one that is under way; of several, nobody can tell whose it is."""
        token = (message.params or {}).get("progressToken")
        if message.method == "notifications/progress":
            return self._waiting[token][1] if isinstance(token, int) and token in self._waiting else None
        found = [one for _, one in self._waiting.values() if one is not None]
        return found[0] if found and all(one is found[0] for one in found) else None

    async def _hear_out(self, message: Incoming, during: Exchange | None) -> None:
        reply = await heard(self._ears, message, during)
        if reply is not None:
            await self._reply(reply)

    async def _reply(self, reply: JsonObject) -> None:
        with suppress(OSError):
            await self._write(reply)

    async def _gone(self, what: str, *, has_left: bool) -> PeerLost:
        await self._process.silence()
        if self._process.over:
            when = f"before it answered {what}" if has_left else f"before it was asked for {what}"
            message = f"Server {self._name!r} was stopped {when}: {self._process.over}"
            return PeerLost(message + self._trailer(), has_left=has_left)
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
