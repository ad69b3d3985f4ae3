"""One connection over a real socket: what a client may hold, and what it may say where."""

import asyncio
import gc
import logging
from collections.abc import Iterator

import httptools
import pytest

from leverframe.asgi import connection
from leverframe.asgi.exchange import Exchange
from leverframe.gateway.asgi_types import Receive, Scope, Send
from tests.connections import saying, talked

CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
PIECE = b"y" * 65_536
MOST_PIECES = 64


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what arrived: the headers, and the body."""
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    said = repr((scope["headers"], body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({"type": "http.response.body", "body": said})


async def go_on(writer: asyncio.StreamWriter) -> None:
    """Says more, until nobody hears it."""
    while True:
        writer.write(b"more")
        await writer.drain()
        await asyncio.sleep(0.05)


async def at_once(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers without a look at the body."""
    del scope, receive
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def test_a_field_behind_the_body_is_no_header_of_the_request() -> None:
    body = b"2\r\nok\r\n0\r\nauthorization: Bearer other\r\nleverframe-run: other\r\n\r\n"

    told = talked(echo, saying(CHUNKED + body))

    assert b"b'ok'" in told
    assert b"other" not in told


@pytest.mark.parametrize("cut", [0, 30, 100, 145])
def test_who_would_like_another_protocol_is_answered_in_this_one(cut: int, caplog: pytest.LogCaptureFixture) -> None:
    """As the HTTP client of Java asks by itself, with every first request that is not over TLS."""
    wish = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
    asked = b"POST / HTTP/1.1\r\nhost: x\r\n" + wish + b"content-length: 5\r\n\r\nfirst"
    again = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\nsecond"

    told = talked(echo, saying(asked[:cut], asked[cut:] + again))

    assert told.count(b"HTTP/1.1 200") == 2
    assert told.index(b"b'first'") < told.index(b"b'second'")
    assert b"h2c" not in told
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "begun",
    [
        b"GET /",
        b"GET / HTTP/1.1\r\nx",
        b"GET / HTTP/1.1\r\nx: ",
        CHUNKED + b"5;",
        CHUNKED + b"0\r\nx: ",
    ],
    ids=["target", "name", "value", "chunk", "trailer"],
)
def test_what_never_ends_is_refused_before_much_of_it_is_here(begun: bytes) -> None:
    sent = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        nonlocal sent
        writer.write(begun)
        try:
            for _ in range(MOST_PIECES):
                writer.write(PIECE)
                await writer.drain()
                sent += 1
                await asyncio.sleep(0.01)
            return await reader.read()
        except ConnectionError:
            return b""

    told = talked(at_once if begun.startswith(CHUNKED) else echo, talk)

    assert sent < MOST_PIECES
    assert not told or b"431" in told or told.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x: %s\r\n" % (b"y" * 200) * 5_000 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n" + b"y" * 1_000_000, b"400"),
        (b"\x16\x03\x01" + b"y" * 1_000_000, b"400"),
    ],
    ids=["headers", "hosts", "noise"],
)
def test_who_says_a_megabyte_too_much_still_reads_why_it_was_refused(said: bytes, status: bytes) -> None:
    """A socket that is closed over unread bytes is reset, and what was written to it is lost."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(said)
        await writer.drain()
        return await reader.read()

    told = talked(echo, talk)

    assert told.startswith(b"HTTP/1.1 " + status)
    assert told.endswith(b"}")


def test_noise_behind_a_request_takes_nothing_from_its_answer() -> None:
    async def slowly(scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        gone = asyncio.ensure_future(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(10):
            await send({"type": "http.response.body", "body": b"more", "more_body": True})
            await asyncio.sleep(0.05)
        await send({"type": "http.response.body", "body": b"the end"})
        gone.cancel()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\nnoise\r\n\r\n" + PIECE * MOST_PIECES)
        return await reader.read()

    assert talked(slowly, talk).endswith(b"the end\r\n0\r\n\r\n")


def test_who_was_refused_and_stays_is_not_read_from_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LINGERS_S", 0.2)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"no request\r\n\r\n")
        told = await reader.read()
        with pytest.raises(ConnectionError):
            await go_on(writer)
        return told

    assert talked(echo, talk).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * 300 + b"\r\n",
        b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n",
        b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
    ids=["the end of its head", "half a request", "a request"],
)
def test_what_stands_behind_a_refusal_holds_its_connection_no_longer(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parser reads on to the end of the piece that the refusal stands in."""
    monkeypatch.setattr(connection, "LINGERS_S", 0.2)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(said)
        told = await reader.read()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(go_on(writer), 5)
        return told

    assert talked(echo, talk).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize("asked", [b"content-length: 100\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n"])
