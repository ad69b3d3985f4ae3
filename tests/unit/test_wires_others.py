"""Responses, Messages, count_tokens and Embeddings: what is refused, admitted, counted and set."""

import json
from dataclasses import replace

import pytest

from leverframe.core.wires import error_body, error_frame, passed_headers, read_call, upstream_body
from leverframe.core.wires.headers import returned_headers
from leverframe.domain.errors import WireRefused
from leverframe.domain.relays import NOTHING_ADMITTED, Admitted, Dialect, RelayCall, VendorTool, WireFormat

CHAT, RESPONSES, MESSAGES = WireFormat.CHAT, WireFormat.RESPONSES, WireFormat.MESSAGES
USER = {"role": "user", "content": "hi"}
BASE: dict[WireFormat, dict[str, object]] = {
    RESPONSES: {"model": "m", "input": "hi"},
    MESSAGES: {"model": "m", "max_tokens": 50, "messages": [USER]},
    WireFormat.COUNT: {"model": "m", "messages": [USER]},
    WireFormat.EMBEDDINGS: {"model": "m", "input": "hi"},
}


def written(wire: WireFormat, **fields: object) -> bytes:
    return json.dumps({**BASE[wire], **fields}).encode()


def call(wire: WireFormat, admitted: Admitted = NOTHING_ADMITTED, **fields: object) -> RelayCall:
    return read_call(wire, written(wire, **fields), admitted)


def refused(wire: WireFormat, **fields: object) -> tuple[str, str]:
    with pytest.raises(WireRefused) as caught:
        read_call(wire, written(wire, **fields))
    return caught.value.code, caught.value.param


def tools(*names: str) -> Admitted:
    return Admitted(vendor_tools=frozenset(names))


def state(*words: str) -> Admitted:
    return Admitted(state=frozenset(words))


def item(**fields: object) -> dict[str, object]:
    return {"input": [fields]}


def part(**fields: object) -> dict[str, object]:
    return {"input": [{"role": "user", "content": [fields]}]}


