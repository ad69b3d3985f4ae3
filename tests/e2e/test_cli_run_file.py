"""`run --file`: one run a line, begun once, taken up after a crash, broken lines named."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.receiver_project import WRITES, effects, write_project
from tests.typed import Shell

ORDERS = 3


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell(tmp_path / "desk", capsys, monkeypatch)
    write_project(shell.root, ORDERS)
    return shell


def backfill(*more: str) -> tuple[str, ...]:
    return ("run", "batch", "--file", "orders.jsonl", *more)


def crashed(shell: Shell, at: str) -> None:
    """Run the file in a process of its own that dies at a crash point."""
    done = subprocess.run(
        [sys.executable, "-m", "leverframe", "-C", str(shell.root), *backfill()],
        env={**os.environ, "LEVERFRAME_CRASH_AT": at},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def test_each_line_becomes_a_run_and_the_summary_counts_them(shell: Shell) -> None:
    told = shell.type(*backfill())

    assert told.code == 0
    assert [line.split()[:2] for line in told.out.splitlines()[:ORDERS]] == [
        [f"orders.jsonl:{number}", "SUCCESS"] for number in range(1, ORDERS + 1)
    ]
    assert told.out.splitlines()[-1] == f"{ORDERS} items: {ORDERS} SUCCESS"


def test_a_second_time_does_nothing_twice(shell: Shell) -> None:
    shell.type(*backfill())

    again = shell.type(*backfill("--json"))

    *items, whole = again.json_lines
    assert all(item["is_earlier"] for item in items)
    assert whole == {"items": ORDERS, "earlier": ORDERS, "outcomes": {"success": ORDERS}}
    assert set(effects(shell.root).values()) == {1}


@pytest.mark.parametrize("at", ["after_run_opened", "after_intended:2", "after_answer:3", "before_run_ended"])
def test_after_a_kill_the_same_command_goes_on(shell: Shell, at: str) -> None:
    crashed(shell, at)

    told = shell.type(*backfill("--json"))

    *items, _ = told.json_lines
    assert [item["outcome"] for item in items] == ["success"] * ORDERS
    counted = effects(shell.root)
    assert {counted[tool, f"W{n}"] for tool in WRITES for n in range(ORDERS)} == {1}


def test_an_irreversible_call_cut_in_the_middle_is_listed_as_unknown(shell: Shell) -> None:
    crashed(shell, "before_send:5")  # the fifth call of the first order is the letter

    told = shell.type(*backfill())

    assert told.code == 1
    assert told.out.splitlines()[0].split()[:2] == ["orders.jsonl:1", "UNKNOWN"]
    assert "Nobody can tell whether a call of these happened" in told.out
    assert "runs show run_" in told.out
    assert effects(shell.root)["send_letter", "W0"] == 0


def test_a_broken_line_is_named_and_stops_no_other(shell: Shell) -> None:
    lines = ['{"order_id": "W0"}', "", "{broken", '["a", "list"]', '{"order": "W9"}', '{"order_id": "W1"}']
    shell.write("orders.jsonl", "\n".join(lines))

    told = shell.type(*backfill())

    assert told.code == 1
    said = told.out.splitlines()
    assert said[0].startswith("orders.jsonl:1  SUCCESS")
    assert said[1].startswith("orders.jsonl:3  REFUSED  ")
    assert "Expecting property name" in said[1]
    assert said[2].startswith("orders.jsonl:4  REFUSED  ")
    assert "'order_id' is missing" in said[3]
    assert said[4].startswith("orders.jsonl:6  SUCCESS")
    assert said[-1] == "5 items: 2 SUCCESS  3 REFUSED"


def test_an_edited_line_is_a_new_item_and_the_others_are_not(shell: Shell) -> None:
    shell.type(*backfill())
    lines = (shell.root / "orders.jsonl").read_text(encoding="utf-8").splitlines()
    shell.write("orders.jsonl", "\n".join([lines[0], '{"order_id": "W7"}', lines[2]]))

    again = shell.type(*backfill("--json"))

    assert [item["is_earlier"] for item in again.json_lines[:-1]] == [True, False, True]


def test_bom_and_windows_line_ends_are_no_part_of_a_line(shell: Shell) -> None:
    (shell.root / "orders.jsonl").write_bytes(b'\xef\xbb\xbf{"order_id": "W0"}\r\n{"order_id": "W1"}\r\n')

    told = shell.type(*backfill())

    assert told.code == 0
    assert told.out.splitlines()[-1] == "2 items: 2 SUCCESS"


def test_the_items_name_in_the_database_does_not_hold_the_line(shell: Shell) -> None:
    shell.write("orders.jsonl", json.dumps({"order_id": "W-personal-4711"}))
    shell.type(*backfill())

    listed = shell.type("runs", "list", "--json").json["runs"]

    assert listed[0]["item"].startswith("orders.jsonl:1:")
    assert "4711" not in listed[0]["item"]


def test_a_missing_file_is_one_clear_error(shell: Shell) -> None:
    told = shell.type("run", "batch", "--file", "orderz.jsonl")

    assert (told.code, told.out) == (2, "")
    assert told.err.startswith("There is no file 'orderz.jsonl'.")


def test_an_empty_file_is_no_item_and_no_failure(shell: Shell) -> None:
    shell.write("orders.jsonl", "\n\n")

    told = shell.type(*backfill())

    assert (told.code, told.out) == (0, "0 items:\n")


def test_on_a_terminal_a_bar_moves_and_what_went_wrong_stands_above_it(shell: Shell) -> None:
    shell.write("orders.jsonl", '{"order_id": "W0"}\n{broken\n{"order_id": "W1"}\n')
    ours, theirs = os.openpty()

    with subprocess.Popen(
        [sys.executable, "-m", "leverframe", "-C", str(shell.root), *backfill()],
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        said = read_all(ours)
        process.wait(timeout=60)

    assert process.returncode == 1
    assert "3/3" in said
    assert "\norders.jsonl:2  REFUSED" in said.replace("\x1b[2K", "").replace("\r", "\n")
    assert "orders.jsonl:1  SUCCESS" not in said
    assert "3 items: " in said


def read_all(terminal: int) -> str:
    """All that is written to a terminal until its last writer is gone."""
    said = b""
    while True:
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # Linux says so at the end of a terminal
            part = b""
        if not part:
            os.close(terminal)
            return said.decode()
        said += part
