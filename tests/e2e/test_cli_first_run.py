"""The first ten minutes: init, run, held, granted, explained."""

import json
import shlex
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from leverframe.domain.ids import PrincipalId
from leverframe.wiring.people import enrol_person, launcher
from tests.typed import Shell

RUN = ("run", "refund_request", "--input", "inputs/refund_request.json")


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell(tmp_path / "desk", capsys, monkeypatch)
    shell.init()
    return shell


def refunds(shell: Shell) -> list[tuple[str, int]]:
    """What the little shop paid out."""
    with closing(sqlite3.connect(shell.root / "shop.db")) as shop:
        return shop.execute("SELECT order_id, cents FROM refunds").fetchall()


def test_init_says_what_it_wrote_and_who_may_answer(tmp_path: Path, shell: Shell) -> None:
    told = shell.type_anywhere("init", str(tmp_path / "another"))

    assert told.code == 0
    assert "workflows/refund_request.yaml" in told.out
    assert f"{launcher()} may answer its held calls" in told.out
    assert (shell.config / "leverframe" / "approver.json").stat().st_mode & 0o777 == 0o600


def test_init_never_overwrites(shell: Shell) -> None:
    before = (shell.root / "leverframe.yaml").read_bytes()

    told = shell.type_anywhere("init", str(shell.root))

    assert (told.code, told.out) == (2, "")
    assert "is already there; nothing was written" in told.err
    assert (shell.root / "leverframe.yaml").read_bytes() == before


def test_a_run_is_held_and_says_by_which_rule_and_what_to_type(shell: Shell) -> None:
    told = shell.type(*RUN)

    lines = told.out.splitlines()
    assert told.code == 0
    assert lines[0].split()[1:3] == ["refund_request", "HELD"]
    assert "Refund 64.90 USD on order #W2378156" in told.out
    assert "issue_refund/approval  workflows/refund_request.yaml:15" in told.out
    assert "a recording; for a real one change leverframe.yaml:11" in told.out
    assert len(lines) <= 7
    assert lines[-2].startswith(f"Next: leverframe -C {shell.root} approvals grant apr_")


def test_the_printed_command_runs_as_it_is(shell: Shell) -> None:
    told = shell.type(*RUN)
    printed = next(line for line in told.out.splitlines() if line.startswith("Next: "))

    granted = shell.type_anywhere(*shlex.split(printed.removeprefix("Next: leverframe ")))

    assert granted.code == 0
    assert f"GRANTED by {launcher()}" in granted.out
    assert "SUCCESS" in granted.out


def test_a_grant_shows_the_effect_before_it_is_given_and_runs_it_once(shell: Shell) -> None:
    _, approval_id = shell.held()

    told = shell.type("approvals", "grant", approval_id, "--reason", "the jar was broken")

    assert told.out.index("Refund 64.90 USD") < told.out.index("GRANTED by")
    assert told.code == 0
    assert refunds(shell) == [("#W2378156", 6490)]


def test_a_second_answer_changes_nothing(shell: Shell) -> None:
    _, approval_id = shell.held()
    shell.type("approvals", "grant", approval_id)

    again = shell.type("approvals", "deny", approval_id)

    assert again.code == 1
    assert refunds(shell) == [("#W2378156", 6490)]
    assert "is consumed already; the first answer stands" in again.err
    assert "GRANTED" not in again.out


def test_a_denied_call_never_runs_and_the_run_goes_on(shell: Shell) -> None:
    run_id, approval_id = shell.held()

    told = shell.type("approvals", "deny", approval_id, "--reason", "not this one", "--json")

    assert told.code == 0
    assert told.json["run_id"] == run_id
    assert told.json["state"] == "ended"
    assert [one["tool"] for one in told.json["denied"]] == ["issue_refund"]
    assert refunds(shell) == []
    steps = {step["name"]: step for step in shell.type("runs", "show", run_id, "--json").json["steps"]}
    assert steps["issue_refund"]["state"] == "denied"


def test_another_person_without_a_credential_cannot_answer(shell: Shell) -> None:
    _, approval_id = shell.held()
    shell.be("a stranger")

    told = shell.type("approvals", "grant", approval_id)

    assert told.code == 1
    assert "Nobody can be identified" in told.err
    assert shell.type("approvals", "show", approval_id, "--json").json["state"] == "pending"


