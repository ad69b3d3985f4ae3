"""The HTTP client against raw servers: what it sends, what it takes, and how every other ending is named."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from leverframe.net.client import HttpClient
from leverframe.net.exchange import HttpAnswer, HttpLost, HttpRequest, Limits
from leverframe.net.url import Url, parse_url
from tests.certificates import certificate
from tests.raw_server import GARBLED_ANSWERS, OK, WHOLE_ANSWERS, RawServer

LIMITS = Limits(total_s=5.0, max_body_bytes=1000)


@asynccontextmanager
async def a_client(**options: object) -> AsyncIterator[HttpClient]:
    client = HttpClient(**options)  # type: ignore[arg-type]  # the options of HttpClient, by name
    try:
        yield client
    finally:
        await client.close()


def request(port: int, *, scheme: str = "http", host: str = "127.0.0.1", allowed: bool = True) -> HttpRequest:
    url = Url(scheme=scheme, host=host, port=port, path="/v1/x")
    return HttpRequest(method="POST", url=url, headers={"X-Key": "k"}, body=b"body", is_private_allowed=allowed)


def exchange(*answers: bytes, limits: Limits = LIMITS, times: int = 1) -> tuple[list[HttpAnswer | HttpLost], RawServer]:
    server = RawServer(*answers)

    async def act() -> list[HttpAnswer | HttpLost]:
        async with server.listening(), a_client() as client:
            return [await client.send(request(server.port), limits) for _ in range(times)]

    return asyncio.run(act()), server


def test_a_request_is_written_as_asked_and_an_answer_read() -> None:
    (answer,), server = exchange(OK)

    assert answer == HttpAnswer(status=200, headers={"content-length": "2"}, body=b"ok")
    assert (
        server.requests[0]
        == (
            f"POST /v1/x HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAccept-Encoding: identity\r\n"
            "Content-Length: 4\r\nX-Key: k\r\n\r\nbody"
        ).encode()
    )


@pytest.mark.parametrize(
    ("raw", "body"),
    WHOLE_ANSWERS,
)
def test_a_body_ends_where_the_answer_says(raw: bytes, body: bytes) -> None:
    (answer,), _ = exchange(raw)

    assert isinstance(answer, HttpAnswer), answer
    assert answer.body == body


@pytest.mark.parametrize(
    ("raw", "words"),
    GARBLED_ANSWERS,
)
def test_a_garbled_answer_is_named_and_may_have_had_its_effect(raw: bytes, words: str) -> None:
    (lost,), _ = exchange(raw)

    assert isinstance(lost, HttpLost), lost
    assert (lost.kind, lost.has_left) == ("garbage", True)
    assert words in lost.message


def test_a_connection_is_used_again() -> None:
    answers, server = exchange(OK, OK, OK, times=3)

    assert all(isinstance(answer, HttpAnswer) for answer in answers)
    assert server.connections == 1


@pytest.mark.parametrize(
    "first",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Encoding: br\r\n\r\n0123456789",
    ],
)
def test_a_connection_that_cannot_carry_another_answer_is_not_used_again(first: bytes) -> None:
    _, server = exchange(first, OK, times=2)

    assert server.connections == 2


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    (answer,), server = exchange(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", OK)

    assert isinstance(answer, HttpAnswer)
    assert answer.status == 302
    assert len(server.requests) == 1


def test_a_server_that_closes_without_an_answer_may_have_had_the_request() -> None:
    (lost,), _ = exchange(b"")

    assert isinstance(lost, HttpLost)
    assert (lost.kind, lost.has_left) == ("connect", True)


def test_nobody_listening_is_a_promise_that_nothing_left(unused_tcp_port: int) -> None:
    async def act() -> HttpAnswer | HttpLost:
        async with a_client() as client:
            return await client.send(request(unused_tcp_port), LIMITS)

    lost = asyncio.run(act())

    assert isinstance(lost, HttpLost)
    assert (lost.kind, lost.has_left) == ("connect", False)


@pytest.fixture
def unused_tcp_port() -> int:
    async def find() -> int:
        server = await asyncio.start_server(RawServer().handle, "127.0.0.1", 0)
        port = int(server.sockets[0].getsockname()[1])
        server.close()
        await server.wait_closed()
        return port

    return asyncio.run(find())


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(total_s=5.0, first_byte_s=0.05), "did not begin to answer within 0.05 s"),
        (Limits(total_s=0.05), "did not answer within 0.05 s"),
    ],
)
def test_silence_ends_at_the_limit(limits: Limits, words: str) -> None:
    async def act() -> HttpAnswer | HttpLost:
        done = asyncio.Event()

        async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await done.wait()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        async with a_client() as client:
            lost = await client.send(request(server.sockets[0].getsockname()[1]), limits)
        done.set()
        server.close()
        await server.wait_closed()
        return lost

    lost = asyncio.run(act())

    assert isinstance(lost, HttpLost)
    assert (lost.kind, lost.has_left) == ("timeout", True)
    assert words in lost.message


def refused(host: str, addresses: Sequence[str], *, scheme: str = "https", allowed: bool = False) -> HttpLost:
    async def resolver(_: str, __: int) -> Sequence[str]:
        return addresses

    async def act() -> HttpAnswer | HttpLost:
        async with a_client(resolver=resolver) as client:
            return await client.send(request(9, scheme=scheme, host=host, allowed=allowed), LIMITS)

    lost = asyncio.run(act())
    assert isinstance(lost, HttpLost)
    return lost


@pytest.mark.parametrize(
    ("addresses", "scheme", "allowed", "words"),
    [
        (["127.0.0.1"], "https", False, "a loopback address.  A private host needs `private: allowed`"),
        (["10.0.0.7"], "https", False, "a private address"),
        (["169.254.169.254"], "https", True, "metadata"),
        (["93.184.216.34", "10.0.0.7"], "https", False, "a private address"),
        (["93.184.216.34"], "http", True, "only https"),
        (["::ffff:127.0.0.1"], "https", False, "a loopback address"),
    ],
)
def test_the_guard_judges_the_address_and_not_the_name(
    addresses: list[str],
    scheme: str,
    allowed: bool,  # noqa: FBT001 pytest hands parameters over by position
    words: str,
) -> None:
    lost = refused("innocent.example", addresses, scheme=scheme, allowed=allowed)

    assert (lost.kind, lost.has_left) == ("refused", False)
    assert words in lost.message
    assert "'innocent.example'" in lost.message


def test_a_name_is_resolved_once_and_that_address_is_connected_to() -> None:
    server = RawServer(OK)
    asked: list[str] = []

    async def resolver(host: str, _: int) -> Sequence[str]:
        asked.append(host)
        # A name that changes its mind: the second look would lead elsewhere.
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    async def act() -> HttpAnswer | HttpLost:
        async with server.listening(), a_client(resolver=resolver) as client:
            return await client.send(request(server.port, host="rebind.example"), LIMITS)

    answer = asyncio.run(act())

    assert isinstance(answer, HttpAnswer)
    assert asked == ["rebind.example"]
    assert f"Host: rebind.example:{server.port}".encode() in server.requests[0]


def test_proxy_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    (answer,), _ = exchange(OK)

    assert isinstance(answer, HttpAnswer)


@pytest.mark.parametrize(
    "headers",
    [{"X": "a\r\nY: b"}, {"X": "a\x00"}, {"X Y": "a"}, {"Host": "elsewhere"}, {"content-length": "1"}, {"X": "ä"}],
)
def test_a_header_that_would_change_the_message_is_not_sent_and_not_shown(headers: dict[str, str]) -> None:
    async def act() -> HttpAnswer | HttpLost:
        async with a_client() as client:
            url = parse_url("https://127.0.0.1/")
            return await client.send(HttpRequest(method="GET", url=url, headers=headers), LIMITS)

    lost = asyncio.run(act())

    assert isinstance(lost, HttpLost)
    assert (lost.kind, lost.has_left) == ("refused", False)
    assert not any(value in lost.message for value in headers.values() if len(value) > 2)


@pytest.mark.parametrize(
    ("host", "is_trusted", "is_answered"),
    [("shop.example", True, True), ("other.example", True, False), ("shop.example", False, False)],
)
def test_tls_checks_the_chain_and_the_name(
    tmp_path: Path,
    host: str,
    is_trusted: bool,  # noqa: FBT001 pytest hands parameters over by position
    is_answered: bool,  # noqa: FBT001 pytest hands parameters over by position
) -> None:
    cert, key = certificate(tmp_path, "shop.example")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(cert, key)
    server = RawServer(OK, OK)

    async def resolver(_: str, __: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async def act() -> list[HttpAnswer | HttpLost]:
        trusting = ssl.create_default_context(cafile=str(cert)) if is_trusted else None
        async with server.listening(serving), a_client(tls=trusting, resolver=resolver) as client:
            asked = request(server.port, scheme="https", host=host)
            return [await client.send(asked, LIMITS), await client.send(asked, LIMITS)]

    answers = asyncio.run(act())

    if is_answered:
        assert all(isinstance(answer, HttpAnswer) for answer in answers)
        assert server.connections == 1
    else:
        assert all(isinstance(answer, HttpLost) and not answer.has_left for answer in answers)
        assert server.requests == []