def test_the_rest_of_what_is_answered_already_is_not_waited_for_without_end(
    asked: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 0.3)

    told = talked(at_once, saying(b"POST / HTTP/1.1\r\nhost: x\r\n" + asked, b"1", pause_s=0.1))

    assert told.endswith(b"\r\n\r\nok")


def test_a_rest_that_comes_leaves_the_connection_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 0.3)
    asked = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n"

    told = talked(at_once, saying(asked, b"12", b"34", b"", b"", b"", asked + b"1234", pause_s=0.1))

    assert told.count(b"HTTP/1.1 200") == 2


@pytest.fixture
def one_parser(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever would begin again with the same bytes for ever fails at the second time."""
    made = 0

    class Parser(httptools.HttpRequestParser):
        def __init__(self, told: object) -> None:
            nonlocal made
            made += 1
            assert made == 1
            super().__init__(told)

    monkeypatch.setattr(httptools, "HttpRequestParser", Parser)
    yield
    assert made == 1


@pytest.mark.usefixtures("one_parser")
def test_a_wish_for_a_tunnel_behind_the_last_request_is_not_looked_at() -> None:
    async def last(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        headers = [(b"content-length", b"2"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    asked = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n12"

    told = talked(last, saying(asked, b"34CONNECT / HTTP/1.1\r\nhost: x\r\n\r\n", pause_s=0.1))

    assert told.endswith(b"\r\n\r\nok")


@pytest.mark.usefixtures("one_parser")
@pytest.mark.parametrize("target", [b"/", b"x/y", b"*", b"http://x/"])
def test_a_wish_for_a_tunnel_is_refused_once(target: bytes) -> None:
    """Whatever it is for: llhttp takes any path for the name of a server, and what follows for no HTTP."""
    told = talked(echo, saying(b"CONNECT " + target + b" HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n"))

    assert told.startswith(b"HTTP/1.1 400 ")
    assert told.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("hosts", [b"", b"host: x\r\nHost: y\r\n"], ids=["none", "two"])
def test_a_request_says_once_which_server_it_is_for(hosts: bytes) -> None:
    told = talked(echo, saying(b"GET / HTTP/1.1\r\n" + hosts + b"\r\n"))

    assert told.startswith(b"HTTP/1.1 400 ")
    assert talked(echo, saying(b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


def test_what_is_wrong_with_the_rest_of_what_is_answered_already_is_not_told_as_another_answer() -> None:
    told = talked(at_once, saying(CHUNKED, b"no chunk\r\n", pause_s=0.1))

    assert told.endswith(b"\r\n\r\nok")


def test_a_connection_that_is_over_leaves_nothing_for_the_collector() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
        told = await reader.read()
        await asyncio.sleep(0.05)
        return told + b"%d" % sum(type(one) in {connection.Connection, Exchange} for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        told = talked(echo, talk)
    finally:
        gc.enable()

    assert told.startswith(b"HTTP/1.1 200")
    assert told.endswith(b"b'ok')0")


def test_a_blank_line_between_requests_holds_a_connection_no_longer() -> None:
    told = talked(at_once, saying(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\r\n", pause_s=0.1))

    assert told.endswith(b"\r\n\r\nok")


def test_a_client_that_reads_slowly_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STALLED_S", 0.7)
    whole = 256 * len(PIECE)

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % whole)]})
        await send({"type": "http.response.body", "body": PIECE * 256})

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        told = b""
        while piece := await reader.read(1 << 16):
            told += piece
            await asyncio.sleep(0.01)
        return told

    assert len(talked(large, talk)) > whole
