"""The period of a budget window that an instant falls into: a minute, an hour, a local day, a local month, or ever.

Knows: the calendar of a time zone, which it is handed.  Never: reads a clock or a table of time zones.
Law, kept by `tests/property/test_periods.py`: `starts_at <= at < resets_at`, and the next period starts at `resets_at`.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import assert_never

from leverframe.domain.budgets import BudgetPeriod

_DECEMBER = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A stretch of time, its end not included; both ends in UTC.  `total` and `now` have neither end.

    `id` is the same for every instant in it and never that of another period of the same kind: `2026-11` for a month,
    `2026-11-22` for a day, `2026-11-22T09Z` for an hour, `2026-11-22T09:46Z` for a minute, `all` for
    `total`, `now` for what is at work.
    """

    id: str
    starts_at: datetime | None
    resets_at: datetime | None


def period(window: BudgetPeriod, at: datetime, zone: tzinfo) -> Period:
    """The period around `at`, an aware time.

    A day begins at the zone's midnight, or at the first instant of the day where the clock skips midnight, so that a
    day lasts 23, 24 or 25 hours.  Minutes and hours are those of UTC: a local hour may happen twice a day.

    Raises:
        ValueError: `at` has no zone.
    """
    if at.tzinfo is None:
        msg = f"A time needs a zone, got the naive {at!r}"
        raise ValueError(msg)
    utc = at.astimezone(UTC)
    match window:
        case BudgetPeriod.MINUTE:
            start = utc.replace(second=0, microsecond=0)
            return Period(id=f"{start:%Y-%m-%dT%H:%M}Z", starts_at=start, resets_at=start + timedelta(minutes=1))
        case BudgetPeriod.HOUR:
            start = utc.replace(minute=0, second=0, microsecond=0)
            return Period(id=f"{start:%Y-%m-%dT%H}Z", starts_at=start, resets_at=start + timedelta(hours=1))
        case BudgetPeriod.DAY:
            day = at.astimezone(zone).date()
            return Period(
                id=day.isoformat(),
                starts_at=_begins(day, zone),
                resets_at=_begins(day + timedelta(days=1), zone),
            )
        case BudgetPeriod.MONTH:
            first = at.astimezone(zone).date().replace(day=1)
            return Period(
                id=first.isoformat()[:7], starts_at=_begins(first, zone), resets_at=_begins(_next_month(first), zone)
            )
        case BudgetPeriod.NOW:
            return Period(id="now", starts_at=None, resets_at=None)
        case BudgetPeriod.TOTAL:
            return Period(id="all", starts_at=None, resets_at=None)
        case _:
            assert_never(window)


def _next_month(first: date) -> date:
    if first.month == _DECEMBER:
        return first.replace(year=first.year + 1, month=1)
    return first.replace(month=first.month + 1)


def _begins(day: date, zone: tzinfo) -> datetime:
    """The first instant of a local day, in UTC.

    Of two midnights the earlier one (fold 0).  A midnight that the clock skips is read by the offset before the gap
    (PEP 495), which gives the instant of the change itself where the gap begins at midnight, as all of today's do.
    """
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
