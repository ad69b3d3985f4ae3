"""What is an answer, however empty, and what is none though it has the status of one."""

import json

import pytest

from leverframe.core.wires import UsageReader
from leverframe.core.wires.answered import NO_ANSWER
from leverframe.domain.relays import RelayCall, Usage, WireFormat

CHAT, RESPONSES, MESSAGES = WireFormat.CHAT, WireFormat.RESPONSES, WireFormat.MESSAGES
EMBEDDINGS, COUNT = WireFormat.EMBEDDINGS, WireFormat.COUNT
DONE = b"data: [DONE]\n\n"
FILTERED = {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
COUNTED = {"choices": [], "usage": {"prompt_tokens": 70, "completion_tokens": 0}}


def plain(wire: WireFormat, value: object, *, has_input: bool = True) -> UsageReader:
    call = RelayCall(wire=wire, body=b"", model="m", input_bound=int(has_input))
    reader = UsageReader.of(call)
    reader.feed(json.dumps(value).encode())
    reader.end()
    return reader


def frame(value: object, event: str = "") -> bytes:
    return (f"event: {event}\n" if event else "").encode() + b"data: " + json.dumps(value).encode() + b"\n\n"


def streamed(wire: WireFormat, *frames: bytes) -> tuple[UsageReader, bytes]:
    """A call's stream, and what goes on to its client."""
    reader = UsageReader.of(RelayCall(wire=wire, body=b"", model="m", is_stream=True, input_bound=1))
    return reader, b"".join([reader.feed(one) for one in frames]) + reader.end()


def chosen(**message: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


ANSWERS = [
    (CHAT, chosen(content="")),
    (CHAT, chosen(content=None)),
    (CHAT, chosen(content=None, refusal="No.")),
    (CHAT, chosen(content=None, tool_calls=[{"id": "c", "function": {"name": "f", "arguments": "{}"}}])),
    (CHAT, {"choices": [{"finish_reason": "content_filter"}]}),
    (CHAT, {**chosen(content="a"), "error": None}),
    (CHAT, {**chosen(content="a"), "error": {}}),
    (CHAT, {**chosen(content="a"), "message": "ok", "detail": "ok", "object": ""}),
    *((RESPONSES, {"status": status, "output": []}) for status in ("completed", "incomplete", "cancelled")),
    *((RESPONSES, {"status": status}) for status in ("queued", "in_progress", "incomplete")),
    (RESPONSES, {"output": []}),
    (MESSAGES, {"type": "message", "content": [], "stop_reason": "end_turn"}),
    (MESSAGES, {"type": "message", "content": [{"type": "thinking", "thinking": ""}], "stop_reason": "refusal"}),
    (EMBEDDINGS, {"data": [{"embedding": []}]}),
    (COUNT, {"input_tokens": 0}),
]


@pytest.mark.parametrize(("wire", "value"), ANSWERS)
def test_an_answer_may_be_empty_in_every_way_that_vendors_have(wire: WireFormat, value: dict[str, object]) -> None:
    reader = plain(wire, value)

    assert (reader.is_answer, reader.error) == (True, "")


def test_of_nothing_there_are_no_embeddings() -> None:
    assert plain(EMBEDDINGS, {"data": []}, has_input=False).error == ""
    assert plain(EMBEDDINGS, {"data": []}).error == NO_ANSWER


NONE: list[tuple[object, str]] = [
    ({}, NO_ANSWER),
    ({"choices": None, "output": None, "content": None, "data": None}, NO_ANSWER),
    ({"choices": [], "status": "completed", "type": "message", "object": "list", "data": []}, NO_ANSWER),
    ({"choices": [None]}, NO_ANSWER),
    ({"error": None}, NO_ANSWER),
    ({"error": {}}, NO_ANSWER),
    ({"error": False, "message": "lorem"}, "lorem"),
    ({"detail": "Not Found"}, "Not Found"),
    ({"detail": [{"msg": "lorem"}]}, NO_ANSWER),
    ({"object": "error", "message": "lorem", "code": 400}, "lorem"),
    ({"type": "error", "message": "lorem"}, "lorem"),
    ({"message": "x" * 10_000}, "x" * 500),
]


@pytest.mark.parametrize(("value", "words"), NONE)
@pytest.mark.parametrize("wire", WireFormat)
def test_a_body_with_nothing_of_an_answer_is_none_in_every_format(
    wire: WireFormat, value: dict[str, object], words: str
) -> None:
    reader = plain(wire, value)

    assert (reader.is_answer, reader.error, reader.usage) == (False, words, None)


@pytest.mark.parametrize("error", ["lorem", {"message": "lorem"}, {"code": 400}, True, ["lorem"], 1])
@pytest.mark.parametrize("wire", WireFormat)
def test_an_error_is_one_in_every_form(wire: WireFormat, error: object) -> None:
    reader = plain(wire, {"error": error})

    assert reader.error == ("lorem" if error in ("lorem", {"message": "lorem"}) else "an error without a message")
    assert not reader.is_answer


def test_a_choice_may_fail_beside_one_that_is_an_answer() -> None:
    failed = {"index": 0, "message": {"content": "lor"}, "finish_reason": "error", "error": {"message": "lorem"}}
    good = {"index": 1, "message": {"content": "a"}, "finish_reason": "stop"}

    alone, beside = plain(CHAT, {"choices": [failed]}), plain(CHAT, {"choices": [failed, good]})

    assert (alone.is_answer, alone.error) == (False, "lorem")
    assert (beside.is_answer, beside.error) == (True, "")
    assert plain(CHAT, {"choices": [{**good, "error": None}]}).is_answer


def said(text: str) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


STREAMS = [
    (CHAT, [frame(FILTERED), frame(said("a")), frame(COUNTED), DONE]),
    (CHAT, [frame({"choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]}), DONE]),
    (CHAT, [b": awake\n\n", frame(said("")), DONE]),
    (CHAT, [frame({"message": "lorem"}), frame({**said("an error"), "error": {}}), DONE]),
    (MESSAGES, [frame({"type": "message_start", "message": {}}), frame({"type": "message_stop"})]),
    (MESSAGES, [frame({"type": "content_block_start", "index": 0, "content_block": {}}), DONE]),
    *(
        (RESPONSES, [frame({"type": f"response.{end}", "response": {"output": []}}, f"response.{end}")])
        for end in ("completed", "incomplete")
    ),
    (RESPONSES, [frame({"type": "response.failed", "response": {"error": {"message": "lorem"}}})]),
    (RESPONSES, [frame({"type": "response.output_text.delta", "delta": "a"}), frame({"type": "response.done"}), DONE]),
]


@pytest.mark.parametrize(("wire", "frames"), STREAMS)
def test_a_stream_with_anything_of_an_answer_passes_with_its_last_word(wire: WireFormat, frames: list[bytes]) -> None:
    reader, passed = streamed(wire, *frames)

    assert (reader.is_complete, reader.is_answer, reader.is_told) == (True, True, True)
    assert frames[-1] in passed
    assert reader.error in {"", "lorem"}


@pytest.mark.parametrize("last", [b"", DONE])
def test_a_response_may_end_in_a_word_of_compatible_servers_with_what_it_took(last: bytes) -> None:
    text = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "a"}
    done = {
        "type": "response.done",
        "response": {"status": "completed", "usage": {"input_tokens": 7, "output_tokens": 3}},
    }

    reader, passed = streamed(RESPONSES, frame(text), frame(done), last)

    assert (reader.is_complete, reader.is_told, reader.error) == (True, True, "")
    assert reader.usage == Usage(input_tokens=7, output_tokens=3)
    assert (reader.answer.text, passed) == ("a", frame(text) + frame(done) + last)


STOP = frame({"type": "message_stop"}, "message_stop")
HOLLOW = [
    (CHAT, [DONE]),
    (CHAT, [frame(FILTERED), DONE]),
    (CHAT, [frame(COUNTED), DONE]),
    (RESPONSES, [DONE]),
    (RESPONSES, [frame({"type": "response.created", "response": {}}), DONE]),
    (MESSAGES, [DONE]),
    (MESSAGES, [STOP]),
    (MESSAGES, [frame({"type": "ping"}, "ping"), frame({"type": "message_delta", "delta": {}}), STOP]),
]


@pytest.mark.parametrize(("wire", "frames"), HOLLOW)
def test_the_last_word_of_a_stream_without_an_answer_is_kept_back(wire: WireFormat, frames: list[bytes]) -> None:
    reader, passed = streamed(wire, *frames)

    assert (reader.error, reader.is_complete, reader.is_told) == (NO_ANSWER, True, False)
    assert frames[-1] not in passed


def test_what_comes_after_a_last_word_too_early_is_the_answer() -> None:
    for last in (DONE, b""):
        reader, passed = streamed(CHAT, DONE, frame(said("a")), last)

        assert (reader.error, reader.is_told, passed) == ("", True, frame(said("a")) + last)


UNSEEN = [
    (CHAT, frame({"message": "lorem"}, "error")),
    (CHAT, frame({"object": "error", "message": "lorem"})),
    (CHAT, frame({"choices": [{"index": 0, "delta": {}, "error": {"message": "lorem"}}]})),
    (RESPONSES, frame({"message": "lorem"}, "error")),
    (MESSAGES, frame({"type": "error", "error": {"message": "lorem"}})),
    (MESSAGES, frame({"error": {"message": "lorem"}})),
]


@pytest.mark.parametrize(("wire", "error"), UNSEEN)
def test_an_error_that_no_library_of_the_vendor_sees_is_one_and_has_no_last_word(
    wire: WireFormat, error: bytes
) -> None:
    for frames in ([error], [error, DONE], [frame(said("a")), error, DONE]):
        reader, passed = streamed(wire, *frames)

        assert (reader.error, reader.is_told) == ("lorem", False)
        assert DONE not in passed


SEEN = [
    (CHAT, frame({"error": {"message": "lorem"}})),
    (RESPONSES, frame({"error": {"message": "lorem"}})),
    (RESPONSES, frame({"type": "error", "message": "lorem"})),
    (MESSAGES, frame({"type": "error", "error": {"message": "lorem"}}, "error")),
    (MESSAGES, frame({"message": "lorem"}, "error")),
]


@pytest.mark.parametrize(("wire", "error"), SEEN)
def test_an_error_that_the_vendors_library_raises_is_told(wire: WireFormat, error: bytes) -> None:
    for frames in ([error], [error, DONE]):
        reader, passed = streamed(wire, *frames)

        assert (reader.error, reader.is_told, passed) == ("lorem", True, b"".join(frames))
