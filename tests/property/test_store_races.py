"""Two calls at once never both pass a rule or a budget that only one of them fits; through the real store.

Three writers on one file stand for three processes: each has its own connection, thread and lock.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.conditions import HistoryScope
from leverframe.domain.ids import ReservationId, RunId, StepPath, WindowId
from leverframe.domain.proposals import (
    CommitResult,
    Committed,
    HistoryLookup,
    HistoryStill,
    HistoryValues,
    OnceFree,
    OpenRun,
    Proposal,
    PutOnceKey,
    PutStep,
    PutValue,
    SettleReserves,
    TakeReserves,
    VoidReserves,
)
from leverframe.domain.records import replace
from leverframe.domain.runs import StepState
from leverframe.store import Store, open_sqlite
from tests.store_samples import ACME, NOW, REFUND, a_run, a_step, a_window, after, lookup, taking
from tests.vaults import vault_beside

WRITERS = 3
MILLIONTHS = 1_000_000
SCOPES: tuple[HistoryScope, ...] = ("run", "subject")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One refund: which writer takes it, how many turns of the loop it waits before it asks and before it commits.

    What is durable is committed by the writer's thread, the rest by the loop.
    """

    writer: int
    is_durable: bool
    amount: int
    turns: tuple[int, int]


CALLS = st.lists(
    st.builds(
        Call,
        writer=st.integers(0, WRITERS - 1),
        is_durable=st.booleans(),
        amount=st.integers(0, 60),
        turns=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    ),
    min_size=2,
    max_size=14,
)


class Desk:
    """Three open stores on one file, and a fresh run for each example."""

    def __init__(self, path: Path, runner: asyncio.Runner) -> None:
        self.stores: Sequence[Store] = [
            open_sqlite(path, create=True, vault=vault_beside(path)) for _ in range(WRITERS)
        ]
        self.runner = runner
        self._numbers = count()

    async def open_run(self, limit: int) -> RunId:
        run_id = RunId(f"run_{next(self._numbers)}")
        run = a_run(run_id, subject_digest=f"subject of {run_id}".encode())
        window = a_window(limit, window_id=f"run/{run_id}")
        await self.stores[0].writer.commit(Proposal(tenant=ACME, changes=(OpenRun(run=run, windows=(window,)),)))
        return run_id


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with asyncio.Runner() as runner:
        found = Desk(tmp_path_factory.mktemp("races") / "leverframe.db", runner)
        yield found
        for store in found.stores:
            runner.run(store.close())


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def asking(run_id: RunId, path: StepPath, scope: HistoryScope) -> HistoryLookup:
    subject = f"subject of {run_id}".encode()
    return lookup("sum", scope, run_id=run_id, subject_digest=subject, except_path=path, now=NOW)


async def refund(store: Store, path: StepPath, call: Call, *, run_id: RunId, limit: int, scope: HistoryScope) -> bool:
    """Read, decide and commit as the door does: whether the refund was allowed, asking anew when a guard fails."""
    asked = asking(run_id, path, scope)

    def fits(values: HistoryValues) -> bool:
        so_far = values[asked.query]
        assert isinstance(so_far, Decimal)
        return so_far + call.amount <= limit

    await turns(call.turns[0])
    while fits(await store.journal.history([asked])):
        await turns(call.turns[1])
        value = PutValue(
            run_id=run_id, path=path, tool=REFUND, arg="amount", amount=call.amount * MILLIONTHS, value_digest=b""
        )
        proposal = Proposal(
            tenant=ACME,
            guards=(HistoryStill(lookups=(asked,), holds=fits),),
            changes=(PutStep(step=a_step(path, run_id=run_id), expect=None), value),
            is_durable=call.is_durable,
        )
        if isinstance(await store.writer.commit(proposal), Committed):
            return True
    return False


@given(calls=CALLS, limit=st.integers(0, 120), scope=st.sampled_from(SCOPES))
def test_a_history_rule_holds_whatever_order_calls_come_in(
    desk: Desk, calls: list[Call], limit: int, scope: HistoryScope
) -> None:
    async def whole() -> tuple[list[bool], object]:
        run_id = await desk.open_run(0)
        allowed = await asyncio.gather(
            *(
                refund(desk.stores[call.writer], StepPath(str(n)), call, run_id=run_id, limit=limit, scope=scope)
                for n, call in enumerate(calls)
            )
        )
        asked = asking(run_id, StepPath("none"), scope)
        return allowed, (await desk.stores[0].journal.history([asked]))[asked.query]

    allowed, total = desk.runner.run(whole())

    assert total == sum(call.amount for call, is_allowed in zip(calls, allowed, strict=True) if is_allowed)
    assert total <= limit
    # Nothing is given back, so what was refused does not fit in the end either.
    assert all(total + call.amount > limit for call, is_allowed in zip(calls, allowed, strict=True) if not is_allowed)


