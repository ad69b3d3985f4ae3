"""Answers of the OpenAI formats and of Anthropic, plain and streamed: usage, text, end.

Knows: which of several counts is the truth.  Later ones replace earlier ones and nothing is added up, so that a frame
that comes twice changes nothing; an explicit zero is a count.
Source: API references of OpenAI (chat, responses, embeddings) and Anthropic (messages, streaming), 2025-11.
"""

from json import dumps
from typing import Final, Protocol

import msgspec

from leverframe.core.wires.said import NO_MESSAGE, Said, are_counts, compacted, count, counted, error_text
from leverframe.core.wires.strict import encoded
from leverframe.domain.relays import Usage

# What is billed beside input and output, or at a higher price.
_DEAR_INPUTS: Final = ("cache_write_tokens", "audio_tokens")
_DEAR_OUTPUTS: Final = ("reasoning_tokens", "audio_tokens")
_CACHED: Final = ("cache_read_input_tokens", "cache_creation_input_tokens")
_KEPT: Final = ("ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens")
_TOOLS: Final = ("web_search_requests",)
_NO_IDS: Final[tuple[str, ...]] = ()
_MAX_IDS: Final = 100
_MAX_ID_CHARS: Final = 200


class Reading(Protocol):
    """Reads the values of one answer in one format."""

    usage: Usage | None
    error: str
    is_ended: bool  # by a word of the format, so that nothing more is to come
    said: Said

    @property
    def ids(self) -> tuple[str, ...]:
        """What it names that the vendor may keep."""
        ...

    def whole(self, body: dict[str, object]) -> None:
        """A plain answer."""
        ...

    def frame(self, value: dict[str, object]) -> bool:
        """The value of one frame; False where it only tells usage."""
        ...


