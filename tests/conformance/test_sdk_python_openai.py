"""The official OpenAI SDK for Python, unmodified, configured by its environment alone, through `leverframe serve`."""

import asyncio
import base64
import os
from collections.abc import Iterator
from typing import Any, Final

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from tests.conversing import ConversingDesk, conversing_desk
from tests.waiting import until

MODEL: Final = "gpt-5-mini"
HELLO: Final = "Hello, I am here to help."
PICTURE: Final = f"data:image/png;base64,{base64.b64encode(b'a little picture').decode()}"
# Any: the SDK takes a call's parts as typed dictionaries, which plain ones are not to mypy.
HI: Final[Any] = [{"role": "user", "content": "Hi"}]
PARAMETERS: Final = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}
# Any: as above.
LOOK_UP: Final[Any] = {"type": "function", "function": {"name": "look_up", "parameters": PARAMETERS}}
# Any: as above.
CANCEL: Final[Any] = {"type": "function", "function": {"name": "cancel", "parameters": PARAMETERS}}
ERRORS: Final = {
    "e400": openai.BadRequestError,
    "e404": openai.NotFoundError,
    "e429-a7": openai.RateLimitError,
    "e500": openai.InternalServerError,
    "e401": openai.InternalServerError,
}


class Order(BaseModel):
    """What is asked for as structured output."""

    order_id: str
    lines: list[int]
    is_late: bool


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConversingDesk]:
    with conversing_desk(tmp_path_factory.mktemp("sdk") / "desk") as found, pytest.MonkeyPatch.context() as patch:
        for name, value in found.environment_of_clients.items():
            patch.setenv(name, value)
        yield found


@pytest.fixture
def client(desk: ConversingDesk) -> Iterator[OpenAI]:
    assert os.environ["OPENAI_BASE_URL"].endswith(f":{desk.port}/v1")
    with OpenAI() as made:
        yield made


def test_a_chat_is_answered_with_the_usage_of_the_vendor(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=HI)

    assert answer.choices[0].message.content == HELLO
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 6


@pytest.mark.parametrize("wants_usage", [False, True])
def test_a_stream_brings_every_word_and_usage_only_where_it_was_asked_for(client: OpenAI, *, wants_usage: bool) -> None:
    # Any: as above.
    more: dict[str, Any] = {"stream_options": {"include_usage": True}} if wants_usage else {}
    chunks = list(client.chat.completions.create(model=MODEL, messages=HI, stream=True, **more))

    assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == HELLO
    assert [one.usage.completion_tokens for one in chunks if one.usage] == ([6] if wants_usage else [])


@pytest.mark.parametrize("is_streamed", [False, True])
def test_tools_are_asked_for_and_their_results_told(client: OpenAI, *, is_streamed: bool) -> None:
    # Any: as above.
    messages: list[Any] = [{"role": "user", "content": "Please use every tool for my order."}]

    # Any: as above.
    def asked() -> Any:
        if not is_streamed:
            return client.chat.completions.create(model=MODEL, messages=messages, tools=[LOOK_UP, CANCEL])
        with client.chat.completions.stream(model=MODEL, messages=messages, tools=[LOOK_UP, CANCEL]) as stream:
            return stream.get_final_completion()

    message = asked().choices[0].message
    assert [(one.function.name, one.function.arguments) for one in message.tool_calls] == [
        ("look_up", '{"order_id": "W1"}'),
        ("cancel", '{"order_id": "W1"}'),
    ]
    messages.append(message.model_dump(exclude_none=True))
    messages += [
        {"role": "tool", "tool_call_id": one.id, "content": f"done {one.function.name}"} for one in message.tool_calls
    ]

    assert asked().choices[0].message.content == "The tool says: done look_up; done cancel"


def test_one_tool_at_a_time_is_asked_for_where_the_client_says_so(client: OpenAI) -> None:
    # Any: as above.
    messages: Any = [{"role": "user", "content": "Please use every tool."}]
    answer = client.chat.completions.create(
        model=MODEL, messages=messages, tools=[LOOK_UP, CANCEL], parallel_tool_calls=False
    )

    assert len(answer.choices[0].message.tool_calls or ()) == 1


def test_structured_output_is_parsed(client: OpenAI) -> None:
    chat = client.chat.completions.parse(model=MODEL, messages=HI, response_format=Order)
    response = client.responses.parse(model=MODEL, input="Hi", text_format=Order)

    expected = Order(order_id="W1", lines=[1], is_late=True)
    assert (chat.choices[0].message.parsed, response.output_parsed) == (expected, expected)


