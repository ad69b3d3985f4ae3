"""The contract of the writer: whole or not at all, in order, and one caller's bug is not another's."""

import asyncio

import pytest

from leverframe.domain.errors import StoreUnavailable
from leverframe.domain.evidence import EntryDraft
from leverframe.domain.proposals import (
    Change,
    CommitResult,
    Committed,
    GuardFailed,
    HistoryStill,
    OpenRun,
    Proposal,
    RunIs,
)
from leverframe.domain.runs import RunState
from tests.store_samples import (
    ACME,
    RUN,
    Bench,
    a_run,
    a_window,
    an_entry,
    assert_log_verifies,
    lookup,
    new_step,
    taking,
)


def proposal(*changes: Change, entries: tuple[EntryDraft, ...] = ()) -> Proposal:
    return Proposal(tenant=ACME, changes=changes, entries=entries)


def test_a_proposal_that_fails_at_its_last_change_did_none_of_them(bench: Bench) -> None:
    bench.open_run(None, a_window(1))

    failed = bench.refuse(new_step("1"), taking("rsv_1", 1), taking("rsv_2", 1), entries=(an_entry("e1"),))

    assert failed.guard == "TakeReserves"
    assert bench.do(bench.store.journal.steps(RUN)) == []
    assert bench.do(bench.store.journal.windows(RUN)) == [a_window(1)]
    assert bench.do(assert_log_verifies(bench.store)) == 0


def test_guards_see_the_state_before_the_changes_of_their_own_proposal(bench: Bench) -> None:
    bench.open_run()
    asked = lookup("count")
    guard = HistoryStill(lookups=(asked,), holds=lambda values: values[asked.query] == 0)

    bench.commit(new_step("1"), guards=(guard,))

    assert len(bench.do(bench.store.journal.steps(RUN))) == 1


def test_callers_at_once_get_one_answer_each(bench: Bench) -> None:
    bench.open_run(None, a_window(40))

    async def all_at_once() -> list[CommitResult]:
        writer = bench.store.writer
        return await asyncio.gather(
            *(
                writer.commit(proposal(new_step(str(n)), taking(f"r{n}"), entries=(an_entry(f"e{n}"),)))
                for n in range(64)
            )
        )

    outcomes = bench.do(all_at_once())

    committed = [one for one in outcomes if isinstance(one, Committed)]
    assert sorted(one.first_index for one in committed) == list(range(40))
    assert sum(isinstance(one, GuardFailed) for one in outcomes) == 24
    assert len(bench.do(bench.store.journal.steps(RUN))) == 40
    assert bench.do(assert_log_verifies(bench.store)) == 40


def test_one_callers_proposals_commit_in_the_order_of_its_calls(bench: Bench) -> None:
    bench.open_run()

    async def without_waiting() -> None:
        await asyncio.gather(*(bench.store.writer.commit(proposal(new_step(str(n)))) for n in range(600)))

    bench.do(without_waiting())

    assert [step.path for step in bench.do(bench.store.journal.steps(RUN))] == [str(n) for n in range(600)]


def test_a_bug_in_one_proposal_is_raised_at_its_caller_alone(bench: Bench) -> None:
    bench.open_run()

    def bug(_: object) -> bool:
        raise ZeroDivisionError

    async def all_at_once() -> list[CommitResult | BaseException]:
        broken = Proposal(tenant=ACME, guards=(HistoryStill(lookups=(), holds=bug),), changes=(new_step("2"),))
        proposals = [proposal(new_step("1")), broken, proposal(new_step("3"))]
        return await asyncio.gather(*map(bench.store.writer.commit, proposals), return_exceptions=True)

    first, second, third = bench.do(all_at_once())

    assert (type(first), type(second), type(third)) == (Committed, ZeroDivisionError, Committed)
    assert [step.path for step in bench.do(bench.store.journal.steps(RUN))] == ["1", "3"]


def test_a_read_sees_what_was_committed_before_it(bench: Bench) -> None:
    async def write_then_read() -> list[bool]:
        seen = []
        for n in range(20):
            run = a_run(f"run_{n}")
            await bench.store.writer.commit(Proposal(tenant=ACME, changes=(OpenRun(run=run, windows=()),)))
            seen.append(await bench.store.journal.run(run.run_id) == run)
        return seen

    assert bench.do(write_then_read()) == [True] * 20


def test_callers_in_other_loops_and_threads_are_answered_too(bench: Bench) -> None:
    bench.open_run()

    async def from_threads() -> list[CommitResult]:
        def in_a_loop_of_its_own(n: int) -> CommitResult:
            return asyncio.run(bench.store.writer.commit(proposal(new_step(str(n)))))

        return await asyncio.gather(*(asyncio.to_thread(in_a_loop_of_its_own, n) for n in range(8)))

    assert bench.do(from_threads()) == [Committed(first_index=-1)] * 8
    assert len(bench.do(bench.store.journal.steps(RUN))) == 8


def test_close_finishes_what_waits_and_refuses_what_comes_after(bench: Bench) -> None:
    bench.open_run()

    async def close_behind() -> list[CommitResult]:
        waiting = [asyncio.ensure_future(bench.store.writer.commit(proposal(new_step(str(n))))) for n in range(300)]
        await asyncio.sleep(0)
        await bench.store.writer.close()
        await bench.store.writer.close()
        return await asyncio.gather(*waiting)

    assert bench.do(close_behind()) == [Committed(first_index=-1)] * 300
    with pytest.raises(StoreUnavailable, match="is closed"):
        bench.propose(guards=(RunIs(run_id=RUN, state=RunState.OPEN),))