def block(**fields: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": [fields]}]}


URL = Admitted(remote_urls=True)
REMOTE_IMAGE = {"type": "input_image", "image_url": "https://x/?q=1"}
EFFECTS: list[tuple[WireFormat, dict[str, object], str, Admitted]] = [
    (RESPONSES, {"tools": [{"type": "web_search_preview"}]}, "vendor_tool", tools("web_search")),
    (RESPONSES, {"tools": [{"type": "code_interpreter", "container": "c"}]}, "vendor_tool", tools("code_interpreter")),
    (RESPONSES, {"tools": [{"type": "computer_use_preview"}]}, "vendor_tool", tools("computer_use")),
    (RESPONSES, {"tools": [{"type": "mcp", "server_url": "https://x"}]}, "vendor_tool", tools("mcp")),
    (RESPONSES, {"tools": [{"type": "file_search"}]}, "vendor_tool", tools("file_search")),
    (RESPONSES, item(type="mcp_approval_response", approve=True), "vendor_tool", tools("mcp")),
    (RESPONSES, {"background": True}, "vendor_state", state("background")),
    (RESPONSES, {"previous_response_id": "resp_1"}, "vendor_state", state("previous_response_id")),
    (RESPONSES, {"conversation": "conv_1"}, "vendor_state", state("conversation")),
    (RESPONSES, {"prompt": {"id": "pmpt_1"}}, "vendor_state", state("prompt")),
    (RESPONSES, item(type="item_reference", id="msg_1"), "vendor_state", state("previous_response_id")),
    (RESPONSES, part(type="input_file", file_id="file-1"), "vendor_state", state("files")),
    (RESPONSES, part(type="input_image", file_id="file-1"), "vendor_state", state("files")),
    (RESPONSES, part(type="input_image", image_url="https://x/?q=1"), "remote_url", URL),
    (RESPONSES, part(type="input_file", file_url="https://x/?q=1"), "remote_url", URL),
    (RESPONSES, part(type="input_audio", input_audio={"data": "https://x/?q=1", "format": "mp3"}), "remote_url", URL),
    (
        RESPONSES,
        item(type="function_call_output", call_id="c", output=[{"type": "input_image", "image_url": "http://x"}]),
        "remote_url",
        URL,
    ),
    (MESSAGES, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "vendor_tool", tools("web_search")),
    (MESSAGES, {"tools": [{"type": "computer_20250124", "name": "computer"}]}, "vendor_tool", tools("computer")),
    (MESSAGES, {"mcp_servers": [{"url": "https://x"}]}, "vendor_tool", tools("mcp")),
    (MESSAGES, {"container": "c_1"}, "vendor_state", state("containers")),
    (MESSAGES, {"thread": {"type": "create"}}, "vendor_state", state("threads")),
    (MESSAGES, {"thread": {"type": "continue", "previous_message_id": "m"}}, "vendor_state", state("threads")),
    (MESSAGES, block(type="image", source={"type": "url", "url": "https://x/?q"}), "remote_url", URL),
    (MESSAGES, block(type="document", source={"type": "url", "url": "https://x/?q"}), "remote_url", URL),
    (MESSAGES, block(type="document", source={"type": "file", "file_id": "f"}), "vendor_state", state("files")),
    (MESSAGES, block(type="container_upload", file_id="f"), "vendor_state", state("files")),
    (MESSAGES, block(type="server_tool_use", id="s", name="web_search"), "vendor_tool", tools("web_search")),
    (
        MESSAGES,
        block(
            type="tool_result",
            tool_use_id="t",
            content=[{"type": "image", "source": {"type": "url", "url": "http://x"}}],
        ),
        "remote_url",
        URL,
    ),
    (WireFormat.COUNT, {"mcp_servers": [{"url": "https://x"}]}, "vendor_tool", tools("mcp")),
]


@pytest.mark.parametrize(("wire", "fields", "code", "admitted"), EFFECTS)
def test_what_the_vendor_would_do_is_refused_unless_the_contract_names_it(
    wire: WireFormat, fields: dict[str, object], code: str, admitted: Admitted
) -> None:
    assert refused(wire, **fields)[0] == code
    assert call(wire, admitted, **fields).model == "m"


@pytest.mark.parametrize(
    ("wire", "fields", "expected"),
    [
        (RESPONSES, {"inputs": "x"}, ("unknown_field", "inputs")),
        (RESPONSES, item(type="message", role="user", content="x", evil=1), ("unknown_field", "input[0].evil")),
        (MESSAGES, {"speed": "fast"}, ("unknown_field", "speed")),
        (MESSAGES, {"inference_geo": "us"}, ("unknown_field", "inference_geo")),
        (MESSAGES, block(type="text", text="x", fetch=1), ("unknown_field", "messages[0].content[0].fetch")),
        (WireFormat.COUNT, {"max_tokens": 1}, ("unknown_field", "max_tokens")),
        (WireFormat.EMBEDDINGS, {"truncate": True}, ("unknown_field", "truncate")),
        (RESPONSES, {"service_tier": "priority"}, ("unpriced", "service_tier")),
        (MESSAGES, {"service_tier": "priority"}, ("unpriced", "service_tier")),
        (RESPONSES, {"input": 3}, ("wrong_type", "input")),
        (RESPONSES, {"input": [3]}, ("wrong_type", "input[0]")),
        (RESPONSES, item(type="hologram"), ("wrong_type", "input[0].type")),
        (RESPONSES, item(type=3), ("wrong_type", "input[0].type")),
        (MESSAGES, {"messages": [{"role": "user", "content": None}]}, ("wrong_type", "messages[0].content")),
        (MESSAGES, {"system": 3}, ("wrong_type", "system")),
        (
            MESSAGES,
            block(type="image", source={"type": "base64"}),
            ("wrong_type", "messages[0].content[0].source.data"),
        ),
        (MESSAGES, {"thinking": {"budget_tokens": "x"}}, ("wrong_type", "budget_tokens")),
        (WireFormat.EMBEDDINGS, {"input": [["a"]]}, ("wrong_type", "input[0]")),
    ],
)
def test_what_is_not_known_or_wrong_is_named(
    wire: WireFormat, fields: dict[str, object], expected: tuple[str, str]
) -> None:
    assert refused(wire, **fields) == expected


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"prompt": {"id": "p", "variables": {"a": "x", "b": REMOTE_IMAGE}}}, "prompt.variables.b"),
        (item(type="computer_call_output", call_id="c", output=REMOTE_IMAGE), "input[0].output"),
    ],
)
def test_an_address_is_one_wherever_the_contract_lets_it_stand(fields: dict[str, object], place: str) -> None:
    admitted = Admitted(state=frozenset({"prompt"}), vendor_tools=frozenset({"computer_use_preview"}))

    with pytest.raises(WireRefused) as err:
        call(RESPONSES, admitted, **fields)

    assert (err.value.code, err.value.param) == ("remote_url", f"{place}.image_url")
    assert call(RESPONSES, replace(admitted, remote_urls=True), **fields).images == 1


