"""An MCP server on a loopback port that asks for a credential and says back whatever it was sent.

Speaks streamable HTTP, the protocols through 2025-11-25.  It is as indiscreet as a server can be: the credential of a
request stands in its answers, its errors, its notifications, its lists.  Every request is kept, to be looked at.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from leverframe.testing.loopback import Asked, LoopbackServer, OnLoopback, Served

# Any: plain JSON of the protocol.
PlainJson = dict[str, Any]
CallTool = Callable[[PlainJson, str], PlainJson]
_OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request: its method, its arguments where it is a call, and the credential that it brought."""

    method: str
    credential: str
    # Any: plain JSON of the protocol.
    arguments: Mapping[str, Any] = field(default_factory=dict)
    tool: str = ""


def _echo(arguments: PlainJson, credential: str) -> PlainJson:
    return {"structuredContent": {"said": arguments, "you_are": credential}, "content": []}


class CredentialedMcpServer(OnLoopback):
    """Serves `tools` (name to function of arguments and credential) to whoever brings one of `credentials`.

    Args:
        credentials: the values that are taken; none: everybody may come.
        header: where the value stands; `Authorization` holds it as a bearer token.
        tools: what may be called; by default `echo` and `fail`.
        redirect_to: answer every request with a redirect to this address instead.
    """

    def __init__(
        self,
        credentials: Sequence[str] = (),
        *,
        header: str = "authorization",
        tools: Mapping[str, CallTool] | None = None,
        redirect_to: str = "",
    ) -> None:
        self.credentials = set(credentials)
        self.redirect_to = redirect_to
        self._header = header.lower()
        self._tools = {"echo": _echo, "fail": _echo} if tools is None else tools
        self._seen: list[Seen] = []
        self._lock = threading.Lock()
        self._server = LoopbackServer(self._serve)

    @property
    def url(self) -> str:
        """The address of the MCP endpoint."""
        return f"{self._server.url}/mcp"

    @property
    def seen(self) -> Sequence[Seen]:
        """Every request so far."""
        with self._lock:
            return list(self._seen)

    def calls(self, tool: str) -> Sequence[Seen]:
        """The calls of one tool so far."""
        return [one for one in self.seen if one.tool == tool]

    def _serve(self, asked: Asked) -> Served:
        message = json.loads(asked.body or b"{}")
        method, params = str(message.get("method", "")), message.get("params") or {}
        given = asked.headers.get(self._header, "")
        credential = given.removeprefix("Bearer ") if self._header == "authorization" else given
        with self._lock:
            tool = str(params.get("name", "")) if method == "tools/call" else ""
            seen = Seen(method=method, credential=credential, arguments=params.get("arguments") or {}, tool=tool)
            self._seen.append(seen)
        if self.redirect_to:
            return Served(status=HTTPStatus.TEMPORARY_REDIRECT, headers={"Location": self.redirect_to})
        if self.credentials and credential not in self.credentials:
            return Served(status=HTTPStatus.UNAUTHORIZED, body=json.dumps({"error": f"not {credential}"}).encode())
        if "id" not in message:
            return Served(status=HTTPStatus.ACCEPTED, body=b"")
        return _events(message["id"], self._answer(method, params, credential or _OPEN), credential)

    def _answer(self, method: str, params: PlainJson, credential: str) -> PlainJson:
        if method == "initialize":
            about = {"name": "remote", "version": "1"}
            capabilities: PlainJson = {"tools": {}, "resources": {}}
            return {"result": {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": about}}
        if method == "tools/list":
            listed = [{"name": name, "inputSchema": {"type": "object"}} for name in self._tools]
            return {"result": {"tools": listed}}
        if method == "resources/list":
            return {"result": {"resources": [{"uri": f"shop://of/{credential}", "name": f"of {credential}"}]}}
        if method == "tools/call" and params.get("name") == "fail":
            return {"error": {"code": -32603, "message": f"{credential} broke it", "data": {"key": credential}}}
        if method == "tools/call" and params.get("name") in self._tools:
            return {"result": self._tools[params["name"]](params.get("arguments") or {}, credential)}
        return {"error": {"code": -32601, "message": f"no {method}"}}


def _events(number: object, answer: PlainJson, credential: str) -> Served:
    """A stream of a log line and the answer, as the transport has it."""
    note = {"level": "error", "data": f"called with {credential}"}
    messages = ({"jsonrpc": "2.0", "method": "notifications/message", "params": note}, _whole(number, answer))
    body = "".join(f"event: message\ndata: {json.dumps(one)}\n\n" for one in messages)
    return Served(body=body.encode(), headers={"Content-Type": "text/event-stream"})


def _whole(number: object, answer: PlainJson) -> PlainJson:
    return {"jsonrpc": "2.0", "id": number, **answer}
