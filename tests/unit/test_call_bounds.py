"""The worst case of a call, in which nothing is missing that it may be billed for, and when all of it is spent."""

import json

import pytest

from leverframe.core.wires import read_call
from leverframe.domain.relays import NOTHING_ADMITTED, Admitted, RelayCall, RelayRefusal, Usage, WireFormat
from leverframe.models.call_bounds import bound_of
from leverframe.models.call_prices import CallPrice
from leverframe.models.prices import Rate
from leverframe.testing.loopback import Served
from tests.unit.test_models_relay import itself, sent

# Pico-dollars a token, as of models that cost $5 a million read.
PRICE = CallPrice(
    version="test",
    input=Rate(base=5_000_000),
    output=Rate(base=25_000_000),
    cached=Rate(base=500_000),
    cache_write=Rate(base=6_250_000),
    cache_write_1h=Rate(base=10_000_000),
    audio_input=Rate(base=32_000_000),
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


def test_sound_that_the_vendor_fetches_is_bounded_by_what_the_model_takes_at_the_price_of_sound() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "https://x/long.mp3", "format": "mp3"}}
    asked = call(WireFormat.CHAT, Admitted(remote_urls=True), messages=[{"role": "user", "content": [sound]}])

    bound = bound_of(asked, "qwen-omni", PRICE, 1)

    assert bound.cost >= PRICE.cost(Usage(input_tokens=1_000_000, output_tokens=0, audio_input_tokens=999_000))


def test_a_spoken_answer_that_is_heard_again_is_sealed_to_its_run_and_bounded_as_sound() -> None:
    said = [{"role": "assistant", "audio": {"id": "audio_1"}}, {"role": "user", "content": "Go on."}]
    asked = call(WireFormat.CHAT, Admitted(state=frozenset({"audio"})), messages=said)

    bound = bound_of(asked, "gpt-audio", PRICE, 1)

    assert asked.sealed_ids == ("audio_1",)
    assert bound.cost >= PRICE.cost(Usage(input_tokens=16_000, output_tokens=0, audio_input_tokens=15_900))


@pytest.mark.parametrize(
    ("status", "is_billed"),
    [(502, True), (504, True), (520, True), (524, True), (521, False), (522, False), (529, False)],
)
def test_a_call_that_somebody_before_the_vendor_gave_up_on_may_be_billed(*, status: int, is_billed: bool) -> None:
    page = Served(status=status, body=b"<html>A timeout occurred</html>", headers={"Content-Type": "text/html"})

    found, _ = sent(page, itself)

    assert isinstance(found, RelayRefusal)
    assert (found.kind, found.is_billed) == ("5xx", is_billed)
