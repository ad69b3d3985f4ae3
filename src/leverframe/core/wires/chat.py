"""OpenAI Chat Completions: a call is read.

Source: OpenAI API reference, chat completions (create), 2025-11; the fields of vLLM, Ollama and llama.cpp beyond it
are not known here and pass only where a contract admits them.
"""

from typing import Final

from leverframe.core.wires.reading import (
    PER_MESSAGE,
    PER_TOOL,
    PER_TOOL_USE,
    Tally,
    count_at,
    flag_at,
    list_at,
    object_at,
    refuse_tier,
    text_at,
    wrong_type,
)
from leverframe.core.wires.strict import Fields, size_of
from leverframe.domain.relays import Admitted, RelayCall, WireFormat

TIERS: Final = frozenset({"auto", "default", "flex"})
_SMALL: Final = frozenset(
    {
        "model",
        "frequency_penalty",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "modalities",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "logit_bias",
    }
)
# What is shown to the model in a form of the vendor's own, and so counted by its size.
_MAX_CHOICES: Final = 128
_SHOWN: Final = frozenset({"response_format", "prediction", "audio"})
_KNOWN: Final = _SMALL | _SHOWN | {"messages", "tools", "functions", "function_call", "web_search_options"}
_PLAIN: Final = _KNOWN - _SHOWN  # what is no text to a model, or is counted by itself
# `parsed` is what the vendor's own SDKs made of `content` (`chat.completions.parse`), and they send it back with it.
_MESSAGE: Final = frozenset(
    {"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "audio", "function_call", "annotations"}
    | {"parsed"}
)
_STREAM_OPTIONS: Final = frozenset({"include_usage", "include_obfuscation"})
_FUNCTION_TOOL: Final = frozenset({"type", "function"})
_CUSTOM_TOOL: Final = frozenset({"type", "custom"})


def read(body: bytes, top: Fields, admitted: Admitted) -> RelayCall:
    """The call of a body that `strict.read_object` took.

    Raises:
        WireRefused: a field is unknown, of the wrong type, or asks for what the contract does not admit.
    """
    tally = Tally(admitted)
    tally.known(top, _KNOWN, "")
    model = text_at(top, "model")
    _messages(top.get("messages"), tally)
    if "tools" in top or "functions" in top:
        _tools(top, tally)
    refuse_tier(top, TIERS)
    if flag_at(top, "store") and "store" in admitted.state:
        tally.keeps.add("store")
    if top.get("web_search_options") is not None:
        tally.vendor_tool("web_search", "web_search_options")
    if not top.keys() <= _PLAIN:
        for name in top.keys() - _PLAIN:
            tally.opaque(top[name])
    limit, has_audio_answer = _limit(top), _has_audio_answer(top)
    if has_audio_answer and "audio" in admitted.state:
        tally.keeps.add("audio")
    is_stream = flag_at(top, "stream")
    return RelayCall(
        wire=WireFormat.CHAT,
        body=body,
        model=model,
        is_stream=is_stream,
        wants_usage=not is_stream or _wants_usage(top.get("stream_options"), tally),
        max_output_tokens=limit,
        extra_output_tokens=size_of(top["prediction"]) if top.get("prediction") is not None else 0,
        choices=count_at(top, "n", maximum=_MAX_CHOICES) or 1,
        input_bound=tally.tokens,
        images=tally.images,
        audio_bytes=tally.audio_bytes,
        has_far_audio=tally.has_far_audio,
        documents=tally.documents,
        has_audio_answer=has_audio_answer,
        has_cache_writes=True,
        tool_names=tuple(tally.tool_names),
        vendor_tools=tuple(tally.vendor_tools),
        keeps=frozenset(tally.keeps),
        sealed_ids=tuple(tally.sealed_ids),
        fields=frozenset(top),
    )


def _limit(top: Fields) -> int | None:
    """The larger of the two limits, since some vendors take the one and some the other."""
    old, new = count_at(top, "max_tokens"), count_at(top, "max_completion_tokens")
    if old is None or new is None:
        return new if old is None else old
    return max(old, new)


def _wants_usage(value: object, tally: Tally) -> bool:
    if value is None:
        return False
    options = object_at(value, "stream_options")
    tally.known(options, _STREAM_OPTIONS, "stream_options")
    return flag_at(options, "include_usage")


def _has_audio_answer(top: Fields) -> bool:
    modalities = top.get("modalities")
    if modalities is None:
        return False
    return any(one != "text" for one in list_at(modalities, "modalities"))


def _messages(value: object, tally: Tally) -> None:
    for index, message in enumerate(list_at(value, "messages")):
        if not isinstance(message, dict):
            wrong_type(f"messages[{index}]", "an object")
        content = message.get("content")
        tally.tokens += PER_MESSAGE
        if type(content) is str and content.isascii():
            tally.tokens += len(content)
            # The usual message has nothing else to look at.
            if len(message) == 2 and type(message.get("role")) is str:  # noqa: PLR2004 role and content
                continue
        _message(message, f"messages[{index}]", tally)


def _message(message: Fields, path: str, tally: Tally) -> None:
    tally.known(message, _MESSAGE, path)
    text_at(message, "role", path)
    content = message.get("content")
    if isinstance(content, str):
        if not content.isascii():
            tally.text(content, f"{path}.content")
    elif content is not None:
        for index, part in enumerate(list_at(content, f"{path}.content")):
            _part(object_at(part, f"{path}.content[{index}]"), f"{path}.content[{index}]", tally)
    calls = message.get("tool_calls")
    if calls is not None:
        for call in list_at(calls, f"{path}.tool_calls"):
            tally.opaque(call)
            tally.tokens += PER_TOOL_USE
    # An earlier spoken answer is known to the vendor by its id, and is heard again.
    if message.get("audio") is not None:
        tally.state("audio", f"{path}.audio")
        tally.has_far_audio = True
        tally.sealed_ids.append(text_at(object_at(message["audio"], f"{path}.audio"), "id", f"{path}.audio"))
    for name in message.keys() - {"role", "content", "tool_calls", "audio"}:
        if message[name] is not None:
            tally.opaque(message[name])


def _part(part: Fields, path: str, tally: Tally) -> None:
    match part.get("type"):
        case "text":
            tally.known(part, {"type", "text", "cache_control"}, path)
            tally.text(part.get("text"), f"{path}.text")
        case "refusal":
            tally.known(part, {"type", "refusal"}, path)
            tally.text(part.get("refusal"), f"{path}.refusal")
        case "image_url":
            tally.known(part, {"type", "image_url", "cache_control"}, path)
            image = object_at(part.get("image_url"), f"{path}.image_url")
            tally.known(image, {"url", "detail"}, f"{path}.image_url")
            tally.url(image.get("url"), f"{path}.image_url.url")
            tally.images += 1
        case "input_audio":
            tally.known(part, {"type", "input_audio"}, path)
            sound = object_at(part.get("input_audio"), f"{path}.input_audio")
            tally.known(sound, {"data", "format"}, f"{path}.input_audio")
            tally.sound(sound, f"{path}.input_audio")
        case "file":
            tally.known(part, {"type", "file"}, path)
            file = object_at(part.get("file"), f"{path}.file")
            tally.known(file, {"file_data", "filename", "file_id"}, f"{path}.file")
            if file.get("file_id") is not None:
                tally.state("files", f"{path}.file.file_id")
            if "://" in str(file.get("file_data"))[:32]:
                tally.url(file["file_data"], f"{path}.file.file_data")
            tally.documents += 1
        case other:
            wrong_type(f"{path}.type", f"a kind of content that is known here, but {str(other)[:40]!r}")


def _tools(top: Fields, tally: Tally) -> None:
    tools = top.get("tools")
    if tools is not None:
        for index, value in enumerate(list_at(tools, "tools")):
            tool = object_at(value, f"tools[{index}]")
            kind = tool.get("type")
            if kind == "function" or kind == "custom":  # noqa: PLR1714 a set is slower, and this is a hot path
                tally.known(tool, _FUNCTION_TOOL if kind == "function" else _CUSTOM_TOOL, f"tools[{index}]")
                inner = object_at(tool.get(kind), f"tools[{index}].{kind}")
                tally.function(inner.get("name"), f"tools[{index}].{kind}.name")
            else:
                tally.vendor_tool(str(kind), f"tools[{index}]")
            tally.tokens += PER_TOOL
        tally.opaque(tools)
    functions = top.get("functions")
    if functions is not None:
        for index, value in enumerate(list_at(functions, "functions")):
            tally.function(object_at(value, f"functions[{index}]").get("name"), f"functions[{index}].name")
            tally.tokens += PER_TOOL
        tally.opaque(functions)
