"""The streaming client against raw servers: pieces as they come, every bound, every ending, one guard."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from leverframe.net.exchange import HttpLost, Limits, StreamBroken
from leverframe.net.pool import HttpStream
from tests.pool_client import LIMITS, a_client, collect, exchange, request, whole
from tests.raw_server import GARBLED_ANSWERS, OK, WHOLE_ANSWERS

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(("raw", "body"), WHOLE_ANSWERS)
def test_a_body_ends_where_the_answer_says(raw: bytes, body: bytes) -> None:
    assert exchange(raw)[0] == [body]


@pytest.mark.parametrize(("raw", "words"), GARBLED_ANSWERS)
def test_a_garbled_answer_is_named_before_it_begins_or_breaks_it_off(raw: bytes, words: str) -> None:
    try:
        (lost,), _ = exchange(raw)
    except StreamBroken as err:
        kind, message = err.kind, err.message
    else:
        assert isinstance(lost, HttpLost), lost
        assert lost.has_left
        kind, message = lost.kind, lost.message

    assert kind == "garbage"
    assert words in message or "too long" in words


def test_a_connection_is_used_again() -> None:
    answers, server = exchange(OK, HEAD + b"2\r\nok\r\n0\r\n\r\n", OK, times=3)

    assert answers == [b"ok"] * 3
    assert server.connections == 1


@pytest.mark.parametrize(
    "first",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        HEAD + b"2\r\nok\r\n0\r\n\r\nmore",
    ],
)
def test_a_connection_that_cannot_carry_another_answer_is_not_used_again(first: bytes) -> None:
    answers, server = exchange(first, OK, times=2)

    assert answers == [b"ok", b"ok"]
    assert server.connections == 2


def test_bytes_that_nobody_asked_for_are_no_answer_to_the_next_request() -> None:
    async def act() -> tuple[bytes, bytes]:
        pushed, dropped = asyncio.Event(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(OK)
            await pushed.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            try:
                await reader.read()
            finally:
                dropped.set()

        async with serving(serve) as port, a_client() as client:
            first = await whole(await client.open(request(port), LIMITS))
            pushed.set()
            await asyncio.wait_for(dropped.wait(), 10)
            return first, await whole(await client.open(request(port), LIMITS))

    assert asyncio.run(act()) == (b"ok", b"ok")


def test_each_piece_is_given_on_as_it_comes() -> None:
    async def act() -> list[bytes]:
        go = asyncio.Event()

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(HEAD)
            for piece in (b"one", b"two"):
                writer.write(b"3\r\n" + piece + b"\r\n")
                await writer.drain()
                await go.wait()
                go.clear()
            writer.write(b"0\r\n\r\n")

        async with serving(serve) as port, a_client() as client:
            stream = await client.open(request(port), LIMITS)
            assert isinstance(stream, HttpStream)
            pieces = []
            # Nothing more is sent before each piece is here.
            while piece := await stream.read():
                pieces.append(piece)
                go.set()
            return pieces

    assert asyncio.run(act()) == [b"one", b"two"]


def test_a_reader_who_does_not_read_holds_the_sender_back() -> None:
    size = 64 << 20

    async def act() -> tuple[int, int]:
        sent = 0
        held = asyncio.Event()

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            while sent < size:
                writer.write(b"x" * (1 << 16))
                with suppress(TimeoutError):
                    await asyncio.wait_for(writer.drain(), 0.2)
                    sent += 1 << 16
                    continue
                held.set()
                await writer.drain()
                sent += 1 << 16

        async with serving(serve) as port, a_client() as client:
            stream = await client.open(request(port), Limits(total_s=60.0, max_body_bytes=size))
            await asyncio.wait_for(held.wait(), 30)
            held_at = sent
            return held_at, len(await whole(stream))

    held_at, received = asyncio.run(act())

    assert held_at < size // 4
    assert received == size


def broken(serve: Serve, limits: Limits) -> tuple[bytes, StreamBroken]:
    async def act() -> tuple[bytes, StreamBroken]:
        async with serving(serve) as port, a_client() as client:
            stream = await client.open(request(port), limits)
            assert isinstance(stream, HttpStream), stream
            pieces: list[bytes] = []
            with pytest.raises(StreamBroken) as caught:
                await collect(stream, pieces)
            return b"".join(pieces), caught.value

    return asyncio.run(act())


async def slowly(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    while True:
        writer.write(b"1\r\nx\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def endlessly(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    while True:
        writer.write(b"64\r\n" + b"x" * 100 + b"\r\n")
        await writer.drain()


async def half(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"5\r\nhello\r\n5\r\nwo")
    await writer.drain()


async def silently(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"5\r\nhello\r\n")
    await reader.read()


@pytest.mark.parametrize(
    ("serve", "limits", "kind", "words"),
    [
        (silently, replace(LIMITS, idle_s=0.05), "timeout", "was silent for 0.05 s"),
        (slowly, replace(LIMITS, total_s=0.2), "timeout", "did not end its answer within 0.2 s"),
        (endlessly, replace(LIMITS, max_body_bytes=1 << 20), "garbage", "more than 1,048,576 bytes"),
        (half, LIMITS, "garbage", "breaks off"),
    ],
)
def test_an_answer_without_a_proper_end_breaks_within_its_limit(
    serve: Serve, limits: Limits, kind: str, words: str
) -> None:
    body, err = broken(serve, limits)

    assert (err.kind, words in err.message) == (kind, True), err.message
    assert set(body) <= set(b"hellowox")


async def never(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def a_byte_of_head_at_a_time(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("serve", [never, a_byte_of_head_at_a_time])
@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (replace(LIMITS, first_byte_s=0.1), "did not begin to answer within 0.1 s"),
        (replace(LIMITS, total_s=0.1), "did not end its answer within 0.1 s"),
    ],
)
def test_silence_and_a_head_that_drips_end_at_the_limit(serve: Serve, limits: Limits, words: str) -> None:
    async def act() -> HttpStream | HttpLost:
        async with serving(serve) as port, a_client() as client:
            return await client.open(request(port), limits)

    lost = asyncio.run(act())

    assert isinstance(lost, HttpLost)
    assert (lost.kind, lost.has_left) == ("timeout", True)
    assert words in lost.message


def test_closing_in_mid_answer_drops_the_connection_and_leaves_nothing_behind() -> None:
    async def act() -> tuple[bytes, int]:
        ended = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(HEAD + b"5\r\nhello\r\n")
            await reader.read()
            ended.set()

        async with serving(serve) as port, a_client() as client:
            stream = await client.open(request(port), LIMITS)
            assert isinstance(stream, HttpStream)
            await stream.read()
            stream.close()
            stream.close()
            await asyncio.wait_for(ended.wait(), 5)
            return await stream.read(), len(client._busy)

    assert asyncio.run(act()) == (b"", 0)


def test_a_caller_who_is_cancelled_before_the_answer_leaves_no_connection_in_use() -> None:
    async def act() -> int:
        async with serving(never) as port, a_client() as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.open(request(port), LIMITS), 0.1)
            return len(client._busy)

    assert asyncio.run(act()) == 0
