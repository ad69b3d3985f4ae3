"""Calls at once: each has a path of its own, and equal writes are one step that one task of one process does."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from leverframe.domain.errors import Contended
from leverframe.domain.json import JsonObject
from leverframe.runtime.outcomes import Answered, HeldBack, Lost
from tests.door_desk import Desk, open_desk, sent, write_desk

ORDER: JsonObject = {"order_id": "W00001"}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    write_desk(tmp_path)
    with open_desk(tmp_path) as opened:
        yield opened


def test_two_calls_at_once_get_two_paths(desk: Desk) -> None:
    run = desk.open()

    async def both() -> list[str]:
        outcomes = await asyncio.gather(*(run.call_tool("peek", {"order_id": order}) for order in ("W00001", "W00002")))
        return [outcome.path for outcome in outcomes]

    assert sorted(desk.do(both())) == ["0", "1"]


def test_two_equal_reads_are_two_steps(desk: Desk) -> None:
    run = desk.open()

    first, second = desk.call(run, "peek", ORDER), desk.call(run, "peek", ORDER)

    assert first.path != second.path
    assert desk.reads() == {"peek": 2}


@pytest.mark.parametrize("tool", ["issue_refund", "send_letter", "book_courier"])
def test_an_equal_write_is_that_step_however_it_is_spelt(desk: Desk, tool: str) -> None:
    run = desk.open()
    args = {**ORDER, "amount_usd": 5} if tool == "issue_refund" else ORDER
    text = ' {"amount_usd": 5 , "order_id":"W00001"}' if tool == "issue_refund" else '{ "order_id" : "W00001" }'

    first = desk.call(run, tool, args)
    as_text = desk.call(run, tool, text)

    assert isinstance(first, Answered)
    assert as_text == replace(first, is_repeat=True)
    assert desk.effects() == {tool: 1}


@pytest.mark.parametrize("tool", ["issue_refund", "send_letter", "book_courier", "set_status"])
def test_equal_writes_at_once_have_one_effect_and_one_outcome(desk: Desk, tool: str) -> None:
    run = desk.open()
    more: dict[str, JsonObject] = {"issue_refund": {"amount_usd": 5}, "set_status": {"status": "paid"}}
    args = {**ORDER, **more.get(tool, {})}

    async def many() -> list[object]:
        return list(await asyncio.gather(*(run.call_tool(tool, args) for _ in range(4))))

    outcomes = desk.do(many())

    assert all(isinstance(one, Answered) for one in outcomes)
    assert len({one.path for one in outcomes if isinstance(one, Answered)}) == 1
    assert desk.effects() == {tool: 1}
    assert [leaf["type"] for leaf in desk.leaves(run.run_id)].count("call.intended") == 1


def test_a_write_that_is_on_its_way_in_one_process_is_left_alone_by_another(tmp_path: Path) -> None:
    """A grant for one call resumes the run while the agent's other call is still under way."""
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk, open_desk(tmp_path, desk.clock, seed=1) as granting:
        run = desk.open()
        held = desk.call(run, "issue_refund", {**ORDER, "amount_usd": 60})
        granting.grant(held)
        desk.mood("send_letter", "before:hang")

        async def sending_while_resumed() -> object:
            sending = asyncio.create_task(run.call_tool("send_letter", ORDER))
            await sent(run)
            await asyncio.to_thread(granting.do, granting.runner.resume(run.run_id))
            return await sending

        lost = desk.do(sending_while_resumed())

        assert isinstance(lost, Lost)
        assert "did not return" in lost.message
        assert isinstance(desk.call(run, "issue_refund", {**ORDER, "amount_usd": 60}), Answered)
        assert desk.effects() == {"issue_refund": 1}


def test_a_call_that_somebody_holds_for_too_long_is_contended(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leverframe.runtime.door.timing._PATIENCE_S", -10.0)
    run = desk.open()
    with desk.runner.services.claims.claim(type(run.run_id)(f"{run.run_id}/0")), pytest.raises(Contended):
        desk.call(run, "peek", ORDER)


def test_a_call_whose_asker_left_while_it_was_recorded_is_found_when_it_is_asked_for_again(desk: Desk) -> None:
    """A cancelled caller does not undo a decision that was on its way to the disk."""
    run = desk.open()
    args: JsonObject = {**ORDER, "amount_usd": 60}
    other = desk.do(desk.runner.reopen_outside(run.run_id))
    elsewhere = desk.call(other, "issue_refund", args)

    with pytest.raises(Contended, match="PutStep"):
        desk.call(run, "issue_refund", args)
    again = desk.call(run, "issue_refund", args)

    assert isinstance(elsewhere, HeldBack)
    assert isinstance(again, HeldBack)
    assert again.approval_id == elsewhere.approval_id
