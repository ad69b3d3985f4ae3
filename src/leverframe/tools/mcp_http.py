"""One conversation with an MCP server over streamable HTTP, through the guarded client of `net`.

Knows: that each request is one POST, answered by one JSON body or by a stream of events that ends with the answer; and
that in a session a stream which ends before it is taken up again where it ended, so that no answer is lost with it.
Never: follows a redirect, opens a socket of its own, or takes more than the limits say.
Source: MCP specification, basic/transports (2025-11-25 and 2026-07-28); WHATWG HTML, server-sent events.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from leverframe.core import canonical
from leverframe.core.wires.frames import Frames, payload, value_of
from leverframe.domain.errors import WireRefused
from leverframe.domain.json import JsonObject
from leverframe.net.exchange import HttpLost, HttpRequest, Limits, StreamBroken
from leverframe.net.pool import HttpStream
from leverframe.net.url import Url
from leverframe.ports.conversation import exchange
from leverframe.tools.mcp_credential import Opens
from leverframe.tools.mcp_messages import Garbled, Talk, heard, read_message
from leverframe.tools.mcp_peer import INVALID_REQUEST, Ears, Incoming, Peer, PeerLost, RpcError, what, with_progress
from leverframe.tools.results import MAX_RESULT_BYTES

_MAX_ANSWER_BYTES: Final = 4 * MAX_RESULT_BYTES
_MAX_STREAMS: Final = 100  # for one request
_CLOSE_S: Final = 2.0
_NOTIFY_S: Final = 10.0
_RETRY_S: Final = 1.0  # where the server says no other
_MAX_RETRY_S: Final = 30.0
_LEAST_RETRY_S: Final = 0.1
_OWN_STREAM_S: Final = 3_600.0
_OK, _REFUSED, _GONE = 200, 400, 404
_BROKEN_OFF: Final = frozenset({"connect", "garbage"})  # a stream in the middle of which the connection went
_SESSION: Final = "mcp-session-id"
_EVENTS: Final = "text/event-stream"


@dataclass(slots=True, kw_only=True)
class _Place:
    """Where a stream is: what to name when it is taken up again, and how long to wait before."""

    event_id: str = ""
    retry_s: float = _RETRY_S

    def note(self, frame: bytes) -> None:
        """What an event says of that."""
        name, wait = value_of(frame, b"id"), value_of(frame, b"retry")
        # A header carries it back, so it must be one that a header can carry.
        if name and name.isascii() and name.decode().isprintable():
            self.event_id = name.decode()
        if wait.isdigit():
            self.retry_s = min(int(wait[:9]) / 1000, _MAX_RETRY_S)


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

    @property
    def always_hears(self) -> bool:
        """Only the streams of requests are read."""
        return False

    async def request(
        self, method: str, params: JsonObject, *, deadline_s: float, headers: Mapping[str, str]
    ) -> JsonObject:
        """Send one request and wait for its answer.  Giving it up closes its stream, which cancels it."""
        self._next += 1
        number, self._version = self._next, headers
        sent: JsonObject = {
            "jsonrpc": "2.0",
            "id": number,
            "method": method,
            "params": with_progress(params, number),
        }
        until = asyncio.get_running_loop().time() + deadline_s
        asked, place, talk = what(method, params), _Place(), Talk()
        stream = await self._post(sent, headers, deadline_s)
        if method == "initialize" and stream.status == _OK:
            self._session = stream.headers.get(_SESSION, "")
        for _ in range(_MAX_STREAMS):
            try:
                found = await self._answer(stream, number, place, talk)
            except StreamBroken as err:
                if err.kind not in _BROKEN_OFF or not self._can_resume(place):
                    raise self._broken(err) from err
                found = None
            except Garbled as err:
                raise PeerLost(f"Server {self._name!r} sent {err.fault}", has_left=True, is_garbled=True) from err
            finally:
                stream.close()
            if found is not None:
                return found
            if not self._can_resume(place):
                raise PeerLost(f"Server {self._name!r} ended its answer to {asked} early", has_left=True)
            stream = await self._resumed(place, headers, until, asked)
        stream.close()
        message = f"Server {self._name!r} sent {_MAX_STREAMS} streams for {asked}, and no answer"
        raise PeerLost(message, has_left=True, is_garbled=True)

    async def notify(self, method: str, params: JsonObject, *, headers: Mapping[str, str]) -> None:
        """Send a notification; silence where the server is gone."""
        with suppress(PeerLost, StreamBroken):
            await self._send({"jsonrpc": "2.0", "method": method, "params": params}, headers)

    async def overhear(self, opened: "asyncio.Future[None]", *, headers: Mapping[str, str]) -> None:
        """Hear the session's own stream to its end, and what followed while nobody listened."""
        place, talk = _Place(), Talk()
        while True:
            stream = await self._own_stream(place, headers)
            if not opened.done():
                opened.set_result(None)
            try:
                async for message in _events(stream, place):
                    await self._hear_by_itself(message, talk)
            except Garbled as err:
                raise PeerLost(f"Server {self._name!r} sent {err.fault}", has_left=True, is_garbled=True) from err
            except StreamBroken as err:
                if not self._can_resume(place):
                    raise self._broken(err) from err
            finally:
                stream.close()
            if not self._can_resume(place):
                return
            await asyncio.sleep(max(place.retry_s, _LEAST_RETRY_S))

    async def _hear_by_itself(self, message: Incoming, talk: Talk) -> None:
        if message.method:
            talk.unasked()
            await self._hear(message)
        else:
            talk.stray()

    async def _own_stream(self, place: _Place, headers: Mapping[str, str]) -> HttpStream:
        found = await self._http.open(
            self._request("GET", b"", _asking_for_events(headers, place)),
            Limits(total_s=_OWN_STREAM_S, idle_s=_OWN_STREAM_S, max_body_bytes=_MAX_ANSWER_BYTES),
        )
        if isinstance(found, HttpLost):
            self._is_over = self._is_over or found.kind == "connect"
            raise PeerLost(f"Server {self._name!r}: {found.message}", has_left=found.has_left)
        if found.status != _OK or _kind(found) != _EVENTS:
            found.close()
            self._is_over = self._is_over or found.status == _GONE
            raise PeerLost(f"it has no stream of its own (HTTP status {found.status})", has_left=True)
        return found

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
        found = await self._http.open(self._request("POST", canonical.encode(message), headers), _limits(deadline_s))
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
        sent = {"Accept": f"application/json, {_EVENTS}", "Content-Type": "application/json", **headers}
        if self._session:
            sent["Mcp-Session-Id"] = self._session
        return HttpRequest(
            method=method, url=self._url, headers=sent, body=body, is_private_allowed=self._is_private_allowed
        )

    def _can_resume(self, place: _Place) -> bool:
        return bool(self._session and place.event_id)

    async def _resumed(self, place: _Place, headers: Mapping[str, str], until: float, asked: str) -> HttpStream:
        """The stream of a request, taken up again after the time that the server wants."""
        loop, during = asyncio.get_running_loop(), exchange.get()
        if during is not None and during.conversation is not None:
            await during.conversation.let_go()
        await asyncio.sleep(max(0.0, min(place.retry_s, until - loop.time())))
        left_s = until - loop.time()
        if left_s <= 0:
            message = f"Server {self._name!r} let its answer to {asked} wait, and it did not come in time"
            raise PeerLost(message, has_left=True, is_timeout=True)
        found = await self._http.open(self._request("GET", b"", _asking_for_events(headers, place)), _limits(left_s))
        if isinstance(found, HttpLost):
            message = f"Server {self._name!r} did not go on with its answer to {asked}: {found.message}"
            raise PeerLost(message, has_left=True, is_timeout=found.kind == "timeout")
        if found.status != _OK or _kind(found) != _EVENTS:
            found.close()
            self._is_over = self._is_over or found.status == _GONE
            message = f"Server {self._name!r} ended its answer to {asked} early, and does not go on with it"
            raise PeerLost(f"{message} (HTTP status {found.status})", has_left=True)
        return found

    async def _answer(self, stream: HttpStream, number: int, place: _Place, talk: Talk) -> JsonObject | None:
        """The answer to a request; None where its stream ends before."""
        if stream.status == _GONE and self._session:
            self._is_over = True
        messages = _events(stream, place) if _kind(stream) == _EVENTS else _body(stream)
        async for message in messages:
            if message.method:
                talk.unasked()
                await self._hear(message)
            elif message.error is not None and message.id in {number, None}:
                raise message.error
            elif message.id == number and message.result is not None:
                return message.result
            else:
                talk.stray()
        if stream.status >= _REFUSED:
            raise RpcError(INVALID_REQUEST, f"HTTP status {stream.status}")
        return None

    async def _hear(self, message: Incoming) -> None:
        """On the stream of a call everything belongs to that call."""
        reply = await heard(self._ears, message, exchange.get())
        if reply is not None:
            with suppress(PeerLost, StreamBroken):
                await self._send(reply, self._version)

    def _broken(self, err: StreamBroken) -> PeerLost:
        return PeerLost(
            f"Server {self._name!r}: {err.message}",
            has_left=True,
            is_timeout=err.kind == "timeout",
            is_garbled=err.kind in {"garbage", "too-large"},
        )


