"""A body of a workflow that is only watched: taken whatever it asks, and what its contract lacks for it is named."""

import json

import pytest

from leverframe.core.canonical import MAX_DEPTH, decode
from leverframe.core.wires import read_call, watch_call
from leverframe.core.wires.strict import MAX_DEPTH as MAX_BODY_DEPTH
from leverframe.domain.contracts import Contract, Enforce, WorkflowKind
from leverframe.domain.errors import WireRefused
from leverframe.domain.ids import WorkflowName
from leverframe.domain.policy import SourceRef
from leverframe.domain.records import replace
from leverframe.domain.relays import Admitted, WireFormat
from leverframe.gateway.readings import enforced, watched

CHAT, RESPONSES, MESSAGES = WireFormat.CHAT, WireFormat.RESPONSES, WireFormat.MESSAGES
SAID = [{"role": "user", "content": "Hi"}]
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://a.example/b"}}


@pytest.fixture
def watching() -> Contract:
    return Contract(
        workflow=WorkflowName("desk"),
        source=SourceRef(file="workflows/desk.yaml"),
        kind=WorkflowKind.AGENT,
        rules=(),
        allow_tools=(),
        deny_tools=(),
        tools={},
        enforce=Enforce.OBSERVE,
    )


def body(**fields: object) -> bytes:
    return json.dumps({"model": "m", **fields}).encode()


@pytest.mark.parametrize(
    ("wire", "sent", "lacks"),
    [
        (CHAT, body(messages=SAID, web_search_options={}), {"vendor_tools=web_search"}),
        (RESPONSES, body(input="x", tools=[{"type": "mcp"}]), {"vendor_tools=mcp"}),
        (MESSAGES, body(messages=SAID, tools=[{"type": "web_search_20250305"}]), {"vendor_tools=web_search_20250305"}),
        (RESPONSES, body(input=[{"type": "item_reference", "id": "i"}]), {"vendor_state=previous_response_id"}),
        (RESPONSES, body(input="x", background=True, prompt={}), {"vendor_state=background", "vendor_state=prompt"}),
        (MESSAGES, body(messages=[{"role": "user", "content": [IMAGE]}]), {"remote_urls=allowed"}),
        (CHAT, body(messages=SAID, **{"my.field": 1}), {"pass_fields=my.field"}),
    ],
)  # fmt: skip
def test_a_contract_with_what_it_lacked_takes_the_same_call(
    watching: Contract, wire: WireFormat, sent: bytes, lacks: set[str]
) -> None:
    seen = watched(wire, sent, {}, watching)

    assert set(seen.lacks) == lacks
    assert seen.call.body == sent
    named = [one.partition("=")[::2] for one in seen.lacks]
    admitted = Admitted(
        fields=frozenset(name for key, name in named if key == "pass_fields"),
        vendor_tools=frozenset(name for key, name in named if key == "vendor_tools"),
        state=frozenset(name for key, name in named if key == "vendor_state"),
        remote_urls=any(key == "remote_urls" for key, _ in named),
    )
    assert enforced(wire, sent, {}, replace(watching, admitted=admitted)).call.body == sent


def test_a_beta_that_the_contract_lacks_is_named(watching: Contract) -> None:
    seen = watched(MESSAGES, body(messages=SAID), {"anthropic-beta": "novel-2026-01-01"}, watching)

    assert seen.lacks == ("pass_fields=novel-2026-01-01",)
    assert seen.headers["anthropic-beta"] == "novel-2026-01-01"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (body(messages=SAID, service_tier="priority"), "unpriced"),
        (body(messages=SAID, max_tokens=-1), "wrong_type"),
        (body(messages=[{"role": "user", "content": [{"type": "video_url"}]}]), "wrong_type"),
        (body(messages=SAID, **{"a b": 1}), "unknown_field"),
        (body(messages=SAID, novel=1, **{"a b": 1}), "unknown_field"),
        (body(messages=SAID, novel=1, max_tokens=-1), "unknown_field"),
        (body(messages=SAID, web_search_options={}, tools=[{"type": "Never.Heard"}]), "vendor_tool"),
        (body(messages=SAID, tools=[{"name": "of no type"}]), "vendor_tool"),
        (b'{"model":"m","messages":[{"role":"user","content":"a","content":"b"}]}', "duplicate_key"),
    ],
)
def test_what_no_contract_admits_is_watched_all_the_same(watching: Contract, sent: bytes, code: str) -> None:
    seen = watched(CHAT, sent, {}, watching)

    assert (seen.refused_as, seen.lacks, seen.call.body, seen.call.model) == (code, (), sent, "m")


@pytest.mark.parametrize("sent", [b"", b"[]", b"{}", b'{"model":7}', b"\xff"])
def test_where_nobody_could_be_asked_it_is_refused_even_so(watching: Contract, sent: bytes) -> None:
    with pytest.raises(WireRefused):
        watched(CHAT, sent, {}, watching)


def test_a_call_that_nobody_understands_is_counted_by_its_bytes() -> None:
    sent = body(messages=[{"role": "user", "content": [{"type": "video_url", "text": "x" * 1000}]}], stream=True)

    call = watch_call(CHAT, sent)

    assert call.is_stream
    assert call.input_bound >= len(sent)


def test_the_deepest_body_that_is_taken_can_be_read_in_its_record() -> None:
    levels = MAX_BODY_DEPTH - 1
    sent = b'{"model":"m","messages":[],"metadata":' + b'{"a":' * levels + b"1" + b"}" * levels + b"}"

    assert read_call(CHAT, sent).body == sent

    assert decode(b'{"request":' + sent + b"}")
    assert MAX_BODY_DEPTH < MAX_DEPTH
