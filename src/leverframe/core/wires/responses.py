"""OpenAI Responses: a call is read.

Source: OpenAI API reference, responses (create), 2025-11.
"""

from typing import Final

from leverframe.core.wires.chat import TIERS
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
from leverframe.core.wires.strict import Fields
from leverframe.domain.relays import Admitted, RelayCall, WireFormat

_STATE: Final = {
    "previous_response_id": "previous_response_id",
    "conversation": "conversation",
    "prompt": "prompt",
}
_SMALL: Final = frozenset(
    {"model", "include", "max_output_tokens", "max_tool_calls", "metadata", "parallel_tool_calls", "prompt_cache_key"}
    | {"prompt_cache_retention", "reasoning", "safety_identifier", "service_tier", "store", "stream", "stream_options"}
    | {"temperature", "tool_choice", "top_logprobs", "top_p", "truncation", "user", "background"}
)
_KNOWN: Final = _SMALL | _STATE.keys() | {"input", "instructions", "text", "tools"}
_FUNCTION_TOOL: Final = frozenset({"type", "name", "description", "parameters", "strict"})
_CUSTOM_TOOL: Final = frozenset({"type", "name", "description", "format"})
# What an agent did itself and tells the model, item by item.
_OWN_ITEMS: Final = {
    "function_call": frozenset({"type", "id", "call_id", "name", "arguments", "status", "namespace"}),
    "function_call_output": frozenset({"type", "id", "call_id", "output", "status"}),
    "custom_tool_call": frozenset({"type", "id", "call_id", "name", "input", "status"}),
    "custom_tool_call_output": frozenset({"type", "id", "call_id", "output", "status"}),
    "reasoning": frozenset({"type", "id", "summary", "content", "encrypted_content", "status"}),
}
_MESSAGE: Final = frozenset({"type", "role", "content", "id", "status", "phase"})
# Items of tools that the vendor runs, by the tool that leaves them.
_VENDOR_ITEMS: Final = {
    "web_search_call": "web_search",
    "file_search_call": "file_search",
    "code_interpreter_call": "code_interpreter",
    "image_generation_call": "image_generation",
    "computer_call": "computer_use_preview",
    "computer_call_output": "computer_use_preview",
    "local_shell_call": "local_shell",
    "local_shell_call_output": "local_shell",
    "shell_call": "shell",
    "shell_call_output": "shell",
    "apply_patch_call": "apply_patch",
    "apply_patch_call_output": "apply_patch",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcp",
    "mcp_approval_request": "mcp",
    "mcp_approval_response": "mcp",
}


def read(body: bytes, top: Fields, admitted: Admitted) -> RelayCall:
    """The call of a body that `strict.read_object` took.

    Raises:
        WireRefused: a field is unknown, of the wrong type, or asks for what the contract does not admit.
    """
    tally = Tally(admitted)
    tally.known(top, _KNOWN, "")
    model = text_at(top, "model")
    _state(top, tally)
    if flag_at(top, "background"):
        tally.state("background", "background")
    if (flag_at(top, "store") or top.get("store") is None) and "store" in admitted.state:
        tally.keeps.add("store")
    if top.get("instructions") is not None:
        tally.text(top["instructions"], "instructions")
    _input(top.get("input"), tally)
    if top.get("tools") is not None:
        _tools(top["tools"], count_at(top, "max_tool_calls"), tally)
    refuse_tier(top, TIERS)
    for name in ("text", *(top.keys() - _KNOWN)):
        if top.get(name) is not None:
            tally.opaque(top[name])
    return RelayCall(
        wire=WireFormat.RESPONSES,
        body=body,
        model=model,
        is_stream=flag_at(top, "stream"),
        max_output_tokens=count_at(top, "max_output_tokens"),
        input_bound=tally.tokens,
        images=tally.images,
        audio_bytes=tally.audio_bytes,
        has_far_audio=tally.has_far_audio,
        documents=tally.documents,
        has_cache_writes=True,
        tool_names=tuple(tally.tool_names),
        vendor_tools=tuple(tally.vendor_tools),
        fields=frozenset(top),
        keeps=frozenset(tally.keeps),
        sealed_ids=tuple(tally.sealed_ids),
    )


def _state(top: Fields, tally: Tally) -> None:
    for name, word in _STATE.items():
        if top.get(name) is not None:
            tally.state(word, name)
    if top.get("previous_response_id") is not None:
        tally.sealed_ids.append(text_at(top, "previous_response_id"))
    if top.get("prompt") is not None:
        variables = object_at(top["prompt"], "prompt").get("variables")
        for name, value in (object_at(variables, "prompt.variables") if variables is not None else {}).items():
            # Besides texts these may be all that a message may hold.
            if not isinstance(value, str):
                path = f"prompt.variables.{name[:80]}"
                _part(object_at(value, path), path, tally)