class ChatReading:
    """Chat Completions, and Embeddings, which have the same usage without an answer."""

    __slots__ = ("error", "ids", "is_ended", "said", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.error = ""
        self.is_ended = False
        self.said = Said()
        self.ids = _NO_IDS

    def whole(self, body: dict[str, object]) -> None:
        """A plain answer."""
        self.error = error_text(body.get("error"))
        self.usage = openai_usage(body.get("usage"), "prompt_tokens", "completion_tokens")
        choices = body.get("choices")
        for index, choice in enumerate(choices if isinstance(choices, list) else ()):
            if isinstance(choice, dict):
                self._message(index, choice.get("message"))
                self.said.finish(choice.get("finish_reason"))
        self.is_ended = not self.error

    def frame(self, value: dict[str, object]) -> bool:
        """One chunk; False for the one that only tells usage."""
        choices = value.get("choices")
        if choices and isinstance(choices, list):
            for choice in choices:
                if isinstance(choice, dict):
                    self._choice(choice)
        found = value.get("usage")
        usage = openai_usage(found, "prompt_tokens", "completion_tokens") if found is not None else None
        if usage is not None:
            self.usage = usage
        elif self.usage is not None and choices and isinstance(choices, list) and any(map(_goes_on, choices)):
            # It was the count of what was said until then.
            self.usage = None
        failed = error_text(value.get("error"))
        self.error = failed or self.error
        return found is None or bool(choices) or bool(failed) or not isinstance(choices, list)

    def _choice(self, choice: dict[str, object]) -> None:
        delta = choice.get("delta")
        if isinstance(delta, dict):
            index, content = _key(choice.get("index")), delta.get("content")
            if content is not None:
                self.said.text(index, content)
            if len(delta) > 1 or content is None:
                self._rest(index, delta)
        reason = choice.get("finish_reason")
        if reason is not None:
            self.said.finish(reason)

    def _rest(self, index: object, delta: dict[str, object]) -> None:
        self.said.text(index, delta.get("refusal"))
        self.said.aside(delta.get("reasoning_content") or delta.get("reasoning"))
        self._spoken(delta.get("audio"))
        calls = delta.get("tool_calls")
        for position, call in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(call, dict):
                function = call.get("function") or call.get("custom")
                inner = function if isinstance(function, dict) else {}
                self.said.tool_use(
                    (index, _key(call.get("index", position))),
                    id_=call.get("id"),
                    name=inner.get("name"),
                    arguments=inner.get("arguments") or inner.get("input"),
                )
        # The older form, of one call an answer and without an id.
        one = delta.get("function_call")
        if isinstance(one, dict):
            self.said.tool_use((index,), name=one.get("name"), arguments=one.get("arguments"))

    def _spoken(self, sound: object) -> None:
        """A spoken answer, which may be gone on with by its id."""
        if not isinstance(sound, dict):
            return
        self.said.sound(sound)
        found = _id(sound)
        if found and found not in self.ids and len(self.ids) < _MAX_IDS:
            self.ids = (*self.ids, found)

    def _message(self, index: int, message: object) -> None:
        if isinstance(message, dict):
            content = message.get("content")
            for part in content if isinstance(content, list) else ():
                self.said.text(index, part.get("text") if isinstance(part, dict) else None)
            self.said.text(index, content)
            self._rest(index, message)


class ResponsesReading:
    """The Responses format; the last event holds the whole answer with its usage."""

    __slots__ = ("error", "ids", "is_ended", "said", "usage")
    # Tuples: what is looked up in them is a vendor's and may be a list, which no set can be asked for.
    # The last of them is no word of OpenAI's, and the last word of some that say they speak its format.
    _ENDS = ("response.completed", "response.incomplete", "response.failed", "response.done")
    _STATES = ("completed", "incomplete", "failed", "cancelled")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.error = ""
        self.is_ended = False
        self.said = Said()
        self.ids = _NO_IDS

    def whole(self, body: dict[str, object]) -> None:
        """A plain answer."""
        status = body.get("status")
        self.error = error_text(body.get("error")) or (NO_MESSAGE if status == "failed" else "")
        self.usage = openai_usage(body.get("usage"), "input_tokens", "output_tokens")
        self.said = Said()
        output = body.get("output")
        items = [one for one in output if isinstance(one, dict)] if isinstance(output, list) else []
        self.ids = tuple(one for one in (_id(each) for each in (body, *items[:_MAX_IDS])) if one)
        for index, item in enumerate(output if isinstance(output, list) else ()):
            if isinstance(item, dict):
                self._item(index, item)
        if self.usage is not None:
            self.usage = msgspec.structs.replace(self.usage, vendor_tool_uses=sum(map(_is_search, items)))
        self.said.finish(status)
        # One that failed is whole, and tells what it took; an error without a state is none of the format's.
        self.is_ended = status in self._STATES if self.error else status not in ("in_progress", "queued")

    def frame(self, value: dict[str, object]) -> bool:
        """One event."""
        kind = value.get("type")
        if kind == "response.output_text.delta":
            self.said.text((_key(value.get("output_index")), _key(value.get("content_index"))), value.get("delta"))
        elif kind in self._ENDS:
            response = value.get("response")
            usage, streamed, error = self.usage, self.said, self.error
            if isinstance(response, dict):
                self.whole(response)
                if not response.get("output"):
                    # One that failed, or was cut short, need not repeat what it has said.
                    streamed.finish(self.said.finish_reason)
                    self.said = streamed
            if kind == "response.failed":
                self.error = self.error or NO_MESSAGE
            if self.error in ("", NO_MESSAGE):
                # What was said of it before stays, whatever the last word makes of it.
                self.error = error or self.error
            # Each word of the end is an end, whatever it says; and a later one without usage takes none away.
            self.usage, self.is_ended = self.usage or usage, True
        elif kind == "error" or (kind is None and value.get("error")):
            # The vendor's own library raises at any frame with an `error`, whatever else is missing in it.
            self.error = error_text(value.get("error") or value)
        elif isinstance(kind, str) and kind.endswith(".delta"):
            self.said.aside(value.get("delta"))
        return True

    def _item(self, index: int, item: dict[str, object]) -> None:
        if item.get("type") in ("function_call", "custom_tool_call"):
            self.said.tool_use(
                index,
                id_=item.get("call_id"),
                name=item.get("name"),
                arguments=item.get("arguments") or item.get("input"),
            )
            return
        content = item.get("content")
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict):
                self.said.text(index, part.get("text") or part.get("refusal"))


