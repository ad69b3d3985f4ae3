"""Streams and money against a vendor that counts: each bug of a peer, relayed and read as the door does it."""

import asyncio
import json
from pathlib import Path

import pytest

from leverframe.core.wires import UsageReader, read_call
from leverframe.domain.calls import ModelLost
from leverframe.domain.contracts import ModelRef, Provider, Wire
from leverframe.domain.policy import SourceRef
from leverframe.domain.relays import RelayBroken, RelayRefusal, Usage, WireFormat
from leverframe.identity.secrets import ProjectSecrets
from leverframe.models.relay import VendorRelay
from leverframe.models.vendors import Vendor
from leverframe.net.pool import StreamClient
from leverframe.testing import FakeClock, TroubledVendor

HERE = SourceRef(file="leverframe.yaml", line=1)
USER = [{"role": "user", "content": "hi"}]
ASKED: dict[WireFormat, dict[str, object]] = {
    WireFormat.CHAT: {"messages": USER},
    WireFormat.RESPONSES: {"input": "hi"},
    WireFormat.MESSAGES: {"messages": USER, "max_tokens": 1000},
    WireFormat.EMBEDDINGS: {"input": "hi"},
    WireFormat.COUNT: {"messages": USER},
}
STREAMED = [WireFormat.CHAT, WireFormat.RESPONSES, WireFormat.MESSAGES]


class Told:
    """What reached the client, and what the reader knows."""

    def __init__(self, reader: UsageReader, passed: bytes, broken: str, vendor: TroubledVendor) -> None:
        self.reader, self.passed, self.broken, self.vendor = reader, passed, broken, vendor


def relayed(wire: WireFormat, model: str, *, deadline_s: float = 10.0, **fields: object) -> Told:
    async def act(vendor: TroubledVendor) -> Told:
        secrets = ProjectSecrets(Path("nowhere"), {})
        kind = Wire.ANTHROPIC if wire.is_anthropic else Wire.OPENAI
        provider = Provider(name="fake", wire=kind, source=HERE, url=f"{vendor.url}/v1", allows_private_hosts=True)
        relay = VendorRelay(
            {"fake": Vendor(provider, secrets)}, http=StreamClient(), secrets=secrets, clock=FakeClock()
        )
        body = json.dumps({"model": model, **ASKED[wire], **fields}).encode()
        call = read_call(wire, body)
        try:
            stream = await relay.send(
                call,
                ModelRef(provider="fake", model=model),
                max_output_tokens=1000,
                deadline_s=deadline_s,
                headers={},
            )
            assert not isinstance(stream, RelayRefusal | ModelLost), stream
            reader = UsageReader.of(call, is_stream=stream.is_stream)
            passed, broken = b"", ""
            try:
                while piece := await stream.read():
                    passed += reader.feed(piece)
                passed += reader.end()
            except RelayBroken as err:
                broken = err.kind
            return Told(reader, passed, broken, vendor)
        finally:
            await relay.close()

    with TroubledVendor() as vendor:
        return asyncio.run(act(vendor))


@pytest.mark.parametrize("wire", STREAMED)
@pytest.mark.parametrize("usage", ["", "-uevery", "-urepeat", "-uchoices"])
def test_the_usage_of_a_stream_is_the_vendors_own_count(wire: WireFormat, usage: str) -> None:
    told = relayed(wire, f"fake-0ms-i70-o33-c4-s10-r3{usage}", stream=True)

    served, found = told.vendor.served, told.reader.usage
    assert found is not None
    assert (found.input_tokens, found.output_tokens) == (served.input_tokens, served.output_tokens) == (70, 33)
    assert found.cached_input_tokens == 10
    assert told.reader.is_complete
    assert told.reader.answer.text.split() == ["lorem"] * 33


@pytest.mark.parametrize("wire", STREAMED)
def test_a_plain_answer_is_counted_alike(wire: WireFormat) -> None:
    found = relayed(wire, "fake-0ms-i70-o33-s10").reader

    assert found.usage == Usage(input_tokens=70, output_tokens=33, cached_input_tokens=10)
    assert found.is_complete


@pytest.mark.parametrize("wire", STREAMED)
@pytest.mark.parametrize("is_stream", [False, True])
def test_an_explicit_zero_is_not_replaced(wire: WireFormat, *, is_stream: bool) -> None:
    assert relayed(wire, "fake-0ms-uzero", stream=is_stream).reader.usage == Usage(input_tokens=0, output_tokens=0)


def test_start_and_delta_of_anthropic_do_not_add_up_and_cache_writes_are_told_apart() -> None:
    found = relayed(WireFormat.MESSAGES, "fake-0ms-i70-o33-s10-w20", stream=True).reader.usage

    assert found == Usage(input_tokens=70, output_tokens=33, cached_input_tokens=10, cache_write_tokens=20)


@pytest.mark.parametrize("wire", [WireFormat.CHAT, WireFormat.RESPONSES])
def test_a_stream_without_usage_has_none_and_is_whole(wire: WireFormat) -> None:
    told = relayed(wire, "fake-0ms-unone", stream=True)

    assert told.reader.usage is None
    assert told.reader.is_complete


