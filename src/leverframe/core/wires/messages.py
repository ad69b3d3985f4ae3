"""Anthropic Messages and count_tokens: a call is read.

Source: Anthropic API reference, messages (create, count_tokens, tool use, prompt caching), 2025-11.
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
from leverframe.core.wires.strict import Fields
from leverframe.domain.relays import Admitted, RelayCall, WireFormat

TIERS: Final = frozenset({"auto", "standard_only"})
THREAD: Final = "thread"
WITH_TOOLS: Final = 1024  # what the vendor writes about tools before them: 700 tokens at most
_COUNTED: Final = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "output_format"}
    | {"cache_control", "mcp_servers", "container"}
)
_KNOWN: Final = _COUNTED | {
    "max_tokens",
    "metadata",
    "service_tier",
    "stop_sequences",
    "stream",
    THREAD,
    "temperature",
    "top_k",
    "top_p",
}
_MESSAGE: Final = frozenset({"role", "content"})
_TOOL: Final = frozenset(
    {"name", "description", "input_schema", "type", "cache_control", "strict", "input_examples"}
    | {"defer_loading", "eager_input_streaming", "allowed_callers"}
)
_CACHED: Final = frozenset({"type", "cache_control"})
_THREAD: Final = frozenset({"type", "previous_message_id"})


def read(body: bytes, top: Fields, admitted: Admitted) -> RelayCall:
    """The call of a body that `strict.read_object` took.

    Raises:
        WireRefused: a field is unknown, of the wrong type, or asks for what the contract does not admit.
    """
    return _read(WireFormat.MESSAGES, body, top, admitted)


def read_count(body: bytes, top: Fields, admitted: Admitted) -> RelayCall:
    """A call that only counts.

    Raises:
        WireRefused: as `read`.
    """
    return _read(WireFormat.COUNT, body, top, admitted)


def _read(wire: WireFormat, body: bytes, top: Fields, admitted: Admitted) -> RelayCall:
    known = _KNOWN if wire is WireFormat.MESSAGES else _COUNTED
    tally = Tally(admitted)
    tally.known(top, known, "")
    model = text_at(top, "model")
    system = top.get("system")
    if isinstance(system, str):
        tally.text(system, "system")
    elif system is not None:
        _content(system, "system", tally)
    _messages(top.get("messages"), tally)
    if top.get("tools") is not None:
        _tools(top["tools"], tally)
    if top.get("container") is not None:
        tally.state("containers", "container")
    if top.get(THREAD) is not None:
        _thread(object_at(top[THREAD], THREAD), tally)
    if top.get("mcp_servers"):
        tally.vendor_tool("mcp", "mcp_servers")
    refuse_tier(top, TIERS)
    for name in ("output_config", "output_format", *(top.keys() - known)):
        if top.get(name) is not None:
            tally.opaque(top[name])
    # An escape may spell what is looked for.
    may_cache = b'cache_control"' in body or b"\\u" in body
    return RelayCall(
        wire=wire,
        body=body,
        model=model,
        is_stream=flag_at(top, "stream"),
        max_output_tokens=count_at(top, "max_tokens"),
        min_output_tokens=_least(top.get("thinking")),
        input_bound=tally.tokens,
        images=tally.images,
        documents=tally.documents,
        has_cache_writes=may_cache,
        has_hour_cache=may_cache and (b"1h" in body or b"\\u" in body),
        tool_names=tuple(tally.tool_names),
        vendor_tools=tuple(tally.vendor_tools),
        fields=frozenset(top),
        keeps=frozenset(tally.keeps),
        sealed_ids=tuple(tally.sealed_ids),
    )


def _thread(thread: Fields, tally: Tally) -> None:
    """A conversation that the vendor holds, begun or gone on with."""
    tally.known(thread, _THREAD, THREAD)
    tally.state("threads", THREAD)
    if thread.get("type") != "create":
        tally.sealed_ids.append(text_at(thread, "previous_message_id", THREAD))


def _least(thinking: object) -> int:
    """With a budget for thinking the vendor refuses a limit that leaves nothing beside it."""
    if thinking is None:
        return 1
    budget = count_at(object_at(thinking, "thinking"), "budget_tokens")
    return 1 if budget is None else budget + 1


def _messages(value: object, tally: Tally) -> None:
    for index, message in enumerate(list_at(value, "messages")):
        path = f"messages[{index}]"
        fields = object_at(message, path)
        tally.known(fields, _MESSAGE, path)
        text_at(fields, "role", path)
        tally.tokens += PER_MESSAGE
        content = fields.get("content")
        if isinstance(content, str):
            tally.text(content, f"{path}.content")
        else:
            _content(content, f"{path}.content", tally)


def _content(value: object, path: str, tally: Tally) -> None:
    for index, block in enumerate(list_at(value, path)):
        _block(object_at(block, f"{path}[{index}]"), f"{path}[{index}]", tally)


def _block(block: Fields, path: str, tally: Tally) -> None:
    match block.get("type"):
        case "text":
            tally.known(block, _CACHED | {"text", "citations"}, path)
            tally.text(block.get("text"), f"{path}.text")
            if block.get("citations") is not None:
                tally.opaque(block["citations"])
        case "image":
            tally.known(block, _CACHED | {"source"}, path)
            _source(block.get("source"), f"{path}.source", tally)
            tally.images += 1
        case "document":
            _document(block, path, tally)
        case "tool_use":
            tally.known(block, _CACHED | {"id", "name", "input", "caller"}, path)
            tally.opaque([block.get("id"), block.get("name"), block.get("input")])
            tally.tokens += PER_TOOL_USE
        case "tool_result":
            _tool_result(block, path, tally)
        case "thinking":
            tally.known(block, frozenset({"type", "thinking", "signature"}), path)
            tally.opaque([block.get("thinking"), block.get("signature")])
        case "redacted_thinking":
            tally.known(block, frozenset({"type", "data"}), path)
            tally.opaque(block.get("data"))
        case "search_result":
            tally.known(block, _CACHED | {"source", "title", "content", "citations"}, path)
            tally.opaque([block.get("source"), block.get("title"), block.get("citations")])
            _content(block.get("content"), f"{path}.content", tally)
        case other:
            _vendor_block(str(other), block, path, tally)


def _tool_result(block: Fields, path: str, tally: Tally) -> None:
    tally.known(block, _CACHED | {"tool_use_id", "content", "is_error"}, path)
    tally.tokens += PER_TOOL_USE
    tally.text(block.get("tool_use_id"), f"{path}.tool_use_id")
    content = block.get("content")
    if isinstance(content, str):
        tally.text(content, f"{path}.content")
    elif content is not None:
        _content(content, f"{path}.content", tally)


def _vendor_block(kind: str, block: Fields, path: str, tally: Tally) -> None:
    """What a tool of the vendor left in an earlier turn: it passes where that tool does."""
    if kind == "container_upload":
        tally.state("files", f"{path}.type")
    elif kind == "server_tool_use":
        _earlier(str(block.get("name")), path, tally)
    elif kind.endswith("_tool_result") or kind == "mcp_tool_use":
        _earlier("mcp" if kind.startswith("mcp_") else kind.removesuffix("_tool_result"), path, tally)
    else:
        wrong_type(f"{path}.type", f"a kind of content that is known here, but {kind[:40]!r}")
    tally.opaque(block)


def _earlier(name: str, path: str, tally: Tally) -> None:
    if name not in tally.admitted.vendor_tools:
        tally.vendor_tool(name, f"{path}.type")


def _source(value: object, path: str, tally: Tally) -> None:
    source = object_at(value, path)
    match source.get("type"):
        case "base64":
            text_at(source, "data", path)
        case "url":
            tally.url(source.get("url"), f"{path}.url")
        case "file":
            tally.state("files", f"{path}.file_id")
        case _:
            wrong_type(f"{path}.type", "base64")


def _document(block: Fields, place: str, tally: Tally) -> None:
    tally.known(block, _CACHED | {"source", "title", "context", "citations"}, place)
    tally.opaque([block.get("title"), block.get("context")])
    path = f"{place}.source"
    source = object_at(block.get("source"), path)
    match source.get("type"):
        case "text":
            tally.text(source.get("data"), f"{path}.data")
        case "content":
            content = source.get("content")
            if isinstance(content, str):
                tally.text(content, f"{path}.content")
            else:
                _content(content, f"{path}.content", tally)
        case _:
            _source(source, path, tally)
            # What is packed in a document unpacks to more than its bytes.
            tally.documents += 1


def _tools(value: object, tally: Tally) -> None:
    tools = list_at(value, "tools")
    for index, one in enumerate(tools):
        path = f"tools[{index}]"
        tool = object_at(one, path)
        kind = tool.get("type")
        if kind is None or kind == "custom":
            tally.known(tool, _TOOL, path)
            tally.function(tool.get("name"), f"{path}.name")
        else:
            tally.vendor_tool(str(kind), path, count_at(tool, "max_uses"))
        tally.tokens += PER_TOOL
    tally.opaque(tools)
    tally.tokens += WITH_TOOLS
