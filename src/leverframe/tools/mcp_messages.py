"""What a tool server says, over whichever transport: one reading of its messages, one bound on its talk.

Knows: which bytes are a message, how much unasked talk is a flood, and how a request of the server itself is answered.
Never: answers a request that its own conversation did not bring.  Source: JSON-RPC 2.0; MCP, basic/transports.
"""

import time
from typing import Final

from leverframe.core import canonical
from leverframe.domain.errors import JsonInvalid
from leverframe.domain.json import Json, JsonObject
from leverframe.ports.conversation import Exchange
from leverframe.tools.mcp_peer import INTERNAL_ERROR, Ears, Incoming, RpcError, incoming

# A server may talk without being asked; this much of it without one answer in between is a flood.
MAX_UNASKED: Final = 10_000
_LOOK_AT: Final = 1_000
_WHILE_S: Final = 10.0  # this many messages, in less than this
MAX_ASKED_AT_ONCE: Final = 16
_MAX_STRAYS: Final = 1_000  # answers to requests that were never made


class Garbled(Exception):
    """The server sent what nobody can read on from.  `fault` follows "Server 'x' sent"."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


def read_message(data: bytes, *, of: str) -> Incoming:
    """One message; `of` is what it came in, for a complaint: "a body", "an event", "a message".

    Raises:
        Garbled: it is not JSON, or no message.
    """
    try:
        return incoming(canonical.decode(data))
    except (JsonInvalid, ValueError) as err:
        raise Garbled(f"{of} that is not JSON-RPC ({str(err).splitlines()[0]})") from err


class Talk:
    """Counts what a server says without being asked."""

    def __init__(self) -> None:
        self._unasked = self._strays = 0
        self._since = time.monotonic()

    def unasked(self) -> None:
        """It sent a notification or a request of its own.  Raises `Garbled` where that is a flood."""
        self._unasked += 1
        if self._unasked % _LOOK_AT == 0 and time.monotonic() - self._since > _WHILE_S:
            # Word of changes over a long silence of ours is no flood.
            self.answered()
        if self._unasked > MAX_UNASKED:
            raise Garbled(f"{MAX_UNASKED:,} messages in a row that nobody asked for")

    def answered(self) -> None:
        """It answered a request of ours."""
        self._unasked = 0
        self._since = time.monotonic()

    def stray(self) -> None:
        """It answered a request that was never made.  Raises `Garbled` where it goes on with that."""
        self._strays += 1
        if self._strays > _MAX_STRAYS:
            raise Garbled(f"{_MAX_STRAYS:,} answers to requests that were never made")


async def heard(ears: Ears, message: Incoming, during: Exchange | None) -> JsonObject | None:
    """Have a server's own message heard: the reply to send, or None where it asks for none."""
    params = message.params or {}
    if message.id is None:
        await ears.told(message.method, params, during)
        return None
    reply: dict[str, Json] = {"jsonrpc": "2.0", "id": message.id}
    try:
        reply["result"] = await ears.asked(message.method, params, during)
    except RpcError as err:
        reply["error"] = {"code": err.code, "message": err.message}
    except JsonInvalid as err:
        reply["error"] = {"code": INTERNAL_ERROR, "message": err.message}
    return reply


def too_many(message: Incoming) -> JsonObject:
    """The reply to a request of a server that has `MAX_ASKED_AT_ONCE` unanswered ones."""
    text = f"{MAX_ASKED_AT_ONCE} requests of this server are being answered; ask again later"
    return {"jsonrpc": "2.0", "id": message.id, "error": {"code": INTERNAL_ERROR, "message": text}}
