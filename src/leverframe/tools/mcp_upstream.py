"""One MCP server for one tenant: started, greeted, watched, and started again with back-off where it ended.

Knows: how the server is at any moment, and why.  Never: lets one server's trouble reach a call of another.
"""

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from leverframe.domain.contracts import McpServer
from leverframe.domain.errors import ToolUnavailable
from leverframe.domain.json import JsonObject
from leverframe.ports.conversation import Exchange, Unanswerable
from leverframe.ports.upstreams import ListChanged, Listing, Updated, UpstreamState, UpstreamStatus
from leverframe.tools.mcp_link import Link, greet
from leverframe.tools.mcp_peer import INTERNAL_ERROR, METHOD_NOT_FOUND, Ears, Peer, PeerLost, RpcError
from leverframe.tools.mcp_watching import Watching

_FIRST_BACK_OFF_S: Final = 0.25
_MAX_BACK_OFF_S: Final = 30.0
_START_S: Final = 30.0
# A call waits for a restart that is this near; else it is told at once.
_PATIENCE_S: Final = 2.0
_ASKS: Final = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}
_CHANGED: Final = {
    "notifications/tools/list_changed": Listing.TOOLS,
    "notifications/resources/list_changed": Listing.RESOURCES,
    "notifications/prompts/list_changed": Listing.PROMPTS,
}
_TOLD: Final = frozenset({"notifications/progress", "notifications/message"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A peer, what ends when it does (None: it has no end of its own), and what it said last."""

    peer: Peer
    ended: "asyncio.Task[None] | None" = None
    last_words: Callable[[], Awaitable[str]] = field(repr=False)


Connect = Callable[[McpServer, Ears], Awaitable[Connection]]


class Upstream(Ears):
    """One server, whatever the number of times it was started."""

    def __init__(
        self, server: McpServer, connect: Connect, changed: ListChanged, *, is_handshake: bool = False
    ) -> None:
        """`is_handshake`: speak the older protocols alone, in which a server can ask in the middle of a call."""
        self._is_handshake = is_handshake
        self._server = server
        self._connect = connect
        self._changed = changed
        self._failures = 0
        self._not_before = 0.0  # of the loop's clock
        self._reason = ""
        self._state = UpstreamState.IDLE
        self._link: Link | None = None
        self._next: asyncio.Future[Link] | None = None
        self._running: asyncio.Task[None] | None = None
        self._kick = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._watching = Watching(server.name, self._over)

    @property
    def status(self) -> UpstreamStatus:
        """How it is.  One that died is down from then on, however long its end is still being seen to."""
        state, reason = self._state, self._reason
        if state is UpstreamState.UP and (self._link is None or not self._link.peer.is_alive):
            state, reason = UpstreamState.DOWN, "it ended"
        return UpstreamStatus(
            server=self._server.name,
            state=state,
            reason=reason if state is not UpstreamState.UP else "",
            failures=self._failures,
            protocol=self._link.greeting.version if self._link is not None else "",
        )

    async def link(self, within_s: float) -> Link:
        """The running conversation, begun or begun again where it must be.

        A start that takes longer than `within_s` goes on, and serves the next call.

        Raises:
            ToolUnavailable: not in this time, or not at all; nothing was sent.
        """
        loop = asyncio.get_running_loop()
        if self._link is not None and self._link.peer.is_alive:
            return self._link
        if self._running is None:
            self._next = loop.create_future()
            self._running = asyncio.create_task(self._run(), name=f"leverframe-upstream-{self._server.name}")
        if self._link is not None:
            # It died, and the supervisor need not find that out by itself.
            self._drop()
            self._kick.set()
        wait_s = self._not_before - loop.time()
        if self._state is UpstreamState.DOWN and wait_s > min(within_s, _PATIENCE_S):
            raise ToolUnavailable(
                f"Server {self._server.name!r} is down: {self._reason}",
                next_move=f"It is started again in {wait_s:.0f} s.",
            )
        assert self._next is not None  # noqa: S101 made with the task, and anew by it
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.shield(self._next)
        except TimeoutError as err:
            raise ToolUnavailable(
                f"Server {self._server.name!r} was not ready within {within_s:g} s; nothing was sent.",
                next_move="Try again, or give its tools a longer timeout_s.",
            ) from err

    async def request(self, method: str, params: JsonObject, *, deadline_s: float) -> JsonObject:
        """One request of the running conversation.  Raises `ToolUnavailable`, `RpcError` or `PeerLost`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline_s
        link = await self.link(deadline_s)
        try:
            return await self._one(link, method, params, until)
        except PeerLost as err:
            if err.has_left or link.peer.is_alive:
                raise
        # It was gone before anything left: whoever is started in its place is asked.
        return await self._one(await self.link(max(until - loop.time(), 0.0)), method, params, until)

    async def follow(self, uri: str, updated: Updated, *, within_s: float) -> Callable[[], None]:
        """Have a resource watched, across restarts.  Raises `ToolUnavailable`."""
        return await self._watching.watch(await self.link(within_s), uri, updated)

    async def _one(self, link: Link, method: str, params: JsonObject, until: float) -> JsonObject:
        loop = asyncio.get_running_loop()
        if self._server.command and self._server.may_ask and not link.greeting.is_modern:
            # On a pipe a server's question names no call.  One call at a time, so that nobody else is asked it.
            async with self._one_at_a_time:
                return await self._request(link, method, params, until - loop.time())
        return await self._request(link, method, params, until - loop.time())

    async def close(self) -> None:
        """End the conversation and what was started for it."""
        await self._watching.close()
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
            self._running = None
        self._state = UpstreamState.IDLE

    async def asked(self, method: str, params: JsonObject, during: Exchange | None) -> JsonObject:
        """A server's own request: answered by the agent's side of the call that is under way, where it may ask."""
        if method == "ping":
            return {}
        kind = _ASKS.get(method, "")
        if kind not in self._server.may_ask:
            raise RpcError(METHOD_NOT_FOUND, f"{method} is not allowed here: it is not in `may_ask` of this server")
        if during is None or during.conversation is None:
            raise RpcError(INTERNAL_ERROR, f"{method} belongs to no call that is under way")
        try:
            return await during.conversation.ask(self._server.name, method, params)
        except Unanswerable as err:
            raise RpcError(err.code, str(err)) from err

    async def told(self, method: str, params: JsonObject, during: Exchange | None) -> None:
        """A server's notification: a list that changed, or word of the call that is under way."""
        listing = _CHANGED.get(method)
        if listing is not None:
            if self._link is not None:
                self._link.forget(listing)
            self._changed(self._server.name, listing)
        elif method == "notifications/resources/updated":
            self._watching.updated(params)
        elif method == "notifications/subscriptions/acknowledged":
            self._watching.acknowledged(params)
        elif method in _TOLD and during is not None and during.conversation is not None:
            await during.conversation.tell(method, params)

    async def _request(self, link: Link, method: str, params: JsonObject, deadline_s: float) -> JsonObject:
        try:
            result = await link.request(method, params, deadline_s=max(deadline_s, 0.0))
        except PeerLost:
            if not link.peer.is_alive:
                self._over(link)
            raise
        # It answered: the next crash is a first one.
        self._failures = 0
        return result

    def _over(self, link: Link) -> None:
        """A conversation was found to be over; another begins."""
        if self._link is link:
            self._drop()
            self._kick.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                await asyncio.sleep(max(self._not_before - loop.time(), 0.0))
                self._turn(UpstreamState.STARTING)
                await self._live()
                self._failures += 1
                self._not_before = loop.time() + back_off_s(self._failures)
                self._drop()
                self._turn(UpstreamState.DOWN)
        finally:
            if self._next is not None and not self._next.done():
                self._next.set_exception(self._unavailable("it was stopped"))
                self._next.exception()

    async def _live(self) -> None:
        """From one start to its end; `_reason` says how it ended."""
        starting = asyncio.ensure_future(self._connect(self._server, self))
        try:
            connection = await asyncio.shield(starting)
        except asyncio.CancelledError:
            # A process that was just made is ours to end, whoever stopped waiting for it.
            with suppress(ToolUnavailable):
                await _to_the_end((await starting).peer.close())
            raise
        except ToolUnavailable as err:
            self._fail(err)
            return
        try:
            link = await self._greeted(connection)
            if link is None:
                return
            self._link = link
            self._reason = ""
            self._watching.begin(link)
            self._turn(UpstreamState.UP)
            if self._next is not None and not self._next.done():
                self._next.set_result(link)
            await self._end_of(connection)
            self._reason = "it ended" + await connection.last_words()
        finally:
            self._watching.end()
            self._drop()
            await _to_the_end(connection.peer.close())

    async def _end_of(self, connection: Connection) -> None:
        """Wait until the peer ends, or somebody finds that it has."""
        self._kick.clear()
        kicked = asyncio.ensure_future(self._kick.wait())
        try:
            await asyncio.wait(
                {kicked} if connection.ended is None else {kicked, connection.ended},
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            kicked.cancel()

    def _drop(self) -> None:
        """The conversation is over; who asks from now on waits for the next."""
        self._link = None
        if self._next is None or self._next.done():
            self._next = asyncio.get_running_loop().create_future()

    async def _greeted(self, connection: Connection) -> Link | None:
        try:
            link = await greet(
                connection.peer, self._capabilities(), deadline_s=_START_S, is_handshake=self._is_handshake
            )
            await link.offering()
        except RpcError as err:
            self._fail(self._unavailable(f"{err.message}{await connection.last_words()}"))
        except PeerLost as err:
            # A process ends, and its last words say why; an address is not there, and the message says why.
            reason = err.message if connection.ended is None else "it ended during the handshake"
            reason = reason.rstrip(".") + await connection.last_words()
            if err.is_timeout:
                reason = f"no handshake in {_START_S:g} s"
            self._fail(self._unavailable(reason))
        except ValueError as err:
            self._fail(self._unavailable(str(err)))
        else:
            return link
        return None

    def _capabilities(self) -> JsonObject:
        said: dict[str, JsonObject] = {}
        if "elicitation" in self._server.may_ask:
            said["elicitation"] = {"form": {}, "url": {}}
        for kind in ("sampling", "roots"):
            if kind in self._server.may_ask:
                said[kind] = {}
        return dict(said)

    def _unavailable(self, reason: str) -> ToolUnavailable:
        by_hand = shlex.join(self._server.command) or self._server.url
        move = f"Run it by hand: {by_hand}" if self._server.command else f"Look at {by_hand}"
        return ToolUnavailable(f"Server {self._server.name!r} did not start: {reason}.", next_move=move)

    def _fail(self, error: ToolUnavailable) -> None:
        self._reason = error.message
        if self._next is not None and not self._next.done():
            self._next.set_exception(error)
            # Looked at here too, so that a start which nobody waits for any more is not reported as lost.
            self._next.exception()

    def _turn(self, state: UpstreamState) -> None:
        self._state = state
        self._changed(self._server.name, None)


async def _to_the_end(closing: Coroutine[None, None, None]) -> None:
    """Do it whole, also where whoever waits for it is cancelled in the middle."""
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def back_off_s(failures: int) -> float:
    """Seconds before the next start: the first restart comes at once, later ones after 0.25, 0.5, 1, ... 30."""
    if failures <= 1:
        return 0.0
    return min(_MAX_BACK_OFF_S, _FIRST_BACK_OFF_S * (1 << min(failures - 2, 20)))
