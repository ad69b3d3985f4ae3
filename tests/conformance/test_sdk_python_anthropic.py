"""The official Anthropic SDK for Python, unmodified, configured by environment alone, through `leverframe serve`."""

import asyncio
import base64
import os
from collections.abc import Iterator
from typing import Any, Final

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic, beta_tool
from pydantic import BaseModel

from tests.conversing import ConversingDesk, conversing_desk
from tests.waiting import until

MODEL: Final = "claude-sonnet-5"
HELLO: Final = "Hello, I am here to help."
# Any: the SDK takes a call's parts as typed dictionaries, which plain ones are not to mypy.
HI: Final[Any] = [{"role": "user", "content": "Hi"}]
SCHEMA: Final = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}
# Any: as above.
LOOK_UP: Final[Any] = {"name": "look_up", "description": "Look up an order.", "input_schema": SCHEMA}
# Any: as above.
CANCEL: Final[Any] = {"name": "cancel", "description": "Cancel an order.", "input_schema": SCHEMA}
ERRORS: Final = {
    "e400": anthropic.BadRequestError,
    "e404": anthropic.NotFoundError,
    "e429-a7": anthropic.RateLimitError,
    "e500": anthropic.InternalServerError,
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
def client(desk: ConversingDesk) -> Iterator[Anthropic]:
    assert os.environ["ANTHROPIC_BASE_URL"].endswith(f":{desk.port}")
    with Anthropic() as made:
        yield made


# Any: as above.
def said(client: Anthropic, messages: Any = HI, model: str = MODEL, **more: Any) -> Any:
    return client.messages.create(model=model, max_tokens=100, messages=messages, **more)


def test_a_message_is_answered_with_the_usage_of_the_vendor(client: Anthropic) -> None:
    # Any: as above.
    system: Any = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    answer = said(client, system=system)

    assert (answer.content[0].text, answer.stop_reason, answer.usage.output_tokens) == (HELLO, "end_turn", 6)
    # Named by the vendor, so that its support can be asked about it.
    assert answer._request_id == "req_1"


def test_a_stream_brings_every_word(client: Anthropic) -> None:
    with client.messages.stream(model=MODEL, max_tokens=100, messages=HI) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()

    assert (text, final.usage.output_tokens, final.stop_reason) == (HELLO, 6, "end_turn")


def test_an_answer_is_cut_at_the_limit_of_the_client(client: Anthropic) -> None:
    answer = client.messages.create(model=MODEL, max_tokens=2, messages=HI)

    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 2)


@pytest.mark.parametrize("is_streamed", [False, True])
def test_tools_are_asked_for_and_their_results_told(client: Anthropic, *, is_streamed: bool) -> None:
    # Any: as above.
    messages: list[Any] = [{"role": "user", "content": "Please use every tool for my order."}]

    # Any: as above.
    def asked() -> Any:
        if not is_streamed:
            return said(client, messages, tools=[LOOK_UP, CANCEL])
        with client.messages.stream(model=MODEL, max_tokens=100, messages=messages, tools=[LOOK_UP, CANCEL]) as stream:
            return stream.get_final_message()

    answer = asked()
    assert [(one.name, one.input) for one in answer.content] == [
        ("look_up", {"order_id": "W1"}),
        ("cancel", {"order_id": "W1"}),
    ]
    assert answer.stop_reason == "tool_use"
    messages.append({"role": "assistant", "content": [one.model_dump(exclude_none=True) for one in answer.content]})
    results = [{"type": "tool_result", "tool_use_id": one.id, "content": f"done {one.name}"} for one in answer.content]
    messages.append({"role": "user", "content": results})

    assert asked().content[0].text == "The tool says: done look_up; done cancel"


