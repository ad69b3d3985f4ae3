"""Odd answers of a vendor that is in trouble, read frame by frame: nothing of them is free, and nothing breaks."""

import json

import msgspec
import pytest

from leverframe.core.wires import UsageReader
from leverframe.core.wires.answers import anthropic_usage, openai_usage
from leverframe.domain.relays import Usage, WireFormat
from leverframe.models.call_prices import CallPrice
from leverframe.models.prices import Rate


def data(*values: object) -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in values)


def chunk(
    delta: dict[str, object], *, index: object = 0, usage: object = None, finish: str | None = None
) -> dict[str, object]:
    told = {} if usage is None else {"usage": usage}
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish}], **told}


def counted(given: object, made: object) -> dict[str, object]:
    return {"prompt_tokens": given, "completion_tokens": made}


def start(usage: object) -> dict[str, object]:
    return {"type": "message_start", "message": {"usage": usage}}


def ended(usage: object) -> dict[str, object]:
    return {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}


def read(wire: WireFormat, *values: object) -> UsageReader:
    reader = UsageReader(wire, is_stream=True)
    reader.feed(data(*values))
    reader.end()
    return reader


@pytest.mark.parametrize("index", [[0], {}, {"a": 1}])
@pytest.mark.parametrize("field", ["content", "refusal"])
def test_a_choice_whose_index_is_no_number_is_read_all_the_same(index: object, field: str) -> None:
    first, last = chunk({field: "lorem"}, index=index), chunk({field: " ipsum"}, index=index, finish="stop")

    reader = read(WireFormat.CHAT, first, last)

    assert reader.answer.text == "lorem ipsum"
    assert reader.is_complete


@pytest.mark.parametrize(
    "more",
    [
        {"reasoning_content": "lorem " * 33},
        {"reasoning": "lorem " * 33},
        {"function_call": {"name": "look", "arguments": "lorem " * 33}},
        {"audio": {"data": "lorem " * 33}},
    ],
)
def test_a_count_before_anything_else_that_is_written_is_not_taken_for_all_of_it(more: dict[str, object]) -> None:
    first, last = chunk({"role": "assistant"}, usage=counted(70, 0)), chunk({}, finish="length")

    reader = read(WireFormat.CHAT, first, chunk(more), last)

    assert reader.is_complete
    assert reader.usage is None


def test_zeros_in_a_delta_take_nothing_from_what_the_start_counted_as_kept_for_an_hour() -> None:
    kept = {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 24}
    begun = {"input_tokens": 70, "output_tokens": 1, "cache_creation_input_tokens": 1024, "cache_creation": kept}
    silent = {"output_tokens": 33, "cache_creation_input_tokens": 0, "cache_creation": dict.fromkeys(kept, 0)}

    usage = read(WireFormat.MESSAGES, start(begun), ended(silent), {"type": "message_stop"}).usage

    assert usage is not None
    assert (usage.cache_write_tokens, usage.cache_write_1h_tokens) == (1024, 1000)


ODD = ["33", -33, 33.5, True, [33], {"n": 33}]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["input_tokens", "output_tokens"])
def test_a_delta_that_cannot_be_read_is_not_replaced_by_what_was_counted_before_it(name: str, odd: object) -> None:
    told = {"input_tokens": 70, "output_tokens": 33, name: odd}
    begun, early = start({"input_tokens": 70, "output_tokens": 1}), ended({"output_tokens": 5})

    reader = read(WireFormat.MESSAGES, begun, early, ended(told), {"type": "message_stop"})

    assert reader.is_complete
    assert reader.usage is None


