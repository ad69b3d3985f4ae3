"""API keys at the command line: made for what is named, shown once, rotated with an overlap, taken back."""

import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.typed import Shell, Typed

KEY = re.compile(r"lf_[0-9A-Za-z]{22}_[0-9A-Za-z]{43}")


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell(tmp_path / "desk", capsys, monkeypatch)
    shell.init()
    return shell


def created(shell: Shell, *more: str) -> Typed:
    return shell.type("keys", "create", "bot", "--workflow", "refund_request", *more)


def logged(shell: Shell) -> list[str]:
    """What the log says of keys, in its order."""
    with closing(sqlite3.connect(shell.root / ".leverframe" / "leverframe.db")) as db:
        types = [name for (name,) in db.execute("SELECT type FROM leaves ORDER BY leaf_index")]
    return [name for name in types if not name.startswith("log.")]


def test_a_new_key_prints_the_two_lines_to_paste_and_nothing_else_on_standard_output(shell: Shell) -> None:
    told = created(shell)

    key = KEY.findall(told.out)[0]
    assert told.code == 0
    assert told.out == (
        f"export OPENAI_BASE_URL=http://127.0.0.1:8460/v1 OPENAI_API_KEY={key}\n"
        f"export ANTHROPIC_BASE_URL=http://127.0.0.1:8460 ANTHROPIC_API_KEY={key}\n"
    )
    assert [shlex.split(line)[0] for line in told.out.splitlines()] == ["export", "export"]
    assert "is for refund_request in default, tenant default" in told.err
    assert ", in 90 d" in told.err
    assert "shown here once" in told.err


@pytest.mark.parametrize("url", ["https://agents.example.com/", "https://agents.example.com/v1"])
def test_the_address_of_another_machine_goes_into_the_lines(shell: Shell, url: str) -> None:
    told = created(shell, "--url", url)

    assert "OPENAI_BASE_URL=https://agents.example.com/v1 " in told.out
    assert "ANTHROPIC_BASE_URL=https://agents.example.com " in told.out


@pytest.mark.parametrize(
    "url", ["", "desk:8460", "javascript:x", "http://", "http://a b", "http://a;\nrm", "http://[a"]
)
def test_what_is_no_address_makes_no_key(shell: Shell, url: str) -> None:
    told = created(shell, "--url", url)

    assert (told.code, told.out) == (2, "")
    assert not (shell.root / ".leverframe" / "leverframe.db").exists()


def test_an_address_is_written_as_a_shell_reads_it_back(shell: Shell) -> None:
    told = created(shell, "--url", "https://a.example/x?b=1&c=$(d);e")

    assert shlex.split(told.out.splitlines()[1])[1] == "ANTHROPIC_BASE_URL=https://a.example/x?b=1&c=$(d);e"


@pytest.mark.parametrize("words", [("keys", "rotate", "bot", "--overlap"), ("policy", "draft", "--from-runs")])
def test_a_span_beyond_the_calendar_is_refused_by_name(shell: Shell, words: tuple[str, ...]) -> None:
    created(shell)

    told = shell.type(*words, "99999999d")

    assert told.code == 2
    assert "at most 36500d" in told.err


def test_the_secret_is_nowhere_in_the_project_afterwards(shell: Shell) -> None:
    key = KEY.findall(created(shell).out)[0]

    secret = key.rpartition("_")[2].encode()
    holding = [path for path in shell.root.rglob("*") if path.is_file() and secret in path.read_bytes()]

    assert holding == []


def test_a_key_without_a_workflow_is_refused_and_the_workflows_are_named(shell: Shell) -> None:
    told = shell.type("keys", "create", "bot")

    assert told.code == 2
    assert "none was; this project has: refund_request." in told.err
    assert shell.type("keys", "list", "--json").json == {"keys": []}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--workflow", "*"), "There is no workflow '*'"),
        (("--workflow", "refund_reqest"), "Did you mean 'refund_request'?"),
        (("--workflow", "refund_request", "--environment", "*"), "has no environment '*'"),
        (("--workflow", "refund_request", "--environment", "prod"), "has no environment 'prod'"),
        (("--workflow", "refund_request", "--expires", "soon"), "--expires takes a span"),
        (("--workflow", "refund_request", "--expires", "0d"), "--expires takes a span"),
        (("--workflow", "refund_request", "--team", "a b"), "The name of a team is a name of letters"),
        (("--workflow", "refund_request", "--tenant", "acme"), "There is no tenant 'acme'"),
    ],
)
def test_no_key_is_for_everything_or_for_what_is_not_there(shell: Shell, words: tuple[str, ...], said: str) -> None:
    told = shell.type("keys", "create", "bot", *words)

    assert (told.code, told.out) == (2, "")
    assert said in told.err


def test_a_live_name_is_taken_and_free_again_once_it_is_revoked(shell: Shell) -> None:
    assert created(shell).code == 0

    again = created(shell)
    assert (again.code, again.out) == (2, "")
    assert "has a live key named 'bot' already" in again.err
    assert shell.type("keys", "revoke", "bot").code == 0

    assert created(shell).code == 0


