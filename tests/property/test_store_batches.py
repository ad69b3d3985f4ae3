"""A batch leaves what its proposals would have left one by one: the same answers, the same rows, the same log.

The writer reads once and writes once for all proposals of a transaction; here the same proposals go through one store
alone and through another at once, and both are compared table by table.
"""

import asyncio
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.conditions import HistoryScope
from leverframe.domain.ids import ReservationId, RunId, StepPath, ToolName, WindowId
from leverframe.domain.policy import Reserve
from leverframe.domain.proposals import (
    BooksAre,
    Change,
    CommitResult,
    Committed,
    EnsureWindow,
    Guard,
    GuardFailed,
    HistoryStill,
    NothingOpen,
    OnceFree,
    OpenRun,
    Proposal,
    PutOnceKey,
    PutRun,
    PutStep,
    PutValue,
    RunIs,
    SettleDirect,
    SettleReserves,
    SettleRun,
    TakeReserves,
    VoidReserves,
)
from leverframe.domain.runs import RunOutcome, RunState, StepKind, StepState
from leverframe.store import Store, open_sqlite
from leverframe.store.sqlite.filelock import FileLock
from tests.store_samples import ACME, NOW, REFUND, a_disclosure, a_run, a_step, a_window, after, an_entry, lookup
from tests.vaults import vault_beside

TABLES = ("runs", "steps", "call_values", "windows", "reservations", "leaves", "trees")
# A batch of up to 16 is never split.
MOST = 16

RUNS = st.sampled_from([RunId("run_1"), RunId("run_2")])
PATHS = st.sampled_from([StepPath("1"), StepPath("2")])
IDS = st.sampled_from([ReservationId(f"rsv_{number}") for number in range(4)])
UNITS = st.sampled_from([BudgetUnit.USD, BudgetUnit.STEPS])
WINDOWS = st.sampled_from([WindowId("run/run_1"), WindowId("run/run_2"), WindowId("acme/day"), WindowId("nowhere")])
AMOUNTS = st.integers(0, 9)
STATES = st.sampled_from([StepState.STARTED, StepState.INTENDED, StepState.OK, StepState.ERROR])
EXPECTED = st.none() | st.frozensets(STATES, max_size=2)
TOOLS = st.sampled_from([REFUND, ToolName("send_mail")])
KEYS = st.sampled_from([b"act 1", b"act 2"])
SCOPES: st.SearchStrategy[HistoryScope] = st.sampled_from(["run", "subject", "workflow", "tenant"])

CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.builds(
        TakeReserves,
        reservation_id=IDS,
        run_id=RUNS,
        path=PATHS,
        reserves=st.lists(
            st.builds(Reserve, window_id=WINDOWS, unit=UNITS.map(lambda unit: unit.value), amount=AMOUNTS), max_size=3
        ).map(tuple),
    ),
    st.builds(
        SettleReserves,
        reservation_id=IDS,
        actual=st.dictionaries(st.tuples(WINDOWS, UNITS), AMOUNTS | st.just(2**62), max_size=2),
    ),
    st.builds(VoidReserves, reservation_id=IDS),
    st.builds(SettleRun, run_id=RUNS),
    st.builds(SettleDirect, window_id=WINDOWS, unit=UNITS, amount=AMOUNTS),
    st.builds(
        EnsureWindow,
        window=st.builds(a_window, st.integers(1, 30), UNITS, st.just("acme/day")),
        tenant=st.just(ACME),
        resets_at=st.none() | st.just(after(60)),
    ),
    st.builds(
        PutStep,
        step=st.builds(
            a_step,
            PATHS,
            run_id=RUNS,
            state=STATES,
            name=TOOLS,
            kind=st.sampled_from([StepKind.TOOL, StepKind.MODEL]),
            started_at=st.sampled_from([NOW, after(-9)]),
        ),
        expect=EXPECTED,
    ),
    st.builds(
        PutValue,
        run_id=RUNS,
        path=PATHS,
        tool=TOOLS,
        arg=st.sampled_from(["amount", "order_id"]),
        amount=st.none() | AMOUNTS,
        value_digest=KEYS,
    ),
    st.builds(PutOnceKey, run_id=RUNS, path=PATHS, tool=TOOLS, key_digest=KEYS),
    st.builds(
        lambda run_id, expect: PutRun(
            run=a_run(run_id, state=RunState.ENDED, outcome=RunOutcome.SUCCESS, ended_at=NOW), expect=expect
        ),
        RUNS,
        st.sampled_from([RunState.OPEN, RunState.ENDED]),
    ),
)


def no_calls_of(scope: HistoryScope, run_id: RunId, kind: str) -> HistoryStill:
    asked = lookup("seen" if kind == "seen" else "count", scope, run_id=run_id, value_digest=b"act 1")
    return HistoryStill(lookups=(asked,), holds=lambda values: values[asked.query] == 0)


GUARDS: st.SearchStrategy[Guard] = st.one_of(
    st.builds(RunIs, run_id=RUNS, state=st.sampled_from([RunState.OPEN, RunState.ENDED])),
    st.builds(no_calls_of, SCOPES, RUNS, st.sampled_from(["seen", "count"])),
    st.builds(
        OnceFree, tenant=st.just(ACME), tool=TOOLS, key_digest=KEYS, since=st.just(after(-60)), run_id=RUNS, path=PATHS
    ),
    st.builds(NothingOpen, run_id=RUNS),
    st.builds(BooksAre, settled=st.dictionaries(st.tuples(WINDOWS, UNITS), st.integers(0, 3), max_size=2)),
)

