"""A vendor of models whose every trouble is asked for by name, and the referee of what it really served.

It speaks OpenAI (chat, responses, embeddings) and Anthropic (messages, count_tokens), plain and streamed.  The name of
a model carries the knobs, so that they pass through whatever stands between:

    fake-50ms-i100-o100-c10-g5    50 ms, 100 tokens in, 100 out in 10 chunks, 5 ms between them
    -e503                         answers with this status
    -b3, -h3                      cuts the connection after 3 chunks, or after half of the next one
    -s40, -w20, -r30              input tokens from the cache, and written to it; output that is reasoning
    -unone -uzero -uchoices -urepeat -uevery
                                  usage: never; explicit zeros; in a chunk with choices; several times; in every chunk
    -xhtml -xgarbage -xerror -xgzip -xendless -xsilent -xcut -xbare -xunclosed -xfails -xplain -xempty -xdetail
    -xhollow -xnamed -xfailed -xchoice
                                  a page; no JSON; an error with status 200; compressed; without end; no word more;
                                  a stream that ends in good order in the middle of its answer; the same without
                                  the last line's end; a whole one whose connection is cut after its last word; one
                                  that says an error, and its last word after that; a plain answer, whatever was asked;
                                  an empty object, or a last word alone; the words of a server that has no such route;
                                  all of an answer but the answer; an error that is one by the name of its event alone;
                                  a plain response whose status says that it failed; a choice that says so of itself

It keeps the limit that a call sets, as a vendor does that bills no more than its maximum.
"""

import asyncio
import gzip
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import msgspec

from leverframe.testing import vendor_answers as answers
from leverframe.testing.vendor_answers import Frame, Knobs, knobs_of

_MAX_BODY_BYTES: Final = 64 << 20
_MAX_KEPT: Final = 1000
_LIMITS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
# Answers that are odd while they are streamed; the others are so from their first byte.
_STREAMED: Final = frozenset(
    {"endless", "silent", "cut", "bare", "unclosed", "fails", "plain", "empty", "hollow", "named", "failed", "choice"}
)
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Served(msgspec.Struct):
    """What was really served.  Tokens of an answer that was cut off count as far as they were made."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    streams: int = 0
    include_usage: int = 0
    aborted: int = 0
    errors: int = 0
    stored: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    connections: int = 0
    by_path: dict[str, int] = msgspec.field(default_factory=dict)


class TroubledVendor:
    """Serves until the block ends, in a thread of its own.

    with TroubledVendor() as vendor:
        vendor.url       # base address, for `url` of a provider: f"{vendor.url}/v1", with `private: allowed`
        vendor.served    # the referee
        vendor.bodies    # the bodies that arrived, the last thousand
    """

    def __init__(self) -> None:
        self.served = Served()
        self.bodies: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="troubled-vendor", daemon=True)

    @property
    def url(self) -> str:
        """The address, without a path."""
        return f"http://127.0.0.1:{self._port}"

    def reset(self) -> None:
        """Forget what was served."""
        self.served = Served(connections=self.served.connections)
        self.bodies.clear()
        self.headers.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            with suppress(asyncio.CancelledError):
                await self._connection(reader, writer)

        server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=_MAX_BODY_BYTES)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.served.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                line, *rest = head.split("\r\n")
                headers = dict(one.split(": ", 1) for one in rest if ": " in one)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                await self._answer(line.split(" ")[0], line.split(" ")[1].partition("?")[0], headers, body, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        if path == "/reset":
            self.reset()
        if method == "get" or path == "/reset":
            _plain(writer, 200, msgspec.json.encode(self.served) if path == "/stats" else _models())
            return
        self.bodies.append(body)
        self.headers.append(headers)
        del self.bodies[:-_MAX_KEPT], self.headers[:-_MAX_KEPT]
        asked = msgspec.json.decode(body)
        served = self.served
        served.requests += 1
        served.by_path[path] = served.by_path.get(path, 0) + 1
        served.stored += asked.get("store") is True
        served.in_flight += 1
        served.max_in_flight = max(served.max_in_flight, served.in_flight)
        try:
            limit = min((asked[name] for name in _LIMITS if asked.get(name) is not None), default=None)
            knobs = knobs_of(asked.get("model", "")).limited(limit)
            await asyncio.sleep(knobs.latency_ms / 1000)
            await self._model(path, asked, knobs, writer)
        finally:
            served.in_flight -= 1

    async def _model(self, path: str, asked: Mapping[str, object], knobs: Knobs, writer: asyncio.StreamWriter) -> None:
        model = str(asked.get("model", ""))
        if knobs.status:
            self.served.errors += 1
            _plain(writer, knobs.status, answers.error_body(path, knobs.status))
        elif knobs.answer and knobs.answer not in _STREAMED:
            _odd(writer, path, knobs.answer)
        elif path.endswith("/count_tokens"):
            _plain(writer, 200, answers.json_bytes({"input_tokens": knobs.input_tokens}))
        elif asked.get("stream") and knobs.answer not in {"plain", "failed"}:
            self.served.streams += 1
            self.served.input_tokens += knobs.input_tokens
            frames = _frames(path, model, asked, knobs, self.served)
            bent = _BENT.get(knobs.answer)
            await self._stream(frames if bent is None else bent(path, frames), knobs, writer)
        else:
            self.served.input_tokens += knobs.input_tokens
            if not path.endswith("/embeddings"):
                self.served.output_tokens += knobs.output_tokens
            _plain(writer, 200, answers.bent_body(_body(path, model, asked, knobs), knobs.answer))
        await writer.drain()

    async def _stream(self, frames: Iterator[Frame], knobs: Knobs, writer: asyncio.StreamWriter) -> None:
        writer.write(_HEAD)
        sent = 0
        try:
            for frame, tokens in frames:
                is_content = tokens > 0
                if is_content:
                    await _maybe_cut(writer, frame, sent, knobs)
                writer.write(b"%x\r\n%s\r\n" % (len(frame), frame))
                self.served.output_tokens += tokens
                sent += is_content
                await writer.drain()
                await asyncio.sleep(knobs.gap_ms / 1000)
                if knobs.answer == "silent" and is_content:
                    await asyncio.Event().wait()
                if knobs.answer == "cut" and is_content:
                    break
                while knobs.answer == "endless" and is_content:
                    writer.write(b"%x\r\n%s\r\n" % (len(frame), frame))
                    await writer.drain()
            _end(writer, knobs)
        except ConnectionAbortedError:
            # The vendor's own doing: the client sees a connection that ends in the middle.
            writer.close()
            raise
        except ConnectionError:
            self.served.aborted += 1
            raise


async def _maybe_cut(writer: asyncio.StreamWriter, frame: bytes, sent: int, knobs: Knobs) -> None:
    """Break off where the knobs say so, by ConnectionAbortedError; ConnectionResetError where the client left."""
    if sent == knobs.half_after:
        writer.write(b"%x\r\n%s\r\n" % (len(frame) // 2, frame[: len(frame) // 2]))
        await writer.drain()
    if sent in {knobs.break_after, knobs.half_after}:
        raise ConnectionAbortedError
    if writer.is_closing():
        raise ConnectionResetError


def _end(writer: asyncio.StreamWriter, knobs: Knobs) -> None:
    """The last chunk of a stream; ConnectionAbortedError where the knobs cut the connection before it."""
    if knobs.answer == "unclosed":
        raise ConnectionAbortedError
    writer.write(b"0\r\n\r\n")


def _frames(path: str, model: str, asked: Mapping[str, object], knobs: Knobs, served: Served) -> Iterator[Frame]:
    if path.endswith("/messages"):
        return answers.messages_frames(model, knobs)
    if path.endswith("/responses"):
        return answers.responses_frames(model, knobs)
    options = asked.get("stream_options")
    wants_usage = isinstance(options, dict) and bool(options.get("include_usage"))
    served.include_usage += wants_usage
    return answers.chat_frames(model, knobs, wants_usage=wants_usage)


def _bare(_path: str, frames: Iterator[Frame]) -> Iterator[Frame]:
    """The first of its text, without a line's end, and nothing after it."""
    for frame, tokens in frames:
        if tokens:
            yield frame.rstrip(b"\n"), tokens
            return
        yield frame, tokens


