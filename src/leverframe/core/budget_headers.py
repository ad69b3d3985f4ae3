"""What is left of the budgets of a call, and when to ask again, as response headers that clients read.

Knows: our own headers, one for each limit, and those of the two vendors, which their SDKs and many agents read.  Where
several windows of a unit apply, the one with the least left speaks.  Never: tells of another tenant, team or key, as
only the windows of the caller's own call are given to it.
Sources: OpenAI, "Rate limits" (x-ratelimit-*; spans such as `6m0s`); Anthropic, "Rate limits" (anthropic-ratelimit-*,
RFC 3339); RFC 9110 section 10.2.3 (Retry-After); `x-should-retry` is read by both official SDKs.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from math import ceil

import msgspec

from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.ids import WindowId
from leverframe.domain.money import MICRO
from leverframe.domain.time import rfc3339_s

# A window without a limit of anybody's: see `runtime.run_limits.UNLIMITED`.
_UNLIMITED = 2**53
_LONGEST_RETRY_S = 60  # the SDKs follow a Retry-After up to a minute, and else ask again at once
_AT_WORK_S = 1
_HOUR_S, _MINUTE_S = 3_600, 60

# Units that are counted in millionths of what is told.
_IN_MICRO = frozenset({BudgetUnit.USD, BudgetUnit.WALL_US})
# What the vendors call our units.
_OPENAI: Mapping[BudgetUnit, str] = {BudgetUnit.MODEL_CALLS: "requests", BudgetUnit.OUTPUT_TOKENS: "tokens"}
_ANTHROPIC: Mapping[BudgetUnit, str] = {
    BudgetUnit.MODEL_CALLS: "requests",
    BudgetUnit.INPUT_TOKENS: "input-tokens",
    BudgetUnit.OUTPUT_TOKENS: "output-tokens",
}


class _Left(msgspec.Struct, frozen=True, kw_only=True):
    """What one window has left, but for what was used of it since, and under which names that is told."""

    place: tuple[WindowId, BudgetUnit]
    left: int
    is_in_micro: bool
    names: tuple[bytes, ...]


class BudgetHeaders(msgspec.Struct, frozen=True, kw_only=True):
    """The headers of some windows, laid out once for many answers.  `names` in lower case."""

    names: frozenset[str]
    fixed: tuple[tuple[bytes, bytes], ...]
    left: tuple[_Left, ...]

    def raw(self, used: Mapping[tuple[WindowId, str], int]) -> list[tuple[bytes, bytes]]:
        """The headers, where so much was used in the windows; what was used before counts once, see `lay_out`."""
        found = list(self.fixed)
        for one in self.left:
            left = max(0, one.left - used.get(one.place, 0))
            text = (_of_micro(left) if one.is_in_micro else str(left)).encode()
            found += [(name, text) for name in one.names]
        return found


def budget_headers(windows: Iterable[Window], at: datetime) -> dict[str, str]:
    """Headers of one answer, by name in lower case; see `lay_out`."""
    return {name.decode(): value.decode() for name, value in lay_out(windows, at, {}).raw({})}


def lay_out(windows: Iterable[Window], at: datetime, used: Mapping[tuple[WindowId, str], int]) -> BudgetHeaders:
    """Headers for the answers of some time.

    `leverframe-budget-<scope>-<window>-<unit>-limit`, `-left` and `-reset` for every limit, in dollars for `usd`; for
    example `leverframe-budget-key-day-usd-left: 4.31`.  Two budgets of one such name: the one with less left.

    Args:
        windows: those that the call counts in, with their books.
        at: now.
        used: what `BudgetHeaders.raw` will be given, as it is now: that much of it is in the windows' books.
    """
    limited = sorted((one for one in windows if one.limit < _UNLIMITED), key=lambda one: one.left, reverse=True)
    fixed: dict[str, str] = {}
    left: dict[str, Window] = {}
    # The one with the least left is written last.
    for window in limited:
        name = f"leverframe-budget-{_named(window)}"
        fixed[f"{name}-limit"] = _amount(window.unit, window.limit)
        left[f"{name}-left"] = window
        if window.resets_at is not None:
            fixed[f"{name}-reset"] = rfc3339_s(window.resets_at)
        # A vendor's limit is one that resets: a run's own, or a total, would be waited for in vain.
        if window.resets_at is not None:
            told = _of_vendors(window, window.resets_at, at)
            left.update(dict.fromkeys((name for name, value in told.items() if value is None), window))
            fixed.update({name: value for name, value in told.items() if value is not None})
    return BudgetHeaders(
        names=frozenset([*fixed, *left]),
        fixed=tuple((name.encode(), value.encode()) for name, value in fixed.items()),
        left=tuple(
            _Left(
                place=(one.window_id, one.unit),
                left=one.left + used.get((one.window_id, one.unit), 0),
                is_in_micro=one.unit in _IN_MICRO,
                names=tuple(name.encode() for name, window in left.items() if window is one),
            )
            for one in {id(one): one for one in left.values()}.values()
        ),
    )


def retry_headers(resets_at: datetime | None, unit: str, at: datetime, *, fits_ever: bool = True) -> dict[str, str]:
    """When to ask again after a refusal for want of room, and whether an SDK should do so by itself.

    Args:
        resets_at: when the window that is full resets; None: never, or when a call ends.
        unit: the `BudgetUnit` value of that window.
        at: now.
        fits_ever: the call needs no more than the whole limit; one that does is asked again in vain.
    """
    if not fits_ever:
        return {"x-should-retry": "false"}
    if unit == BudgetUnit.IN_FLIGHT:
        return {"retry-after": str(_AT_WORK_S)}
    if resets_at is None:
        return {"x-should-retry": "false"}
    left_s = max(1, ceil((resets_at - at).total_seconds()))
    again = {"retry-after": str(left_s)}
    return again if left_s <= _LONGEST_RETRY_S else {**again, "x-should-retry": "false"}


def _named(window: Window) -> str:
    """`key-day-usd`, `workflow-model-minute-model-calls`, `run-output-tokens`: kinds alone, never the names."""
    unit = window.unit.value.replace("_", "-")
    if not window.budget:
        return f"run-{unit}"
    scope, _, rest = window.budget.partition("/")
    if scope != "model" and "/model/" in f"/{rest}":
        scope = f"{scope}-model"
    return f"{scope}-{window.budget.rpartition('/')[2]}-{unit}"


def _of_vendors(window: Window, resets_at: datetime, at: datetime) -> dict[str, str | None]:
    """By name; None stands for what is left."""
    found: dict[str, str | None] = {}
    limit = str(window.limit)
    openai, anthropic = _OPENAI.get(window.unit), _ANTHROPIC.get(window.unit)
    if openai is not None:
        found[f"x-ratelimit-limit-{openai}"] = limit
        found[f"x-ratelimit-remaining-{openai}"] = None
        found[f"x-ratelimit-reset-{openai}"] = _span(max(0, ceil((resets_at - at).total_seconds())))
    if anthropic is not None:
        found[f"anthropic-ratelimit-{anthropic}-limit"] = limit
        found[f"anthropic-ratelimit-{anthropic}-remaining"] = None
        found[f"anthropic-ratelimit-{anthropic}-reset"] = rfc3339_s(resets_at)
    return found


def _amount(unit: BudgetUnit, amount: int) -> str:
    return _of_micro(amount) if unit in _IN_MICRO else str(amount)


def _of_micro(amount: int) -> str:
    """Dollars or seconds, exact and without zeros at the end: `4.31`."""
    whole, rest = divmod(amount, MICRO)
    return f"{whole}.{rest:06d}".rstrip("0") if rest else str(whole)


def _span(seconds: int) -> str:
    """`6m0s`, as a Go duration: what the vendor sends."""
    hours, rest = divmod(seconds, _HOUR_S)
    minutes, left_s = divmod(rest, _MINUTE_S)
    if hours:
        return f"{hours}h{minutes}m{left_s}s"
    return f"{minutes}m{left_s}s" if minutes else f"{left_s}s"
