"""The period of a shared budget's window: what it is called, when it begins, when it resets."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from leverframe.core.periods import Period, period
from leverframe.domain.budgets import BudgetPeriod

BERLIN, NEW_YORK, HAVANA = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("America/Havana")
KATHMANDU, SANTIAGO, APIA = ZoneInfo("Asia/Kathmandu"), ZoneInfo("America/Santiago"), ZoneInfo("Pacific/Apia")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("window", "name", "starts_at", "resets_at"),
    [
        (BudgetPeriod.MINUTE, "2026-11-22T09:46Z", "2026-11-22T09:46:00Z", "2026-11-22T09:47:00Z"),
        (BudgetPeriod.HOUR, "2026-11-22T09Z", "2026-11-22T09:00:00Z", "2026-11-22T10:00:00Z"),
        (BudgetPeriod.DAY, "2026-11-22", "2026-11-21T23:00:00Z", "2026-11-22T23:00:00Z"),
        (BudgetPeriod.MONTH, "2026-11", "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z"),
    ],
)
def test_a_window_has_a_name_and_two_ends(window: BudgetPeriod, name: str, starts_at: str, resets_at: str) -> None:
    found = period(window, at("2026-11-22T09:46:31.5Z"), BERLIN)

    assert found == Period(id=name, starts_at=at(starts_at), resets_at=at(resets_at))


def test_a_total_has_one_window_for_ever() -> None:
    early, late = (
        period(BudgetPeriod.TOTAL, at("1999-01-01T00:00Z"), UTC),
        period(BudgetPeriod.TOTAL, at("2040-01-01T00:00Z"), BERLIN),
    )

    assert early == late == Period(id="all", starts_at=None, resets_at=None)


@pytest.mark.parametrize(
    ("zone", "instant", "day", "hours"),
    [
        (BERLIN, "2026-03-29T12:00Z", "2026-03-29", 23),
        (BERLIN, "2026-10-25T12:00Z", "2026-10-25", 25),
        (NEW_YORK, "2026-03-08T12:00Z", "2026-03-08", 23),
        (NEW_YORK, "2026-11-01T12:00Z", "2026-11-01", 25),
        (SANTIAGO, "2026-09-06T12:00Z", "2026-09-06", 23),  # the clock skips midnight: the day begins at 01:00
        (HAVANA, "2026-11-01T12:00Z", "2026-11-01", 25),  # midnight happens twice: the day begins at the first
        (KATHMANDU, "2026-03-29T12:00Z", "2026-03-29", 24),
    ],
)
def test_a_day_lasts_from_midnight_to_midnight_of_the_tenant_also_where_the_clock_changes(
    zone: ZoneInfo, instant: str, day: str, hours: int
) -> None:
    found = period(BudgetPeriod.DAY, at(instant), zone)

    assert found.id == day
    assert found.starts_at is not None
    assert found.resets_at is not None
    assert found.resets_at - found.starts_at == timedelta(hours=hours)


def test_the_second_of_two_equal_local_hours_is_of_the_same_day_and_another_hour() -> None:
    first, second = at("2026-10-25T00:30Z"), at("2026-10-25T01:30Z")  # both 02:30 in Berlin

    assert period(BudgetPeriod.DAY, first, BERLIN) == period(BudgetPeriod.DAY, second, BERLIN)
    assert period(BudgetPeriod.HOUR, first, BERLIN) != period(BudgetPeriod.HOUR, second, BERLIN)


def test_a_day_that_a_zone_leaves_out_has_no_window() -> None:
    before = period(BudgetPeriod.DAY, at("2011-12-30T09:59:59Z"), APIA)
    after = period(BudgetPeriod.DAY, at("2011-12-30T10:00:00Z"), APIA)

    assert (before.id, after.id) == ("2011-12-29", "2011-12-31")
    assert before.resets_at == after.starts_at


@pytest.mark.parametrize(
    ("instant", "name", "resets_at"),
    [
        ("2027-02-28T22:59:59.999999Z", "2027-02", "2027-02-28T23:00Z"),
        ("2028-02-29T12:00Z", "2028-02", "2028-02-29T23:00Z"),
        ("2026-12-31T22:59Z", "2026-12", "2026-12-31T23:00Z"),
        ("2026-12-31T23:00Z", "2027-01", "2027-01-31T23:00Z"),
        ("2026-03-31T21:59Z", "2026-03", "2026-03-31T22:00Z"),  # by now an hour earlier: summer time
    ],
)
def test_a_month_ends_at_the_last_midnight_of_the_tenant(instant: str, name: str, resets_at: str) -> None:
    found = period(BudgetPeriod.MONTH, at(instant), BERLIN)

    assert (found.id, found.resets_at) == (name, at(resets_at))


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        period(BudgetPeriod.DAY, datetime(2026, 11, 22, 9, 46), UTC)  # noqa: DTZ001 - what is refused
