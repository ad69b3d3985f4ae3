"""Streams and money, through the whole door: each bug of a peer against a vendor that counts, and what is recorded."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from math import ceil

import pytest

from leverframe.core.wires.frames import payload
from tests.bursts import burst
from tests.troubled import ASKED, CHAT, EMBEDDINGS, MESSAGES, RESPONSES, TroubledDesk, troubled_desk

OBSERVE = "workflow: desk\nmodels: {default: fast}\nenforce: observe\n"
COUNTED = "fake-0ms-i70-o33-c4-s10"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A call and what a vendor that tells the truth bills for it."""

    path: str
    model: str
    stream: bool = True
    billed: tuple[int, int] = (70, 33)
    cost: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.path.rpartition('/')[2]}-{self.model.partition('s10')[2] or self.model}-{self.stream}"


# gpt-4o: $2.50, $1.25 cached, $10 a million.  claude-sonnet-4-5: $3, $0.30 cached, $3.75 written, $15.
OPENAI_COST, CLAUDE_COST = 60 * 2.5 + 10 * 1.25 + 33 * 10, 60 * 3 + 10 * 0.3 + 33 * 15
CASES = [
    *(
        Case(path=path, model=f"{COUNTED}{usage}", stream=stream, cost=cost)
        for path, cost in ((CHAT, OPENAI_COST), (RESPONSES, OPENAI_COST), (MESSAGES, CLAUDE_COST))
        for usage, stream in (("", True), ("", False), ("-urepeat", True), ("-uevery", True))
    ),
    Case(path=CHAT, model=f"{COUNTED}-uchoices", cost=OPENAI_COST),
    Case(path=CHAT, model=f"{COUNTED}-r20", cost=OPENAI_COST),
    Case(path=MESSAGES, model=f"{COUNTED}-w20", cost=40 * 3 + 10 * 0.3 + 20 * 3.75 + 33 * 15),
    *(
        Case(path=path, model="fake-0ms-i70-o33-uzero", stream=stream, billed=(0, 0))
        for path in (CHAT, RESPONSES, MESSAGES)
        for stream in (True, False)
    ),
    Case(path=EMBEDDINGS, model="fake-0ms-i70", stream=False, billed=(70, 0), cost=70 * 2.5),
]
BROKEN = [(path, f"fake-0ms-o100-c10-{cut}3") for path in (CHAT, RESPONSES, MESSAGES) for cut in "bh"]
SILENT = [(CHAT, "fake-0ms-i70-o33-unone", stream) for stream in (True, False)]
UNCLOSED = f"{COUNTED}-xunclosed"
BARE = f"{COUNTED}-xbare"
FAILS = "fake-0ms-i70-o33-c1-s10-xfails"
PLAIN = f"{COUNTED}-xplain"
LEFT = "fake-0ms-i70-o60-c20-g5"


def _models() -> list[str]:
    asked = [(one.path, one.model) for one in CASES] + BROKEN + [(path, model) for path, model, _ in SILENT]
    asked += [
        (path, model)
        for path in (CHAT, RESPONSES, MESSAGES)
        for model in (LEFT, UNCLOSED, BARE, FAILS, f"{FAILS}-unone", PLAIN)
    ]
    return sorted({f"{'claude' if path == MESSAGES else 'vendor'}/{model}" for path, model in asked})


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TroubledDesk]:
    with troubled_desk(tmp_path_factory.mktemp("streams") / "desk", _models()) as found:
        yield found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_settled_is_what_the_vendor_counted(desk: TroubledDesk, case: Case) -> None:
    answer = desk.call(case.path, case.model, stream=case.stream or None)

    assert answer.status == 200, answer.body
    recorded = desk.recorded()
    assert recorded.state == "ok"
    assert (recorded.input_tokens, recorded.output_tokens) == case.billed
    assert recorded.cost_microusd == ceil(case.cost)
    assert "estimated" not in recorded.entry["detail"]
    if case.billed != (0, 0):
        assert case.billed == (desk.vendor.served.input_tokens, desk.vendor.served.output_tokens)


def test_usage_is_asked_for_and_given_to_those_alone_who_asked(desk: TroubledDesk) -> None:
    silent = desk.call(CHAT, COUNTED, stream=True)
    told = desk.call(CHAT, COUNTED, stream=True, stream_options={"include_usage": True})
    within = desk.call(CHAT, f"{COUNTED}-uchoices", stream=True)

    assert b'"prompt_tokens"' not in silent.body
    assert told.body.count(b'"prompt_tokens"') == 1
    # A chunk that also says why the answer ended is the client's, whoever asked for its usage.
    assert b'"finish_reason":"stop"' in within.body
    assert all(one.body.endswith(b"data: [DONE]\n\n") for one in (silent, told, within))