@pytest.mark.parametrize("odd", ODD)
def test_a_count_of_a_chunk_that_cannot_be_read_is_not_replaced_by_the_last_one(odd: object) -> None:
    first = chunk({"content": "a"}, usage=counted(70, 1))
    last = chunk({"content": "b" * 33}, usage=counted(70, odd))

    reader = read(WireFormat.CHAT, first, last, chunk({}, finish="stop"))

    assert reader.is_complete
    assert reader.usage is None


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    "place",
    [
        ("cache_read_input_tokens",),
        ("cache_creation_input_tokens",),
        ("cache_creation", "ephemeral_1h_input_tokens"),
        ("cache_creation", "ephemeral_5m_input_tokens"),
        ("server_tool_use", "web_search_requests"),
    ],
    ids=lambda place: place[-1],
)
def test_what_is_billed_beside_input_and_output_is_not_free_where_its_count_cannot_be_read(
    place: tuple[str, ...], odd: object
) -> None:
    told: dict[str, object] = {"input_tokens": 70, "output_tokens": 33, place[0]: odd}
    if len(place) > 1:
        told[place[0]] = {place[1]: odd}

    assert anthropic_usage(told) is None


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("group", ["prompt_tokens_details", "completion_tokens_details"])
def test_sound_is_not_priced_as_text_where_its_count_cannot_be_read(group: str, odd: object) -> None:
    told = {"prompt_tokens": 70, "completion_tokens": 33, group: {"audio_tokens": odd}}

    assert openai_usage(told, "prompt_tokens", "completion_tokens") is None


@pytest.mark.parametrize("silent", [None, {}, {"audio_tokens": None, "reasoning_tokens": None}])
def test_details_that_are_not_told_are_none(silent: object) -> None:
    told = {"prompt_tokens": 70, "completion_tokens": 33, "completion_tokens_details": silent}

    assert openai_usage(told, "prompt_tokens", "completion_tokens") == Usage(input_tokens=70, output_tokens=33)


MOST = (1 << 36) - 1
DATABASE = (1 << 63) - 1


def test_what_the_largest_counts_cost_is_within_what_a_database_holds_a_thousand_times() -> None:
    # Each the dearest that any model of the list has, in pico-dollars.
    dear_input, dear_output = Rate(base=150_000_000), Rate(base=600_000_000)
    dear = CallPrice(version="", input=dear_input, output=dear_output, search_pico=35_000_000_000)

    cost = dear.cost(Usage(input_tokens=2 * MOST, output_tokens=MOST, vendor_tool_uses=MOST))

    assert 1_000 * cost < DATABASE


def test_a_count_beyond_all_that_a_model_takes_is_no_count() -> None:
    searches = {"input_tokens": 70, "output_tokens": 33, "server_tool_use": {"web_search_requests": MOST + 1}}

    assert anthropic_usage(searches) is None
    assert openai_usage(counted(MOST + 1, 33), "prompt_tokens", "completion_tokens") is None
    assert openai_usage(counted(MOST, 33), "prompt_tokens", "completion_tokens") is not None


@pytest.mark.parametrize("word", [b"data: [DONE] \n\n", b"data:[DONE]\t\n\n"])
def test_the_last_word_is_known_with_blanks_behind_it(word: bytes) -> None:
    reader, said = UsageReader(WireFormat.CHAT, is_stream=True), data(chunk({"content": "a"}, usage=counted(70, 33)))

    passed = reader.feed(said + word) + reader.end()

    assert (passed, reader.is_complete, reader.error) == (said + word, True, "")
    assert reader.usage == Usage(input_tokens=70, output_tokens=33)


@pytest.mark.parametrize("end", ["failed", "incomplete", "completed"])
@pytest.mark.parametrize("kind", ["output_text", "refusal", "function_call_arguments", "reasoning_text"])
def test_what_was_streamed_was_said_where_the_end_repeats_nothing_of_it(kind: str, end: str) -> None:
    streamed = {"type": f"response.{kind}.delta", "output_index": 0, "content_index": 0, "delta": "lorem"}
    last = {"type": f"response.{end}", "response": {"status": end, "output": [], "usage": None}}

    reader = read(WireFormat.RESPONSES, streamed, last)

    assert (reader.is_complete, reader.usage, reader.answer.finish_reason) == (True, None, end)
    assert reader.said_bytes >= len("lorem")
    assert reader.answer.text == ("lorem" if kind == "output_text" else "")


