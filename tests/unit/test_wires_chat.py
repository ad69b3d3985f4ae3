"""Chat Completions: what is read, refused, set and counted, with the client's bytes as they came."""

import json

import pytest

from leverframe.core.wires import UsageReader, read_call, upstream_body
from leverframe.core.wires.strict import MAX_DEPTH, MAX_PARTS
from leverframe.domain.errors import WireRefused
from leverframe.domain.relays import NOTHING_ADMITTED, Admitted, Dialect, RelayCall, Usage, WireFormat

CHAT = WireFormat.CHAT
USER = {"role": "user", "content": "hi"}


def written(**fields: object) -> bytes:
    return json.dumps({"model": "m", "messages": [USER], **fields}).encode()


def call(**fields: object) -> RelayCall:
    return read_call(CHAT, written(**fields))


def refused(body: bytes, admitted: Admitted = NOTHING_ADMITTED) -> WireRefused:
    with pytest.raises(WireRefused) as caught:
        read_call(CHAT, body, admitted)
    return caught.value


def frame(**fields: object) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"m"',
        b'{"model":"m","messages":[]',
        b'{"model":"m","messages":[]}x',
        b'{"model":"m","messages":[],"temperature":NaN}',
        b'{"model":"\xff","messages":[]}',
        b'{"model":"m","messages":[' + b"[" * 5000 + b"]" * 5000 + b"]}",
        b'{"model":"m","messages":[' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"]}",
        b'{"model":"m","messages":[],"metadata":' + b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH + b"}",
        b"\xef\xbb\xbf{}",
    ],
)
def test_what_is_not_one_json_object_is_refused(body: bytes) -> None:
    assert refused(body).code == "malformed_json"


@pytest.mark.parametrize("part", [b"[],", b"1,", b"{},"])
def test_a_body_of_so_many_parts_that_it_holds_up_everybody_is_refused_unread(part: bytes) -> None:
    refusal = refused(b'{"model":"m","messages":[' + part * MAX_PARTS + b"0]}")

    assert (refusal.code, refusal.http_status) == ("too_large", 413)


def test_a_long_text_has_few_parts() -> None:
    assert len(call(messages=[{"role": "user", "content": "x" * 3 * MAX_PARTS}]).body) > 3 * MAX_PARTS


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":[],"model":"n"}',
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","type":"image_url","text":"x"}]}]}',
        b'{"model":"m","messages":[],"metadata":{"a":"1","\\u0061":"2"}}',
        b'{"model" : "m", "messages": [], "tools": [{"type":"function","type":"web_search"}]}',
    ],
)
def test_a_key_that_stands_twice_is_refused_wherever_it_stands(body: bytes) -> None:
    assert refused(body).code == "duplicate_key"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"modell": "x"}, "modell"),
        ({"messages": [{**USER, "reasoning_content": "x"}]}, "messages[0].reasoning_content"),
        ({"stream": True, "stream_options": {"include": 1}}, "stream_options.include"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "fetch": 1}]}]},
            "messages[0].content[0].fetch",
        ),
    ],
)
def test_an_unknown_field_is_refused_by_its_path_unless_the_contract_passes_it(
    fields: dict[str, object], param: str
) -> None:
    problem = refused(written(**fields))

    assert (problem.code, problem.param) == ("unknown_field", param)
    assert read_call(CHAT, written(**fields), Admitted(fields=frozenset({param.rpartition(".")[2]})))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": "x"}, "messages"),
        ({"messages": ["x"]}, "messages[0]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": 3, "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "messages[0].content[0].type"),
        ({"model": ""}, "model"),
        ({"model": None}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ],
)
def test_a_wrong_type_is_refused_by_its_path(fields: dict[str, object], param: str) -> None:
    problem = refused(written(**fields))

    assert (problem.code, problem.param) == ("wrong_type", param)