def test_a_credential_that_the_project_does_not_know_cannot_answer(shell: Shell, tmp_path: Path) -> None:
    _, approval_id = shell.held()
    shell.be("a stranger")
    shell.type_anywhere("init", str(tmp_path / "their-own"))

    told = shell.type("approvals", "grant", approval_id)

    assert told.code == 1
    assert "has no credential that this project knows" in told.err


def test_the_ids_that_wait_are_printed_alone(shell: Shell) -> None:
    _, first = shell.held()
    shell.type("approvals", "grant", first)
    _, second = shell.held()

    assert shell.type("approvals", "list", "--ids").out == f"{second}\n"


def test_approvals_are_listed_those_that_wait_first(shell: Shell) -> None:
    _, first = shell.held()
    _, second = shell.held()
    shell.type("approvals", "deny", second)

    listed = shell.type("approvals", "list", "--json").json["approvals"]

    assert [(one["approval_id"], one["state"]) for one in listed] == [(first, "pending"), (second, "denied")]
    table = shell.type("approvals", "list").out
    assert "answer within 24.0 h" in table
    assert table.index(first) < table.index(second)


def test_an_approval_shows_its_bytes_rule_clock_and_who_may_answer(shell: Shell) -> None:
    _, approval_id = shell.held()

    told = shell.type("approvals", "show", approval_id)

    digest = shell.type("approvals", "show", approval_id, "--json").json["action_digest"]
    for part in (
        "amount_usd  64.90",
        "workflows/refund_request.yaml:15",
        "one person with the role approver, never the initiator",
        f"{digest[:4]}…{digest[-4:]}  sha256 {digest}",
    ):
        assert part in told.out


def test_a_run_in_a_cloned_project_enrols_who_runs_it(shell: Shell) -> None:
    shutil.rmtree(shell.root / ".leverframe")
    shell.be("a teammate")

    _, approval_id = shell.held()

    assert shell.type("approvals", "grant", approval_id).code == 0


def test_a_run_from_another_configuration_folder_replaces_no_credential(shell: Shell) -> None:
    shell.be("a process without the home of the user")

    _, approval_id = shell.held()

    assert shell.type("approvals", "grant", approval_id).code == 1
    shell.be("someone")
    assert shell.type("approvals", "grant", approval_id).code == 0


def test_init_under_another_persons_credential_writes_nothing(shell: Shell, tmp_path: Path) -> None:
    enrol_person(shell.root, PrincipalId("person:lena"), tmp_path / "config-lena" / "leverframe")
    shell.be("lena")

    told = shell.type_anywhere("init", str(tmp_path / "new"))

    assert told.code == 1
    assert "is the credential of 'person:lena'" in told.err
    assert not (tmp_path / "new").exists()


PEOPLE = """
people:
  lena: {groups: [payments-leads], roles: [approver]}
  tom: {groups: [tier2], roles: [approver]}
"""


@pytest.fixture
def team(shell: Shell, tmp_path: Path) -> Shell:
    """The small project with people of its own, whose leads answer; lena and tom have their credentials."""
    project = shell.root / "leverframe.yaml"
    project.write_text(project.read_text(encoding="utf-8") + PEOPLE, encoding="utf-8")
    contract = shell.root / "workflows/refund_request.yaml"
    row = '    - tool: "issue_refund"\n'
    text = contract.read_text(encoding="utf-8").replace(row, row + "      from: [group:payments-leads]\n")
    contract.write_text(text, encoding="utf-8")
    for name in ("lena", "tom"):
        enrol_person(shell.root, PrincipalId(f"person:{name}"), tmp_path / f"config-{name}" / "leverframe")
    return shell


def test_with_people_listed_only_the_group_that_is_asked_may_answer(team: Shell) -> None:
    _, approval_id = team.held()

    as_user = team.type("approvals", "grant", approval_id)
    team.be("tom")
    as_tom = team.type("approvals", "grant", approval_id)
    team.be("lena")
    as_lena = team.type("approvals", "grant", approval_id)

    assert (as_user.code, as_tom.code, as_lena.code) == (1, 1, 0)
    assert "is not one of the people whom this project lists" in as_user.err
    assert "'person:tom' is in none of the groups that may answer: payments-leads" in as_tom.err
    assert "GRANTED by person:lena" in as_lena.out
    assert refunds(team) == [("#W2378156", 6490)]