@pytest.mark.parametrize("is_streamed", [False, True])
def test_the_tool_runner_goes_on_without_a_thread_that_the_vendor_would_hold(
    desk: ConversingDesk, client: Anthropic, *, is_streamed: bool
) -> None:
    @beta_tool
    def look_up(order_id: str) -> str:
        """Look up an order."""
        return f"{order_id} was delivered"

    before = len(desk.vendor.bodies)
    runner = client.beta.messages.tool_runner
    if is_streamed:
        streams = runner(model=MODEL, max_tokens=100, messages=HI, tools=[look_up], stream=True)
        final = [stream.get_final_message() for stream in streams][-1]
    else:
        final = runner(model=MODEL, max_tokens=100, messages=HI, tools=[look_up]).until_done()

    assert [one.text for one in final.content if one.type == "text"] == ["The tool says: W1 was delivered"]
    assert [one.keys() & {"thread"} for one in desk.vendor.bodies[before:]] == [set(), set()]


def test_structured_output_is_parsed(client: Anthropic) -> None:
    answer = client.messages.parse(model=MODEL, max_tokens=100, messages=HI, output_format=Order)

    assert answer.parsed_output == Order(order_id="W1", lines=[1], is_late=True)


def test_a_picture_passes_and_an_address_is_refused_by_its_place(client: Anthropic) -> None:
    picture = base64.b64encode(b"a little picture").decode()

    # Any: as above.
    def shown(source: dict[str, str]) -> Any:
        return said(client, [{"role": "user", "content": [{"type": "image", "source": source}]}])

    packed = {"type": "base64", "media_type": "image/png", "data": picture}
    assert shown(packed).content[0].text == "I see 1 image."
    with pytest.raises(anthropic.BadRequestError) as caught:
        shown({"type": "url", "url": "https://example.com/picture.png?secret=1"})
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == "invalid_request_error"
    assert "messages[0].content[0].source.url" in caught.value.message


def test_a_tool_that_the_vendor_runs_is_refused_by_name(client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="web_search"):
        said(client, tools=[{"type": "web_search_20250305", "name": "web_search"}])


def test_tokens_are_counted(client: Anthropic) -> None:
    assert client.messages.count_tokens(model=MODEL, messages=HI, tools=[LOOK_UP]).input_tokens > 0


def test_the_models_of_the_key_are_listed_and_looked_up(client: Anthropic) -> None:
    assert MODEL in [one.id for one in client.models.list()]
    assert client.models.retrieve(MODEL).display_name == MODEL
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("claude-nobody")


@pytest.mark.parametrize("trouble", ERRORS)
def test_an_error_of_the_vendor_is_the_exception_of_its_kind(desk: ConversingDesk, trouble: str) -> None:
    with Anthropic(max_retries=0) as client, pytest.raises(ERRORS[trouble]) as caught:
        said(client, model=f"{MODEL}-{trouble}")

    assert caught.value.request_id == "req_1"
    assert caught.value.response.headers.get("retry-after") == ("7" if trouble == "e429-a7" else None)
    assert desk.rows("SELECT sum(cost_microusd) FROM steps WHERE name = ?", f"claude/{MODEL}-{trouble}") == [(0,)]


def test_a_key_that_is_none_is_an_authentication_error(client: Anthropic) -> None:
    with pytest.raises(anthropic.AuthenticationError):
        said(client.with_options(api_key="lf_nobody"))


def test_a_kill_switch_is_a_permission_error(desk: ConversingDesk, client: Anthropic) -> None:
    # Any: as above.
    def is_refused() -> bool:
        try:
            said(client)
        except anthropic.PermissionDeniedError:
            return True
        return False

    assert desk.cli("kill", "model", f"claude/{MODEL}", "--because", "drill").returncode == 0
    try:
        until(is_refused, what="the switch is heeded", within_s=10)
    finally:
        assert desk.cli("unkill", "model", f"claude/{MODEL}", "--because", "drill is over").returncode == 0
    until(lambda: not is_refused(), what="the switch is lifted", within_s=10)