REMOTE = {"type": "image_url", "image_url": {"url": "https://evil.example/?q=secret"}}
FAR = {"type": "input_audio", "input_audio": {"data": "https://evil.example/?q=secret", "format": "mp3"}}
FILE = {"type": "file", "file": {"file_id": "file-1"}}


@pytest.mark.parametrize(
    ("fields", "code", "admitted"),
    [
        ({"tools": [{"type": "web_search"}]}, "vendor_tool", Admitted(vendor_tools=frozenset({"web_search"}))),
        ({"web_search_options": {}}, "vendor_tool", Admitted(vendor_tools=frozenset({"web_search"}))),
        ({"messages": [{"role": "user", "content": [REMOTE]}]}, "remote_url", Admitted(remote_urls=True)),
        ({"messages": [{"role": "user", "content": [FAR]}]}, "remote_url", Admitted(remote_urls=True)),
        (
            {"messages": [{"role": "user", "content": [FILE]}]},
            "vendor_state",
            Admitted(state=frozenset({"files"})),
        ),
    ],
)
def test_what_the_vendor_would_do_is_refused_unless_the_contract_names_it(
    fields: dict[str, object], code: str, admitted: Admitted
) -> None:
    assert refused(written(**fields)).code == code
    assert read_call(CHAT, written(**fields), admitted)


@pytest.mark.parametrize("tier", ["priority", "scale", 3, ""])
def test_a_service_tier_without_a_price_is_refused(tier: object) -> None:
    assert refused(written(service_tier=tier)).code == "unpriced"
    assert call(service_tier="flex").model == "m"


def test_what_needs_no_change_goes_as_the_very_bytes_that_came() -> None:
    body = b' {"model" : "m",\n "messages":[ {"role":"user","content":"\\u00e9 \xc3\xa9"}],"max_tokens":5}\n'
    found = read_call(CHAT, body)

    assert upstream_body(found, model="m", max_output_tokens=9, dialect=Dialect.COMPATIBLE) == body


def test_members_that_stay_keep_their_bytes_where_others_are_set() -> None:
    kept = b'"messages": [ {"role":"user","content":"\\u00e9 \xc3\xa9 1.0"} ]'
    body = b'{"model":"m", ' + kept + b', "top_p":1.00, "store":true, "max_tokens": 500}'

    sent = upstream_body(read_call(CHAT, body), model="vendor-m", max_output_tokens=20, dialect=Dialect.COMPATIBLE)

    assert kept.partition(b": ")[2] in sent
    assert b"1.00" in sent
    assert json.loads(sent) == {**json.loads(body), "model": "vendor-m", "store": False, "max_tokens": 20}


@pytest.mark.parametrize(
    ("fields", "dialect", "expected"),
    [
        ({}, Dialect.OPENAI, {"max_completion_tokens": 20, "store": False}),
        ({}, Dialect.AZURE, {"max_completion_tokens": 20}),
        ({}, Dialect.COMPATIBLE, {"max_tokens": 20}),
        ({"store": True}, Dialect.COMPATIBLE, {"max_tokens": 20, "store": False}),
        ({"max_tokens": 10}, Dialect.OPENAI, {"max_tokens": 10, "store": False}),
        ({"max_tokens": 50}, Dialect.OPENAI, {"max_tokens": 20, "store": False}),
        (
            {"max_tokens": 50, "max_completion_tokens": 60},
            Dialect.OPENAI,
            {"max_tokens": 20, "max_completion_tokens": 20, "store": False},
        ),
        (
            {"stream": True},
            Dialect.COMPATIBLE,
            {"stream": True, "max_tokens": 20, "stream_options": {"include_usage": True}},
        ),
        (
            {"stream": True, "stream_options": {"include_usage": False, "include_obfuscation": False}},
            Dialect.COMPATIBLE,
            {
                "stream": True,
                "max_tokens": 20,
                "stream_options": {"include_usage": True, "include_obfuscation": False},
            },
        ),
        (
            {"stream": True, "stream_options": None},
            Dialect.COMPATIBLE,
            {"stream": True, "max_tokens": 20, "stream_options": {"include_usage": True}},
        ),
        (
            {"stream": True, "stream_options": {}},
            Dialect.COMPATIBLE,
            {"stream": True, "max_tokens": 20, "stream_options": {"include_usage": True}},
        ),
    ],
)
def test_limit_usage_and_storing_are_set_for_whom_it_goes_to(
    fields: dict[str, object], dialect: Dialect, expected: dict[str, object]
) -> None:
    sent = upstream_body(call(**fields), model="m", max_output_tokens=20, dialect=dialect)

    assert json.loads(sent) == {"model": "m", "messages": [USER], **expected}