@pytest.mark.parametrize("error", [None, {"code": "server_error", "message": "lorem"}])
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_response_that_failed_is_an_error_and_one_that_is_incomplete_is_none(
    error: object, *, is_stream: bool
) -> None:
    def of(status: str, error: object) -> str:
        whole = {"status": status, "error": error, "output": [], "usage": {"input_tokens": 70, "output_tokens": 33}}
        reader = UsageReader(WireFormat.RESPONSES, is_stream=is_stream)
        last = {"type": f"response.{status}", "response": whole}
        reader.feed(data(last) if is_stream else json.dumps(whole).encode())
        reader.end()
        assert reader.is_complete
        return reader.error

    assert of("failed", error) == ("lorem" if error else "an error without a message")
    assert of("incomplete", None) == ""


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed"])
def test_an_error_that_a_response_has_said_stays_one_whatever_its_last_word_is(status: str) -> None:
    whole = {"status": status, "error": None, "usage": {"input_tokens": 70, "output_tokens": 33}}
    said = {"type": "error", "message": "lorem"}

    reader = read(WireFormat.RESPONSES, said, {"type": f"response.{status}", "response": whole})

    assert reader.is_complete
    assert reader.usage is not None
    assert reader.error == "lorem"


def test_an_error_without_a_type_is_one_in_a_stream_of_responses_too() -> None:
    reader = UsageReader(WireFormat.RESPONSES, is_stream=True)
    reader.feed(data({"type": "response.created", "response": {}}, {"error": {"message": "lorem"}}))
    reader.feed(b"data: [DONE]\n\n")

    assert (reader.error, reader.is_complete) == ("lorem", True)


@pytest.mark.parametrize("name", ["message", "delta"])
def test_a_spoken_answer_names_the_id_that_it_may_be_gone_on_with(name: str) -> None:
    value = {"choices": [{"index": n, name: {"audio": {"id": f"audio_{n}", "data": "QQ=="}}} for n in (0, 1, 1)]}
    body = json.dumps(value).encode()
    reader = UsageReader(WireFormat.CHAT, is_stream=name == "delta")

    reader.feed(b"data: " + body + b"\n\n" if name == "delta" else body)
    reader.end()

    assert reader.ids == ("audio_0", "audio_1")


def test_what_the_end_repeats_is_said_once() -> None:
    text = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "lorem"}
    output = [{"type": "message", "content": [{"type": "output_text", "text": "lorem"}]}]
    last = {"type": "response.completed", "response": {"status": "completed", "output": output}}

    reader = read(WireFormat.RESPONSES, text, last, last)

    assert (reader.answer.text, reader.said_bytes) == ("lorem", len("lorem"))


def test_a_call_of_a_function_in_the_older_form_is_said_streamed_or_whole() -> None:
    begun = chunk({"role": "assistant", "function_call": {"name": "look", "arguments": '{"q": '}})
    ended = chunk({"function_call": {"arguments": "1}"}}, finish="function_call")
    message = {"content": None, "function_call": {"name": "look", "arguments": '{"q": 1}'}}
    plain = UsageReader(WireFormat.CHAT, is_stream=False)
    plain.feed(json.dumps({"choices": [{"message": message, "finish_reason": "function_call"}]}).encode())
    plain.end()

    for reader in (read(WireFormat.CHAT, begun, ended), plain):
        (use,) = reader.answer.tool_uses
        assert (use.name, use.arguments, reader.answer.finish_reason) == ("look", '{"q": 1}', "function_call")
        assert reader.said_bytes == len('look{"q": 1}')


HIGH, LOW = "\ud83d", "\ude00"
WHOLE, LOST = "\N{GRINNING FACE}", "\N{REPLACEMENT CHARACTER}"


def delta(text: str) -> dict[str, object]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def more(text: str) -> dict[str, object]:
    return {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text}


def arguments(text: str) -> dict[str, object]:
    return chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": text}}]})


HALVES = {
    WireFormat.CHAT: (lambda text: chunk({"content": text}), chunk({}, finish="stop")),
    WireFormat.MESSAGES: (delta, {"type": "message_stop"}),
    WireFormat.RESPONSES: (more, {"type": "response.incomplete"}),
}


@pytest.mark.parametrize("wire", HALVES)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((f"a{HIGH}", f"{LOW}b"), f"a{WHOLE}b"),
        ((HIGH, "", LOW, HIGH), f"{WHOLE}{LOST}"),
        ((f"{HIGH}a", f"{LOW}b"), f"{LOST}a{LOST}b"),
        ((LOW, HIGH), f"{LOST}{LOST}"),
    ],
)
def test_a_character_that_a_server_cut_in_half_passes_as_it_came_and_is_recorded_whole(
    wire: WireFormat, given: tuple[str, ...], said: str
) -> None:
    piece, last = HALVES[wire]
    raw, reader = data(*map(piece, given), last), UsageReader(wire, is_stream=True)

    passed = reader.feed(raw) + reader.end()

    assert (passed, reader.is_complete, reader.error) == (raw, True, "")
    assert reader.answer.text == said
    assert reader.said_bytes >= len(said.encode())


