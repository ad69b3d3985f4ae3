"""A server of our own connections over a real socket, and a client that says to it whatever it likes."""

import asyncio
from collections.abc import Awaitable, Callable

import uvicorn
import uvloop
from uvicorn.server import ServerState

from leverframe.asgi.connection import Connection
from leverframe.gateway.asgi_types import App

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]


def talked(app: App, talk: Talk) -> bytes:
    """What a client of the application comes back with."""

    async def act() -> bytes:
        config = uvicorn.Config(app, http=Connection, ws="none", lifespan="off", timeout_keep_alive=1)
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(config, state, {}), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        try:
            async with asyncio.timeout(20):
                return await talk(reader, writer)
        finally:
            writer.transport.abort()
            server.close()

    # The loop that a worker runs: what it does with a write to a connection that closes differs from asyncio's own.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(act())


def saying(*pieces: bytes, pause_s: float = 0.0) -> Talk:
    """All that comes back until the connection is closed."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause_s)
        return await reader.read()

    return talk
