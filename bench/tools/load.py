"""One client of an MCP server, as little of it as possible: `python -m bench.tools.load '{"port": 1, …}'`.

Asks again when it is answered, on one kept connection, in the session protocol or in the stateless one.  Prints the
times in milliseconds as one JSON list, each from the first byte sent to the last byte of the answer.
"""

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bench.tools.orders import TOOL

LEGACY, MODERN = "2025-11-25", "2026-07-28"
_META: Final = "io.modelcontextprotocol/"
_CLIENT: Final = {"name": "bench", "version": "1"}
_OK: Final = frozenset({200, 202})


@dataclass(slots=True, kw_only=True)
class Load:
    """What is asked for."""

    port: int
    era: str = MODERN
    key: str = ""
    method: str = "tools/call"
    tool: str = TOOL
    calls: int = 100
    warm: int = 10


class Client:
    """One connection."""

    def __init__(self, load: Load, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._load = load
        self._reader = reader
        self._writer = writer
        self._session = ""
        self._next = 0

    async def greet(self) -> None:
        """Open the session, where the protocol has one."""
        if self._load.era == MODERN:
            return
        hello = {"protocolVersion": self._load.era, "capabilities": {}, "clientInfo": _CLIENT}
        _, headers = await self._send(self._message("initialize", hello), {})
        self._session = headers.get("mcp-session-id", "")
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await self._send(json.dumps(note).encode(), self._headers())

    async def ask(self) -> float:
        """One request, checked; its milliseconds."""
        load = self._load
        # Any: the parameters of a request, as JSON.
        params: dict[str, Any] = {}
        headers = self._headers()
        if load.method == "tools/call":
            params = {"name": load.tool, "arguments": {"order_id": f"W{self._next}", "with_items": True}}
            headers |= {"Mcp-Name": load.tool} if load.era == MODERN else {}
        if load.era == MODERN:
            headers["Mcp-Method"] = load.method
            params["_meta"] = {
                f"{_META}protocolVersion": MODERN,
                f"{_META}clientInfo": _CLIENT,
                f"{_META}clientCapabilities": {},
            }
        message = self._message(load.method, params)
        began = time.perf_counter()
        body, _ = await self._send(message, headers)
        took = (time.perf_counter() - began) * 1000
        text = body.decode()
        if '"isError":true' in text.replace(" ", "") or '"result"' not in text:
            raise RuntimeError(f"The answer is none: {text[:2000]}")
        return took

    def _message(self, method: str, params: Mapping[str, object]) -> bytes:
        self._next += 1
        return json.dumps({"jsonrpc": "2.0", "id": self._next, "method": method, "params": params}).encode()

    def _headers(self) -> dict[str, str]:
        found = {"MCP-Protocol-Version": self._load.era}
        return found | ({"Mcp-Session-Id": self._session} if self._session else {})

    async def _send(self, body: bytes, headers: Mapping[str, str]) -> tuple[bytes, Mapping[str, str]]:
        head = [
            "POST /mcp HTTP/1.1",
            f"host: 127.0.0.1:{self._load.port}",
            "content-type: application/json",
            "accept: application/json, text/event-stream",
            f"content-length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
            *([f"authorization: Bearer {self._load.key}"] if self._load.key else []),
        ]
        self._writer.write("\r\n".join([*head, "", ""]).encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = answer.decode().split("\r\n")
        found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        data = await self._body(found)
        if int(first.split()[1]) not in _OK:
            raise RuntimeError(f"{first}: {data.decode()[:2000]}")
        return data, found

    async def _body(self, headers: Mapping[str, str]) -> bytes:
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"]))
        if headers.get("transfer-encoding") != "chunked":
            return b""
        parts = []
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            parts.append((await self._reader.readexactly(size + 2))[:-2])
        await self._reader.readexactly(2)
        return b"".join(parts)


async def run(load: Load) -> list[float]:
    """Ask as often as is asked for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", load.port, limit=16 << 20)
    try:
        client = Client(load, reader, writer)
        await client.greet()
        for _ in range(load.warm):
            await client.ask()
        return [await client.ask() for _ in range(load.calls)]
    finally:
        writer.close()


if __name__ == "__main__":
    import uvloop

    print(json.dumps(uvloop.run(run(Load(**json.loads(sys.argv[1]))))))
