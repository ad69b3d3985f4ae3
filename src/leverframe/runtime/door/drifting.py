"""Tools whose answers stopped being what their schema says: counted, and closed for a while past a limit.

Knows: answers in a row that broke the output schema, of each tool for each tenant, in this process.  A good answer
forgets them.  Never: judges an answer; the door says what it was.
"""

from dataclasses import dataclass
from typing import Final

from leverframe.domain.ids import TenantId, ToolName
from leverframe.domain.pins import DRIFTED, Closed

LIMIT: Final = 3  # broken answers in a row
REST_S: Final = 60.0  # then no call is sent for so long; the one after it tries


@dataclass(slots=True)
class _Count:
    broken: int = 0
    until: float = 0.0


class DriftBreaker:
    """The breaker of every tool and tenant."""

    def __init__(self) -> None:
        self._counts: dict[tuple[TenantId, ToolName], _Count] = {}

    def note(self, tenant: TenantId, tool: ToolName, now: float, *, is_broken: bool) -> None:
        """An answer came, at `now` seconds of a clock that never goes back."""
        if not is_broken:
            self._counts.pop((tenant, tool), None)
            return
        count = self._counts.setdefault((tenant, tool), _Count())
        count.broken += 1
        if count.broken >= LIMIT:
            count.until = now + REST_S

    def closed(self, tenant: TenantId, tool: ToolName, now: float) -> Closed | None:
        """Why no call may be sent now; None where one may."""
        count = self._counts.get((tenant, tool))
        if count is None or now >= count.until:
            return None
        left_s = max(1, round(count.until - now))
        message = f"The last {count.broken} answers of {tool!r} broke its output schema; it rests for {left_s} s."
        return Closed(slug=DRIFTED, message=message)
