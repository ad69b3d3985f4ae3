"""Odd answers of a vendor that is in trouble, read frame by frame: nothing of them is free, and nothing breaks."""

import json

import pytest

from leverframe.core.wires import UsageReader
from leverframe.domain.relays import WireFormat


def data(*values: object) -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in values)


def chunk(index: object = 0, usage: object = None, finish: str | None = None, **delta: object) -> dict[str, object]:
    told = {} if usage is None else {"usage": usage}
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish}], **told}


def counted(given: object, made: object) -> dict[str, object]:
    return {"prompt_tokens": given, "completion_tokens": made}


def read(wire: WireFormat, *values: object) -> UsageReader:
    reader = UsageReader(wire, is_stream=True)
    reader.feed(data(*values))
    reader.end()
    return reader


@pytest.mark.parametrize("index", [[0], {}, {"a": 1}])
@pytest.mark.parametrize("field", ["content", "refusal"])
def test_a_choice_whose_index_is_no_number_is_read_all_the_same(index: object, field: str) -> None:
    reader = read(WireFormat.CHAT, chunk(index, **{field: "lorem"}), chunk(index, finish="stop", **{field: " ipsum"}))

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
    reader = read(WireFormat.CHAT, chunk(usage=counted(70, 0), role="assistant"), chunk(**more), chunk(finish="length"))

    assert reader.is_complete
    assert reader.usage is None
