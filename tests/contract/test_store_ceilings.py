"""Visible and durable: who waits for a flush, and what a power cut may take back.

A power cut is played by keeping what was flushed and nothing else: each flush copies the database and its log, and the
copy is opened under another boot id.  No other flush happens, since the timed one is put off.
"""

import asyncio
import errno
import random
import shutil
from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path

import pytest

from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.errors import StoreUnavailable
from leverframe.domain.evidence import EntryDraft, EventType
from leverframe.domain.ids import ReservationId, RunId, WindowId
from leverframe.domain.proposals import (
    Change,
    CommitResult,
    Committed,
    EnsureWindow,
    OpenRun,
    Proposal,
    PutRun,
    SettleDirect,
    SettleReserves,
    SettleRun,
    VoidReserves,
)
from leverframe.domain.runs import RunState
from leverframe.ports.store import Forfeited
from leverframe.store import Store, open_sqlite
from leverframe.store.sqlite import clean_mark, flushing
from tests.sampling import IS_LONG, SEED
from tests.store_samples import ACME, RUN, a_run, a_window, an_entry, assert_log_verifies, new_step, taking
from tests.vaults import vault_beside
from tests.waiting import until

DAY = WindowId("acme/day/2026-03-01")
ORIGINAL_FLUSH = flushing.WalFile.flush


def forfeited(one: Forfeited) -> EntryDraft:
    detail = {"window_id": one.window_id, "unit": one.unit.value, "amount": one.amount}
    entry_id = f"ent_{one.window_id}_{one.unit.value}"
    return an_entry(entry_id, type=EventType.BUDGET_FORFEITED, tenant=one.tenant, run_id=one.run_id, detail=detail)


