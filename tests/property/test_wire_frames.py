"""However a stream is cut, its frames are the same; and whatever arrives, a reader does not crash."""

import json
from contextlib import suppress
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from leverframe.core.wires import UsageReader, read_call
from leverframe.core.wires.frames import Frames, apart, payload
from leverframe.domain.errors import WireRefused
from leverframe.domain.relays import Admitted, Usage, WireFormat
from leverframe.testing.vendor_answers import chat_frames, knobs_of, messages_frames, responses_frames

STREAMED = (WireFormat.CHAT, WireFormat.RESPONSES, WireFormat.MESSAGES)
LINES = st.sampled_from([b"\n", b"\r\n", b"\r", b"data: {}", b"data: [DONE]", b": x", b"event: e", b"data:1", b"\xff"])
NAMES = [
    *("choices", "delta", "content", "usage", "prompt_tokens", "completion_tokens", "type", "message", "tool_calls"),
    *("function", "index", "response", "output", "error", "input_tokens", "output_tokens", "model", "messages"),
    *("role", "input", "tools", "system", "source", "image_url", "stream", "n"),
]
KINDS = (
    "message_start message_delta content_block_start content_block_delta message_stop error"
    " response.completed response.output_text.delta response.failed"
)
CUTS = st.lists(st.integers(0, 3_000), max_size=12)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    # Halves of characters, which only an escape can write.
    | st.text(st.characters(categories=["Cs"]), min_size=1, max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)
WRITTEN = JSON.map(lambda value: json.dumps(value).encode())
TYPES = st.sampled_from(KINDS.split())


def pieces(raw: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(raw)) for cut in cuts} | {0, len(raw)})
    return [raw[start:end] for start, end in pairwise(places)]


def frames(raw: bytes, cuts: list[int]) -> tuple[list[bytes], bytes]:
    cutter = Frames()
    found = [frame for piece in pieces(raw, cuts) for frame in cutter.feed(piece)]
    return found, cutter.end()


@given(st.lists(LINES, max_size=30).map(b"".join), CUTS)
def test_frames_do_not_depend_on_the_cuts(raw: bytes, cuts: list[int]) -> None:
    found, rest = frames(raw, cuts)
    whole, whole_rest = frames(raw, [])

    # A return at the very end may be half of a line end, and is then left to the end of the stream in both.
    assert b"".join(found) + rest == raw
    assert (found, rest) == (whole, whole_rest)


@given(st.lists(LINES, max_size=30).map(b"".join))
def test_what_is_written_behind_a_stream_is_a_frame_of_its_own(raw: bytes) -> None:
    found, rest = frames(raw, [])
    last = rest or (found[-1] if found else b"")

    behind, _ = frames(raw + apart(last) + b"data: 1\n\n", [])

    assert payload(behind[-1]) == b"1"
    assert rest or apart(last) == b""


def streamed(wire: WireFormat, usage: str) -> bytes:
    model = f"fake-0ms-i70-o33-c4{usage}"
    knobs = knobs_of(model)
    if wire is WireFormat.CHAT:
        return b"".join(frame for frame, _ in chat_frames(model, knobs, wants_usage=True))
    made = messages_frames(model, knobs) if wire is WireFormat.MESSAGES else responses_frames(model, knobs)
    return b"".join(frame for frame, _ in made)


@given(
    st.sampled_from(STREAMED),
    st.sampled_from(["", "-urepeat", "-uevery", "-uchoices"]),
    st.booleans(),
    st.sampled_from([b"\n", b"\r\n"]),
    CUTS,
)
def test_an_answer_is_read_alike_however_it_is_cut(
    wire: WireFormat,
    usage: str,
    strips: bool,  # noqa: FBT001 hypothesis hands arguments over by position
    line_end: bytes,
    cuts: list[int],
) -> None:
    raw = streamed(wire, usage).replace(b"\n", line_end)

    reader = UsageReader(wire, is_stream=True, strips_usage=strips)
    passed = b"".join(reader.feed(piece) for piece in pieces(raw, cuts)) + reader.end()

    assert reader.usage == Usage(input_tokens=70, output_tokens=33)
    assert reader.is_complete
    assert reader.answer.text.split() == ["lorem"] * 33
    if strips and wire is WireFormat.CHAT:
        assert len(passed) <= len(raw)
    else:
        assert passed == raw


def recorded(reader: UsageReader) -> bytes:
    """What is kept of an answer can be written, whatever it said."""
    return msgspec.json.encode((reader.answer, reader.error, reader.ids, reader.said_bytes))


@given(
    st.sampled_from(list(WireFormat)),
    st.booleans(),
    st.binary(max_size=300) | WRITTEN,
)
def test_a_reader_does_not_crash_on_an_answer(wire: WireFormat, is_stream: bool, raw: bytes) -> None:  # noqa: FBT001 hypothesis hands arguments over by position
    reader = UsageReader(wire, is_stream=is_stream)
    reader.feed(b"data: " + raw + b"\n\n" if is_stream else raw)
    reader.end()
    recorded(reader)


@given(
    st.sampled_from(STREAMED), st.lists(st.tuples(TYPES, st.dictionaries(st.text(max_size=3), JSON), JSON), max_size=4)
)
def test_a_reader_does_not_crash_on_frames(
    wire: WireFormat, events: list[tuple[str, dict[str, object], object]]
) -> None:
    reader = UsageReader(wire, is_stream=True)
    for kind, fields, value in events:
        inner = {"type": kind, "delta": value, "message": value, "usage": value, "response": value, "index": value}
        reader.feed(b"data: " + json.dumps({**inner, "content_block": value, **fields}).encode() + b"\n\n")
    reader.end()
    recorded(reader)


@given(
    st.sampled_from(list(WireFormat)),
    st.binary(max_size=200) | WRITTEN,
    st.booleans(),
)
def test_a_call_is_read_or_refused_and_nothing_else(wire: WireFormat, raw: bytes, admits: bool) -> None:  # noqa: FBT001 hypothesis hands arguments over by position
    everything = Admitted(vendor_tools=frozenset({"web_search"}), state=frozenset({"store"}), remote_urls=True)
    for body in (raw, b'{"model":"m","messages":' + raw + b"}", b'{"model":"m","input":' + raw + b"}"):
        with suppress(WireRefused):
            assert read_call(wire, body, everything if admits else Admitted()).body == body
