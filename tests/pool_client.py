"""A streaming client for one test, and whole exchanges with a raw server through it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from leverframe.net.exchange import HttpLost, HttpRequest, Limits
from leverframe.net.pool import HttpStream, StreamClient
from leverframe.net.url import Url
from tests.raw_server import RawServer

LIMITS = Limits(total_s=5.0, max_body_bytes=1000)


@asynccontextmanager
async def a_client(**options: object) -> AsyncIterator[StreamClient]:
    client = StreamClient(**options)  # type: ignore[arg-type]  # the options of StreamClient, by name
    try:
        yield client
    finally:
        await client.close()


def request(port: int, *, scheme: str = "http", host: str = "127.0.0.1", allowed: bool = True) -> HttpRequest:
    url = Url(scheme=scheme, host=host, port=port, path="/v1/x")
    return HttpRequest(method="POST", url=url, body=b"body", is_private_allowed=allowed)


async def whole(stream: HttpStream | HttpLost) -> bytes:
    assert isinstance(stream, HttpStream), stream
    pieces: list[bytes] = []
    await collect(stream, pieces)
    return b"".join(pieces)


async def collect(stream: HttpStream, pieces: list[bytes]) -> None:
    while piece := await stream.read():
        pieces.append(piece)


def exchange(*answers: bytes, times: int = 1, limits: Limits = LIMITS) -> tuple[list[bytes | HttpLost], RawServer]:
    server = RawServer(*answers)

    async def one(client: StreamClient) -> bytes | HttpLost:
        found = await client.open(request(server.port), limits)
        return found if isinstance(found, HttpLost) else await whole(found)

    async def act() -> list[bytes | HttpLost]:
        async with server.listening(), a_client() as client:
            return [await one(client) for _ in range(times)]

    return asyncio.run(act()), server
