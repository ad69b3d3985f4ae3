"""A client that does not read, held against the clock: whoever writes to it goes on without it."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
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
