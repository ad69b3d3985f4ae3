"""The most that a relayed call can take: its text by bytes, images, sound and documents by what models make of them.

Knows: how many tokens vendors say that an image or a second of sound is at most.  Never: bounds what has no bound or
no price: such a call is refused.
Sources: OpenAI, images and vision guide, and Anthropic, vision guide, 2025-11.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from leverframe.domain.calls import ModelBound
from leverframe.domain.errors import ModelUnpriced
from leverframe.domain.money import MicroUsd
from leverframe.domain.relays import RelayCall, WireFormat
from leverframe.models.call_prices import CallPrice
from leverframe.models.prices import Rate, micro

# By the start of the model's name, longest first; eight tiles of 512 pixels, or as many patches as are taken.
_IMAGE_TOKENS: Final = (
    ("gpt-4o-mini", 2_833 + 8 * 5_667),
    ("gpt-4.1-mini", 2_489),
    ("gpt-4.1-nano", 3_779),
    ("gpt-5-mini", 2_489),
    ("gpt-5-nano", 3_779),
    ("o4-mini", 2_642),
    ("gpt-4", 85 + 8 * 170),
    ("chatgpt-4o", 85 + 8 * 170),
    ("computer-use", 65 + 8 * 129),
    ("o1", 75 + 8 * 150),
    ("o3", 75 + 8 * 150),
    ("claude-", 5_000),
)
_IMAGE_TOKENS_OTHER: Final = 2_833 + 8 * 5_667  # the most that any model above takes
# Ten tokens a second, and no coding of speech that is taken has fewer than 8,000 bits, 1,333 characters of base64.
_CHARS_PER_AUDIO_TOKEN: Final = 100
_PER_SOUND: Final = 64
# What the vendor adds to a call from its own memory is in no byte of it.
_LOOKED_UP: Final = frozenset({"conversation", "prompt", "files"})


def bound_of(call: RelayCall, model: str, price: CallPrice, max_output_tokens: int) -> ModelBound:
    """The most this call can take, with as many output tokens for each of its choices.

    Raises:
        ModelUnpriced: a part of it has no price, or no bound.
    """
    if call.wire is WireFormat.COUNT:
        return ModelBound(input_tokens=call.input_bound, output_tokens=0, cost=MicroUsd(0))
    image_tokens = call.images * image_bound(model) if call.images else 0
    audio_tokens = call.audio_bytes // _CHARS_PER_AUDIO_TOKEN + _PER_SOUND if call.audio_bytes else 0
    text_tokens = call.input_bound
    is_looked_up = call.has_far_audio or call.sealed_ids or call.keeps & _LOOKED_UP
    if call.documents or call.vendor_tools or is_looked_up:
        text_tokens = _window_bound(call, model, price)
    output_tokens = 0
    if call.wire.has_answer:
        output_tokens = max_output_tokens * call.choices + call.extra_output_tokens
    tokens = text_tokens + image_tokens + audio_tokens
    if price.is_free:
        return ModelBound(input_tokens=tokens, output_tokens=output_tokens, cost=MicroUsd(0))
    input_pico = _worst_input(call, model, price, tokens)
    pico = price.request_pico + text_tokens * input_pico
    if image_tokens:
        # Images are written to a cache, too.
        pico += image_tokens * max(_dearest([price.image_input], tokens), input_pico)
    if audio_tokens:
        pico += audio_tokens * _listed(price.audio_input, model, "sound that is heard").worst(tokens)
    if output_tokens:
        pico += output_tokens * _worst_output(call, model, price, tokens)
    for tool in call.vendor_tools:
        if price.search_pico is None or not tool.name.startswith("web_search"):
            raise _unpriced(model, f"the vendor's tool {tool.name!r}")
        pico += (tool.max_uses or 0) * price.search_pico
    return ModelBound(input_tokens=tokens, output_tokens=output_tokens, cost=micro(pico))


# A project asks for few models, and for each call of one.
@lru_cache(maxsize=1024)
def image_bound(model: str) -> int:
    """The most tokens that one image can be."""
    return next((tokens for start, tokens in _IMAGE_TOKENS if model.startswith(start)), _IMAGE_TOKENS_OTHER)


def _window_bound(call: RelayCall, model: str, price: CallPrice) -> int:
    """What unpacks, or is fetched by the vendor, is bounded by what the model takes at all, once for each turn."""
    uses = 0
    for tool in call.vendor_tools:
        if tool.max_uses is None:
            raise ModelUnpriced(
                f"The call does not say how often the vendor may use {tool.name!r}, so nothing bounds what it costs.",
                next_move="Set `max_uses` of the tool, or `max_tool_calls` of the call.",
            )
        uses += tool.max_uses
    if price.is_free:
        return call.input_bound
    if price.window is None:
        raise _unpriced(model, "a document" if call.documents else "what the vendor reads for itself")
    return max(call.input_bound, price.window) * (uses + 1)


def _worst_input(call: RelayCall, model: str, price: CallPrice, tokens: int) -> int:
    rates = [price.input, price.cached]
    if call.has_cache_writes:
        rates.append(price.cache_write)
    if call.has_far_audio:
        rates.append(_listed(price.audio_input, model, "sound that is heard"))
    if call.has_hour_cache:
        rates.append(_listed(price.cache_write_1h, model, "a cache that is kept for an hour"))
    return _dearest(rates, tokens)


def _worst_output(call: RelayCall, model: str, price: CallPrice, tokens: int) -> int:
    rates = [_listed(price.output, model, "what it writes"), price.reasoning]
    if call.has_audio_answer:
        rates.append(_listed(price.audio_output, model, "what it says aloud"))
    return _dearest(rates, tokens)


def _dearest(rates: Iterable[Rate | None], tokens: int) -> int:
    worst = 0
    for rate in rates:
        if rate is not None:
            worst = max(worst, rate.worst(tokens) if rate.steps else rate.base)
    return worst


def _listed(rate: Rate | None, model: str, what: str) -> Rate:
    if rate is None:
        raise _unpriced(model, what)
    return rate


def _unpriced(model: str, what: str) -> ModelUnpriced:
    return ModelUnpriced(
        f"The price of {what} is not known for {model!r} (unpriced), so no budget can hold the call.",
        next_move="Use a model that `genai-prices` lists it for, or a newer version of that package.",
    )
