"""A budget without room on the vendors' routes: which, how much is left, and when to ask again."""

import json
from datetime import UTC, datetime, timedelta

from leverframe.domain.ids import BudgetId, StepPath
from leverframe.domain.relays import WireFormat
from leverframe.gateway.refusing import Refusal, of_outcome
from leverframe.runtime.outcomes import Exhausted

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def refused(
    *,
    resets_at: datetime | None,
    unit: str = "model_calls",
    step: str = "1",
    at: datetime = NOW,
    fits_ever: bool = True,
) -> Refusal:
    outcome = Exhausted(
        path=StepPath(step),
        budget=BudgetId("key/acme/bot/minute"),
        resets_at=resets_at,
        message="no room",
        unit=unit,
        limit=60,
        left=0,
        fits_ever=fits_ever,
    )
    return of_outcome(WireFormat.CHAT, outcome, at)


def test_a_rate_that_resets_soon_is_asked_again_by_the_sdk_itself() -> None:
    told = refused(resets_at=NOW + timedelta(seconds=20))

    headers = dict(told.headers)
    assert told.status == 429
    assert headers[b"retry-after"] == b"20"
    assert b"x-should-retry" not in headers
    assert headers[b"x-ratelimit-remaining-requests"] == b"0"
    assert headers[b"anthropic-ratelimit-requests-reset"] == b"2026-11-28T12:00:20Z"
    assert headers[b"leverframe-budget-key-minute-model-calls-limit"] == b"60"


def test_one_that_resets_late_or_never_is_not() -> None:
    late, never = refused(resets_at=NOW + timedelta(hours=9)), refused(resets_at=None)

    assert dict(late.headers)[b"retry-after"] == b"32400"
    assert dict(late.headers)[b"x-should-retry"] == b"false"
    assert dict(never.headers)[b"x-should-retry"] == b"false"
    assert b"retry-after" not in dict(never.headers)


def test_what_is_more_than_the_whole_limit_is_never_asked_again_by_itself() -> None:
    told = refused(resets_at=NOW + timedelta(seconds=20), fits_ever=False)

    assert dict(told.headers)[b"x-should-retry"] == b"false"
    assert b"retry-after" not in dict(told.headers)
    assert b"2026-11-28T12:00:20Z" in told.body


def test_calls_at_work_are_over_soon() -> None:
    assert dict(refused(resets_at=None, unit="in_flight").headers)[b"retry-after"] == b"1"


def test_the_body_names_the_budget_its_unit_its_limit_and_what_is_left() -> None:
    said = json.dumps(json.loads(refused(resets_at=NOW + timedelta(hours=9)).body))

    assert all(word in said for word in ('"key/acme/bot/minute"', '"model_calls"', "60", "2026-11-28T21:00:00Z"))


def test_a_burst_is_told_the_same_and_the_next_second_a_shorter_wait() -> None:
    end = NOW + timedelta(seconds=20)
    burst = [refused(resets_at=end, step=f"w-{one}", at=NOW + timedelta(milliseconds=one)) for one in range(1, 999, 7)]
    later = refused(resets_at=end, at=NOW + timedelta(seconds=3, milliseconds=1))

    assert len({id(one) for one in burst}) == 1
    assert dict(burst[0].headers)[b"retry-after"] == b"20"
    assert dict(later.headers)[b"retry-after"] == b"17"
