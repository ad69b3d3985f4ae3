"""What a process that is gone left behind: settled by effect class, under the pinned release and today's denials."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from leverframe.domain.approvals import ApprovalState
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.errors import CallDenied, Contended
from leverframe.domain.ids import StepPath
from leverframe.domain.json import JsonObject
from leverframe.domain.proposals import Proposal, PutStep
from leverframe.domain.records import replace
from leverframe.domain.runs import RunOutcome, StepState
from leverframe.runtime.loops.ending import Collected
from leverframe.runtime.outcomes import Answered, HeldBack, Lost
from leverframe.runtime.outside import OutsideRun
from tests.door_desk import CONTRACT, Desk, open_desk, rules, sent, write_desk

ORDER: JsonObject = {"order_id": "W00001"}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    write_desk(tmp_path)
    with open_desk(tmp_path) as opened:
        yield opened


def left_behind(desk: Desk, run: OutsideRun, path: str) -> None:
    """Make the journal say what a process leaves that dies after `call.intended`, and let its deadlines pass."""
    step = replace(desk.steps(run.run_id)[path], state=StepState.INTENDED, finished_at=None, attempts=0, error="")
    change = PutStep(step=step, expect=frozenset(StepState))
    desk.do(desk.runner.services.writer.commit(Proposal(tenant=run.ctx.run.tenant, changes=(change,))))
    desk.clock.advance(60)


def reopened(desk: Desk, run: OutsideRun) -> OutsideRun:
    return desk.do(desk.runner.reopen_outside(run.run_id))


@pytest.mark.parametrize(
    ("tool", "args", "has_happened", "state", "effects"),
    [
        ("set_status", {"status": "paid"}, True, StepState.OK, 1),
        ("issue_refund", {"amount_usd": 5}, True, StepState.OK, 1),
        ("issue_refund", {"amount_usd": 5}, False, StepState.OK, 1),
        ("book_courier", {}, True, StepState.OK, 1),
        ("book_courier", {}, False, StepState.OK, 1),
        ("send_letter", {}, True, StepState.UNKNOWN, 1),
        ("send_letter", {}, False, StepState.UNKNOWN, 0),
    ],
)
def test_a_write_that_a_dead_process_announced_is_settled_by_its_class(
    desk: Desk, tool: str, args: JsonObject, *, has_happened: bool, state: StepState, effects: int
) -> None:
    run = desk.open()
    done = desk.call(run, tool, {**ORDER, **args})
    if not has_happened:
        desk.shop("DELETE FROM effects")
    left_behind(desk, run, done.path)

    desk.call(reopened(desk, run), tool, {**ORDER, **args})

    assert desk.steps(run.run_id)[done.path].state is state
    assert desk.effects().total() == effects


def test_a_resumed_run_settles_every_call_that_was_on_its_way(desk: Desk) -> None:
    run = desk.open()
    keyed = desk.call(run, "issue_refund", {**ORDER, "amount_usd": 5})
    letter = desk.call(run, "send_letter", ORDER)
    for outcome in (keyed, letter):
        left_behind(desk, run, outcome.path)

    advanced = desk.do(desk.runner.resume(run.run_id))

    assert isinstance(advanced, Collected)
    assert [type(outcome) for _, outcome in advanced.calls] == [Answered, Lost]
    assert desk.effects() == {"issue_refund": 1, "send_letter": 1}


def test_what_is_sent_again_counts_the_sending_that_nobody_saw(desk: Desk) -> None:
    run = desk.open()
    done = desk.call(run, "issue_refund", {**ORDER, "amount_usd": 5})
    left_behind(desk, run, done.path)
    later = desk.clock.now()

    desk.call(reopened(desk, run), "issue_refund", {**ORDER, "amount_usd": 5})

    step = desk.steps(run.run_id)[done.path]
    assert (step.attempts, step.started_at) == (2, later)
    assert desk.effects() == {"issue_refund": 1}


def test_a_second_crash_waits_for_the_second_sending(desk: Desk) -> None:
    """The receiver of a reconcilable write is asked only when no request of the dead process can arrive any more."""
    run = desk.open()
    done = desk.call(run, "book_courier", ORDER)
    desk.shop("DELETE FROM effects")
    left_behind(desk, run, done.path)
    again = reopened(desk, run)
    desk.call(again, "book_courier", ORDER)
    step = desk.steps(run.run_id)[done.path]
    lost = replace(step, state=StepState.INTENDED, finished_at=None)
    desk.do(
        desk.runner.services.writer.commit(
            Proposal(tenant=run.ctx.run.tenant, changes=(PutStep(step=lost, expect=frozenset(StepState)),))
        )
    )
    began = time.monotonic()

    desk.call(reopened(desk, run), "book_courier", ORDER)

    # Three attempts of 0.3 s each could have been under way since the second sending.
    assert time.monotonic() - began >= 0.9
    assert desk.effects() == {"book_courier": 1}


def test_a_read_that_a_dead_process_left_is_done_again(desk: Desk) -> None:
    run = desk.open()
    done = desk.call(run, "peek", ORDER)
    step = replace(desk.steps(run.run_id)[done.path], state=StepState.STARTED, finished_at=None)
    change = PutStep(step=step, expect=frozenset(StepState))
    desk.do(desk.runner.services.writer.commit(Proposal(tenant=run.ctx.run.tenant, changes=(change,))))

    advanced = desk.do(desk.runner.resume(run.run_id))

    assert isinstance(advanced, Collected)
    assert [type(outcome) for _, outcome in advanced.calls] == [Answered]
    assert desk.reads() == {"peek": 2}


def test_the_end_of_a_run_settles_what_a_dead_process_left(desk: Desk) -> None:
    run = desk.open()
    letter = desk.call(run, "send_letter", ORDER)
    held = desk.call(run, "issue_refund", {**ORDER, "amount_usd": 60})
    left_behind(desk, run, letter.path)
    ending = reopened(desk, run)

    ended = desk.do(ending.end(RunOutcome.STOPPED, None))

    assert ended.outcome is RunOutcome.STOPPED
    assert desk.steps(run.run_id)[letter.path].state is StepState.UNKNOWN
    assert desk.state(held) is ApprovalState.CANCELLED
    assert all(window.reserved == 0 for window in desk.windows(run.run_id).values())
    assert desk.leaves(run.run_id)[-1]["type"] == "run.ended"


def test_a_run_does_not_end_under_a_call_that_is_on_its_way(desk: Desk) -> None:
    desk.mood("send_letter", "before:hang")
    run = desk.open()

    async def ending_while_sending() -> object:
        sending = asyncio.create_task(run.call_tool("send_letter", ORDER))
        await sent(run)
        with pytest.raises(Contended, match="just now"):
            await run.end(RunOutcome.SUCCESS, None)
        return await sending

    assert isinstance(desk.do(ending_while_sending()), Lost)
    desk.do(run.end(RunOutcome.SUCCESS, None))
    with pytest.raises(CallDenied):
        desk.call(run, "peek", ORDER)


def test_a_run_goes_on_under_its_pinned_release_when_files_changed(tmp_path: Path) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        run = desk.open()
        pinned = run.ctx.run.policy_digest
    write_desk(tmp_path, CONTRACT.replace("threshold_usd: 50", "threshold_usd: 5"))
    with open_desk(tmp_path, desk.clock, seed=1) as later:
        again = later.do(later.runner.reopen_outside(run.run_id))

        old = later.call(again, "issue_refund", {**ORDER, "amount_usd": 20})
        new = later.call(later.open(), "issue_refund", {"order_id": "W00002", "amount_usd": 20})

        assert isinstance(old, Answered)
        assert isinstance(new, HeldBack)
        assert {leaf["policy_digest"] for leaf in later.leaves(run.run_id, "call.decided")} == {pinned}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("issue_refund, send_voucher", "send_voucher"),
        ("tools: [look_up, issue_refund]\n", "tools: [look_up, issue_refund, set_status]\n"),
        ("workflow: desk", "workflow: counter"),
    ],
)
def test_what_is_denied_today_is_denied_in_a_run_of_yesterday(tmp_path: Path, old: str, new: str) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        run = desk.open(subject="c_9")
        granted = desk.open()
        held = desk.call(granted, "issue_refund", {**ORDER, "amount_usd": 60})
        desk.grant(held)
    write_desk(tmp_path, CONTRACT.replace(old, new))
    with open_desk(tmp_path, desk.clock, seed=1) as later:
        tool = "set_status" if "set_status" in new else "issue_refund"
        ours = run if tool == "set_status" else granted
        args = {**ORDER, "status": "paid"} if tool == "set_status" else {**ORDER, "amount_usd": 60}
        again = later.do(later.runner.reopen_outside(ours.run_id))

        outcome = later.call(again, tool, args)

        assert rules(outcome)
        assert not isinstance(outcome, HeldBack)
        assert later.effects() == {}


def test_a_write_of_a_dead_process_is_not_sent_again_where_today_denies_it(tmp_path: Path) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        run = desk.open()
        done = desk.call(run, "issue_refund", {**ORDER, "amount_usd": 5})
        desk.shop("DELETE FROM effects")
        left_behind(desk, run, done.path)
    write_desk(tmp_path, CONTRACT.replace("issue_refund, send_voucher", "send_voucher"))
    with open_desk(tmp_path, desk.clock, seed=1) as later:
        again = later.do(later.runner.reopen_outside(run.run_id))

        outcome = later.call(again, "issue_refund", {**ORDER, "amount_usd": 5})

        assert isinstance(outcome, Lost)
        assert "today's policy" in outcome.message
        assert later.effects() == {}
        assert StepPath(outcome.path) == done.path
        assert later.windows(run.run_id)[BudgetUnit.USD].reserved == 0
