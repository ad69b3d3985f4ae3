"""A run ends on whole books: nothing of it is set aside any more, and what is settled is what its end says."""

import asyncio

import pytest

from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.ids import ReservationId, RunId, WindowId
from leverframe.domain.proposals import (
    BooksAre,
    Change,
    Committed,
    GuardFailed,
    NothingOpen,
    Proposal,
    PutRun,
    SettleDirect,
    SettleReserves,
    VoidReserves,
)
from leverframe.domain.records import replace
from leverframe.domain.runs import RunOutcome, RunState
from tests.store_samples import ACME, NOW, RUN, Bench, a_run, a_window, an_entry, taking

CALLS = BudgetUnit.TOOL_CALLS
IDLE = NothingOpen(run_id=RUN)
SETTLED = SettleReserves(reservation_id=ReservationId("rsv_1"), actual={})


def books(settled: int, window_id: str = "run/run_1") -> BooksAre:
    return BooksAre(settled={(WindowId(window_id), CALLS): settled})


@pytest.fixture
def opened(bench: Bench) -> Bench:
    bench.open_run(None, a_window(9))
    return bench


def test_a_call_that_is_on_its_way_fails_the_guard(opened: Bench) -> None:
    opened.commit(taking("rsv_1"), guards=(IDLE,))

    assert opened.refuse(guards=(IDLE,)) == GuardFailed(guard="NothingOpen", detail="1 calls of run_1 are on their way")


def test_a_call_that_sets_nothing_aside_is_on_its_way_too(opened: Bench) -> None:
    opened.commit(replace(taking("rsv_1"), reserves=()))

    assert opened.refuse(guards=(IDLE,)).guard == "NothingOpen"


@pytest.mark.parametrize("end", [SETTLED, VoidReserves(reservation_id=ReservationId("rsv_1"))])
def test_a_call_that_is_over_does_not(opened: Bench, end: Change) -> None:
    opened.commit(taking("rsv_1"))
    opened.commit(end)

    opened.commit(guards=(IDLE,))


def test_calls_of_another_run_do_not(opened: Bench) -> None:
    opened.open_run(a_run("run_2"))
    opened.commit(replace(taking("rsv_1"), run_id=RunId("run_2")))

    opened.commit(guards=(IDLE,))


def test_books_that_moved_fail_the_guard(opened: Bench) -> None:
    opened.commit(guards=(books(0),))
    opened.commit(SettleDirect(window_id=WindowId("run/run_1"), unit=CALLS, amount=2))

    opened.commit(guards=(books(2),))
    assert opened.refuse(guards=(books(0),)) == GuardFailed(
        guard="BooksAre", detail="run/run_1 tool_calls: is 2, expected 0"
    )


def test_what_is_only_set_aside_is_not_settled(opened: Bench) -> None:
    opened.commit(taking("rsv_1", 3))
    opened.commit(guards=(books(0),))


def test_a_window_that_is_not_there_holds_nothing_that_anyone_could_expect(opened: Bench) -> None:
    assert opened.refuse(guards=(books(0, "nowhere"),)).detail == "nowhere tool_calls: is no window, expected 0"


@pytest.mark.parametrize(
    ("before", "ends"),
    [
        ((taking("rsv_1"),), False),
        ((taking("rsv_1"), SETTLED), False),
        ((taking("rsv_1"), VoidReserves(reservation_id=ReservationId("rsv_1"))), True),
    ],
)
def test_an_end_sees_what_came_before_it_in_its_batch_and_lets_nothing_come_after_it(
    opened: Bench, before: tuple[Change, ...], *, ends: bool
) -> None:
    ended = a_run(state=RunState.ENDED, outcome=RunOutcome.SUCCESS, ended_at=NOW)
    end = Proposal(
        tenant=ACME,
        guards=(IDLE, books(0)),
        changes=(PutRun(run=ended, expect=RunState.OPEN),),
        entries=(an_entry("ent_end"),),
    )
    asked = [*(Proposal(tenant=ACME, changes=(one,)) for one in before), end]

    async def at_once() -> list[object]:
        return list(await asyncio.gather(*map(opened.store.writer.commit, asked)))

    *_, outcome = opened.do(at_once())

    assert isinstance(outcome, Committed) is ends
