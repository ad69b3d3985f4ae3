"""The far end of an MCP conversation, as both transports show it.

Knows: JSON-RPC's two answers, and what an ending says about whether the request left.  Source: JSON-RPC 2.0.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from leverframe.domain.json import Json, JsonObject
from leverframe.ports.conversation import Exchange, exchange

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
UNSUPPORTED_VERSION: Final = -32022
LISTEN: Final = "subscriptions/listen"  # a request of 2026-07-28 that stays open


class RpcError(Exception):
    """The peer answered with an error."""

    def __init__(self, code: int, message: str, data: Json = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


class PeerLost(Exception):
    """No answer.  `has_left` False is a promise that nothing reached the peer."""

    def __init__(self, message: str, *, has_left: bool, is_timeout: bool = False, is_garbled: bool = False) -> None:
        super().__init__(message)
        self.message, self.has_left, self.is_timeout, self.is_garbled = message, has_left, is_timeout, is_garbled


class Ears(Protocol):
    """What a transport tells of what the peer says by itself."""

    async def asked(self, method: str, params: JsonObject, during: Exchange | None) -> JsonObject:
        """Answer a request of the peer.  Raises `RpcError`."""
        ...

    async def told(self, method: str, params: JsonObject, during: Exchange | None) -> None:
        """Hear a notification."""
        ...


class Peer(Protocol):
    """Contract: `request` writes at most one request, and ends with a result, `RpcError` or `PeerLost`.

    A request that is given up (its deadline, or the caller cancelled) is cancelled at the peer as its transport says.
    """

    @property
    def is_alive(self) -> bool:
        """Whether a request sent now may be answered."""
        ...

    @property
    def always_hears(self) -> bool:
        """Whether what the peer says while no request is under way is heard."""
        ...

    async def request(
        self, method: str, params: JsonObject, *, deadline_s: float, headers: Mapping[str, str]
    ) -> JsonObject:
        """Send one request and wait for its answer."""
        ...

    async def notify(self, method: str, params: JsonObject, *, headers: Mapping[str, str]) -> None:
        """Send a notification; silence where the peer is gone."""
        ...

    async def overhear(self, opened: "asyncio.Future[None]", *, headers: Mapping[str, str]) -> None:
        """Hear what the peer says by itself, until it has no more to say; `opened` is done when it is heard.

        Raises `PeerLost` or `RpcError` where it cannot be heard.
        """
        ...

    async def close(self) -> None:
        """End the conversation."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """One message that came in, told apart."""

    id: str | int | None = None
    method: str = ""
    params: JsonObject | None = None
    result: JsonObject | None = None
    error: RpcError | None = None


def incoming(value: Json) -> Incoming:
    """Tell a message apart.

    Raises:
        ValueError: it is not a JSON-RPC 2.0 message; a batch is not one of MCP.
    """
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        raise ValueError('it has no "jsonrpc": "2.0"')
    identifier, method, params = value.get("id"), value.get("method"), value.get("params")
    if identifier is not None and (isinstance(identifier, bool) or not isinstance(identifier, str | int)):
        raise ValueError("its id is neither a string nor an integer")
    if isinstance(method, str):
        if params is not None and not isinstance(params, dict):
            raise ValueError("its params are not an object")
        return Incoming(id=identifier, method=method, params=params if isinstance(params, dict) else {})
    error, result = value.get("error"), value.get("result")
    if isinstance(error, dict):
        code, message = error.get("code"), error.get("message")
        number = code if isinstance(code, int) and not isinstance(code, bool) else INTERNAL_ERROR
        return Incoming(id=identifier, error=RpcError(number, str(message)[:2000], error.get("data")))
    if not isinstance(result, dict) or identifier is None:
        raise ValueError("it is neither a request, a result nor an error")
    return Incoming(id=identifier, result=result)


def with_progress(params: JsonObject, token: int) -> JsonObject:
    """The parameters with a progress token, where somebody listens for progress."""
    listening = exchange.get()
    if listening is None or listening.conversation is None:
        return params
    meta = params.get("_meta")
    return {**params, "_meta": {**(meta if isinstance(meta, Mapping) else {}), "progressToken": token}}


def what(method: str, params: JsonObject) -> str:
    """What was asked for, in a message to a person."""
    name = params.get("name") if method == "tools/call" else None
    return repr(name) if isinstance(name, str) else method