# The SDK's own model warns of its own field when it writes it.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_what_was_parsed_goes_back_with_the_message_that_it_was_parsed_from(client: OpenAI) -> None:
    tool = openai.pydantic_function_tool(Order)
    asked = client.chat.completions.parse(model=MODEL, messages=HI, tools=[tool]).choices[0].message
    assert asked.tool_calls is not None
    assert isinstance(asked.tool_calls[0].function.parsed_arguments, Order)
    # Any: as above.
    messages: list[Any] = [*HI, asked, {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "done"}]
    parsed = client.chat.completions.parse(model=MODEL, messages=messages, response_format=Order).choices[0].message
    messages += [parsed, *HI]

    assert isinstance(parsed.parsed, Order)
    assert client.chat.completions.create(model=MODEL, messages=messages).choices[0].message.content == HELLO


def test_a_picture_passes_and_an_address_is_refused_by_its_place(client: OpenAI) -> None:
    def shown(url: str) -> str | None:
        # Any: as above.
        messages: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
        return client.chat.completions.create(model=MODEL, messages=messages).choices[0].message.content

    assert shown(PICTURE) == "I see 1 image."
    with pytest.raises(openai.BadRequestError) as caught:
        shown("https://example.com/picture.png?secret=1")
    assert caught.value.code == "remote_url"
    assert caught.value.param == "messages[0].content[0].image_url.url"


def test_a_picture_passes_in_a_response_too(client: OpenAI) -> None:
    # Any: as above.
    given: Any = [{"role": "user", "content": [{"type": "input_image", "image_url": PICTURE, "detail": "auto"}]}]

    assert client.responses.create(model=MODEL, input=given).output_text == "I see 1 image."


def test_a_response_is_answered_plain_and_streamed(desk: ConversingDesk, client: OpenAI) -> None:
    plain = client.responses.create(model=MODEL, input="Hi")
    with client.responses.stream(model=MODEL, input="Hi") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()

    assert (plain.output_text, final.output_text) == (HELLO, HELLO)
    assert kinds.count("response.output_text.delta") == 6
    assert [body["store"] for body in desk.vendor.bodies[-2:]] == [False, False]


@pytest.mark.parametrize("is_streamed", [False, True])
def test_the_tools_of_a_response_are_asked_for_and_told(client: OpenAI, *, is_streamed: bool) -> None:
    # Any: as above.
    tools: Any = [{"type": "function", "name": "look_up", "parameters": PARAMETERS, "strict": False}]
    # Any: as above.
    given: list[Any] = [{"role": "user", "content": "Where is my order?"}]

    # Any: as above.
    def asked() -> Any:
        if not is_streamed:
            return client.responses.create(model=MODEL, input=given, tools=tools)
        with client.responses.stream(model=MODEL, input=given, tools=tools) as stream:
            return stream.get_final_response()

    call = asked().output[0]
    assert (call.type, call.name, call.arguments) == ("function_call", "look_up", '{"order_id": "W1"}')
    given += [call.model_dump(exclude_none=True, exclude={"parsed_arguments"})]
    given += [{"type": "function_call_output", "call_id": call.call_id, "output": "delivered"}]

    assert asked().output_text == "The tool says: delivered"


def test_state_that_the_vendor_keeps_is_refused_by_name(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        client.responses.create(model=MODEL, input="Hi", previous_response_id="resp_1")


def test_embeddings_come_as_numbers(client: OpenAI) -> None:
    answer = client.embeddings.create(model="text-embedding-3-small", input=["one text", "another text here"])

    assert [one.embedding for one in answer.data] == [[0.5, 0.25], [0.5, 0.25]]
    assert answer.usage.total_tokens == 5


def test_the_models_of_the_key_are_listed_and_looked_up(client: OpenAI) -> None:
    names = [one.id for one in client.models.list()]

    assert {"fast", MODEL, "text-embedding-3-small"} <= set(names)
    assert client.models.retrieve(MODEL).owned_by == "vendor"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-nobody")


@pytest.mark.parametrize("trouble", ERRORS)
def test_an_error_of_the_vendor_is_the_exception_of_its_kind(desk: ConversingDesk, trouble: str) -> None:
    with OpenAI(max_retries=0) as client, pytest.raises(ERRORS[trouble]) as caught:
        client.chat.completions.create(model=f"{MODEL}-{trouble}", messages=HI)

    headers = caught.value.response.headers
    if trouble == "e401":
        # The key is the project's, not the client's: nothing that its words say is passed on, nor asked again.
        assert (caught.value.status_code, headers["x-should-retry"]) == (502, "false")
    else:
        assert (caught.value.code, caught.value.request_id) == (f"vendor_{trouble[1:4]}", "req_1")
    assert headers.get("retry-after") == ("7" if trouble == "e429-a7" else None)
    assert desk.rows("SELECT sum(cost_microusd) FROM steps WHERE name = ?", f"vendor/{MODEL}-{trouble}") == [(0,)]


def test_a_key_that_is_none_is_an_authentication_error(client: OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="lf_nobody").chat.completions.create(model=MODEL, messages=HI)


def test_a_kill_switch_is_a_permission_error_that_is_not_asked_again(desk: ConversingDesk, client: OpenAI) -> None:
    def called() -> Exception | None:
        try:
            client.chat.completions.create(model=MODEL, messages=HI)
        except openai.PermissionDeniedError as err:
            return err
        return None

    killed = desk.cli("kill", "model", f"vendor/{MODEL}", "--because", "drill")
    assert killed.returncode == 0, killed.stderr
    try:
        until(lambda: called() is not None, what="the switch is heeded", within_s=10)
    finally:
        assert desk.cli("unkill", "model", f"vendor/{MODEL}", "--because", "drill is over").returncode == 0
    until(lambda: called() is None, what="the switch is lifted", within_s=10)


def test_a_budget_that_is_spent_is_a_rate_limit_error_that_says_until_when(desk: ConversingDesk) -> None:
    key = desk.exports("spent")["OPENAI_API_KEY"]
    with OpenAI(api_key=key) as client:
        client.chat.completions.create(model=MODEL, messages=HI)
        before = desk.vendor.served.requests
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model=MODEL, messages=HI)

    headers, body = caught.value.response.headers, caught.value.body
    assert isinstance(body, dict)
    assert (caught.value.code, body["unit"], body["left"]) == ("insufficient_quota", "model_calls", 0)
    assert body["resets_at"].endswith("Z")
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("1", "0")
    assert headers["x-ratelimit-reset-requests"]
    assert desk.vendor.served.requests == before


