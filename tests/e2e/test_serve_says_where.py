"""`leverframe serve` says where it serves once it does, as JSON where that was asked for, and not before."""

import json
import os
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.typed import Shell


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell(tmp_path / "desk", capsys, monkeypatch)
    shell.init()
    shell.type("keys", "create", "desk", "--workflow", "refund_request")
    return shell


def serving(shell: Shell, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "leverframe", "-C", str(shell.root), "serve", *words]
    environment = os.environ | {"XDG_CONFIG_HOME": str(shell.config)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_is_taken_is_one_document_and_no_word_of_serving(shell: Shell, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with serving(shell, "--port", port, "--workers", workers, "--json") as process:
            out, err = process.communicate(timeout=60)

    assert process.returncode == 2
    assert json.loads(out)["next_move"] == "Choose another with --port, or stop what uses it."
    assert "Serving" not in out + err


@pytest.mark.parametrize("host", ["192.0.2.1", "nothing.invalid"])
def test_an_address_of_another_machine_is_told_to_choose_one_of_this(shell: Shell, host: str) -> None:
    with serving(shell, "--host", host) as process:
        _, err = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "--host" in err.splitlines()[-1]


def test_json_says_where_it_serves_in_one_document(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with serving(shell, "--port", str(port), "--json") as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        # It listens by the time it says so: nobody is refused a connection, and the answer comes.
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/readyz")
        assert connection.getresponse().status in {200, 503}
        connection.close()
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)

    assert said["openai"] == f"http://127.0.0.1:{port}/v1"
    assert (process.returncode, rest) == (0, "")
