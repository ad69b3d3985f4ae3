"""What is refused before any rule is asked: said to the client as ever, and in the log as every other refusal is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bursts import burst
from tests.served import CONTRACT, ServedDesk, served_desk
from tests.waiting import until

_LEAVES = "SELECT CAST(leaf AS TEXT) FROM leaves WHERE type = 'model.called' ORDER BY leaf_index"
CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDesk]:
    with served_desk(tmp_path_factory.mktemp("desk")) as found:
        yield found


# Any: an entry of the log, as JSON.
def called(desk: ServedDesk) -> list[dict[str, Any]]:
    return [json.loads(leaf) for (leaf,) in desk.rows(_LEAVES)]


@pytest.mark.parametrize(
    ("path", "body", "told", "why"),
    [
        (CHAT, {"model": "gpt-5", "messages": HELLO}, (404, "model_not_found"), ("unknown-model", "")),
        (CHAT, {"model": "claude", "messages": HELLO}, (404, "model_not_found"), ("unknown-model", "")),
        (CHAT, b'{"model": "fast", "model": "x"}', (400, "duplicate_key"), ("wire-refused", "duplicate_key")),
        (CHAT, {"model": "fast", "messages": HELLO, "novel": 1}, (400, "unknown_field"), ("wire-refused", "")),
        (CHAT, b"hello", (400, "malformed_json"), ("wire-refused", "malformed_json")),
        ("/v1/messages", {"model": "gpt-4", "max_tokens": 9, "messages": HELLO}, (400, ""), ("wire-refused", "")),
        (
            "/v1/responses",
            {"model": "fast", "input": "Hello", "previous_response_id": "resp_1"},
            (400, "vendor_state"),
            ("wire-refused", "vendor_state"),
        ),
    ],
)
def test_a_call_that_is_refused_before_any_rule_is_asked_is_recorded(
    desk: ServedDesk, path: str, body: object, told: tuple[int, str], why: tuple[str, str]
) -> None:
    before, sent = len(called(desk)), len(desk.vendor.served.bodies)

    answer = desk.ask(path, body)

    assert answer.status == told[0]
    assert not told[1] or told[1] in (answer.json["error"].get("code"), "model_not_found")
    (entry,) = called(desk)[before:]
    assert (entry["decision"], entry["rule"]) == ("deny", why[0])
    assert not why[1] or entry["detail"]["wire_refused"] == why[1]
    assert "model" not in entry, "a name that nobody knows is the client's own text"
    assert len(desk.vendor.served.bodies) == sent


def test_such_a_refusal_is_explained_verified_and_nothing_to_decide_again(desk: ServedDesk) -> None:
    run_id = desk.chat().headers["leverframe-run"]
    assert desk.chat(model="gpt-5", messages=[{"role": "user", "content": "unheard of"}]).status == 404

    desk.verified()
    told = desk.cli("why", run_id)
    assert (told.returncode, "gpt-5" in told.stdout) == (0, True), told.stdout + told.stderr
    again = desk.cli("evidence", "redecide", run_id)
    assert (again.returncode, "0 different" in again.stdout) == (0, True), again.stdout
    assert desk.cli("evidence", "show", run_id).returncode == 0
    assert "unheard of" not in "".join(leaf for (leaf,) in desk.rows("SELECT CAST(leaf AS TEXT) FROM leaves"))


def test_a_model_without_a_price_is_refused_and_recorded(tmp_path: Path) -> None:
    with served_desk(tmp_path, CONTRACT.replace("fast", "odd"), "  odd: [vendor/nobody-priced-this]") as desk:
        answer = desk.chat(model="odd")

        assert (answer.status, answer.json["error"]["slug"]) == (403, "model-unpriced")
        assert [(one["decision"], one["rule"]) for one in called(desk)] == [("deny", "model-unpriced")]
        desk.verified()


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "\\ud800", "messages": []}',
        b'{"model": "\\u0000\\u001b[2J\\n", "messages": [{"role": "user", "content": "Hello"}]}',
        b'{"model": "' + b"x" * 100_000 + b'", "messages": [{"role": "user", "content": "Hello"}]}',
        b'{"model": "gpt-5", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": 5, "messages": []}',
        b"[1]",
        b"",
        b'{"model": {"...": "x"}, "_sd": ["y"], "messages": [], "novel": {"...": 1}}',
    ],
)
def test_whatever_is_refused_so_leaves_one_entry_and_a_log_that_verifies(desk: ServedDesk, body: bytes) -> None:
    before = len(called(desk))

    answer = desk.ask(CHAT, body)

    assert answer.status in (400, 404), answer.body
    assert len(called(desk)) == before + 1
    desk.verified()
    assert desk.cli("why").returncode == 0
    assert "0 different" in desk.cli("evidence", "redecide", "--all").stdout


def test_a_refusal_of_a_run_that_is_over_stands_in_the_next_one(desk: ServedDesk) -> None:
    key = desk.create_key("over")
    first = desk.chat(key=key).headers["leverframe-run"]
    assert desk.cli("runs", "end", first, "--because", "enough").returncode == 0

    assert desk.chat(key=key, model="gpt-5").status == 404

    last = called(desk)[-1]
    assert (last["rule"], last["run_id"] != first) == ("unknown-model", True)
    desk.verified()


def test_a_client_that_asks_in_vain_without_end_leaves_some_entries_and_the_count_of_the_others(tmp_path: Path) -> None:
    with served_desk(tmp_path) as desk:
        ended = [
            one for _ in range(6) for one in burst(desk.port, desk.key, {"model": "gpt-5", "messages": HELLO}, 200)
        ]

        assert {one.status for one in ended} == {404}
        entries = called(desk)
        unrecorded = [one["detail"]["unrecorded"] for one in entries if "unrecorded" in one["detail"]]
        assert (len(entries), unrecorded) == (1_002, [99, 99])
        desk.verified()
        assert "0 different" in desk.cli("evidence", "redecide", "--all").stdout


def test_so_does_one_that_asks_without_end_where_no_room_is_left(tmp_path: Path) -> None:
    limit = "budgets:\n  - {tenant: default, window: total, max_model_calls: 1}\n"
    with served_desk(tmp_path, CONTRACT, limit) as desk:
        body = {"model": "fast", "messages": HELLO, "max_tokens": 10}
        assert desk.chat(max_tokens=10).status == 200

        ended = [one for _ in range(6) for one in burst(desk.port, desk.key, body, 200)]

        assert {one.status for one in ended} == {429}
        until(lambda: len(called(desk)) == 1_003, what="those behind the answers are written", within_s=20)
        assert [one["detail"]["unrecorded"] for one in called(desk) if "unrecorded" in one["detail"]] == [99, 99]
        desk.verified()
        assert "0 different" in desk.cli("evidence", "redecide", "--all").stdout


def test_so_does_one_that_asks_without_end_while_a_kill_switch_is_thrown(tmp_path: Path) -> None:
    with served_desk(tmp_path) as desk:
        assert desk.cli("kill", "model", "vendor", "--because", "it makes things up").returncode == 0
        body = {"model": "fast", "messages": HELLO, "max_tokens": 10}
        until(lambda: desk.chat(max_tokens=10).status == 403, what="it is thrown")
        before = len(called(desk))

        ended = [one for _ in range(6) for one in burst(desk.port, desk.key, body, 200)]

        assert {one.status for one in ended} == {403}
        assert 1_000 - before < len(called(desk)) - before <= 1_002
        desk.verified()