def test_what_the_sdk_asks_again_is_recorded_each_time_and_paid_once(desk: ConversingDesk) -> None:
    before = desk.vendor.served.requests
    desk.vendor.next_statuses.append(503)
    with OpenAI(default_headers={"Leverframe-Run": "asked-again"}) as client:
        answer = client.chat.completions.with_raw_response.create(model=MODEL, messages=HI)

    run = desk.run_of(answer.headers["leverframe-run"])
    told = [(one["state"], one["error"], one["cost_usd"] > 0, one["output_tokens"]) for one in run["steps"]]
    assert told == [("error", "model-5xx", False, 0), ("ok", "", True, 6)]
    assert run["cost_usd"] == run["steps"][1]["cost_usd"]
    assert desk.vendor.served.requests - before == 2


def test_a_stream_that_is_closed_early_is_read_to_its_end_and_paid(desk: ConversingDesk, client: OpenAI) -> None:
    name = f"{MODEL}-g20"
    stream = client.chat.completions.create(model=name, messages=HI, stream=True)
    next(iter(stream))
    stream.close()

    # Any: values of SQLite.
    def settled() -> list[tuple[Any, ...]]:
        return desk.rows(
            "SELECT state, output_tokens FROM steps WHERE name = ? AND state <> 'running'", f"vendor/{name}"
        )

    until(lambda: settled() == [("ok", 6)], what="the stream is settled", within_s=20)


def test_raw_bodies_are_streamed(client: OpenAI) -> None:
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=HI, stream=True) as answer:
        lines = [line for line in answer.iter_lines() if line]

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["leverframe-run"].startswith("run_")
    assert lines[-1] == "data: [DONE]"


def test_a_run_is_chosen_by_a_header_of_the_environment(desk: ConversingDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Leverframe-Run: ticket-7")
    with OpenAI() as client:
        runs = {
            client.chat.completions.with_raw_response.create(model=MODEL, messages=HI).headers["leverframe-run"]
            for _ in range(2)
        }

    assert len(runs) == 1
    assert desk.run_of(runs.pop())["model_calls"] == 2


@pytest.mark.usefixtures("desk")
def test_the_asynchronous_client_calls_and_streams_many_at_once() -> None:
    async def called(client: AsyncOpenAI) -> str:
        parts = [
            part.choices[0].delta.content or ""
            async for part in await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
        ]
        answer = await client.responses.create(model=MODEL, input="Hi")
        return f"{''.join(parts)}|{answer.output_text}"

    async def all_called() -> list[str]:
        async with AsyncOpenAI() as client:
            return await asyncio.gather(*(called(client) for _ in range(8)))

    assert asyncio.run(all_called()) == [f"{HELLO}|{HELLO}"] * 8


def test_what_was_charged_is_what_the_vendor_counted(desk: ConversingDesk, client: OpenAI) -> None:
    client.chat.completions.create(model=MODEL, messages=HI)

    # Any: values of SQLite.
    def tokens() -> tuple[Any, ...]:
        return desk.rows("SELECT sum(input_tokens), sum(output_tokens) FROM steps WHERE kind = 'model'")[0]

    served = desk.vendor.served
    until(lambda: tokens() == (served.input_tokens, served.output_tokens), what="all is settled", within_s=20)
    desk_told = desk.cli("evidence", "verify")
    assert desk_told.returncode == 0, desk_told.stdout + desk_told.stderr
