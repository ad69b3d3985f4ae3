"""How soon a call is told that there is no room, when two hundred ask at the same moment for a cap that affords few."""

import asyncio
import json
from collections.abc import Iterable
from time import perf_counter
from typing import Final

from bench.gateway.served import Served
from bench.report import Row, at_most

_CALLS: Final = 200
_ROUNDS: Final = 5
_REFUSED: Final = 429
_LENGTH: Final = b"content-length:"


def refusals(door: Served) -> Iterable[Row]:
    """Measure them: the first burst finds room for few, the later ones for none."""
    times: list[float] = []
    for _ in range(_ROUNDS):
        ended = asyncio.run(_burst(door.port, door.capped_key))
        if not {status for status, _ in ended} <= {200, _REFUSED}:
            raise RuntimeError(f"Not every call was answered or refused: {sorted({status for status, _ in ended})}")
        times += [seconds for status, seconds in ended if status == _REFUSED]
    times.sort()
    p99 = times[int(len(times) * 0.99)] * 1_000
    yield at_most(f"refusals at p99, {_CALLS} calls at once on a cap for few", p99, "ms", 50)


async def _burst(port: int, key: str) -> list[tuple[int, float]]:
    sent = json.dumps({"model": "fast", "messages": [{"role": "user", "content": "Hello " * 20}], "max_tokens": 100})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: door\r\nauthorization: Bearer {key}\r\n"
    request = f"{head}content-length: {len(sent)}\r\n\r\n{sent}".encode()
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(_CALLS)]
    # Once through every connection, so that what is measured is a call and not the making of a connection.
    await asyncio.gather(*(_ask(*one, b"GET /healthz HTTP/1.1\r\nhost: door\r\n\r\n") for one in streams))
    ended = await asyncio.gather(*(_ask(*one, request) for one in streams))
    for _, writer in streams:
        writer.close()
    return list(ended)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, float]:
    began = perf_counter()
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0]))
    return int(head[9:12]), perf_counter() - began
