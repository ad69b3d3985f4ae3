"""A workflow that is only watched: nothing of an agent's traffic is stopped, and the draft made of it passes it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import ServedDesk, served_desk

CONTRACT = """\
workflow: desk
models: {default: both, pass_fields: [known]}
enforce: observe
logging: {retain_days: 200, redact_fields: [email]}
"""
TIERS = "  both: [vendor/gpt-4, claude/claude-sonnet-4-5]"
SAID = [{"role": "user", "content": "Hi"}]
GPT, CLAUDE = {"model": "gpt-4"}, {"model": "claude-sonnet-4-5", "max_tokens": 50}
IMAGE = {"type": "image_url", "image_url": {"url": "https://a.example/b"}}
SEARCHED = [{"type": "web_search_call", "id": "w"}, {"role": "user", "content": "x"}]
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
# Of several models, in several formats, with what only a contract could admit.
MIXED: list[tuple[str, dict[str, object]]] = [
    (CHAT, {**GPT, "messages": SAID, "known": 1, "my.field": {"a": 1}}),
    (CHAT, {**GPT, "messages": [{"role": "user", "content": [IMAGE]}]}),
    (CHAT, {"model": "both", "messages": SAID, "stream": True}),
    (RESPONSES, {**GPT, "input": SEARCHED, "background": True}),
    (MESSAGES, {**CLAUDE, "messages": SAID, "tools": [{"type": "web_search_20250305", "name": "s", "max_uses": 1}]}),
    (MESSAGES, {**CLAUDE, "messages": SAID, "speed": "fast", "container": "c"}),
    (MESSAGES, {**CLAUDE, "messages": SAID, "mcp_servers": []}),
]
# What no contract admits, and who is not in its tier.
BEYOND: list[tuple[str, object]] = [
    (CHAT, {**GPT, "messages": SAID, "service_tier": "priority"}),
    (CHAT, {**GPT, "messages": SAID, "max_tokens": -1}),
    (CHAT, {**GPT, "messages": [{"role": "user", "content": [{"type": "video_url"}]}]}),
    (CHAT, {**GPT, "messages": SAID, "a b": 1}),
    (CHAT, {**GPT, "messages": SAID, "web_search_options": {}}),
    (CHAT, b'{"model":"gpt-4","messages":[{"role":"user","content":"a","content":"b"}]}'),
    (CHAT, {"model": "gpt-unheard-of", "messages": SAID}),
    (MESSAGES, {**CLAUDE, "messages": SAID, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
    (MESSAGES, {**CLAUDE, "model": "claude-unheard-of", "messages": SAID}),
]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[ServedDesk]:
    (tmp_path / "workflows").mkdir()
    with served_desk(tmp_path, CONTRACT, TIERS) as found:
        yield found


def test_the_draft_of_mixed_traffic_passes_it_when_it_is_enforced(desk: ServedDesk) -> None:
    seen = [desk.ask(path, asked) for path, asked in MIXED]
    assert [one.status for one in seen] == [200] * len(MIXED), [one.body for one in seen]

    draft = desk.cli("policy", "draft", "--from-runs", "7d").stdout
    desk.stop()
    (desk.folder / "workflows" / "desk.yaml").write_text(draft)
    desk.start()

    again = [desk.ask(path, asked) for path, asked in MIXED]
    assert [one.status for one in again] == [200] * len(MIXED), [one.body for one in again]
    assert "retain_days: 200" in draft
    desk.verified()


def in_two_turns(desk: ServedDesk) -> list[int]:
    """A conversation that the vendor keeps, as its SDKs go on with one."""
    first = desk.ask(RESPONSES, {**GPT, "input": "Hi"})
    more = desk.ask(RESPONSES, {**GPT, "input": "And?", "previous_response_id": first.json["id"]})
    return [first.status, more.status]


def test_the_draft_of_a_conversation_that_the_vendor_keeps_lets_it_go_on(desk: ServedDesk) -> None:
    assert in_two_turns(desk) == [200, 200]

    draft = desk.cli("policy", "draft", "--from-runs", "7d").stdout
    desk.stop()
    (desk.folder / "workflows" / "desk.yaml").write_text(draft)
    desk.start()

    assert in_two_turns(desk) == [200, 200], draft


def test_the_draft_names_what_has_no_price_and_what_a_vendors_tool_must_say(desk: ServedDesk) -> None:
    project = desk.folder / "leverframe.yaml"
    desk.stop()
    project.write_text(project.read_text().replace("[vendor/gpt-4,", "[vendor/gpt-of-our-own,"))
    desk.start()
    searching = {"tools": [{"type": "web_search"}]}
    assert desk.ask(RESPONSES, {"model": "gpt-of-our-own", "input": "Hi", **searching}).status == 200

    draft = desk.cli("policy", "draft", "--from-runs", "7d").stdout

    assert "unless `priced_as` of leverframe.yaml says what they cost: vendor/gpt-of-our-own" in draft
    assert "says no `max_uses` or `max_tool_calls`" in draft


def test_what_no_contract_admits_passes_while_it_is_watched_and_the_draft_says_that_it_will_not(
    desk: ServedDesk,
) -> None:
    seen = [desk.ask(path, asked) for path, asked in BEYOND]

    assert [one.status for one in seen] == [200] * len(BEYOND), [one.body for one in seen]
    leaves = desk.rows("SELECT leaf FROM leaves WHERE type = 'model.called'")
    assert [str(leaf).count('"would":"deny"') for (leaf,) in leaves] == [1] * len(BEYOND)
    assert "0 different" in desk.cli("evidence", "redecide", "--all").stdout
    desk.verified()
    # Its run is open, and was opened before that.
    draft = desk.cli("policy", "draft", "--from-runs", "1s").stdout
    assert "From 1 run of" in draft
    assert "1 of the calls asked (duplicate_key)" in draft
    assert "2 of the calls asked (wrong_type)" in draft
    assert "claude/claude-unheard-of, vendor/gpt-unheard-of" in draft


@pytest.mark.parametrize("named", ["gpt-4 ", "my model", "gpt-4\n", "vendor/ gpt-4", "x" * 257])
def test_what_is_no_name_of_a_model_is_refused_in_the_clients_form_and_recorded(desk: ServedDesk, named: str) -> None:
    told = desk.ask(CHAT, {"model": named, "messages": SAID})

    assert (told.status, told.json["error"]["code"]) == (404, "not-found")
    assert "is no name of a model" in told.json["error"]["message"]
    (leaf,) = desk.rows("SELECT CAST(leaf AS TEXT) FROM leaves WHERE type = 'model.called'")
    assert '"rule":"unknown-model"' in str(leaf)
    desk.verified()


def test_what_the_door_would_refuse_is_told_of_a_call_that_its_contract_could_read(tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    contract = """\
workflow: desk
models: {default: both, vendor_tools: [web_search], vendor_state: [previous_response_id]}
enforce: observe
budget: {per_step: {max_output_tokens: 3}}
"""
    refused: list[tuple[str, dict[str, object], str]] = [
        (RESPONSES, {**GPT, "input": "Hi", "tools": [{"type": "web_search"}]}, "model-unpriced"),
        (CHAT, {**GPT, "messages": SAID, "modalities": ["audio"], "audio": {"voice": "a"}}, "model-unpriced"),
        (RESPONSES, {**GPT, "input": "Hi", "previous_response_id": "resp_of_nobody"}, "vendor_state"),
        (CHAT, {**GPT, "messages": SAID, "n": 4}, "too_many_choices"),
    ]
    with served_desk(tmp_path, contract, TIERS) as desk:
        assert [desk.ask(path, asked).status for path, asked, _ in refused] == [200] * len(refused)
        leaves = desk.rows("SELECT leaf FROM leaves WHERE type = 'model.called' ORDER BY leaf_index")
        details = [json.loads(leaf)["detail"] for (leaf,) in leaves]
        assert [(one["would"], one["wire_refused"]) for one in details] == [("deny", code) for _, _, code in refused]
        draft = desk.cli("policy", "draft", "--from-runs", "7d").stdout
        assert "since a part of what was asked has no price or no bound: vendor/gpt-4" in draft
        assert "1 of the calls asked (too_many_choices)" in draft
        assert "1 of the calls asked (vendor_state)" in draft
        assert "0 different" in desk.cli("evidence", "redecide", "--all").stdout
        desk.verified()
