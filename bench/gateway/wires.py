"""CPU of the wire formats and of the streaming client, by process time: the least of several rounds.

The floor of an exchange is the same bytes over bare sockets of the same loop, written and read with no parser.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.report import Row, at_most
from leverframe.core.wires import UsageReader, read_call, upstream_body
from leverframe.domain.relays import Dialect, RelayCall, WireFormat
from leverframe.net.exchange import HttpLost, HttpRequest, Limits
from leverframe.net.pool import StreamClient
from leverframe.net.url import parse_url
from leverframe.testing import TroubledVendor
from leverframe.testing.vendor_answers import chat_body, chat_frames, knobs_of

_ROUNDS, _CALLS, _EXCHANGES = 7, 2_000, 500
_MODEL = "fake-0ms-o160"
_BODY_BYTES = 2_000


def measure(_: Path) -> list[Row]:
    """One row a figure; the folder is not needed."""
    call = _call()
    answer = chat_body(_MODEL, knobs_of(_MODEL), [])
    chunk = next(frame for frame, _ in chat_frames(_MODEL, knobs_of("m-c20"), wants_usage=False))
    stream = UsageReader(WireFormat.CHAT, is_stream=True, strips_usage=True)

    def whole() -> None:
        one = read_call(WireFormat.CHAT, call.body)
        upstream_body(one, model=_MODEL, max_output_tokens=100, dialect=Dialect.COMPATIBLE)
        reader = UsageReader.of(one)
        reader.feed(answer)
        reader.end()

    exchange_us, floor_us = asyncio.run(_exchanges(call.body))
    return [
        at_most("relay a call: read, shape, count (2 kB asked, 1 kB answered)", _cpu_us(whole), "us", 25),
        at_most("relay a chunk of a stream", _cpu_us(lambda: stream.feed(chunk)), "us", 6),
        at_most("one exchange through the pool, loopback", exchange_us, "us", 40, floor=floor_us),
    ]


def _call() -> RelayCall:
    messages = [{"role": "system", "content": "Be brief. " * 20}]
    text = "Where is my order, and when will it come? "
    messages += [{"role": "user" if index % 2 else "assistant", "content": text * 8} for index in range(4)]
    fields = {"model": _MODEL, "messages": messages, "temperature": 0.2}
    body = json.dumps(fields, separators=(",", ":")).encode()
    padded = json.dumps({**fields, "user": "u" * (_BODY_BYTES - len(body) - 10)}, separators=(",", ":")).encode()
    return read_call(WireFormat.CHAT, padded)


def _cpu_us(act: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.process_time()
        for _ in range(_CALLS):
            act()
        best = min(best, (time.process_time() - began) / _CALLS)
    return best * 1e6


async def _exchanges(body: bytes) -> tuple[float, float]:
    """Microseconds of this thread for one exchange, through the pool and over a bare socket."""
    with TroubledVendor() as vendor:
        client = StreamClient()
        url = parse_url(f"{vendor.url}/v1/chat/completions")
        request = HttpRequest(method="POST", url=url, body=body, is_private_allowed=True)
        limits = Limits(total_s=30.0)

        async def pooled() -> None:
            stream = await client.open(request, limits)
            if isinstance(stream, HttpLost):
                raise TypeError(stream.message)
            while await stream.read():
                pass

        reader, writer = await asyncio.open_connection("127.0.0.1", url.port)
        head = f"POST {url.path} HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n".encode()

        async def bare() -> None:
            writer.write(head + body)
            await reader.read(1 << 16)

        found = await _thread_us(pooled), await _thread_us(bare)
        writer.close()
        await client.close()
        return found


async def _thread_us(act: Callable[[], Awaitable[None]]) -> float:
    best = float("inf")
    for _ in range(_ROUNDS):
        # The vendor runs in a thread of its own, and is not what is measured.
        began = time.thread_time()
        for _ in range(_EXCHANGES):
            await act()
        best = min(best, (time.thread_time() - began) / _EXCHANGES)
    return best * 1e6
