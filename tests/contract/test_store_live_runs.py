"""The contract of the live book: when nobody uses the run of a key any more."""

from leverframe.domain.approvals import ApprovalState
from leverframe.domain.ids import ApprovalId
from leverframe.domain.proposals import MoveApproval, PutApproval, PutStep
from leverframe.domain.runs import StepState
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
