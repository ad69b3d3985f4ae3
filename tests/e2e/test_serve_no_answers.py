"""What has the status of an answer and is none: an error in the client's form, recorded and paid for as one."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from math import ceil
from typing import Any, Final

import anthropic
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from leverframe.core.wires.frames import payload
from tests.served import Answer
from tests.troubled import ASKED, CHAT, EMBEDDINGS, MESSAGES, RESPONSES, TroubledDesk, troubled_desk

# Any: the SDKs take messages as typed dictionaries, which plain ones are not to mypy.
HI: Final[Any] = [{"role": "user", "content": "Hi"}]
OBSERVE = "workflow: desk\nmodels: {default: fast}\nenforce: observe\n"
KNOBS = ("empty", "detail", "hollow", "named", "error", "failed")
COUNTED = "fake-0ms-i70-o33-c1-s10"
COSTS = {CHAT: 60 * 2.5 + 10 * 1.25 + 33 * 10, MESSAGES: 60 * 3 + 10 * 0.3 + 33 * 15, EMBEDDINGS: 60 * 2.5 + 10 * 1.25}
COSTS[RESPONSES] = COSTS[CHAT]
MODELS = [f"{name}/{COUNTED}-x{knob}" for name in ("vendor", "claude") for knob in KNOBS]
BROKEN = f"{COUNTED}-xchoice"
MODELS.append(f"vendor/{BROKEN}")
FAILED = f"{COUNTED}-xfailed"
STREAMED = [CHAT, RESPONSES, MESSAGES]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TroubledDesk]:
    with troubled_desk(tmp_path_factory.mktemp("none") / "desk", MODELS) as found:
        yield found
        found.verified()


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TroubledDesk]:
    with troubled_desk(tmp_path_factory.mktemp("watched") / "desk", MODELS, OBSERVE) as found:
        yield found


def raised_by(answer: Answer) -> str:
    """The words of the error that the client's own library raises, or gives, at the last frame but a last word."""
    last = [one for one in answer.body.split(b"\n\n") if one and b"[DONE]" not in one][-1]
    value = json.loads(payload(last))
    assert last.startswith(b"event: error") or value["error"]
    return str(value.get("error", value)["message"])


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize(("knob", "words"), [("empty", "neither an answer nor"), ("detail", "Not Found")])
def test_a_plain_body_that_is_no_answer_is_an_error_at_its_bound_that_is_not_asked_again(
    desk: TroubledDesk, path: str, knob: str, words: str
) -> None:
    answer = desk.call(path, f"{COUNTED}-x{knob}")

    assert (answer.status, answer.headers["x-should-retry"]) == (502, "false")
    assert words in answer.json["error"]["message"]
    recorded = desk.recorded()
    assert (recorded.state, recorded.error, recorded.entry["outcome"]) == ("error", "model-failed", "unknown")
    assert recorded.cost_microusd > 0


@pytest.mark.parametrize("path", ASKED)
def test_a_plain_answer_without_what_was_answered_costs_what_the_vendor_counted(desk: TroubledDesk, path: str) -> None:
    answer = desk.call(path, f"{COUNTED}-xhollow")

    assert (answer.status, answer.headers["x-should-retry"]) == (502, "false")
    assert "neither an answer nor" in answer.json["error"]["message"]
    recorded = desk.recorded()
    assert (recorded.state, recorded.error, recorded.entry["outcome"]) == ("error", "model-failed", "error")
    assert recorded.input_tokens == 70
    if path != EMBEDDINGS:
        assert recorded.cost_microusd == ceil(COSTS[path])


@pytest.mark.parametrize("path", STREAMED)
@pytest.mark.parametrize("knob", ["empty", "hollow", "named"])
def test_a_stream_that_is_no_answer_ends_in_an_error_instead_of_its_last_word(
    desk: TroubledDesk, path: str, knob: str
) -> None:
    answer = desk.call(path, f"{COUNTED}-x{knob}", stream=True)

    assert answer.status == 200
    # Anthropic's libraries raise at the name of the event, and know what comes after it.
    assert (b"[DONE]" in answer.body) is (path == MESSAGES and knob == "named")
    assert b'"message_stop"' not in answer.body
    if path != MESSAGES or knob != "named":
        assert ("scripted" if knob == "named" else "neither an answer nor") in raised_by(answer)
    recorded = desk.recorded()
    assert (recorded.state, recorded.error) == ("error", "model-failed")
    is_counted = path == CHAT and knob == "hollow"
    assert recorded.entry["outcome"] == ("error" if is_counted else "unknown")
    if is_counted:
        assert recorded.cost_microusd == ceil(COSTS[path])


