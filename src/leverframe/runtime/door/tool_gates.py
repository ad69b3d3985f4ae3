"""What keeps a tool in trouble from taking everything with it, for each tool and tenant, in this process.

The bulkhead: so many requests at once, the others wait their turn.  The breaker: after so many failures in a row the
tool rests; then one request tries it, and the others wait for what becomes of that.  The retry budget: retries are a
share of the requests, so that a receiver in trouble is not asked twice as often as one that is well.
Never: decides about a call; what is refused here did not leave, and is recorded as that.
Source: M. Nygard, Release It!, chapter 5; AWS Builders' Library, "Timeouts, retries, and backoff with jitter".
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from leverframe.domain.calls import ToolAnswer, ToolFailed, ToolLost
from leverframe.domain.errors import ToolBusy, ToolResting, ToolUnavailable
from leverframe.domain.ids import TenantId, ToolName
from leverframe.domain.pins import DRIFTED, QUARANTINED
from leverframe.domain.tools import ToolLimits, ToolSpec
from leverframe.ports.clock import Clock

_RETRIES_AT_ONCE: Final = 10.0  # so many are free, whatever the share: a tool that is seldom called may be retried too
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_LONGEST_REST_S: Final = 300.0
_JITTER: Final = 0.2  # of the rest, so that many processes do not try at one moment
_NO_ANSWERS: Final = frozenset({QUARANTINED, DRIFTED})


@dataclass(slots=True)
class Entry:
    """One request under way: `answer` is what came of it, None while nothing did."""

    is_probe: bool = False
    answer: ToolAnswer | None = None


@dataclass(slots=True)
class _Gate:
    """One tool of one tenant."""

    slots: asyncio.Semaphore
    size: int
    failures: int = 0
    rests: int = 0  # in a row
    until: float = 0.0  # of the clock's monotonic
    is_probed: bool = False
    retries: float = _RETRIES_AT_ONCE


class ToolGates:
    """All of a process."""

    def __init__(self) -> None:
        self._gates: dict[tuple[TenantId, ToolName], _Gate] = {}

    @asynccontextmanager
    async def entered(
        self, tenant: TenantId, spec: ToolSpec, clock: Clock, *, within_s: float, chance: Callable[[], float]
    ) -> AsyncIterator[Entry]:
        """Let one request go; whoever enters says in the entry what came of it.

        Args:
            tenant: whose call it is.
            spec: of the tool.
            clock: for the breaker.
            within_s: how long to wait for a place.
            chance: gives anything from 0 to 1, for the length of a rest.

        Raises:
            ToolResting: the breaker is open.
            ToolBusy: no place came free in this time.
        """
        gate = self._gate(tenant, spec)
        _look(gate, tenant, spec, clock)
        await _place(gate, tenant, spec, within_s)
        entry = Entry()
        try:
            # Looked at again: it may have failed while this one waited.
            _look(gate, tenant, spec, clock)
            if gate.until:
                gate.is_probed = entry.is_probe = True
            gate.retries = min(_RETRIES_AT_ONCE, gate.retries + spec.limits.retry_percent / 100)
            yield entry
        finally:
            gate.slots.release()
            if entry.is_probe:
                gate.is_probed = False
            _note(gate, spec.limits, entry.answer, clock.monotonic(), chance)

    def takes_retry(self, tenant: TenantId, spec: ToolSpec) -> bool:
        """Whether one more request may be a retry; it is counted then."""
        gate = self._gate(tenant, spec)
        if gate.retries < 1:
            return False
        gate.retries -= 1
        return True

    def _gate(self, tenant: TenantId, spec: ToolSpec) -> _Gate:
        found = self._gates.get((tenant, spec.name))
        if found is None or found.size != spec.limits.max_parallel:
            size = spec.limits.max_parallel
            found = self._gates[tenant, spec.name] = _Gate(slots=asyncio.Semaphore(size), size=size)
        return found


def pause_s(retry: int, chance: float) -> float:
    """How long to wait before a retry: anything up to 0.1 s before the first, then 0.2, 0.4 ... 5 s."""
    return chance * min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * (1 << min(retry - 1, 10)))


def _look(gate: _Gate, tenant: TenantId, spec: ToolSpec, clock: Clock) -> None:
    left_s = gate.until - clock.monotonic()
    if left_s > 0 or gate.is_probed:
        word = f"for another {left_s:.0f} s" if left_s > 0 else "until it is known what became of the one that tries it"
        raise ToolResting(
            f"The last {gate.failures} requests to {spec.name!r} failed, so it rests for {tenant!r} {word};"
            " this call did not leave.",
            next_move="Ask again later.  Settings: `breaker` of the tool.",
        )


async def _place(gate: _Gate, tenant: TenantId, spec: ToolSpec, within_s: float) -> None:
    try:
        async with asyncio.timeout(max(within_s, 0.0)):
            await gate.slots.acquire()
    except TimeoutError as err:
        raise ToolBusy(
            f"{gate.size} calls of {spec.name!r} are at work for {tenant!r}, as many as may be; this one waited"
            f" {within_s:g} s and did not leave.",
            next_move="Ask again.  Setting: `max_parallel` of the tool.",
        ) from err


def _note(gate: _Gate, limits: ToolLimits, answer: ToolAnswer | None, now: float, chance: Callable[[], float]) -> None:
    if answer is None or (isinstance(answer, ToolLost) and answer.kind in _NO_ANSWERS):
        return
    if not is_failure(answer):
        gate.failures = gate.rests = 0
        gate.until = 0.0
        return
    gate.failures += 1
    # A probe that fails opens it again at once, for longer.
    if gate.failures >= limits.breaker_failures or gate.until:
        rest_s = min(_LONGEST_REST_S, limits.breaker_rest_s * (1 << min(gate.rests, 10)))
        gate.until = now + rest_s * (1 - _JITTER / 2 + _JITTER * chance())
        gate.rests += 1


def is_failure(answer: ToolAnswer) -> bool:
    """Whether a receiver that answers so is in trouble; one that refuses a call is not."""
    return isinstance(answer, ToolLost) or (isinstance(answer, ToolFailed) and answer.kind in {"429", "5xx"})


def lost_of(err: ToolUnavailable) -> ToolLost:
    """What a call is that was not let through."""
    return ToolLost(message=err.message, kind=err.slug, has_left=False)