@given(calls=CALLS, limit=st.integers(0, 120))
def test_a_budget_holds_whatever_order_calls_come_in(desk: Desk, calls: list[Call], limit: int) -> None:
    async def whole() -> tuple[list[CommitResult], int]:
        run_id = await desk.open_run(limit)

        async def reserve(number: int, call: Call) -> CommitResult:
            await turns(call.turns[0])
            take = taking(f"{run_id}/{number}", call.amount, window_id=f"run/{run_id}")
            proposal = Proposal(tenant=ACME, changes=(take,), is_durable=call.is_durable)
            return await desk.stores[call.writer].writer.commit(proposal)

        outcomes = await asyncio.gather(*(reserve(n, call) for n, call in enumerate(calls)))
        (window,) = await desk.stores[0].journal.windows(run_id)
        assert (window.limit, window.settled) == (limit, 0)
        return outcomes, window.reserved

    outcomes, reserved = desk.runner.run(whole())

    is_taken = [isinstance(outcome, Committed) for outcome in outcomes]
    assert reserved == sum(call.amount for call, taken in zip(calls, is_taken, strict=True) if taken)
    assert reserved <= limit
    assert all(reserved + call.amount > limit for call, taken in zip(calls, is_taken, strict=True) if not taken)


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["take", "settle", "void"]),
        st.integers(0, 4),
        st.integers(0, WRITERS - 1),
        st.integers(0, 60),
        st.integers(0, 3),
    ),
    max_size=20,
)


@given(moves=MOVES, limit=st.integers(0, 120))
def test_no_interleaving_of_moves_spends_or_holds_more_than_the_limit(
    desk: Desk, moves: list[tuple[str, int, int, int, int]], limit: int
) -> None:
    """Like the pure law of `core.budgets`, with an actual that is at most what was reserved."""

    async def whole() -> None:
        run_id = await desk.open_run(limit)
        window_id = WindowId(f"run/{run_id}")

        async def make(move: str, reservation: int, writer: int, amount: int, wait: int) -> CommitResult:
            await turns(wait)
            reservation_id = ReservationId(f"{run_id}/{reservation}")
            # The amount belongs to the reservation, so that a settle never exceeds it.
            worst = 10 * (reservation + 1)
            changes: dict[str, TakeReserves | SettleReserves | VoidReserves] = {
                "take": taking(reservation_id, worst, window_id=window_id),
                "settle": SettleReserves(reservation_id=reservation_id, actual={}),
                "void": VoidReserves(reservation_id=reservation_id),
            }
            if move == "settle" and is_taken[reservation]:
                actual = {(window_id, BudgetUnit.TOOL_CALLS): min(amount, worst)}
                changes["settle"] = SettleReserves(reservation_id=reservation_id, actual=actual)
            outcome = await desk.stores[writer].writer.commit(Proposal(tenant=ACME, changes=(changes[move],)))
            is_taken[reservation] |= move == "take" and isinstance(outcome, Committed)
            (window,) = await desk.stores[writer].journal.windows(run_id)
            assert window.settled + window.reserved <= limit
            assert min(window.settled, window.reserved) >= 0
            return outcome

        is_taken = [False] * 5
        await asyncio.gather(*(make(*move) for move in moves))

    desk.runner.run(whole())


@given(writers=st.lists(st.integers(0, WRITERS - 1), min_size=2, max_size=8))
def test_a_business_act_is_done_by_one_of_all_who_try_at_once(desk: Desk, writers: list[int]) -> None:
    async def whole() -> list[CommitResult]:
        run_id = await desk.open_run(0)
        key = f"order of {run_id}".encode()

        async def attempt(number: int, writer: int) -> CommitResult:
            path = StepPath(str(number))
            guard = OnceFree(tenant=ACME, tool=REFUND, key_digest=key, since=after(-60), run_id=run_id, path=path)
            step = replace(a_step(path, run_id=run_id), state=StepState.INTENDED)
            changes = (
                PutStep(step=step, expect=None),
                PutOnceKey(run_id=run_id, path=path, tool=REFUND, key_digest=key),
            )
            return await desk.stores[writer].writer.commit(Proposal(tenant=ACME, guards=(guard,), changes=changes))

        return await asyncio.gather(*(attempt(n, writer) for n, writer in enumerate(writers)))

    outcomes = desk.runner.run(whole())

    assert sum(isinstance(outcome, Committed) for outcome in outcomes) == 1
