"""A loopback port in front of a served project that puts a key on every request: for clients that have no word for one.

One request a connection, so that nothing has to be known of bodies; everything else passes as it is.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_MAX_HEAD: Final = 1 << 20


@contextmanager
def with_key(port: int, key: str) -> Iterator[int]:
    """The port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(_listening(port, key), loop).result(10)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_ended(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _listening(port: int, key: str) -> asyncio.Server:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened = [writer]
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                first, *lines = head[:-4].split(b"\r\n")
                kept = [line for line in lines if not line.lower().startswith(b"connection:")]
                more = [b"connection: close", b"authorization: Bearer " + key.encode()]
                inner, outer = await asyncio.open_connection("127.0.0.1", port)
                opened.append(outer)
                outer.write(b"\r\n".join([first, *kept, *more, b"", b""]))
                # Whichever side ends first ends both: a client that goes away is seen at the door.
                passing = [asyncio.create_task(_passed(reader, outer)), asyncio.create_task(_passed(inner, writer))]
                await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
                for one in passing:
                    one.cancel()
                await asyncio.wait(passing)
                writer.close()
                await writer.wait_closed()
        finally:
            for side in opened:
                side.transport.abort()

    return await asyncio.start_server(served, "127.0.0.1", 0, limit=_MAX_HEAD)


async def _passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


async def _ended(server: asyncio.Server) -> None:
    server.close()
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
