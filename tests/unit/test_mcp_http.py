"""A conversation over streamable HTTP with a server on a real socket: what is an answer, and what never is."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from leverframe.domain.json import JsonObject
from leverframe.net.pool import StreamClient
from leverframe.net.url import parse_url
from leverframe.ports.conversation import Conversation, Exchange, exchange
from leverframe.tools import mcp_link
from leverframe.tools.mcp_http import HttpPeer
from leverframe.tools.mcp_link import greet
from leverframe.tools.mcp_messages import MAX_UNASKED
from leverframe.tools.mcp_peer import Ears, PeerLost, RpcError

# Any: plain JSON of the protocol.
Message = dict[str, Any]
HEADERS = {"MCP-Protocol-Version": "2025-11-25"}
NOTE: Message = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "hm"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it arrived."""

    method: str
    headers: Mapping[str, str]
    message: Message


@dataclass(slots=True, kw_only=True)
class Heard(Ears, Conversation):
    """What the server said by itself."""

    told_: list[str] = field(default_factory=list)
    asked_: list[str] = field(default_factory=list)
    let_go_: int = 0

    async def asked(self, method: str, params: JsonObject, during: Exchange | None) -> JsonObject:
        del params, during
        self.asked_.append(method)
        if method != "ping":
            raise RpcError(-32601, f"{method} is not allowed here")
        return {}

    async def told(self, method: str, params: JsonObject, during: Exchange | None) -> None:
        del params, during
        self.told_.append(method)

    async def let_go(self) -> None:
        self.let_go_ += 1


Answer = Callable[[Asked], Awaitable[bytes]]


