"""What a client gets of an application, whatever that says: framing, order, failures, and few writes."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar

import pytest

from leverframe.asgi.exchange import Exchange
from leverframe.gateway.asgi_types import App, Receive, Scope, Send
from tests.connections import saying, talked

_asked: ContextVar[bytes] = ContextVar("asked", default=b"")
GET = b"GET /%b HTTP/1.1\r\nhost: x\r\n\r\n"
LAST = b"GET /%b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


def answering(*bodies: bytes, status: int = 200, pause_s: float = 0.0, **headers: str) -> App:
    """Says its pieces, and nothing of their length but what it is told to."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        told = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": told})
        for body in bodies:
            await asyncio.sleep(pause_s)
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body"})

    return app


async def path(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what it was asked, the longer names later."""
    del receive
    said = f"{scope['method']} {scope['path']}?{scope['query_string'].decode()};".encode()
    await asyncio.sleep(0.01 * len(said))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({"type": "http.response.body", "body": said})


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (b"GET /a%20b?c=d HTTP/1.1", b"GET /a b?c=d;"),
        (b"GET http://door/a?c HTTP/1.1", b"GET /a?c;"),
        (b"GET http://door?c HTTP/1.1", b"GET /?c;"),
        (b"GET http://door HTTP/1.1", b"GET /?;"),
        (b"GET /a#b HTTP/1.1", b"GET /a?;"),
        (b"OPTIONS * HTTP/1.1", b"OPTIONS *?;"),
        (b"DELETE //a//b HTTP/1.1", b"DELETE //a//b?;"),
    ],
)
def test_a_target_is_read_in_every_form(asked: bytes, said: bytes) -> None:
    assert talked(path, saying(asked + b"\r\nhost: x\r\nconnection: close\r\n\r\n")).endswith(said)


@pytest.mark.parametrize(
    "asked", [b"CONNECT x:1 HTTP/1.1", b"GET /\xff HTTP/1.1", b"GET x HTTP/1.1", b"PRI * HTTP/2.0", b"GET /"]
)
def test_what_is_no_request_is_refused_as_a_problem(asked: bytes) -> None:
    told = talked(path, saying(asked + b"\r\nhost: x\r\n\r\n"))

    assert told.startswith(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n")


def test_requests_that_come_at_once_are_answered_in_their_order() -> None:
    told = talked(path, saying(GET % b"longest" + GET % b"long" + LAST % b"s"))

    assert [told.index(one) for one in (b"/longest?", b"/long?", b"/s?")] == sorted(
        told.index(one) for one in (b"/longest?", b"/long?", b"/s?")
    )
    assert told.count(b"HTTP/1.1 200") == 3


def test_a_request_before_noise_is_answered_and_the_connection_closed() -> None:
    for pieces in ([GET % b"a" + b"noise\r\n\r\n"], [GET % b"a", b"noise\r\n\r\n"]):
        told = talked(path, saying(*pieces))

        assert told.startswith(b"HTTP/1.1 200")
        assert told.endswith(b"GET /a?;")


def test_an_answer_of_unknown_length_is_chunked_for_whom_knows_chunks() -> None:
    app = answering(b"one", b"", b"two")

    chunked, closed = talked(app, saying(LAST % b"")), talked(app, saying(b"GET / HTTP/1.0\r\n\r\n"))

    assert chunked.endswith(b"connection: close\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    assert b"transfer-encoding: chunked\r\n" in chunked
    assert closed.endswith(b"\r\n\r\nonetwo")
    assert b"chunked" not in closed


@pytest.mark.parametrize(
    ("app", "asked"),
    [
        (answering(b"three", content_length="5"), b"HEAD"),
        (answering(b"three"), b"HEAD"),
        (answering(status=204), b"GET"),
        (answering(status=304), b"GET"),
    ],
)
def test_what_has_no_body_is_sent_none(app: App, asked: bytes) -> None:
    told = talked(app, saying((asked + b" / HTTP/1.1\r\nhost: x\r\n\r\n") * 2))

    assert told.count(b"HTTP/1.1 ") == 2
    assert told.endswith(b"\r\n\r\n")
    assert b"three" not in told
    assert b"chunked" not in told


def test_an_application_ends_a_connection_by_a_header() -> None:
    told = talked(answering(b"ok", content_length="2", connection="close"), saying(GET % b"" + GET % b""))

    assert told == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"


async def _fails_at_once(scope: Scope, receive: Receive, send: Send) -> None:
    raise LookupError((scope, receive, send))


async def _says_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive, send


async def _says_too_much(scope: Scope, receive: Receive, send: Send) -> None:
    """One byte more than it said; and then, though it was told of that, another."""
    del scope, receive
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    for body in (b"ab", b"set-cookie"):
        with suppress(RuntimeError):
            await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize(
    "app",
    [
        _fails_at_once,
        _says_nothing,
        answering(b"a", content_length="2"),
        answering(b"a", content_length="many"),
        answering(b"a", x="1\r\nset-cookie: 2"),
        answering(b"a", x="1\n"),
        answering(b"a", x="\0"),
        answering(b"a", content_length="9"),
        _says_too_much,
    ],
)
def test_an_application_that_fails_is_no_answer_and_takes_nobody_along(app: App) -> None:
    told = talked(app, saying(GET % b""))

    assert told.startswith(b"HTTP/1.1 500 ") or told.endswith(b"\r\n\r\na")
    assert b"cookie" not in told


def test_a_failure_that_answers_for_the_head_of_something_has_no_body() -> None:
    told = talked(_fails_at_once, saying(b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n"))

    assert told.startswith(b"HTTP/1.1 500 ")
    assert told.endswith(b"content-length: 21\r\n\r\n")


def test_who_is_asked_at_once_with_another_knows_nothing_of_it() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen = _asked.get()
        _asked.set(scope["path"].encode())
        await answering(seen, content_length=str(len(seen)))(scope, receive, send)

    told = talked(app, saying(GET % b"first" + GET % b"second" + LAST % b"third"))

    assert told.count(b"HTTP/1.1 200") == 3
    assert b"first" not in told
    assert b"second" not in told


def test_one_that_fails_in_the_middle_of_a_stream_leaves_it_without_an_end() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await send({"type": "http.response.start", "status": 200, "headers": []})

    told = talked(app, saying(GET % b""))

    assert told.endswith(b"4\r\nhalf\r\n")


@pytest.mark.parametrize(
    ("version", "expects", "count"),
    [(b"1.1", b"100-continue", 1), (b"1.1", b"something", 0), (b"1.0", b"100-continue", 0)],
)
def test_who_waits_to_be_told_to_go_on_is_told_when_the_body_is_asked_for(
    version: bytes, expects: bytes, count: int
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert "leverframe.body" not in scope
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        await answering(body, content_length=str(len(body)))(scope, receive, send)

    head = b"POST / HTTP/%b\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\nexpect: %b\r\n\r\n"
    told = talked(app, saying(head % (version, expects), b"wo", b"rd", pause_s=0.05))

    assert told.count(b"HTTP/1.1 100 Continue\r\n\r\n") == count
    assert told.endswith(b"\r\n\r\nword")


def test_a_body_that_came_with_its_head_is_there_twice_for_the_asking() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        assert (message["body"], message["more_body"]) == (scope["leverframe.body"], False)
        await answering(message["body"], content_length="4")(scope, receive, send)
        assert (await receive())["type"] == "http.disconnect"

    asked = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\n\r\nword"

    assert talked(app, saying(asked)).endswith(b"\r\n\r\nword")


class Wire(asyncio.Transport):
    """A transport, and the client that it is of, which keeps what it is told."""

    is_full = False

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop
        self.told: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.told.append(bytes(data))

    def close(self) -> None:
        self.told.append(b"closed")

    def read_on(self) -> None:
        """Reads on."""

    async def writable(self) -> None:
        """Is so."""

    def answered(self, exchange: Exchange) -> None:
        assert exchange.is_over


def writes(headers: Mapping[bytes, bytes], *bodies: bytes, is_slow: bool = False) -> list[bytes]:
    """What is written of an answer, one write after the other."""

    async def act() -> list[bytes]:
        wire = Wire(asyncio.get_running_loop())
        scope = {"method": "GET", "http_version": "1.1"}
        exchange = Exchange(wire, wire, scope, keeps_alive=True, expects_continue=False)
        await exchange.send({"type": "http.response.start", "status": 200, "headers": list(headers.items())})
        for number, body in enumerate(bodies):
            await asyncio.sleep(0.001 if is_slow else 0)
            more = number < len(bodies) - 1
            await exchange.send({"type": "http.response.body", "body": body, "more_body": more})
        return wire.told

    return asyncio.run(act())


def test_a_head_and_its_body_are_one_write() -> None:
    assert len(writes({b"content-length": b"2"}, b"ok")) == 1
    assert len(writes({b"content-length": b"2"}, b"ok", is_slow=True)) == 1


def test_the_head_of_a_stream_waits_for_nothing() -> None:
    head, *rest = writes({}, b"one", b"two", is_slow=True)

    assert head.endswith(b"chunked\r\n\r\n")
    assert rest == [b"3\r\none\r\n", b"3\r\ntwo\r\n0\r\n\r\n"]