def test_a_quorum_of_two_waits_for_the_second_person(team: Shell) -> None:
    contract = team.root / "workflows/refund_request.yaml"
    text = contract.read_text(encoding="utf-8").replace("      from: [group:payments-leads]\n", "      quorum: 2\n")
    contract.write_text(text, encoding="utf-8")
    _, approval_id = team.held()

    team.be("lena")
    first = team.type("approvals", "grant", approval_id)
    twice = team.type("approvals", "grant", approval_id)
    before = refunds(team)
    team.be("tom")
    second = team.type("approvals", "grant", approval_id)

    assert (first.code, twice.code, second.code) == (0, 1, 0)
    assert "1 more must grant" in first.out
    assert "has answered" in twice.err
    assert before == []
    assert refunds(team) == [("#W2378156", 6490)]


def test_alone_it_says_how_the_project_stands_and_the_one_next_command(shell: Shell, tmp_path: Path) -> None:
    nowhere = shell.type_anywhere("-C", str(tmp_path / "nowhere"))
    new = shell.type()
    run_id, approval_id = shell.held()
    waiting = shell.type()
    shell.type("approvals", "grant", approval_id)
    idle = shell.type()

    assert nowhere.out.splitlines()[-1] == f"Next: leverframe init {tmp_path / 'nowhere'}"
    assert new.out.splitlines()[-1].endswith("run refund_request --input inputs/refund_request.json")
    assert waiting.out.splitlines()[-1].endswith(f"approvals show {approval_id}")
    assert idle.out.splitlines()[-1].endswith(f"why {run_id}")
    assert [one.code for one in (nowhere, new, waiting, idle)] == [0, 0, 0, 0]


def test_alone_it_sends_a_broken_project_to_check(shell: Shell) -> None:
    shell.write("leverframe.yaml", "providrs: {}\n")

    told = shell.type()

    assert told.out.splitlines()[-1].endswith("check")


def test_the_input_may_be_a_file_text_or_standard_input(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (shell.root / "inputs/refund_request.json").read_text(encoding="utf-8")
    inputs = shell.write("elsewhere.json", text)

    from_text = shell.type("run", "refund_request", "--input", text, "--json")
    from_file = shell.type("run", "refund_request", "--input", str(inputs), "--json")
    with inputs.open(encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdin", file)
        from_stdin = shell.type("run", "refund_request", "--input", "-", "--json")

    assert [told.json["held"][0]["tool"] for told in (from_text, from_file, from_stdin)] == ["issue_refund"] * 3


def test_hostile_text_in_an_input_is_printed_as_escapes(shell: Shell) -> None:
    message = "order #W2378156 \x1b[2J\x1b]0;owned\x07 \u202ekcab"
    shell.type("run", "refund_request", "--input", json.dumps({"customer_id": "c", "message": message}))

    told = shell.type("why")

    assert "\x1b" not in told.out
    assert "\u202e" not in told.out
    assert r"\u202ekcab" in told.out


def test_the_demo_plays_it_all_in_a_new_folder(shell: Shell, tmp_path: Path) -> None:
    told = shell.type_anywhere("demo", str(tmp_path / "played"))

    assert told.code == 0
    assert [line.split()[-2:] for line in told.out.splitlines() if "HELD" in line and line.startswith("run_")]
    assert told.out.index("HELD") < told.out.index("GRANTED") < told.out.index("SUCCESS")
    typed = [line for line in told.out.splitlines() if line.startswith("$ ")]
    assert [line.split()[4] if "-C" in line else line.split()[2] for line in typed][:4] == [
        "init",
        "run",
        "approvals",
        "why",
    ]


def test_a_second_demo_takes_the_next_free_folder(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    shell.type_anywhere("demo", "--json")
    told = shell.type_anywhere("demo", "--json")

    assert (tmp_path / "leverframe-demo").is_dir()
    assert (tmp_path / "leverframe-demo-2").is_dir()
    assert [type(one) for one in told.json_lines] == [dict] * 5  # each command's document, where documents go
