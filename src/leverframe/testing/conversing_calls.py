"""What a call of any format asks of a model, and what a well-behaved model replies.

Knows: the places in each format where tools, their results, a wanted schema, images and limits stand.
Source: API references of OpenAI (chat, responses) and Anthropic (messages), 2025-11.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from leverframe.domain.json import Json, JsonObject
from leverframe.testing.schema_values import value_for

_LIMITS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_RESULTS: Final = frozenset({"tool_result", "function_call_output"})
_IMAGES: Final = frozenset({"image", "image_url", "input_image"})
EVERY_TOOL: Final = "every tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """A tool that the model asks for."""

    name: str
    arguments: JsonObject

    @property
    def text(self) -> str:
        """The arguments as JSON."""
        return json.dumps(self.arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model replies: words, or tools that it asks for.  Tokens are words; ids end with `number`."""

    words: tuple[str, ...] = ()
    uses: tuple[ToolUse, ...] = ()
    input_tokens: int
    is_cut: bool = False
    number: int = 1

    @property
    def text(self) -> str:
        """All of its words."""
        return " ".join(self.words)

    @property
    def pieces(self) -> Sequence[str]:
        """Its words as they are streamed."""
        return [word if not number else f" {word}" for number, word in enumerate(self.words)]

    @property
    def output_tokens(self) -> int:
        """What is billed."""
        return len(self.words) + sum(len(use.text.split()) + 1 for use in self.uses)


def reply_to(asked: JsonObject) -> Reply:
    """The reply to a call of chat, responses or messages.

    With tools offered it asks for the first of them, or the one that `tool_choice` names, and for all of them where the
    last words say "every tool" and the call admits several; once their results are there it tells them in words.  A
    wanted schema gets JSON that fits it.  Images are counted in words.
    """
    turn = _turn(asked)
    results = [text for block in turn if _kind(block) in _RESULTS for text in _texts(_result(block))]
    input_tokens = len(json.dumps(asked)) // 8 + 1
    tools = {} if results else _tools(asked)
    if tools:
        several = EVERY_TOOL in " ".join(_texts(turn)) and asked.get("parallel_tool_calls") is not False
        names = list(tools) if several else [_chosen(asked) or next(iter(tools))]
        uses = tuple(ToolUse(name=name, arguments=_arguments(tools.get(name, {}))) for name in names)
        return Reply(uses=uses, input_tokens=input_tokens)
    schema = _schema(asked)
    if schema is not None:
        words = json.dumps(value_for(schema)).split(" ")
    elif results:
        words = f"The tool says: {'; '.join(results)}".split(" ")
    else:
        images = sum(_kind(block) in _IMAGES for block in turn)
        words = ["I", "see", str(images), "image."] if images else ["Hello,", "I", "am", "here", "to", "help."]
    limits = [limit for name in _LIMITS if isinstance(limit := asked.get(name), int)]
    limit = min(limits, default=len(words))
    return Reply(words=tuple(words[:limit]), input_tokens=input_tokens, is_cut=limit < len(words))


def _turn(asked: JsonObject) -> list[JsonObject]:
    """The blocks since the model spoke last."""
    given = asked.get("messages", asked.get("input", []))
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    blocks: list[JsonObject] = []
    for item in reversed(items if isinstance(items, list) else []):
        if not isinstance(item, dict) or item.get("role") == "assistant" or item.get("type") == "function_call":
            break
        if item.get("role") == "tool":
            blocks.insert(0, {"type": "tool_result", "content": item.get("content")})
        elif item.get("type") in _RESULTS:
            blocks.insert(0, item)
        else:
            blocks[:0] = _blocks(item.get("content"))
    return blocks


def _blocks(content: Json) -> list[JsonObject]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [one for one in content if isinstance(one, dict)] if isinstance(content, list) else []


def _kind(block: Mapping[str, Json]) -> str:
    return str(block.get("type", ""))


def _result(block: JsonObject) -> list[JsonObject]:
    return _blocks(block.get("content", block.get("output")))


def _texts(blocks: Sequence[JsonObject]) -> Iterator[str]:
    for block in blocks:
        text = block.get("text")
        if isinstance(text, str):
            yield text


def _tools(asked: JsonObject) -> dict[str, JsonObject]:
    """Schemas of the offered functions by name."""
    found: dict[str, JsonObject] = {}
    tools = asked.get("tools")
    if asked.get("tool_choice") in ("none", {"type": "none"}):
        return found
    for tool in tools if isinstance(tools, list) else ():
        inner = tool.get("function", tool) if isinstance(tool, dict) else None
        if isinstance(inner, dict):
            schema = inner.get("parameters", inner.get("input_schema"))
            found[str(inner.get("name"))] = schema if isinstance(schema, dict) else {}
    return found


def _chosen(asked: JsonObject) -> str:
    """The tool that `tool_choice` names."""
    choice = asked.get("tool_choice")
    if not isinstance(choice, dict):
        return ""
    inner = choice.get("function", choice)
    return str(inner.get("name", "")) if isinstance(inner, dict) else ""


def _arguments(schema: JsonObject) -> JsonObject:
    value = value_for({"type": "object", **schema})
    return value if isinstance(value, dict) else {}


def _schema(asked: JsonObject) -> JsonObject | None:
    """The schema that the answer must fit; each format has its own place for it."""
    for outer, inner in (("response_format", "json_schema"), ("text", "format"), ("output_config", "format")):
        form = asked.get(outer)
        wanted = form.get(inner) if isinstance(form, dict) else None
        if isinstance(wanted, dict) and isinstance(wanted.get("schema"), dict):
            return _object(wanted["schema"])
    form = asked.get("output_format")
    return _object(form.get("schema")) if isinstance(form, dict) else None


def _object(value: Json) -> JsonObject | None:
    return value if isinstance(value, dict) else None
