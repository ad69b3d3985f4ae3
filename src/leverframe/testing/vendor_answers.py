"""What a vendor of models says, in each format: bodies and frames, with usage right and with usage as bugs have it.

Knows: the knobs in the name of a model (`leverframe.testing.TroubledVendor` lists them).
Source: API references of OpenAI (chat, responses, embeddings) and Anthropic (messages), 2025-11.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import msgspec

_KNOB: Final = re.compile(r"-(\d+)ms|-([iocgebh])(\d+)|-u([a-z]+)|-x([a-z]+)|-s(\d+)|-r(\d+)|-w(\d+)")
_WORD: Final = "lorem "
_CREATED: Final = 1_700_000_000
_IS_COMPLETED: Final = b'"status":"completed","model"'
_HAS_FAILED: Final = b'"status":"failed","error":{"code":"server_error","message":"scripted"},"model"'
_IS_FINISHED: Final = b'"finish_reason":"stop"'
_HAS_BROKEN: Final = b'"finish_reason":"error","error":{"message":"scripted","code":502}'
_DONE: Final = b"data: [DONE]\n\n"
_ANSWERED: Final = ("choices", "output", "content", "data")
_OF_ANSWERS: Final = (b'"choices":[{', b'"message_start"', b'"content_block_', b'"response.output_', b'"response.co')

Frame = tuple[bytes, int]
"""The bytes of one frame, and the output tokens that it bills."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """What the name of a model asks for."""

    latency_ms: int = 0
    input_tokens: int = 100
    output_tokens: int = 100
    chunks: int = 10
    gap_ms: int = 0
    status: int = 0
    break_after: int = -1  # chunks, then the connection is cut
    half_after: int = -1  # chunks, then half of one and the connection is cut
    usage: str = ""  # none zero choices repeat every late
    answer: str = ""  # html garbage error gzip endless silent fails plain empty detail hollow named failed text
    cached: int = 0
    reasoning: int = 0
    written: int = 0

    def limited(self, limit: int | None) -> "Knobs":
        """As a vendor that keeps the limit of a call."""
        if limit is None or limit >= self.output_tokens:
            return self
        return replace(self, output_tokens=limit, reasoning=min(self.reasoning, limit))


@lru_cache(maxsize=1024)
def knobs_of(model: str) -> Knobs:
    """Read the name of a model."""
    found: dict[str, int | str] = {}
    names = {"i": "input_tokens", "o": "output_tokens", "c": "chunks", "g": "gap_ms", "e": "status"}
    names |= {"b": "break_after", "h": "half_after"}
    for latency, letter, number, usage, answer, cached, reasoning, written in _KNOB.findall(model):
        if latency:
            found["latency_ms"] = int(latency)
        if letter:
            found[names[letter]] = int(number)
        words = {"usage": usage, "answer": answer}
        counts = {"cached": cached, "reasoning": reasoning, "written": written}
        found |= {name: word for name, word in words.items() if word}
        found |= {name: int(count) for name, count in counts.items() if count}
    return msgspec.convert(found, Knobs)


def json_bytes(value: object) -> bytes:
    """A value as a vendor writes it."""
    return msgspec.json.encode(value)


def openai_usage(knobs: Knobs, names: tuple[str, str] = ("prompt_tokens", "completion_tokens")) -> dict[str, object]:
    """The usage object of the OpenAI formats."""
    given, made = (0, 0) if knobs.usage == "zero" else (knobs.input_tokens, knobs.output_tokens)
    usage: dict[str, object] = {names[0]: given, names[1]: made, "total_tokens": given + made}
    if knobs.cached:
        usage[f"{names[0]}_details"] = {"cached_tokens": knobs.cached}
    if knobs.reasoning:
        usage[f"{names[1]}_details"] = {"reasoning_tokens": knobs.reasoning}
    return usage


def anthropic_usage(knobs: Knobs) -> dict[str, object]:
    """The usage object of Anthropic, whose input leaves out what was cached or written to the cache."""
    given, made = (0, 0) if knobs.usage == "zero" else (knobs.input_tokens, knobs.output_tokens)
    return {
        "input_tokens": given - knobs.cached - knobs.written,
        "cache_read_input_tokens": knobs.cached,
        "cache_creation_input_tokens": knobs.written,
        "output_tokens": made,
    }


def chat_body(model: str, knobs: Knobs, tools: list[str]) -> bytes:
    """A plain answer of Chat Completions; with tools it asks for the first of them."""
    message: dict[str, object] = {"role": "assistant", "content": _text(knobs.output_tokens)}
    if tools:
        use = {"id": "call_1", "type": "function", "function": {"name": tools[0], "arguments": "{}"}}
        message = {"role": "assistant", "content": None, "tool_calls": [use]}
    finish = "tool_calls" if tools else "stop"
    body: dict[str, object] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": _CREATED,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }
    return json_bytes(body if knobs.usage == "none" else {**body, "usage": openai_usage(knobs)})


def responses_value(model: str, knobs: Knobs, tools: list[str], status: str = "completed") -> dict[str, object]:
    """A response object."""
    item: dict[str, object] = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": _text(knobs.output_tokens), "annotations": []}],
    }
    if tools:
        item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": tools[0], "arguments": "{}"}
        item["status"] = "completed"
    value: dict[str, object] = {
        "id": "resp_1",
        "object": "response",
        "created_at": _CREATED,
        "status": status,
        "model": model,
        "output": [item] if status == "completed" else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    if knobs.usage != "none" and status == "completed":
        usage = openai_usage(knobs, ("input_tokens", "output_tokens"))
        usage.setdefault("input_tokens_details", {"cached_tokens": 0})
        usage.setdefault("output_tokens_details", {"reasoning_tokens": 0})
        value["usage"] = usage
    return value


def messages_body(model: str, knobs: Knobs, tools: list[str]) -> bytes:
    """A plain answer of Anthropic Messages."""
    content: list[dict[str, object]] = [{"type": "text", "text": _text(knobs.output_tokens)}]
    if tools:
        content = [{"type": "tool_use", "id": "toolu_1", "name": tools[0], "input": {}}]
    value: dict[str, object] = {
        **_message(model),
        "content": content,
        "stop_reason": "tool_use" if tools else "end_turn",
    }
    return json_bytes(value if knobs.usage == "none" else {**value, "usage": anthropic_usage(knobs)})


def embeddings_body(model: str, knobs: Knobs) -> bytes:
    """An answer of Embeddings."""
    usage = {"prompt_tokens": knobs.input_tokens, "total_tokens": knobs.input_tokens}
    data = [{"object": "embedding", "index": 0, "embedding": [0.25] * 8}]
    return json_bytes({"object": "list", "model": model, "data": data, "usage": usage})


def chat_frames(model: str, knobs: Knobs, *, wants_usage: bool) -> Iterator[Frame]:
    """A stream of Chat Completions; usage comes only where it was asked for, as the real vendor does."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": _CREATED, "model": model}
    usage = openai_usage(knobs)
    for index, tokens in enumerate(_shares(knobs)):
        delta = {"content": _WORD * tokens, **({"role": "assistant"} if not index else {})}
        chunk: dict[str, object] = {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        if wants_usage:
            chunk["usage"] = usage if knobs.usage == "every" else None
        yield _data(chunk), tokens
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    if knobs.usage == "choices" and wants_usage:
        yield _data({**head, "choices": [last], "usage": usage}), 0
    else:
        yield _data({**head, "choices": [last]}), 0
        if wants_usage and knobs.usage != "none":
            for _ in range(3 if knobs.usage == "repeat" else 1):
                yield _data({**head, "choices": [], "usage": usage}), 0
    yield _DONE, 0


def responses_frames(model: str, knobs: Knobs) -> Iterator[Frame]:
    """A stream of Responses."""
    begun = responses_value(model, knobs, [], "in_progress")
    yield _event({"type": "response.created", "sequence_number": 0, "response": begun}), 0
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}
    yield _event({"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": item}), 0
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": "", "annotations": []}
    yield _event({"type": "response.content_part.added", "sequence_number": 2, **place, "part": part}), 0
    for number, tokens in enumerate(_shares(knobs), start=3):
        delta = {"type": "response.output_text.delta", "sequence_number": number, **place, "delta": _WORD * tokens}
        yield _event({**delta, "logprobs": []}), tokens
    done = responses_value(model, knobs, [])
    for _ in range(2 if knobs.usage == "repeat" else 1):
        yield _event({"type": "response.completed", "sequence_number": knobs.chunks + 3, "response": done}), 0