class MessagesReading:
    """Anthropic Messages.  `message_delta` is the truth; it and `message_start` do not add up."""

    __slots__ = ("_counts", "_is_output_told", "error", "ids", "is_ended", "said", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.error = ""
        self.is_ended = False
        self.said = Said()
        self.ids = _NO_IDS
        self._counts: dict[str, object] = {}
        self._is_output_told = False  # by a delta: the start counts what was written before anything was

    def whole(self, body: dict[str, object]) -> None:
        """A plain answer; of count_tokens too, which has no usage."""
        self.error = error_text(body.get("error"))
        self.usage = anthropic_usage(body.get("usage"))
        self._name(body)
        content = body.get("content")
        for index, block in enumerate(content if isinstance(content, list) else ()):
            if isinstance(block, dict):
                self._block(index, block)
                if block.get("type") == "tool_use" and block.get("input") is not None:
                    self.said.tool_use(index, arguments=_compact(block["input"]))
        self.said.finish(body.get("stop_reason"))
        self.is_ended = not self.error

    def frame(self, value: dict[str, object]) -> bool:
        """One event."""
        match value.get("type"):
            case "content_block_delta":
                self._delta(_key(value.get("index")), value.get("delta"))
            case "content_block_start":
                block = value.get("content_block")
                if isinstance(block, dict):
                    self._block(_key(value.get("index")), block)
            case "message_start":
                message = value.get("message")
                if isinstance(message, dict):
                    self._name(message)
                    self._count(message.get("usage"))
            case "message_delta":
                self._delta_counts(value.get("usage"))
                delta = value.get("delta")
                self.said.finish(delta.get("stop_reason") if isinstance(delta, dict) else None)
            case "message_stop":
                self.is_ended = True
                self._delta_counts(None)
            case "error":
                self.error = error_text(value.get("error") or value)
        return True

    def _name(self, message: dict[str, object]) -> None:
        """A thread is gone on with by the id of its last answer."""
        found = _id(message)
        self.ids = (found,) if found else _NO_IDS

    def _delta_counts(self, usage: object) -> None:
        self._count(usage)
        told = count(usage.get("output_tokens")) if isinstance(usage, dict) else None
        self._is_output_told = self._is_output_told or told is not None
        if not self._is_output_told:
            # Nobody counted what was written: by the start's count all of it but a token would be free.
            self.usage = None

    def _count(self, usage: object) -> None:
        if not isinstance(usage, dict):
            return
        for name, value in usage.items():
            # Input is counted once, at the start; servers that do not count again write zeros in the delta.
            is_silent = value is None or (_is_zero(value) and name != "output_tokens" and self._counts.get(name))
            if not is_silent:
                self._counts[name] = value
        # What was counted before is no count any more where the later one cannot be read.
        self.usage = anthropic_usage(self._counts)

    def _delta(self, index: object, delta: object) -> None:
        if isinstance(delta, dict):
            if delta.get("type") == "text_delta":
                self.said.text(index, delta.get("text"))
            elif delta.get("type") == "input_json_delta":
                self.said.tool_use(index, arguments=delta.get("partial_json"))

    def _block(self, index: object, block: dict[str, object]) -> None:
        if block.get("type") in ("tool_use", "server_tool_use"):
            self.said.tool_use(index, id_=block.get("id"), name=block.get("name"))
        else:
            self.said.text(index, block.get("text"))


def openai_usage(value: object, input_name: str, output_name: str) -> Usage | None:
    """The usage of an OpenAI format; None where input or output is not told and cannot be worked out.

    None too where what may be dearer than these is told and cannot be read.
    """
    if not isinstance(value, dict):
        return None
    given, made, total = count(value.get(input_name)), count(value.get(output_name)), count(value.get("total_tokens"))
    if given is None:
        given = total - made if total is not None and made is not None and total >= made else None
    if given is None or (made is None and total is None):
        return None
    # Some servers leave reasoning out of the output and put it into the total.
    made = max(made or 0, (total or 0) - given)
    inputs = value.get(f"{input_name}_details")
    outputs = value.get(f"{output_name}_details")
    if not (are_counts(inputs, _DEAR_INPUTS) and are_counts(outputs, _DEAR_OUTPUTS)):
        return None
    cached = counted(inputs, "cached_tokens") or counted(value, "prompt_cache_hit_tokens")
    return Usage(
        input_tokens=given,
        output_tokens=made,
        cached_input_tokens=min(cached, given),
        cache_write_tokens=min(counted(inputs, "cache_write_tokens"), given) if isinstance(inputs, dict) else 0,
        audio_input_tokens=min(counted(inputs, "audio_tokens"), given),
        reasoning_tokens=min(counted(outputs, "reasoning_tokens"), made),
        audio_output_tokens=min(counted(outputs, "audio_tokens"), made),
    )


def anthropic_usage(value: object) -> Usage | None:
    """The usage of an Anthropic answer, whose `input_tokens` leave out what was cached or written to the cache.

    None where input or output is not told, or what is billed beside them cannot be read.
    """
    if not isinstance(value, dict):
        return None
    value = compacted(value) if "iterations" in value else value
    fresh, made = count(value.get("input_tokens")), count(value.get("output_tokens"))
    created, tools = value.get("cache_creation"), value.get("server_tool_use")
    beside = ((value, _CACHED), (created, _KEPT), (tools, _TOOLS))
    if fresh is None or made is None or not all(are_counts(*one) for one in beside):
        return None
    read = counted(value, "cache_read_input_tokens")
    hour = counted(created, "ephemeral_1h_input_tokens")
    written = max(counted(value, "cache_creation_input_tokens"), hour + counted(created, "ephemeral_5m_input_tokens"))
    details = value.get("output_tokens_details")
    return Usage(
        input_tokens=fresh + read + written,
        output_tokens=made,
        cached_input_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=hour,
        reasoning_tokens=min(counted(details, "thinking_tokens"), made),
        vendor_tool_uses=counted(tools, "web_search_requests"),
    )


def _goes_on(choice: object) -> bool:
    """Whether a chunk of a choice says more."""
    delta = choice.get("delta") if isinstance(choice, dict) else None
    # Thinking, sound and calls of the older kind are written too, whatever their fields are called.
    return isinstance(delta, dict) and any(said for name, said in delta.items() if name != "role")


def _is_zero(value: object) -> bool:
    """Whether a count, or each of a group of them, is zero."""
    return not any(value.values()) if isinstance(value, dict) else value == 0


def _is_search(item: dict[str, object]) -> bool:
    """A search of the vendor's, which is billed by the piece; to open or read a page that was found is not."""
    action = item.get("action")
    kind = action.get("type") if isinstance(action, dict) else None
    return item.get("type") == "web_search_call" and kind not in ("open_page", "find_in_page", "find")


def _key(value: object) -> object:
    """Something that a dict takes as a key; what a vendor sends as an index may be anything."""
    return value if isinstance(value, int | str | None) else None


def _id(value: dict[str, object]) -> str:
    found = value.get("id")
    return found if isinstance(found, str) and len(found) <= _MAX_ID_CHARS and found.isprintable() else ""


def _compact(value: object) -> str:
    try:
        return encoded(value).decode()
    except UnicodeEncodeError:
        return dumps(value, ensure_ascii=False, separators=(",", ":"))
