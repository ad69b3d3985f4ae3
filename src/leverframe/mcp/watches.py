"""Resources that clients watch: who subscribed to which, and word to them alone that it changed.

Knows: what a session of the older protocols subscribed to, until it unsubscribes or ends; a client of 2026-07-28 holds
a request open instead.  What a server says again and again within a moment is told once.
Never: has a resource watched that the run may not read; whoever calls this has read it through the door before.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from mcp.server.session import ServerSession

from leverframe.domain.errors import ToolUnavailable
from leverframe.domain.ids import TenantId
from leverframe.ports.upstreams import Upstreams

MOST_OF_ONE: Final = 256
_MOMENT_S: Final = 0.1
_Release = Callable[[], None]


class Watches:
    """One for a process."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams
        self._sessions: dict[str, dict[str, _Release]] = {}
        self._telling: set[asyncio.Task[None]] = set()

    async def follow(self, server: str, own: str, tenant: TenantId, tell: Callable[[], None]) -> _Release:
        """Have `tell` called after a resource changed, once for what changes in one moment.

        Raises:
            ToolUnavailable: its server does not tell of changes.
        """
        soon = _Soon(tell)
        release = await self._upstreams.follow(server, own, tenant, soon.happened)

        def stop() -> None:
            soon.stop()
            release()

        return stop

    async def subscribe(
        self, session_id: str, session: ServerSession, uri: str, *, server: str, own: str, tenant: TenantId
    ) -> None:
        """A session wants to hear of a resource, under the name that it was listed by."""
        mine = self._sessions.setdefault(session_id, {})
        if uri in mine:
            return
        if len(mine) >= MOST_OF_ONE:
            raise ToolUnavailable(
                f"This session watches {MOST_OF_ONE} resources already.", next_move="Unsubscribe from one of them."
            )
        release = await self.follow(server, own, tenant, lambda: self._tell(session, uri))
        if self._sessions.get(session_id) is not mine or uri in mine:
            # It ended meanwhile, or asked twice at once.
            release()
            return
        mine[uri] = release

    def unsubscribe(self, session_id: str, uri: str) -> None:
        """It wants to hear no more of it; as good as done where it never did."""
        release = self._sessions.get(session_id, {}).pop(uri, None)
        if release is not None:
            release()

    def ended(self, session_id: str) -> None:
        """A session is over."""
        for release in self._sessions.pop(session_id, {}).values():
            release()

    def watched(self) -> Mapping[str, frozenset[str]]:
        """What each session watches."""
        return {name: frozenset(uris) for name, uris in self._sessions.items()}

    def _tell(self, session: ServerSession, uri: str) -> None:
        task = asyncio.create_task(_told(session, uri))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)


class _Soon:
    """Calls once, a moment after the first of many."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._due: asyncio.TimerHandle | None = None

    def happened(self) -> None:
        """It happened again."""
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(_MOMENT_S, self._now)

    def stop(self) -> None:
        """Nobody wants to know any more."""
        if self._due is not None:
            self._due.cancel()

    def _now(self) -> None:
        self._due = None
        self._tell()


async def _told(session: ServerSession, uri: str) -> None:
    # A session that is going away just now hears no more of it.
    with suppress(OSError, RuntimeError):
        await session.send_resource_updated(uri)