def test_usage_is_asked_for_and_left_out_of_what_the_client_gets() -> None:
    told = relayed(WireFormat.CHAT, "fake-0ms", stream=True)

    assert told.vendor.served.include_usage == 1
    assert b'"prompt_tokens"' not in told.passed
    assert told.passed.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("wire", STREAMED)
@pytest.mark.parametrize("knob", ["-b3", "-h3"])
def test_a_vendor_that_breaks_off_leaves_whole_frames_and_an_open_count(wire: WireFormat, knob: str) -> None:
    told = relayed(wire, f"fake-0ms-o100-c10{knob}", stream=True)

    assert told.broken
    assert not told.reader.is_complete
    assert told.passed.endswith(b"\n\n")
    assert told.reader.answer.text.split() == ["lorem"] * 30
    assert told.vendor.served.output_tokens == 30


@pytest.mark.parametrize("knob", ["-xsilent", "-xendless"])
def test_a_stream_without_an_end_ends_at_the_deadline(knob: str) -> None:
    assert relayed(WireFormat.CHAT, f"fake-0ms{knob}-c2", stream=True, deadline_s=0.5).broken == "timeout"


@pytest.mark.parametrize("wire", STREAMED)
def test_an_error_with_status_200_is_an_error_without_usage(wire: WireFormat) -> None:
    reader = relayed(wire, "fake-0ms-xerror", stream=True).reader

    assert (reader.error, reader.usage, reader.is_complete) == ("scripted", None, False)


def test_garbage_with_status_200_is_an_error_without_usage() -> None:
    reader = relayed(WireFormat.CHAT, "fake-0ms-xgarbage").reader

    assert (reader.usage, reader.is_complete) == (None, False)
    assert "not JSON" in reader.error


@pytest.mark.parametrize("wire", STREAMED)
def test_the_limit_that_is_set_is_kept(wire: WireFormat) -> None:
    told = relayed(wire, "fake-0ms-o5000", stream=True)

    assert told.vendor.served.output_tokens == 1000


def test_nothing_is_stored() -> None:
    told = relayed(WireFormat.RESPONSES, "fake-0ms", store=True)

    assert told.vendor.served.stored == 0
    assert json.loads(told.vendor.bodies[0])["store"] is False


def test_embeddings_have_input_alone_and_counting_takes_nothing() -> None:
    assert relayed(WireFormat.EMBEDDINGS, "fake-0ms-i9").reader.usage == Usage(input_tokens=9, output_tokens=0)
    assert relayed(WireFormat.COUNT, "fake-0ms-i9").reader.usage == Usage(input_tokens=0, output_tokens=0)


def event(kind: str, **more: object) -> bytes:
    return f"event: {kind}\ndata: ".encode() + json.dumps({"type": kind, **more}).encode() + b"\n\n"


@pytest.mark.parametrize("has_last_word", [True, False])
def test_what_a_start_of_anthropic_counts_is_not_taken_for_what_was_written(*, has_last_word: bool) -> None:
    reader = UsageReader(WireFormat.MESSAGES, is_stream=True)

    reader.feed(event("message_start", message={"usage": {"input_tokens": 70, "output_tokens": 1}}))
    reader.feed(event("content_block_delta", index=0, delta={"type": "text_delta", "text": "lorem " * 33}))
    seen = reader.usage
    reader.feed(event("message_delta", delta={"stop_reason": "end_turn"}))
    reader.feed(event("message_stop") if has_last_word else b"")
    reader.end()

    assert seen == Usage(input_tokens=70, output_tokens=1)
    assert reader.is_complete
    assert reader.usage is None


@pytest.mark.parametrize("is_stream", [False, True])
def test_what_the_vendor_searched_is_counted_and_pages_that_it_opened_are_not(*, is_stream: bool) -> None:
    kinds = ("search", "open_page", "search", "find_in_page", None)
    looked = [{"type": "web_search_call", "id": "ws", **({"action": {"type": one}} if one else {})} for one in kinds]
    whole = {"status": "completed", "output": looked, "usage": {"input_tokens": 70, "output_tokens": 33}}
    reader = UsageReader(WireFormat.RESPONSES, is_stream=is_stream)

    reader.feed(event("response.completed", response=whole) if is_stream else json.dumps(whole).encode())
    reader.end()

    assert reader.usage == Usage(input_tokens=70, output_tokens=33, vendor_tool_uses=3)


def test_a_count_that_stands_before_the_end_is_not_taken_for_all_of_it() -> None:
    reader, usage = UsageReader(WireFormat.CHAT, is_stream=True), {"prompt_tokens": 70, "completion_tokens": 1}
    begun = {"choices": [{"index": 0, "delta": {"content": "a"}}], "usage": usage}
    more = {"choices": [{"index": 0, "delta": {"content": "lorem " * 33}}]}
    last = {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]}

    for chunk in (begun, last):
        reader.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    at_the_end = reader.usage
    reader.feed(b"data: " + json.dumps(more).encode() + b"\n\ndata: [DONE]\n\n")

    assert at_the_end == Usage(input_tokens=70, output_tokens=1)
    assert reader.usage is None
