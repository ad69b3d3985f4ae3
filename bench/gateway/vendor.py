"""A vendor that costs next to nothing: `python -m bench.gateway.vendor PORT`.

Chat completions alone, always 10 tokens.  The model's name says how it answers: `-g<ms>` is the gap between the frames
of a stream, `-c<n>` how many there are.
"""

import asyncio
import json
import re
import sys
from collections.abc import Mapping
from typing import Any, cast

_KNOBS = re.compile(r"-([cg])(\d+)")
_USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
_PLAIN = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-5-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 10}, "finish_reason": "stop"}],
        "usage": _USAGE,
    }
).encode()
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Vendor(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._waiting = b""
        self._transport: asyncio.Transport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        # cast: a stream's transport, which uvloop's own class does not say it is.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._waiting += data
        head, found, rest = self._waiting.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0) if found else 0
        if not found or len(rest) < length:
            return
        self._waiting = rest[length:]
        self._answer(json.loads(rest[:length]))

    # Any: a request as JSON.
    def _answer(self, asked: Mapping[str, Any]) -> None:
        if self._transport is None:
            return
        if not asked.get("stream"):
            self._transport.write(_HEAD % len(_PLAIN) + _PLAIN)
            return
        task = asyncio.get_running_loop().create_task(self._stream(asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Any: a request as JSON.
    async def _stream(self, asked: Mapping[str, Any]) -> None:
        knobs = {name: int(value) for name, value in _KNOBS.findall(str(asked.get("model", "")))}
        self._write(_STREAM_HEAD)
        for number in range(knobs.get("c", 10)):
            delta = {"content": f"word{number} "}
            self._frame({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            await asyncio.sleep(knobs.get("g", 0) / 1000)
        self._frame({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if (asked.get("stream_options") or {}).get("include_usage"):
            self._frame({"choices": [], "usage": _USAGE})
        self._write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    # Any: a frame as JSON.
    def _frame(self, content: Mapping[str, Any]) -> None:
        frame = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5-mini"}
        data = b"data: " + json.dumps({**frame, **content}).encode() + b"\n\n"
        self._write(b"%x\r\n%s\r\n" % (len(data), data))

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Vendor, "127.0.0.1", port, backlog=2048)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(int(sys.argv[1])))
