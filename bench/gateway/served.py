"""A project that is served, the vendor behind it, and what their processes take."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).parents[2]
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PATIENCE_S: Final = 60.0

PROJECT = """\
tenants: {{default: {{}}}}
providers:
  vendor:
    wire: openai
    url: "http://127.0.0.1:{port}/v1"
    private: allowed
    priced_as: {{gpt-5-mini-c5-g1000: gpt-5-mini}}
models: {{fast: [vendor/gpt-5-mini, vendor/gpt-5-mini-c5-g1000]}}
budgets:
  - {{tenant: default, window: month, max_usd: 100000}}
  - {{workflow: desk, window: day, max_usd: 50000}}
"""
# The vendor of the bench takes 45 micro-dollars for a call of a burst, so that each of these is enough for ten.
_CAPPED: Final = tuple(f"capped-{number}" for number in range(5))
_CAPS: Final = "".join(f"  - {{tenant: default, key: {name}, window: day, max_usd: 0.00045}}\n" for name in _CAPPED)
_TOOL = (
    'from leverframe.sdk.tool import tool\n\n\n@tool(effect="read")\ndef look_up(order_id: str) -> str:\n    '
    '"""Look up an order."""\n    return order_id\n'
)
_RULES = "".join(
    f"    - {{id: rule-{number}, then: deny, tools: [look_up], when: 'args.order_id == \"W{number}\"'}}\n"
    for number in range(20)
)
CONTRACT = f"""\
workflow: desk
budget: {{max_model_calls: 100000000, max_steps: 100000000, max_usd: 40000}}
policy:
  allow_tools: [look_up]
  rules:
{_RULES}logging: {{retain_days: 400}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What is measured: the process that serves, its port and a key, and the vendor's port."""

    pid: int
    port: int
    key: str
    vendor_port: int
    capped_keys: tuple[str, ...] = ()  # each of a budget of its own that affords few calls


# Any: the summary of a load, as JSON.
def put_load(port: int, **words: Any) -> dict[str, Any]:
    """Load from a process of its own."""
    asked = json.dumps({"port": port, **words})
    done = subprocess.run(
        [sys.executable, "-m", "bench.gateway.load", asked], cwd=_ROOT, capture_output=True, text=True, check=True
    )
    # Any: see above.
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def cpu_s(pid: int) -> float:
    """User and system seconds of a process and its children so far.  Source: proc(5)."""
    total = 0
    for each in _tree(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def rss_mib(pid: int) -> float:
    """Resident memory of a process and its children, in MiB."""
    return (
        sum(
            int(line.split()[1])
            for each in _tree(pid)
            for line in Path(f"/proc/{each}/status").read_text().splitlines()
            if line.startswith("VmRSS:")
        )
        / 1024
    )


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def vendor() -> Iterator[int]:
    """The vendor's port."""
    port = free_port()
    with running([sys.executable, "-m", "bench.gateway.vendor", str(port)], port, cwd=_ROOT):
        yield port


@contextmanager
def running(
    command: list[str], port: int, *, cwd: Path, environment: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that listens on a port, until the block ends."""
    with (cwd / f".served-{port}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=cwd, env={**os.environ, **(environment or {})}, stdout=log, stderr=log)
    try:
        _await(process, port, Path(log.name))
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        Path(log.name).unlink(missing_ok=True)


@contextmanager
def bare(vendor_port: int) -> Iterator[Served]:
    """The floor: our HTTP on both sides, and nothing between them."""
    port = free_port()
    command = [sys.executable, "-m", "bench.gateway.bare", str(port), str(vendor_port)]
    with running(command, port, cwd=_ROOT) as process:
        yield Served(pid=process.pid, port=port, key="", vendor_port=vendor_port)


@contextmanager
def served(folder: Path, vendor_port: int) -> Iterator[Served]:
    """A new project, served by one worker."""
    project, port = folder / "desk", free_port()
    environment = {"XDG_CONFIG_HOME": str(folder / "config")}
    command = [sys.executable, "-m", "leverframe"]
    _run([*command, "init", str(project)], environment)
    for name, text in {
        "leverframe.yaml": PROJECT.format(port=vendor_port) + _CAPS,
        "workflows/desk.yaml": CONTRACT,
        "tools/shop.py": _TOOL,
    }.items():
        (project / name).write_text(text, encoding="utf-8")
    (project / "workflows/refund_request.yaml").unlink()
    keys = [*command, "-C", str(project), "keys", "create"]
    made, *capped = (
        str(json.loads(_run([*keys, name, "--workflow", "desk", "--json"], environment))["key"])
        for name in ("bench", *_CAPPED)
    )
    with running(
        [*command, "-C", str(project), "serve", "--port", str(port)], port, cwd=folder, environment=environment
    ) as process:
        yield Served(pid=process.pid, port=port, key=made, vendor_port=vendor_port, capped_keys=tuple(capped))


def _run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, env={**os.environ, **environment}, cwd=_ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def _await(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen: {log.read_text('utf-8', 'replace')[-2000:]}")


def _tree(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        each = waiting.pop()
        try:
            children = Path(f"/proc/{each}/task/{each}/children").read_text().split()
        except OSError:
            continue
        found.append(each)
        waiting += [int(child) for child in children]
    return found