@pytest.mark.parametrize("path", STREAMED)
@pytest.mark.parametrize("knob", ["empty", "hollow", "named"])
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_only_observed_passes_as_it_came_and_is_recorded_as_an_error(
    observed: TroubledDesk, path: str, knob: str, *, stream: bool
) -> None:
    observed.calls += 1
    kind = "empty" if knob == "named" and not stream else knob
    sent = json.dumps({"model": f"{COUNTED}-x{kind}", **ASKED[path], "stream": stream}).encode()

    answer = observed.ask(path, sent, **{"Leverframe-Run": observed.run_name})

    assert (answer.status, answer.body) == (200, _directly(observed, path, sent))
    recorded = observed.recorded()
    assert (recorded.state, recorded.error, recorded.entry["outcome"]) == ("error", "model-failed", "error")


def _directly(desk: TroubledDesk, path: str, sent: bytes) -> bytes:
    with closing(http.client.HTTPConnection(desk.vendor.url.removeprefix("http://"), timeout=20)) as client:
        client.request("POST", path, sent, {"Content-Type": "application/json"})
        return client.getresponse().read()


def test_a_response_that_says_that_it_failed_is_one_and_passes(desk: TroubledDesk) -> None:
    answer = desk.call(RESPONSES, FAILED)

    assert (answer.status, answer.json["status"], answer.json["error"]["message"]) == (200, "failed", "scripted")
    recorded = desk.recorded()
    assert (recorded.state, recorded.cost_microusd) == ("error", ceil(COSTS[RESPONSES]))


def test_what_failed_and_is_no_stream_though_it_was_asked_for_is_not_asked_again(desk: TroubledDesk) -> None:
    answer = desk.call(RESPONSES, FAILED, stream=True)

    assert (answer.status, answer.headers["x-should-retry"]) == (502, "false")
    assert "scripted" in answer.json["error"]["message"]
    assert desk.recorded().cost_microusd == ceil(COSTS[RESPONSES])


@pytest.mark.parametrize("stream", [False, True])
def test_a_choice_that_says_that_it_failed_is_an_error_and_costs_what_was_counted(
    desk: TroubledDesk, *, stream: bool
) -> None:
    """As OpenRouter tells that a provider behind it broke off: the official SDKs read such a choice as any other."""
    answer = desk.call(CHAT, BROKEN, stream=stream)

    if stream:
        assert b"[DONE]" not in answer.body
        assert "scripted" in raised_by(answer)
    else:
        assert (answer.status, answer.headers["x-should-retry"]) == (502, "false")
        assert "scripted" in answer.json["error"]["message"]
    recorded = desk.recorded()
    assert (recorded.state, recorded.error, recorded.entry["outcome"]) == ("error", "model-failed", "error")
    assert recorded.cost_microusd == ceil(COSTS[CHAT])


@pytest.fixture
def clients(desk: TroubledDesk) -> Iterator[tuple[OpenAI, Anthropic]]:
    url = f"http://127.0.0.1:{desk.port}"
    with OpenAI(base_url=f"{url}/v1", api_key=desk.key) as one, Anthropic(base_url=url, api_key=desk.key) as other:
        yield one, other


@pytest.mark.parametrize("knob", ["empty", "detail", "hollow", "error"])
def test_the_official_sdks_raise_at_once_at_what_is_no_answer(
    desk: TroubledDesk, clients: tuple[OpenAI, Anthropic], knob: str
) -> None:
    ours, theirs = clients
    desk.vendor.reset()
    model = f"{COUNTED}-x{knob}"

    with pytest.raises(openai.InternalServerError, match=model):
        ours.chat.completions.create(model=model, messages=HI, max_tokens=200)
    with pytest.raises(openai.InternalServerError, match=model):
        ours.responses.create(model=model, input="Hi", max_output_tokens=200)
    with pytest.raises(openai.InternalServerError, match=model):
        ours.embeddings.create(model=model, input="Hi")
    with pytest.raises(anthropic.InternalServerError, match=model):
        theirs.messages.create(model=model, messages=HI, max_tokens=200)

    assert desk.vendor.served.requests == 4


@pytest.mark.parametrize("knob", ["empty", "hollow", "named"])
def test_the_official_sdks_tell_a_stream_that_is_no_answer(clients: tuple[OpenAI, Anthropic], knob: str) -> None:
    ours, theirs = clients
    model = f"{COUNTED}-x{knob}"

    with pytest.raises(openai.APIError, match="answered with"):
        list(ours.chat.completions.create(model=model, messages=HI, max_tokens=200, stream=True))
    events = list(ours.responses.create(model=model, input="Hi", max_output_tokens=200, stream=True))
    assert events[-1].type == "error"
    assert "answered with" in events[-1].message
    with pytest.raises(anthropic.APIStatusError, match="answered with" if knob != "named" else "scripted"):
        list(theirs.messages.create(model=model, messages=HI, max_tokens=200, stream=True))