@pytest.mark.parametrize(("path", "model"), BROKEN)
def test_a_stream_that_breaks_off_costs_its_bound_and_is_told_in_the_clients_own_form(
    desk: TroubledDesk, path: str, model: str
) -> None:
    answer = desk.call(path, model, stream=True)

    assert answer.status == 200
    *whole, last = [one for one in answer.body.split(b"\n\n") if one]
    assert all(json.loads(one.partition(b"data: ")[2]) for one in whole)
    error = json.loads(last.partition(b"data: ")[2])
    assert "breaks off" in json.dumps(error)
    assert last.startswith(b"event: error" if path == MESSAGES else b"data: " if path == CHAT else b"event: ")
    recorded = desk.recorded()
    assert (recorded.state, recorded.output_tokens) == ("error", 200)
    assert recorded.error.startswith("model-broken-")
    # What nobody can tell is not told as if somebody could.
    assert recorded.entry["outcome"] == "unknown"
    assert recorded.entry.get("cost_microusd") is None
    assert recorded.cost_microusd >= desk.vendor.served.output_tokens * 10


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
def test_a_stream_that_ends_within_a_line_is_told_in_a_frame_of_its_own(desk: TroubledDesk, path: str) -> None:
    answer = desk.call(path, BARE, stream=True)

    *whole, last = [json.loads(payload(one)) for one in answer.body.split(b"\n\n") if one]
    assert any("lorem" in json.dumps(one) for one in whole)
    assert "before the answer was whole" in json.dumps(last)
    assert desk.recorded().error == "model-cut-short"


@pytest.mark.parametrize(("path", "cost"), [(CHAT, OPENAI_COST), (RESPONSES, OPENAI_COST), (MESSAGES, CLAUDE_COST)])
def test_a_stream_that_has_said_its_last_word_is_whole_however_its_connection_ends(
    desk: TroubledDesk, path: str, cost: float
) -> None:
    answer = desk.call(path, UNCLOSED, stream=True)

    assert b"error" not in answer.body
    recorded = desk.recorded()
    assert (recorded.state, recorded.entry["outcome"]) == ("ok", "ok")
    assert (recorded.input_tokens, recorded.output_tokens, recorded.cost_microusd) == (70, 33, ceil(cost))


@pytest.mark.parametrize(("path", "cost"), [(CHAT, OPENAI_COST), (RESPONSES, OPENAI_COST), (MESSAGES, CLAUDE_COST)])
def test_a_stream_that_says_an_error_and_then_its_last_word_is_an_error_at_what_the_vendor_counted(
    desk: TroubledDesk, path: str, cost: float
) -> None:
    answer = desk.call(path, FAILS, stream=True)

    assert answer.body.count(b'"message":"scripted"') == 1
    assert answer.body.rpartition(b"data: ")[0].count(b"lorem ") >= 33
    recorded = desk.recorded()
    assert (recorded.state, recorded.error, recorded.entry["outcome"]) == ("error", "model-failed", "error")
    assert recorded.entry["detail"]["error"] == "model-failed"
    assert (recorded.input_tokens, recorded.output_tokens, recorded.cost_microusd) == (70, 33, ceil(cost))
    desk.verified()


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
def test_a_stream_that_says_an_error_and_counts_nothing_costs_its_bound(desk: TroubledDesk, path: str) -> None:
    desk.call(path, f"{FAILS}-unone", stream=True)

    recorded = desk.recorded()
    assert (recorded.state, recorded.error, recorded.entry["outcome"]) == ("error", "model-failed", "unknown")
    assert recorded.output_tokens == 200
    assert "cost_microusd" not in recorded.entry


