"""A client that does not read, held against the clock: whoever writes to it goes on without it."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from uvicorn import Config
from uvicorn.server import ServerState

from leverframe.asgi import connection
from leverframe.asgi.connection import Connection
from leverframe.gateway.asgi_types import Receive, Scope, Send

_PIECE = b"x" * 65_536
_MANY = 400  # more than all buffers between the two take


class _Writer:
    """An application that writes a long answer; `heard` is what it was told after it."""

    def __init__(self) -> None:
        self.written = 0
        self.heard = ""
        self.is_over = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(_MANY):
            await send({"type": "http.response.body", "body": _PIECE, "more_body": True})
            self.written += 1
        await send({"type": "http.response.body", "body": b""})
        self.heard = (await receive())["type"]
        self.is_over.set()


async def _served(app: _Writer, talk: Callable[[socket.socket], Awaitable[None]]) -> None:
    config = Config(app, http=Connection, lifespan="off", log_config=None)
    config.load()
    loop, state = asyncio.get_running_loop(), ServerState()
    server = await loop.create_server(
        lambda: Connection(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        client.setblocking(False)
        await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nhost: door\r\n\r\n")
        async with asyncio.timeout(20):
            await talk(client)
            await app.is_over.wait()
    server.close()


def test_an_answer_goes_on_without_a_client_that_leaves_it_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STALLED_S", 0.05)

    async def act() -> _Writer:
        app = _Writer()

        async def talk(client: socket.socket) -> None:
            assert client.fileno() > 0  # and it reads nothing

        await _served(app, talk)
        return app

    app = asyncio.run(act())

    assert (app.written, app.heard) == (_MANY, "http.disconnect")


def test_a_client_that_reads_gets_all_of_it() -> None:
    async def act() -> int:
        app, got = _Writer(), 0

        async def talk(client: socket.socket) -> None:
            nonlocal got
            while got < _MANY * len(_PIECE):
                piece = await asyncio.get_running_loop().sock_recv(client, 1 << 20)
                assert piece
                got += len(piece)

        await _served(app, talk)
        return got

    assert asyncio.run(act()) >= _MANY * len(_PIECE)


@pytest.mark.parametrize("asked", [b"", b"connection: close\r\n", b"\r\nGET"], ids=["kept", "closed", "begun"])
def test_a_connection_that_is_to_close_waits_no_longer_for_its_client_to_read(
    asked: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "STALLED_S", 1.0)
    monkeypatch.setattr(connection, "HEAD_S", 0.2)
    body = _PIECE * _MANY

    async def whole(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    async def act() -> int:
        over = asyncio.Event()

        class Watched(Connection):
            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                over.set()

        config = Config(whole, http=Connection, lifespan="off", log_config=None, timeout_keep_alive=0)
        config.load()
        loop, state = asyncio.get_running_loop(), ServerState()
        server = await loop.create_server(lambda: Watched(config, state), "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: door\r\n" + asked + b"\r\n")
            async with asyncio.timeout(6):
                await over.wait()
        server.close()
        return len(state.connections)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(act()) == 0
