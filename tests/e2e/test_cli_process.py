"""The command as a process: how quick help is, how it dies, and what it writes where."""

import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.waiting import until

HELP_BUDGET_S = 0.2
WAITING_TOOL = '''\
"""A tool that says that it was called and then waits for ever."""

import threading
from pathlib import Path

from leverframe.sdk.tool import tool


@tool(effect="read", timeout_s=600)
def wait_for_ever(order_id: str) -> str:
    """Wait."""
    Path(__file__).with_name("called").write_text(order_id, encoding="utf-8")
    threading.Event().wait()
    return order_id
'''
WAITING_CONTRACT = """\
workflow: waiting
kind: chain
steps:
  - tool: {name: wait_for_ever, args: {order_id: input.order_id}, as: order}
policy: {allow_tools: [wait_for_ever]}
"""


def leverframe(
    *words: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "leverframe", *words],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        check=False,
        timeout=60,
    )


def test_help_answers_within_its_budget() -> None:
    took = []
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-m", "leverframe", "--help"], stdout=subprocess.DEVNULL)
        # Processor time: on an idle machine it is the wait, and on a busy one it says nothing about others.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        took.append(usage.ru_utime + usage.ru_stime)
        assert process.returncode == 0

    assert statistics.median(took) < HELP_BUDGET_S, took


def test_help_imports_no_command_and_nothing_heavy() -> None:
    code = (
        "import sys; from leverframe.cli.main import main; main(['--help']);"
        "print(sorted(name for name in sys.modules if name.startswith('leverframe.cli.commands')"
        " or name in {'asyncio', 'sqlite3', 'cryptography', 'rich', 'yaml', 'msgspec', 'mcp'}), file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert done.stderr.decode().strip() == "[]"


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "leverframe", "schema", "workflow"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        code = process.wait(timeout=60)

    assert (code, said) == (141, b"")


def test_a_stream_that_was_closed_before_it_began_is_no_traceback_and_no_file_takes_its_place(tmp_path: Path) -> None:
    assert leverframe("init", str(tmp_path / "desk")).returncode == 0
    words = "-C desk run refund_request --input inputs/refund_request.json"

    done = subprocess.run(
        [
            "sh",
            "-c",
            f'"$0" -m leverframe {words} >&- 2>&- <&-; echo $?; "$0" -m leverframe -C desk why',
            sys.executable,
        ],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )

    assert (done.stdout.startswith(b"0\nrun_"), done.stderr) == (True, b"")


@pytest.mark.parametrize("words", [["why", b"\xff"], ["-C", b"\xff", "check"], ["run", b"a\xff", "--input", "{}"]])
def test_a_word_that_is_no_text_is_refused_by_name(tmp_path: Path, words: list[str | bytes]) -> None:
    command = [sys.executable, "-m", "leverframe", *words]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)

    assert done.returncode == 2
    assert b"is not UTF-8 text." in done.stderr


def test_a_project_in_a_folder_whose_name_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    here = tmp_path / os.fsdecode(b"\xff")
    here.mkdir()
    assert subprocess.run([sys.executable, "-m", "leverframe", "init"], cwd=here, check=False).returncode == 0

    done = subprocess.run(
        [sys.executable, "-m", "leverframe", "runs", "list"], cwd=here, capture_output=True, check=False
    )

    assert done.returncode == 2
    assert b"has a name that is not UTF-8 text." in done.stderr


def test_a_full_disk_behind_the_output_is_said() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "leverframe", "schema"], stdout=full, stderr=subprocess.PIPE, check=False
        )

    assert done.returncode == 3
    assert b"The operating system refused" in done.stderr
    assert b"Traceback" not in done.stderr


