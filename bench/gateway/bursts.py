"""How soon a call is told that there is no room, when two hundred ask at the same moment for a cap that affords few."""

import asyncio
import json
import time
from collections.abc import Iterable
from typing import Final

from bench.gateway.served import Served
from bench.report import Row, at_most

_CALLS: Final = 200
_SETTLES_S: Final = 1.0
_REFUSED: Final = 429
_LENGTH: Final = b"content-length:"


def refusals(door: Served) -> Iterable[Row]:
    """Measure them: each burst is the first of its key, finds room for some, and has the door for itself."""
    times: list[float] = []
    for key in door.capped_keys:
        # What the load before it left to be recorded and flushed is another's.
        time.sleep(_SETTLES_S)
        ended = asyncio.run(_burst(door.port, key))
        if not {status for status, _ in ended} <= {200, _REFUSED}:
            raise RuntimeError(f"Not every call was answered or refused: {sorted({status for status, _ in ended})}")
        times += [seconds for status, seconds in ended if status == _REFUSED]
    times.sort()
    p99 = times[int(len(times) * 0.99)] * 1_000
    yield at_most(f"refusals at p99, {_CALLS} calls at once on a cap for ten", p99, "ms", 50)


async def _burst(port: int, key: str) -> list[tuple[int, float]]:
    sent = json.dumps({"model": "fast", "messages": [{"role": "user", "content": "Hello " * 20}], "max_tokens": 10})
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
    began = time.perf_counter()
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0]))
    return int(head[9:12]), time.perf_counter() - began
