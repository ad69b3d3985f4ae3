"""One conversation with an MCP server over streamable HTTP, through the guarded client of `net`.

Knows: that each request is one POST, answered by one JSON body or by a stream of events that ends with the answer.
Never: follows a redirect, opens a socket of its own, or takes more than the limits say.
Source: MCP specification, basic/transports (2025-11-25 and 2026-07-28); WHATWG HTML, server-sent events.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Final

from leverframe.core import canonical
from leverframe.domain.errors import JsonInvalid
from leverframe.domain.json import Json, JsonObject
from leverframe.net.exchange import HttpLost, HttpRequest, Limits, StreamBroken
from leverframe.net.pool import HttpStream
from leverframe.net.url import Url
from leverframe.ports.conversation import exchange
from leverframe.tools.mcp_credential import Opens
from leverframe.tools.mcp_peer import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    Ears,
    Incoming,
    Peer,
    PeerLost,
    RpcError,
    incoming,
    what,
    with_progress,
)
from leverframe.tools.results import MAX_RESULT_BYTES

_MAX_ANSWER_BYTES: Final = 4 * MAX_RESULT_BYTES
_MAX_UNASKED: Final = 10_000
_CLOSE_S: Final = 2.0
_NOTIFY_S: Final = 10.0
_OK, _REFUSED, _GONE = 200, 400, 404
_SESSION: Final = "mcp-session-id"


class HttpPeer(Peer):
    """A server at an address.  `name` is for messages."""

    def __init__(self, name: str, url: Url, http: Opens, ears: Ears, *, is_private_allowed: bool) -> None:
        self._name = name
        self._url = url
        self._http = http
        self._ears = ears
        self._is_private_allowed = is_private_allowed
        self._session = ""
        self._version: Mapping[str, str] = {}
        self._next = 0
        self._is_over = False

    @property
    def is_alive(self) -> bool:
        """Whether the session goes on; a server that forgot it is greeted anew."""
        return not self._is_over

    async def request(
        self, method: str, params: JsonObject, *, deadline_s: float, headers: Mapping[str, str]
    ) -> JsonObject:
        """Send one request and wait for its answer.  Giving it up closes its stream, which cancels it."""
        self._next += 1
        self._version = headers
        message: JsonObject = {
            "jsonrpc": "2.0",
            "id": self._next,
            "method": method,
            "params": with_progress(params, self._next),
        }
        stream = await self._post(message, headers, deadline_s)
        try:
            return await self._answer(stream, self._next, method, params)
        except StreamBroken as err:
            raise PeerLost(
                f"Server {self._name!r}: {err.message}",
                has_left=True,
                is_timeout=err.kind == "timeout",
                is_garbled=err.kind in {"garbage", "too-large"},
            ) from err
        finally:
            stream.close()

    async def notify(self, method: str, params: JsonObject, *, headers: Mapping[str, str]) -> None:
        """Send a notification; silence where the server is gone."""
        with suppress(PeerLost, StreamBroken):
            await self._send({"jsonrpc": "2.0", "method": method, "params": params}, headers)

    async def close(self) -> None:
        """End the session, where there is one."""
        if self._session and not self._is_over:
            request = self._request("DELETE", b"", self._version)
            found = await self._http.open(request, Limits(total_s=_CLOSE_S, connect_s=_CLOSE_S))
            if isinstance(found, HttpStream):
                found.close()
        self._is_over = True

    async def _send(self, message: JsonObject, headers: Mapping[str, str]) -> None:
        stream = await self._post(message, headers, _NOTIFY_S)
        try:
            while await stream.read():
                pass
        finally:
            stream.close()

    async def _post(self, message: JsonObject, headers: Mapping[str, str], deadline_s: float) -> HttpStream:
        limits = Limits(
            total_s=max(deadline_s, 0.001), first_byte_s=max(deadline_s, 0.001), max_body_bytes=_MAX_ANSWER_BYTES
        )
        found = await self._http.open(self._request("POST", canonical.encode(message), headers), limits)
        if isinstance(found, HttpLost):
            # Nobody is there: the next call greets it anew, and says how that went.
            self._is_over = self._is_over or found.kind == "connect"
            raise PeerLost(
                f"Server {self._name!r}: {found.message}",
                has_left=found.has_left,
                is_timeout=found.kind == "timeout",
                is_garbled=found.kind == "garbage",
            )
        return found

    def _request(self, method: str, body: bytes, headers: Mapping[str, str]) -> HttpRequest:
        sent = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json", **headers}
        if self._session:
            sent["Mcp-Session-Id"] = self._session
        return HttpRequest(
            method=method, url=self._url, headers=sent, body=body, is_private_allowed=self._is_private_allowed
        )

    async def _answer(self, stream: HttpStream, number: int, method: str, params: JsonObject) -> JsonObject:
        kind = stream.headers.get("content-type", "").partition(";")[0].strip().lower()
        if stream.status == _GONE and self._session:
            self._is_over = True
        if method == "initialize" and stream.status == _OK:
            self._session = stream.headers.get(_SESSION, "")
        messages = self._events(stream) if kind == "text/event-stream" else self._body(stream)
        unasked = 0
        async for message in messages:
            if message.method:
                unasked += 1
                if unasked > _MAX_UNASKED:
                    raise self._garbled(f"{_MAX_UNASKED:,} messages that nobody asked for")
                await self._hear(message)
            elif message.error is not None and (message.id in {number, None}):
                raise message.error
            elif message.id == number and message.result is not None:
                return message.result
        if stream.status >= _REFUSED:
            raise RpcError(INVALID_REQUEST, f"HTTP status {stream.status}")
        raise PeerLost(f"Server {self._name!r} ended its answer to {what(method, params)} early", has_left=True)

    async def _body(self, stream: HttpStream) -> AsyncIterator[Incoming]:
        parts = []
        while piece := await stream.read():
            parts.append(piece)
        data = b"".join(parts)
        if data.strip() and (stream.status < _REFUSED or data.lstrip().startswith(b"{")):
            try:
                yield incoming(canonical.decode(data))
            except (JsonInvalid, ValueError) as err:
                if stream.status < _REFUSED:
                    raise self._garbled(f"a body that is not JSON-RPC ({str(err).splitlines()[0]})") from err

    async def _events(self, stream: HttpStream) -> AsyncIterator[Incoming]:
        held, data = b"", []
        while piece := await stream.read():
            held += piece
            *lines, held = held.replace(b"\r\n", b"\n").split(b"\n")
            for line in lines:
                if line.startswith(b"data:"):
                    data.append(line[5:].removeprefix(b" "))
                elif not line and data:
                    event, data = b"\n".join(data), []
                    if event.strip():
                        yield self._read(event)

    def _read(self, event: bytes) -> Incoming:
        try:
            return incoming(canonical.decode(event))
        except (JsonInvalid, ValueError) as err:
            raise self._garbled(f"an event that is not JSON-RPC ({str(err).splitlines()[0]})") from err

    async def _hear(self, message: Incoming) -> None:
        """On the stream of a call everything belongs to that call."""
        during, params = exchange.get(), message.params or {}
        if message.id is None:
            await self._ears.told(message.method, params, during)
            return
        reply: dict[str, Json] = {"jsonrpc": "2.0", "id": message.id}
        try:
            reply["result"] = await self._ears.asked(message.method, params, during)
        except RpcError as err:
            reply["error"] = {"code": err.code, "message": err.message}
        except JsonInvalid as err:
            reply["error"] = {"code": INTERNAL_ERROR, "message": err.message}
        with suppress(PeerLost, StreamBroken):
            await self._send(reply, self._version)

    def _garbled(self, fault: str) -> PeerLost:
        return PeerLost(f"Server {self._name!r} sent {fault}", has_left=True, is_garbled=True)
