"""The books that a worker has in memory go along with what it commits: the store is the referee of what they show."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leverframe.core.budget_headers import budget_headers, lay_out
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.ids import ReservationId, StepPath, WindowId
from leverframe.domain.policy import Reserve
from leverframe.domain.proposals import Change, Committed, OpenRun, SettleDirect, SettleReserves, TakeReserves
from leverframe.runtime.door.relay_books import Books, KnownBooks
from tests.store_samples import IMPLEMENTATIONS, RUN, Bench, a_run, a_window

MODEL, OTHER = "vendor/gpt", "vendor/other"
USD, CALLS, WORK, WALL = BudgetUnit.USD, BudgetUnit.MODEL_CALLS, BudgetUnit.IN_FLIGHT, BudgetUnit.WALL_US
WINDOWS = tuple(a_window(limit, unit) for limit, unit in ((100, USD), (9, CALLS), (5, WORK), (1_000, WALL)))
PARTS = (USD, CALLS, WORK)
RUN_WINDOW = WINDOWS[0].window_id
NOW = datetime(2026, 11, 30, tzinfo=UTC)


def books(
    windows: Sequence[Window] = WINDOWS,
    *,
    read_at: float = 0.0,
    shown: int = 0,
    used: Mapping[tuple[WindowId, str], int] | None = None,
) -> Books:
    left = {one.unit: one.left for one in windows}
    return Books(
        windows=tuple(windows),
        recorded=b"[]",
        to_ensure=(),
        at_work={},
        uncounted=(),
        left=left,
        limits={one.unit: one.limit for one in windows},
        headers=lay_out(windows, NOW, used or {}),
        marks={},
        read_at=read_at,
        read_by=read_at + 0.0005,
        until=None,
        shown=shown,
    )


def reserves(usd: int) -> tuple[Reserve, ...]:
    amounts = {USD: usd, CALLS: 1, WORK: 1}
    return tuple(Reserve(window_id=RUN_WINDOW, unit=unit.value, amount=amounts[unit]) for unit in PARTS)


def taking(name: str, parts: Sequence[Reserve]) -> TakeReserves:
    return TakeReserves(reservation_id=ReservationId(name), run_id=RUN, path=StepPath("1"), reserves=tuple(parts))


def settling(name: str, usd: int | None) -> SettleReserves:
    actual = {} if usd is None else {(RUN_WINDOW, USD): usd, (RUN_WINDOW, WORK): 0}
    return SettleReserves(reservation_id=ReservationId(name), actual=actual)


def known(**told: Books) -> KnownBooks:
    return KnownBooks(by_model={MODEL if name == "model" else OTHER: one for name, one in told.items()})


@settings(max_examples=40, deadline=None)
@given(
    calls=st.lists(
        st.tuples(st.integers(0, 40), st.none() | st.integers(0, 60), st.integers(0, 50), st.booleans()), max_size=8
    )
)
def test_books_that_went_along_with_every_commit_are_those_of_the_store(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[int, int | None, int, bool]]
) -> None:
    with asyncio.Runner() as runner:
        store = IMPLEMENTATIONS["sqlite"](tmp_path_factory.mktemp("books"), {})
        bench = Bench(store=store, runner=runner, is_durable=False)
        bench.commit(OpenRun(run=a_run(), windows=WINDOWS))
        found = known(model=books())

        for number, (bound, used, wall, is_denied) in enumerate(calls):
            parts = reserves(bound)
            take, settle = taking(f"rsv_{number}", parts), settling(f"rsv_{number}", used)
            if is_denied:
                _go_along(bench, found, parts, take, settling(f"rsv_{number}", None))
            elif _go_along(bench, found, parts, take):
                _go_along(bench, found, parts, settle, SettleDirect(window_id=RUN_WINDOW, unit=WALL, amount=wall))

        stored = {one.unit: one for one in bench.do(bench.store.journal.windows(RUN))}
        bench.do(store.close())
    followed = found.by_model[MODEL]
    assert {one.unit: (one.settled, one.reserved) for one in followed.windows} == {
        unit: (one.settled, one.reserved) for unit, one in stored.items()
    }
    assert followed.left == {unit: one.left for unit, one in stored.items()}
    assert followed.is_of_now(found.moves, at=0.0)


@settings(max_examples=40, deadline=None)
@given(
    calls=st.lists(
        st.tuples(st.integers(0, 40), st.none() | st.integers(0, 60), st.booleans(), st.booleans()), max_size=8
    ),
    follows=st.sampled_from(["followed", "left as they were"]),
)
def test_an_answer_tells_what_the_store_has_left_however_old_the_books_are(
    tmp_path_factory: pytest.TempPathFactory,
    calls: list[tuple[int, int | None, bool, bool]],
    follows: str,
) -> None:
    with asyncio.Runner() as runner:
        store = IMPLEMENTATIONS["sqlite"](tmp_path_factory.mktemp("headers"), {})
        bench = Bench(store=store, runner=runner, is_durable=False)
        bench.commit(OpenRun(run=a_run(), windows=WINDOWS))
        found = known(model=books())
        for number, (bound, used, is_left_open, is_read_anew) in enumerate(calls):
            parts = reserves(bound)
            if _go_along(bench, found, parts, taking(f"rsv_{number}", parts), is_followed=follows == "followed"):
                told = [] if is_left_open else [settling(f"rsv_{number}", used)]
                _go_along(bench, found, parts, *told, is_followed=follows == "followed")
            windows = bench.do(bench.store.journal.windows(RUN))
            if is_read_anew:
                found.by_model[MODEL] = books(windows, shown=found.moves, used=found.used)

            headers = found.by_model[MODEL].headers.raw(found.used)

            assert {name.decode(): value.decode() for name, value in headers} == budget_headers(windows, NOW)
        bench.do(store.close())


def _go_along(
    bench: Bench, found: KnownBooks, parts: Sequence[Reserve], *changes: Change, is_followed: bool = True
) -> bool:
    is_done = isinstance(bench.propose(*changes), Committed)
    if is_done:
        found.moved(changes, parts, began_at=1.0, is_followed=is_followed)
    return is_done


def test_books_that_were_read_while_a_commit_was_on_its_way_do_not_count_it_twice() -> None:
    before, meanwhile = books(read_at=0.001), books(read_at=0.003)
    found = known(model=before, other=meanwhile)

    found.moved([taking("rsv_1", reserves(40))], reserves(40), began_at=0.002, is_followed=True)

    assert found.by_model[MODEL].left[USD] == 60
    assert found.by_model[OTHER] is meanwhile
    assert [one.is_of_now(found.moves, at=0.004) for one in found.by_model.values()] == [True, False]


def test_books_whose_reading_began_before_a_proposal_and_ended_after_it_do_not_count_it_twice() -> None:
    meanwhile = books(read_at=0.001)
    found = known(model=meanwhile)

    found.moved([taking("rsv_1", reserves(40))], reserves(40), began_at=0.0012, is_followed=True)

    assert found.by_model[MODEL] is meanwhile
    assert not meanwhile.is_of_now(found.moves, at=0.002)


def test_books_that_missed_one_commit_are_not_of_now_however_many_they_show_after_it() -> None:
    found = known(model=books(read_at=1.0))

    found.moved([taking("rsv_1", reserves(40))], reserves(40), began_at=2.0, is_followed=False)
    found.moved([taking("rsv_2", reserves(5))], reserves(5), began_at=2.0, is_followed=True)

    assert not found.by_model[MODEL].is_of_now(found.moves, at=1.0)


def test_nobody_is_refused_on_books_that_somebody_else_moved() -> None:
    found = known(model=books(read_at=1.0))

    found.moved_by_others()

    assert not found.by_model[MODEL].is_of_now(found.moves, at=1.0)


def test_room_that_others_are_taking_counts_as_taken_and_is_recorded_so() -> None:
    before = books()
    found = known(model=before)

    with found.committing(reserves(20)), found.committing(reserves(40)):
        seen = found.beside(before)

    assert {unit: seen.left[unit] for unit in (USD, CALLS, WALL)} == {USD: 40, CALLS: 7, WALL: 1_000}
    assert b'"reserved":60' in seen.recorded
    assert found.beside(before).left == before.left


def test_others_that_ask_for_more_than_there_is_leave_nothing_and_not_less() -> None:
    before = books()
    found = known(model=before)

    with found.committing(reserves(70)), found.committing(reserves(70)):
        seen = found.beside(before)
        fits = [before.has_room_beside(found.taking, {USD: usd, CALLS: 1, WORK: 1}) for usd in (0, 1)]

    assert (seen.left[USD], seen.left[CALLS]) == (0, 7)
    assert fits == [True, False]


def test_a_large_call_has_room_beside_small_ones_that_leave_it() -> None:
    before = books()
    found = known(model=before)

    with found.committing(reserves(1)), found.committing(reserves(2)), found.committing(reserves(1)):
        fits = [before.has_room_beside(found.taking, {USD: usd, CALLS: 1, WORK: 1}) for usd in (96, 97)]

    assert fits == [True, False]


def test_what_is_no_longer_on_its_way_takes_no_room_however_it_ended() -> None:
    found = known(model=books())

    with pytest.raises(ZeroDivisionError), found.committing(reserves(20)), found.committing(reserves(0)):
        raise ZeroDivisionError

    assert found.taking == {}
