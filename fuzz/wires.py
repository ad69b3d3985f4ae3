"""The wire formats of model vendors as fuzzing targets: calls of clients, answers and streams of vendors."""

import json
from collections.abc import Sequence

from leverframe.core.wires import UsageReader, read_call, upstream_body
from leverframe.core.wires.frames import Frames
from leverframe.domain.errors import WireRefused
from leverframe.domain.relays import Admitted, WireFormat
from leverframe.models import anthropic_wire
from leverframe.testing.vendor_answers import (
    chat_body,
    chat_frames,
    json_bytes,
    knobs_of,
    messages_body,
    messages_frames,
    responses_frames,
    responses_value,
)

_EVERYTHING = Admitted(
    fields=frozenset({"top_k"}),
    vendor_tools=frozenset({"web_search", "mcp"}),
    state=frozenset({"store", "files", "prompt", "conversation", "background", "previous_response_id", "containers"}),
    remote_urls=True,
)
_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
_CALLS: dict[WireFormat, dict[str, object]] = {
    WireFormat.CHAT: {
        "model": "m",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "é"}, _PART]}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "stream": True,
        "stream_options": {"include_obfuscation": False},
        "max_tokens": 5,
        "n": 2,
    },
    WireFormat.RESPONSES: {
        "model": "m",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}],
        "tools": [{"type": "web_search"}],
        "max_tool_calls": 1,
    },
    WireFormat.EMBEDDINGS: {"model": "m", "input": ["a", [1, 2]]},
    WireFormat.MESSAGES: {
        "model": "m",
        "max_tokens": 5,
        "system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]}],
    },
    WireFormat.COUNT: {"model": "m", "messages": [{"role": "user", "content": "x"}]},
}


def given_calls() -> Sequence[bytes]:
    """One call of each format."""
    return [json.dumps(one).encode() for one in _CALLS.values()]


def call(data: bytes) -> object:
    """Read in every format; what is written for the vendor is read again."""
    found, last = [], None
    for wire in WireFormat:
        try:
            one = read_call(wire, data, _EVERYTHING)
        except WireRefused as err:
            last = err
            continue
        sent = upstream_body(one, model="n", max_output_tokens=1)
        again = read_call(wire, sent, _EVERYTHING)
        if again.model != "n" or json.loads(sent).keys() < json.loads(data).keys():
            raise AssertionError(f"{data!r} became {sent!r}")
        found.append(again)
    if last is not None and not found:
        raise last
    return found


def given_answers() -> Sequence[bytes]:
    """One plain answer of each format."""
    knobs = knobs_of("m-i5-o4")
    return [chat_body("m", knobs, ["f"]), messages_body("m", knobs, []), json_bytes(responses_value("m", knobs, []))]


def answer(data: bytes) -> object:
    """Read in every format, as a plain answer; and as one to a call of our own."""
    found: list[object] = []
    for wire in WireFormat:
        reader = UsageReader(wire, is_stream=False)
        reader.feed(data)
        reader.end()
        found += [reader.usage, reader.answer]
    return [*found, anthropic_wire.read_completion(data)]


def given_streams() -> Sequence[bytes]:
    """One stream of each format, and one that cuts a character in half."""
    knobs = knobs_of("m-i5-o4-c2")
    made = (chat_frames("m", knobs, wants_usage=True), messages_frames("m", knobs), responses_frames("m", knobs))
    halves = [{"choices": [{"index": 0, "delta": {"content": half}}]} for half in ("\ud83d", "\ude00")]
    whole = [b"".join(frame for frame, _ in frames) for frames in made]
    return [*whole, b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in halves)]


def stream(data: bytes) -> object:
    """Read in every format, whole and a byte at a time: the same bytes pass, the same is counted."""
    for wire in (WireFormat.CHAT, WireFormat.RESPONSES, WireFormat.MESSAGES):
        told = []
        for step in (max(1, len(data)), 1):
            reader = UsageReader(wire, is_stream=True, strips_usage=True, keeps_back=True)
            passed = b"".join(reader.feed(data[start : start + step]) for start in range(0, len(data), step))
            passed += reader.end()
            ended = (reader.is_complete, reader.is_answer, reader.is_told, reader.error)
            told.append((passed, reader.usage, reader.answer, ended))
        if told[0] != told[1]:
            raise AssertionError(f"{wire.value}: in pieces it is {told[1]!r}, whole {told[0]!r}")
    cutter = Frames()
    return [*cutter.feed(data), cutter.end()]
