"""How our messages are said to a small model that knows neither tools nor JSON, and how its answer is read.

Knows: the grammar that makes every answer valid JSON of a schema, and tools as one more schema: `{"tool": ...,
"arguments": ...}` or `{"say": ...}`, of which the grammar lets nothing else be written.
Source: llguidance, `%json` with `x-guidance`; it prints a warning for a pattern it does not understand and then takes
any text, so such patterns are left out here and judged by the door.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from leverframe.core import canonical
from leverframe.domain.calls import Message, ModelRequest, OfferedTool, Role, ToolUse
from leverframe.domain.errors import JsonInvalid
from leverframe.domain.json import Json, JsonObject

_SEED: Final = 7
_ANCHORED: Final = re.compile(r"\^.*\$", re.DOTALL)
_CLASS_ESCAPE: Final = re.compile(r"\\[a-zA-Z]")


def chat_body(request: ModelRequest) -> dict[str, Json]:
    """The request as llama.cpp's server takes it; the same request has the same answer."""
    messages: list[Json] = [{"role": role, "content": text} for role, text in _said(request)]
    body: dict[str, Json] = {
        "messages": messages,
        "max_tokens": request.max_output_tokens,
        "temperature": 0,
        "seed": _SEED,
        "cache_prompt": True,
    }
    schema = _tool_schema(request.tools) if request.tools else request.output_schema
    if schema is not None:
        compact = {**_plain_schema(schema), "x-guidance": {"whitespace_flexible": False}}
        body["grammar"] = f"%llguidance {{}}\nstart: %json {canonical.encode(compact).decode()}"
    return body


def tool_uses(request: ModelRequest, text: str) -> tuple[str, tuple[ToolUse, ...]]:
    """What an answer says and which tool it asks for, where tools were offered; a cut answer is only a text."""
    if not request.tools:
        return text, ()
    try:
        value = canonical.decode(text.encode())
    except JsonInvalid:
        return text, ()
    if not isinstance(value, Mapping):
        return text, ()
    name, said = value.get("tool"), value.get("say")
    if isinstance(name, str):
        arguments = canonical.encode(value.get("arguments", {})).decode()
        return "", (ToolUse(id=f"local_{len(request.messages)}", name=name, arguments=arguments),)
    return (said, ()) if isinstance(said, str) else (text, ())


def _said(request: ModelRequest) -> list[tuple[str, str]]:
    said = [(message.role.value, _text(message)) for message in request.messages]
    # The model's own template knows no role for a tool's answer.
    said = [("user" if role == Role.TOOL.value else role, text) for role, text in said]
    if not request.tools:
        return said
    lines = [
        f"{tool.name}: {tool.description} {canonical.encode(tool.input_schema).decode()}" for tool in request.tools
    ]
    offer = 'Tools, asked for as {"tool": NAME, "arguments": {...}}; or answer {"say": TEXT}.\n' + "\n".join(lines)
    if said and said[0][0] == Role.SYSTEM.value:
        return [(said[0][0], f"{said[0][1]}\n{offer}"), *said[1:]]
    return [(Role.SYSTEM.value, offer), *said]


def _text(message: Message) -> str:
    uses = [f'{{"tool":"{use.name}","arguments":{use.arguments}}}' for use in message.tool_uses]
    return "\n".join(part for part in (message.text, *uses) if part)


def _tool_schema(tools: Sequence[OfferedTool]) -> JsonObject:
    options: list[Json] = [
        _closed({"tool": {"const": tool.name}, "arguments": {"type": "object", **tool.input_schema}}) for tool in tools
    ]
    return {"anyOf": [*options, _closed({"say": {"type": "string"}})]}


def _closed(properties: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


def _plain_schema(schema: JsonObject) -> dict[str, Json]:
    """The schema without the patterns that the grammar would warn of."""
    plain: dict[str, Json] = {}
    for key, value in schema.items():
        if key == "pattern" and isinstance(value, str):
            pattern = value.replace(r"\d", "[0-9]")
            if _ANCHORED.fullmatch(pattern) and not _CLASS_ESCAPE.search(pattern):
                plain[key] = pattern
        elif isinstance(value, Mapping):
            plain[key] = _plain_schema(value)
        elif isinstance(value, list | tuple):
            plain[key] = [_plain_schema(one) if isinstance(one, Mapping) else one for one in value]
        else:
            plain[key] = value
    return plain
