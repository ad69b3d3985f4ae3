"""The kill switch, drilled: an agent works in one process, a person stops it from another, and it stops in a second."""

import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.door_desk import CONTRACT, write_desk
from tests.typed import Shell
from tests.waiting import until

FAST_S = 1.0
UNBOUNDED = CONTRACT.replace("{max_tool_calls: 40}", "{max_tool_calls: 100000, max_steps: 100000}")


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell(tmp_path / "desk", capsys, monkeypatch)
    write_desk(shell.root, UNBOUNDED, project="providers: {}\n")
    # Makes the database, and makes this person known to the project.
    assert shell.type("keys", "create", "bot", "--workflow", "desk").code == 0
    return shell


class Agent:
    """The process that calls, and all that it has said so far."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        # Any: a line of the worker, as JSON.
        self.said: list[dict[str, Any]] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(json.loads(line))

    # Any: as above.
    def next(self, tool: str, since: float, **wanted: str) -> dict[str, Any]:
        """The first word about a tool after an instant, with these fields."""

        def found() -> Any:  # Any: as above
            mine = [one for one in list(self.said) if one["tool"] == tool and one["at"] > since]
            return next((one for one in mine if wanted.items() <= one.items()), None)

        return dict(until(found, what=f"{tool} {wanted}"))


@contextmanager
def working(root: Path) -> Iterator[Agent]:
    command = [sys.executable, "-m", "tests.kill_worker", str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        agent = Agent(process)
        try:
            agent.next("set_status", 0.0, outcome="Answered")
            yield agent
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(20)


def test_a_contract_that_is_half_written_holds_up_nobody_who_stops_something(shell: Shell) -> None:
    with working(shell.root) as agent:
        (shell.root / "workflows" / "next.yaml").write_text("workflow: next\npolicy: {allow_tools: [")
        killed = shell.type("kill", "tool", "set_status", "--because", "wrong orders")
        at = time.time()
        refused = agent.next("set_status", at, outcome="Refused", rule="kill-switch")
        everything = shell.type("kill", "everything", "--because", "all of it is wrong")
        stopped = agent.next("peek", time.time(), outcome="Refused", rule="kill-switch")

    assert (killed.code, everything.code) == (0, 0)
    assert "workflows/next.yaml:" in killed.err
    assert refused["rule"] == stopped["rule"] == "kill-switch"
    assert shell.type("kill", "list").code == 0
    assert shell.type("keys", "revoke", "bot").code == 0
    assert shell.type("evidence", "verify").code == 0
    assert shell.type("keys", "create", "other", "--workflow", "desk").code == 1
    assert shell.type("kill", "tenant", "nobody", "--because", "typed wrongly").code != 0


def test_what_cannot_be_stopped_beside_errors_is_not_said_to_be_done(shell: Shell) -> None:
    (shell.root / "workflows" / "next.yaml").write_text("workflow: [")

    refused = shell.type("kill", "tool", "set_status", "--tenant", "nobody", "--because", "typed wrongly")

    assert refused.code != 0
    assert "workflows/next.yaml:" in refused.err
    assert "done" not in refused.err


def test_code_of_the_project_that_hangs_or_ends_holds_up_nobody_who_stops_something(shell: Shell) -> None:
    for code in ("import time\ntime.sleep(600)\n", "import os\nos._exit(9)\n"):
        (shell.root / "tools" / "other.py").write_text(code)

        assert shell.type("kill", "everything", "--because", "all of it is wrong").code == 0
        assert shell.type("kill", "list").code == 0
        assert shell.type("keys", "list").code == 0
        assert shell.type("evidence", "verify").code == 0


def test_a_name_is_looked_up_in_a_project_that_loads_and_has_no_contract(shell: Shell) -> None:
    shutil.rmtree(shell.root / "workflows")

    refused = shell.type("kill", "workflow", "desk", "--because", "typed wrongly")

    assert refused.code != 0
    assert "There is no workflow 'desk' here" in refused.err


@pytest.mark.parametrize("folder", ["workflows", "tools", "environments"])
def test_a_folder_that_cannot_be_listed_holds_up_nobody_who_stops_something(shell: Shell, folder: str) -> None:
    """It is a file, in place of one that cannot be read: the user of this test may be root."""
    shutil.rmtree(shell.root / folder, ignore_errors=True)
    (shell.root / folder).write_text("")

    killed = shell.type("kill", "tool", "set_status", "--because", "all of it is wrong")

    assert killed.code == 0, killed.err
    assert f"the first at {folder}: The folder {folder!r} cannot be listed: Not a directory." in killed.err
    assert shell.type("keys", "revoke", "bot").code == 0
    assert shell.type("evidence", "verify").code == 0


def test_a_contract_that_is_a_link_to_itself_holds_up_nobody_who_stops_something(shell: Shell) -> None:
    (shell.root / "workflows" / "next.yaml").symlink_to("next.yaml")

    killed = shell.type("kill", "workflow", "desk", "--because", "all of it is wrong")

    assert killed.code == 0, killed.err
    assert "workflows/next.yaml" in killed.err


def test_a_project_file_that_does_not_load_says_so_to_whoever_stops_something(shell: Shell) -> None:
    (shell.root / "leverframe.yaml").write_text("tenants: {default: {}")

    answer = shell.type("kill", "everything", "--because", "all of it is wrong")

    assert answer.code == 1
    assert "leverframe.yaml:2:1: error yaml-syntax" in answer.err


def test_an_agent_in_another_process_is_stopped_within_a_second_and_let_go_on_again(shell: Shell) -> None:
    with working(shell.root) as agent:
        assert shell.type("kill", "tool", "set_status", "--because", "wrong orders").code == 0
        killed = time.time()
        refused = agent.next("set_status", killed, outcome="Refused", rule="kill-switch")
        beside = agent.next("peek", killed, outcome="Answered")
        # The transaction itself knows: not one call after the command came back.
        late = [one for one in agent.said if one["tool"] == "set_status" and one["at"] > killed + FAST_S]
        assert shell.type("unkill", "tool", "set_status", "--because", "mended").code == 0
        again = agent.next("set_status", time.time(), outcome="Answered")

    assert refused["at"] - killed < FAST_S
    assert beside["rule"] == ""
    assert all(one["outcome"] == "Refused" for one in late)
    assert again["at"] > refused["at"]
    assert shell.type("evidence", "verify").code == 0


def test_everything_stops_and_the_list_says_since_when_and_by_whom(shell: Shell) -> None:
    with working(shell.root) as agent:
        told = shell.type("kill", "everything", "--because", "we do not know yet")
        killed = time.time()
        refused = [agent.next(tool, killed, outcome="Refused", rule="kill-switch") for tool in ("set_status", "peek")]
        listed = shell.type("kill", "list", "--json").json["kill_switches"]
        status = shell.type_anywhere("-C", str(shell.root))

    assert told.code == 0
    assert ": every call." in status.out
    assert "KILLED every call, by os:" in told.out
    assert "unkill everything --because" in told.out
    assert all(one["at"] - killed < FAST_S for one in refused)
    assert [(one["scope"], one["name"], one["is_on"]) for one in listed] == [("everything", None, True)]


def test_a_switch_that_was_cleared_with_sql_closes_the_door_of_every_process_that_starts(shell: Shell) -> None:

    assert shell.type("kill", "everything", "--because", "stop").code == 0
    with closing(sqlite3.connect(shell.root / ".leverframe" / "leverframe.db")) as db, db:
        db.execute("DELETE FROM kill_switches")

    command = [sys.executable, "-m", "tests.kill_worker", str(shell.root)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)

    assert "AuthorityForged" in done.stderr or "changed outside of Leverframe" in done.stderr
    assert '"Answered"' not in done.stdout
    assert shell.type("unkill", "everything", "--because", "x").code == 1


def test_a_reason_is_asked_for(shell: Shell) -> None:
    told = shell.type("kill", "everything")

    assert told.code == 2
    assert "--because" in told.err
