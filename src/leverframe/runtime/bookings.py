"""What budgets did, in the words of an evidence entry.

Knows: the fields of docs/evidence-record.md: `reserved` is a list of `<window>=<amount>/<limit>`, `settled` of
`<window>=<amount>`, where a window that is not named was settled as reserved.  Never: counts; the store does.
"""

from collections.abc import Iterable, Mapping

from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.evidence import DetailValue
from leverframe.domain.ids import ReservationId, WindowId
from leverframe.domain.policy import Reserve
from leverframe.runtime.closing import UNLIMITED


def set_aside(
    reservation_id: ReservationId, reserves: Iterable[Reserve], windows: Iterable[Window]
) -> dict[str, DetailValue]:
    """The worst case of a call, in each window; empty where nothing was set aside."""
    limits = {(one.window_id, one.unit.value): one.limit for one in windows if one.limit < UNLIMITED}
    parts = []
    for part in reserves:
        limit = limits.get((part.window_id, part.unit))
        parts.append(f"{part.window_id}/{part.unit}={part.amount}" + ("" if limit is None else f"/{limit}"))
    return {"reservation_id": reservation_id, "reserved": tuple(parts)} if parts else {}


def spent(reservation_id: ReservationId, actual: Mapping[tuple[WindowId, BudgetUnit], int]) -> dict[str, DetailValue]:
    """What a call took in the end, where that may be another amount than was set aside."""
    parts = tuple(f"{window_id}/{unit.value}={amount}" for (window_id, unit), amount in actual.items())
    return {"reservation_id": reservation_id, "settled": parts}
