"""Agents' model calls through `leverframe serve`: passed on as they came, bounded, recorded, settled."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.served import CONTRACT, ServedDesk, served_desk
from tests.waiting import until

# gpt-4 is $30 and $60 a million tokens: 100 in and 100 out are $0.009.
CENT_CAP = "budgets: [{tenant: default, window: day, max_usd: 0.10}]"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDesk]:
    contract = CONTRACT + "logging: {redact_fields: [email]}\n"
    with served_desk(tmp_path_factory.mktemp("desk"), contract) as found:
        yield found


def test_a_call_is_passed_on_answered_and_recorded(desk: ServedDesk) -> None:
    answer = desk.chat()

    assert answer.status == 200, answer.body
    assert answer.json["choices"][0]["message"]["content"].startswith("lorem")
    run_id = answer.headers["leverframe-run"]
    told = desk.cli("why", run_id)
    assert "vendor/gpt-4" in told.stdout, told.stderr
    assert "0 different" in desk.cli("evidence", "redecide", run_id).stdout
    desk.verified()


def test_a_stream_is_passed_on_without_the_usage_that_nobody_asked_for(desk: ServedDesk) -> None:
    answer = desk.chat(stream=True)

    frames = [line for line in answer.body.split(b"\n\n") if line]
    assert frames[-1] == b"data: [DONE]"
    assert not any(b'"usage"' in frame for frame in frames)
    assert desk.vendor.served.bodies[-1]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"model": "gpt-4", "input": "Hello"}),
        ("/v1/responses", {"model": "gpt-4", "input": "Hello", "stream": True}),
    ],
)
def test_every_format_of_the_vendor_is_served(desk: ServedDesk, path: str, body: object) -> None:
    answer = desk.ask(path, body)

    assert answer.status == 200, answer.body
    assert b"lorem" in answer.body


def test_what_the_contract_redacts_is_in_no_record_in_clear(desk: ServedDesk) -> None:
    text = json.dumps({"email": "jane@example.com"})

    answer = desk.chat(messages=[{"role": "user", "content": f"Write to {text} please"}])

    assert answer.status == 200
    exported = desk.folder / "out.zip"
    assert desk.cli("evidence", "export", "--out", str(exported)).returncode in {0, 2}
    told = desk.cli("runs", "show", answer.headers["leverframe-run"])
    assert "jane@example.com" not in told.stdout


@pytest.mark.parametrize(
    ("key", "status", "kind"),
    [("", 401, "authentication_error"), ("lf_nobody", 401, "authentication_error")],
)
def test_a_stranger_is_refused_in_the_form_that_clients_parse(
    desk: ServedDesk, key: str, status: int, kind: str
) -> None:
    answer = desk.chat(key=key)

    assert (answer.status, answer.json["error"]["type"]) == (status, kind)


def test_a_model_that_the_contract_has_not_is_not_found(desk: ServedDesk) -> None:
    answer = desk.chat(model="gpt-5")

    assert answer.status == 404
    assert "gpt-4" in answer.json["error"]["message"]


def test_a_body_that_cannot_be_read_is_refused_by_name(desk: ServedDesk) -> None:
    answer = desk.ask("/v1/chat/completions", b'{"model": "fast", "model": "fast", "messages": []}')

    assert (answer.status, answer.json["error"]["code"]) == (400, "duplicate_key")


def test_the_models_of_a_key_are_listed(desk: ServedDesk) -> None:
    listed = desk.ask("/v1/models", None, method="GET").json

    assert [one["id"] for one in listed["data"]] == ["fast", "gpt-4"]


def test_a_key_that_is_revoked_calls_nothing_any_more(desk: ServedDesk) -> None:
    key = desk.create_key("gone")
    assert desk.chat(key=key).status == 200

    assert desk.cli("keys", "revoke", "gone").returncode == 0

    until(lambda: desk.chat(key=key).status == 401, what="the key is refused", within_s=10)
    assert [desk.chat(key=key).status for _ in range(5)] == [401] * 5
    # Known to the log once, however often it is tried.
    leaves = desk.rows("SELECT CAST(leaf AS TEXT) FROM leaves WHERE type = 'auth.refused'")
    assert len(leaves) == 1
    assert '"reason":"revoked"' in str(leaves[0][0])


def test_a_kill_switch_stops_the_next_call_and_lets_it_go_on_when_it_is_cleared(desk: ServedDesk) -> None:
    assert desk.chat().status == 200
    assert desk.cli("kill", "model", "vendor", "--because", "it makes things up").returncode == 0

    stopped = desk.chat()
    assert desk.cli("unkill", "model", "vendor", "--because", "it is mended").returncode == 0

    assert (stopped.status, stopped.json["error"]["slug"]) == (403, "killed")
    assert desk.chat().status == 200


def test_two_calls_of_a_key_are_of_one_run_and_a_name_makes_another(desk: ServedDesk) -> None:
    first, second = desk.chat(), desk.chat()
    named = desk.chat(headers={"Leverframe-Run": "ticket-7"})

    assert first.headers["leverframe-run"] == second.headers["leverframe-run"]
    assert named.headers["leverframe-run"] != first.headers["leverframe-run"]


def test_a_run_that_an_agent_goes_on_with_is_explained_and_not_given_to_a_person_to_resume(desk: ServedDesk) -> None:
    # One of its own: it is the newest, whatever others are open.
    run_id = desk.chat(headers={"leverframe_run": "ticket-8"}).headers["leverframe-run"]

    told = [desk.cli(), desk.cli("runs", "show", run_id), desk.cli("runs", "resume", run_id)]

    assert [one.returncode for one in told] == [0, 0, 0], [one.stderr for one in told]
    assert [one.stdout.count(f"why {run_id}") for one in told] == [1, 1, 1]
    assert not any("runs resume" in one.stdout for one in told)


def test_a_vendor_that_breaks_off_costs_the_bound_and_is_told(desk: ServedDesk) -> None:
    desk.vendor.manner.breaks_after = 3
    try:
        answer = desk.chat(stream=True, max_tokens=100)
    finally:
        desk.vendor.manner.breaks_after = None

    assert b'"error"' in answer.body
    outcomes = desk.rows("SELECT error, output_tokens FROM steps WHERE error LIKE 'model-broken%'")
    assert [one[1] for one in outcomes] == [100]
    assert desk.rows("SELECT count(*) FROM reservations WHERE state = 'open'") == [(0,)]


def test_a_run_is_opened_for_an_agent_read_ended_and_judged(desk: ServedDesk) -> None:
    backend = desk.create_key("backend", "--open-runs")
    opened = desk.ask("/api/v1/runs", {"input": {"message": "Hello"}}, key=backend)
    assert opened.status == 201, opened.body
    run_id, token = opened.json["run_id"], opened.json["run_token"]

    called = desk.chat(key=token)

    assert called.headers["leverframe-run"] == run_id
    ended = desk.ask(f"/api/v1/runs/{run_id}/end", {"outcome": "success"}, key=token)
    assert ended.status == 200, ended.body
    assert desk.chat(key=token).status == 403
    judged = desk.ask(f"/api/v1/runs/{run_id}/outcome", {"amendment": "reworked", "reason": "wrong"}, key=backend)
    assert judged.status == 200, judged.body
    seen = desk.ask(f"/api/v1/runs/{run_id}", None, key=backend, method="GET").json
    assert (seen["state"], [one["amendment"] for one in seen["amended"]]) == ("ended", ["reworked"])
    assert desk.ask(f"/api/v1/runs/{run_id}", None, key=desk.key, method="GET").status == 404
    desk.verified()


@pytest.mark.parametrize("workers", ["1", "3"])
def test_many_calls_at_once_after_a_contract_changed_are_of_one_new_run(tmp_path: Path, workers: str) -> None:
    with served_desk(tmp_path) as desk:
        old = desk.chat().headers["leverframe-run"]
        desk.stop()
        (desk.folder / "workflows" / "desk.yaml").write_text(CONTRACT + "budget: {max_usd: 50}\n")
        desk.start("--workers", workers)

        with ThreadPoolExecutor(32) as pool:
            answers = [call.result() for call in [pool.submit(desk.chat) for _ in range(32)]]

        assert {one.status for one in answers} == {200}
        found = {one.headers["leverframe-run"] for one in answers}
        assert len(found) == 1
        assert old not in found
        desk.verified()


def test_a_vendor_that_bills_above_its_maximum_closes_the_window_and_stops_the_run(tmp_path: Path) -> None:
    with served_desk(tmp_path, CONTRACT, CENT_CAP) as desk:
        desk.vendor.manner.ignores_maximum = True
        desk.vendor.manner.output_tokens = 2_000

        first, second = desk.chat(max_tokens=100), desk.chat(max_tokens=100)

        assert (first.status, second.status) == (200, 429), second.body
        assert second.json["error"]["resets_at"]
        assert int(second.headers["retry-after"]) > 0
        assert desk.rows("SELECT count(*) FROM leaves WHERE type = 'budget.overrun'") == [(1,)]
        stopped = desk.rows("SELECT outcome, stop_reason FROM runs WHERE state = 'ended'")
        assert stopped == [("stopped", "budget-overrun")]
        desk.verified()


def test_the_next_candidate_is_asked_where_one_fails(tmp_path: Path) -> None:
    with served_desk(tmp_path) as desk:
        project = desk.folder / "leverframe.yaml"
        project.write_text(project.read_text().replace("[vendor/gpt-4]", "[vendor/gpt-4, vendor/gpt-4o]"))
        desk.stop()
        desk.start()
        desk.vendor.manner.failures = 1

        answer = desk.chat()

        assert answer.status == 200
        steps = desk.rows("SELECT name, attempts, state FROM steps")
        assert steps == [("vendor/gpt-4o", 2, "ok")]
        desk.verified()


def test_anthropic_is_served_in_its_own_form(tmp_path: Path) -> None:
    contract = "workflow: desk\nmodels: {default: words}\n"
    with served_desk(tmp_path, contract) as desk:
        body = {"model": "words", "max_tokens": 20, "messages": [{"role": "user", "content": "Hello"}]}

        plain = desk.ask("/v1/messages", body, anthropic_version="2023-06-01")
        stream = desk.ask("/v1/messages", {**body, "stream": True}, anthropic_version="2023-06-01")
        count = desk.ask(
            "/v1/messages/count_tokens",
            {"model": "words", "messages": body["messages"]},
            anthropic_version="2023-06-01",
        )
        refused = desk.ask("/v1/messages", {**body, "model": "nobody"})

        assert (plain.status, plain.json["content"][0]["type"]) == (200, "text"), plain.body
        assert b"event: message_stop" in stream.body
        assert (count.status, count.json) == (200, {"input_tokens": 10}), count.body
        assert (refused.status, refused.json["error"]["type"]) == (404, "not_found_error")
        desk.verified()


def test_what_is_only_observed_is_passed_on_unchanged_and_what_would_be_refused_is_told(tmp_path: Path) -> None:
    contract = CONTRACT + "enforce: observe\nbudget: {max_usd: 0.001}\n"
    with served_desk(tmp_path, contract) as desk:
        asked = {"model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}], "novel_field": {"a": 1}}

        answers = [desk.ask("/v1/chat/completions", asked) for _ in range(3)]
        other = desk.chat(model="gpt-unheard-of")

        assert [one.status for one in (*answers, other)] == [200] * 4
        assert desk.vendor.served.bodies[0] == asked
        leaves = desk.rows("SELECT leaf FROM leaves WHERE type = 'model.called'")
        assert [str(leaf).count('"would":"deny"') for (leaf,) in leaves] == [1] * 4
        assert desk.cli("evidence", "redecide", "--all").returncode == 0
        desk.verified()
        draft = desk.cli("policy", "draft", "--from-runs", "7d")
        assert "novel_field" in draft.stdout, draft.stderr
        desk.stop()
        (desk.folder / "workflows" / "desk.yaml").write_text(draft.stdout)
        desk.start()
        again = [desk.ask("/v1/chat/completions", asked) for _ in range(3)]
        assert [one.status for one in again] == [200] * 3, [one.body for one in again]


def test_a_worker_that_is_killed_in_mid_stream_leaves_nothing_free_and_nothing_held(tmp_path: Path) -> None:
    with served_desk(tmp_path, CONTRACT, CENT_CAP) as desk:
        desk.vendor.manner.gap_s = 0.2
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(desk.chat, stream=True, max_tokens=100)
            until(lambda: desk.vendor.served.output_tokens > 2, what="a stream is under way")
            desk.kill()
            assert call.exception() is not None
        desk.start()

        until(
            lambda: desk.rows("SELECT count(*) FROM reservations WHERE state = 'open'") == [(0,)], what="it is settled"
        )

        ((settled,),) = desk.rows("SELECT settled FROM windows WHERE unit = 'usd' AND run_id IS NULL")
        assert isinstance(settled, int)
        assert settled >= 100 * 60
        desk.verified()


def test_a_run_that_met_its_own_limit_is_over_and_the_key_goes_on_in_another(tmp_path: Path) -> None:
    with served_desk(tmp_path, CONTRACT + "budget: {max_model_calls: 2}\n") as desk:
        first, second, stopped = desk.chat(), desk.chat(), desk.chat()

        assert [one.status for one in (first, second, stopped)] == [200, 200, 429]
        error = stopped.json["error"]
        assert (error["limit"], "resets_at" in error) == ("max_model_calls 2", False)
        assert "does not reset" in error["message"]
        assert desk.rows("SELECT state, outcome, stop_reason FROM runs") == [("ended", "stopped", "max_model_calls 2")]
        again = desk.chat()
        assert again.status == 200
        assert again.headers["leverframe-run"] != first.headers["leverframe-run"]
        desk.verified()


def test_a_run_that_can_afford_nothing_is_not_opened_again_and_again(tmp_path: Path) -> None:
    with served_desk(tmp_path, CONTRACT + "budget: {max_usd: 0.000001}\n") as desk:
        assert [desk.chat(max_tokens=100).status for _ in range(3)] == [429] * 3
        assert desk.rows("SELECT count(*) FROM runs") == [(1,)]
