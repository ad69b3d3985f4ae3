"""What a writer read for one batch is not believed in the next where somebody else has written since."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from leverframe.domain.errors import EvidenceBroken
from leverframe.domain.ids import StepPath
from leverframe.domain.proposals import OpenRun, Proposal, PutRun, RunIs
from leverframe.domain.runs import RunOutcome, RunState
from leverframe.store import Store, open_sqlite
from tests.store_samples import ACME, NOW, RUN, Bench, a_run, a_window, an_entry, assert_log_verifies, new_step, taking
from tests.vaults import vault_beside


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "leverframe.db"


@pytest.fixture
def benches(database: Path) -> Iterator[tuple[Bench, Bench]]:
    """Two writers on one file, as two processes are."""
    with asyncio.Runner() as runner:
        stores = [opened(database), opened(database)]
        yield Bench(store=stores[0], runner=runner), Bench(store=stores[1], runner=runner)
        for store in stores:
            runner.run(store.close())


def opened(database: Path) -> Store:
    return open_sqlite(database, create=True, vault=vault_beside(database))


def visible(number: int) -> Proposal:
    """One of a stream of cheap proposals, which a writer carries out without reading anything again."""
    return Proposal(
        tenant=ACME,
        guards=(RunIs(run_id=RUN, state=RunState.OPEN),),
        changes=(taking(f"rsv_{number}", 1), new_step(str(number))),
        entries=(an_entry(f"ent_{number}"),),
        is_durable=False,
    )


def test_what_another_process_spends_is_seen_by_the_next_batch(benches: tuple[Bench, Bench]) -> None:
    ours, theirs = benches
    ours.open_run(None, a_window(4))
    ours.do(ours.store.writer.commit(visible(1)))

    theirs.commit(taking("rsv_theirs", 3))

    assert ours.refuse(taking("rsv_ours", 1)).detail == "run/run_1 tool_calls: left 0, asked 1"


def test_what_another_process_ends_is_ended_for_the_next_batch(benches: tuple[Bench, Bench]) -> None:
    ours, theirs = benches
    ours.open_run(None, a_window(4))
    ours.do(ours.store.writer.commit(visible(1)))
    ended = a_run(state=RunState.ENDED, outcome=RunOutcome.SUCCESS, ended_at=NOW)

    theirs.commit(PutRun(run=ended, expect=RunState.OPEN))

    assert ours.refuse(new_step("2"), guards=(RunIs(run_id=RUN, state=RunState.OPEN),)).guard == "RunIs"


def test_the_log_goes_on_after_the_entries_of_another_process(benches: tuple[Bench, Bench]) -> None:
    ours, theirs = benches
    ours.open_run(None, a_window(9))

    for number, bench in enumerate((ours, ours, theirs, ours, theirs, theirs, ours)):
        bench.do(bench.store.writer.commit(visible(number)))

    assert ours.do(assert_log_verifies(ours.store)) == 7
    steps = ours.do(ours.store.journal.steps(RUN))
    assert [step.path for step in steps] == [StepPath(str(number)) for number in range(7)]


def test_a_tree_that_somebody_changed_between_two_batches_is_not_gone_on_with(database: Path) -> None:
    with asyncio.Runner() as runner:
        bench = Bench(store=opened(database), runner=runner)
        bench.commit(OpenRun(run=a_run(), windows=(a_window(9),)))
        bench.do(bench.store.writer.commit(visible(1)))

        with closing(sqlite3.connect(database)) as shell:
            shell.execute("UPDATE trees SET size = size + 1")
            shell.commit()

        with pytest.raises(EvidenceBroken):
            bench.do(bench.store.writer.commit(visible(2)))
        runner.run(bench.store.close())