def test_an_observed_call_goes_as_it_came_but_for_the_name_of_the_model() -> None:
    body = written(stream=True, store=True)

    assert upstream_body(read_call(CHAT, body), model="m", max_output_tokens=1, is_observed=True) == body
    sent = upstream_body(read_call(CHAT, body), model="n", max_output_tokens=1, is_observed=True)
    assert json.loads(sent) == {**json.loads(body), "model": "n"}


def test_choices_images_sound_and_predictions_are_counted_apart() -> None:
    content = [
        {"type": "text", "text": "é" * 10},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_000}},
        {"type": "input_audio", "input_audio": {"data": "A" * 4_000, "format": "wav"}},
    ]
    found = call(
        n=4,
        messages=[{"role": "user", "content": content}],
        prediction={"type": "content", "content": "p" * 100},
        modalities=["text", "audio"],
    )

    assert (found.choices, found.images, found.audio_bytes, found.has_audio_answer) == (4, 1, 4_000, True)
    assert found.extra_output_tokens >= 100
    assert 20 <= found.input_bound < 1_000


@pytest.mark.parametrize("limits", [(5, 9_000), (9_000, 5)])
def test_of_two_limits_the_larger_one_bounds_a_call_since_each_vendor_takes_its_own(limits: tuple[int, int]) -> None:
    found = call(max_tokens=limits[0], max_completion_tokens=limits[1])

    assert found.max_output_tokens == 9_000
    sent = json.loads(upstream_body(found, model="m", max_output_tokens=100))
    assert (sent["max_tokens"], sent["max_completion_tokens"]) == (100, 100)


def test_function_tools_are_named_for_the_record() -> None:
    tools = [{"type": "function", "function": {"name": "a"}}, {"type": "custom", "custom": {"name": "b"}}]

    assert call(tools=tools, functions=[{"name": "c"}]).tool_names == ("a", "b", "c")


def test_a_plain_answer_tells_usage_text_and_tool_uses() -> None:
    reader = UsageReader(CHAT, is_stream=False)
    use = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    body = json.dumps(
        {
            "choices": [{"message": {"content": "hello", "tool_calls": [use]}, "finish_reason": "tool_calls"}],
            "usage": {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 2},
            },
        }
    ).encode()

    assert reader.feed(body[:40]) + reader.feed(body[40:]) + reader.end() == body
    assert reader.usage == Usage(
        input_tokens=10,
        output_tokens=5,
        cached_input_tokens=4,
        audio_input_tokens=1,
        reasoning_tokens=3,
        audio_output_tokens=2,
    )
    assert reader.is_complete
    assert (reader.answer.text, reader.answer.finish_reason) == ("hello", "tool_calls")
    assert [(one.id, one.name, one.arguments) for one in reader.answer.tool_uses] == [("c1", "f", '{"a":1}')]


def streamed(*frames: bytes, strips: bool = False) -> tuple[UsageReader, bytes]:
    reader = UsageReader(CHAT, is_stream=True, strips_usage=strips)
    return reader, b"".join(reader.feed(one) for one in frames) + reader.end()


