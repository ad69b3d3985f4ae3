"""A small pooled HTTP/1.1 client on asyncio streams.

Knows: how to connect to the very address that the guard judged, and what an ending says about what was sent.
Never: follows a redirect, retries, reads a proxy variable, speaks plain HTTP to a public address, or lets a header or
body into a message.  Sources: RFC 9112; `net.addresses` for the guard.
"""

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from leverframe.net.egress import EgressGuard, EgressRefused, Resolver, reason_of, refused_words
from leverframe.net.exchange import HttpAnswer, HttpLost, HttpRequest, Limits
from leverframe.net.http1 import MAX_HEAD_BYTES, Garbled, Received, read_answer, request_bytes
from leverframe.net.url import Url

_MAX_IDLE: Final = 8  # connections kept for each host
_MAX_IDLE_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class _Connection:
    reader: StreamReader
    writer: StreamWriter
    idle_since: float


@dataclass(frozen=True, slots=True)
class _Where:
    """What a connection is for; those opened under a permission serve no request without it."""

    scheme: str
    host: str
    port: int
    is_private_allowed: bool


class HttpClient:
    """One client for a process and its event loop."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, resolver: Resolver | None = None) -> None:
        self._guard = EgressGuard(tls=tls, resolver=resolver)
        self._idle: dict[_Where, list[_Connection]] = {}

    async def send(self, request: HttpRequest, limits: Limits) -> HttpAnswer | HttpLost:
        """Do one exchange: at most one request is sent, and every ending is a value."""
        try:
            message = request_bytes(request)
        except ValueError as err:
            return HttpLost(kind="refused", message=f"The request cannot be sent: {err}.", has_left=False)
        progress = _Progress(self, request, message, limits)
        try:
            async with asyncio.timeout(limits.total_s):
                return await progress.run()
        except TimeoutError:
            return progress.lost("timeout", f"did not answer within {limits.total_s:g} s")

    async def close(self) -> None:
        """Close what is idle.  Safe to call twice."""
        for connections in self._idle.values():
            for connection in connections:
                await _close(connection.writer)
        self._idle.clear()

    def take(self, where: _Where) -> _Connection | None:
        """An idle connection that is still open, the youngest first."""
        now = asyncio.get_running_loop().time()
        idle = self._idle.get(where, [])
        while idle:
            connection = idle.pop()
            is_open = not connection.reader.at_eof() and not connection.writer.is_closing()
            if is_open and now - connection.idle_since < _MAX_IDLE_S:
                return connection
            connection.writer.transport.abort()
        return None

    def give_back(self, where: _Where, reader: StreamReader, writer: StreamWriter) -> None:
        """Keep a connection for the next request."""
        idle = self._idle.setdefault(where, [])
        if len(idle) < _MAX_IDLE:
            idle.append(_Connection(reader, writer, asyncio.get_running_loop().time()))
        else:
            writer.transport.abort()

    def check_host(self, request: HttpRequest) -> None:
        """Raises EgressRefused where the caller may not reach this host."""
        self._guard.check_host(request)

    async def connect(self, request: HttpRequest) -> tuple[StreamReader, StreamWriter]:
        """Open a connection to an address that the guard admits.

        Raises:
            EgressRefused: the guard does not admit it.
            OSError: the name does not resolve, nobody listens, or TLS fails.
        """
        last: OSError = OSError("the name has no address")
        for address in await self._guard.addresses(request):
            try:
                return await self._open(request.url, address)
            except OSError as err:
                last = err
        raise last

    async def _open(self, url: Url, address: str) -> tuple[StreamReader, StreamWriter]:
        tls = self._guard.tls(url)
        if tls is None:
            return await asyncio.open_connection(address, url.port, limit=MAX_HEAD_BYTES)
        return await asyncio.open_connection(address, url.port, ssl=tls, server_hostname=url.host, limit=MAX_HEAD_BYTES)


class _Progress:
    """One exchange under way, and how far it has come."""

    def __init__(self, client: HttpClient, request: HttpRequest, message: bytes, limits: Limits) -> None:
        self._client = client
        self._request = request
        self._message = message
        self._limits = limits
        self._has_left = False

    async def run(self) -> HttpAnswer | HttpLost:
        """From the connection to the last byte."""
        url, allowed = self._request.url, self._request.is_private_allowed
        where = _Where(url.scheme, url.host, url.port, allowed)
        try:
            self._client.check_host(self._request)
            idle = self._client.take(where)
            if idle is not None:
                reader, writer = idle.reader, idle.writer
            else:
                async with asyncio.timeout(self._limits.connect_s):
                    reader, writer = await self._client.connect(self._request)
        except TimeoutError:
            return self.lost("connect", f"could not be connected to within {self._limits.connect_s:g} s")
        except EgressRefused as err:
            return HttpLost(kind="refused", message=refused_words(err, self._request), has_left=False)
        except OSError as err:
            return self.lost("connect", f"could not be connected to: {reason_of(err)}")
        is_kept = False
        try:
            received = await self._converse(reader, writer)
            if isinstance(received, HttpLost):
                return received
            is_kept = received.is_reusable
            if is_kept:
                self._client.give_back(where, reader, writer)
            return received.answer
        finally:
            if not is_kept:
                # No goodbye: a peer that does not answer one must not hold the caller.
                writer.transport.abort()

    async def _converse(self, reader: StreamReader, writer: StreamWriter) -> Received | HttpLost:
        self._has_left = True
        try:
            writer.write(self._message)
            await writer.drain()
            try:
                async with asyncio.timeout(self._limits.first_byte_s):
                    first = await reader.read(1)
            except TimeoutError:
                return self.lost("timeout", f"did not begin to answer within {self._limits.first_byte_s:g} s")
            if not first:
                return self.lost("connect", "closed the connection without an answer")
            return await read_answer(reader, first, self._limits.max_body_bytes)
        except Garbled as err:
            return self.lost("garbage", f"sent an answer that cannot be used: {err}")
        except OSError as err:
            return self.lost("connect", f"broke the connection: {reason_of(err)}")

    def lost(self, kind: str, what: str) -> HttpLost:
        """An ending, with the host's name and without anything that was sent."""
        return HttpLost(kind=kind, message=f"{self._request.url.authority!r} {what}.", has_left=self._has_left)


async def _close(writer: StreamWriter) -> None:
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(1.0):
            await writer.wait_closed()