def _input(value: object, tally: Tally) -> None:
    if value is None:
        return  # with a stored prompt there need not be any; without, the vendor says so
    if isinstance(value, str):
        tally.text(value, "input")
        return
    for index, item in enumerate(list_at(value, "input")):
        tally.tokens += PER_MESSAGE
        _item(object_at(item, f"input[{index}]"), f"input[{index}]", tally)


def _item(item: Fields, path: str, tally: Tally) -> None:
    kind = item.get("type", "message" if "role" in item else None)
    if kind == "message":
        tally.known(item, _MESSAGE, path)
        text_at(item, "role", path)
        content = item.get("content")
        if isinstance(content, str):
            tally.text(content, f"{path}.content")
        else:
            _parts(content, f"{path}.content", tally)
        return
    if kind == "item_reference":
        tally.state("previous_response_id", f"{path}.id")
        tally.sealed_ids.append(text_at(item, "id", path))
        return
    if not isinstance(kind, str):
        wrong_type(f"{path}.type", "a text")
    if kind in _OWN_ITEMS:
        tally.known(item, _OWN_ITEMS[kind], path)
        tally.tokens += PER_TOOL_USE
        output = item.get("output")
        if isinstance(output, list):
            _parts(output, f"{path}.output", tally)
            tally.opaque({name: value for name, value in item.items() if name != "output"})
        else:
            tally.opaque(item)
    elif kind in _VENDOR_ITEMS:
        if _VENDOR_ITEMS[kind] not in tally.admitted.vendor_tools:
            tally.vendor_tool(_VENDOR_ITEMS[kind], f"{path}.type")
        if kind == "computer_call_output":
            _image(object_at(item.get("output"), f"{path}.output"), f"{path}.output", tally)
        tally.opaque(item)
    else:
        wrong_type(f"{path}.type", f"a kind of item that is known here, but {kind[:40]!r}")


def _parts(value: object, path: str, tally: Tally) -> None:
    for index, part in enumerate(list_at(value, path)):
        _part(object_at(part, f"{path}[{index}]"), f"{path}[{index}]", tally)


def _part(part: Fields, path: str, tally: Tally) -> None:
    match part.get("type"):
        case "input_text":
            tally.known(part, {"type", "text"}, path)
            tally.text(part.get("text"), f"{path}.text")
        case "output_text":
            tally.known(part, {"type", "text", "annotations", "logprobs"}, path)
            tally.text(part.get("text"), f"{path}.text")
        case "refusal":
            tally.known(part, {"type", "refusal"}, path)
            tally.text(part.get("refusal"), f"{path}.refusal")
        case "input_image":
            tally.known(part, {"type", "image_url", "file_id", "detail"}, path)
            _image(part, path, tally)
        case "input_file":
            _file(part, path, tally)
        case "input_audio":
            tally.known(part, {"type", "input_audio"}, path)
            sound = object_at(part.get("input_audio"), f"{path}.input_audio")
            tally.known(sound, {"data", "format"}, f"{path}.input_audio")
            tally.sound(sound, f"{path}.input_audio")
        case other:
            wrong_type(f"{path}.type", f"a kind of content that is known here, but {str(other)[:40]!r}")


def _image(image: Fields, path: str, tally: Tally) -> None:
    """An image of a message, or the screenshot of a computer."""
    if image.get("file_id") is not None:
        tally.state("files", f"{path}.file_id")
    else:
        tally.url(image.get("image_url"), f"{path}.image_url")
    tally.images += 1


def _file(part: Fields, path: str, tally: Tally) -> None:
    tally.known(part, {"type", "file_data", "file_id", "file_url", "filename", "detail"}, path)
    if part.get("file_id") is not None:
        tally.state("files", f"{path}.file_id")
    if part.get("file_url") is not None:
        tally.url(part["file_url"], f"{path}.file_url")
    if "://" in str(part.get("file_data"))[:32]:
        tally.url(part["file_data"], f"{path}.file_data")
    tally.documents += 1


def _tools(value: object, max_uses: int | None, tally: Tally) -> None:
    tools = list_at(value, "tools")
    for index, one in enumerate(tools):
        path = f"tools[{index}]"
        tool = object_at(one, path)
        kind = tool.get("type")
        # A tuple: the kind is the client's word, and may be none.
        if kind in ("function", "custom"):
            tally.known(tool, _FUNCTION_TOOL if kind == "function" else _CUSTOM_TOOL, path)
            tally.function(tool.get("name"), f"{path}.name")
        else:
            tally.vendor_tool(str(kind), path, max_uses)
        tally.tokens += PER_TOOL
    tally.opaque(tools)
