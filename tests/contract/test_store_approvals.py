"""The contract of approvals: one row, compare-and-set, two clocks."""

from dataclasses import replace

import pytest

from leverframe.domain.approvals import AnswerWord, ApprovalState
from leverframe.domain.ids import ApprovalId, Sha256, TenantId
from leverframe.domain.proposals import ApprovalUsable, MoveApproval, PutApproval
from tests.store_samples import (
    ACME,
    ACTION,
    GLOBEX,
    NOW,
    Bench,
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
    held.commit(answering(GRANTED, answer=omar))

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

    failed = held.refuse(answering(GRANTED))

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


def test_the_latest_denial_over_the_same_selectors_is_found(held: Bench) -> None:
    held.commit(PutApproval(approval=an_approval("apr_2")))
    for approval_id, at in (("apr_2", after(20)), ("apr_1", after(10))):
        deny = an_answer(word=AnswerWord.DENY, at=at)
        held.commit(answering(DENIED, answer=deny, approval_id=approval_id))

    def denied(tenant: str, selector: bytes, since_s: float) -> str | None:
        book = held.store.approvals
        found = held.do(book.denied_like(TenantId(tenant), selector, after(since_s)))
        return None if found is None else found.approval_id

    assert denied(ACME, b"selector", 0) == "apr_2"
    assert denied(ACME, b"selector", 20) == "apr_2"
    assert denied(ACME, b"selector", 21) is None
    assert denied(ACME, b"other", 0) is None
    assert denied(GLOBEX, b"selector", 0) is None


def test_what_was_not_denied_does_not_stick(held: Bench) -> None:
    held.commit(MoveApproval(approval_id=APPROVAL, expect=PENDING, to=ApprovalState.EXPIRED))

    assert held.do(held.store.approvals.denied_like(ACME, b"selector", NOW)) is None
