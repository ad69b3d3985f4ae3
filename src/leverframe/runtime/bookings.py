"""What budgets did, in the words of an evidence entry.

Knows: the fields of docs/evidence-record.md: `reserved` is a list of `<window>=<amount>/<limit>`, `settled` of
`<window>=<amount>`, where a window that is not named was settled as reserved.  Never: counts; the store does.
A shared window is made by the first proposal that reserves in it, and follows the project's file in each.
"""

from collections.abc import Iterable, Mapping

from leverframe.core.policy.observing import would
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.evidence import DetailValue
from leverframe.domain.ids import ReservationId, WindowId
from leverframe.domain.policy import Decision, Deny, Reserve
from leverframe.domain.proposals import EnsureWindow
from leverframe.domain.time import rfc3339
from leverframe.runtime.context import RunContext
from leverframe.runtime.run_limits import UNLIMITED


def set_aside(
    reservation_id: ReservationId, reserves: Iterable[Reserve], windows: Iterable[Window]
) -> dict[str, DetailValue]:
    """The worst case of a call, in each window; empty where nothing was set aside."""
    # How many were at work at once is not a sum that an auditor could make; its limit is left out.
    limits = {
        (one.window_id, one.unit.value): one.limit
        for one in windows
        if one.limit < UNLIMITED and one.unit is not BudgetUnit.IN_FLIGHT
    }
    parts = []
    for part in reserves:
        limit = limits.get((part.window_id, part.unit))
        parts.append(f"{part.window_id}/{part.unit}={part.amount}" + ("" if limit is None else f"/{limit}"))
    return {"reservation_id": reservation_id, "reserved": tuple(parts)} if parts else {}


def spent(reservation_id: ReservationId, actual: Mapping[tuple[WindowId, BudgetUnit], int]) -> dict[str, DetailValue]:
    """What a call took in the end, where that may be another amount than was set aside."""
    parts = tuple(f"{window_id}/{unit.value}={amount}" for (window_id, unit), amount in actual.items())
    return {"reservation_id": reservation_id, "settled": parts}


def run_out(decision: Decision) -> dict[str, DetailValue]:
    """Which limit or budget is used up, where that is why the call was denied."""
    if not isinstance(decision, Deny):
        return {}
    if decision.stops_run:
        return {"stops_run": decision.stops_run.replace(" ", "=")}
    if not decision.exhausted:
        return {}
    resets_at = {"resets_at": rfc3339(decision.resets_at)} if decision.resets_at is not None else {}
    return {"exhausted": decision.exhausted, **resets_at}


def told_would(decision: Decision) -> dict[str, DetailValue]:
    """What would have been said of a call that is only observed."""
    word = would(decision)
    return {"would": word} if word else {}


def shared_of(windows: Iterable[Window]) -> tuple[Window, ...]:
    """Those that span runs."""
    return tuple(window for window in windows if window.budget)


def ensured(ctx: RunContext, windows: Iterable[Window]) -> tuple[EnsureWindow, ...]:
    """The shared windows of a decision, made or brought up to the project's file before anything is reserved."""
    return tuple(
        EnsureWindow(window=window, tenant=ctx.run.tenant, resets_at=window.resets_at) for window in shared_of(windows)
    )


def booked(ctx: RunContext, reservation_id: ReservationId, windows: Iterable[Window]) -> None:
    """Remember in which shared windows a reservation was made, once it is committed."""
    shared = shared_of(windows)
    if shared:
        ctx.booked[reservation_id] = shared


def taken(
    ctx: RunContext, reservation_id: ReservationId, used: Mapping[BudgetUnit, int]
) -> dict[tuple[WindowId, BudgetUnit], int]:
    """What a call took, in the run's window and in every shared one that it was reserved in.

    After a crash the shared windows are not known here; not named, they settle as reserved, which is the bound.
    """
    actual = {(ctx.window_id, unit): amount for unit, amount in used.items()}
    for window in ctx.booked.pop(reservation_id, ()):
        if window.unit is BudgetUnit.IN_FLIGHT:
            actual[window.window_id, window.unit] = 0
        elif window.unit in used:
            actual[window.window_id, window.unit] = used[window.unit]
    return actual
