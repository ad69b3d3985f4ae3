"""A model vendor on a loopback port, in the formats of OpenAI and Anthropic, which counts what it really served.

Its own count is the referee of spend: whatever a client was told, `served` says how many tokens were written.  It
answers with as many words as `output_tokens` says, or as many as the call allows if those are fewer, a token a word.
"""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

_POLL_S = 0.01
_WORD = "lorem "


@dataclass(slots=True)
class Served:
    """What was served since the beginning, errors left out."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    # Any: bodies as they came, parsed.
    bodies: list[Any] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Manner:
    """How it answers.  `breaks_after`: pieces of a stream after which it breaks off; None: never."""

    input_tokens: int = 10
    output_tokens: int = 10
    latency_s: float = 0.0
    gap_s: float = 0.0
    status: int = 200
    failures: int = 0  # so many requests are answered with 503 first
    breaks_after: int | None = None
    ignores_maximum: bool = False
    tool: str = ""  # a tool that it asks for instead of words
    usage: bool = True


class FakeVendor:
    """Serves until the block ends.

    with FakeVendor() as vendor:
        vendor.url      # "http://127.0.0.1:40123", to which /v1/chat/completions is added
        vendor.manner.output_tokens = 100
    """

    def __init__(self) -> None:
        self.manner = Manner()
        self.served = Served()
        self.lock = threading.Lock()
        self._server = _Server(self)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), daemon=True)

    @property
    def url(self) -> str:
        """The address, without a path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def status(self) -> int:
        """How the next request is answered."""
        with self.lock:
            is_failing = self.manner.failures > 0
            self.manner.failures -= int(is_failing)
        return HTTPStatus.SERVICE_UNAVAILABLE if is_failing else self.manner.status

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024

    def __init__(self, vendor: FakeVendor) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.vendor = vendor


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def vendor(self) -> FakeVendor:
        """Whose request this is."""
        assert isinstance(self.server, _Server)  # noqa: S101 - no other server makes one
        return self.server.vendor

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        manner, asked = self.vendor.manner, json.loads(body)
        time.sleep(manner.latency_s)
        status = self.vendor.status()
        try:
            if status == HTTPStatus.OK:
                self._serve(asked, manner)
            else:
                self._whole(status, _error(self.path))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    # Any: the body of a call, parsed.
    def _serve(self, asked: Any, manner: Manner) -> None:
        tokens = _tokens(self.path, asked, manner)
        with self.vendor.lock:
            self.vendor.served.requests += 1
            self.vendor.served.input_tokens += manner.input_tokens
            self.vendor.served.bodies.append(asked)
            if not asked.get("stream"):
                self.vendor.served.output_tokens += tokens
        if asked.get("stream"):
            self._stream(asked, manner, tokens)
        else:
            self._whole(200, _whole(self.path, asked, manner, tokens))

    # Any: as above.
    def _stream(self, asked: Any, manner: Manner, tokens: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, (frame, written) in enumerate(_frames(self.path, asked, manner, tokens)):
            if number == manner.breaks_after:
                self.close_connection = True
                return
            with self.vendor.lock:
                self.vendor.served.output_tokens += written
            self.wfile.write(b"%x\r\n%s\r\n" % (len(frame), frame))
            time.sleep(manner.gap_s)
        self.wfile.write(b"0\r\n\r\n")

    # Any: the answer, before it is JSON.
    def _whole(self, status: int, answer: Any) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Say nothing: a test's output is its own."""


# Any: the body of a call, parsed.
def _tokens(path: str, asked: Any, manner: Manner) -> int:
    if path.endswith(("/embeddings", "/count_tokens")):
        return 0
    names = ("max_tokens", "max_completion_tokens", "max_output_tokens")
    most = [int(asked[name]) for name in names if isinstance(asked.get(name), int)]
    return manner.output_tokens if manner.ignores_maximum or not most else min(manner.output_tokens, *most)


def _error(path: str) -> object:
    if path.endswith(("/messages", "/count_tokens")):
        return {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    return {"error": {"message": "busy", "type": "server_error", "param": None, "code": None}}


# Any: the body of a call, parsed.
def _whole(path: str, asked: Any, manner: Manner, tokens: int) -> object:
    text, name = (_WORD * tokens).strip(), asked.get("model")
    if path.endswith("/embeddings"):
        usage = {"prompt_tokens": manner.input_tokens, "total_tokens": manner.input_tokens}
        data = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}]
        return {"object": "list", "model": name, "data": data, "usage": usage}
    if path.endswith("/count_tokens"):
        return {"input_tokens": manner.input_tokens}
    if path.endswith("/messages"):
        content = [{"type": "text", "text": text}]
        if manner.tool:
            content = [{"type": "tool_use", "id": "toolu_1", "name": manner.tool, "input": {}}]  # type: ignore[dict-item]  # a block of another type
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": name,
            "content": content,
            "stop_reason": "tool_use" if manner.tool else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": manner.input_tokens, "output_tokens": tokens},
        }
    if path.endswith("/responses"):
        return _response(name, text, manner, tokens)
    message: dict[str, object] = {"role": "assistant", "content": text}
    if manner.tool:
        call = {"id": "call_1", "type": "function", "function": {"name": manner.tool, "arguments": "{}"}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    answer: dict[str, object] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": name,
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if manner.tool else "stop"}],
    }
    return {**answer, "usage": _chat_usage(manner, tokens)} if manner.usage else answer


