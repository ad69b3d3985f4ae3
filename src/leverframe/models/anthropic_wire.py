"""The Anthropic Messages format for calls of our own, both ways, without any I/O.

Knows: how our messages are written in it, and what an answer in it says.
Never: fills in what is missing: an answer that cannot be read is `Unreadable`, with the field's name.
Source: Anthropic API reference, messages; structured output by one tool that must be used, which every model has.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from leverframe.core import canonical
from leverframe.core.wires.answers import anthropic_usage
from leverframe.domain.calls import Message, ModelRequest, Role, ToolUse
from leverframe.domain.errors import JsonInvalid
from leverframe.domain.json import Json, JsonObject
from leverframe.models.openai_wire import Completion, Unreadable

_OUTPUT_TOOL: Final = "output"
_FINISH: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def request_body(request: ModelRequest) -> bytes:
    """The body of one request."""
    body: dict[str, Json] = {
        "model": request.model.model,
        "max_tokens": request.max_output_tokens,
        "messages": _messages(request.messages),
    }
    system = "\n\n".join(message.text for message in request.messages if message.role is Role.SYSTEM)
    if system:
        body["system"] = system
    tools: list[Json] = [
        {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema}
        for tool in request.tools
    ]
    if request.output_schema is not None:
        tools.append({"name": _OUTPUT_TOOL, "description": "The answer.", "input_schema": request.output_schema})
        body["tool_choice"] = {"type": "any" if request.tools else "tool", **_named(request)}
    if tools:
        body["tools"] = tools
    return canonical.encode(body)


def read_completion(data: bytes) -> Completion:
    """Parse the body of a 200.

    Raises:
        Unreadable: it is not a message.
    """
    try:
        top = canonical.decode(data)
    except JsonInvalid as err:
        raise Unreadable(f"the body is not JSON: {err.message}") from err
    if not isinstance(top, Mapping):
        raise Unreadable("the body: expected an object")
    content = top.get("content")
    if not isinstance(content, list):
        raise Unreadable("content: expected a list")
    texts: list[str] = []
    uses: list[ToolUse] = []
    for index, block in enumerate(content):
        _block(block, f"content[{index}]", texts, uses)
    usage = anthropic_usage(top.get("usage"))
    reason = top.get("stop_reason")
    finish = _FINISH.get(reason if isinstance(reason, str) else "", "tool_calls" if uses else "stop")
    if not uses and finish == "tool_calls":
        finish = "stop"
    return Completion(
        text="".join(texts),
        tool_uses=tuple(uses),
        finish_reason=finish,
        input_tokens=usage.input_tokens if usage is not None else None,
        cached_tokens=usage.cached_input_tokens if usage is not None else 0,
        output_tokens=usage.output_tokens if usage is not None else None,
    )


def _named(request: ModelRequest) -> JsonObject:
    return {} if request.tools else {"name": _OUTPUT_TOOL}


def _messages(messages: Sequence[Message]) -> list[Json]:
    """Turns, in which what tools answered stands together in one message of the user, as the format wants it."""
    turns: list[tuple[str, list[Json]]] = []
    for message in messages:
        if message.role is Role.SYSTEM:
            continue
        role = "assistant" if message.role is Role.ASSISTANT else "user"
        if not turns or turns[-1][0] != role:
            turns.append((role, []))
        turns[-1][1].extend(_blocks(message))
    return [{"role": role, "content": blocks} for role, blocks in turns if blocks]


def _blocks(message: Message) -> list[Json]:
    if message.role is Role.TOOL:
        return [{"type": "tool_result", "tool_use_id": message.tool_use_id, "content": message.text}]
    blocks: list[Json] = [{"type": "text", "text": message.text}] if message.text.strip() else []
    blocks += [
        {"type": "tool_use", "id": use.id, "name": use.name, "input": _arguments(use)} for use in message.tool_uses
    ]
    return blocks


def _arguments(use: ToolUse) -> JsonObject:
    """What the model wrote; the format has no place for what is no object."""
    try:
        value = canonical.decode(use.arguments.encode())
    except JsonInvalid:
        return {}
    return value if isinstance(value, Mapping) else {}


def _block(value: Json, place: str, texts: list[str], uses: list[ToolUse]) -> None:
    if not isinstance(value, Mapping):
        raise Unreadable(f"{place}: expected an object")
    kind = value.get("type")
    if kind == "text":
        text = value.get("text")
        if not isinstance(text, str):
            raise Unreadable(f"{place}.text: expected a text")
        texts.append(text)
    elif kind == "tool_use":
        identifier, name = value.get("id"), value.get("name")
        if not isinstance(identifier, str) or not isinstance(name, str):
            raise Unreadable(f"{place}: expected an id and a name")
        written = canonical.encode(value.get("input") or {}).decode()
        if name == _OUTPUT_TOOL:
            texts.append(written)
        else:
            uses.append(ToolUse(id=identifier, name=name, arguments=written))