Draft = tuple[tuple[Guard, ...], tuple[Change, ...], RunId | None]
DRAFTS: st.SearchStrategy[Sequence[Draft]] = st.lists(
    st.tuples(
        st.lists(GUARDS, max_size=1).map(tuple),
        st.lists(CHANGES, min_size=1, max_size=4).map(tuple),
        st.none() | RUNS,
    ),
    min_size=1,
    max_size=MOST,
)


@given(DRAFTS)
def test_a_batch_leaves_what_one_by_one_would(drafts: Sequence[Draft]) -> None:
    proposals = [proposal(number, draft) for number, draft in enumerate(drafts)]

    alone = left_by(proposals, is_batch=False)
    together = left_by(proposals, is_batch=True)

    assert together == alone


def test_a_batch_that_is_done_again_carefully_has_the_same_evidence() -> None:
    """The second proposal fails after its first change, and the third reserves what the second had reserved."""
    window = WindowId("run/run_1")
    take = [
        TakeReserves(
            reservation_id=ReservationId(f"rsv_{number}"),
            run_id=RunId("run_1"),
            path=StepPath("1"),
            reserves=(Reserve(window_id=window, unit="usd", amount=15),),
        )
        for number in range(2)
    ]
    spend = SettleDirect(window_id=window, unit=BudgetUnit.USD, amount=1)
    lost = PutStep(step=a_step("1"), expect=frozenset({StepState.OK}))
    changes: list[tuple[Change, ...]] = [(take[0],), (spend, lost), (take[1],)]
    proposals = [proposal(number, ((), one, RunId("run_1"))) for number, one in enumerate(changes)]

    together = left_by(proposals, is_batch=True)

    assert [answer[:1] for answer in together[0]] == [("done",), ("PutStep",), ("TakeReserves",)]
    assert together == left_by(proposals, is_batch=False)


@pytest.mark.parametrize("unit", ["usd", "steps"])
def test_a_reservation_that_was_made_before_is_found_where_its_books_were_let_go(unit: str) -> None:
    """A window that follows the project's file lets go of all; then there is no room, or no such window, any more."""
    shared = [
        EnsureWindow(window=a_window(limit, BudgetUnit.USD, "acme/day"), tenant=ACME, resets_at=None)
        for limit in (15, 14)
    ]
    first, again = (
        TakeReserves(
            reservation_id=ReservationId("rsv_0"),
            run_id=RunId("run_1"),
            path=StepPath("1"),
            reserves=(Reserve(window_id=WindowId("acme/day"), unit=one, amount=15),),
        )
        for one in ("usd", unit)
    )
    changes: list[tuple[Change, ...]] = [(shared[0], first, shared[1]), (again,)]
    proposals = [proposal(number, ((), one, RunId("run_1"))) for number, one in enumerate(changes)]

    together = left_by(proposals, is_batch=True)

    assert [answer[:1] for answer in together[0]] == [("done",), ("done",)]
    assert together == left_by(proposals, is_batch=False)


def proposal(number: int, draft: Draft) -> Proposal:
    guards, changes, run_id = draft
    said = a_disclosure(salt=f"salt{number}")
    entry = an_entry(f"ent_{number}", run_id=run_id, disclosures=(said,) if number % 2 else ())
    return Proposal(tenant=ACME, guards=guards, changes=changes, entries=(entry,), is_durable=number % 3 == 0)


Answer = tuple[str, str]
Rows = dict[str, list[tuple[object, ...]]]
Sent = list[CommitResult | BaseException]


async def one_by_one(store: Store, proposals: Sequence[Proposal]) -> Sent:
    return [(await asyncio.gather(store.writer.commit(one), return_exceptions=True))[0] for one in proposals]


async def at_once(store: Store, proposals: Sequence[Proposal], lock: FileLock) -> Sent:
    """All of them in one transaction: they wait together while another holds the lock."""
    with lock:
        sent = [asyncio.create_task(store.writer.commit(one)) for one in proposals]
        await asyncio.sleep(0)  # each has said what it wants
    return await asyncio.gather(*sent, return_exceptions=True)


def left_by(
    proposals: Sequence[Proposal], *, is_batch: bool
) -> tuple[list[Answer], dict[str, list[tuple[object, ...]]]]:
    """The answers, and what stands in the tables afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "leverframe.db"
        answers = asyncio.run(_left(path, proposals, is_batch=is_batch))
        with closing(sqlite3.connect(path)) as connection:
            rows = {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES}  # noqa: S608 our own names
    # The MACs of trees and runs, their last column, are under a key that each store made for itself.
    for tagged in ("trees", "runs"):
        rows[tagged] = [row[:-1] for row in rows[tagged]]
    return answers, rows


async def _left(path: Path, proposals: Sequence[Proposal], *, is_batch: bool) -> list[Answer]:
    store = open_sqlite(path, create=True, vault=vault_beside(path))
    for name in ("run_1", "run_2"):
        windows = tuple(
            a_window(20, unit, f"run/{name}") for unit in (BudgetUnit.USD, BudgetUnit.STEPS, BudgetUnit.TOOL_CALLS)
        )
        await store.writer.commit(Proposal(tenant=ACME, changes=(OpenRun(run=a_run(name), windows=windows),)))
    lock = FileLock(path.with_name(path.name + ".lock"))
    answers = await (at_once(store, proposals, lock) if is_batch else one_by_one(store, proposals))
    lock.close()
    await store.close()
    return [_answer(one) for one in answers]


def _answer(outcome: CommitResult | BaseException) -> Answer:
    match outcome:
        case Committed():
            return "done", str(outcome.first_index)
        case GuardFailed():
            return outcome.guard, outcome.detail
        case _:
            return type(outcome).__name__, str(outcome)