HELLO = frame(choices=[{"index": 0, "delta": {"content": "hello"}, "finish_reason": None}], usage=None)
STOP = frame(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=None)
COUNTED = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
USAGE = frame(choices=[], usage=COUNTED)
DONE = b"data: [DONE]\n\n"


def test_the_extra_usage_chunk_is_left_out_where_the_client_did_not_ask_for_it() -> None:
    reader, passed = streamed(HELLO, STOP, USAGE, DONE, strips=True)

    assert passed == HELLO + STOP + DONE
    assert reader.usage == Usage(input_tokens=7, output_tokens=3)
    assert reader.is_complete


def test_the_usage_chunk_is_passed_where_the_client_asked_for_it() -> None:
    assert streamed(HELLO, STOP, USAGE, DONE)[1] == HELLO + STOP + USAGE + DONE


def test_a_usage_chunk_that_also_has_choices_is_passed_and_counted() -> None:
    last = frame(choices=[{"index": 0, "delta": {"content": "!"}, "finish_reason": "stop"}], usage=COUNTED)

    reader, passed = streamed(HELLO, last, DONE, strips=True)

    assert passed == HELLO + last + DONE
    assert reader.usage == Usage(input_tokens=7, output_tokens=3)
    assert reader.answer.text == "hello!"


def test_an_explicit_zero_is_a_count() -> None:
    zero = frame(choices=[], usage={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0})

    assert streamed(HELLO, zero, DONE)[0].usage == Usage(input_tokens=0, output_tokens=0)


def test_repeated_usage_does_not_add_up() -> None:
    assert streamed(HELLO, USAGE, USAGE, USAGE, DONE, DONE)[0].usage == Usage(input_tokens=7, output_tokens=3)


def test_a_stream_without_usage_has_none() -> None:
    reader, _ = streamed(HELLO, STOP, DONE)

    assert reader.usage is None
    assert reader.is_complete


def test_half_a_frame_is_not_passed_on_and_leaves_the_answer_incomplete() -> None:
    reader, passed = streamed(HELLO, STOP[:20])

    assert passed == HELLO
    assert not reader.is_complete
    assert reader.error


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n", b"\r\n\n", b"\n\r\n", b"\r\r"])
@pytest.mark.parametrize("last", [STOP, DONE])
def test_a_last_frame_is_read_whatever_ends_its_line(last: bytes, end: bytes) -> None:
    reader, passed = streamed(HELLO, STOP, USAGE, last.removesuffix(b"\n\n") + end)

    assert reader.is_complete, reader.error
    assert passed.endswith(last.removesuffix(b"\n\n") + end)


def test_a_stream_that_breaks_off_between_frames_is_incomplete() -> None:
    reader, passed = streamed(HELLO)

    assert passed == HELLO
    assert not reader.is_complete


def test_an_error_in_the_stream_is_passed_on_and_told() -> None:
    failed = frame(error={"message": "overloaded", "code": 503})
    reader, passed = streamed(HELLO, failed)

    assert passed == HELLO + failed
    assert (reader.error, reader.is_complete) == ("overloaded", False)


@pytest.mark.parametrize("body", [b'{"error":{"message":"no"}}', b"<html>", b"", b"[1]", b'{"choices":3}'])
def test_a_200_that_is_no_answer_has_no_usage(body: bytes) -> None:
    reader = UsageReader(CHAT, is_stream=False)

    reader.feed(body)
    reader.end()

    assert reader.usage is None
    assert reader.error or not reader.answer.text


def test_a_filter_chunk_without_usage_is_no_usage_chunk() -> None:
    first = frame(choices=[], prompt_filter_results=[])

    assert streamed(first, HELLO, DONE, strips=True)[1] == first + HELLO + DONE


def test_reasoning_that_only_the_total_shows_is_output() -> None:
    told = frame(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 30})

    assert streamed(told)[0].usage == Usage(input_tokens=7, output_tokens=23)
