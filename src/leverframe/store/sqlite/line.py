"""The line in which proposals wait for the writer, from any thread and event loop.

Knows: who waits, in order; when a caller has left; how long each may wait.  One timer for each event loop looks after
all of its callers.  Never: carries anything out.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from weakref import WeakSet

from leverframe.domain.proposals import CommitResult, Committed, Proposal

Outcome = CommitResult | Exception
_UNKNOWN: Outcome = Committed(first_index=-1)


@dataclass(slots=True, eq=False)
class Ticket:
    """A proposal that waits, and whom to tell.  `is_taken` once the writer has begun or the caller has left."""

    proposal: Proposal
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[CommitResult]
    give_up_at: float  # of time.monotonic()
    is_taken: bool = False
    outcome: Outcome = _UNKNOWN


class Line:
    """Proposals that wait.

    Args:
        patience_s: how long one waits before its caller is told `late()`.
        admit: raises where nothing may join, given how many wait; called for instants, with the line held.
        late: makes the error of a caller that waited too long.
    """

    def __init__(self, *, patience_s: float, admit: Callable[[int], None], late: Callable[[], Exception]) -> None:
        self._patience_s = patience_s
        self._admit = admit
        self._late = late
        # Guards all of it, and `is_taken` of every ticket; held for instants only.
        self._changed = threading.Condition(threading.Lock())
        self._waiting: deque[Ticket] = deque()
        self._watched: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
        self._is_closed = self._is_asleep = self._is_due = False
        self._enough = 0  # how many the writer waits for, while it lingers

    async def wait(self, proposal: Proposal, soon: Callable[[asyncio.AbstractEventLoop], None] | None) -> CommitResult:
        """Join the line, and return or raise what became of the proposal.

        `soon` has the caller's own loop see to it; without it the writer's thread is woken.

        A caller that is cancelled before its proposal was taken has done nothing.
        """
        loop = asyncio.get_running_loop()
        ticket = Ticket(proposal, loop, loop.create_future(), time.monotonic() + self._patience_s)
        self._join(ticket, is_for_thread=soon is None)
        if soon is not None:
            soon(loop)
        try:
            return await ticket.future
        except BaseException:
            with self._changed:
                ticket.is_taken = True
            raise

    def close(self) -> bool:
        """Let nobody join any more; whether this is the first time."""
        with self._changed:
            is_first, self._is_closed = not self._is_closed, True
            self._changed.notify()
        return is_first

    @property
    def is_closed(self) -> bool:
        """Whether nobody joins any more."""
        return self._is_closed

    def __len__(self) -> int:
        """How many wait, those included whose callers left."""
        return len(self._waiting)

    def wake(self) -> None:
        """Have the writer's thread see to what waits."""
        with self._changed:
            self._wake()

    def sleep(self) -> bool:
        """Return when the thread has something to see to; False where the line is closed and empty."""
        with self._changed:
            while not (self._is_due or (self._is_closed and self._waiting)):
                if self._is_closed:
                    return False
                self._is_asleep = True
                self._changed.wait()
            self._is_asleep = self._is_due = False
        return True

    def linger(self, enough: int, within_s: float) -> None:
        """Return when so many wait, or the time is over: one transaction for several costs little more than for one."""
        until = time.monotonic() + within_s
        with self._changed:
            if self._waiting and not self._waiting[0].proposal.is_durable:
                return  # a loop left it to the thread, and it has waited for that
            self._enough = enough
            while len(self._waiting) < enough and not self._is_closed:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            self._enough = 0

    def take(self, most: int) -> list[Ticket]:
        """Those at the head of the line, without those whose callers left."""
        with self._changed:
            taken = self._take(most, only_visible=False)
            if self._waiting:
                self._is_due = True  # the rest is the thread's as well
        return taken

    def take_visible(self, most: int) -> list[Ticket]:
        """The same, up to the first that is durable."""
        with self._changed:
            return self._take(most, only_visible=True)

    def _take(self, most: int, *, only_visible: bool) -> list[Ticket]:
        taken: list[Ticket] = []
        while self._waiting and most:
            if only_visible and self._waiting[0].proposal.is_durable:
                # Its thread was woken, and takes those behind it as well.
                break
            ticket = self._waiting.popleft()
            most -= 1
            if not ticket.is_taken:
                ticket.is_taken = True
                taken.append(ticket)
        return taken

    def _wake(self) -> None:
        self._is_due = True
        if self._is_asleep:
            self._is_asleep = False
            self._changed.notify()

    def _join(self, ticket: Ticket, *, is_for_thread: bool) -> None:
        with self._changed:
            self._admit(len(self._waiting))
            self._waiting.append(ticket)
            if is_for_thread:
                self._wake()
            if self._enough and len(self._waiting) >= self._enough:
                self._changed.notify()
            is_watched = ticket.loop in self._watched
            if not is_watched:
                self._watched.add(ticket.loop)
        if not is_watched:
            ticket.loop.call_later(self._patience_s, self._look_after, ticket.loop)

    def _look_after(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell the callers of this loop that waited too long, and come back when the next one would have."""
        now, late, next_at = time.monotonic(), list[Ticket](), None
        with self._changed:
            for ticket in self._waiting:
                if ticket.loop is not loop or ticket.is_taken:
                    continue
                if ticket.give_up_at > now:
                    next_at = ticket.give_up_at
                    break
                ticket.is_taken = True
                late.append(ticket)
            if next_at is None:
                self._watched.discard(loop)
        if next_at is not None:
            loop.call_later(next_at - now, self._look_after, loop)
        for ticket in late:
            if not ticket.future.done():
                ticket.future.set_exception(self._late())


def tell(tickets: list[Ticket]) -> None:
    """Answer the callers, with one wake-up for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Ticket]] = {}
    for ticket in tickets:
        by_loop.setdefault(ticket.loop, []).append(ticket)
    for loop, told in by_loop.items():
        # The loop may have been closed since; its callers are gone.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, told)


def _settle(told: list[Ticket]) -> None:
    for ticket in told:
        if ticket.future.done():
            continue
        if isinstance(ticket.outcome, Exception):
            ticket.future.set_exception(ticket.outcome)
        else:
            ticket.future.set_result(ticket.outcome)
