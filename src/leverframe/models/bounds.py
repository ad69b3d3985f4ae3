"""How many tokens a request can have, counted from above and without a tokenizer.

A tokenizer with byte-level pairs makes at most one token of each UTF-8 byte; what a vendor wraps around messages and
tools is a fixed number of tokens each.  About four times the true count for English prose: it is what is set aside,
and the vendor's own count is what is settled.
Property, kept by tests/property/test_model_bounds.py: never fewer than the bytes of all texts.
"""

from typing import Final

from leverframe.core import canonical
from leverframe.domain.calls import Message, ModelRequest
from leverframe.domain.json import JsonObject

_PER_REQUEST: Final = 64  # a default system message, the start of the answer
_PER_MESSAGE: Final = 16
_PER_TOOL_USE: Final = 16
_PER_TOOL: Final = 32


def input_tokens_bound(request: ModelRequest) -> int:
    """An upper bound of the tokens that a vendor counts as input."""
    messages = sum(_message(message) for message in request.messages)
    tools = sum(
        _text(tool.name) + _text(tool.description) + _schema(tool.input_schema) + _PER_TOOL for tool in request.tools
    )
    output = _schema(request.output_schema) + _PER_TOOL if request.output_schema is not None else 0
    return _PER_REQUEST + messages + tools + output


def _message(message: Message) -> int:
    uses = sum(_text(use.id) + _text(use.name) + _text(use.arguments) + _PER_TOOL_USE for use in message.tool_uses)
    return _text(message.text) + _text(message.tool_use_id) + uses + _PER_MESSAGE


def _text(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _schema(schema: JsonObject) -> int:
    return len(canonical.encode(schema))
