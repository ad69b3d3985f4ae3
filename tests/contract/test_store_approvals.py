"""The contract of approvals: one row, compare-and-set, two clocks."""

import pytest

from leverframe.domain.approvals import AnswerWord, ApprovalState
from leverframe.domain.ids import ApprovalId, RunId, Sha256, TenantId
from leverframe.domain.proposals import ApprovalUsable, MoveApproval, PutApproval
from leverframe.domain.records import replace
from tests.store_samples import (
    ACME,
    ACTION,
    GLOBEX,
    Bench,
    a_run,
    after,
    an_answer,
    an_approval,
    an_entry,
    answering,
    new_step,
)

APPROVAL = ApprovalId("apr_1")
GRANTED, DENIED, PENDING = ApprovalState.GRANTED, ApprovalState.DENIED, ApprovalState.PENDING
CONSUME = MoveApproval(approval_id=APPROVAL, expect=GRANTED, to=ApprovalState.CONSUMED)
USABLE = ApprovalUsable(approval_id=APPROVAL, action_digest=ACTION, now=after(30))


@pytest.fixture
def held(bench: Bench) -> Bench:
    bench.open_run()
    bench.commit(PutApproval(approval=an_approval()))
    return bench


def test_an_approval_comes_back_as_it_was_asked(held: Bench) -> None:
    assert held.do(held.store.approvals.approval(APPROVAL)) == an_approval()
    assert held.do(held.store.approvals.approval(ApprovalId("apr_9"))) is None


def test_answers_are_kept_in_order_until_the_quorum_decides(held: Bench) -> None:
    lena, omar = an_answer("person:lena", viewed_at=after(3)), an_answer("person:omar", at=after(7), reason="")

    held.commit(answering(PENDING, answer=lena))
    held.commit(answering(GRANTED, answer=omar, answers_before=1))

    found = held.do(held.store.approvals.approval(APPROVAL))
    assert found == an_approval(state=GRANTED, answers=(lena, omar), execute_by=after(65))


def test_a_second_answer_to_a_decided_approval_loses(held: Bench) -> None:
    held.commit(answering(GRANTED))

    failed = held.refuse(answering(DENIED, answer=an_answer("person:omar", AnswerWord.DENY)), entries=(an_entry("e1"),))

    assert (failed.guard, failed.detail) == ("AnswerApproval", "approval apr_1 is granted over this action")
    found = held.do(held.store.approvals.approval(APPROVAL))
    assert found == an_approval(state=GRANTED, answers=(an_answer(),), execute_by=after(65))


def test_one_person_answers_one_approval_once(held: Bench) -> None:
    held.commit(answering(PENDING))

    failed = held.refuse(answering(GRANTED, answers_before=1))

    assert failed.detail == "person:lena has answered apr_1 already"
    assert held.do(held.store.approvals.approval(APPROVAL)) == an_approval(answers=(an_answer(),))


def test_an_answer_over_other_bytes_loses(held: Bench) -> None:
    failed = held.refuse(replace(answering(), action_digest=Sha256("b" * 64)))

    assert failed.detail == "approval apr_1 is pending over another action"
    assert held.refuse(answering(approval_id="apr_9")).detail == "approval apr_9 is not there"


def test_a_grant_is_consumed_once(held: Bench) -> None:
    held.commit(answering())

    held.commit(CONSUME, guards=(USABLE,))
    again = held.refuse(CONSUME, guards=(USABLE,))
    without_guard = held.refuse(CONSUME)

    assert (again.guard, again.detail) == ("ApprovalUsable", "approval apr_1 is consumed over this action")
    assert (without_guard.guard, without_guard.detail) == (
        "MoveApproval",
        "approval apr_1 is consumed, expected granted",
    )


@pytest.mark.parametrize(
    ("guard", "why"),
    [
        (replace(USABLE, now=after(65)), "past its execute_by"),
        (replace(USABLE, action_digest=Sha256("b" * 64)), "granted over another action"),
        (replace(USABLE, approval_id=ApprovalId("apr_9")), "not there"),
    ],
)
def test_a_grant_past_its_clock_or_over_other_bytes_is_not_usable(held: Bench, guard: ApprovalUsable, why: str) -> None:
    held.commit(answering())

    failed = held.refuse(new_step("1"), guards=(guard,))

    assert failed.guard == "ApprovalUsable"
    assert why in failed.detail


