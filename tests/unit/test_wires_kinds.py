"""A kind, a state or a role that is no word: refused of a client, and never an accident where a vendor sends it."""

import json
from contextlib import suppress

import pytest

from leverframe.core.wires import UsageReader, read_call
from leverframe.domain.errors import WireRefused
from leverframe.domain.json import Json
from leverframe.domain.relays import Admitted, WireFormat

NO_WORDS: list[Json] = [[], [1], {}, {"a": []}, 7, None, True]

# One for each place in which a format names a kind; `$` stands for what is no word.
CALLS = [
    (WireFormat.RESPONSES, '{"model":"m","input":[{"type":$,"content":"x"}]}'),
    (WireFormat.RESPONSES, '{"model":"m","input":[{"role":$,"content":"x"}]}'),
    (WireFormat.RESPONSES, '{"model":"m","input":[{"role":"user","content":[{"type":$}]}]}'),
    (WireFormat.RESPONSES, '{"model":"m","input":"x","tools":[{"type":$}]}'),
    (WireFormat.RESPONSES, '{"model":"m","input":"x","tool_choice":{"type":$},"service_tier":$,"include":[$]}'),
    (WireFormat.CHAT, '{"model":"m","messages":[{"role":$,"content":"x"}]}'),
    (WireFormat.CHAT, '{"model":"m","messages":[{"role":"user","content":[{"type":$}]}]}'),
    (WireFormat.CHAT, '{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":$}]}'),
    (WireFormat.CHAT, '{"model":"m","messages":[{"role":"user","content":"x"}],"service_tier":$,"modalities":[$]}'),
    (WireFormat.MESSAGES, '{"model":"m","max_tokens":5,"messages":[{"role":$,"content":"x"}]}'),
    (WireFormat.MESSAGES, '{"model":"m","max_tokens":5,"messages":[{"role":"user","content":[{"type":$}]}]}'),
    (WireFormat.MESSAGES, '{"model":"m","max_tokens":5,"messages":[],"tools":[{"type":$,"name":$}]}'),
    (WireFormat.EMBEDDINGS, '{"model":"m","input":$}'),
]
ANSWERS = [
    '{"type":$}',
    '{"status":$,"output":[{"type":$}]}',
    '{"type":"response.completed","response":{"status":$,"output":[{"type":$,"content":[{"type":$}]}]}}',
    '{"type":"response.failed","response":{"status":$,"error":{"code":$}}}',
    '{"type":"response.output_item.added","item":{"type":$,"id":$},"output_index":$}',
    '{"type":"message_delta","delta":{"stop_reason":$}}',
    '{"type":"content_block_start","index":$,"content_block":{"type":$}}',
    '{"type":"content_block_delta","index":$,"delta":{"type":$}}',
    '{"type":"message","content":[{"type":$}],"stop_reason":$}',
    '{"choices":[{"finish_reason":$,"index":$,"delta":{"tool_calls":[{"index":$,"id":$,"type":$,"function":$}]}}]}',
    '{"error":{"type":$,"message":$,"code":$}}',
]


@pytest.mark.parametrize("no_word", NO_WORDS, ids=json.dumps)
@pytest.mark.parametrize(("wire", "body"), CALLS)
def test_a_call_whose_kind_is_no_word_is_read_or_refused_and_nothing_else(
    wire: WireFormat, body: str, no_word: Json
) -> None:
    sent = body.replace("$", json.dumps(no_word)).encode()

    with suppress(WireRefused):
        assert read_call(wire, sent, Admitted()).body == sent


@pytest.mark.parametrize("no_word", NO_WORDS, ids=json.dumps)
@pytest.mark.parametrize("text", ANSWERS)
@pytest.mark.parametrize("wire", list(WireFormat))
def test_an_answer_whose_kind_is_no_word_is_read_to_its_end(wire: WireFormat, text: str, no_word: Json) -> None:
    raw = text.replace("$", json.dumps(no_word)).encode()
    for is_stream in (True, False):
        reader = UsageReader(wire, is_stream=is_stream)

        passed = reader.feed(b"data: " + raw + b"\n\n" if is_stream else raw) + reader.end()

        assert reader.is_broken or passed
        assert isinstance(reader.answer.text, str)
