"""Whether what a vendor says with the status of an answer is one, however odd it is.

Knows: what each format has in every answer of its own, and that beside it there is nothing that every vendor keeps to:
so only what has none of that is no answer.  An empty text, a refusal, a call of a tool alone, a response that goes on
in the background and a chunk without choices before the first one with some are answers or parts of them.
Source: the types of the official SDKs, and what servers that call themselves compatible are seen to answer.
"""

from collections.abc import Mapping
from typing import Final

from leverframe.core.wires.said import NO_MESSAGE, error_text
from leverframe.domain.relays import WireFormat

NO_ANSWER: Final = "neither an answer nor an error"
# Its answer may be read later, or is not to come.
_WITHOUT_OUTPUT: Final = ("in_progress", "queued", "incomplete", "failed", "cancelled")
_BEFORE_OUTPUT: Final = ("response.created", "response.queued", "response.in_progress")
_ENDS: Final = ("response.completed", "response.incomplete", "response.failed", "response.done")
_OF_A_MESSAGE: Final = ("message_start", "content_block_start", "content_block_delta")
_WORDS: Final = ("error", "message", "detail", "msg")


def is_answer(wire: WireFormat, body: Mapping[str, object], *, has_input: bool = True) -> bool:
    """Whether a plain body is an answer; `has_input` False: of nothing, there is nothing to embed."""
    match wire:
        case WireFormat.CHAT:
            return _has_choice(body)
        case WireFormat.RESPONSES:
            is_told = isinstance(body.get("output"), list) or isinstance(body.get("output_text"), str)
            return is_told or body.get("status") in _WITHOUT_OUTPUT
        case WireFormat.MESSAGES:
            return isinstance(body.get("content"), list | str)
        case WireFormat.COUNT:
            return body.get("input_tokens") is not None
        case WireFormat.EMBEDDINGS:
            data = body.get("data")
            return isinstance(data, list) and (bool(data) or not has_input)


def begins_answer(wire: WireFormat, value: Mapping[str, object]) -> bool:
    """Whether a frame says something of an answer, or in the words of its format that there is none."""
    kind = value.get("type")
    match wire:
        case WireFormat.CHAT:
            return _has_choice(value)
        case WireFormat.RESPONSES:
            return isinstance(kind, str) and kind.startswith("response.") and kind not in _BEFORE_OUTPUT
        case WireFormat.MESSAGES:
            return kind in _OF_A_MESSAGE
        case _:
            return True


def tells_failure(wire: WireFormat, value: Mapping[str, object], *, is_named: bool) -> bool:
    """Whether the vendor's own libraries take a frame for an error; `is_named`: its event is called so."""
    if wire.is_anthropic:
        return is_named
    # Those of OpenAI look at no name.  An error event of a response is given to the caller, as its end is.
    is_event = wire is WireFormat.RESPONSES and value.get("type") in ("error", *_ENDS)
    return bool(value.get("error")) or is_event


def words_of(value: Mapping[str, object]) -> str:
    """What a body or a frame that is no answer says of itself; empty where nobody can tell."""
    found = (error_text(text) for text in map(value.get, _WORDS) if isinstance(text, str | dict))
    return next((text for text in found if text and text != NO_MESSAGE), "") or words_of_choices(value)


def words_of_choices(value: Mapping[str, object]) -> str:
    """What a choice says that went wrong with it, as those of OpenRouter do; empty where none does."""
    return next((text for text in (error_text(one.get("error")) for one in _choices(value)) if text), "")


def _has_choice(value: Mapping[str, object]) -> bool:
    """Whether there is a choice that did not fail: what one says that did is a part of an answer at most."""
    return any(not one.get("error") for one in _choices(value))


def _choices(value: Mapping[str, object]) -> list[dict[str, object]]:
    choices = value.get("choices")
    return [one for one in choices if isinstance(one, dict)] if isinstance(choices, list) else []
