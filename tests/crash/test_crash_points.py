"""SIGKILL at every named place that a run passes: after a rerun each write has happened once, or is listed as unknown.

The places are those of `ports.crash_points`.  LONG=1 dies at every passing of each, in a project of its own.
"""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from leverframe.ports.crash_points import CRASH_POINTS
from tests.crash.after_the_crash import assert_nothing_was_lost
from tests.receiver_project import write_project
from tests.sampling import ROOT, SEED, sample

# How often a worker passes each place on the first two orders of the file; the test fails where that is not so.
# Flushes and heads are shared by what comes close together, so a quick machine passes the writer's places less often.
PASSINGS = {
    "before_begin": 20,
    "after_begin": 20,
    "before_commit": 20,
    "after_commit": 20,
    "after_flush": 6,
    "before_head": 2,
    "after_run_opened": 2,
    "after_decided": 14,
    "after_held": 2,
    "after_intended": 8,
    "before_send": 14,
    "after_answer": 14,
    "after_settled": 14,
    "before_run_ended": 2,
}
ORDERS = 2
CASES = [f"{name}:{n + 1}" for name, times in PASSINGS.items() for n in range(times)]
# In the test that dies at each place in turn, so early that a few orders are enough for all of them.
_EARLY = 14


def worker(folder: Path, crash_at: str = "") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "tests.crash.run_worker", str(folder)],
        cwd=ROOT,
        env={**os.environ, "XDG_CONFIG_HOME": str(folder / "config"), "LEVERFRAME_CRASH_AT": crash_at},
        capture_output=True,
        timeout=120,
        check=False,
    )


def test_every_place_that_has_a_name_is_one_that_a_run_passes() -> None:
    assert set(PASSINGS) == set(CRASH_POINTS)


def test_processes_that_die_at_every_named_place_in_turn_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    places = [(name, range(1, min(times, _EARLY) + 1)) for name, times in PASSINGS.items()]
    draw = random.Random(SEED)  # noqa: S311 a draw of places, not of secrets
    deaths = [f"{name}:{draw.choice(passings)}" for name, passings in places]
    draw.shuffle(deaths)
    orders = len(deaths)
    write_project(tmp_path, orders, is_held=True)

    for crash_at in deaths:
        died = worker(tmp_path, crash_at)
        assert died.returncode == -signal.SIGKILL, f"{crash_at} of {deaths}: {died.stderr.decode()}"
    finished = worker(tmp_path)

    assert finished.returncode == 0, f"{deaths}: {finished.stderr.decode()}"
    assert_nothing_was_lost(tmp_path, orders)


@pytest.mark.parametrize("crash_at", sample(CASES, 2))
def test_a_process_that_dies_there_loses_nothing_and_repeats_nothing(tmp_path: Path, crash_at: str) -> None:
    write_project(tmp_path, ORDERS, is_held=True)

    died = worker(tmp_path, crash_at)
    finished = worker(tmp_path)

    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert finished.returncode == 0, finished.stderr.decode()
    assert_nothing_was_lost(tmp_path, ORDERS)