def test_a_character_that_is_cut_in_arguments_or_in_words_of_an_error_is_text_in_the_record() -> None:
    failed = {"error": {"message": f"lorem {HIGH}"}}

    reader = read(WireFormat.CHAT, arguments(f'{{"q": "{HIGH}'), arguments(f'{LOW}"}}'), failed)

    assert [one.arguments for one in reader.answer.tool_uses] == [f'{{"q": "{WHOLE}"}}']
    assert reader.error == f"lorem {LOST}"


@pytest.mark.parametrize(
    ("wire", "whole"),
    [
        (WireFormat.CHAT, {"choices": [{"message": {"content": f"a{HIGH}"}}]}),
        (WireFormat.MESSAGES, {"content": [{"type": "text", "text": f"a{HIGH}"}]}),
        (WireFormat.MESSAGES, {"content": [{"type": "tool_use", "id": HIGH, "name": "f", "input": {"q": HIGH}}]}),
        (WireFormat.RESPONSES, {"output": [{"type": "message", "content": [{"text": f"a{HIGH}"}]}]}),
    ],
)
def test_half_a_character_in_a_plain_answer_is_read_and_recorded_as_one_that_is_lost(
    wire: WireFormat, whole: dict[str, object]
) -> None:
    raw, reader = json.dumps(whole).encode(), UsageReader(wire, is_stream=False)

    passed = reader.feed(raw) + reader.end()

    assert (passed, reader.is_complete, reader.error) == (raw, True, "")
    recorded = msgspec.json.encode(reader.answer).decode()
    assert LOST in recorded


@pytest.mark.parametrize(
    "raw", [b'{"a": "\\ud83d",}', b'{"a": NaN, "b": "\\ud83d"}', b'["\\ud83d"]', b'{"\\ud83d": \xff}']
)
def test_what_is_no_json_is_none_with_half_a_character_in_it_either(raw: bytes) -> None:
    for is_stream in (False, True):
        reader = UsageReader(WireFormat.CHAT, is_stream=is_stream)
        reader.feed(b"data: " + raw + b"\n\n" if is_stream else raw)
        reader.end()
        assert (reader.is_broken, reader.is_complete) == (True, False)


def test_the_largest_answer_of_embeddings_is_read_and_counted() -> None:
    """As many inputs as OpenAI takes, of its longest vectors, in the form that its own libraries ask for."""
    one = {"object": "embedding", "index": 2_047, "embedding": "A" * (3_072 * 4 * 4 // 3)}
    body = json.dumps(
        {"object": "list", "data": [one] * 2_048, "model": "m", "usage": {"prompt_tokens": 9, "total_tokens": 9}}
    )
    reader = UsageReader(WireFormat.EMBEDDINGS, is_stream=False)

    reader.feed(body.encode())
    reader.end()

    assert (reader.is_complete, reader.error, reader.usage) == (True, "", Usage(input_tokens=9, output_tokens=0))


def test_what_compacting_took_is_billed_beside_the_totals_and_once() -> None:
    turn = {"type": "message", "input_tokens": 20, "output_tokens": 30}
    compaction = {"type": "compaction", "input_tokens": 900, "output_tokens": 60, "cache_read_input_tokens": 5}
    compaction |= {"cache_creation_input_tokens": 7, "cache_creation": {"ephemeral_1h_input_tokens": 7}}
    told = {"input_tokens": 20, "output_tokens": 30, "iterations": [compaction, turn]}
    expected = Usage(
        input_tokens=932, output_tokens=90, cached_input_tokens=5, cache_write_tokens=7, cache_write_1h_tokens=7
    )

    assert anthropic_usage(told) == expected
    begun = start({"input_tokens": 20, "output_tokens": 1})
    assert read(WireFormat.MESSAGES, begun, ended(told), ended(told)).usage == expected
    assert anthropic_usage({**told, "iterations": [{**compaction, "input_tokens": "900"}]}) is None
    assert anthropic_usage({**told, "output_tokens": None}) is None