@pytest.mark.parametrize(("path", "cost"), [(CHAT, OPENAI_COST), (RESPONSES, OPENAI_COST), (MESSAGES, CLAUDE_COST)])
def test_a_plain_answer_to_a_call_for_a_stream_is_told_as_an_error_that_is_not_asked_again(
    desk: TroubledDesk, path: str, cost: float
) -> None:
    answer = desk.call(path, PLAIN, stream=True)

    # The SDKs would read it as a stream without a word.
    assert (answer.status, answer.headers["x-should-retry"]) == (502, "false")
    assert "plain answer" in answer.json["error"]["message"]
    recorded = desk.recorded()
    assert (recorded.state, recorded.error, recorded.entry["outcome"]) == ("error", "model-failed", "error")
    assert (recorded.input_tokens, recorded.output_tokens, recorded.cost_microusd) == (70, 33, ceil(cost))
    assert desk.call(path, PLAIN).status == 200


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
def test_an_observed_plain_answer_to_a_call_for_a_stream_passes_as_it_came(observed: TroubledDesk, path: str) -> None:
    observed.calls += 1
    sent = json.dumps({"model": PLAIN, **ASKED[path], "stream": True}).encode()

    answer = observed.ask(path, sent, **{"Leverframe-Run": observed.run_name})

    assert (answer.status, answer.body) == (200, _directly(observed, path, sent))
    assert observed.recorded().state == "ok"


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
def test_a_client_that_goes_away_has_its_stream_read_to_its_end(desk: TroubledDesk, path: str) -> None:
    desk.calls += 1
    desk.vendor.reset()
    body = {"model": LEFT, "stream": True, **ASKED[path]}

    (left,) = burst(desk.port, desk.key, body, 1, leaves=True, path=path, run=desk.run_name)

    assert left.status == 200
    recorded = desk.recorded()
    assert (recorded.state, recorded.input_tokens, recorded.output_tokens) == ("ok", 70, 60)
    assert (desk.vendor.served.output_tokens, desk.vendor.served.aborted) == (60, 0)


@pytest.mark.parametrize(("path", "model", "stream"), SILENT)
def test_an_answer_without_usage_costs_its_bound_and_is_marked(
    desk: TroubledDesk, path: str, model: str, *, stream: bool
) -> None:
    answer = desk.call(path, model, stream=stream or None)

    assert answer.status == 200
    recorded = desk.recorded()
    assert recorded.entry["detail"]["estimated"] is True
    assert (recorded.state, recorded.output_tokens) == ("ok", 200)
    assert recorded.cost_microusd >= desk.vendor.served.input_tokens * 2.5 + desk.vendor.served.output_tokens * 10


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TroubledDesk]:
    with troubled_desk(tmp_path_factory.mktemp("observed") / "desk", _models(), OBSERVE) as found:
        yield found


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
@pytest.mark.parametrize("stream", [True, False])
def test_what_is_only_observed_passes_byte_for_byte_both_ways(
    observed: TroubledDesk, path: str, *, stream: bool
) -> None:
    observed.calls += 1
    sent = json.dumps({"model": COUNTED, **ASKED[path], "stream": stream, "novel": [1.50, "ü"]}).encode() + b" \n"

    answer = observed.ask(path, sent, **{"Leverframe-Run": observed.run_name})

    assert answer.status == 200
    assert observed.vendor.bodies[-1] == sent
    assert answer.body == _directly(observed, path, sent)
    recorded = observed.recorded()
    assert recorded.entry["detail"].get("estimated", False) is (path == CHAT and stream)
    assert recorded.input_tokens >= 70
    assert recorded.output_tokens >= 33


def test_an_observed_stream_without_usage_is_estimated_from_what_it_said(observed: TroubledDesk) -> None:
    observed.call(CHAT, COUNTED, stream=True, max_tokens=None)

    recorded = observed.recorded()

    assert recorded.entry["detail"]["estimated"] is True
    # No token is shorter than a byte, and nothing bounds the answer but what was seen of it.
    assert recorded.output_tokens == len("lorem " * 33)
    assert recorded.cost_microusd == ceil(recorded.input_tokens * 2.5 + recorded.output_tokens * 10)
    observed.verified()


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
def test_an_observed_stream_that_says_an_error_is_one_at_what_it_had_said(observed: TroubledDesk, path: str) -> None:
    observed.calls += 1
    sent = json.dumps({"model": f"{FAILS}-unone", **ASKED[path], "stream": True}).encode()

    answer = observed.ask(path, sent, **{"Leverframe-Run": observed.run_name})

    assert answer.body == _directly(observed, path, sent)
    recorded = observed.recorded()
    assert (recorded.state, recorded.error, recorded.entry["outcome"]) == ("error", "model-failed", "error")
    assert recorded.entry["detail"]["estimated"] is True
    assert recorded.output_tokens in {len("lorem " * 33), len("lorem " * 33) - 1}


def _directly(desk: TroubledDesk, path: str, sent: bytes) -> bytes:
    """What the vendor answers to whom it serves without a door between."""
    host = desk.vendor.url.removeprefix("http://")
    with closing(http.client.HTTPConnection(host, timeout=20)) as client:
        client.request("POST", path, sent, {"Content-Type": "application/json"})
        return client.getresponse().read()
