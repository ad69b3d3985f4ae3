"""The three moves on budget windows, as pure functions: reserve the worst case, settle the actual, void.

Source: reserve-then-settle accounting, as card payments do it (authorize, capture, void).
Law, kept by `tests/property/test_budgets.py`: `settled + reserved <= limit` after any order of any moves, as long as
every settled amount was at most its reservation; a larger one is settled in full, and the window then refuses all.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.ids import WindowId
from leverframe.domain.money import MICRO
from leverframe.domain.policy import Reserve

# What a call counts once, however often it is asked for again; the rest is what it costs.
COUNT_UNITS = frozenset({BudgetUnit.TOOL_CALLS, BudgetUnit.MODEL_CALLS, BudgetUnit.STEPS})

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def counts(cost: Mapping[BudgetUnit, int]) -> Mapping[BudgetUnit, int]:
    """The counted part of a call's worst case."""
    return {unit: amount for unit, amount in cost.items() if unit in COUNT_UNITS}


def without_counts(cost: Mapping[BudgetUnit, int]) -> Mapping[BudgetUnit, int]:
    """The part of a call's worst case that is money, tokens and time."""
    return {unit: amount for unit, amount in cost.items() if unit not in COUNT_UNITS}


def counted_places(windows: Iterable[Window]) -> frozenset[tuple[str, BudgetUnit]]:
    """Where a call was counted: the budgets, or windows of its run, that limit counts.

    By budget and not by window: a call that is asked again after midnight has been counted.
    """
    return frozenset((one.budget or one.window_id, one.unit) for one in windows if one.unit in COUNT_UNITS)


def not_yet_counted(windows: Iterable[Window], counted: AbstractSet[tuple[str, BudgetUnit]]) -> tuple[Window, ...]:
    """The windows without those that the call was counted in when another candidate was asked."""
    return tuple(one for one in windows if (one.budget or one.window_id, one.unit) not in counted)


def plan(windows: Iterable[Window], cost: Mapping[BudgetUnit, int]) -> tuple[Reserve, ...]:
    """The part of every window in a call's worst case, in the order of `windows`; a part of nothing is left out.

    All parts are taken or none.  Says nothing about room: `lacking` does.

    Raises:
        ValueError: an amount is negative, which no worst case can be: a bug of ours, never a user's input.
    """
    _refuse_negative(cost)
    return tuple(
        [_part(window.window_id, window.unit, cost[window.unit]) for window in windows if cost.get(window.unit)]
    )


def plan_within(windows: Iterable[Window], cost: Mapping[BudgetUnit, int]) -> tuple[Reserve, ...] | None:
    """What `plan` gives where `lacking` names no window, else None; in one pass, since it is asked for every call.

    Raises:
        ValueError: as `plan` does.
    """
    parts = []
    asked = cost.get
    for window in windows:
        amount = asked(window.unit, 0)
        if window.settled + window.reserved + amount > window.limit:
            return None
        if amount:
            parts.append(_part(window.window_id, window.unit, amount))
    for amount in cost.values():
        if amount < 0:
            _refuse_negative(cost)
    return tuple(parts)


def lacking(windows: Iterable[Window], cost: Mapping[BudgetUnit, int]) -> tuple[Window, ...]:
    """The windows that have no room for a call's worst case, in the order of `windows`.

    An overrun window has room for nothing, not even for a call that asks nothing of it.
    """
    return tuple([each for each in windows if each.settled + each.reserved + cost.get(each.unit, 0) > each.limit])


def last_to_reset(windows: Sequence[Window]) -> Window:
    """The shared window that has no room for longest: before it resets, asking again is in vain.  Not for none."""
    return max(windows, key=_full_for)


def at_work(windows: Iterable[Window]) -> Mapping[BudgetUnit, int]:
    """What a call adds to its cost where a window bounds the calls that are at work at once; empty where none does.

    It is reserved like all else and settled as nothing: the room comes back when the call ends.
    """
    return {BudgetUnit.IN_FLIGHT: 1} if any(one.unit is BudgetUnit.IN_FLIGHT for one in windows) else {}


def _full_for(window: Window) -> tuple[bool, datetime]:
    """How long a window stays full: for ever, until it resets, or as long as a call lasts."""
    never = window.resets_at is None and window.unit is not BudgetUnit.IN_FLIGHT
    return never, window.resets_at or _LONG_AGO


def fits(window: Window, amount: int) -> bool:
    """Whether `amount` more may be set aside in this window."""
    return amount <= window.limit - window.settled - window.reserved


def reserve_all(windows: Sequence[Window], reserves: Iterable[Reserve]) -> tuple[Window, ...] | None:
    """Set every part aside, or nothing at all (None) where one does not fit or its window is not there."""
    state = {(window.window_id, window.unit.value): window for window in windows}
    for part in reserves:
        window = state.get((part.window_id, part.unit))
        if window is None or part.amount < 0 or not fits(window, part.amount):
            return None
        state[part.window_id, part.unit] = replace(window, reserved=window.reserved + part.amount)
    return tuple(state[window.window_id, window.unit.value] for window in windows)


def settle(window: Window, *, reserved: int, actual: int) -> Window:
    """Turn a reservation of `reserved` into spending of `actual`.

    `actual` may exceed `reserved`: the effect has happened, and the books say so rather than lie.

    Raises:
        ValueError: the window does not hold that much, so the spending would appear from nowhere.
    """
    if actual < 0:
        msg = f"What a call took is zero or more, got {actual!r} for window {window.window_id!r}"
        raise ValueError(msg)
    return replace(void(window, reserved=reserved), settled=window.settled + actual)


def void(window: Window, *, reserved: int) -> Window:
    """Give back a reservation whose call never left the process.  What may have left is settled, never voided.

    Raises:
        ValueError: the window does not hold that much.
    """
    if not 0 <= reserved <= window.reserved:
        msg = (
            f"Window {window.window_id!r} holds {window.reserved!r} {window.unit} in reserve, got {reserved!r} to take"
        )
        raise ValueError(msg)
    return replace(window, reserved=window.reserved - reserved)


def limit_text(window: Window) -> str:
    """A limit as its contract writes it: `max_tool_calls 20`, `max_usd 0.05`, `max_wall_s 90`."""
    return f"{window.key or window.unit.value} {_as_written(window.unit, window.limit)}"


def left_text(window: Window) -> str:
    """What a window has left, in the unit that its contract writes."""
    return _as_written(window.unit, window.left)


# The calls of a run ask its windows for the same amounts again and again, and a frozen value takes long to build.
@lru_cache(maxsize=1_024)
def _part(window_id: WindowId, unit: BudgetUnit, amount: int) -> Reserve:
    return Reserve(window_id=window_id, unit=unit.value, amount=amount)


def _as_written(unit: BudgetUnit, amount: int) -> str:
    if unit in {BudgetUnit.USD, BudgetUnit.WALL_US}:
        return format((Decimal(amount) / MICRO).normalize(), "f")
    return str(amount)


def _refuse_negative(cost: Mapping[BudgetUnit, int]) -> None:
    if cost and min(cost.values()) < 0:
        msg = f"A worst case is zero or more of each unit, got {dict(cost)!r}"
        raise ValueError(msg)