def test_an_interrupt_says_how_to_go_on(tmp_path: Path) -> None:
    for name, text in {
        "leverframe.yaml": "storage: {}\n",
        "workflows/waiting.yaml": WAITING_CONTRACT,
        "tools/waiting.py": WAITING_TOOL,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "leverframe", "-C", str(tmp_path), "run", "waiting", "--input", '{"order_id": "W1"}'],
        env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config")},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as process:
        until((tmp_path / "tools" / "called").exists, what="the call of the tool", within_s=30)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 130
    assert said.decode().startswith("Interrupted.")
    assert f"-C {tmp_path} runs resume RUN" in said.decode()
    assert b"Traceback" not in said


def test_a_bug_of_ours_is_called_one_and_shows_no_traceback(tmp_path: Path) -> None:
    code = "from leverframe.cli import main; main._STATUS = None; main.main()"

    plain = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, cwd=tmp_path)
    asked = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "LEVERFRAME_DEBUG": "1"},
    )

    assert (plain.returncode, asked.returncode) == (1, 1)
    assert plain.stderr.startswith(b"This is a bug in Leverframe")
    assert b"Traceback" not in plain.stderr
    assert b"LEVERFRAME_DEBUG=1" in plain.stderr
    assert b"Traceback" in asked.stderr


def test_without_utf8_the_words_are_the_same_in_ascii(tmp_path: Path) -> None:
    made = leverframe("init", "desk", cwd=tmp_path, environment={"XDG_CONFIG_HOME": str(tmp_path / "config")})
    assert made.returncode == 0, made.stderr.decode()

    ascii_only = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = leverframe("-C", "desk", "check", "--ready", cwd=tmp_path, environment=ascii_only)

    assert done.returncode == 1
    assert done.stdout.isascii()
    assert b"say: ..." in done.stdout


def test_what_the_projects_own_python_prints_is_no_part_of_the_document(tmp_path: Path) -> None:
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    leverframe("init", "desk", cwd=tmp_path, environment=env)
    shop = tmp_path / "desk" / "tools" / "shop.py"
    says = 'print("loaded")\n\ndef order_of('
    called = '    print("called")\n    row = db.execute("SELECT customer_id'
    text = shop.read_text(encoding="utf-8").replace("def order_of(", says)
    shop.write_text(text.replace('    row = db.execute("SELECT customer_id', called), encoding="utf-8")

    words = ("--json", "run", "refund_request", "--input", "inputs/refund_request.json")
    done = leverframe(*words, cwd=tmp_path / "desk", environment=env)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run_id"].startswith("run_")
    assert {b"loaded", b"called"} <= set(done.stderr.splitlines())


def test_a_pipe_gets_no_colour(tmp_path: Path) -> None:
    leverframe("init", "desk", cwd=tmp_path, environment={"XDG_CONFIG_HOME": str(tmp_path / "config")})

    done = leverframe("-C", "desk", "check", cwd=tmp_path)

    assert b"WARNING" in done.stdout
    assert b"\x1b" not in done.stdout


@pytest.mark.parametrize("quiet", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_that_wants_no_colour_gets_none(tmp_path: Path, quiet: dict[str, str]) -> None:
    leverframe("init", "desk", cwd=tmp_path, environment={"XDG_CONFIG_HOME": str(tmp_path / "config")})

    coloured = on_a_terminal(tmp_path, {"TERM": "xterm"})
    plain = on_a_terminal(tmp_path, {"TERM": "xterm", **quiet})

    assert "\x1b[33mWARNING\x1b[0m" in coloured
    assert "\x1b" not in plain
    assert "WARNING" in plain


def on_a_terminal(folder: Path, environment: dict[str, str]) -> str:
    """What `check` prints when its output is a terminal."""
    ours, theirs = os.openpty()
    kept = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "TERM"}}
    with subprocess.Popen(
        [sys.executable, "-m", "leverframe", "-C", "desk", "check"],
        cwd=folder,
        env={**kept, **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # Linux: the last writer of a terminal is gone
                break
            if not part:
                break
            said += part
        process.wait(timeout=60)
    os.close(ours)
    return said.decode()
