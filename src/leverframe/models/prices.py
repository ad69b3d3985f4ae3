"""What a token costs, as whole pico-dollars (10^-12 of a dollar).

Knows: the price list of the `genai-prices` package, as of its version: nothing is fetched.
Never: takes a model for free because nobody knows its price; that is for the caller to refuse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Final

from leverframe.domain.money import PICO_PER_MICRO, MicroUsd

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, TieredPrices

_PICO_PER_MTOK_DOLLAR: Final = 1_000_000  # one dollar for a million tokens, in pico-dollars a token
_PICO_PER_THOUSANDTH: Final = 10**9  # one dollar for a thousand requests, in pico-dollars a request


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Pico-dollars a token: `base`, or from more than `start` input tokens on another price for all tokens."""

    base: int
    steps: tuple[tuple[int, int], ...] = ()  # start, pico-dollars; ascending

    def at(self, input_tokens: int) -> int:
        """The price where a request has this many input tokens."""
        if not self.steps:
            return self.base
        return next((pico for start, pico in reversed(self.steps) if input_tokens > start), self.base)

    def worst(self, input_tokens: int) -> int:
        """The price at its worst where a request has at most this many input tokens."""
        if not self.steps:
            return self.base
        return max(self.base, *(pico for start, pico in self.steps if start < input_tokens), 0)

    @property
    def highest(self) -> int:
        """The price at its worst."""
        return max(self.base, *(pico for _, pico in self.steps)) if self.steps else self.base


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrice:
    """What one model's tokens cost."""

    input: Rate
    cached_input: Rate
    output: Rate
    request_pico: int = 0

    def bound(self, input_tokens: int, output_tokens: int) -> MicroUsd:
        """The most that so many tokens can cost, rounded up to a micro-dollar."""
        worst_input = max(self.input.worst(input_tokens), self.cached_input.worst(input_tokens))
        worst_output = self.output.worst(input_tokens)
        return micro(self.request_pico + input_tokens * worst_input + output_tokens * worst_output)

    def cost(self, *, input_tokens: int, cached_tokens: int, output_tokens: int) -> MicroUsd:
        """What so many tokens cost; `cached_tokens` are part of `input_tokens`."""
        fresh = input_tokens - cached_tokens
        return micro(
            self.request_pico
            + fresh * self.input.at(input_tokens)
            + cached_tokens * self.cached_input.at(input_tokens)
            + output_tokens * self.output.at(input_tokens)
        )


FREE: Final = TokenPrice(input=Rate(base=0), cached_input=Rate(base=0), output=Rate(base=0))


def listed_price(model: str, *, base_url: str | None, now: datetime) -> TokenPrice | None:
    """The price of a model of the vendor behind `base_url`, or of whoever the model's name points to; else None."""
    # Imported here: the price list takes a third of a second, and only models of vendors need it.
    from genai_prices import Usage, calc_price

    usage = Usage(input_tokens=1, output_tokens=1)
    try:
        found = calc_price(usage, model, provider_api_url=base_url, genai_request_timestamp=now).model_price
    except LookupError:
        return None
    fresh, output = (
        listed_rate([found.input_mtok]),
        listed_rate([found.output_mtok, _known(found, "output_reasoning_mtok")]),
    )
    if fresh is None or output is None:
        return None
    # Where a price for reading the vendor's cache is not listed, it is that of fresh tokens.
    cached = listed_rate([_known(found, "cache_read_mtok")]) or fresh
    request_pico = pico_each(_known(found, "requests_kcount")) or 0
    return TokenPrice(input=fresh, cached_input=cached, output=output, request_pico=request_pico)


def _known(price: "ModelPrice", name: str) -> "Decimal | TieredPrices | None":
    found: Decimal | TieredPrices | None = getattr(price, name, None)
    return found


def pico_each(price: "Decimal | TieredPrices | None") -> int | None:
    """Pico-dollars for each of what is listed by the thousand; None where it is not listed."""
    return _pico(price, _PICO_PER_THOUSANDTH) if isinstance(price, Decimal) else None


def listed_rate(prices: "Sequence[Decimal | TieredPrices | None]") -> Rate | None:
    """One rate that is at no point below any of these; None where the first is not listed."""
    if not prices or prices[0] is None:
        return None
    rates = [_one_rate(price) for price in prices if price is not None]
    starts = sorted({start for rate in rates for start, _ in rate.steps})
    steps = tuple((start, max(rate.at(start + 1) for rate in rates)) for start in starts)
    return Rate(base=max(rate.base for rate in rates), steps=steps)


def _one_rate(price: "Decimal | TieredPrices") -> Rate:
    if isinstance(price, Decimal):
        return Rate(base=_pico(price, _PICO_PER_MTOK_DOLLAR))
    steps = tuple((tier.start, _pico(tier.price, _PICO_PER_MTOK_DOLLAR)) for tier in price.tiers)
    return Rate(base=_pico(price.base, _PICO_PER_MTOK_DOLLAR), steps=steps)


def _pico(dollars: Decimal, unit: int) -> int:
    return int((dollars * unit).to_integral_value(rounding=ROUND_CEILING))


def micro(pico: int) -> MicroUsd:
    """Pico-dollars as micro-dollars, rounded up, once for a call."""
    return MicroUsd(-(-pico // PICO_PER_MICRO))
