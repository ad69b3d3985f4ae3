"""SIGKILL at any moment of `leverframe run --file`: after the rerun every write has happened once, or is unknown."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from tests.crash.after_the_crash import assert_nothing_was_lost
from tests.receiver_project import effects, write_project
from tests.sampling import IS_LONG, SEED
from tests.waiting import until

KILLS = 50 if IS_LONG else 12
ORDERS = 12 * KILLS  # more than the processes can do before they are killed
# A process is killed after so many writes more, and a moment: a time alone would be over before it on a quick machine.
_MOST_WRITES = 20
_MOMENT_S = 0.02


def backfill(folder: Path, items: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "leverframe", "-C", str(folder), "run", "batch", "--file", str(items)],
        env={**os.environ, "XDG_CONFIG_HOME": str(folder / "config")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(process: subprocess.Popen[bytes]) -> str:
    output, _ = process.communicate(timeout=300)
    # 1: all was done, and some of it is unknown.
    assert process.returncode in {0, 1}, output.decode()
    return output.decode()


def written(folder: Path) -> int:
    """How much has reached the receiver."""
    return sum(effects(folder).values())


def kill_at_a_random_moment(folder: Path, items: Path, draw: random.Random) -> bool:
    """Whether the process was still at work when its moment came."""
    wanted = written(folder) + draw.randint(1, _MOST_WRITES)
    process = backfill(folder, items)
    until(lambda: written(folder) >= wanted or process.poll() is not None, what="a write", within_s=60)
    try:
        process.wait(timeout=draw.uniform(0, _MOMENT_S))
    except subprocess.TimeoutExpired:
        process.kill()
    output, _ = process.communicate()
    assert process.returncode in {0, 1, -signal.SIGKILL}, output.decode()
    return process.returncode == -signal.SIGKILL


def test_killed_at_random_moments_a_backfill_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    items = write_project(tmp_path, ORDERS)
    draw = random.Random(SEED)  # noqa: S311 moments of a test, not secrets

    killed = sum(kill_at_a_random_moment(tmp_path, items, draw) for _ in range(KILLS))
    said = finish(backfill(tmp_path, items))

    assert killed == KILLS, f"only {killed} of {KILLS} processes were still at work when they were to die"
    assert f"{ORDERS} items" in said
    assert_nothing_was_lost(tmp_path, ORDERS)


def test_a_backfill_that_is_run_again_does_nothing_twice(tmp_path: Path) -> None:
    items = write_project(tmp_path, 2)

    finish(backfill(tmp_path, items))
    again = finish(backfill(tmp_path, items))

    assert "2 had ended before" in again
    assert_nothing_was_lost(tmp_path, 2)


def test_two_backfills_of_one_workflow_at_once_do_nothing_twice(tmp_path: Path) -> None:
    items = write_project(tmp_path, 8)

    first, second = backfill(tmp_path, items), backfill(tmp_path, items)
    for process in (first, second):
        process.communicate(timeout=120)
    finish(backfill(tmp_path, items))

    assert_nothing_was_lost(tmp_path, 8)
