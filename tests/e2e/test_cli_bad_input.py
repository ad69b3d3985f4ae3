"""Wrong words, files and machines: one clear error, the right exit code, nothing lost and no traceback."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.typed import Shell

RUN = ("run", "refund_request", "--input")
GOOD = '{"customer_id": "c", "message": "order #W2378156"}'


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell(tmp_path / "desk", capsys, monkeypatch)
    shell.init()
    return shell


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("run", "refund_reqest", "--input", GOOD), 2, "Did you mean 'refund_request'?"),
        ((*RUN, "nowhere.json"), 2, "There is no file 'nowhere.json'"),
        ((*RUN, "{"), 1, "is not JSON we accept"),
        ((*RUN, '{"a": 1, "a": 2}'), 1, "stands twice"),
        ((*RUN, '{"a": NaN}'), 1, "JSON has no NaN"),
        ((*RUN, "inputs/list.json"), 1, "is no JSON object"),
        ((*RUN, "inputs/binary.json"), 1, "Not UTF-8 at byte"),
        ((*RUN, "inputs/huge.json"), 1, "larger than 8 MiB"),
        ((*RUN, GOOD, "--environment", "prod"), 2, "has no environment 'prod'"),
        ((*RUN, GOOD, "--tenant", "acme"), 2, "There is no tenant 'acme'"),
        (("approvals", "show", "apr_nothere"), 3, "There is no database"),
        (("approvals", "list"), 3, "nothing has run in this project yet"),
        (("runs", "list"), 3, "nothing has run in this project yet"),
        (("why", "run_nothere"), 3, "nothing has run in this project yet"),
        (("check", "workflows/nothere.yaml"), 2, "There is no file"),
        (("show", "nothing"), 2, "There is no workflow 'nothing'"),
        (("serve", "--host", ""), 2, "--host takes an address"),
    ],
)
def test_one_clear_error(shell: Shell, words: tuple[str, ...], code: int, said: str) -> None:
    shell.write("inputs/list.json", "[1, 2]")
    (shell.root / "inputs/binary.json").write_bytes(b"\xff\xfe\x00")
    (shell.root / "inputs/huge.json").write_bytes(b'{"a": "' + b"x" * (8 * 1024 * 1024) + b'"}')

    told = shell.type(*words)

    assert said in told.err
    assert (told.code, told.out) == (code, "")


def test_a_project_that_is_not_there_is_said_with_the_command_that_makes_one(shell: Shell, tmp_path: Path) -> None:
    told = shell.type_anywhere("-C", str(tmp_path / "nowhere"), "check")

    assert told.code == 2
    assert "There is no project in" in told.err
    assert "leverframe init" in told.err


def test_a_broken_project_names_each_place_and_starts_nothing(shell: Shell) -> None:
    shell.write("leverframe.yaml", "providrs: {}\nmodels: {fast: [x/y]}\n")

    told = shell.type(*RUN, GOOD)

    assert told.code == 1
    assert "leverframe.yaml:1:1: error unknown-key" in told.err
    assert not (shell.root / ".leverframe" / "leverframe.db").exists()


def test_a_problem_document_goes_to_a_program(shell: Shell) -> None:
    told = shell.type("--json", "show", "refund_reqest")

    assert told.json == {
        "type": "/problems/not-found",
        "title": "not found",
        "status": 404,
        "detail": f"There is no workflow 'refund_reqest' in {str(shell.root)!r}.",
        "next_move": "Did you mean 'refund_request'?",
    }


def test_findings_go_to_a_program_with_their_places(shell: Shell) -> None:
    shell.write("leverframe.yaml", "providrs: {}\n")

    told = shell.type("--json", *RUN, GOOD)

    found = told.json["findings"][0]
    assert (found["path"], found["line"], found["column"], found["code"]) == ("leverframe.yaml", 1, 1, "unknown-key")


def test_a_later_versions_database_is_left_alone(shell: Shell) -> None:
    shell.held()
    database = shell.root / ".leverframe" / "leverframe.db"
    with closing(sqlite3.connect(database)) as raw, raw:
        raw.execute("PRAGMA user_version = 9999")
    before = database.read_bytes()

    told = shell.type("runs", "list")

    assert told.code == 3
    assert "schema 9999" in told.err.replace("schema version", "schema")
    assert database.read_bytes() == before


def test_a_file_that_is_no_database_is_said_so(shell: Shell) -> None:
    (shell.root / ".leverframe").mkdir(exist_ok=True)
    shell.write(
        ".leverframe/leverframe.db", "this is no database, whatever its name says, and it is long enough\n" * 40
    )

    told = shell.type("runs", "list")

    assert told.code == 3
    assert "not a database" in told.err


def test_a_damaged_credential_answers_nothing(shell: Shell) -> None:
    _, approval_id = shell.held()
    (shell.config / "leverframe" / "approver.json").write_text("{}", encoding="utf-8")

    told = shell.type("approvals", "grant", approval_id)

    assert told.code == 1
    assert "is damaged" in told.err


def test_a_credential_that_others_can_read_answers_nothing(shell: Shell) -> None:
    _, approval_id = shell.held()
    (shell.config / "leverframe" / "approver.json").chmod(0o644)

    told = shell.type("approvals", "grant", approval_id)

    assert told.code == 1
    assert "can be read by others" in told.err


def test_a_state_folder_that_cannot_be_made_is_said_and_nothing_runs(shell: Shell) -> None:
    shutil.rmtree(shell.root / ".leverframe")
    shell.write(".leverframe", "a file where the folder should be")

    told = shell.type(*RUN, GOOD)

    assert (told.code, told.out) == (3, "")
    assert "The operating system refused: Not a directory" in told.err
    assert not (shell.root / "shop.db").exists()
