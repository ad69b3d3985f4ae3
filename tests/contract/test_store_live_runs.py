"""The contract of the live book: when nobody uses the run of a key any more."""

from leverframe.domain.approvals import ApprovalState
from leverframe.domain.ids import ApprovalId, ToolName
from leverframe.domain.proposals import MoveApproval, PutApproval, PutRun, PutStep
from leverframe.domain.records import replace
from leverframe.domain.runs import RunOutcome, RunState, StepState
from tests.store_samples import RUN, Bench, a_run, a_step, after, an_approval, an_entry, answering, new_step

APPROVAL = ApprovalId("apr_1")
OF_A_KEY = a_run(item="key:key_1")
HELD = a_step(state=StepState.HELD, approval_id=APPROVAL)


def is_in_use(bench: Bench, until_s: float) -> bool:
    """Up to that second, and after it no more."""
    book = bench.store.live
    last = bench.do(book.used_until(RUN)) or OF_A_KEY.opened_at
    is_idle = bench.do(book.idle_runs(after(until_s + 0.1), 10)) == [RUN]
    return is_idle and last == after(until_s) and bench.do(book.idle_runs(after(until_s), 10)) == []


def test_a_run_is_in_use_until_its_last_call_has_ended(bench: Bench) -> None:
    bench.open_run(OF_A_KEY)
    assert is_in_use(bench, 0)

    bench.commit(new_step(started_at=after(7)))
    assert is_in_use(bench, 7)
    done = a_step(started_at=after(7), state=StepState.OK, finished_at=after(1_300))
    bench.commit(PutStep(step=done, expect=frozenset({StepState.INTENDED})), entries=(an_entry("e1"),))
    assert is_in_use(bench, 1_300)


def test_a_run_is_in_use_while_a_person_may_answer_and_while_their_answer_may_be_used(bench: Bench) -> None:
    bench.open_run(OF_A_KEY)
    bench.commit(PutStep(step=HELD, expect=None), PutApproval(approval=an_approval()))
    assert is_in_use(bench, 600)

    bench.commit(answering(ApprovalState.GRANTED))
    assert is_in_use(bench, 65)
    bench.commit(MoveApproval(approval_id=APPROVAL, expect=ApprovalState.GRANTED, to=ApprovalState.CONSUMED))
    assert is_in_use(bench, 5)


def test_what_a_key_has_seen_lately_does_not_depend_on_how_long_its_run_lasts(bench: Bench) -> None:
    day_s = 86_400
    long_ago = replace(OF_A_KEY, opened_at=after(-9 * day_s))
    bench.open_run(long_ago)
    bench.commit(new_step("1", state=StepState.OK, started_at=after(-2 * day_s)))
    bench.commit(new_step("2", name=ToolName("read_secrets"), state=StepState.OK, started_at=after(-9)))

    def used() -> list[str]:
        return [one.tool for one in bench.do(bench.store.live.uses_of(long_ago.initiator, after(-day_s)))]

    assert used() == ["read_secrets"]
    ended = replace(long_ago, state=RunState.ENDED, outcome=RunOutcome.SUCCESS, ended_at=after(0))
    bench.commit(PutRun(run=ended, expect=RunState.OPEN))
    assert used() == ["read_secrets"]
    assert bench.do(bench.store.live.uses_of(long_ago.initiator, after(1))) == []
