"""A reply in the shape of each vendor: whole, or as the frames of a stream.

Source: API references of OpenAI (chat, responses, embeddings) and Anthropic (messages), 2025-11.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Final

from leverframe.domain.json import JsonObject
from leverframe.testing.conversing_calls import Reply, ToolUse

_CREATED: Final = 1_767_225_600

Frame = tuple[bytes, int]
"""The bytes of one frame, and the output tokens that it bills."""
Fields = dict[str, object]


def chat_body(model: str, reply: Reply) -> Fields:
    """An answer of Chat Completions."""
    calls: list[object] = [
        {
            "id": f"call_{reply.number}_{number}",
            "type": "function",
            "function": {"name": use.name, "arguments": use.text},
        }
        for number, use in enumerate(reply.uses)
    ]
    message: Fields = {"role": "assistant", "content": None if calls else reply.text, "refusal": None}
    message |= {"tool_calls": calls} if calls else {}
    choice: Fields = {"index": 0, "message": message, "logprobs": None, "finish_reason": _chat_end(reply)}
    head = {"id": f"chatcmpl-{reply.number}", "object": "chat.completion", "created": _CREATED, "model": model}
    return {**head, "choices": [choice], "usage": _chat_usage(reply)}


def chat_frames(model: str, reply: Reply, *, wants_usage: bool) -> Iterator[Frame]:
    """A stream of Chat Completions."""
    head = {"id": f"chatcmpl-{reply.number}", "object": "chat.completion.chunk", "created": _CREATED, "model": model}
    unsaid: Fields = {"usage": None} if wants_usage else {}

    def chunk(delta: Fields, end: str | None = None) -> bytes:
        choice: Fields = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": end}
        return _data({**head, "choices": [choice], **unsaid})

    yield chunk({"role": "assistant", "content": None if reply.uses else "", "refusal": None}), 0
    for piece in reply.pieces:
        yield chunk({"content": piece}), 1
    for number, use in enumerate(reply.uses):
        begun: Fields = {"index": number, "id": f"call_{reply.number}_{number}", "type": "function"}
        yield chunk({"tool_calls": [{**begun, "function": {"name": use.name, "arguments": ""}}]}), 1
        for piece in _pieces(use):
            yield chunk({"tool_calls": [{"index": number, "function": {"arguments": piece}}]}), 1
    yield chunk({}, _chat_end(reply)), 0
    if wants_usage:
        yield _data({**head, "choices": [], "usage": _chat_usage(reply)}), 0
    yield b"data: [DONE]\n\n", 0


def responses_body(model: str, reply: Reply, status: str = "completed") -> Fields:
    """A response object."""
    is_done = status == "completed"
    items: list[object] = [*_response_items(reply)]
    usage: Fields = {
        "input_tokens": reply.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }
    return {
        "id": f"resp_{reply.number}",
        "object": "response",
        "created_at": _CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": items if is_done else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage if is_done else None,
    }


def responses_frames(model: str, reply: Reply) -> Iterator[Frame]:
    """A stream of Responses."""
    numbers = iter(range(1_000_000))

    def event(kind: str, **more: object) -> bytes:
        return _event({"type": kind, "sequence_number": next(numbers), **more})

    yield event("response.created", response=responses_body(model, reply, "in_progress")), 0
    yield event("response.in_progress", response=responses_body(model, reply, "in_progress")), 0
    for at, item in enumerate(_response_items(reply)):
        place: Fields = {"item_id": item["id"], "output_index": at}
        if reply.uses:
            use = reply.uses[at]
            begun: Fields = {**item, "arguments": "", "status": "in_progress"}
            yield event("response.output_item.added", output_index=at, item=begun), 1
            for piece in _pieces(use):
                yield event("response.function_call_arguments.delta", **place, delta=piece), 1
            yield event("response.function_call_arguments.done", **place, name=use.name, arguments=use.text), 0
        else:
            part: Fields = {"type": "output_text", "text": "", "annotations": []}
            place["content_index"] = 0
            begun = {**item, "content": [], "status": "in_progress"}
            yield event("response.output_item.added", output_index=at, item=begun), 0
            yield event("response.content_part.added", **place, part=part), 0
            for piece in reply.pieces:
                yield event("response.output_text.delta", **place, delta=piece, logprobs=[]), 1
            yield event("response.output_text.done", **place, text=reply.text, logprobs=[]), 0
            yield event("response.content_part.done", **place, part={**part, "text": reply.text}), 0
        yield event("response.output_item.done", output_index=at, item=item), 0
    yield event("response.completed", response=responses_body(model, reply)), 0


def messages_body(model: str, reply: Reply) -> Fields:
    """An answer of Anthropic Messages."""
    blocks: list[object] = [
        {"type": "tool_use", "id": f"toolu_{reply.number}_{number}", "name": use.name, "input": use.arguments}
        for number, use in enumerate(reply.uses)
    ]
    return {
        **_message(model, reply),
        "content": blocks or [{"type": "text", "text": reply.text}],
        "stop_reason": _message_end(reply),
        "usage": _message_usage(reply, reply.output_tokens),
    }


def messages_frames(model: str, reply: Reply) -> Iterator[Frame]:
    """A stream of Anthropic Messages."""
    begun: Fields = {**_message(model, reply), "content": [], "stop_reason": None, "usage": _message_usage(reply, 1)}
    yield _event({"type": "message_start", "message": begun}), 0
    yield _event({"type": "ping"}), 0
    if reply.uses:
        for number, use in enumerate(reply.uses):
            block: Fields = {"type": "tool_use", "id": f"toolu_{reply.number}_{number}", "name": use.name, "input": {}}
            yield _event({"type": "content_block_start", "index": number, "content_block": block}), 1
            for piece in _pieces(use):
                delta: Fields = {"type": "input_json_delta", "partial_json": piece}
                yield _event({"type": "content_block_delta", "index": number, "delta": delta}), 1
            yield _event({"type": "content_block_stop", "index": number}), 0
    else:
        yield _event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}), 0
        for piece in reply.pieces:
            delta = {"type": "text_delta", "text": piece}
            yield _event({"type": "content_block_delta", "index": 0, "delta": delta}), 1
        yield _event({"type": "content_block_stop", "index": 0}), 0
    ended: Fields = {"stop_reason": _message_end(reply), "stop_sequence": None}
    yield _event({"type": "message_delta", "delta": ended, "usage": {"output_tokens": reply.output_tokens}}), 0
    yield _event({"type": "message_stop"}), 0


def embeddings_body(model: str, asked: JsonObject) -> tuple[Fields, int]:
    """An answer of Embeddings, and the tokens that it bills: a text a vector of numbers."""
    given = asked.get("input")
    texts = given if isinstance(given, list) else [given]
    tokens = sum(len(str(text).split()) for text in texts)
    # A client asks for base64 by itself; 0.5 and 0.25 as little-endian floats of 32 bits.
    vector: object = "AAAAPwAAgD4=" if asked.get("encoding_format") == "base64" else [0.5, 0.25]
    data: list[object] = [{"object": "embedding", "index": at, "embedding": vector} for at in range(len(texts))]
    usage: Fields = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "model": model, "data": data, "usage": usage}, tokens


def error_body(path: str, status: int) -> Fields:
    """An error in the shape of the vendor whose path was asked."""
    kinds = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error"}
    kinds |= {404: "not_found_error", 429: "rate_limit_error"}
    if "/messages" in path:
        kind = kinds.get(status, "api_error")
        return {
            "type": "error",
            "error": {"type": kind, "message": f"The vendor says {status}."},
            "request_id": "req_1",
        }
    kind = kinds.get(status, "server_error")
    return {
        "error": {"message": f"The vendor says {status}.", "type": kind, "param": "model", "code": f"vendor_{status}"}
    }


def _chat_end(reply: Reply) -> str:
    return "tool_calls" if reply.uses else "length" if reply.is_cut else "stop"


def _chat_usage(reply: Reply) -> Fields:
    given, made = reply.input_tokens, reply.output_tokens
    usage: Fields = {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
    return {
        **usage,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _response_items(reply: Reply) -> Iterator[Fields]:
    for number, use in enumerate(reply.uses):
        item: Fields = {
            "type": "function_call",
            "id": f"fc_{reply.number}_{number}",
            "call_id": f"call_{reply.number}_{number}",
        }
        yield {**item, "name": use.name, "arguments": use.text, "status": "completed"}
    if not reply.uses:
        part: Fields = {"type": "output_text", "text": reply.text, "annotations": []}
        yield {
            "type": "message",
            "id": f"msg_{reply.number}",
            "role": "assistant",
            "status": "completed",
            "content": [part],
        }


def _message(model: str, reply: Reply) -> Fields:
    return {"id": f"msg_{reply.number}", "type": "message", "role": "assistant", "model": model, "stop_sequence": None}


def _message_end(reply: Reply) -> str:
    return "tool_use" if reply.uses else "max_tokens" if reply.is_cut else "end_turn"


def _message_usage(reply: Reply, made: int) -> Fields:
    cache: Fields = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return {"input_tokens": reply.input_tokens, **cache, "output_tokens": made}


def _pieces(use: ToolUse) -> list[str]:
    """The arguments as they are streamed; together they are the whole, and each bills a token."""
    return [word if not number else f" {word}" for number, word in enumerate(use.text.split(" "))]


def _data(value: Mapping[str, object]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _event(value: Mapping[str, object]) -> bytes:
    return f"event: {value['type']}\n".encode() + _data(value)
