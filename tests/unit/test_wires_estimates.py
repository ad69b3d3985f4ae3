"""What an answer took whose vendor does not say: never less than it may have been."""

import json

import pytest

from leverframe.core.wires import UsageReader, estimated_usage, read_call
from leverframe.core.wires.said import MAX_RECORDED_CHARS
from leverframe.domain.calls import ModelBound
from leverframe.domain.money import MicroUsd
from leverframe.domain.relays import RelayCall, Usage, WireFormat

BOUND = ModelBound(input_tokens=50, output_tokens=4_096, cost=MicroUsd(0))


def chat(model: str = "gpt-4o", **fields: object) -> RelayCall:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **fields}
    return read_call(WireFormat.CHAT, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("call", "is_observed", "expected"),
    [
        (chat(), False, 4_096),
        (chat(max_tokens=10), False, 4_096),
        (chat(), True, 300),
        (chat(max_tokens=10), True, 300),
        (chat("gpt-5-mini"), True, 4_096),
        (chat("openai/o3"), True, 4_096),
        (chat(reasoning_effort="low"), True, 4_096),
    ],
)
def test_the_bound_counts_where_it_is_kept_or_thinking_is_not_seen(
    call: RelayCall,
    is_observed: bool,  # noqa: FBT001 pytest's positions
    expected: int,
) -> None:
    found = estimated_usage(call, BOUND, 300, is_observed=is_observed)

    assert found == Usage(input_tokens=50, output_tokens=expected, is_estimated=True)


def test_more_was_said_than_a_bound_that_nobody_keeps() -> None:
    assert estimated_usage(chat("gpt-5"), BOUND, 9_000, is_observed=True).output_tokens == 9_000


@pytest.mark.parametrize("piece", ["lorem", "\U0001f642" * 3, "ü"])
def test_what_was_said_is_counted_in_bytes_and_so_is_thinking_that_is_shown(piece: str) -> None:
    reader = UsageReader(WireFormat.CHAT, is_stream=True)
    for delta in ({"content": piece}, {"reasoning_content": piece}):
        reader.feed(b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n")

    assert reader.said_bytes >= 2 * len(piece.encode())


def test_what_was_said_aloud_is_counted_too() -> None:
    reader = UsageReader(WireFormat.CHAT, is_stream=True)
    second = {"choices": [{"index": 0, "delta": {"audio": {"data": "A" * 64_000, "transcript": "lorem"}}}]}
    for _ in range(3):
        reader.feed(b"data: " + json.dumps(second).encode() + b"\n\n")

    # Of three seconds 60 tokens, each as dear as several of text.
    assert 60 * 8 < estimated_usage(chat(), BOUND, reader.said_bytes, is_observed=True).output_tokens < 10_000


def test_what_is_too_much_to_be_recorded_is_counted_all_the_same() -> None:
    reader = UsageReader(WireFormat.CHAT, is_stream=True)
    piece = "ü" * 1_000_000
    for _ in range(4):
        frame = {"choices": [{"index": 0, "delta": {"content": piece}}]}
        reader.feed(b"data: " + json.dumps(frame, ensure_ascii=False).encode() + b"\n\n")

    assert reader.answer.is_cut
    assert reader.said_bytes >= 4 * len(piece.encode()) > MAX_RECORDED_CHARS
