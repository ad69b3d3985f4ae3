"""Whatever a client or a vendor sends: a clear error in the shape that clients parse, or a bounded wait."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.served import Answer
from tests.troubled import CHAT, EMBEDDINGS, MESSAGES, RESPONSES, TroubledDesk, troubled_desk
from tests.waiting import until

CONTRACT = "workflow: desk\nmodels: {default: fast}\nbudget: {max_wall_s: 3}\n"
WELL = "fake-0ms-i10-o10-c2"
VENDORS: list[tuple[str, bool, set[int], bool]] = [
    # what the vendor does, streamed or not, the statuses that tell it, and whether it may have been billed
    ("-xhtml", False, {502}, True),
    ("-xhtml", True, {502}, True),
    ("-xgarbage", False, {502}, True),
    ("-xgarbage", True, {502}, True),
    ("-xerror", False, {502}, True),
    ("-xerror", True, {502}, True),
    ("-xgzip", False, {502}, True),
    ("-xgzip", True, {502}, True),
    ("-xendless-c1", True, {200}, True),
    ("-xsilent-c1", True, {200}, True),
    ("-xcut-c2", True, {200}, True),
    ("-e504", False, {504}, True),
    ("-e999", False, {502}, True),
    ("-e502", True, {502}, True),
    ("-e500", False, {500}, False),
    ("-e429", True, {429}, False),
    ("-e404", False, {404}, False),
    ("-e401", False, {401, 502}, False),
    ("-e302", False, {502}, False),
]
MODELS = sorted({f"{name}/fake-0ms{knob}" for name in ("vendor", "claude") for knob, *_ in VENDORS})
NAMED = [*MODELS, f"vendor/{WELL}", f"claude/{WELL}"]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TroubledDesk]:
    with troubled_desk(tmp_path_factory.mktemp("hostile") / "desk", NAMED, CONTRACT) as found:
        yield found
        # After all of it: it serves, it holds nothing, and its log is whole.
        assert found.process is not None
        assert found.process.poll() is None
        assert found.call(CHAT, WELL).status == 200
        found.recorded()
        until(lambda: _open_files(found) < 60, what="what was opened for all that is closed")
        found.verified()


def _open_files(desk: TroubledDesk) -> int:
    assert desk.process is not None
    return len(list(Path(f"/proc/{desk.process.pid}/fd").iterdir()))


def said_by(path: str, answer: Answer) -> str:
    """The words of an error in the shape that the clients of the path parse."""
    told = answer.json
    if "/messages" in path:
        assert told["type"] == "error"
        assert isinstance(told["error"]["type"], str)
    else:
        assert {"message", "type", "param", "code"} <= told["error"].keys()
    return str(told["error"]["message"])


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES])
@pytest.mark.parametrize("case", VENDORS, ids=lambda case: f"{case[0]}-{case[1]}")
def test_a_vendor_that_answers_anything_is_told_plainly_and_paid_for_where_it_may_bill(
    desk: TroubledDesk, path: str, case: tuple[str, bool, set[int], bool]
) -> None:
    knob, stream, statuses, is_billed = case
    began = time.monotonic()

    answer = desk.call(path, f"fake-0ms{knob}", stream=stream or None)

    assert time.monotonic() - began < 10
    assert answer.status in statuses, answer.body[:500]
    if answer.status == 200:
        assert b"error" in answer.body.rpartition(b"data: ")[2]
    else:
        assert said_by(path, answer)
    recorded = desk.recorded()
    assert recorded.state == "error"
    assert recorded.error.startswith("model-")
    assert (recorded.cost_microusd > 0) is is_billed


DEEP = b'{"model": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
BODIES: list[tuple[str, bytes, set[int]]] = [
    ("nothing", b"", {400}),
    ("no JSON", b"{", {400}),
    ("not an object", b"[1]", {400}),
    ("a number", b"17", {400}),
    ("not UTF-8", b'{"model": "\xff\xfe"}', {400}),
    ("UTF-16", '{"model": "m"}'.encode("utf-16"), {400}),
    ("half a surrogate pair", b'{"model": "\\ud800", "messages": []}', {400, 404}),
    ("nested too deep", DEEP, {400}),
    ("a key twice", b'{"model": "a", "model": "b", "messages": []}', {400}),
    ("no model", b'{"messages": []}', {400}),
    ("a model that is a number", b'{"model": 5, "messages": []}', {400}),
    (
        "an unknown model",
        b'{"model": "nobody", "messages": [{"role": "user", "content": "x"}], "max_tokens": 5}',
        {404},
    ),
    ("messages that are a text", b'{"model": "fast", "messages": "x", "max_tokens": 5}', {400}),
    ("a maximum below nothing", b'{"model": "fast", "messages": [], "max_tokens": -1}', {400}),
    ("a maximum without end", b'{"model": "fast", "messages": [], "max_tokens": 1e999}', {400}),
    (
        "a maximum that no vendor has",
        b'{"model": "fast", "messages": [], "max_tokens": 99999999999999999999}',
        {400, 429},
    ),
    ("a stream that is a word", b'{"model": "fast", "messages": [], "max_tokens": 5, "stream": "yes"}', {400}),
    ("an unknown field", b'{"model": "fast", "messages": [], "max_tokens": 5, "novel": 1}', {400}),
    ("not a number", b'{"model": "fast", "messages": [], "max_tokens": NaN}', {400}),
]


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize(("what", "body", "statuses"), BODIES, ids=[one[0] for one in BODIES])
def test_a_body_that_cannot_be_a_call_is_refused_in_words(
    desk: TroubledDesk, path: str, what: str, body: bytes, statuses: set[int]
) -> None:
    desk.vendor.reset()

    answer = desk.ask(path, body)

    assert answer.status in statuses, (what, answer.body)
    assert said_by(path, answer)
    assert desk.vendor.served.requests == 0


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES, EMBEDDINGS])
def test_other_methods_and_other_routes_are_refused_in_the_clients_form(desk: TroubledDesk, path: str) -> None:
    wrong, nowhere = desk.ask(path, None, method="GET"), desk.ask(f"{path}/nowhere", {})

    assert (wrong.status, wrong.headers["allow"], nowhere.status) == (405, "POST", 404)
    assert said_by(path, wrong)
    assert said_by(path, nowhere)


@pytest.mark.parametrize("method", ["DELETE", "POST", "PUT"])
def test_a_model_is_read_and_nothing_else_is_done_to_it(desk: TroubledDesk, method: str) -> None:
    read, done = (desk.ask(f"/v1/models/{WELL}", {}, method=one) for one in ("GET", method))

    assert (read.status, done.status, done.headers["allow"]) == (200, 405, "GET")
    assert said_by("/v1/models", done)


def head(desk: TroubledDesk, *lines: str, path: str = CHAT) -> bytes:
    told = [f"POST {path} HTTP/1.1", "host: door", f"authorization: Bearer {desk.key}", *lines]
    return ("\r\n".join(told) + "\r\n\r\n").encode()


def sent(desk: TroubledDesk, *pieces: bytes, within_s: float = 30.0, half_closes: bool = False) -> bytes:
    """All that comes back until the door closes the connection, or is silent after its answer."""
    found = b""
    with socket.create_connection(("127.0.0.1", desk.port), timeout=within_s) as client, suppress(OSError):
        for piece in pieces:
            client.sendall(piece)
        if half_closes:
            client.shutdown(socket.SHUT_WR)
        while got := client.recv(65_536):
            found += got
            client.settimeout(0.5)
    return found


def test_a_body_of_more_than_fifty_megabytes_is_refused_before_it_is_here(desk: TroubledDesk) -> None:
    told = sent(desk, head(desk, "content-length: 50000001"))
    piece = b"%x\r\n" % (1 << 20) + b" " * (1 << 20) + b"\r\n"
    chunked = sent(desk, head(desk, "transfer-encoding: chunked"), *[piece] * 50)

    assert told.startswith(b"HTTP/1.1 413")
    assert b'"too_large"' in told
    assert chunked.startswith(b"HTTP/1.1 413") or not chunked  # closed on a client that would not stop


def test_a_flood_of_headers_is_refused(desk: TroubledDesk) -> None:
    many = sent(desk, head(desk, *(f"x-{n}: y" for n in range(1_000))))
    long = sent(desk, head(desk, "x: " + "y" * 200_000))

    assert [one[:12] for one in (many, long)] == [b"HTTP/1.1 431"] * 2


@pytest.mark.parametrize(
    "lines",
    [
        ("content-length: 5", "transfer-encoding: chunked"),
        ("content-length: 5", "content-length: 6"),
        ("content-length: -1",),
        ("content-length: many",),
        ("transfer-encoding: chunked, identity",),
    ],
)
def test_two_readings_of_where_a_body_ends_are_no_request(desk: TroubledDesk, lines: tuple[str, ...]) -> None:
    """A second request that hides in the body of a first would be made by nobody."""
    hidden = head(desk, "content-length: 0", path="/healthz")

    answer = sent(desk, head(desk, *lines) + b"0\r\n\r\n" + hidden)

    assert answer.startswith(b"HTTP/1.1 400") or not answer
    assert b"ok" not in answer.lower().partition(b"\r\n")[2]


@pytest.mark.parametrize("noise", [b"\x16\x03\x01\x02\x00\x01\x00", b"\r\n" * 50_000, b"GET\r\n\r\n", b"\x00" * 100])
def test_noise_is_no_request(desk: TroubledDesk, noise: bytes) -> None:
    answer = sent(desk, noise, half_closes=True)

    assert answer.startswith(b"HTTP/1.1 4") or not answer


def test_a_client_that_half_closes_is_served_or_let_go_and_paid_for(desk: TroubledDesk) -> None:
    desk.calls += 1
    desk.vendor.reset()
    body = json.dumps({"model": WELL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20}).encode()
    lines = (f"content-length: {len(body)}", f"leverframe-run: {desk.run_name}")

    answer = sent(desk, head(desk, *lines) + body, half_closes=True)

    assert answer.startswith(b"HTTP/1.1 200") or not answer
    if desk.vendor.served.requests:
        assert desk.recorded().state in {"ok", "error"}


def test_a_slow_client_holds_nothing_for_long(desk: TroubledDesk) -> None:
    """Heads and bodies that never end, all at once: each is answered 408 or closed within its bound."""
    slow = [
        (b"POST /v1/chat/completions HTTP/1.1\r\nhost: door\r\nx-a",),
        (b"",),
        (head(desk, "content-length: 100"), b'{"model"'),
        (head(desk, "transfer-encoding: chunked"), b"5\r\n{"),
    ] * 8
    began = time.monotonic()

    with ThreadPoolExecutor(len(slow)) as pool:
        answers = list(pool.map(lambda pieces: sent(desk, *pieces, within_s=40.0), slow))

    assert time.monotonic() - began < 30
    assert {one[:12] for one in answers} <= {b"HTTP/1.1 408", b""}
    assert sum(one[:12] == b"HTTP/1.1 408" for one in answers) >= len(slow) // 2