def _response(name: str, text: str, manner: Manner, tokens: int) -> dict[str, object]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "model": name,
        "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": manner.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": manner.input_tokens + tokens,
        },
    }


def _chat_usage(manner: Manner, tokens: int) -> dict[str, int]:
    total = manner.input_tokens + tokens
    return {"prompt_tokens": manner.input_tokens, "completion_tokens": tokens, "total_tokens": total}


# Any: the body of a call, parsed.
def _frames(path: str, asked: Any, manner: Manner, tokens: int) -> Iterator[tuple[bytes, int]]:
    """Each frame of a stream, and the tokens that are written in it."""
    if path.endswith("/messages"):
        yield from _message_frames(asked, manner, tokens)
    elif path.endswith("/responses"):
        yield from _response_frames(asked, manner, tokens)
    else:
        yield from _chat_frames(asked, manner, tokens)


# Any: as above.
def _chat_frames(asked: Any, manner: Manner, tokens: int) -> Iterator[tuple[bytes, int]]:
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": asked.get("model")}

    def chunk(**more: object) -> bytes:
        return b"data: " + json.dumps({**base, **more}).encode() + b"\n\n"

    for _ in range(tokens):
        yield chunk(choices=[{"index": 0, "delta": {"content": _WORD}, "finish_reason": None}]), 1
    yield chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]), 0
    if (asked.get("stream_options") or {}).get("include_usage") and manner.usage:
        yield chunk(choices=[], usage=_chat_usage(manner, tokens)), 0
    yield b"data: [DONE]\n\n", 0


# Any: as above.
def _message_frames(asked: Any, manner: Manner, tokens: int) -> Iterator[tuple[bytes, int]]:
    def event(kind: str, **more: object) -> bytes:
        return f"event: {kind}\ndata: ".encode() + json.dumps({"type": kind, **more}).encode() + b"\n\n"

    usage = {"input_tokens": manner.input_tokens, "output_tokens": 1}
    begun = {"id": "msg_1", "type": "message", "role": "assistant", "model": asked.get("model"), "content": []}
    yield event("message_start", message={**begun, "stop_reason": None, "stop_sequence": None, "usage": usage}), 0
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""}), 0
    for _ in range(tokens):
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": _WORD}), 1
    yield event("content_block_stop", index=0), 0
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    yield event("message_delta", delta=delta, usage={"output_tokens": tokens}), 0
    yield event("message_stop"), 0


# Any: as above.
def _response_frames(asked: Any, manner: Manner, tokens: int) -> Iterator[tuple[bytes, int]]:
    numbers = iter(range(10**9))
    name = asked.get("model")

    def event(kind: str, **more: object) -> bytes:
        told = {"type": kind, "sequence_number": next(numbers), **more}
        return f"event: {kind}\ndata: ".encode() + json.dumps(told).encode() + b"\n\n"

    begun = {**_response(name, "", manner, 0), "status": "in_progress", "output": [], "usage": None}
    yield event("response.created", response=begun), 0
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    for _ in range(tokens):
        yield event("response.output_text.delta", **place, delta=_WORD, logprobs=[]), 1
    done = _response(name, (_WORD * tokens).strip(), manner, tokens)
    yield event("response.completed", response=done), 0
