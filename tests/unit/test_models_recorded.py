"""A recorded model answers what its file says, and a wrong file is named by line."""

import asyncio
from pathlib import Path

import pytest

from leverframe.domain.calls import Message, ModelLost, ModelOk, ModelRequest, Role, ToolUse
from leverframe.domain.contracts import ModelRef, Provider, Wire
from leverframe.domain.errors import ConfigInvalid, ProviderUnavailable
from leverframe.domain.ids import CallId, TenantId
from leverframe.domain.policy import SourceRef
from leverframe.models.recorded import RecordedModel

LINES = """
{"request": {"turn": 0, "last_user": "blender"}, "answer": {"tool_calls": [{"name": "lookup_order", \
"arguments": {"order_id": "#1", "usd": 49.90}}], "usage": {"input_tokens": 210, "output_tokens": 18}}}
{"request": {"turn": 0}, "answer": {"text": "Which order?"}}

{"request": {"turn": 1}, "answer": {"text": "Done.", "usage": {"input_tokens": 9, "output_tokens": 2}}}
"""


def recorded(tmp_path: Path, text: str = LINES) -> RecordedModel:
    (tmp_path / "answers.jsonl").write_text(text)
    here = SourceRef(file="leverframe.yaml", line=1)
    return RecordedModel(Provider(name="replayed", wire=Wire.RECORDED, source=here, file="answers.jsonl"), tmp_path)


def request(*messages: Message) -> ModelRequest:
    return ModelRequest(
        call_id=CallId("call_1"),
        tenant=TenantId("default"),
        model=ModelRef(provider="replayed", model="any"),
        messages=messages,
        max_output_tokens=100,
        deadline_s=5.0,
    )


def user(text: str) -> Message:
    return Message(role=Role.USER, text=text)


ASKED = Message(role=Role.ASSISTANT, tool_uses=(ToolUse(id="recorded_0_0", name="lookup_order", arguments="{}"),))
ANSWERED = Message(role=Role.TOOL, text="{}", tool_use_id="recorded_0_0")


def test_the_first_line_that_fits_is_the_answer_and_says_that_it_is_recorded(tmp_path: Path) -> None:
    answer = asyncio.run(recorded(tmp_path).answer(request(user("My blender broke"))))

    assert isinstance(answer, ModelOk)
    (use,) = answer.tool_uses
    assert (use.name, use.arguments) == ("lookup_order", '{"order_id":"#1","usd":49.90}')
    assert (answer.finish_reason, answer.input_tokens, answer.output_tokens) == ("tool_calls", 210, 18)
    assert (answer.is_recorded, answer.cost) == (True, 0)


def test_the_turn_is_the_number_of_answers_so_far(tmp_path: Path) -> None:
    model = recorded(tmp_path)

    other = asyncio.run(model.answer(request(user("My toaster broke"))))
    second = asyncio.run(model.answer(request(user("My blender broke"), ASKED, ANSWERED)))

    assert isinstance(other, ModelOk)
    assert isinstance(second, ModelOk)
    assert (other.text, second.text, second.finish_reason) == ("Which order?", "Done.", "stop")


def test_the_bound_is_exactly_what_the_answer_takes(tmp_path: Path) -> None:
    model = recorded(tmp_path)
    asked = request(user("My blender broke"))

    bound, answer = model.bound(asked), asyncio.run(model.answer(asked))

    assert isinstance(answer, ModelOk)
    assert (bound.input_tokens, bound.output_tokens, bound.cost) == (210, 18, 0)


def test_a_turn_that_is_not_in_the_file_is_refused_with_its_number(tmp_path: Path) -> None:
    answer = asyncio.run(recorded(tmp_path).answer(request(user("x"), ASKED, ANSWERED, ASKED, ANSWERED)))

    assert isinstance(answer, ModelLost)
    assert (answer.kind, answer.is_billed) == ("refused", False)
    assert "'answers.jsonl' has no answer for turn 2" in answer.message


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "Not JSON"),
        ("[]", "the line: expected an object"),
        ('{"request": {"turn": 0}}', "answer: expected an object"),
        ('{"request": {}, "answer": {}}', "request.turn: expected a whole number"),
        ('{"request": {"turn": 0.5}, "answer": {}}', "request.turn: expected a whole number"),
        ('{"request": {"turn": true}, "answer": {}}', "request.turn: expected a whole number"),
        ('{"request": {"turn": -1}, "answer": {}}', "request.turn: expected a whole number"),
        ('{"request": {"turn": 0, "lastuser": "x"}, "answer": {}}', "did you mean 'last_user'?"),
        ('{"request": {"turn": 0}, "answer": {"txt": ""}}', "did you mean 'text'?"),
        ('{"request": {"turn": 0}, "answer": {"text": 7}}', "answer.text: expected a text"),
        ('{"request": {"turn": 0}, "answer": {"tool_calls": {}}}', "answer.tool_calls: expected a list"),
        ('{"request": {"turn": 0}, "answer": {"tool_calls": [{}]}}', "answer.tool_calls[0].name: expected a text"),
        ('{"request": {"turn": 0}, "answer": {"usage": {"input_tokens": "9"}}}', "input_tokens: expected a whole"),
    ],
)
def test_a_line_that_is_no_recording_is_named(tmp_path: Path, line: str, reason: str) -> None:
    model = recorded(tmp_path, f'{{"request": {{"turn": 0}}, "answer": {{}}}}\n{line}\n')

    with pytest.raises(ConfigInvalid) as caught:
        model.bound(request(user("x")))

    assert "answers.jsonl:2:1: error recording-invalid" in str(caught.value)
    assert reason in str(caught.value)


def test_a_missing_file_says_which_key_to_mend(tmp_path: Path) -> None:
    model = recorded(tmp_path)
    (tmp_path / "answers.jsonl").unlink()

    with pytest.raises(ProviderUnavailable) as caught:
        model.bound(request(user("x")))

    assert "'answers.jsonl' cannot be read: No such file" in str(caught.value)
