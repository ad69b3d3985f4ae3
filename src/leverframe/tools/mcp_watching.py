"""The resources of one server that somebody watches: asked for once each, and again when the server was started anew.

Knows: that the older protocols subscribe by a request and hear of it wherever the server talks by itself, and that the
2026-07-28 one keeps a request open for it.  Word of a change means "read it again if you care": whoever watches is told
too when a change may have been missed.  Never: takes silence for a promise; what a server cannot do is refused.
Source: MCP specification, server/resources (2025-11-25), basic/subscriptions (2026-07-28).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from contextvars import Context
from typing import Final

from leverframe.domain.errors import ToolUnavailable
from leverframe.domain.json import JsonObject
from leverframe.ports.upstreams import Updated
from leverframe.tools.mcp_link import Link
from leverframe.tools.mcp_peer import LISTEN, PeerLost, RpcError

MOST_WATCHED: Final = 256
_ASK_S: Final = 15.0
# A request that stays open is made anew after this, so that none of its bounds is one of the conversation.
_LISTEN_S: Final = 3_600.0
_FIRST_PAUSE_S: Final = 0.5
_MAX_PAUSE_S: Final = 30.0
_MAX_LEVELS: Final = 64
_HEARING: Final = ""  # no URI: the stream on which a server talks by itself

_Opened = asyncio.Future[None]


class Watching:
    """One for a server and whoever it is spoken to for.  `ended` is called where a conversation is found to be over."""

    def __init__(self, server: str, ended: Callable[[Link], None]) -> None:
        self._server = server
        self._ended = ended
        self._link: Link | None = None
        self._wanted: dict[str, dict[object, Updated]] = {}
        self._asked: set[str] = set()  # of the link
        self._standing: dict[str, asyncio.Task[None]] = {}  # of the link: by URI, and what hears
        self._opening: dict[str, _Opened] = {}
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def watch(self, link: Link, uri: str, updated: Updated) -> Callable[[], None]:
        """Have `updated` called whenever the resource may have changed, until what is given back is called.

        Raises:
            ToolUnavailable: the server does not tell of changes, or not of this one.
        """
        async with self._lock:
            if len(self._wanted) >= MOST_WATCHED and uri not in self._wanted:
                raise self._refused(f"{MOST_WATCHED} resources of it are watched already")
            try:
                async with asyncio.timeout(_ASK_S):
                    await self._ask(link, uri)
            except TimeoutError as err:
                raise self._refused(f"it did not confirm that within {_ASK_S:g} s") from err
            except (RpcError, PeerLost) as err:
                raise self._refused(err.message) from err
            token = object()
            self._wanted.setdefault(uri, {})[token] = updated

        def release() -> None:
            watchers = self._wanted.get(uri, {})
            if watchers.pop(token, None) is not None and not watchers:
                self._spawn(self._forget(uri))

        return release

    def begin(self, link: Link) -> None:
        """A conversation begins: what is watched is asked for in it."""
        self._link = link
        if self._wanted:
            self._spawn(self._ask_again(link))

    def end(self) -> None:
        """It is over, and so is what was asked for in it."""
        self._link = None
        self._asked.clear()
        for task in self._standing.values():
            task.cancel()
        self._standing.clear()

    async def close(self) -> None:
        """Nobody watches any more."""
        self.end()
        self._wanted.clear()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def updated(self, params: JsonObject) -> None:
        """The server says that a resource changed; whoever watches it, or one that holds it, is told."""
        uri = params.get("uri")
        for name in _itself_and_above(uri) if isinstance(uri, str) else ():
            self._tell(name)

    def acknowledged(self, params: JsonObject) -> None:
        """The server says which resources a request that stays open is for."""
        said = params.get("notifications")
        uris = said.get("resourceSubscriptions") if isinstance(said, dict) else None
        if isinstance(uris, list | tuple) and uris:
            found = [self._opening.get(one) for one in uris if isinstance(one, str)]
        else:
            # It names none, so it is about the one that is being asked for; there is one at a time.
            found = list(self._opening.values())
        for opened in found:
            if opened is not None and not opened.done():
                if uris:
                    opened.set_result(None)
                else:
                    opened.set_exception(PeerLost("it does not tell of this resource", has_left=True))

    async def _ask(self, link: Link, uri: str) -> None:
        """Ask for one resource, where this conversation has not yet."""
        if link is not self._link:
            raise PeerLost("it ended meanwhile", has_left=False)
        if uri in self._asked:
            return
        offered = link.greeting.capabilities.get("resources")
        if not isinstance(offered, dict) or offered.get("subscribe") is not True:
            raise PeerLost("it does not offer that", has_left=False)
        if link.greeting.is_modern:
            await self._stand(link, uri, lambda _: self._listen(link, uri))
        else:
            if not link.peer.always_hears and _HEARING not in self._standing:
                await self._stand(link, _HEARING, link.overhear)
            await link.request("resources/subscribe", {"uri": uri}, deadline_s=_ASK_S)
        self._asked.add(uri)

    async def _listen(self, link: Link, uri: str) -> None:
        wanted: JsonObject = {"notifications": {"resourceSubscriptions": [uri]}}
        await link.request(LISTEN, wanted, deadline_s=_LISTEN_S)

    async def _stand(self, link: Link, name: str, work: Callable[[_Opened], Awaitable[None]]) -> None:
        """Begin what stays open, and wait until the server has taken it."""
        opened = self._opening[name] = asyncio.get_running_loop().create_future()
        task = self._standing[name] = self._spawn(self._keep(link, name, work, opened))
        try:
            await opened
        except BaseException:
            task.cancel()
            if self._standing.get(name) is task:
                del self._standing[name]
            raise
        finally:
            self._opening.pop(name, None)

    async def _keep(self, link: Link, name: str, work: Callable[[_Opened], Awaitable[None]], opened: _Opened) -> None:
        """Have it open as long as the conversation goes on; after each gap whoever watches is told."""
        loop, pause_s, reason = asyncio.get_running_loop(), _FIRST_PAUSE_S, "it ended that at once"
        first = True
        while True:
            began = loop.time()
            work_opened = opened if first else loop.create_future()
            try:
                await work(work_opened)
            except (RpcError, PeerLost) as err:
                reason = err.message
            if first and not opened.done():
                opened.set_exception(PeerLost(reason, has_left=True))
                return
            first = False
            if not link.peer.is_alive:
                self._ended(link)
                return
            pause_s = _FIRST_PAUSE_S if loop.time() - began > _MAX_PAUSE_S else min(pause_s * 2, _MAX_PAUSE_S)
            await asyncio.sleep(pause_s)
            for uri in tuple(self._wanted) if name == _HEARING else (name,):
                self._tell(uri)

    async def _ask_again(self, link: Link) -> None:
        """After a new start; one that is refused now is told like a change: whoever reads it hears why."""
        async with self._lock:
            for uri in tuple(self._wanted):
                with suppress(RpcError, PeerLost, TimeoutError):
                    async with asyncio.timeout(_ASK_S):
                        await self._ask(link, uri)
                self._tell(uri)

    async def _forget(self, uri: str) -> None:
        async with self._lock:
            if self._wanted.get(uri):
                return  # somebody came meanwhile
            self._wanted.pop(uri, None)
            link, was_asked = self._link, uri in self._asked
            self._asked.discard(uri)
            task = self._standing.pop(uri, None)
            if task is not None:
                task.cancel()
            elif link is not None and was_asked:
                with suppress(RpcError, PeerLost):
                    await link.request("resources/unsubscribe", {"uri": uri}, deadline_s=_ASK_S)
            hearing = self._standing.pop(_HEARING, None) if not self._wanted else None
            if hearing is not None:
                hearing.cancel()

    def _tell(self, uri: str) -> None:
        for updated in tuple(self._wanted.get(uri, {}).values()):
            updated()

    def _spawn(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        # In a context of its own: what is asked for here belongs to no call.
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _refused(self, reason: str) -> ToolUnavailable:
        return ToolUnavailable(
            f"Server {self._server!r} does not tell of changes of a resource: {reason}.",
            next_move="Read the resource again when you need it.",
        )


def _itself_and_above(uri: str) -> Iterator[str]:
    """A URI, and those that it may be a part of."""
    yield uri
    for _ in range(_MAX_LEVELS):
        uri, slash, _rest = uri.rpartition("/")
        if not slash:
            return
        yield uri
        yield f"{uri}/"
