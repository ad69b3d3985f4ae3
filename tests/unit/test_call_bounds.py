"""The worst case of a call: no kind of token that it may be billed for is missing in it."""

import json

from leverframe.core.wires import read_call
from leverframe.domain.relays import NOTHING_ADMITTED, Admitted, RelayCall, Usage, WireFormat
from leverframe.models.call_bounds import bound_of
from leverframe.models.call_prices import CallPrice
from leverframe.models.prices import Rate

# Pico-dollars a token, as of models that cost $5 a million read.
PRICE = CallPrice(
    version="test",
    input=Rate(base=5_000_000),
    output=Rate(base=25_000_000),
    cached=Rate(base=500_000),
    cache_write=Rate(base=6_250_000),
    cache_write_1h=Rate(base=10_000_000),
    window=1_000_000,
)


def call(wire: WireFormat, admitted: Admitted = NOTHING_ADMITTED, **fields: object) -> RelayCall:
    return read_call(wire, json.dumps({"model": "m", **fields}).encode(), admitted)


def test_an_image_that_is_written_to_a_cache_is_bounded_at_the_price_of_that() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}}
    for ttl, kept in (("5m", 0), ("1h", 4_784)):
        content = [{**image, "cache_control": {"type": "ephemeral", "ttl": ttl}}]
        asked = call(WireFormat.MESSAGES, max_tokens=1, messages=[{"role": "user", "content": content}])

        bound = bound_of(asked, "claude-opus-4-7", PRICE, 1)

        # The most that the vendor makes of one image, all of it written.
        took = Usage(input_tokens=4_790, output_tokens=1, cache_write_tokens=4_784, cache_write_1h_tokens=kept)
        assert bound.cost >= PRICE.cost(took)
