"""What a relayed call costs: every kind of token that a vendor bills apart, as whole pico-dollars.

Knows: the price list of the `genai-prices` package, looked up once for a model and half an hour, since some prices
depend on the time of day.  Never: takes a kind of token for free because it is not listed: where it can occur the call
is refused, and where it occurred all the same it is priced like the dearest that is listed.
"""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from leverframe.domain.money import MicroUsd
from leverframe.domain.relays import Usage
from leverframe.models.prices import FREE, Rate, listed_rate, micro, pico_each

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation

_HALF_HOUR_S: Final = 1800
MAX_CACHED: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPrice:
    """The rates of one model.  None: not listed, so nobody can say what it costs.

    `window` is how many tokens of input and output together the model takes at most.
    """

    version: str
    input: Rate
    output: Rate | None
    cached: Rate | None = None
    cache_write: Rate | None = None
    cache_write_1h: Rate | None = None
    reasoning: Rate | None = None
    audio_input: Rate | None = None
    audio_output: Rate | None = None
    image_input: Rate | None = None
    request_pico: int = 0
    search_pico: int | None = None
    window: int | None = None
    is_free: bool = False

    def cost(self, usage: Usage) -> MicroUsd:
        """What it cost, rounded up to a micro-dollar."""
        size = usage.input_tokens
        hour = min(usage.cache_write_1h_tokens, usage.cache_write_tokens)
        write = usage.cache_write_tokens - hour
        fresh = max(0, size - usage.cached_input_tokens - usage.cache_write_tokens - usage.audio_input_tokens)
        text = max(0, usage.output_tokens - usage.reasoning_tokens - usage.audio_output_tokens)
        output = self.output or self.input
        pico = self.request_pico + usage.vendor_tool_uses * (self.search_pico or 0)
        for tokens, rate in (
            (fresh, self.input),
            (usage.cached_input_tokens, self.cached or self.input),
            (write, self.cache_write or self.input),
            (hour, self.cache_write_1h or self.cache_write or self.input),
            (usage.audio_input_tokens, self.audio_input or self.input),
            (text, output),
            (usage.reasoning_tokens, self.reasoning or output),
            (usage.audio_output_tokens, self.audio_output or output),
        ):
            if tokens:
                pico += tokens * rate.at(size)
        return micro(pico)


def free_price() -> CallPrice:
    """For what nobody bills: a model that the project says is free."""
    return CallPrice(version="own-host", input=FREE.input, output=FREE.output, search_pico=0, is_free=True)


@dataclass(slots=True)
class PriceList:
    """Prices of the models behind one address, looked up once."""

    base_url: str | None
    _known: dict[tuple[str, int], CallPrice | None] = field(default_factory=dict)

    def price(self, model: str, now: datetime) -> CallPrice | None:
        """The price of a model at a time; None where it is not listed."""
        key = (model, half_hour(now))
        try:
            return self._known[key]
        except KeyError:
            if len(self._known) >= MAX_CACHED:
                self._known.clear()
            return self._known.setdefault(key, _listed(model, self.base_url, now))


def half_hour(now: datetime) -> int:
    """The number of the half hour, for as long as which a price stays what it is."""
    return int(now.timestamp()) // _HALF_HOUR_S


def load_price_list() -> None:
    """Read the list now, where the first call must not wait for it."""
    # Imported here: it takes a third of a second, and only models of vendors need it.
    import genai_prices.data  # noqa: F401 - read for its effect


def _listed(model: str, base_url: str | None, now: datetime) -> CallPrice | None:
    # Imported here: see load_price_list.
    from genai_prices import Usage as TokenCounts
    from genai_prices import calc_price

    counts = TokenCounts(input_tokens=1, output_tokens=1)
    try:
        found = calc_price(counts, model, provider_api_url=base_url, genai_request_timestamp=now)
    except LookupError:
        return None
    return _from_list(found)


def _from_list(found: "PriceCalculation") -> CallPrice | None:
    listed = found.model_price

    def rate(name: str) -> Rate | None:
        return listed_rate([getattr(listed, name, None)])

    fresh = rate("input_mtok")
    if fresh is None:
        return None
    price = CallPrice(
        version="",
        input=fresh,
        output=rate("output_mtok"),
        cached=rate("cache_read_mtok"),
        cache_write=rate("cache_write_mtok"),
        cache_write_1h=rate("cache_write_1h_mtok"),
        reasoning=rate("output_reasoning_mtok"),
        audio_input=rate("input_audio_mtok"),
        audio_output=rate("output_audio_mtok"),
        image_input=rate("input_image_mtok"),
        request_pico=pico_each(getattr(listed, "requests_kcount", None)) or 0,
        search_pico=pico_each(getattr(listed, "web_searches_kcount", None)),
        window=found.model.context_window,
    )
    return replace(price, version=_version(price))


def _version(price: CallPrice) -> str:
    """The package and its version, and a digest of the very numbers, since a list can be changed in place."""
    # Imported here: reading metadata is slow, and needed once for a model.
    from importlib.metadata import version

    return f"genai-prices/{version('genai-prices')}+{hashlib.sha256(repr(price).encode()).hexdigest()[:12]}"
