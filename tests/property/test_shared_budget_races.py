"""Law I4: no window is ever overdrawn, whatever two processes ask for at once; watched from outside while they do."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from leverframe.domain.budgets import Window
from leverframe.domain.ids import WindowId
from leverframe.store import open_sqlite
from tests.door_desk import write_desk
from tests.sampling import IS_LONG, ROOT, sample
from tests.vaults import vault_beside

PROCESSES = 2
CALLS = 500 if IS_LONG else 60  # of each process
CONTRACT = """\
workflow: desk
input: {type: object, properties: {customer_id: {type: string}}}
subject: input.customer_id
budget: {max_tool_calls: 100000, max_steps: 100000}
policy: {allow_tools: [look_up]}
"""
# A call of look_up counts once and costs $0.001.
LIMITS = [(30, "1"), (100_000, "0.025"), (17, "0.02"), (40, "0.04"), (1, "1"), (0, "1")]


def project(calls: int, usd: str) -> str:
    tenant = f"{{tenant: default, window: total, max_tool_calls: {calls}}}"
    workflow = f"{{workflow: desk, window: total, max_usd: {usd}, max_tool_calls: 100000}}"
    return f"budgets: [{tenant}, {workflow}]\n"


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.budget_worker", str(folder), str(CALLS)],
        cwd=ROOT,
        env={**os.environ, "XDG_CONFIG_HOME": str(folder / "config")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


async def watched(folder: Path, workers: Sequence[subprocess.Popen[str]]) -> list[Window]:
    """Every state of the shared windows that could be seen while the workers were at work, the last one included."""
    ids = [WindowId("tenant/default/total/all"), WindowId("workflow/default/desk/total/all")]
    store = open_sqlite(
        folder / ".leverframe" / "leverframe.db",
        create=False,
        vault=vault_beside(folder / ".leverframe" / "leverframe.db"),
    )
    seen: list[Window] = []
    try:
        while any(worker.poll() is None for worker in workers):
            seen += await store.journal.shared_windows(ids)
            await asyncio.sleep(0)
        return [*seen, *await store.journal.shared_windows(ids)]
    finally:
        await store.close()


@pytest.mark.parametrize(("calls", "usd"), sample(LIMITS, 2))
def test_two_processes_never_overdraw_a_shared_window_and_leave_nothing_of_it_unused(
    tmp_path: Path, calls: int, usd: str
) -> None:
    write_desk(tmp_path, CONTRACT, project=project(calls, usd))
    fits = min(calls, int(Decimal(usd) * 1000), PROCESSES * CALLS)
    workers: list[subprocess.Popen[str]] = []
    for _ in range(PROCESSES):
        # One after the other, since the first one makes the database.
        workers.append(start(tmp_path))
        assert workers[-1].stdout is not None
        assert workers[-1].stdout.readline() == "ready\n"

    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    seen = asyncio.run(watched(tmp_path, workers))

    came: Counter[str] = Counter()
    for worker in workers:
        output, _ = worker.communicate(timeout=300)
        assert worker.returncode == 0, output
        came.update({name: int(count) for name, count in (line.split() for line in output.splitlines())})
    overdrawn = [each for each in seen if each.settled + each.reserved > each.limit]
    assert overdrawn == []
    assert came == Counter({"Answered": fits, "Exhausted": PROCESSES * CALLS - fits})
    assert {(each.settled, each.reserved) for each in seen[-3:] if each.unit == "tool_calls"} <= {(fits, 0)}
    verified = subprocess.run(
        [sys.executable, "-m", "leverframe", "-C", str(tmp_path), "evidence", "verify"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