def test_a_budget_that_is_spent_is_a_rate_limit_error_that_says_until_when(desk: ConversingDesk) -> None:
    key = desk.exports("spent")["ANTHROPIC_API_KEY"]
    with Anthropic(api_key=key) as client:
        said(client)
        before = desk.vendor.served.requests
        with pytest.raises(anthropic.RateLimitError) as caught:
            said(client)

    headers, body = caught.value.response.headers, caught.value.body
    assert isinstance(body, dict)
    assert (body["error"]["type"], body["error"]["left"]) == ("rate_limit_error", 0)
    assert headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert headers["anthropic-ratelimit-requests-reset"] == body["error"]["resets_at"]
    assert desk.vendor.served.requests == before


def test_what_the_sdk_asks_again_is_recorded_each_time_and_paid_once(desk: ConversingDesk) -> None:
    before = desk.vendor.served.requests
    desk.vendor.next_statuses.append(529)
    with Anthropic(default_headers={"Leverframe-Run": "asked-again"}) as client:
        answer = client.messages.with_raw_response.create(model=MODEL, max_tokens=100, messages=HI)

    run = desk.run_of(answer.headers["leverframe-run"])
    told = [(one["state"], one["error"], one["cost_usd"] > 0, one["output_tokens"]) for one in run["steps"]]
    assert told == [("error", "model-5xx", False, 0), ("ok", "", True, 6)]
    assert run["cost_usd"] == run["steps"][1]["cost_usd"]
    assert desk.vendor.served.requests - before == 2


def test_a_stream_that_is_closed_early_is_read_to_its_end_and_paid(desk: ConversingDesk, client: Anthropic) -> None:
    name = f"{MODEL}-g20"
    stream = client.messages.create(model=name, max_tokens=100, messages=HI, stream=True)
    next(iter(stream))
    stream.close()

    # Any: values of SQLite.
    def settled() -> list[tuple[Any, ...]]:
        return desk.rows("SELECT state, output_tokens FROM steps WHERE name = ?", f"claude/{name}")

    until(lambda: settled() == [("ok", 6)], what="the stream is settled", within_s=20)


def test_raw_bodies_are_streamed(client: Anthropic) -> None:
    with client.messages.with_streaming_response.create(
        model=MODEL, max_tokens=100, messages=HI, stream=True
    ) as answer:
        lines = [line for line in answer.iter_lines() if line]

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert lines[0] == "event: message_start"
    assert lines[-2] == "event: message_stop"


def test_a_run_is_chosen_by_a_header_of_the_environment(desk: ConversingDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "Leverframe-Run: ticket-7")
    with Anthropic() as client:
        answers = [client.messages.with_raw_response.create(model=MODEL, max_tokens=100, messages=HI) for _ in range(2)]

    runs = {answer.headers["leverframe-run"] for answer in answers}
    assert len(runs) == 1
    assert desk.run_of(runs.pop())["model_calls"] == 2


@pytest.mark.usefixtures("desk")
def test_the_asynchronous_client_calls_and_streams_many_at_once() -> None:
    async def called(client: AsyncAnthropic) -> str:
        async with client.messages.stream(model=MODEL, max_tokens=100, messages=HI) as stream:
            text = "".join([piece async for piece in stream.text_stream])
        answer = await client.messages.create(model=MODEL, max_tokens=100, messages=HI)
        return f"{text}|{answer.usage.output_tokens}"

    async def all_called() -> list[str]:
        async with AsyncAnthropic() as client:
            return await asyncio.gather(*(called(client) for _ in range(8)))

    assert asyncio.run(all_called()) == [f"{HELLO}|6"] * 8


def test_what_was_charged_is_what_the_vendor_counted(desk: ConversingDesk, client: Anthropic) -> None:
    said(client)

    # Any: values of SQLite.
    def tokens() -> tuple[Any, ...]:
        return desk.rows("SELECT sum(input_tokens), sum(output_tokens) FROM steps WHERE kind = 'model'")[0]

    served = desk.vendor.served
    until(lambda: tokens() == (served.input_tokens, served.output_tokens), what="all is settled", within_s=20)
    verified = desk.cli("evidence", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