def test_json_has_the_key_what_it_may_and_the_lines(shell: Shell) -> None:
    told = created(shell, "--team", "support", "--expires", "never", "--open-runs", "--json").json

    assert KEY.fullmatch(told["key"])
    assert told["key_id"] == f"key_{told['key'].split('_')[1]}"
    assert (told["team"], told["expires_at"], told["scopes"]) == ("support", None, ["call", "runs:open"])
    assert [line.split("=")[0] for line in told["exports"]] == ["export OPENAI_BASE_URL", "export ANTHROPIC_BASE_URL"]


def test_a_rotated_key_has_the_same_rights_and_the_old_one_ends_with_the_overlap(shell: Shell) -> None:
    old = created(shell, "--team", "support", "--open-runs", "--json").json

    new = shell.type("keys", "rotate", "bot", "--overlap", "1h", "--json").json

    assert {name: new[name] for name in ("name", "team", "workflows", "environments", "scopes")} == {
        name: old[name] for name in ("name", "team", "workflows", "environments", "scopes")
    }
    assert new["replaces"] == old["key_id"]
    assert new["key"] != old["key"]
    left = shell.type("keys", "show", old["key_id"], "--json").json
    assert left["state"] == "live"
    assert left["expires_at"] < old["expires_at"]
    assert logged(shell) == ["key.created", "key.rotated"]


def test_a_key_in_its_overlap_is_not_rotated_again_into_one_that_lives_no_longer(shell: Shell) -> None:
    old = created(shell, "--json").json
    new = shell.type("keys", "rotate", "bot", "--overlap", "1h", "--json").json

    refused = shell.type("keys", "rotate", old["key_id"])

    assert refused.code == 1
    assert new["key_id"] in refused.err
    third = shell.type("keys", "rotate", "bot", "--json").json
    assert (third["replaces"], third["expires_at"] > old["expires_at"]) == (new["key_id"], True)


def test_a_key_whose_successor_was_revoked_is_rotated_into_one_that_lives_as_long_as_it_was_to(shell: Shell) -> None:
    old = created(shell, "--json").json
    new = shell.type("keys", "rotate", "bot", "--overlap", "1h", "--json").json
    assert shell.type("keys", "revoke", new["key_id"]).code == 0

    third = shell.type("keys", "rotate", "bot", "--json").json

    assert third["replaces"] == old["key_id"]
    assert third["expires_at"] > old["expires_at"]


def test_what_is_listed_is_never_a_secret(shell: Shell) -> None:
    key = created(shell).out

    listed, shown = shell.type("keys", "list"), shell.type("keys", "show", "bot")

    assert "bot" in listed.out
    assert "LIVE" in listed.out
    assert "refund_request" in shown.out
    assert KEY.findall(key)[0].rpartition("_")[2] not in listed.out + shown.out


def test_a_revoked_key_is_named_as_such_and_cannot_be_revoked_again(shell: Shell) -> None:
    created(shell)

    assert "REVOKED" in shell.type("keys", "revoke", "bot").out

    assert shell.type("keys", "show", "bot", "--json").json["state"] == "revoked"
    assert shell.type("keys", "revoke", "bot").code == 2


def test_a_name_takes_back_every_key_that_has_it_and_an_id_that_one_alone(shell: Shell) -> None:
    old = created(shell, "--json").json["key_id"]
    new = shell.type("keys", "rotate", "bot", "--json").json["key_id"]
    newest = shell.type("keys", "rotate", "bot", "--json").json["key_id"]

    alone = shell.type("keys", "revoke", new, "--json").json
    rest = shell.type("keys", "revoke", "bot", "--json").json

    assert alone["revoked"] == [new]
    assert rest["revoked"] == [newest, old]
    listed = shell.type("keys", "list", "--json").json["keys"]
    assert {one["key_id"]: one["state"] for one in listed} == dict.fromkeys((old, new, newest), "revoked")
    assert logged(shell).count("key.revoked") == 3
    assert shell.type("evidence", "verify").code == 0


def test_whoever_has_no_credential_makes_no_key(shell: Shell) -> None:
    created(shell)
    shell.be("stranger")

    told = shell.type("keys", "create", "mine", "--workflow", "refund_request")

    assert told.code == 1
    assert told.out == ""
    assert [one["name"] for one in shell.type("keys", "list", "--json").json["keys"]] == ["bot"]


def test_a_person_without_the_role_makes_no_key_and_the_attempt_is_recorded(shell: Shell) -> None:
    created(shell)
    who = shell.type("keys", "show", "bot", "--json").json["owner"]
    text = (shell.root / "leverframe.yaml").read_text()
    people = f"{{'{who}': {{groups: [support]}}, lena: {{roles: [approver]}}}}"
    shell.write("leverframe.yaml", f"{text}\npeople: {people}\n")

    told = shell.type("keys", "create", "mine", "--workflow", "refund_request")

    assert told.code == 1
    assert "is no approver of 'default'" in told.err
    assert logged(shell) == ["key.created", "auth.refused"]


def test_a_key_that_was_put_into_the_database_opens_nothing(shell: Shell) -> None:
    created(shell)
    with closing(sqlite3.connect(shell.root / ".leverframe" / "leverframe.db")) as db, db:
        db.execute("UPDATE api_keys SET expires_us = NULL")

    told = shell.type("keys", "create", "mine", "--workflow", "refund_request")

    assert told.code == 1
    assert "changed outside of Leverframe" in told.err
