"""The HTTP headers that repeat what an MCP request says, so that a proxy need not read its body.

Source: MCP specification 2026-07-28, basic/transports (standard and custom headers); RFC 9110, section 5.6.2.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from leverframe.domain.json import Json, JsonObject

_NAMED_BY: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_PLAIN: Final = re.compile(r"[\x20-\x7e]*")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ENCODED: Final = re.compile(r"=\?base64\?.*\?=")
_MAX_LEVELS: Final = 16


def version_headers(version: str) -> Mapping[str, str]:
    """What every request after the handshake carries."""
    return {"MCP-Protocol-Version": version}


def modern_headers(version: str, method: str, params: JsonObject, schema: JsonObject) -> Mapping[str, str]:
    """What every request of the stateless protocol carries.

    Args:
        version: the protocol's.
        method: of the request.
        params: of the request.
        schema: the input schema of the tool that is called; its `x-mcp-header` properties become headers too.
    """
    headers = {"MCP-Protocol-Version": version, "Mcp-Method": method}
    name = params.get(_NAMED_BY.get(method, ""))
    if isinstance(name, str):
        headers["Mcp-Name"] = encoded(name)
    arguments = params.get("arguments")
    if isinstance(arguments, Mapping):
        for token, value in _repeated(schema, arguments, _MAX_LEVELS):
            headers[f"Mcp-Param-{token}"] = encoded(value)
    return headers


def encoded(value: str) -> str:
    """The value itself where a header can carry it, else base64 as the specification writes it."""
    if _PLAIN.fullmatch(value) and value == value.strip() and not _ENCODED.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def _repeated(schema: JsonObject, arguments: JsonObject, levels: int) -> Iterator[tuple[str, str]]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or not levels:
        return
    for name, below in properties.items():
        value = arguments.get(name)
        if not isinstance(below, Mapping) or value is None:
            continue
        token = below.get("x-mcp-header")
        if isinstance(token, str) and _TOKEN.fullmatch(token) and not isinstance(value, Mapping | list | tuple):
            yield token, _written(value)
        if isinstance(value, Mapping):
            yield from _repeated(below, value, levels - 1)


def _written(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value) if isinstance(value, int | Decimal) else ""
