"""Law: every instant is in exactly one period of a kind, periods follow one another, and no two have one name."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import given
from hypothesis import strategies as st

from leverframe.core.periods import period
from leverframe.domain.budgets import BudgetPeriod

ZONES = st.sampled_from(sorted(available_timezones() - {"localtime"})).map(ZoneInfo)
# Before 1995 some zones began their summer time half an hour before midnight; no budget is of then.
INSTANTS = st.datetimes(datetime(1995, 1, 2), datetime(2037, 12, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
KINDS = st.sampled_from([BudgetPeriod.MINUTE, BudgetPeriod.HOUR, BudgetPeriod.DAY, BudgetPeriod.MONTH])
INSTANT = timedelta(microseconds=1)


@given(window=KINDS, at=INSTANTS, zone=ZONES)
def test_an_instant_is_in_its_period_and_the_next_one_begins_where_it_ends(
    window: BudgetPeriod, at: datetime, zone: ZoneInfo
) -> None:
    found = period(window, at, zone)
    assert found.starts_at is not None
    assert found.resets_at is not None

    following = period(window, found.resets_at, zone)

    assert found.starts_at <= at < found.resets_at
    assert period(window, found.starts_at, zone) == period(window, found.resets_at - INSTANT, zone) == found
    assert following.starts_at == found.resets_at
    assert following.id > found.id
    assert period(window, found.starts_at - INSTANT, zone).id < found.id
