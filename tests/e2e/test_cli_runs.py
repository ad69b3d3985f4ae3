"""`runs`: what has run, and a person's hand where no program can tell."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from leverframe.wiring.people import launcher
from tests.receiver_project import effects, write_project
from tests.typed import Shell


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell(tmp_path / "desk", capsys, monkeypatch)
    write_project(shell.root, 1)
    # Without people, this machine's user may speak for a run.
    shell.write("leverframe.yaml", "storage: {}\n")
    return shell


def cut_at(shell: Shell, point: str) -> str:
    """A run whose process dies at a crash point; its id."""
    done = subprocess.run(
        [sys.executable, "-m", "leverframe", "-C", str(shell.root), "run", "batch", "--input", '{"order_id": "W0"}'],
        env={**os.environ, "LEVERFRAME_CRASH_AT": point},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    run_id: str = shell.type("runs", "list", "--json").json["runs"][0]["run_id"]
    return run_id


@pytest.fixture
def unknown(shell: Shell) -> str:
    """A run whose letter may have been sent or not, taken up once."""
    run_id = cut_at(shell, "before_send:5")
    assert shell.type("runs", "resume", run_id).code == 1
    return run_id


def test_an_unknown_call_is_told_with_the_two_commands_that_settle_it(shell: Shell, unknown: str) -> None:
    told = shell.type("runs", "show", unknown)

    assert told.code == 0
    assert "UNKNOWN" in told.out.splitlines()[0]
    assert "nobody can tell whether send_letter happened (step 4)" in told.out
    assert f"runs resolve {unknown} 4 happened --because" in told.out
    assert f"runs resolve {unknown} 4 did-not --because" in told.out
    assert shell.type().out.splitlines()[-1].endswith(f"runs show {unknown}")


@pytest.mark.parametrize(("said", "state", "outcome"), [("happened", "ok", "success"), ("did-not", "error", "handoff")])
def test_a_persons_word_settles_it_and_the_run_goes_on(
    shell: Shell, unknown: str, said: str, state: str, outcome: str
) -> None:
    told = shell.type("runs", "resolve", unknown, "4", said, "--because", "I asked the post office", "--json")

    assert (told.code, told.json["outcome"]) == (0, outcome)
    steps = {step["name"]: step for step in shell.type("runs", "show", unknown, "--json").json["steps"]}
    assert steps["send_letter"]["state"] == state
    assert effects(shell.root)["send_letter", "W0"] == 0


def test_the_record_says_who_said_so_and_why(shell: Shell, unknown: str) -> None:
    shell.type("runs", "resolve", unknown, "4", "happened", "--because", "I asked the post office")

    output = shell.type("runs", "show", unknown, "--json").json["output"]
    assert output == {"done": True, "confirmed_by": launcher(), "because": "I asked the post office"}


def test_a_word_on_a_call_that_is_known_is_refused(shell: Shell, unknown: str) -> None:
    told = shell.type("runs", "resolve", unknown, "2", "did-not", "--because", "I think so")

    assert told.code == 1
    assert "is ok, and only an unknown one takes a person's word" in told.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("resolve", "run_nothere", "4", "happened", "--because", "x"), 2, "There is no run 'run_nothere' here."),
        (("resolve", "{run}", "9", "happened", "--because", "x"), 2, "has no step '9'"),
        (("resolve", "{run}", "4", "happened", "--because", "  "), 2, "--because is empty"),
        (("show", "run_nothere"), 2, "There is no run 'run_nothere' here."),
        (("resume", "run_nothere"), 2, "There is no run 'run_nothere' here."),
        (("end", "run_nothere", "--because", "x"), 2, "There is no run 'run_nothere' here."),
    ],
)
def test_what_is_not_there_is_said_with_the_next_move(
    shell: Shell, unknown: str, words: tuple[str, ...], code: int, said: str
) -> None:
    told = shell.type("runs", *(word.replace("{run}", unknown) for word in words))

    assert (told.code, told.out) == (code, "")
    assert said in told.err


@pytest.mark.usefixtures("unknown")
@pytest.mark.parametrize("words", [("runs", "list"), ("approvals", "list")])
def test_a_list_may_be_asked_to_be_longer_than_a_database_counts(shell: Shell, words: tuple[str, ...]) -> None:
    told = shell.type(*words, "--limit", "9" * 30)

    assert (told.code, told.err) == (0, "")


@pytest.mark.usefixtures("unknown")
@pytest.mark.parametrize("index", ["9" * 5_000, "1-" + "9" * 50])
def test_an_index_that_no_log_has_is_said_to_be_none_of_it(shell: Shell, index: str) -> None:
    told = shell.type("evidence", "show", index)

    assert (told.code, told.out) == (2, "")
    assert "No entry of the log is" in told.err


def test_a_stranger_may_not_speak_for_a_run(shell: Shell, unknown: str) -> None:
    shell.be("a stranger")

    told = shell.type("runs", "resolve", unknown, "4", "happened", "--because", "trust me")

    assert told.code == 1
    assert "Nobody can be identified" in told.err
    shown = shell.type("runs", "show", unknown, "--json").json
    assert shown["unknown"] == [{"step": "4", "tool": "send_letter"}]


def test_a_run_is_ended_by_hand_and_says_who_ended_it(shell: Shell, unknown: str) -> None:
    told = shell.type("runs", "end", unknown, "--because", "the customer withdrew", "--json")

    assert told.code == 0
    assert (told.json["outcome"], told.json["stop_reason"]) == ("stopped", "ended-by-hand")
    assert told.json["output"]["by"] == launcher()
    again = shell.type("runs", "end", unknown, "--because", "again")
    assert again.code == 1
    assert "has ended already" in again.err


def test_a_run_with_a_call_on_its_way_is_not_ended(shell: Shell) -> None:
    run_id = cut_at(shell, "after_intended:1")

    told = shell.type("runs", "end", run_id, "--because", "x")

    assert told.code == 1
    assert f"runs resume {run_id}" in told.err
    assert shell.type("runs", "resume", run_id).code == 0


def test_runs_are_listed_newest_first_and_filtered(shell: Shell, unknown: str) -> None:
    shell.type("run", "batch", "--input", '{"order_id": "W1"}')

    both = shell.type("runs", "list", "--json").json["runs"]
    parked = shell.type("runs", "list", "--state", "parked", "--json").json["runs"]
    none = shell.type("runs", "list", "--workflow", "another")

    assert [one["run_id"] == unknown for one in both] == [False, True]
    assert [one["run_id"] for one in parked] == [unknown]
    assert none.out.startswith("No run is here.")


def test_a_run_is_shown_step_by_step_with_rule_state_and_budget(shell: Shell) -> None:
    run_id = shell.type("run", "batch", "--input", '{"order_id": "W0"}', "--json").json["run_id"]

    told = shell.type("runs", "show", run_id)

    assert "set_status" in told.out
    assert "allow_tools  workflows/batch.yaml:" in told.out
    assert "max_tool_calls  5 of 10  workflows/batch.yaml:" in told.out
