"""`tools/list` as it goes out: checked once, and written once, for each contract and protocol version.

Knows: that the protocol's package holds each entry of a list against its models, copies it and writes it, which takes
many times as long as all the rest of the answer.  So a list that was checked stands in the package's answer as one
short word, and its bytes take the word's place on their way out.  Never: keeps which servers were missing.
"""

import secrets
from collections.abc import Mapping
from typing import Final

import msgspec
from mcp.server.context import CallNext
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.types import Message, Scope, Send

from leverframe.domain.contracts import Contract
from leverframe.mcp.rendering import META
from leverframe.mcp.talk import Context
from leverframe.mcp.values import PlainJson

_MOST: Final = 256
_UNAVAILABLE: Final = f"{META}unavailable"
_WORD: Final = f"leverframe-{secrets.token_hex(16)}"
_PLACE: Final = b'"tools":["%s"]' % _WORD.encode()
_BYTES: Final = "leverframe.tools"


class ToolLists:
    """The answers of one process.  `has_sessions`: one of an older protocol answers nothing before its handshake."""

    def __init__(self, *, has_sessions: bool) -> None:
        self._has_sessions = has_sessions
        # By policy, release and version: two releases of one policy may show untrusted text in two ways.
        self._said: dict[tuple[str, str, str], tuple[Mapping[str, PlainJson], bytes]] = {}

    async def answer(
        self, context: Context, contract: Contract, missing: Mapping[str, str], call_next: CallNext
    ) -> PlainJson:
        """The list, with the servers that are missing now beside it."""
        key = contract.policy_digest, contract.release_digest, context.protocol_version
        known = self._said.get(key)
        if known is None or not self._may_answer(context):
            found = await call_next(context)
            if not isinstance(found, dict) or not isinstance(found.get("tools"), list):
                return found
            if len(self._said) >= _MOST:
                del self._said[next(iter(self._said))]
            known = self._said[key] = found, b'"tools":' + msgspec.json.encode(found["tools"])
        said, written = known
        more = beside(missing, said.get("_meta") or {})
        if context.request is None or context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            # In a session the answer may be kept, and be sent again on another stream.
            return {**said, **more}
        context.request.scope[_BYTES] = written
        return {**said, "tools": [_WORD], **more}

    def _may_answer(self, context: Context) -> bool:
        is_modern = context.protocol_version in MODERN_PROTOCOL_VERSIONS
        return is_modern or not self._has_sessions or context.session.client_params is not None


def writing_lists(scope: Scope, send: Send) -> Send:
    """`send` of one request, which puts the bytes of a list where its word stands."""
    held: list[Message] = []

    async def sent(message: Message) -> None:
        written = scope.get(_BYTES)
        if written is None:
            await send(message)
        elif message["type"] == "http.response.start":
            # Its length is known with the body, which comes whole.
            held.append(message)
        else:
            body = message.get("body", b"").replace(_PLACE, written, 1)
            for start in held:
                await send({**start, "headers": _with_length(start["headers"], body)})
            held.clear()
            await send({**message, "body": body})

    return sent


def beside(missing: Mapping[str, str], meta: Mapping[str, PlainJson] | None = None) -> dict[str, PlainJson]:
    """The servers that are missing, by name, beside the list that they are missing from."""
    kept = {name: value for name, value in (meta or {}).items() if name != _UNAVAILABLE}
    said = {**kept, **({_UNAVAILABLE: dict(missing)} if missing else {})}
    return {"_meta": said} if said or meta else {}


def _with_length(headers: list[tuple[bytes, bytes]], body: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, b"%d" % len(body) if name == b"content-length" else value) for name, value in headers]
