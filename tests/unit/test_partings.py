"""A connection over TLS that the server closes, and a client that says no goodbye because it does not read."""

import asyncio
import fcntl
import socket
import ssl
import termios
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from uvicorn import Config
from uvicorn.server import ServerState

from leverframe.asgi import connection
from leverframe.asgi.connection import Connection
from leverframe.gateway.asgi_types import Receive, Scope, Send
from tests.certificates import certificate
from tests.waiting import until

BODY = b"x" * 4_000_000  # more than the system takes at once
LOOK_S = 0.05


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    del receive
    body = BODY if scope["path"] == "/much" else b"ok"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def asked(folder: Path, path: str, more: str = "") -> AsyncIterator[tuple[ssl.SSLSocket, ServerState]]:
    """A client that has asked, on a connection that it means to keep, unless `more` of its head says otherwise."""
    cert, key = certificate(folder, "localhost")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    config = Config(answering, http=Connection, lifespan="off", log_config=None, ssl_context_factory=lambda *_: tls)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(config, state), "127.0.0.1", 0, ssl=tls)
    plain = socket.create_connection(server.sockets[0].getsockname(), timeout=10)
    trusting = ssl.create_default_context(cafile=str(cert))
    with await asyncio.to_thread(trusting.wrap_socket, plain, server_hostname="localhost") as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n{more}\r\n".encode())
        yield client, state
    server.close()


def told_to_stop(state: ServerState) -> None:
    # As uvicorn does when its process is to end.
    for one in list(state.connections):
        one.shutdown()


async def closed(state: ServerState) -> float:
    """Seconds until no connection is left."""
    began = time.monotonic()
    while state.connections:  # noqa: ASYNC110  the set is uvicorn's, and tells nobody that it changed
        await asyncio.sleep(0.01)
    return time.monotonic() - began


def test_a_server_that_stops_waits_for_no_goodbye_of_a_client_that_keeps_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 4 * LOOK_S)

    async def act() -> float:
        async with asked(tmp_path, "/") as (client, state):
            assert (await asyncio.to_thread(client.recv, 4_096)).endswith(b"ok")
            await asyncio.sleep(4 * LOOK_S)
            told_to_stop(state)
            async with asyncio.timeout(20):
                return await closed(state)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(act()) < 5


@pytest.mark.parametrize("stops", [True, False], ids=["stops", "closes"])
def test_a_slow_client_reads_its_answer_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, stops: bool
) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 4 * LOOK_S)
    monkeypatch.setattr(connection, "PARTS_S", LOOK_S)

    async def read(client: ssl.SSLSocket) -> int:
        got = 0
        while piece := await asyncio.to_thread(client.recv, 65_536):
            got += len(piece)
            await asyncio.sleep(0.005)
        return got

    async def act() -> int:
        async with asked(tmp_path, "/much", "" if stops else "connection: close\r\n") as (client, state):
            await asyncio.to_thread(client.recv, 1)
            if stops:
                told_to_stop(state)
            return await read(client)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(act()) > len(BODY)


def test_a_client_that_reads_all_the_time_is_not_stalled_however_long_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "STALLED_S", 8 * LOOK_S)
    monkeypatch.setattr(connection, "PARTS_S", LOOK_S)
    monkeypatch.setitem(globals(), "BODY", BODY * 4)

    async def act() -> tuple[int, float]:
        async with asked(tmp_path, "/much", "connection: close\r\n") as (client, _):
            got, began = 0, time.monotonic()
            while piece := await asyncio.to_thread(client.recv, 16_384):
                got += len(piece)
                await asyncio.sleep(0.002)
            return got, time.monotonic() - began

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        got, took_s = runner.run(act())
    assert got > 4 * 4_000_000
    assert took_s > 8 * LOOK_S


def test_an_answer_is_sent_to_its_end_where_the_server_was_busy_while_its_client_read_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "BODY", BODY * 6)

    async def act() -> int:
        async with asked(tmp_path, "/much", "connection: close\r\n") as (client, state):
            await asyncio.to_thread(client.recv, 1)
            (found,) = state.connections
            assert isinstance(found, Connection)
            assert found._transport is not None

            def read() -> int:
                got = 0
                while piece := client.recv(262_144):
                    got += len(piece)
                return got

            reading = asyncio.get_running_loop().run_in_executor(None, read)
            # One turn of the event loop in which the client takes all that the system holds, and a look right after it.
            sock = found._transport.get_extra_info("socket").fileno()
            assert until(lambda: not any(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4))), what="the client")
            found._look()  # what its timer calls
            return await reading

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(act()) > 6 * 4_000_000