@dataclass(slots=True, kw_only=True)
class Server:
    """Answers each request with what a function of it gives, on a connection of its own; keeps what it was asked."""

    answer: Answer
    asked: list[Asked] = field(default_factory=list)
    heard: Heard = field(default_factory=Heard)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            one = Asked(method=first.split()[0], headers=headers, message=json.loads(body or b"{}"))
            self.asked.append(one)
            writer.write((await self.answer(one)).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[HttpPeer]:
        server = await asyncio.start_server(self.handle, "127.0.0.1", 0)
        http = StreamClient()
        url = parse_url(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp")
        peer = HttpPeer("far", url, http, self.heard, is_private_allowed=True)
        try:
            yield peer
        finally:
            await peer.close()
            await http.close()
            server.close()
            await server.wait_closed()

    def messages(self, method: str) -> list[Message]:
        return [one.message for one in self.asked if one.message.get("method") == method]


def body(message: object, *, status: str = "200 OK") -> bytes:
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nMcp-Session-Id: s1\r\nContent-Length: {len(data)}"
    return f"{head}\r\n\r\n".encode() + data


def stream(*frames: str, is_cut: bool = False) -> bytes:
    """Events up to the proper end, or up to where the connection breaks."""
    data = "".join(f"{frame}\n\n" for frame in frames).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nMcp-Session-Id: s1\r\n"
    length = len(data) + 1 if is_cut else len(data)
    return head + f"Content-Length: {length}\r\n\r\n".encode() + data


def event(message: Message, **fields: str) -> str:
    return "\n".join([*(f"{name}: {value}" for name, value in fields.items()), f"data: {json.dumps(message)}"])


def result(asked: Asked, **more: object) -> Message:
    return {"jsonrpc": "2.0", "id": asked.message["id"], "result": {"for": asked.message["method"], **more}}


def play(server: Server, *, method: str = "tools/list", deadline_s: float = 10.0, has_session: bool = True) -> Message:
    async def whole() -> Message:
        async with server.peer() as peer:
            if has_session:
                await peer.request("initialize", {}, deadline_s=10, headers={})
            mark = exchange.set(Exchange(conversation=server.heard))
            try:
                return dict(await peer.request(method, {"n": 1}, deadline_s=deadline_s, headers=HEADERS))
            finally:
                exchange.reset(mark)

    return asyncio.run(whole())


def greeting_then(answer: Answer) -> Server:
    async def whole(asked: Asked) -> bytes:
        is_greeting = asked.message.get("method") == "initialize" or asked.method == "DELETE"
        return body(result(asked) if asked.message else {}) if is_greeting else await answer(asked)

    return Server(answer=whole)


def test_an_answer_is_taken_from_a_body_or_from_the_events_around_it() -> None:
    async def as_events(asked: Asked) -> bytes:
        other = {**result(asked), "id": 9_999}
        return stream(": awake", event(NOTE), event(other), event(result(asked, total=1)), event(NOTE))

    async def as_body(asked: Asked) -> bytes:
        return body(result(asked))

    server = greeting_then(as_events)
    assert play(server) == {"for": "tools/list", "total": 1}
    assert server.heard.told_ == ["notifications/message"]
    assert play(greeting_then(as_body)) == {"for": "tools/list"}


def test_each_of_many_requests_at_once_gets_its_own_answer() -> None:
    both = asyncio.Event()
    waiting: list[Asked] = []

    async def late(asked: Asked) -> bytes:
        waiting.append(asked)
        if len(waiting) == 5:
            both.set()
        await both.wait()
        return body(result(asked, name=asked.message["params"]["name"]))

    async def whole() -> list[object]:
        async with Server(answer=late).peer() as peer:
            names = [f"tool {number}" for number in range(5)]
            work = [peer.request("tools/call", {"name": one}, deadline_s=10, headers=HEADERS) for one in names]
            return [found["name"] for found in await asyncio.gather(*work)]

    assert asyncio.run(whole()) == [f"tool {number}" for number in range(5)]


@pytest.mark.parametrize("end", ["let-go", "broken-off"])
def test_a_stream_that_ends_early_is_taken_up_again_where_it_ended(end: str) -> None:
    """The answer of a write is not lost with its connection."""
    is_cut = end == "broken-off"

    async def answer(asked: Asked) -> bytes:
        if asked.method == "POST":
            return stream("id: 1\nretry: 20\ndata: ", event(NOTE, id="2"), is_cut=is_cut)
        if asked.headers["last-event-id"] == "2":
            return stream(event(NOTE, id="3"), is_cut=is_cut)
        (call,) = server.messages("tools/call")
        return stream(event({"jsonrpc": "2.0", "id": call["id"], "result": {"done": True}}, id="4"))

    server = greeting_then(answer)

    assert play(server, method="tools/call") == {"done": True}
    assert [one.headers["last-event-id"] for one in server.asked if one.method == "GET"] == ["2", "3"]
    assert {one.headers["mcp-session-id"] for one in server.asked if one.method == "GET"} == {"s1"}
    assert len(server.messages("tools/call")) == 1
    assert server.heard.told_ == ["notifications/message"] * 2
    assert server.heard.let_go_ == 2


def test_a_request_of_the_server_on_the_stream_of_a_call_is_answered_in_its_own_post() -> None:
    async def answer(asked: Asked) -> bytes:
        if "method" not in asked.message:
            return b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
        questions = [{"jsonrpc": "2.0", "id": f"q{name}", "method": name} for name in ("ping", "roots/list")]
        return stream(*map(event, questions), event(result(asked)))

    server = greeting_then(answer)
    play(server)

    replies = [one.message for one in server.asked if one.message.get("id") in {"qping", "qroots/list"}]
    assert replies[0] == {"jsonrpc": "2.0", "id": "qping", "result": {}}
    assert replies[1]["error"] == {"code": -32601, "message": "roots/list is not allowed here"}


UNUSABLE: Mapping[str, tuple[Callable[[Asked], bytes], str]] = {
    "no JSON": (lambda _: body(b"<html>"), "a body that is not JSON-RPC"),
    "no message": (lambda _: body([]), "a body that is not JSON-RPC"),
    "no JSON in an event": (lambda _: stream("data: {"), "an event that is not JSON-RPC"),
    "a flood": (lambda _: stream(*[event(NOTE)] * (MAX_UNASKED + 1)), "10,000 messages in a row"),
    "wrong ids": (lambda one: stream(*[event({**result(one), "id": "?"})] * 1_001), "1,000 answers to requests"),
    "an event without an end": (lambda _: stream("data: " + "x" * (5 << 20)), "bytes"),
    "a huge body": (lambda _: body(b'"' + b"x" * (5 << 20) + b'"'), "bytes"),
    "endless streams": (lambda _: stream("id: 1\nretry: 0\ndata: "), "100 streams"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_what_is_no_answer_is_named_and_the_call_may_have_happened(kind: str) -> None:
    make, words = UNUSABLE[kind]

    async def answer(asked: Asked) -> bytes:
        return make(asked)

    with pytest.raises(PeerLost) as caught:
        play(greeting_then(answer))

    assert words in caught.value.message
    assert caught.value.message.startswith("Server 'far'")
    assert (caught.value.has_left, caught.value.is_garbled) == (True, True)


@pytest.mark.parametrize(
    ("first", "then", "words"),
    [
        (stream(event(NOTE)), b"", "ended its answer to tools/list early"),
        (stream("id: 1\nretry: 1\ndata: "), body({}, status="405 No"), "does not go on with it (HTTP status 405)"),
        (stream("id: 1\nretry: 1\ndata: "), b"", "did not go on with its answer"),
    ],
    ids=["nothing-to-name", "not-taken-up", "gone"],
)
def test_a_stream_that_nobody_goes_on_with_leaves_the_outcome_open(first: bytes, then: bytes, words: str) -> None:
    async def answer(asked: Asked) -> bytes:
        return first if asked.method == "POST" else then

    with pytest.raises(PeerLost) as caught:
        play(greeting_then(answer))

    assert words in caught.value.message
    assert (caught.value.has_left, caught.value.is_garbled) == (True, False)


def test_a_stream_that_is_let_go_for_longer_than_the_call_has_is_a_timeout() -> None:
    async def answer(_: Asked) -> bytes:
        return stream("id: 1\nretry: 60000\ndata: ")

    with pytest.raises(PeerLost) as caught:
        play(greeting_then(answer), deadline_s=0.2)

    assert (caught.value.is_timeout, caught.value.has_left) == (True, True)


def test_a_list_is_asked_for_again_after_a_while_since_nobody_says_that_it_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offered = ["one"]

    async def answer(asked: Asked) -> bytes:
        if asked.message.get("method") == "server/discover":
            return body({"jsonrpc": "2.0", "id": asked.message["id"], "error": {"code": -32601, "message": "no"}})
        about = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}
        return body(result(asked, tools=[{"name": name} for name in offered], **about))

    async def whole(server: Server) -> list[bool]:
        async with server.peer() as peer:
            link = await greet(peer, {}, deadline_s=10)
            first, again = await link.offering(), await link.offering()
            monkeypatch.setattr(mcp_link, "FRESH_S", -1.0)
            equal = await link.offering()
            offered.append("two")
            changed = await link.offering()
            return [first is again, equal is first, set(changed.tools) == {"one", "two"}]

    server = Server(answer=answer)

    assert asyncio.run(whole(server)) == [True] * 3
    assert len(server.messages("tools/list")) == 3


def test_without_a_session_no_stream_is_taken_up_again() -> None:
    async def answer(_: Asked) -> bytes:
        return stream("id: 1\nretry: 1\ndata: ")

    server = Server(answer=answer)
    with pytest.raises(PeerLost, match="early"):
        play(server, has_session=False)

    assert {one.method for one in server.asked} == {"POST"}


@pytest.mark.parametrize(
    ("status", "data", "message"),
    [
        ("500 Oh", b"<html>sorry</html>", "HTTP status 500"),
        ("400 Bad", b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}', "no"),
        ("400 Bad", b'{"detail":"no message of the protocol"}', "HTTP status 400"),
    ],
)
def test_a_refusal_of_the_server_is_one_whatever_page_comes_with_it(status: str, data: bytes, message: str) -> None:
    async def answer(_: Asked) -> bytes:
        return body(data, status=status)

    with pytest.raises(RpcError) as caught:
        play(greeting_then(answer))

    assert caught.value.message == message
