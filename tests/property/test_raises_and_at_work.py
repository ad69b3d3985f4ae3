"""Laws of what is at work and of raised limits: room comes back when a call ends, however it ends, and never sooner."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.ids import BudgetId, ReservationId, RunId, StepPath, WindowId
from leverframe.domain.policy import Reserve
from leverframe.domain.proposals import (
    Change,
    Committed,
    EnsureWindow,
    Proposal,
    SettleReserves,
    SettleRun,
    TakeReserves,
    VoidReserves,
)
from tests.store_samples import ACME, IMPLEMENTATIONS, RUN, Bench, a_run

NOW, MONTH = WindowId("tenant/acme/now/now"), WindowId("tenant/acme/month/2026-11")
SQLITE = min(IMPLEMENTATIONS)

# What somebody does: begins call n, ends it in one of the ways there are, or raises or lowers the limits.
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(0, 7)),
        st.tuples(st.sampled_from(["settle", "named", "void"]), st.integers(0, 7)),
        st.tuples(st.just("run"), st.just(0)),
        st.tuples(st.just("limit"), st.integers(0, 4)),
    ),
    max_size=24,
)


def window(window_id: WindowId, unit: BudgetUnit, limit: int) -> Window:
    return Window(window_id=window_id, unit=unit, limit=limit, key="k", budget=BudgetId(window_id.rpartition("/")[0]))


def ensured(limit: int) -> tuple[EnsureWindow, ...]:
    at_work = window(NOW, BudgetUnit.IN_FLIGHT, limit)
    calls = window(MONTH, BudgetUnit.TOOL_CALLS, 10 + limit)
    return tuple(EnsureWindow(window=one, tenant=ACME, resets_at=None) for one in (at_work, calls))


def change_of(move: str, number: int) -> Change:
    reservation_id = ReservationId(f"rsv_{number}")
    match move:
        case "take":
            reserves = (
                Reserve(window_id=NOW, unit="in_flight", amount=1),
                Reserve(window_id=MONTH, unit="tool_calls", amount=1),
            )
            return TakeReserves(
                reservation_id=reservation_id, run_id=RUN, path=StepPath(str(number)), reserves=reserves
            )
        case "settle":
            return SettleReserves(reservation_id=reservation_id, actual={})
        case "named":
            return SettleReserves(reservation_id=reservation_id, actual={(NOW, BudgetUnit.IN_FLIGHT): 0})
        case "void":
            return VoidReserves(reservation_id=reservation_id)
        case _:
            return SettleRun(run_id=RunId(RUN))


@settings(max_examples=25, deadline=None)
@given(MOVES)
def test_room_is_what_calls_at_work_leave_of_the_limit_of_this_moment(moves: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        store = IMPLEMENTATIONS[SQLITE](Path(folder), {})
        bench = Bench(store=store, runner=runner)
        bench.open_run(a_run())
        limit, spent, is_any_committed = 2, 0, False
        state: dict[int, str] = {}
        for move, number in moves:
            if move == "limit":
                limit = number
                continue
            change = change_of(move, number)
            done = bench.do(store.writer.commit(Proposal(tenant=ACME, changes=(*ensured(limit), change))))
            is_any_committed = is_any_committed or isinstance(done, Committed)
            is_open = [one for one, word in state.items() if word == "open"]
            if move == "take" and number not in state:
                # The law: one more is at work if and only if fewer than the limit of now are.
                fits = len(is_open) < limit and spent + len(is_open) < 10 + limit
                assert isinstance(done, Committed) is fits
                if fits:
                    state[number] = "open"
            elif move in {"settle", "named"} and state.get(number) == "open":
                state[number], spent = "settled", spent + 1
            elif move == "void" and state.get(number) == "open":
                state[number] = "voided"
            elif move == "run":
                spent += len(is_open)
                state.update(dict.fromkeys(is_open, "settled"))
            at_work, calls = (bench.do(store.journal.shared_windows([one])) for one in (NOW, MONTH))
            left_open = sum(word == "open" for word in state.values())
            # A refused proposal leaves nothing, so the first one that is taken is what makes the windows' rows.
            rows = 1 if is_any_committed else 0
            assert [(one.settled, one.reserved) for one in at_work] == [(0, left_open)] * rows
            assert [(one.settled, one.reserved) for one in calls] == [(spent, left_open)] * rows
        runner.run(store.close())