def messages_frames(model: str, knobs: Knobs) -> Iterator[Frame]:
    """A stream of Anthropic Messages: the start counts the input and one token, the end counts the output."""
    usage = anthropic_usage(knobs)
    begun = {**_message(model), "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield _event({"type": "message_start", "message": begun}), 0
    block = {"type": "text", "text": ""}
    yield _event({"type": "content_block_start", "index": 0, "content_block": block}), 0
    for tokens in _shares(knobs):
        delta = {"type": "text_delta", "text": _WORD * tokens}
        yield _event({"type": "content_block_delta", "index": 0, "delta": delta}), tokens
    yield _event({"type": "content_block_stop", "index": 0}), 0
    told = {"output_tokens": usage["output_tokens"]} if knobs.usage != "every" else usage
    ended = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}}
    for _ in range(2 if knobs.usage == "repeat" else 1):
        yield _event(ended if knobs.usage == "none" else {**ended, "usage": told}), 0
    yield _event({"type": "message_stop"}), 0


def failing_frames(path: str, frames: Iterator[Frame]) -> Iterator[Frame]:
    """The same stream with an error behind the first of its text, and with its end and its counts all the same."""
    has_failed = False
    for frame, tokens in frames:
        if path.endswith("/responses"):
            bent = frame.replace(b"response.completed", b"response.failed").replace(_IS_COMPLETED, _HAS_FAILED)
            yield bent, tokens
            continue
        yield frame, tokens
        if tokens and not has_failed:
            has_failed = True
            event = b"event: error\n" if path.endswith("/messages") else b""
            yield event + b"data: " + error_body(path, 500) + b"\n\n", 0


