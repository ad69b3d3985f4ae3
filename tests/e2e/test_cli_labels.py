"""A person endorses a value of a run from the command line: a held letter is decided anew, and goes out once."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.endorsing_project import PARTNER, sent, write_post
from tests.typed import Shell

BECAUSE = "I called them at the number of the contract"
WORD = ("--integrity", "user", "--because", BECAUSE)


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(write_post(tmp_path / "post"), capsys, monkeypatch)


def held(shell: Shell) -> tuple[str, str]:
    told = shell.type("run", "post", "--input", "inputs/post.json", "--json").json
    assert told["held"], told
    return told["run_id"], told["held"][0]["approval_id"]


def test_a_run_that_is_held_for_an_untraced_recipient_goes_on_once_a_person_endorsed_it(shell: Shell) -> None:
    run_id, approval_id = held(shell)
    assert "untraced-recipient" in shell.type("approvals", "show", approval_id).out
    assert shell.type("runs", "resume", run_id).code == 0
    assert sent(shell.root) == []

    told = shell.type("labels", "endorse", run_id, "0", "/email", *WORD)
    resumed = shell.type("runs", "resume", run_id)

    assert (told.code, resumed.code) == (0, 0), told.err + resumed.err
    assert "step 0, /email: third-party -> user, by os:" in told.out
    assert sent(shell.root) == [PARTNER]
    assert shell.type("approvals", "show", approval_id, "--json").json["state"] == "superseded"


def test_what_was_endorsed_is_in_the_log_verified_and_told_with_its_reason_sealed(shell: Shell) -> None:
    run_id, _ = held(shell)
    shell.type("labels", "endorse", run_id, "0", "/email", *WORD)
    shell.type("runs", "resume", run_id)

    why, data = shell.type("why", run_id), shell.type("why", run_id, "--json").json
    verified = shell.type("evidence", "verify")

    assert verified.code == 0, verified.out
    assert "S8" in verified.out
    assert "third-party -> user by os:" in why.out
    assert BECAUSE in " ".join(why.out.split())
    (endorsed,) = data["endorsed"]
    assert (endorsed["place"], endorsed["before"], endorsed["integrity"]) == ("0/email", "third-party", "user")
    letter = next(one for one in data["calls"] if one["tool"] == "send_letter")
    assert [one["integrity"] for one in letter["arguments"]] == ["user"]
    with closing(sqlite3.connect(shell.root / ".leverframe" / "leverframe.db")) as db:
        leaves = [json.loads(leaf) for (leaf,) in db.execute("SELECT leaf FROM leaves")]
        rows = db.execute("SELECT * FROM endorsements").fetchall()
    (entry,) = [leaf for leaf in leaves if leaf["type"] == "label.endorsed"]
    assert entry["run_id"] == run_id
    assert entry["detail"]["reason"] == "person"
    for words in (BECAUSE, "/email", PARTNER):
        assert words not in json.dumps([entry, [[str(cell) for cell in row] for row in rows]])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("0", "/nothing", *WORD), 2, "has nothing at '/nothing'"),
        (("9", "/email", *WORD), 2, "Nothing entered"),
        (("1", "/sent", *WORD), 2, "Nothing entered"),
        (("0", "/staff", *WORD), 1, "is never traced"),
        (("0", "/is_known", *WORD), 1, "is never traced"),
        (("0", "", *WORD), 1, "is never traced"),
        (("input", "/name", *WORD), 2, "is 'user' already"),
        (("0", "/email", "--integrity", "system", "--because", "no"), 2, "There is no 'system' here"),
        (("0", "/email", "--integrity", "user", "--because", " "), 2, "--because is empty"),
    ],
)
def test_what_cannot_be_endorsed_is_refused_and_eases_nothing(
    shell: Shell, words: tuple[str, ...], code: int, said: str
) -> None:
    run_id, _ = held(shell)

    told = shell.type("labels", "endorse", run_id, *words)
    shell.type("runs", "resume", run_id)

    assert told.code == code, told.err
    assert said in told.err
    assert sent(shell.root) == []


def test_nothing_is_endorsed_twice_nor_in_a_run_that_has_ended(shell: Shell) -> None:
    run_id, _ = held(shell)
    assert shell.type("labels", "endorse", run_id, "0", "/email", *WORD).code == 0

    again = shell.type("labels", "endorse", run_id, "0", "/email", *WORD)
    shell.type("runs", "resume", run_id)
    late = shell.type("labels", "endorse", run_id, "0", "/copy", *WORD)

    assert (again.code, late.code) == (2, 1)
    assert "raises nothing" in again.err
    assert "has ended" in late.err


def test_another_value_than_the_one_that_is_sent_to_eases_nothing(shell: Shell) -> None:
    run_id, _ = held(shell)

    assert shell.type("labels", "endorse", run_id, "0", "/copy", *WORD).code == 0
    shell.type("runs", "resume", run_id)
    waiting = shell.type("approvals", "list", "--ids").out.split()

    assert sent(shell.root) == []
    assert len(waiting) == 1
    assert shell.type("approvals", "grant", waiting[0]).code == 0
    assert sent(shell.root) == [PARTNER]


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE endorsements SET integrity = 'user'",
        "UPDATE endorsements SET run_id = run_id || '0'",
        "INSERT INTO endorsements SELECT 9, '', tenant, step, 'user', value_digest, '', '', 0, tag FROM endorsements",
        "DELETE FROM endorsements",
    ],
)
def test_a_row_that_was_forged_with_sql_closes_the_door(shell: Shell, forgery: str) -> None:
    run_id, _ = held(shell)
    shell.type("labels", "endorse", run_id, "0", "/email", "--integrity", "tenant-record", "--because", "a record")
    with closing(sqlite3.connect(shell.root / ".leverframe" / "leverframe.db")) as db, db:
        assert db.execute(forgery).rowcount

    told = shell.type("runs", "resume", run_id)

    assert told.code == 1
    assert "authority-forged" in told.out
    assert sent(shell.root) == []