def test_an_agent_may_tell_what_it_did_itself() -> None:
    history = [
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "done"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x", "annotations": []}]},
    ]

    assert call(RESPONSES, input=history, tools=[{"type": "function", "name": "f"}]).tool_names == ("f",)

    turns = [
        USER,
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "x", "signature": "s"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "done"}]},
    ]
    assert call(MESSAGES, messages=turns, tools=[{"name": "f", "input_schema": {}}]).tool_names == ("f",)


def test_a_responses_call_is_limited_and_told_to_store_nothing() -> None:
    found = call(RESPONSES, max_output_tokens=500)

    sent = json.loads(upstream_body(found, model="m", max_output_tokens=20, dialect=Dialect.COMPATIBLE))

    assert (sent["max_output_tokens"], sent["store"]) == (20, False)
    kept = call(RESPONSES, state("store"))
    assert "store" not in json.loads(upstream_body(kept, model="m"))


def test_a_messages_call_is_limited_and_keeps_its_bytes() -> None:
    body = written(MESSAGES)
    found = read_call(MESSAGES, body)

    assert upstream_body(found, model="m", max_output_tokens=80, dialect=Dialect.ANTHROPIC) == body
    assert json.loads(upstream_body(found, model="m", max_output_tokens=20))["max_tokens"] == 20


def test_thinking_says_what_the_vendor_takes_at_least() -> None:
    assert call(MESSAGES, thinking={"type": "enabled", "budget_tokens": 1024}).min_output_tokens == 1025


def test_an_hour_of_cache_is_told_apart_however_it_is_spelt() -> None:
    cached = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    found = call(MESSAGES, system=[cached])
    spelt = written(MESSAGES, system=[cached]).replace(b"cache_control", b"cache_c\\u006fntrol")

    assert (found.has_cache_writes, found.has_hour_cache) == (True, True)
    assert read_call(MESSAGES, spelt).has_cache_writes
    assert read_call(MESSAGES, written(MESSAGES, system=[cached]).replace(b"1h", b"1\\u0068")).has_hour_cache
    assert not call(MESSAGES).has_cache_writes


def test_how_often_the_vendor_may_search_is_told() -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}

    assert call(MESSAGES, tools("web_search"), tools=[search]).vendor_tools == (
        VendorTool(name="web_search_20250305", max_uses=3),
    )
    asked = call(RESPONSES, tools("web_search"), tools=[{"type": "web_search"}], max_tool_calls=2)
    assert asked.vendor_tools == (VendorTool(name="web_search", max_uses=2),)


@pytest.mark.parametrize("uses", [-1, 0, 1.5, True, "3", 10**30])
def test_a_vendors_tool_is_used_a_whole_number_of_times_or_the_call_is_refused(uses: object) -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": uses}

    with pytest.raises(WireRefused) as err:
        call(MESSAGES, tools("web_search"), tools=[search])

    assert (err.value.code, err.value.param) == ("wrong_type", "max_uses")


def test_what_is_admitted_unknown_is_counted_for_each_text_that_it_may_stand_before() -> None:
    texts, instruction = ["a", "b", "c"], "Find what it is about: " * 100
    admitted = Admitted(fields=frozenset({"instruction"}))

    found = call(WireFormat.EMBEDDINGS, admitted, input=texts, instruction=instruction)

    assert found.input_bound >= len(texts) * len(instruction)


