"""A model vendor on a loopback port, which speaks the OpenAI wire and answers by script."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from leverframe.core import canonical
from leverframe.domain.json import Json, JsonObject
from leverframe.testing.loopback import Asked, LoopbackServer, OnLoopback, Served


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One answer of the script."""

    status: int = 200
    text: str = ""
    tool_calls: tuple[tuple[str, str], ...] = ()  # name, arguments as the model wrote them
    finish_reason: str = ""
    input_tokens: int = 10
    output_tokens: int = 5
    headers: tuple[tuple[str, str], ...] = ()
    body: JsonObject = field(default_factory=dict)  # instead of everything above, where it is given


def say(text: str, *, input_tokens: int = 10, output_tokens: int = 5) -> Line:
    """The model says this."""
    return Line(text=text, input_tokens=input_tokens, output_tokens=output_tokens)


def use_tool(name: str, arguments: JsonObject | str) -> Line:
    """The model asks for one tool; a text is sent as it is, which need not be JSON."""
    written = arguments if isinstance(arguments, str) else canonical.encode(arguments).decode()
    return Line(tool_calls=((name, written),))


def stumble(status: int, message: str = "scripted", **headers: str) -> Line:
    """The vendor answers with an error."""
    body: JsonObject = {"error": {"message": message, "type": "scripted"}}
    return Line(status=status, headers=tuple(headers.items()), body=body)


class ScriptedModel(OnLoopback):
    """Plays its lines one after the other, the last one again and again.

    with ScriptedModel(use_tool("lookup_order", {"order_id": "#1"}), say("Done.")) as model:
        model.url       # for `url` of a provider with `wire: openai` and `private: allowed`
        model.requests  # the bodies that arrived, parsed
    """

    def __init__(self, *lines: Line) -> None:
        self._lines = lines or (say("ok"),)
        self._asked: list[Asked] = []
        self._lock = threading.Lock()
        self._server = LoopbackServer(self._serve)

    @property
    def url(self) -> str:
        """The base URL, up to `/v1`."""
        return f"{self._server.url}/v1"

    @property
    def requests(self) -> Sequence[JsonObject]:
        """The bodies that arrived, in order."""
        return [_object(canonical.decode(asked.body)) for asked in self._asked]

    @property
    def asked(self) -> Sequence[Asked]:
        """The requests that arrived, in order, with their headers."""
        return list(self._asked)

    def _serve(self, asked: Asked) -> Served:
        if asked.path != "/v1/chat/completions":
            return Served(status=404, body=canonical.encode({"error": {"message": f"no {asked.path}"}}))
        with self._lock:
            line = self._lines[min(len(self._asked), len(self._lines) - 1)]
            self._asked.append(asked)
        model = _object(canonical.decode(asked.body)).get("model", "")
        body = line.body or _completion(line, model)
        return Served(status=line.status, body=canonical.encode(body), headers=dict(line.headers))


def _completion(line: Line, model: Json) -> JsonObject:
    calls: list[Json] = [
        {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for index, (name, arguments) in enumerate(line.tool_calls)
    ]
    message: dict[str, Json] = {"role": "assistant", "content": line.text or None}
    if calls:
        message["tool_calls"] = calls
    finish = line.finish_reason or ("tool_calls" if calls else "stop")
    total = line.input_tokens + line.output_tokens
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 1_767_225_600,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": line.input_tokens, "completion_tokens": line.output_tokens, "total_tokens": total},
    }


def _object(value: Json) -> JsonObject:
    if not isinstance(value, dict):
        raise TypeError("the request of a model is a JSON object")
    return value
