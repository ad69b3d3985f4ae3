"""Which upstream is left alone for a while, since it failed just now.

Knows: that one candidate is better than none, so an upstream that is cooling is asked last and never dropped; and that
after its time one call probes it while the others go on without it.  Kept by each process for itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from leverframe.domain.contracts import ModelRef

_FIRST_S: Final = 1.0
_LONGEST_S: Final = 30.0
_PROBE_S: Final = 10.0  # a probe that never comes back frees its place


@dataclass(slots=True)
class _Cooling:
    until: float
    failures: int
    probing_until: float = 0.0


class Cooldowns:
    """Times are seconds on a monotonic clock."""

    def __init__(self) -> None:
        self._cooling: dict[str, _Cooling] = {}

    def ordered(self, candidates: tuple[ModelRef, ...], now: float) -> tuple[ModelRef, ...]:
        """The candidates in their order, those of a cooling upstream behind the others."""
        if not self._cooling or len(candidates) == 1:
            return candidates
        ready = [one for one in candidates if self._takes(one.provider, now)]
        return (*ready, *(one for one in candidates if one not in ready))

    def failed(self, provider: str, now: float, *, retry_after_s: float | None) -> None:
        """It could not be reached, was busy or failed: leave it alone, longer each time."""
        failures = self._cooling[provider].failures + 1 if provider in self._cooling else 1
        wait_s = min(_LONGEST_S, max(_FIRST_S * 2 ** min(failures - 1, 5), retry_after_s or 0.0))
        self._cooling[provider] = _Cooling(until=now + wait_s, failures=failures)

    def worked(self, provider: str) -> None:
        """It answered."""
        self._cooling.pop(provider, None)

    def names(self) -> Iterable[str]:
        """Those that are cooling."""
        return tuple(self._cooling)

    def _takes(self, provider: str, now: float) -> bool:
        """Whether it may be asked in its turn; of many that ask after its time one is the probe."""
        cooling = self._cooling.get(provider)
        if cooling is None:
            return True
        if now < cooling.until or now < cooling.probing_until:
            return False
        cooling.probing_until = now + _PROBE_S
        return True