def bent_body(body: bytes, answer: str) -> bytes:
    """A plain answer that failed, or without what was answered, or nothing at all, where the knobs say so."""
    match answer:
        case "failed":
            return body.replace(_IS_COMPLETED, _HAS_FAILED)
        case "choice":
            return body.replace(_IS_FINISHED, _HAS_BROKEN)
        case "empty":
            return b"{}"
        case "hollow":
            value = msgspec.json.decode(body)
            return json_bytes({name: None if name in _ANSWERED else told for name, told in value.items()})
        case _:
            return body


def hollow_frames(path: str, frames: Iterator[Frame]) -> Iterator[Frame]:
    """The same stream without what was answered, and with what was counted where it is told apart."""
    for frame, _ in frames:
        if not any(word in frame for word in _OF_ANSWERS):
            yield frame, 0
    if path.endswith("/responses"):
        yield _DONE, 0


def last_frame(path: str, _frames: Iterator[Frame]) -> Iterator[Frame]:
    """The last word of a stream alone."""
    yield _event({"type": "message_stop"}) if path.endswith("/messages") else _DONE, 0


def named_frames(_path: str, _frames: Iterator[Frame]) -> Iterator[Frame]:
    """An error that is told by the name of its event alone, and a last word."""
    yield b'event: error\ndata: {"message": "scripted"}\n\n', 0
    yield _DONE, 0


def broken_choices(_path: str, frames: Iterator[Frame]) -> Iterator[Frame]:
    """The same stream, whose choice says at its end that it failed."""
    for frame, tokens in frames:
        yield frame.replace(_IS_FINISHED, _HAS_BROKEN), tokens


def error_body(path: str, status: int) -> bytes:
    """An error in the shape of the vendor whose path was asked."""
    if "/messages" in path:
        return json_bytes({"type": "error", "error": {"type": "api_error", "message": "scripted"}})
    return json_bytes({"error": {"message": "scripted", "type": "scripted", "param": None, "code": str(status)}})


def _message(model: str) -> dict[str, object]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "stop_sequence": None}


def _text(tokens: int) -> str:
    return (_WORD * tokens).strip()


def _shares(knobs: Knobs) -> list[int]:
    """The output tokens of each chunk."""
    count = max(1, knobs.chunks)
    share = knobs.output_tokens // count
    return [share] * (count - 1) + [knobs.output_tokens - share * (count - 1)]


def _data(value: Mapping[str, object]) -> bytes:
    return b"data: " + json_bytes(value) + b"\n\n"


def _event(value: Mapping[str, object]) -> bytes:
    return b"event: " + str(value["type"]).encode() + b"\ndata: " + json_bytes(value) + b"\n\n"
