"""A project before two tool servers, served; and a peer before one of them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.gateway.served import free_port, running
from bench.tools.orders import INPUT, OUTPUT, TOOL, names

MANY: Final = 500
OURS: Final = f"shop.{TOOL}"  # as the contract calls it
_ROOT: Final = Path(__file__).parents[2]
_PEERS: Final = _ROOT / ".bench-peers"
_PEER: Final = "fastmcp==4.2.3"
# Typed into the peer's own interpreter, since its packages are not ours.
_PROXY: Final = """\
import sys
from fastmcp.server import create_proxy
create_proxy(sys.argv[1]).run(transport="http", host="127.0.0.1", port=int(sys.argv[2]), show_banner=False)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What is measured: the process that serves, its port, a key for one tool and a key for many."""

    pid: int
    port: int
    key: str
    key_of_many: str


@contextmanager
def upstream(count: int) -> Iterator[int]:
    """The port of a tool server that has so many tools."""
    port = free_port()
    with running([sys.executable, "-m", "bench.tools.upstream", str(port), str(count)], port, cwd=_ROOT):
        yield port


@contextmanager
def door(folder: Path, small: int, large: int) -> Iterator[Door]:
    """A new project before two upstreams, everything of them pinned, served by one worker."""
    project, port = folder / "desk", free_port()
    _write(project, small, large)
    _cli(project, "tools", "pin", "--because", "a measurement")
    keys = {name: _key(project, name) for name in ("desk", "many")}
    command = [sys.executable, "-m", "leverframe", "-C", str(project), "serve", "--port", str(port)]
    with running(command, port, cwd=folder, environment=_environment(project)) as process:
        yield Door(pid=process.pid, port=port, key=keys["desk"], key_of_many=keys["many"])


@contextmanager
def peer(folder: Path, small: int) -> Iterator[tuple[int, int]]:
    """The process and the port of another proxy before the same server.

    Raises:
        OSError, RuntimeError, subprocess.SubprocessError: it cannot be installed or started.
    """
    home, port = _PEERS / "fastmcp", free_port()
    program = home / "bin" / "python"
    if not (home / _PEER).exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        pip = [str(program), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, _PEER], check=True)
        (home / _PEER).touch()
    command = [str(program), "-c", _PROXY, f"http://127.0.0.1:{small}/mcp", str(port)]
    environment = {"FASTMCP_LOG_LEVEL": "WARNING", "FASTMCP_CHECK_FOR_UPDATES": "off"}
    with running(command, port, cwd=folder, environment=environment) as process:
        yield process.pid, port


# Any: what `bench.tools.load` takes.
def asked(port: int, **words: Any) -> list[float]:
    """The times of a client in a process of its own."""
    command = [sys.executable, "-m", "bench.tools.load", json.dumps({"port": port, **words})]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"The client ended with {done.returncode}: {done.stderr[-2000:]}")
    # Any: a list of numbers, as JSON.
    found: list[float] = json.loads(done.stdout)
    return found


def _write(project: Path, small: int, large: int) -> None:
    servers = {
        name: {"url": f"http://127.0.0.1:{port}/mcp", "private": "allowed"}
        for name, port in (("shop", small), ("many", large))
    }
    tools = {OURS: ("shop", TOOL), **{f"many.{name}": ("many", name) for name in names(MANY)}}
    for part in ("workflows", "tools"):
        (project / part).mkdir(parents=True)
    (project / "leverframe.yaml").write_text(json.dumps({"servers": servers}), encoding="utf-8")
    for tool, (server, name) in tools.items():
        spec = {"tool": tool, "from": {"mcp": server, "name": name}, "effect": "read", "input": INPUT, "output": OUTPUT}
        words = "Look up one order by its number, with what was bought, what it cost and where it is now."
        text = json.dumps({**spec, "description": words})
        (project / "tools" / f"{tool}.yaml").write_text(text, encoding="utf-8")
    for workflow, allowed in (("desk", [OURS]), ("many", [one for one in tools if one.startswith("many.")])):
        contract = {
            "workflow": workflow,
            "budget": {"max_tool_calls": 100_000_000, "max_steps": 100_000_000},
            "policy": {"allow_tools": allowed},
        }
        (project / "workflows" / f"{workflow}.yaml").write_text(json.dumps(contract), encoding="utf-8")


def _key(project: Path, workflow: str) -> str:
    made = _cli(project, "keys", "create", workflow, "--workflow", workflow, "--json")
    return str(json.loads(made)["key"])


def _environment(project: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(project.parent / "config")}


def _cli(project: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "leverframe", "-C", str(project), *words],
        env={**os.environ, **_environment(project)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"leverframe {' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout
