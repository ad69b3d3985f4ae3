"""The same two halves of HTTP without anything between them: `python -m bench.gateway.bare PORT VENDOR_PORT`.

What a call takes here is the floor of what a governed one can take: our server's protocol, our client, one JSON body
read, no key, no decision, no money and no record.
"""

import socket
import sys
from typing import Any, Final

import uvicorn
import uvloop

from leverframe.asgi.connection import Connection
from leverframe.core.wires.strict import read_object
from leverframe.gateway.asgi_types import Receive, Scope, Send
from leverframe.gateway.exchange import answer, headers_of, read_body
from leverframe.net.exchange import HttpLost, HttpRequest, Limits
from leverframe.net.pool import StreamClient
from leverframe.net.url import parse_url

_LIMITS: Final = Limits(connect_s=5.0, total_s=60.0, idle_s=30.0)


class Bare:
    """One application: whatever is asked is asked of the vendor."""

    def __init__(self, vendor_port: int) -> None:
        self._client = StreamClient()
        self._url = parse_url(f"http://127.0.0.1:{vendor_port}/v1/chat/completions")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on, and its answer back."""
        body = await read_body(scope, receive, headers_of(scope))
        read_object(body)
        headers = {"content-type": "application/json"}
        request = HttpRequest(method="POST", url=self._url, headers=headers, body=body, is_private_allowed=True)
        stream = await self._client.open(request, _LIMITS)
        if isinstance(stream, HttpLost):
            await answer(send, 502, b"{}")
        elif "content-length" in stream.headers:
            await answer(send, stream.status, await stream.read())
        else:
            await send({"type": "http.response.start", "status": stream.status, "headers": []})
            while piece := await stream.read():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body"})


async def _serve(port: int, vendor_port: int) -> None:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        # Any: uvicorn's own name for the three callables.
        app: Any = Bare(vendor_port)
        config = uvicorn.Config(
            app, http=Connection, loop="none", lifespan="off", ws="none", log_config=None, date_header=False
        )
        await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
