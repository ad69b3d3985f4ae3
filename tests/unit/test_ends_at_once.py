"""A run that is ended while another process calls in it: its end comes after its calls, and says what they took."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leverframe.domain.approvals import ApprovalState
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.errors import Contended
from leverframe.domain.json import JsonObject
from leverframe.domain.records import replace
from leverframe.domain.runs import RunOutcome, RunState, StepKind, StepState
from leverframe.runtime.outcomes import HeldBack, ToolOutcome
from leverframe.runtime.outside import OutsideRun
from leverframe.runtime.resolving import PersonsWord, end_by_hand
from tests.door_desk import CONTRACT, Desk, open_desk, write_desk
from tests.overtaken import Meanwhile, Overtaken
from tests.waiting import until

ORDER: JsonObject = {"order_id": "W00001"}
RULES = "  rules:\n"
HELD = CONTRACT.replace(RULES, RULES + "    - {id: letters, then: hold, tools: [send_letter]}\n")
OBSERVED = "enforce: observe\n" + CONTRACT.replace(RULES, RULES + "    - {id: no-peeking, then: deny, tools: [peek]}\n")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    write_desk(tmp_path)
    with open_desk(tmp_path) as opened:
        yield opened


def reopened(desk: Desk, run: OutsideRun) -> OutsideRun:
    """The same run as another process has it."""
    return desk.do(desk.runner.reopen_outside(run.run_id))


async def end(run: OutsideRun, *meanwhile: Meanwhile) -> None:
    services = run.ctx.services
    run.ctx.services = replace(services, writer=Overtaken(services.writer, *meanwhile))
    try:
        await run.end(RunOutcome.SUCCESS, {})
    finally:
        run.ctx.services = services


# Any: a leaf is JSON.
def last_leaf(desk: Desk, run: OutsideRun) -> Any:
    return desk.leaves(run.run_id)[-1]


def test_the_totals_of_an_end_hold_a_call_that_was_made_in_that_moment(desk: Desk) -> None:
    run = desk.open()
    other = reopened(desk, run)

    desk.do(end(run, *[lambda: other.call_tool("peek", ORDER)] * 2))

    ended, books = last_leaf(desk, run), desk.windows(run.run_id)
    assert (ended["type"], ended["detail"]["total_tool_calls"]) == ("run.ended", 2)
    assert ended["detail"]["total_steps"] == books[BudgetUnit.STEPS].settled
    assert desk.run_row(run.run_id).active_us >= books[BudgetUnit.WALL_US].settled


def test_an_end_that_is_overtaken_again_and_again_is_asked_for_anew(desk: Desk) -> None:
    run = desk.open()
    other = reopened(desk, run)

    with pytest.raises(Contended, match="being settled just now"):
        desk.do(end(run, *[lambda: other.call_tool("peek", ORDER)] * 20))

    assert desk.run_row(run.run_id).state is RunState.OPEN
    desk.do(end(run))
    assert last_leaf(desk, run)["type"] == "run.ended"


@pytest.mark.parametrize("is_by_hand", [False, True], ids=["its-agent", "a-person"])
def test_an_end_lets_a_call_go_that_was_held_in_that_moment(tmp_path: Path, *, is_by_hand: bool) -> None:
    write_desk(tmp_path, HELD)
    with open_desk(tmp_path) as desk:
        run = desk.open()
        other = reopened(desk, run)

        if is_by_hand:
            overtaken = Overtaken(desk.runner.services.writer, lambda: other.call_tool("send_letter", ORDER))
            runner = replace(desk.runner, services=replace(desk.runner.services, writer=overtaken))
            word = PersonsWord(person=desk.person("lena"), because="it is over", proof="test")
            desk.do(end_by_hand(runner, run.run_id, word))
        else:
            desk.do(end(run, lambda: other.call_tool("send_letter", ORDER)))

        (step,) = desk.steps(run.run_id).values()
        assert (step.state, desk.approval(step.approval_id).state) == (StepState.HELD, ApprovalState.CANCELLED)
        assert [leaf["type"] for leaf in desk.leaves(run.run_id)][-2:] == ["approval.cancelled", "run.ended"]


def order_of_ends(desk: Desk, run: OutsideRun) -> list[str]:
    return [one["type"] for one in desk.leaves(run.run_id, "call.settled", "run.ended")]


def is_sent(run: OutsideRun) -> bool:
    on_its_way = {StepState.STARTED, StepState.INTENDED}
    return any(one.state in on_its_way for one in tuple(run.ctx.steps.values()) if one.kind is StepKind.TOOL)


def ended_while_sent(desk: Desk, run: OutsideRun, tool: str, args: JsonObject) -> ToolOutcome:
    """The outcome of a call that another process sent after the end was asked for."""
    other = reopened(desk, run)
    desk.mood(tool, "before:hang")

    async def both() -> ToolOutcome:
        calls: list[asyncio.Task[ToolOutcome]] = []

        async def send() -> None:
            calls.append(asyncio.create_task(other.call_tool(tool, args)))
            await asyncio.to_thread(until, lambda: is_sent(other), what="a call on its way")

        with pytest.raises(Contended, match="being done just now"):
            await end(run, send)
        return await calls[0]

    outcome = desk.do(both())
    desk.do(end(run))
    return outcome


def test_a_run_does_not_end_while_a_write_is_on_its_way(desk: Desk) -> None:
    run = desk.open()

    ended_while_sent(desk, run, "send_letter", ORDER)

    assert order_of_ends(desk, run) == ["call.settled", "run.ended"]


def test_a_run_does_not_end_while_a_read_that_is_only_observed_is_on_its_way(tmp_path: Path) -> None:
    """Nothing is set aside for a call that would have been refused."""
    write_desk(tmp_path, OBSERVED)
    with open_desk(tmp_path) as desk:
        run = desk.open()

        ended_while_sent(desk, run, "peek", ORDER)

        assert desk.leaves(run.run_id, "call.decided")[0]["detail"]["would"] == "deny"
        assert order_of_ends(desk, run) == ["call.settled", "run.ended"]


def test_a_run_does_not_end_while_a_granted_write_is_on_its_way(tmp_path: Path) -> None:
    """It was counted when it was held, so nothing is set aside for it any more."""
    write_desk(tmp_path, HELD)
    with open_desk(tmp_path) as desk:
        run = desk.open()
        held = desk.call(run, "send_letter", ORDER)
        desk.grant(held)

        ended_while_sent(desk, run, "send_letter", ORDER)

        assert isinstance(held, HeldBack)
        assert len(desk.leaves(run.run_id, "approval.consumed")) == 1
        assert order_of_ends(desk, run) == ["call.settled", "run.ended"]
