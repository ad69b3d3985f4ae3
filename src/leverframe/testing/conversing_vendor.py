"""A vendor of models that agents can talk with, on a loopback port; its own count is the referee of spend.

It speaks OpenAI (chat, responses, embeddings, models) and Anthropic (messages, count_tokens, models), plain and
streamed, and replies as a model that keeps to what it is offered: it asks for a tool first and tells its result in
words afterwards, writes JSON that fits a wanted schema, and sees images (`conversing_calls.reply_to`).  The name of a
model carries its troubles, so that they pass through whatever stands between:

    gpt-5-mini-e429           every call is answered with this status
    gpt-5-mini-e503-f2        the first two of this name are, and later ones are answered
    gpt-5-mini-e429-a3        with `Retry-After: 3`
    gpt-5-mini-g20            20 ms between the frames of a stream
"""

import itertools
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

from leverframe.domain.json import JsonObject
from leverframe.testing import conversing_answers as answers
from leverframe.testing.conversing_answers import Frame
from leverframe.testing.conversing_calls import Reply, reply_to

_POLL_S: Final = 0.01
_KNOB: Final = re.compile(r"-([efag])(\d+)(?=-|$)")
_REQUEST_ID: Final = {"x-request-id": "req_1", "request-id": "req_1"}


@dataclass(slots=True)
class Conversed:
    """What was really served, errors left out of the tokens."""

    requests: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    by_path: Counter[str] = field(default_factory=Counter)


class ConversingVendor:
    """Serves until the block ends.

    with ConversingVendor() as vendor:
        vendor.url       # "http://127.0.0.1:40123"; a provider's `url` is this and /v1, with `private: allowed`
        vendor.served    # the referee; also GET /stats
        vendor.bodies    # the bodies that arrived, parsed
        vendor.next_statuses.append(503)    # so the next call is answered, whatever its model
    """

    def __init__(self) -> None:
        self.served = Conversed()
        self.bodies: list[JsonObject] = []
        self.headers: list[Mapping[str, str]] = []
        self.next_statuses: list[int] = []
        self.lock = threading.Lock()
        self.numbers = itertools.count(1)
        self._failed: Counter[str] = Counter()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), daemon=True)

    @property
    def url(self) -> str:
        """The address, without a path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def status_of(self, model: str, knobs: Mapping[str, int]) -> int:
        """How the next call of a model is answered."""
        with self.lock:
            if self.next_statuses:
                return self.next_statuses.pop(0)
            if "e" not in knobs:
                return 200
            self._failed[model] += 1
            return knobs["e"] if self._failed[model] <= knobs.get("f", self._failed[model]) else 200

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
    daemon_threads = True
    block_on_close = False

    def __init__(self, vendor: ConversingVendor) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.vendor = vendor


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def vendor(self) -> ConversingVendor:
        """Whose request this is."""
        assert isinstance(self.server, _Server)  # noqa: S101 no other server makes one
        return self.server.vendor

    def do_GET(self) -> None:
        """The count, or the models."""
        models: answers.Fields = {"object": "list", "data": [{"id": "gpt-5-mini", "object": "model", "created": 1}]}
        with self.vendor.lock:
            self._whole(200, asdict(self.vendor.served) if self.path == "/stats" else models)

    def do_POST(self) -> None:
        """A call."""
        asked: JsonObject = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        model = str(asked.get("model"))
        knobs = {name: int(number) for name, number in _KNOB.findall(model)}
        vendor = self.vendor
        status = vendor.status_of(model, knobs)
        with vendor.lock:
            vendor.served.requests += 1
            vendor.served.errors += status != 200  # noqa: PLR2004 the status of an answer
            vendor.served.by_path[self.path] += 1
            vendor.bodies.append(asked)
            vendor.headers.append({name.lower(): value for name, value in self.headers.items()})
        try:
            if status != 200:  # noqa: PLR2004 as above
                again = {"Retry-After": str(knobs["a"])} if "a" in knobs else {}
                self._whole(status, answers.error_body(self.path, status), again)
            else:
                self._serve(model, asked, knobs.get("g", 0) / 1000)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _serve(self, model: str, asked: JsonObject, gap_s: float) -> None:
        if self.path.endswith("/embeddings"):
            body, tokens = answers.embeddings_body(model, asked)
            self._count(tokens, 0)
            self._whole(200, body)
            return
        # Frameworks take two messages of one id for one message.
        reply = replace(reply_to(asked), number=next(self.vendor.numbers))
        if self.path.endswith("/count_tokens"):
            self._whole(200, {"input_tokens": reply.input_tokens})
        elif asked.get("stream"):
            self._count(reply.input_tokens, 0)
            self._stream(self._frames(model, asked, reply), gap_s)
        else:
            self._count(reply.input_tokens, reply.output_tokens)
            self._whole(200, self._body(model, reply))

    def _body(self, model: str, reply: Reply) -> answers.Fields:
        if self.path.endswith("/messages"):
            return answers.messages_body(model, reply)
        if self.path.endswith("/responses"):
            return answers.responses_body(model, reply)
        return answers.chat_body(model, reply)

    def _frames(self, model: str, asked: JsonObject, reply: Reply) -> Iterator[Frame]:
        if self.path.endswith("/messages"):
            return answers.messages_frames(model, reply)
        if self.path.endswith("/responses"):
            return answers.responses_frames(model, reply)
        options = asked.get("stream_options")
        return answers.chat_frames(
            model, reply, wants_usage=isinstance(options, dict) and options.get("include_usage") is True
        )

    def _stream(self, frames: Iterator[Frame], gap_s: float) -> None:
        self._head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
        for frame, tokens in frames:
            self._count(0, tokens)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(frame), frame))
            time.sleep(gap_s)
        self.wfile.write(b"0\r\n\r\n")

    def _count(self, given: int, made: int) -> None:
        with self.vendor.lock:
            self.vendor.served.input_tokens += given
            self.vendor.served.output_tokens += made

    def _whole(self, status: int, value: object, more: Mapping[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self._head(status, {"Content-Type": "application/json", "Content-Length": str(len(data)), **(more or {})})
        self.wfile.write(data)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**_REQUEST_ID, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the name of the base class
        """Say nothing: a test's output is its own."""
