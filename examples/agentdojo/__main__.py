"""Serve this project with `leverframe serve`, and the gate to the AgentDojo harness before it, until interrupted.

    python -m examples.agentdojo --port 8099

POST /agentdojo/start    {id, suite, prompt}       -> {}
POST /agentdojo/check    {call}                    -> {decision, reason}
POST /agentdojo/observe  {call, result}            -> {outcome}
POST /agentdojo/end      {session_id}              -> {}
POST /tools              the tools' own server: waits for the answer of the call that is on its way
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final, TextIO

from examples.agentdojo.door import Door
from examples.agentdojo.gate import Gate, ToolServer

HERE: Final = Path(__file__).parent
_PARTS: Final = ("leverframe.yaml", "tools", "workflows")
_START_S: Final = 60.0
_WORKFLOWS: Final = ("workspace", "slack")


class GateServer(ThreadingHTTPServer):
    """The harness and the tools of one gate; loopback only."""

    daemon_threads = True

    def __init__(self, port: int, record: TextIO | None = None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.tools = ToolServer()
        self.gate: Gate | None = None
        self._record = record

    # Any: the bodies of the protocol, as the harness sends them.
    def asked(self, path: str, body: Any) -> Any:
        """The answer to one request of the harness or of a tool."""
        if path == "/tools":
            return self.tools.serve(body)
        if self.gate is None:
            raise RuntimeError("The gate is not open yet")
        verb = path.rsplit("/", 1)[-1]
        answer = self._answered(self.gate, verb, body)
        if self._record is not None:
            self._record.write(json.dumps({"verb": verb, "body": body, "answer": answer}) + "\n")
            self._record.flush()
        return answer

    # Any: as above.
    def _answered(self, gate: Gate, verb: str, body: Any) -> Any:
        match verb:
            case "start":
                return gate.start(body)
            case "check":
                return gate.check(body["call"])
            case "observe":
                return gate.observe(body["call"], str(body["result"]))
            case "end":
                return gate.end(body["session_id"])
            case other:
                raise ValueError(f"The gate protocol has no {other!r}")


class _Handler(BaseHTTPRequestHandler):
    server: GateServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """The harness asks the door, or a tool its server."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        data = json.dumps(self.server.asked(self.path, body)).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *said: object) -> None:
        """Say nothing of each request."""


class Served:
    """`leverframe serve` on a copy of this project, and the commands of the person who owns it."""

    def __init__(self, folder: Path, tools_port: int) -> None:
        self.folder = folder
        self._env = {
            **os.environ,
            "AGENTDOJO_SERVER_PORT": str(tools_port),
            "XDG_CONFIG_HOME": str(folder / ".person"),
        }
        for name in _PARTS:
            source = HERE / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / name)

    def command(self, *words: str) -> str:
        """What a command of Leverframe prints, in this project."""
        line = [sys.executable, "-m", "leverframe", "-C", str(self.folder), *words]
        done = subprocess.run(line, capture_output=True, text=True, check=False, env=self._env)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def grant(self, approval: str) -> None:
        """The person says yes to one held call."""
        self.command("approvals", "grant", approval, "--reason", "The user asked for this.")

    @contextmanager
    def door(self) -> Iterator[Door]:
        """The served project, until this ends."""
        named = [word for name in _WORKFLOWS for word in ("--workflow", name)]
        printed = self.command("keys", "create", "office", *named, "--open-runs")
        key = next(word for word in printed.split() if word.startswith("OPENAI_API_KEY=")).partition("=")[2]
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = int(probe.getsockname()[1])
        line = [sys.executable, "-m", "leverframe", "-C", str(self.folder), "serve", "--port", str(port)]
        process = subprocess.Popen(line, env=self._env, stdout=subprocess.DEVNULL)
        try:
            _wait_for(port, process)
            door = Door(port=port, key=key)
            yield door
            door.close()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == HTTPStatus.OK:
                return
        except (OSError, HTTPException):
            time.sleep(0.1)
        finally:
            connection.close()
    raise RuntimeError(f"leverframe serve did not get ready in {_START_S:g} s")


@contextmanager
def opened(folder: Path, *, port: int = 0, record: TextIO | None = None) -> Iterator[tuple[Gate, str, Served]]:
    """A gate on a port of the loopback interface before a project that is served from `folder`, and its address."""
    server = GateServer(port, record)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        served = Served(folder, server.server_port)
        with served.door() as door:
            gate = server.gate = Gate(door=door, server=server.tools, grant=served.grant)
            yield gate, f"http://127.0.0.1:{server.server_port}/agentdojo", served
            gate.close()
    finally:
        server.shutdown()
        server.server_close()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Leverframe's door as a gate of the AgentDojo harness.")
    parser.add_argument("--port", type=int, default=0, help="0: any free port, printed")
    parser.add_argument("--keep", type=Path, help="a new folder for the project and its evidence; else it is deleted")
    parser.add_argument("--record", type=argparse.FileType("w"), help="a file for all that the harness asks, as JSONL")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="agentdojo-") as scratch:
        folder = asked.keep or Path(scratch) / "office"
        folder.mkdir(parents=True)
        with opened(folder, port=asked.port, record=asked.record) as (_, url, _):
            print(f"The gate is at {url}", flush=True)
            try:
                signal.pause()
            except KeyboardInterrupt:
                print("The gate is closed.", flush=True)


if __name__ == "__main__":
    main()
