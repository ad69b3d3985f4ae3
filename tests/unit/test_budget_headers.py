"""What clients read of budgets in response headers: ours, the vendors', and when to ask again."""

from datetime import UTC, datetime, timedelta

import pytest

from leverframe.core.budget_headers import budget_headers, lay_out, retry_headers
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.ids import BudgetId, WindowId

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SOON, LATE = NOW + timedelta(seconds=30), NOW + timedelta(hours=2, minutes=1, seconds=5)


def window(
    budget: str, unit: BudgetUnit, limit: int, *, settled: int = 0, reserved: int = 0, resets_at: datetime | None = SOON
) -> Window:
    return Window(
        window_id=WindowId(f"{budget}/x"),
        unit=unit,
        limit=limit,
        settled=settled,
        reserved=reserved,
        budget=BudgetId(budget),
        resets_at=resets_at,
    )


def test_every_limit_has_what_is_left_under_a_name_without_names() -> None:
    money = window("key/acme/bot/day", BudgetUnit.USD, 5_000_000, settled=600_000, reserved=90_000, resets_at=LATE)

    assert budget_headers([money], NOW) == {
        "leverframe-budget-key-day-usd-limit": "5",
        "leverframe-budget-key-day-usd-left": "4.31",
        "leverframe-budget-key-day-usd-reset": "2026-11-28T14:01:05Z",
    }


def test_the_vendors_read_requests_and_tokens_that_reset() -> None:
    calls = window("model/acme/openai/gpt-5/minute", BudgetUnit.MODEL_CALLS, 60, settled=58)
    tokens = window("tenant/acme/hour", BudgetUnit.OUTPUT_TOKENS, 9_000, reserved=500, resets_at=LATE)

    found = budget_headers([calls, tokens], NOW)

    assert found["leverframe-budget-model-minute-model-calls-left"] == "2"
    assert found["x-ratelimit-limit-requests"] == "60"
    assert found["x-ratelimit-remaining-requests"] == "2"
    assert found["x-ratelimit-reset-requests"] == "30s"
    assert found["x-ratelimit-remaining-tokens"] == "8500"
    assert found["x-ratelimit-reset-tokens"] == "2h1m5s"
    assert found["anthropic-ratelimit-requests-remaining"] == "2"
    assert found["anthropic-ratelimit-output-tokens-limit"] == "9000"
    assert found["anthropic-ratelimit-output-tokens-reset"] == "2026-11-28T14:01:05Z"


def test_of_several_windows_the_one_with_the_least_left_speaks() -> None:
    wide = window("tenant/acme/day", BudgetUnit.MODEL_CALLS, 1_000, resets_at=LATE)
    narrow = window("team/acme/support/minute", BudgetUnit.MODEL_CALLS, 60, settled=70)
    other = window("workflow/acme/a/key/bot/day", BudgetUnit.USD, 9_000_000, resets_at=LATE)
    same_name = window("workflow/acme/b/day", BudgetUnit.USD, 4_000_000, resets_at=LATE)

    for order in ([wide, narrow, other, same_name], [same_name, other, narrow, wide]):
        found = budget_headers(order, NOW)
        assert found["x-ratelimit-remaining-requests"] == "0"
        assert found["leverframe-budget-workflow-day-usd-left"] == "4"
        assert found["leverframe-budget-tenant-day-model-calls-left"] == "1000"


def test_what_never_resets_is_ours_alone_and_what_has_no_limit_is_not_told() -> None:
    own = Window(window_id=WindowId("run/r"), unit=BudgetUnit.MODEL_CALLS, limit=8, settled=1)
    counting = Window(window_id=WindowId("run/r"), unit=BudgetUnit.USD, limit=2**53)

    assert budget_headers([own, counting], NOW) == {
        "leverframe-budget-run-model-calls-limit": "8",
        "leverframe-budget-run-model-calls-left": "7",
    }


def test_what_was_used_since_the_headers_were_laid_out_is_no_longer_left() -> None:
    money = window("key/acme/bot/day", BudgetUnit.USD, 5_000_000, settled=600_000)
    place, before = (money.window_id, "usd"), 90_000

    told = lay_out([money], NOW, {place: before})

    assert dict(told.raw({place: before}))[b"leverframe-budget-key-day-usd-left"] == b"4.4"
    assert dict(told.raw({place: before + 399_999}))[b"leverframe-budget-key-day-usd-left"] == b"4.000001"
    assert dict(told.raw({place: before + 9_000_000}))[b"leverframe-budget-key-day-usd-left"] == b"0"
    assert told.names == {name.decode() for name, _ in told.raw({})}


def test_a_header_is_a_token_and_its_value_one_line_of_ascii() -> None:
    units = [window(f"team/acme/ops/{name}", unit, 7) for unit in BudgetUnit for name in ("day", "now")]

    for name, value in budget_headers(units, NOW).items():
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz-0123456789")
        assert value.isascii()
        assert value.isprintable()


@pytest.mark.parametrize(
    ("resets_at", "unit", "expected"),
    [
        (SOON, "model_calls", {"retry-after": "30"}),
        (LATE, "usd", {"retry-after": "7265", "x-should-retry": "false"}),
        (NOW, "usd", {"retry-after": "1"}),
        (None, "usd", {"x-should-retry": "false"}),
        (None, "in_flight", {"retry-after": "1"}),
    ],
)
def test_an_sdk_is_told_when_to_ask_again_and_whether_by_itself(
    resets_at: datetime | None, unit: str, expected: dict[str, str]
) -> None:
    assert retry_headers(resets_at, unit, NOW) == expected