class Machine:
    """A database on a machine whose power can be cut."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, runner: asyncio.Runner) -> None:
        self.folder, self.path, self.kept = folder, folder / "leverframe.db", folder / "flushed"
        self.kept.mkdir()
        self.runner, self._monkeypatch = runner, monkeypatch
        self.flushes, self.cuts, self.is_failing = 0, 0, False
        self.boot("boot 1")
        monkeypatch.setattr(flushing, "FLUSH_WITHIN_S", 3600.0)
        monkeypatch.setattr(flushing.WalFile, "flush", partialmethod(_flush, self))

    def boot(self, name: str) -> None:
        self._monkeypatch.setattr(clean_mark, "boot_id", lambda: name)

    def open(self, durability: str = "grouped") -> Store:
        return open_sqlite(
            self.path, create=True, vault=vault_beside(self.path), durability=durability, entry_of=forfeited
        )

    def after_a_power_cut(self) -> Store:
        """The database as the flushes left it, on a machine that was started anew."""
        self.boot(f"boot after cut {self.cuts}")
        self.cuts += 1
        folder = shutil.copytree(self.kept, self.folder / f"cut {self.cuts}")
        return open_sqlite(
            folder / "leverframe.db", create=False, vault=vault_beside(folder / "leverframe.db"), entry_of=forfeited
        )

    def do(self, store: Store, *changes: Change, is_durable: bool = False) -> CommitResult:
        proposal = Proposal(tenant=ACME, changes=changes, is_durable=is_durable)
        return self.runner.run(store.writer.commit(proposal))

    def windows(self, store: Store) -> list[Window]:
        return [
            *self.runner.run(store.journal.windows(RUN)),
            *self.runner.run(store.journal.shared_windows([DAY])),
        ]

    def close(self, store: Store) -> None:
        self.runner.run(store.close())

    def flushed(self) -> None:
        if self.is_failing:
            raise OSError(errno.EIO, "Input/output error")
        self.flushes += 1
        if not self.cuts:
            for name in ("leverframe.db", "leverframe.db-wal"):
                shutil.copy(self.folder / name, self.kept / name)


def _flush(wal: flushing.WalFile, machine: Machine) -> None:
    ORIGINAL_FLUSH(wal)
    machine.flushed()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with asyncio.Runner() as runner:
        yield Machine(tmp_path, monkeypatch, runner)


def prepared(machine: Machine, limit: int = 640) -> Store:
    """An open run with a window of 64, and a shared window."""
    store = machine.open()
    shared = EnsureWindow(window=a_window(limit, window_id=DAY), tenant=ACME, resets_at=None)
    machine.do(store, OpenRun(run=a_run(), windows=(a_window(64),)), shared, is_durable=True)
    return store


def used(window: Window) -> int:
    return window.settled + window.reserved


def test_a_visible_proposal_waits_for_no_flush_and_a_durable_one_does(machine: Machine) -> None:
    store = prepared(machine)
    machine.do(store, new_step("1"))
    before = machine.flushes

    machine.do(store, new_step("2"))
    visible = machine.flushes
    machine.do(store, new_step("3"), is_durable=True)

    assert (visible - before, machine.flushes - visible) == (0, 1)
    machine.close(store)


def test_a_durable_commit_flushes_all_that_was_visible_before_it(machine: Machine) -> None:
    store = prepared(machine)
    machine.do(store, new_step("1"))
    machine.do(store, new_step("2"))
    machine.do(store, new_step("3"), is_durable=True)
    machine.do(store, new_step("4"))

    found = machine.after_a_power_cut()

    assert [step.path for step in machine.runner.run(found.journal.steps(RUN))] == ["1", "2", "3"]
    machine.close(found)
    machine.close(store)


def test_strict_flushes_every_proposal_before_it_is_answered(machine: Machine) -> None:
    machine.close(prepared(machine))
    store = machine.open("strict")
    before = machine.flushes

    for number in range(3):
        machine.do(store, new_step(str(number)))

    assert machine.flushes - before == 3
    machine.close(store)


def test_what_is_visible_is_flushed_soon_with_nobody_waiting(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flushing, "FLUSH_WITHIN_S", 0.01)
    store = prepared(machine)
    machine.do(store, new_step("1"))
    machine.do(store, new_step("2"))

    before = machine.flushes

    machine.do(store, new_step("3"))

    until(lambda: machine.flushes > before, what="a flush of the last step")
    machine.close(store)


@pytest.mark.parametrize("seed", range(40 if IS_LONG else 6))
def test_a_power_cut_never_gives_back_what_was_answered(machine: Machine, seed: int) -> None:
    dice = random.Random(f"{SEED} {seed}")  # noqa: S311 it chooses moves, nothing secret
    store = prepared(machine, dice.choice([20, 640, 100_000]))
    peaks: dict[WindowId, int] = {}
    for number in range(dice.randrange(1, 60)):
        reservation = ReservationId(f"rsv_{dice.randrange(number + 1)}")
        move = dice.choice(["take", "take", "take", "settle", "void", "direct"])
        window_id = dice.choice([DAY, WindowId("run/run_1")])
        unit = BudgetUnit.TOOL_CALLS
        changes: dict[str, Change] = {
            "take": taking(f"rsv_{number}", dice.randrange(8), window_id=window_id),
            "settle": SettleReserves(reservation_id=reservation, actual={}),
            "void": VoidReserves(reservation_id=reservation),
            "direct": SettleDirect(window_id=window_id, unit=unit, amount=dice.randrange(3)),
        }
        machine.do(store, changes[move], is_durable=dice.random() < 0.1)
        for window in machine.windows(store):
            peaks[window.window_id] = max(used(window), peaks.get(window.window_id, 0))
    before = {one.window_id: used(one) for one in machine.windows(store)}

    found = machine.after_a_power_cut()

    for window in machine.windows(found):
        assert before[window.window_id] <= used(window) <= max(window.limit, peaks[window.window_id])
    machine.runner.run(assert_log_verifies(found))
    machine.close(found)
    machine.close(store)


def test_what_a_power_cut_used_up_is_in_the_evidence_once(machine: Machine) -> None:
    store = prepared(machine)
    for number in range(5):
        machine.do(store, taking(f"rsv_{number}", 1, window_id=DAY))

    found = machine.after_a_power_cut()
    (window,) = machine.runner.run(found.journal.shared_windows([DAY]))
    machine.close(found)
    again = open_sqlite(
        machine.folder / "cut 1" / "leverframe.db",
        create=False,
        vault=vault_beside(machine.folder / "cut 1" / "leverframe.db"),
        entry_of=forfeited,
    )

    assert used(window) == 1 + 640 // 64
    leaves = machine.runner.run(again.evidence.leaves(ACME, 0, 10))
    assert [one.entry_id for one in leaves] == [f"ent_{DAY}_tool_calls", "ent_run/run_1_tool_calls"]
    machine.close(again)
    machine.close(store)


def test_a_window_of_an_ended_run_lapses_with_it(machine: Machine) -> None:
    store = prepared(machine)
    machine.do(store, taking("rsv_1", 1))
    machine.do(store, PutRun(run=a_run(state=RunState.ENDED), expect=RunState.OPEN), is_durable=True)
    machine.do(store, taking("rsv_2", 1, window_id=DAY))

    found = machine.after_a_power_cut()

    run_window, shared = machine.windows(found)
    assert (used(run_window), used(shared)) == (1, 11)
    machine.close(found)
    machine.close(store)


def test_a_process_that_dies_forfeits_nothing(machine: Machine) -> None:
    store = prepared(machine)
    machine.do(store, taking("rsv_1", 3, window_id=DAY))

    # The same machine: another process finds the mark of this boot, and all that was committed.
    other = machine.open()

    assert [used(one) for one in machine.windows(other)] == [0, 3]
    assert machine.runner.run(other.evidence.leaves(ACME, 0, 10)) == []
    machine.close(other)
    machine.close(store)


def test_after_a_clean_end_another_boot_forfeits_nothing(machine: Machine) -> None:
    store = prepared(machine)
    machine.do(store, taking("rsv_1", 3, window_id=DAY))
    machine.close(store)

    machine.boot("boot 2")
    again = machine.open()

    assert [used(one) for one in machine.windows(again)] == [0, 3]
    machine.close(again)


def test_a_writer_goes_on_marking_after_another_one_closed(machine: Machine) -> None:
    store, other = prepared(machine), machine.open()
    machine.do(store, taking("rsv_1", 1, window_id=DAY))
    machine.close(other)
    machine.do(store, taking("rsv_2", 1, window_id=DAY))

    found = machine.after_a_power_cut()

    assert used(machine.windows(found)[1]) == 11
    machine.close(found)
    machine.close(store)


def test_a_crashed_database_is_not_used_before_it_is_reconciled(machine: Machine) -> None:
    store = prepared(machine)
    machine.do(store, taking("rsv_1", 1, window_id=DAY))
    machine.boot("boot 2")

    with pytest.raises(StoreUnavailable, match="went down") as caught:
        open_sqlite(machine.kept / "leverframe.db", create=False, vault=vault_beside(machine.kept / "leverframe.db"))

    assert "leverframe runs list" in caught.value.next_move
    machine.boot("boot 1")
    machine.close(store)


def test_a_disk_that_cannot_flush_is_said_and_nothing_more_is_written(machine: Machine) -> None:
    store = prepared(machine)
    machine.is_failing = True

    with pytest.raises(StoreUnavailable, match="failed to flush"):
        machine.do(store, new_step("1"), is_durable=True)
    with pytest.raises(StoreUnavailable, match="failed to flush"):
        machine.do(store, new_step("2"))

    machine.is_failing = False
    machine.close(store)


def test_what_a_dead_worker_has_open_is_settled_at_its_bound(machine: Machine) -> None:
    store = prepared(machine)
    machine.do(store, taking("rsv_1", 3, window_id=DAY))
    machine.do(store, taking("rsv_2", 2))
    before = machine.runner.run(store.journal.unsettled_runs(10))

    outcome = machine.do(store, SettleRun(run_id=RunId(RUN)))
    machine.do(store, SettleRun(run_id=RunId(RUN)))

    assert isinstance(outcome, Committed)
    assert (list(before), machine.runner.run(store.journal.unsettled_runs(10))) == ([RUN], [])
    assert [(one.settled, one.reserved) for one in machine.windows(store)] == [(2, 0), (3, 0)]
    machine.close(store)
