"""Load on an OpenAI-shaped address, as little of it as possible: `python -m bench.gateway.load '{"port": 1, …}'`.

Closed (`connections`, each asks again when it is answered) or open (`rate`, a request every 1/rate s whatever happens).
Prints one JSON object.  Loopback only; ends by itself after `seconds`, or after `requests`.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, cast

_PROMPT: Final = "hello " * 60


@dataclass(slots=True, kw_only=True)
class Load:
    """What is asked for, and what came of it; times in seconds."""

    port: int
    key: str = ""
    path: str = "/v1/chat/completions"
    model: str = "gpt-5-mini"
    is_stream: bool = False
    connections: int = 32
    requests: int = 0
    seconds: float = 5.0
    rate: float = 0.0
    headers: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)
    frames: int = 0
    ends_at: float = 0.0
    sent: int = 0

    def request(self) -> bytes:
        """The bytes of one request."""
        # Any: a request as JSON.
        asked: dict[str, Any] = {"model": self.model, "messages": [{"role": "user", "content": _PROMPT}]}
        asked |= {"max_tokens": 50} | ({"stream": True} if self.is_stream else {})
        body = json.dumps(asked).encode()
        head = [f"POST {self.path} HTTP/1.1", "host: 127.0.0.1", "content-type: application/json"]
        head += [f"authorization: Bearer {self.key}"] if self.key else []
        head += [*self.headers, f"content-length: {len(body)}"]
        return "\r\n".join([*head, "", ""]).encode() + body

    def may_go_on(self) -> bool:
        """Whether one more is sent."""
        return time.perf_counter() < self.ends_at and (not self.requests or self.sent < self.requests)


class Client(asyncio.Protocol):
    """One kept connection."""

    def __init__(self, load: Load, request: bytes, done: "asyncio.Queue[Client]") -> None:
        self._load = load
        self._request = request
        self._done = done
        self._transport: asyncio.Transport | None = None
        self._seen = b""
        self._began = 0.0
        self._is_first = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        # cast: a stream's transport, which uvloop's own class does not say it is.
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, at: float | None = None) -> None:
        """Send one; `at` is when it was due, which is what its time is counted from."""
        if self._transport is None:
            return
        self._load.sent += 1
        self._seen, self._is_first = b"", True
        self._began = time.perf_counter() if at is None else at
        self._transport.write(self._request)

    def close(self) -> None:
        """Let go."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._seen += data
        head, found, body = self._seen.partition(b"\r\n\r\n")
        if not found:
            return
        if body and self._is_first:
            self._is_first = False
            self._load.first.append(time.perf_counter() - self._began)
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        is_over = len(body) >= int(length) if length else body.endswith(b"0\r\n\r\n")
        if not is_over:
            return
        self._load.times.append(time.perf_counter() - self._began)
        self._load.codes[int(head[9:12])] += 1
        self._load.frames += body.count(b"data: ")
        self._done.put_nowait(self)


async def run(load: Load) -> dict[str, object]:
    """Put the load on, and say what came of it."""
    loop, done = asyncio.get_running_loop(), asyncio.Queue[Client]()
    request = load.request()
    clients: list[Client] = []
    for _ in range(load.connections):
        _, client = await loop.create_connection(lambda: Client(load, request, done), "127.0.0.1", load.port)
        clients.append(client)
    began = time.perf_counter()
    load.ends_at = began + load.seconds
    try:
        async with asyncio.timeout(load.seconds + 60):
            await (_open(load, clients, done) if load.rate else _closed(load, clients, done))
    finally:
        for client in clients:
            client.close()
    return _summary(load, time.perf_counter() - began)


async def _closed(load: Load, clients: list[Client], done: "asyncio.Queue[Client]") -> None:
    for client in clients:
        client.ask()
    under_way = len(clients)
    while under_way:
        client = await done.get()
        if load.may_go_on():
            client.ask()
        else:
            under_way -= 1


async def _open(load: Load, clients: list[Client], done: "asyncio.Queue[Client]") -> None:
    for client in clients:
        done.put_nowait(client)
    due = time.perf_counter()
    while load.may_go_on():
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        (await done.get()).ask(due)
        due += 1 / load.rate
    for _ in clients:
        await done.get()


def _summary(load: Load, seconds: float) -> dict[str, object]:
    def at(times: list[float], share: float) -> float:
        ordered = sorted(times)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else 0.0

    return {
        "requests": len(load.times),
        "per_s": len(load.times) / seconds,
        "p50_ms": at(load.times, 0.5),
        "p99_ms": at(load.times, 0.99),
        "first_p50_ms": at(load.first, 0.5),
        "codes": {str(code): count for code, count in load.codes.items()},
        "frames": load.frames,
    }


if __name__ == "__main__":
    import uvloop

    print(json.dumps(uvloop.run(run(Load(**json.loads(sys.argv[1]))))))
