"""Who may answer a held call, how many must, and until when: a timeout denies."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from leverframe.domain.approvals import AnswerWord, Approval, ApprovalState
from leverframe.domain.contracts import Person
from leverframe.domain.errors import ApprovalAlreadyDecided, ApprovalRefused
from leverframe.domain.ids import ApprovalId
from leverframe.domain.json import JsonObject
from leverframe.ports.store import ApprovalBook
from leverframe.runtime import answers
from leverframe.runtime.outcomes import Answered, HeldBack
from tests.door_desk import AGENT, CONTRACT, MARIA, Desk, open_desk, rules, write_desk

GRANT = AnswerWord.GRANT
LARGE: JsonObject = {"order_id": "W00001", "amount_usd": 60, "note": "broken"}
GRANTED, DENIED, EXPIRED = ApprovalState.GRANTED, ApprovalState.DENIED, ApprovalState.EXPIRED
CONSUMED, REVOKED = ApprovalState.CONSUMED, ApprovalState.REVOKED


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    write_desk(tmp_path)
    with open_desk(tmp_path) as opened:
        yield opened


def with_row(**keys: str) -> str:
    """The contract whose approval row says these keys as well."""
    more = ", ".join(f"{key}: {value}" for key, value in keys.items())
    return CONTRACT.replace("execute_within: 10m}", f"execute_within: 10m, {more}}}")


def test_a_quorum_of_two_needs_two_different_people(tmp_path: Path) -> None:
    write_desk(tmp_path, with_row(quorum="2"))
    with open_desk(tmp_path) as desk:
        run = desk.open()
        held = desk.call(run, "issue_refund", LARGE)

        first = desk.grant(held, "lena")
        with pytest.raises(ApprovalRefused, match=r"answered .* before"):
            desk.grant(held, "lena")
        waiting = desk.call(run, "issue_refund", LARGE)
        second = desk.grant(held, "omar")

        assert (first.state, second.state) == (ApprovalState.PENDING, GRANTED)
        assert isinstance(waiting, HeldBack)
        assert isinstance(desk.call(run, "issue_refund", LARGE), Answered)


class Meeting:
    """The approval book of two people who both look before either answers."""

    def __init__(self, book: ApprovalBook) -> None:
        self._book = book
        self._both_looked = asyncio.Barrier(2)
        self._looks = 0

    async def approval(self, approval_id: ApprovalId) -> Approval | None:
        found = await self._book.approval(approval_id)
        self._looks += 1
        if self._looks <= 2:
            await self._both_looked.wait()
        return found

    async def approvals(self, state: ApprovalState | None, limit: int) -> Sequence[Approval]:
        return await self._book.approvals(state, limit)

    # Any: handed on as it came.
    async def denied_like(self, *args: Any, **keys: Any) -> Approval | None:
        return await self._book.denied_like(*args, **keys)


def test_two_people_who_grant_in_the_same_moment_reach_the_quorum(tmp_path: Path) -> None:
    write_desk(tmp_path, with_row(quorum="2"))
    with open_desk(tmp_path) as desk:
        held = desk.call(desk.open(), "issue_refund", LARGE)
        assert isinstance(held, HeldBack)
        services = replace(desk.runner.services, approvals=Meeting(desk.runner.services.approvals))

        async def both() -> None:
            people = (desk.person("lena"), desk.person("omar"))
            grants = (answers.answer(services, held.approval_id, one, GRANT, reason="", proof="t") for one in people)
            await asyncio.gather(*grants)

        desk.do(both())

        assert desk.state(held) is GRANTED
        assert len(desk.approval(held).answers) == 2


def test_the_initiator_may_not_answer_also_as_a_member_of_the_group(desk: Desk) -> None:
    run = desk.open()
    held = desk.call(run, "issue_refund", LARGE)
    assert isinstance(held, HeldBack)
    itself = Person(id=AGENT, roles=frozenset({"approver"}), tenants=frozenset({run.ctx.run.tenant}))

    with pytest.raises(ApprovalRefused, match="approver is the initiator"):
        desk.do(answers.answer(desk.runner.services, held.approval_id, itself, GRANT, reason="", proof="t"))

    assert desk.state(held) is ApprovalState.PENDING
    (refused,) = desk.leaves(run.run_id, "auth.refused")
    assert (refused["actor"], refused["approval_id"]) == (AGENT, held.approval_id)


@pytest.mark.parametrize(("row", "is_refused"), [("[initiator]", False), ("[initiator, launcher]", True)])
def test_the_launcher_may_answer_unless_the_row_asks_for_another_person(
    tmp_path: Path, row: str, *, is_refused: bool
) -> None:
    write_desk(tmp_path, with_row(distinct_from=row))
    with open_desk(tmp_path) as desk:
        held = desk.call(desk.open(), "issue_refund", LARGE)
        assert isinstance(held, HeldBack)
        maria = Person(id=MARIA, roles=frozenset({"approver"}), tenants=desk.person("lena").tenants)
        services = replace(desk.runner.services, people={MARIA: maria})
        asked = answers.answer(services, held.approval_id, maria, GRANT, reason="", proof="t")

        if is_refused:
            with pytest.raises(ApprovalRefused, match="launched this run"):
                desk.do(asked)
        else:
            assert desk.do(asked).state is GRANTED


def test_who_is_not_in_from_may_not_answer(tmp_path: Path) -> None:
    write_desk(tmp_path, with_row(**{"from": "[group:finance]"}))
    with open_desk(tmp_path) as desk:
        held = desk.call(desk.open(), "issue_refund", LARGE)

        with pytest.raises(ApprovalRefused, match="none of the groups"):
            desk.grant(held, "lena")

        assert desk.grant(held, "paul").state is GRANTED


def test_nobody_answers_in_time_and_the_call_is_denied(desk: Desk) -> None:
    run = desk.open()
    held = desk.call(run, "issue_refund", LARGE)
    desk.clock.advance(30 * 60)

    outcome = desk.call(run, "issue_refund", LARGE)

    assert rules(outcome) == ("approval-expired",)
    assert desk.state(held) is EXPIRED
    assert desk.effects() == {}
    assert "approval.expired" in [leaf["type"] for leaf in desk.leaves(run.run_id)]


def test_an_answer_after_the_clock_is_refused_and_expires_the_approval(desk: Desk) -> None:
    held = desk.call(desk.open(), "issue_refund", LARGE)
    desk.clock.advance(30 * 60)

    with pytest.raises(ApprovalRefused, match="it is denied"):
        desk.grant(held)

    assert desk.state(held) is EXPIRED


def test_a_grant_that_is_not_used_in_time_is_denied(desk: Desk) -> None:
    run = desk.open()
    held = desk.call(run, "issue_refund", LARGE)
    desk.grant(held)
    desk.clock.advance(10 * 60)

    outcome = desk.call(run, "issue_refund", LARGE)

    assert rules(outcome) == ("approval-expired",)
    assert desk.state(held) is EXPIRED
    assert desk.effects() == {}


def test_a_grant_just_before_its_clock_runs(desk: Desk) -> None:
    run = desk.open()
    held = desk.call(run, "issue_refund", LARGE)
    desk.clock.advance(30 * 60 - 1)
    desk.grant(held)
    desk.clock.advance(10 * 60 - 1)

    assert isinstance(desk.call(run, "issue_refund", LARGE), Answered)


def test_a_second_answer_loses_visibly(desk: Desk) -> None:
    held = desk.call(desk.open(), "issue_refund", LARGE)
    desk.grant(held, "lena")

    with pytest.raises(ApprovalAlreadyDecided, match="the first answer stands"):
        desk.deny(held, "omar")

    assert desk.state(held) is GRANTED


def test_the_grant_of_somebody_who_may_not_answer_any_more_counts_for_nothing(desk: Desk) -> None:
    run = desk.open()
    held = desk.call(run, "issue_refund", LARGE)
    desk.grant(held, "lena")
    run.ctx.services = replace(run.ctx.services, people={})

    assert rules(desk.call(run, "issue_refund", LARGE)) == ("quorum-lost",)
    assert desk.effects() == {}
