"""`leverframe serve` on a project of a test, with a fake vendor behind it; calls are made over real sockets."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from leverframe.testing import FakeVendor
from tests.waiting import until

_START_S: Final = 60.0
PROJECT = """\
providers:
  vendor: {{wire: openai, url: "{url}/v1", private: allowed}}
  claude: {{wire: anthropic, url: "{url}", private: allowed}}
models:
  fast: [vendor/gpt-4]
  words: [claude/claude-3-opus-latest]
{more}
"""
CONTRACT = """\
workflow: desk
models: {default: fast}
"""


@dataclass(slots=True, kw_only=True)
class Answer:
    """What came back; `body` is the whole of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    # Any: JSON of any shape.
    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True, kw_only=True)
class ServedProject:
    """A project that is served."""

    folder: Path
    port: int
    key: str = ""
    process: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    trusting: ssl.SSLContext | None = None  # it is served over TLS

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "leverframe", "-C", str(self.folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=self._env())

    def create_key(self, name: str = "desk", *words: str) -> str:
        made = self.cli("keys", "create", name, "--workflow", "desk", *words)
        assert made.returncode == 0, made.stderr
        return next(word for word in made.stdout.split() if word.startswith("OPENAI_API_KEY=")).partition("=")[2]

    def start(self, *words: str) -> None:
        command = [
            sys.executable,
            "-m",
            "leverframe",
            "-C",
            str(self.folder),
            "serve",
            "--port",
            str(self.port),
            *words,
        ]
        self.process = subprocess.Popen(command, env=self._env(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        until(self._is_ready, what="the door is ready", within_s=_START_S)

    def kill(self) -> None:
        """Kill it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(60)
        if self.process.stderr is not None:
            self.process.stderr.close()
        self.process = None

    def stop(self) -> int:
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        if self.process.stderr is not None:
            self.process.stderr.close()
        self.process = None
        return code

    def ask(self, path: str, body: object, *, key: str | None = None, method: str = "POST", **headers: str) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        if self.trusting is not None:
            connection = http.client.HTTPSConnection("localhost", self.port, timeout=60, context=self.trusting)
        try:
            given = self.key if key is None else key
            sent = {"Authorization": f"Bearer {given}", "Content-Type": "application/json"}
            sent |= {name.replace("_", "-"): value for name, value in headers.items()}
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, data if method == "POST" else None, sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(status=answer.status, headers=found, body=answer.read())
        finally:
            connection.close()

    def chat(self, *, key: str | None = None, headers: Mapping[str, str] | None = None, **more: object) -> Answer:
        body = {"model": "fast", "messages": [{"role": "user", "content": "Hello"}], **more}
        return self.ask("/v1/chat/completions", body, key=key, **dict(headers or {}))

    def workers(self) -> list[int]:
        """The processes below the one that was started, the oldest first."""
        assert self.process is not None
        told = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text("ascii")
        return [int(one) for one in told.split()]

    def counted(self, name: str) -> float:
        """A sum over the labels of one name in `/metrics`."""
        lines = self.ask("/metrics", None, method="GET").body.decode().splitlines()
        found = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rpartition(" ")[2]) for line in found)

    # Any: values of SQLite.
    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What is recorded."""
        with closing(sqlite3.connect(f"file:{self.folder}/.leverframe/leverframe.db?mode=ro", uri=True)) as store:
            return store.execute(sql, values).fetchall()

    def verified(self) -> str:
        told = self.cli("evidence", "verify")
        assert told.returncode == 0, told.stdout + told.stderr
        return told.stdout

    def exports(self, name: str, *words: str) -> dict[str, str]:
        """What `keys create` says to paste into a shell, as the environment that this makes."""
        url = f"http://127.0.0.1:{self.port}"
        made = self.cli("keys", "create", name, "--workflow", "desk", "--url", url, *words)
        assert made.returncode == 0, made.stderr
        pairs = [word for line in made.stdout.splitlines() for word in line.removeprefix("export ").split()]
        return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}

    def _env(self) -> dict[str, str]:
        return {**os.environ, "XDG_CONFIG_HOME": str(self.folder / "xdg"), **self.environment}

    def _is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            said = self.process.stderr.read().decode() if self.process.stderr is not None else ""
            raise AssertionError(f"leverframe serve ended with {self.process.returncode}: {said}")
        with suppress(OSError, http.client.HTTPException):
            return self.ask("/readyz", None, method="GET").status == 200
        return False


@dataclass(slots=True, kw_only=True)
class ServedDesk(ServedProject):
    """One with a vendor that does as it is told."""

    vendor: FakeVendor


@contextmanager
def served_desk(
    folder: Path,
    contract: str = CONTRACT,
    more: str = "",
    *,
    words: tuple[str, ...] = (),
    trusting: ssl.SSLContext | None = None,
) -> Iterator[ServedDesk]:
    """Write the project, make a key, serve it."""
    with FakeVendor() as vendor:
        (folder / "workflows").mkdir(parents=True, exist_ok=True)
        project = PROJECT.format(url=vendor.url, more=more)
        (folder / "leverframe.yaml").write_text(project, encoding="utf-8")
        (folder / "workflows" / "desk.yaml").write_text(contract, encoding="utf-8")
        with _started(ServedDesk(folder=folder, vendor=vendor, port=free_port(), trusting=trusting), words) as desk:
            yield desk


@contextmanager
def served_folder(folder: Path, *words: str, environment: dict[str, str] | None = None) -> Iterator[ServedDesk]:
    """Serve a project that is written already."""
    with (
        FakeVendor() as vendor,
        _started(
            ServedDesk(folder=folder, vendor=vendor, port=free_port(), environment=environment or {}), words
        ) as desk,
    ):
        yield desk


@contextmanager
def _started(desk: ServedDesk, words: tuple[str, ...]) -> Iterator[ServedDesk]:
    desk.key = desk.create_key()
    desk.start(*words)
    try:
        yield desk
    finally:
        if desk.process is not None:
            desk.stop()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
