"""A thousand reservations from three processes at once never exceed a window."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from leverframe.domain.budgets import Window
from leverframe.domain.proposals import EnsureWindow, OpenRun, Proposal
from leverframe.store import open_sqlite
from tests.crash.reserve_worker import OWN, SHARED
from tests.sampling import IS_LONG, ROOT, SEED
from tests.store_samples import ACME, RUN, a_run, a_window
from tests.vaults import vault_beside

PROCESSES, RESERVATIONS = 3, 1_002
LIMITS = (2_000, 1_500)  # of the run's own window and of the shared one; about 4,500 is asked


async def prepare(database: Path) -> None:
    store = open_sqlite(database, create=True, vault=vault_beside(database))
    shared = EnsureWindow(window=a_window(LIMITS[1], window_id=SHARED), tenant=ACME, resets_at=None)
    opened = OpenRun(run=a_run(), windows=(a_window(LIMITS[0], window_id=OWN),))
    await store.writer.commit(Proposal(tenant=ACME, changes=(opened, shared)))
    await store.close()


async def books(database: Path) -> list[Window]:
    store = open_sqlite(database, create=False, vault=vault_beside(database))
    found = [*await store.journal.windows(RUN), *await store.journal.shared_windows([SHARED])]
    await store.close()
    return found


def start(database: Path, name: str, seed: str) -> "subprocess.Popen[str]":
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    count = str(RESERVATIONS // PROCESSES)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.crash.reserve_worker", database, name, count, seed],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
    )


@pytest.mark.parametrize("turn", range(20 if IS_LONG else 2))
def test_a_thousand_reservations_of_three_processes_never_exceed_a_window(tmp_path: Path, turn: int) -> None:
    database = tmp_path / "leverframe.db"
    asyncio.run(prepare(database))
    children = [start(database, f"p{number}", f"{SEED} {turn}") for number in range(PROCESSES)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"

    printed: list[list[str]] = []
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        out, _ = child.communicate(timeout=60)
        printed += [line.split() for line in out.splitlines()]

    assert [child.returncode for child in children] == [0] * PROCESSES
    taken = {label: int(amount) for label, amount in printed if label != "worst"}
    own, shared = asyncio.run(books(database))
    assert own.reserved == shared.reserved == sum(taken.values())
    assert own.reserved <= own.limit
    assert shared.reserved <= shared.limit
    # Nothing was given back, so what is left fits no reservation of the largest amount, or nearly.
    assert shared.left < 8