_BENT: Final[Mapping[str, Callable[[str, Iterator[Frame]], Iterator[Frame]]]] = {
    "bare": _bare,
    "fails": answers.failing_frames,
    "empty": answers.last_frame,
    "hollow": answers.hollow_frames,
    "named": answers.named_frames,
    "choice": answers.broken_choices,
}


def _body(path: str, model: str, asked: Mapping[str, object], knobs: Knobs) -> bytes:
    if path.endswith("/embeddings"):
        return answers.embeddings_body(model, knobs)
    tools = _tool_names(asked)
    if path.endswith("/messages"):
        return answers.messages_body(model, knobs, tools)
    if path.endswith("/responses"):
        return answers.json_bytes(answers.responses_value(model, knobs, tools))
    return answers.chat_body(model, knobs, tools)


def _tool_names(asked: Mapping[str, object]) -> list[str]:
    names = []
    tools = asked.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        inner = tool.get("function", tool) if isinstance(tool, dict) else {}
        names.append(str(inner.get("name", "")))
    return names


def _models() -> bytes:
    return answers.json_bytes({"object": "list", "data": [{"id": "fake-0ms", "object": "model"}]})


def _odd(writer: asyncio.StreamWriter, path: str, kind: str) -> None:
    """Answers that are none."""
    match kind:
        case "html":
            _plain(writer, 200, b"<html>A page of a proxy.</html>", "text/html")
        case "gzip":
            _plain(writer, 200, gzip.compress(b"0" * (1 << 24)), more=b"content-encoding: gzip\r\n")
        case "detail":
            _plain(writer, 200, b'{"detail": "Not Found"}')
        case "error":
            _plain(writer, 200, answers.error_body(path, 200))
        case _:
            _plain(writer, 200, b'{"choices": [')


def _plain(
    writer: asyncio.StreamWriter, status: int, body: bytes, kind: str = "application/json", more: bytes = b""
) -> None:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n".encode()
    writer.write(head + more + b"\r\n" + body)
