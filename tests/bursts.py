"""Many calls at the same moment, each on a connection that is open before: what a burst of agents looks like."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

_WITHIN_S: Final = 60.0
_LENGTH: Final = b"content-length:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one call ended.  `status` 0: the connection was cut before there was one."""

    status: int
    body: bytes = field(default=b"", repr=False)
    seconds: float


def burst(
    port: int, key: str, body: Mapping[str, object], count: int, *, leaves: bool = False, path: str = "", run: str = ""
) -> list[Ended]:
    """Make the calls and wait for all of them.  `leaves`: each client goes away once it has read the head."""
    return asyncio.run(_burst(port, _request(path or "/v1/chat/completions", key, body, run), count, leaves=leaves))


def _request(path: str, key: str, body: Mapping[str, object], run: str) -> bytes:
    data = json.dumps(body).encode()
    named = f"leverframe-run: {run}\r\n" if run else ""
    head = f"POST {path} HTTP/1.1\r\nhost: door\r\nauthorization: Bearer {key}\r\ncontent-length: {len(data)}\r\n"
    return f"{head}{named}\r\n".encode() + data


async def _burst(port: int, request: bytes, count: int, *, leaves: bool) -> list[Ended]:
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    go = asyncio.Event()
    calls = [asyncio.create_task(_call(reader, writer, request, go, leaves=leaves)) for reader, writer in streams]
    await asyncio.sleep(0)
    go.set()
    async with asyncio.timeout(_WITHIN_S):
        return list(await asyncio.gather(*calls))


async def _call(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, go: asyncio.Event, *, leaves: bool
) -> Ended:
    await go.wait()
    began, status = perf_counter(), 0
    body = b""
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        if leaves:
            writer.transport.abort()
        else:
            body = await _body(reader, head.lower())
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()
    return Ended(status=status, body=body, seconds=perf_counter() - began)


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    if _LENGTH in head:
        return await reader.readexactly(int(head.partition(_LENGTH)[2].partition(b"\r\n")[0]))
    pieces = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        pieces.append((await reader.readexactly(size + 2))[:-2])
    await reader.readexactly(2)
    return b"".join(pieces)