def test_tokens_are_counted_as_tokens() -> None:
    assert call(WireFormat.EMBEDDINGS, input=[[1, 2, 3], [4]]).input_bound < 150
    assert call(WireFormat.EMBEDDINGS, input=["é" * 100]).input_bound >= 200


@pytest.mark.parametrize(
    ("wire", "status", "kind"),
    [
        (CHAT, 429, "rate_limit_error"),
        (RESPONSES, 401, "authentication_error"),
        (CHAT, 400, "invalid_request_error"),
        (CHAT, 503, "server_error"),
        (MESSAGES, 429, "rate_limit_error"),
        (MESSAGES, 403, "permission_error"),
        (MESSAGES, 413, "request_too_large"),
        (MESSAGES, 500, "api_error"),
    ],
)
def test_a_refusal_has_the_shape_that_clients_parse(wire: WireFormat, status: int, kind: str) -> None:
    body = json.loads(error_body(wire, status=status, slug="budget-exhausted", message="no", more={"resets_at": "x"}))

    assert (body["error"]["type"], body["error"]["message"], body["error"]["resets_at"]) == (kind, "no", "x")
    assert body.get("type") == ("error" if wire is MESSAGES else None)


@pytest.mark.parametrize(("status", "word"), [(400, "thread_unsupported_request"), (404, "thread_not_found")])
def test_a_refused_thread_is_told_so_that_the_sdks_send_the_whole_conversation(status: int, word: str) -> None:
    thread, container = (
        json.loads(
            error_body(MESSAGES, status=status, slug="wire-refused", message="no", code="vendor_state", param=param)
        )["error"]
        for param in ("thread", "container")
    )

    assert thread["details"]["error_code"] == word
    assert "details" not in container


@pytest.mark.parametrize("wire", list(WireFormat))
def test_an_error_in_a_stream_is_one_whole_frame(wire: WireFormat) -> None:
    frame = error_frame(wire, status=502, slug="vendor-broke-off", message="a\nb")

    assert frame.endswith(b"\n\n")
    assert frame.count(b"\n\n") == 1
    assert json.loads(frame.split(b"data: ")[1])


def test_a_beta_that_nobody_named_does_not_pass() -> None:
    headers = {"anthropic-beta": "code-execution-2025-05-22", "x-api-key": "k", "authorization": "Bearer k"}

    with pytest.raises(WireRefused, match="code-execution"):
        passed_headers(MESSAGES, headers, NOTHING_ADMITTED)
    admitted = Admitted(fields=frozenset({"code-execution-2025-05-22"}))
    assert passed_headers(MESSAGES, headers, admitted) == {
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "code-execution-2025-05-22",
    }
    assert passed_headers(CHAT, headers, NOTHING_ADMITTED) == {}


def test_the_beta_of_threads_passes_where_the_contract_lets_the_vendor_hold_them() -> None:
    headers = {"anthropic-beta": "message-threads-2026-08-12"}

    with pytest.raises(WireRefused, match="message-threads"):
        passed_headers(MESSAGES, headers, NOTHING_ADMITTED)
    assert passed_headers(MESSAGES, headers, state("threads"))["anthropic-beta"] == "message-threads-2026-08-12"


@pytest.mark.parametrize("name", ["anthropic-version", "anthropic-beta"])
def test_a_header_that_cannot_be_sent_is_the_callers_fault_and_not_the_vendors(name: str) -> None:
    with pytest.raises(WireRefused, match="not of ASCII") as told:
        passed_headers(MESSAGES, {name: "prompt-caching-\xe9"}, NOTHING_ADMITTED)

    assert (told.value.http_status, told.value.param) == (400, name)


def test_a_header_of_the_vendor_begins_no_other_one() -> None:
    found = returned_headers({"x-request-id": "a\rset-cookie: b\x00\x1b[1m", "request-id": "c\td\xe9"})

    assert found == {"x-request-id": "a set-cookie: b  [1m", "request-id": "c\td\xe9"}
