"""SIGKILL at every crash point of the writer, and of one of three processes at random: nothing is half there."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

import msgspec
import pytest

from leverframe.core import merkle
from leverframe.core.notes import open_checkpoint, parse_vkey
from leverframe.domain.ids import RunId
from leverframe.domain.proposals import Committed, Proposal, PutRun
from leverframe.domain.runs import RunState
from leverframe.ports.crash_points import CRASH_POINTS, parse_target
from leverframe.signing.ed25519 import Ed25519FileSigner
from leverframe.store import Store
from tests.crash.store_worker import open_signed, prepare
from tests.sampling import IS_LONG, ROOT, SEED
from tests.store_samples import ACME, RUN, a_run, assert_log_verifies
from tests.waiting import until

WRITER_POINTS = ("before_begin", "after_begin", "before_commit", "after_commit", "after_flush", "before_head")
KILLS = 200 if IS_LONG else 6


class Desk:
    """One database with its key, and processes that write to it."""

    def __init__(self, folder: Path) -> None:
        self.database, self.key = folder / "leverframe.db", folder / "acme.key"
        self.vkey = Ed25519FileSigner.create(self.key, "leverframe.example/acme").vkey

    def prepare(self) -> None:
        async def whole() -> None:
            store = open_signed(self.database, self.key)
            await prepare(store)
            await store.close()

        asyncio.run(whole())

    def park(self) -> None:
        """Close the run to all who write to it."""

        async def whole() -> None:
            store = open_signed(self.database, self.key)
            parked = PutRun(run=a_run(state=RunState.PARKED), expect=RunState.OPEN)
            assert isinstance(await store.writer.commit(Proposal(tenant=ACME, changes=(parked,))), Committed)
            await store.close()

        asyncio.run(whole())

    def start(self, name: str, rounds: int, width: int, crash_at: str = "") -> "subprocess.Popen[str]":
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        return subprocess.Popen(
            [sys.executable, "-m", "tests.crash.store_worker", self.database, self.key, name, str(rounds), str(width)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path, "LEVERFRAME_CRASH_AT": crash_at},
        )

    def check(self, answered: Sequence[str]) -> set[str]:
        """Open it again and find all of each proposal or nothing; returns the names of what happened."""

        async def whole() -> set[str]:
            store = open_signed(self.database, self.key)
            found = await self._check(store, answered)
            await store.close()
            return found

        return asyncio.run(whole())

    async def _check(self, store: Store, answered: Sequence[str]) -> set[str]:
        happened = {step.path for step in await store.journal.steps(RUN)}
        leaves = await store.evidence.leaves_of_run(ACME, RunId(RUN))
        assert sorted(one.entry_id for one in leaves) == sorted(
            f"ent_{name}_{half}" for name in happened for half in "ab"
        )
        assert [msgspec.json.decode(one.leaf)["run_seq"] for one in leaves] == list(range(1, len(leaves) + 1))
        assert set(answered) <= happened
        (window,) = await store.journal.windows(RUN)
        settled = sum(name.endswith(("0", "2", "4", "6", "8")) for name in happened)
        assert (window.settled, window.reserved) == (settled, len(happened) - settled)
        assert window.settled + window.reserved <= window.limit
        assert await assert_log_verifies(store) == 2 * len(happened)
        if happened:
            note = await store.evidence.checkpoint(ACME)
            assert note is not None
            head = open_checkpoint(note, parse_vkey(self.vkey))
            assert (head.size, head.root) == (len(leaves), merkle.root(await store.evidence.tree(ACME)))
        return set(happened)


def _drain(child: "subprocess.Popen[str]") -> tuple[Thread, list[str]]:
    """Read what a process prints while it runs, so that its pipe never fills."""
    lines: list[str] = []

    def read() -> None:
        assert child.stdout is not None
        lines.extend(line.strip() for line in child.stdout)
        child.stdout.close()

    thread = Thread(target=read)
    thread.start()
    return thread, lines


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize("point", [one for one in WRITER_POINTS if one != "before_head"])
@pytest.mark.parametrize("passing", [2, 5])
def test_a_kill_in_the_writer_keeps_what_was_answered_and_halves_nothing(desk: Desk, point: str, passing: int) -> None:
    desk.prepare()

    child = desk.start("w", rounds=20, width=1, crash_at=f"{point}:{passing}")
    answered, _ = child.communicate(timeout=30)
    happened = desk.check(answered.split())

    assert child.returncode == -signal.SIGKILL
    is_committed = point in {"after_commit", "after_flush"}
    assert answered.split() == [f"w.{number}.0" for number in range(passing - 1)]
    assert happened == {f"w.{number}.0" for number in range(passing if is_committed else passing - 1)}


@pytest.mark.parametrize("passing", [1, 2, 4])
def test_a_kill_before_a_head_is_kept_loses_no_entry(desk: Desk, passing: int) -> None:
    desk.prepare()

    child = desk.start("w", rounds=100_000, width=1, crash_at=f"before_head:{passing}")
    answered, _ = child.communicate(timeout=30)
    happened = desk.check(answered.split())

    assert child.returncode == -signal.SIGKILL
    assert 0 <= len(happened) - len(answered.split()) <= 1


@pytest.mark.parametrize("point", WRITER_POINTS)
def test_a_kill_in_a_batch_of_many_callers_halves_none_of_them(desk: Desk, point: str) -> None:
    desk.prepare()

    child = desk.start("w", rounds=100_000, width=32, crash_at=f"{point}:4")
    answered, _ = child.communicate(timeout=30)

    assert child.returncode == -signal.SIGKILL
    assert desk.check(answered.split()) >= set(answered.split())


def test_one_of_three_processes_is_killed_and_the_others_go_on(desk: Desk) -> None:
    desk.prepare()
    dice = random.Random(SEED)  # noqa: S311 it chooses when to kill, nothing secret
    answered: list[str] = []
    survivors = [desk.start(name, rounds=1_000_000, width=4) for name in ("a", "b")]
    kept = [_drain(child) for child in survivors]

    for number in range(KILLS):
        child = desk.start(f"k{number}", rounds=1_000_000, width=4)
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(dice.randrange(1, 12))]
        child.kill()
        rest, _ = child.communicate(timeout=30)
        answered += "".join([*lines, rest]).split()
    desk.park()
    until(lambda: all(child.poll() is not None for child in survivors), what="the end of both survivors", within_s=30)
    for thread, printed in kept:
        thread.join()
        answered += printed
    waits = [float(child.stderr.read()) for child in survivors if child.stderr is not None]
    for child in survivors:
        child.communicate()

    happened = desk.check(answered)

    assert [child.returncode for child in survivors] == [0, 0]
    assert max(waits) < 1.0
    assert {name.split(".")[0] for name in happened} == {"a", "b", *(f"k{number}" for number in range(KILLS))}


def test_the_writers_points_are_named_and_a_misspelt_one_is_refused() -> None:
    assert set(WRITER_POINTS) <= set(CRASH_POINTS)
    assert (parse_target("before_commit"), parse_target("before_commit:3")) == (
        ("before_commit", 1),
        ("before_commit", 3),
    )
    assert parse_target("") == ("", 0)
    for wrong in ("before_comit", "before_commit:0", "before_commit:x", ":1"):
        with pytest.raises(ValueError, match="LEVERFRAME_CRASH_AT"):
            parse_target(wrong)
