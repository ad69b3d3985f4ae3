"""The first seconds: `--help`, and the first run of the project that `init` writes, on an empty database."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.report import Row, at_most

_TIMES = 5
_LEVERFRAME = (sys.executable, "-m", "leverframe")


def measure(folder: Path) -> list[Row]:
    """Two rows."""
    return [
        at_most("leverframe --help", statistics.median(_help_ms() for _ in range(_TIMES)), "ms", 200),
        at_most("leverframe run of a new project, until it is held", _first_call_s(folder), "s", 1.5),
    ]


def _help_ms() -> float:
    begun = time.perf_counter()
    subprocess.run([*_LEVERFRAME, "--help"], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begun) * 1000


def _first_call_s(folder: Path) -> float:
    """Until the run of `init` says that it is held: three tool calls, so the first was answered before that."""
    project = folder / "project"
    # `init` keeps a credential in the folder of this user's settings: one of our own.
    env = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config")}
    subprocess.run([*_LEVERFRAME, "init", str(project)], check=True, stdout=subprocess.DEVNULL, env=env)
    taken = []
    for _ in range(_TIMES):
        begun = time.perf_counter()
        with subprocess.Popen(
            [*_LEVERFRAME, "run", "refund_request", "--input", _input(project)],
            cwd=project,
            env=env,
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdout is not None  # noqa: S101 a pipe was asked for
            if "HELD" not in child.stdout.readline():
                raise RuntimeError("The first run of a new project was not held; there is nothing to measure")
            taken.append(time.perf_counter() - begun)
            child.stdout.read()
    return statistics.median(taken)


def _input(project: Path) -> str:
    """The example input that `init` writes."""
    return str(next(iter(sorted((project / "inputs").glob("*.json")))).relative_to(project))
