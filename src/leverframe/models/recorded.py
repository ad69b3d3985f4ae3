"""Models that play back what a file says: for a first try without an account, and for tests.

The file has one JSON object a line:

    {"request": {"turn": 0, "last_user": "blender"},
     "answer": {"text": "", "tool_calls": [{"name": "lookup_order", "arguments": {"order_id": "#1"}}],
                "usage": {"input_tokens": 210, "output_tokens": 18}}}

`turn` is the number of answers that the model has given in this conversation; `last_user`, where it stands, is a part
of the last message of role user.  The first line that fits is the answer.  The same request has the same answer, and
every answer says that it is recorded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from leverframe.core import canonical
from leverframe.core.nearest import nearest
from leverframe.domain.calls import ModelAnswer, ModelBound, ModelLost, ModelOk, ModelRequest, Role, ToolUse
from leverframe.domain.contracts import Provider
from leverframe.domain.errors import ConfigInvalid, JsonInvalid, Problem, ProviderUnavailable
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.money import MicroUsd
from leverframe.ports.acting import ModelCaller

MAX_FILE_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One line of the file, parsed."""

    line: int
    turn: int
    last_user: str
    text: str
    tool_uses: tuple[ToolUse, ...]
    input_tokens: int
    output_tokens: int


class RecordedModel(ModelCaller):
    """Answers from one file, which is read once, at the first request."""

    def __init__(self, provider: Provider, root: Path) -> None:
        self._path = root / provider.file
        self._file = provider.file
        self._recordings: tuple[Recording, ...] | None = None

    def bound(self, request: ModelRequest) -> ModelBound:
        """Exactly what the answer takes, since it is known; nothing where none fits.  A recording costs nothing.

        Raises:
            ProviderUnavailable: the file cannot be read.
            ConfigInvalid: a line of it is not a recording.
        """
        found = self._find(request)
        if found is None:
            return ModelBound(input_tokens=0, output_tokens=0, cost=MicroUsd(0))
        return ModelBound(input_tokens=found.input_tokens, output_tokens=found.output_tokens, cost=MicroUsd(0))

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        """Play the line that fits."""
        try:
            found = self._find(request)
        except (ProviderUnavailable, ConfigInvalid) as err:
            return ModelLost(message=str(err), kind="refused", is_billed=False)
        if found is None:
            said = f"{self._file!r} has no answer for turn {turn_of(request)} of this conversation"
            return ModelLost(
                message=f"{said}; add a line for it, or name a real model in leverframe.yaml.",
                kind="refused",
                is_billed=False,
            )
        return ModelOk(
            text=found.text,
            tool_uses=found.tool_uses,
            input_tokens=found.input_tokens,
            output_tokens=found.output_tokens,
            cost=MicroUsd(0),
            finish_reason="tool_calls" if found.tool_uses else "stop",
            is_recorded=True,
        )

    async def close(self) -> None:
        """Nothing to let go of."""

    def _find(self, request: ModelRequest) -> Recording | None:
        if self._recordings is None:
            self._recordings = load_recordings(self._path, self._file)
        turn, asked = turn_of(request), _last_user(request)
        return next((one for one in self._recordings if one.turn == turn and one.last_user in asked), None)


def turn_of(request: ModelRequest) -> int:
    """How many answers the model has given in this conversation."""
    return sum(message.role is Role.ASSISTANT for message in request.messages)


def _last_user(request: ModelRequest) -> str:
    return next((message.text for message in reversed(request.messages) if message.role is Role.USER), "")


def load_recordings(path: Path, shown_as: str) -> tuple[Recording, ...]:
    """Read a file of recordings; blank lines are skipped.

    Raises:
        ProviderUnavailable: it is missing, unreadable or larger than 64 MiB.
        ConfigInvalid: lines of it are not recordings; each is named.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as err:
        raise ProviderUnavailable(
            f"The recording {shown_as!r} cannot be read: {err.strerror}.",
            next_move="Mend `file` of the provider in leverframe.yaml.",
        ) from err
    if len(data) > MAX_FILE_BYTES:
        raise ProviderUnavailable(f"The recording {shown_as!r} is larger than 64 MiB.", next_move="Split it.")
    recordings: list[Recording] = []
    problems: list[Problem] = []
    for number, line in enumerate(data.splitlines(), start=1):
        if line.strip():
            try:
                recordings.append(_recording(canonical.decode(line), number))
            except (JsonInvalid, _Misshapen) as err:
                problems.append(_problem(shown_as, number, str(err)))
    if problems:
        raise ConfigInvalid(problems)
    return tuple(recordings)


class _Misshapen(ValueError):
    """A line is JSON and not a recording."""


def _problem(path: str, line: int, message: str) -> Problem:
    return Problem(path=path, line=line, column=1, code="recording-invalid", message=message)


def _recording(value: Json, line: int) -> Recording:
    top = _object(value, "the line", {"request", "answer"})
    request = _object(top.get("request"), "request", {"turn", "last_user"})
    answer = _object(top.get("answer"), "answer", {"text", "tool_calls", "usage"})
    usage = _object(answer.get("usage", {}), "answer.usage", {"input_tokens", "output_tokens"})
    calls = answer.get("tool_calls", [])
    if not isinstance(calls, list):
        raise _Misshapen("answer.tool_calls: expected a list of {name, arguments}")
    turn = _count(request.get("turn"), "request.turn")
    return Recording(
        line=line,
        turn=turn,
        last_user=_text(request.get("last_user", ""), "request.last_user"),
        text=_text(answer.get("text", ""), "answer.text"),
        tool_uses=tuple(_tool_use(call, turn, index) for index, call in enumerate(calls)),
        input_tokens=_count(usage.get("input_tokens", 0), "answer.usage.input_tokens"),
        output_tokens=_count(usage.get("output_tokens", 0), "answer.usage.output_tokens"),
    )


def _tool_use(value: Json, turn: int, index: int) -> ToolUse:
    place = f"answer.tool_calls[{index}]"
    call = _object(value, place, {"name", "arguments"})
    arguments = _object(call.get("arguments", {}), f"{place}.arguments", None)
    name = _text(call.get("name"), f"{place}.name")
    return ToolUse(id=f"recorded_{turn}_{index}", name=name, arguments=canonical.encode(arguments).decode())


def _object(value: Json, place: str, known: set[str] | None) -> JsonObject:
    if not isinstance(value, Mapping):
        raise _Misshapen(f"{place}: expected an object")
    for key in value:
        if known is not None and key not in known:
            close = nearest(key, known)
            hint = f"did you mean {close!r}?" if close else f"known keys: {', '.join(sorted(known))}"
            raise _Misshapen(f"{place}: unknown key {key!r}; {hint}")
    return value


def _text(value: Json, place: str) -> str:
    if not isinstance(value, str):
        raise _Misshapen(f"{place}: expected a text")
    return value


def _count(value: Json, place: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _Misshapen(f"{place}: expected a whole number, zero or more")
    return value