def test_a_pending_approval_is_not_usable(held: Bench) -> None:
    assert held.refuse(new_step("1"), guards=(USABLE,)).detail == "approval apr_1 is pending over this action"


def test_approvals_are_listed_newest_first_and_by_state(held: Bench) -> None:
    held.commit(PutApproval(approval=an_approval("apr_2", asked_at=after(1))))
    held.commit(PutApproval(approval=an_approval("apr_3", asked_at=after(2), state=DENIED, answers=(an_answer(),))))

    def listed(state: ApprovalState | None, limit: int = 9) -> list[str]:
        return [one.approval_id for one in held.do(held.store.approvals.approvals(state, limit))]

    assert listed(None) == ["apr_3", "apr_2", "apr_1"]
    assert listed(None, 2) == ["apr_3", "apr_2"]
    assert listed(PENDING) == ["apr_2", "apr_1"]
    assert listed(ApprovalState.EXPIRED) == []


def test_an_answer_that_did_not_know_of_another_loses(held: Bench) -> None:
    held.commit(answering(PENDING))

    failed = held.refuse(answering(PENDING, answer=an_answer("person:omar")))

    assert failed.guard == "AnswerApproval"
    held.commit(answering(GRANTED, answer=an_answer("person:omar"), answers_before=1))


def test_the_latest_denial_over_the_same_selectors_is_found(held: Bench) -> None:
    held.commit(PutApproval(approval=an_approval("apr_2")))
    for approval_id, at in (("apr_2", after(20)), ("apr_1", after(10))):
        deny = an_answer(word=AnswerWord.DENY, at=at)
        held.commit(answering(DENIED, answer=deny, approval_id=approval_id))

    assert denied(held) == "apr_2"
    assert denied(held, since_s=20) == "apr_2"
    assert denied(held, since_s=21) is None
    assert denied(held, selector=b"other") is None
    assert denied(held, tenant=GLOBEX) is None
    assert denied(held, subject=b"subject 2") is None
    assert denied(held, subject=b"") is None


def test_a_denial_in_the_run_itself_is_found_first_and_however_old_it_is(held: Bench) -> None:
    for approval_id, at in (("apr_1", after(10)), ("apr_2", after(20))):
        if approval_id == "apr_2":
            held.open_run(a_run(RunId("run_2")))
            held.commit(PutApproval(approval=an_approval("apr_2", run_id=RunId("run_2"))))
        deny = an_answer(word=AnswerWord.DENY, at=at)
        held.commit(answering(DENIED, answer=deny, approval_id=approval_id))

    assert denied(held, run="run_1", since_s=99) == "apr_1"
    assert denied(held, run="run_1", subject=b"subject 2") == "apr_1"
    assert denied(held, run="run_2") == "apr_2"
    assert denied(held, run="run_3") == "apr_2"


def test_a_run_without_a_subject_finds_no_denial_of_another_one(held: Bench) -> None:
    held.commit(PutApproval(approval=an_approval("apr_2", subject_digest=b"")))
    held.commit(answering(DENIED, answer=an_answer(word=AnswerWord.DENY), approval_id="apr_2"))

    assert denied(held, subject=b"") is None


def test_what_was_not_denied_does_not_stick(held: Bench) -> None:
    held.commit(MoveApproval(approval_id=APPROVAL, expect=PENDING, to=ApprovalState.EXPIRED))

    assert denied(held, run="run_1") is None


def denied(
    held: Bench,
    *,
    tenant: TenantId = ACME,
    selector: bytes = b"selector",
    run: str = "run_9",
    subject: bytes = b"subject 1",
    since_s: float = 0,
) -> str | None:
    """The denial that sticks, seen from a run."""
    asked = held.store.approvals.denied_like(
        tenant, selector, run_id=RunId(run), subject_digest=subject, since=after(since_s)
    )
    found = held.do(asked)
    return None if found is None else found.approval_id