def _limits(deadline_s: float) -> Limits:
    most_s = max(deadline_s, 0.001)
    return Limits(total_s=most_s, first_byte_s=most_s, idle_s=most_s, max_body_bytes=_MAX_ANSWER_BYTES)


def _asking_for_events(headers: Mapping[str, str], place: _Place) -> Mapping[str, str]:
    version = {key: value for key, value in headers.items() if key.lower() == "mcp-protocol-version"}
    after = {"Last-Event-ID": place.event_id} if place.event_id else {}
    return {**version, "Accept": _EVENTS, **after}


def _kind(stream: HttpStream) -> str:
    return stream.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _body(stream: HttpStream) -> AsyncIterator[Incoming]:
    parts = []
    while piece := await stream.read():
        parts.append(piece)
    data = b"".join(parts)
    if not data.strip():
        return
    try:
        yield read_message(data, of="a body")
    except Garbled:
        # An error page of a proxy is no message, and its status says it all.
        if stream.status < _REFUSED:
            raise


async def _events(stream: HttpStream, place: _Place) -> AsyncIterator[Incoming]:
    frames = Frames()
    while piece := await stream.read():
        try:
            whole = frames.feed(piece)
        except WireRefused as err:
            raise Garbled("an event without an end") from err
        for frame in whole:
            place.note(frame)
            event = payload(frame)
            if event.strip():
                yield read_message(event, of="an event")
