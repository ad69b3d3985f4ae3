"""The OpenAI Chat Completions format, both ways, without any I/O.

Knows: how our messages are written in it, and what an answer in it says.
Never: fills in what is missing: an answer that cannot be read is `Unreadable`, with the field's name.
Source: OpenAI API reference, chat completions; the same format is served by vLLM, Ollama, llama.cpp and others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from leverframe.core import canonical
from leverframe.domain.calls import Message, ModelRequest, Role, ToolUse
from leverframe.domain.errors import JsonInvalid
from leverframe.domain.json import Json, JsonObject

_FINISH: Final = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "function_call": "tool_calls"}
CONTENT_FILTER: Final = "content_filter"
_MAX_MESSAGE_CHARS: Final = 300


class Unreadable(ValueError):
    """An answer is not in the format; the text names the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What an answer says.  Token counts are None where the vendor did not give them."""

    text: str
    tool_uses: tuple[ToolUse, ...]
    finish_reason: str  # stop | length | tool_calls | content_filter
    input_tokens: int | None
    cached_tokens: int
    output_tokens: int | None


def request_body(request: ModelRequest, *, is_vendor: bool) -> bytes:
    """The body of one request.

    `is_vendor`: OpenAI itself, whose newer models take `max_completion_tokens` alone, and which is told to store
    nothing.  Others take `max_tokens`, and some of them would ignore the newer name, and so the limit.
    """
    body: dict[str, Json] = {
        "model": request.model.model,
        "messages": [_message(message) for message in request.messages],
        "max_completion_tokens" if is_vendor else "max_tokens": request.max_output_tokens,
        "stream": False,
    }
    if is_vendor:
        body["store"] = False
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.input_schema},
            }
            for tool in request.tools
        ]
    if request.output_schema is not None:
        schema = request.output_schema
        named: JsonObject = {"name": "output", "strict": _is_strict(schema), "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    return canonical.encode(body)


def read_completion(data: bytes) -> Completion:
    """Parse the body of a 200.

    Raises:
        Unreadable: it is not a completion with one choice.
    """
    top = _object(_json(data), "the body")
    choices = top.get("choices")
    if not isinstance(choices, list) or len(choices) != 1:
        raise Unreadable("choices: expected exactly one")
    choice = _object(choices[0], "choices[0]")
    message = _object(choice.get("message"), "choices[0].message")
    uses = _tool_uses(message.get("tool_calls"))
    # A refusal by the model is its answer, and stands in a field of its own.
    text = message.get("content") or message.get("refusal") or ""
    input_tokens, cached_tokens, output_tokens = _usage(top.get("usage"))
    return Completion(
        text=_content(text),
        tool_uses=uses,
        finish_reason=_finish_reason(choice.get("finish_reason"), has_uses=bool(uses)),
        input_tokens=input_tokens,
        cached_tokens=cached_tokens,
        output_tokens=output_tokens,
    )


def error_words(data: bytes) -> tuple[str, str]:
    """The vendor's words and code in an error's body, cut; both empty where it has none."""
    try:
        top = _json(data)
    except Unreadable:
        return "", ""
    error = top.get("error") if isinstance(top, Mapping) else None
    if isinstance(error, str):
        return error[:_MAX_MESSAGE_CHARS], ""
    if not isinstance(error, Mapping):
        return "", ""
    message, code = error.get("message"), error.get("code")
    return (message[:_MAX_MESSAGE_CHARS] if isinstance(message, str) else ""), (code if isinstance(code, str) else "")


def _message(message: Message) -> JsonObject:
    if message.role is Role.TOOL:
        return {"role": "tool", "tool_call_id": message.tool_use_id, "content": message.text}
    if not message.tool_uses:
        return {"role": message.role.value, "content": message.text}
    calls: list[Json] = [
        {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": use.arguments}}
        for use in message.tool_uses
    ]
    return {"role": message.role.value, "content": message.text or None, "tool_calls": calls}


def _is_strict(schema: Json) -> bool:
    """Whether a schema fits the vendor's strict subset: in every object all keys are required and no others allowed."""
    if isinstance(schema, Mapping):
        properties = schema.get("properties")
        if schema.get("type") == "object" or properties is not None:
            names = set(properties) if isinstance(properties, Mapping) else set()
            required = schema.get("required", [])
            is_closed = schema.get("additionalProperties") is False
            if not is_closed or not isinstance(required, Sequence) or set(required) != names:
                return False
        return all(_is_strict(one) for one in schema.values())
    return all(_is_strict(one) for one in schema) if isinstance(schema, list | tuple) else True


def _json(data: bytes) -> Json:
    try:
        return canonical.decode(data)
    except JsonInvalid as err:
        raise Unreadable(f"the body is not JSON: {err.message}") from err


def _finish_reason(given: Json, *, has_uses: bool) -> str:
    """In our words; what a server invents beside the standard ones tells nothing, and the answer itself does."""
    if given == CONTENT_FILTER:
        return CONTENT_FILTER
    return _FINISH.get(given if isinstance(given, str) else "", "tool_calls" if has_uses else "stop")


def _object(value: Json, place: str) -> JsonObject:
    if not isinstance(value, Mapping):
        raise Unreadable(f"{place}: expected an object")
    return value


def _content(value: Json) -> str:
    """A text, or the texts of a list of parts, as some servers send it."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        parts = [part.get("text") for part in value if isinstance(part, Mapping) and part.get("type") == "text"]
        texts = [part for part in parts if isinstance(part, str)]
        if len(texts) == len(value):
            return "".join(texts)
    raise Unreadable("choices[0].message.content: expected a text")


def _tool_uses(value: Json) -> tuple[ToolUse, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise Unreadable("choices[0].message.tool_calls: expected a list")
    return tuple(_tool_use(one, f"choices[0].message.tool_calls[{index}]") for index, one in enumerate(value))


def _tool_use(value: Json, place: str) -> ToolUse:
    call = _object(value, place)
    function = _object(call.get("function"), f"{place}.function")
    identifier, name, arguments = call.get("id"), function.get("name"), function.get("arguments")
    if not isinstance(identifier, str) or not isinstance(name, str):
        raise Unreadable(f"{place}: expected an id and a name")
    # Some servers send the arguments as an object instead of its text.
    written = arguments if isinstance(arguments, str) else canonical.encode(arguments or {}).decode()
    return ToolUse(id=identifier, name=name, arguments=written)


def _usage(value: Json) -> tuple[int | None, int, int | None]:
    """Input, cached and output tokens.  An explicit zero is a count; what is missing or strange is None."""
    if not isinstance(value, Mapping):
        return None, 0, None
    details = value.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, Mapping) else None
    given = _count(value.get("prompt_tokens"))
    return given, min(cached or 0, given or 0), _count(value.get("completion_tokens"))


def _count(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
