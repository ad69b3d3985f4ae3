"""Prices: whole pico-dollars, tiers by input, a bound that no usage exceeds, and None for what nobody prices."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverframe.models.prices import FREE, Rate, TokenPrice, listed_price

NOW = datetime(2026, 1, 2, tzinfo=UTC)
OPENAI = "https://api.openai.com/v1"
RATES = st.builds(
    Rate,
    base=st.integers(0, 10**9),
    steps=st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**9)), max_size=3).map(
        lambda steps: tuple(sorted(dict(steps).items()))
    ),
)
PRICES = st.builds(TokenPrice, input=RATES, cached_input=RATES, output=RATES, request_pico=st.integers(0, 10**9))


def test_a_listed_model_has_whole_pico_dollars_a_token() -> None:
    price = listed_price("gpt-4o-mini", base_url=OPENAI, now=NOW)

    assert price is not None
    # $0.15, $0.075 and $0.60 for a million tokens.
    assert (price.input.base, price.cached_input.base, price.output.base) == (150_000, 75_000, 600_000)


def test_a_cost_agrees_with_the_price_list_to_the_micro_dollar() -> None:
    # Imported here: a test of agreement needs the other side.
    from genai_prices import Usage, calc_price

    price = listed_price("gpt-4o-mini", base_url=OPENAI, now=NOW)
    theirs = calc_price(
        Usage(input_tokens=12_345, cache_read_tokens=2_345, output_tokens=678),
        "gpt-4o-mini",
        provider_api_url=OPENAI,
        genai_request_timestamp=NOW,
    ).total_price

    assert price is not None
    cost = price.cost(input_tokens=12_345, cached_tokens=2_345, output_tokens=678)

    assert 0 <= Decimal(cost) - theirs * 10**6 < 1


def test_a_price_by_size_of_the_request_has_its_steps() -> None:
    price = listed_price("gemini-2.5-pro", base_url="https://generativelanguage.googleapis.com", now=NOW)

    assert price is not None
    assert price.input.at(200_000) < price.input.at(200_001) == price.input.highest


@pytest.mark.parametrize(
    ("model", "base_url"),
    [("no-such-model-9", OPENAI), ("gpt-4o-mini", "https://llm.example/v1"), ("no-such-model-9", None)],
)
def test_what_nobody_prices_is_none(model: str, base_url: str | None) -> None:
    assert listed_price(model, base_url=base_url, now=NOW) is None


@given(price=PRICES, counts=st.tuples(*[st.integers(0, 10**6)] * 3), more=st.tuples(*[st.integers(0, 10**5)] * 2))
def test_no_usage_within_the_bound_costs_more_than_it(
    price: TokenPrice, counts: tuple[int, int, int], more: tuple[int, int]
) -> None:
    input_tokens, output_tokens, cached_tokens = counts[0], counts[1], min(counts)

    bound = price.bound(input_tokens + more[0], output_tokens + more[1])
    cost = price.cost(input_tokens=input_tokens, cached_tokens=cached_tokens, output_tokens=output_tokens)

    assert 0 <= cost <= bound


def test_what_costs_nothing_costs_nothing() -> None:
    assert FREE.bound(10**9, 10**9) == 0


def test_a_fraction_of_a_micro_dollar_is_rounded_up() -> None:
    price = TokenPrice(input=Rate(base=1), cached_input=Rate(base=0), output=Rate(base=0))

    assert price.cost(input_tokens=1, cached_tokens=0, output_tokens=0) == 1
