"""A provider of the OpenAI kind, against a scripted vendor: what is sent, what is settled, how failures are named."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from leverframe.domain.calls import Message, ModelAnswer, ModelLost, ModelOk, ModelRequest, OfferedTool, Role, ToolUse
from leverframe.domain.contracts import ModelRef, Provider, Wire
from leverframe.domain.errors import ProviderUnavailable
from leverframe.domain.ids import CallId, TenantId
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.policy import SourceRef
from leverframe.identity.secrets import ProjectSecrets
from leverframe.models.http_model import HttpModel
from leverframe.models.openai_wire import request_body
from leverframe.net.client import HttpClient
from leverframe.testing import FakeClock, ScriptedModel, say, stumble, use_tool
from leverframe.testing.scripted_model import Line

KEY = "sk-test-0123456789"
CLOSED: JsonObject = {
    "type": "object",
    "additionalProperties": False,
    "required": ["kind"],
    "properties": {"kind": {"type": "string"}},
}
REQUEST = ModelRequest(
    call_id=CallId("call_1"),
    tenant=TenantId("default"),
    model=ModelRef(provider="vendor", model="gpt-4o-mini"),
    messages=(
        Message(role=Role.SYSTEM, text="Be brief."),
        Message(role=Role.USER, text="Where is order #1?"),
        Message(role=Role.ASSISTANT, tool_uses=(ToolUse(id="call_0", name="lookup_order", arguments='{"id": "#1"}'),)),
        Message(role=Role.TOOL, text='{"status":"sent"}', tool_use_id="call_0"),
    ),
    max_output_tokens=100,
    deadline_s=5.0,
)


def provider(url: str, *, key: str = "secret://env/KEY", is_private: bool = True) -> Provider:
    here = SourceRef(file="leverframe.yaml", line=1)
    return Provider(name="vendor", wire=Wire.OPENAI, source=here, url=url, key=key, allows_private_hosts=is_private)


def model_of(made: Provider, environment: Mapping[str, str] | None = None) -> HttpModel:
    secrets = ProjectSecrets(Path("nowhere"), {"KEY": KEY} if environment is None else environment)
    return HttpModel(made, http=HttpClient(), secrets=secrets, clock=FakeClock())


def answer(
    made: Provider, request: ModelRequest = REQUEST, environment: Mapping[str, str] | None = None
) -> ModelAnswer:
    async def act() -> ModelAnswer:
        model = model_of(made, environment)
        try:
            return await model.answer(request)
        finally:
            await model.close()

    return asyncio.run(act())


def answer_to(*lines: Line, request: ModelRequest = REQUEST) -> tuple[ModelAnswer, ScriptedModel]:
    with ScriptedModel(*lines) as vendor:
        return answer(provider(vendor.url), request), vendor


def test_a_request_is_written_in_the_vendors_format() -> None:
    _, vendor = answer_to(say("It was sent."))

    (body,) = vendor.requests
    assert body == {
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Where is order #1?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_0",
                        "type": "function",
                        "function": {"name": "lookup_order", "arguments": '{"id": "#1"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_0", "content": '{"status":"sent"}'},
        ],
        "max_tokens": 100,
        "stream": False,
    }
    assert vendor.asked[0].headers["authorization"] == f"Bearer {KEY}"


def test_tools_and_an_output_schema_are_offered() -> None:
    tool = OfferedTool(name="lookup_order", description="One order.", input_schema={"type": "object"})

    _, vendor = answer_to(say("{}"), request=replace(REQUEST, tools=(tool,), output_schema=CLOSED))

    (body,) = vendor.requests
    function: JsonObject = {"name": "lookup_order", "description": "One order.", "parameters": {"type": "object"}}
    assert body["tools"] == [{"type": "function", "function": function}]
    named: JsonObject = {"name": "output", "strict": True, "schema": CLOSED}
    assert body["response_format"] == {"type": "json_schema", "json_schema": named}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"kind": {"type": "string"}}},
        {**CLOSED, "required": []},
        {**CLOSED, "properties": {"kind": {"type": "object", "properties": {}}}},
    ],
)
def test_a_schema_beyond_the_strict_subset_is_sent_as_not_strict(schema: JsonObject) -> None:
    body = request_body(replace(REQUEST, output_schema=schema), is_vendor=False)

    assert b'"strict":false' in body


def test_the_vendor_itself_is_told_to_store_nothing_and_limits_all_its_tokens() -> None:
    body = request_body(REQUEST, is_vendor=True)

    assert b'"store":false' in body
    assert b'"max_completion_tokens":100' in body
    assert b'"max_tokens"' not in body


def test_usage_and_cost_are_the_vendors() -> None:
    found, _ = answer_to(say("It was sent.", input_tokens=1000, output_tokens=100))

    assert isinstance(found, ModelOk)
    assert (found.text, found.finish_reason, found.is_recorded) == ("It was sent.", "stop", False)
    # 1,000 x $0.15 and 100 x $0.60 for a million tokens.
    assert (found.input_tokens, found.output_tokens, found.cost) == (1000, 100, 210)


def test_a_tool_use_keeps_the_text_that_the_model_wrote() -> None:
    found, _ = answer_to(use_tool("lookup_order", '{"id": "#1", broken'))

    assert isinstance(found, ModelOk)
    assert found.tool_uses == (ToolUse(id="call_0", name="lookup_order", arguments='{"id": "#1", broken'),)
    assert found.finish_reason == "tool_calls"


def completion(**changes: Json) -> Line:
    body: dict[str, Json] = {
        "choices": [{"message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }
    return Line(body={**body, **changes})


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 7}, {"prompt_tokens": "7", "completion_tokens": 3}])
def test_where_the_vendor_does_not_count_the_bound_is_settled(usage: Json) -> None:
    found, vendor = answer_to(completion(usage=usage))
    bound = model_of(provider(vendor.url)).bound(REQUEST)

    assert isinstance(found, ModelOk)
    assert (found.input_tokens, found.output_tokens, found.cost) == (
        bound.input_tokens,
        bound.output_tokens,
        bound.cost,
    )


def test_an_explicit_zero_is_a_count() -> None:
    found, _ = answer_to(completion(usage={"prompt_tokens": 0, "completion_tokens": 0}))

    assert isinstance(found, ModelOk)
    assert (found.input_tokens, found.output_tokens, found.cost) == (0, 0, 0)


def test_cached_tokens_have_their_own_price() -> None:
    details: JsonObject = {"cached_tokens": 600}
    usage: JsonObject = {"prompt_tokens": 1000, "completion_tokens": 0, "prompt_tokens_details": details}

    found, _ = answer_to(completion(usage=usage))

    assert isinstance(found, ModelOk)
    # 400 x $0.15 and 600 x $0.075 for a million tokens.
    assert found.cost == 105


@pytest.mark.parametrize(
    ("message", "finish", "text", "reason"),
    [
        ({"content": "cut"}, "length", "cut", "length"),
        ({"content": None, "refusal": "I will not."}, "stop", "I will not.", "stop"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "stop", "ab", "stop"),
        ({"content": "x"}, "eos", "x", "stop"),
        ({"content": "x"}, None, "x", "stop"),
    ],
)
def test_answers_of_many_servers_are_read(message: JsonObject, finish: Json, text: str, reason: str) -> None:
    found, _ = answer_to(completion(choices=[{"message": message, "finish_reason": finish}]))

    assert isinstance(found, ModelOk)
    assert (found.text, found.finish_reason) == (text, reason)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"choices": []}, "choices"),
        ({"choices": [{}, {}]}, "choices"),
        ({"choices": [{"message": "x"}]}, "choices[0].message"),
        ({"choices": [{"message": {"content": 7}}]}, "content"),
        ({"choices": [{"message": {"tool_calls": [{"id": "1"}]}}]}, "tool_calls[0].function"),
    ],
)
def test_an_answer_that_cannot_be_read_is_garbage_and_billed(changes: dict[str, Json], words: str) -> None:
    found, _ = answer_to(completion(**changes))

    assert isinstance(found, ModelLost)
    assert (found.kind, found.is_billed) == ("garbage", True)
    assert words in found.message


def test_a_filtered_answer_is_refused_and_billed() -> None:
    found, _ = answer_to(completion(choices=[{"message": {"content": "x"}, "finish_reason": "content_filter"}]))

    assert isinstance(found, ModelLost)
    assert (found.kind, found.is_billed) == ("refused", True)


@pytest.mark.parametrize(
    ("line", "kind", "is_billed"),
    [
        (stumble(400, "bad schema"), "refused", False),
        (stumble(404, "no such model"), "refused", False),
        (stumble(408), "timeout", True),
        (stumble(429, "slow down"), "429", False),
        (Line(status=429, body={"error": {"message": "pay", "code": "insufficient_quota"}}), "refused", False),
        (stumble(500), "5xx", False),
        (stumble(503), "5xx", False),
        (stumble(504), "5xx", True),
        (stumble(307, Location="https://elsewhere.example/"), "refused", False),
    ],
)
def test_each_status_has_its_kind(line: Line, kind: str, is_billed: bool) -> None:  # noqa: FBT001 pytest's positions
    found, vendor = answer_to(line)

    assert isinstance(found, ModelLost)
    assert (found.kind, found.is_billed) == (kind, is_billed)
    assert f"vendor/gpt-4o-mini answered {line.status}" in found.message
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_in_no_message(status: int) -> None:
    found, _ = answer_to(stumble(status, f"Incorrect API key provided: {KEY}"))

    assert isinstance(found, ModelLost)
    assert found.kind == "refused"
    assert "check `key` of provider 'vendor'" in found.message
    assert KEY not in found.message


def test_a_key_that_does_not_resolve_keeps_the_request_here() -> None:
    with ScriptedModel() as vendor:
        found = answer(provider(vendor.url), environment={})

        assert isinstance(found, ModelLost)
        assert (found.kind, found.is_billed) == ("refused", False)
        assert "secret://env/KEY" in found.message
        assert vendor.requests == []


def test_a_private_host_needs_permission() -> None:
    with ScriptedModel() as vendor:
        found = answer(provider(vendor.url.replace("http:", "https:"), is_private=False))

        assert isinstance(found, ModelLost)
        assert found.kind == "refused"
        assert vendor.requests == []


def test_a_model_without_a_price_is_refused_before_anything_is_sent() -> None:
    request = replace(REQUEST, model=ModelRef(provider="vendor", model="no-such-model-9"))
    public = provider("https://api.openai.com/v1")

    with pytest.raises(ProviderUnavailable) as caught:
        model_of(public).bound(request)
    found = answer(public, request)

    assert "unpriced" in str(caught.value)
    assert isinstance(found, ModelLost)
    assert not found.is_billed


@pytest.mark.parametrize("url", ["http://10.0.0.7:8000/v1", "https://10.0.0.7/v1", "https://llm.example/v1"])
def test_only_what_the_project_says_is_free(url: str) -> None:
    """A host of one's own may stand before a vendor that bills."""
    request = replace(REQUEST, model=ModelRef(provider="vendor", model="my-own-model"))

    assert model_of(replace(provider(url), priced_as={"my-own-model": "free"})).bound(request).cost == 0
    with pytest.raises(ProviderUnavailable):
        model_of(provider(url)).bound(request)


def test_the_bound_holds_what_is_settled() -> None:
    with ScriptedModel(say("x", input_tokens=60, output_tokens=100)) as vendor:
        bound = model_of(provider(vendor.url)).bound(REQUEST)
        found = answer(provider(vendor.url))

    assert isinstance(found, ModelOk)
    assert found.input_tokens <= bound.input_tokens
    assert found.output_tokens <= bound.output_tokens
    assert 0 < found.cost <= bound.cost
