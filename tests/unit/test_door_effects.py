"""At most one effect: retries, lost answers and the same business act again, by effect class."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from leverframe.domain.json import JsonObject
from leverframe.domain.runs import StepState
from leverframe.runtime.outcomes import Answered, Failed, Lost
from leverframe.runtime.outside import OutsideRun
from tests.door_desk import Desk, open_desk, rules, said, write_desk

ORDER: JsonObject = {"order_id": "W00001"}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    write_desk(tmp_path)
    with open_desk(tmp_path) as opened:
        yield opened


def step_of(desk: Desk, run: OutsideRun, path: str) -> tuple[StepState, int, str]:
    step = desk.steps(run.run_id)[path]
    return step.state, step.attempts, step.error


def test_a_slow_read_is_asked_again_as_often_as_its_spec_says(desk: Desk) -> None:
    desk.mood("peek", "before:hang", times=2)
    run = desk.open()

    outcome = desk.call(run, "peek", ORDER)

    assert isinstance(outcome, Answered)
    assert step_of(desk, run, outcome.path) == (StepState.OK, 3, "")


def test_a_read_that_never_answers_is_an_error_without_effect(desk: Desk) -> None:
    desk.mood("peek", "before:hang", times=9)
    run = desk.open()

    outcome = desk.call(run, "peek", ORDER)

    assert isinstance(outcome, Failed)
    assert step_of(desk, run, outcome.path) == (StepState.ERROR, 3, "tool-unavailable")


def test_a_keyed_write_is_sent_again_with_the_same_key_and_has_one_effect(desk: Desk) -> None:
    desk.mood("send_voucher", "after:hang", times=2)
    run = desk.open()

    outcome = desk.call(run, "send_voucher", ORDER)

    assert isinstance(outcome, Answered)
    step = desk.steps(run.run_id)[outcome.path]
    assert desk.shop("SELECT tool, key FROM effects") == [("send_voucher", step.idempotency_key)]
    assert step.attempts == 3


@pytest.mark.parametrize("mood", ["before:hang", "after:hang", "after:raise"])
def test_an_irreversible_write_is_never_sent_again_and_is_unknown(desk: Desk, mood: str) -> None:
    desk.mood("send_letter", mood)
    run = desk.open()

    outcome = desk.call(run, "send_letter", ORDER)
    again = desk.call(run, "send_letter", ORDER)

    assert isinstance(outcome, Lost)
    assert isinstance(again, Lost)
    assert step_of(desk, run, outcome.path) == (StepState.UNKNOWN, 1, "effect-unknown")
    assert desk.effects().total() <= 1
    assert desk.leaves(run.run_id, "call.settled")[-1]["outcome"] == "unknown"


def test_a_refusal_of_the_receiver_is_no_effect_and_may_be_asked_again(desk: Desk) -> None:
    desk.mood("send_letter", "before:refuse")
    run = desk.open()

    refused = desk.call(run, "send_letter", ORDER)
    again = desk.call(run, "send_letter", ORDER)

    assert isinstance(refused, Failed)
    assert "not today" in said(refused)
    assert isinstance(again, Answered)
    assert again.path != refused.path
    assert desk.effects() == {"send_letter": 1}


def test_a_lost_answer_of_a_reconcilable_write_is_asked_for(desk: Desk) -> None:
    desk.mood("book_courier", "after:hang")
    run = desk.open()

    outcome = desk.call(run, "book_courier", ORDER)

    assert isinstance(outcome, Answered)
    assert desk.leaves(run.run_id, "call.settled")[-1]["detail"]["how"] == "reconciled"
    assert desk.effects() == {"book_courier": 1}
    assert desk.reads() == {"find_courier": 1}


def test_a_no_of_the_receiver_does_not_settle_a_lost_answer_since_the_request_may_still_arrive(desk: Desk) -> None:
    desk.mood("book_courier", "before:hang")
    run = desk.open()

    outcome = desk.call(run, "book_courier", ORDER)

    assert isinstance(outcome, Lost)
    assert desk.effects() == {}


def test_a_receiver_that_cannot_be_asked_leaves_the_write_unknown(desk: Desk) -> None:
    desk.mood("book_courier", "after:hang")
    desk.mood("find_courier", "before:raise")

    assert isinstance(desk.call(desk.open(), "book_courier", ORDER), Lost)


def test_a_reconcile_function_that_raises_leaves_the_write_unknown(desk: Desk) -> None:
    desk.shop(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99)"
        " INSERT INTO effects SELECT 'book_courier', 'W00001', '', NULL FROM n"
    )
    desk.mood("book_courier", "after:hang")

    assert isinstance(desk.call(desk.open(), "book_courier", ORDER), Lost)


def test_the_same_act_in_other_words_or_another_run_is_held(desk: Desk) -> None:
    first = desk.call(desk.open(), "pay_out", {**ORDER, "amount_usd": 5})

    reworded = desk.call(desk.open(), "pay_out", {"order_id": " W00001 ", "amount_usd": "5.00", "memo": "again"})
    reworded_right = desk.call(desk.open(), "pay_out", '{"order_id": " W00001 ", "amount_usd": 5.00, "memo": "again"}')
    other = desk.call(desk.open(), "pay_out", {**ORDER, "amount_usd": 6})

    assert isinstance(first, Answered)
    assert rules(reworded) == ("invalid-arguments",)
    assert rules(reworded_right) == ("once_per",)
    assert isinstance(other, Answered)
    assert desk.effects() == {"pay_out": 2}


def test_a_person_may_let_the_same_act_be_done_again(desk: Desk) -> None:
    desk.call(desk.open(), "pay_out", {**ORDER, "amount_usd": 5})
    run = desk.open()
    held = desk.call(run, "pay_out", {**ORDER, "amount_usd": 5})

    desk.grant(held)

    assert isinstance(desk.call(run, "pay_out", {**ORDER, "amount_usd": 5}), Answered)
    assert desk.effects() == {"pay_out": 2}


def test_an_act_that_failed_without_effect_may_be_done_again(desk: Desk) -> None:
    desk.mood("pay_out", "before:refuse")
    refused = desk.call(desk.open(), "pay_out", {**ORDER, "amount_usd": 5})

    assert isinstance(refused, Failed)
    assert isinstance(desk.call(desk.open(), "pay_out", {**ORDER, "amount_usd": 5}), Answered)


def test_an_act_of_which_nobody_knows_whether_it_happened_is_held(desk: Desk) -> None:
    desk.mood("pay_out", "after:raise")
    assert isinstance(desk.call(desk.open(), "pay_out", {**ORDER, "amount_usd": 5}), Lost)

    assert rules(desk.call(desk.open(), "pay_out", {**ORDER, "amount_usd": 5})) == ("once_per",)


def test_after_its_time_the_same_act_is_a_new_one(desk: Desk) -> None:
    desk.call(desk.open(), "pay_out", {**ORDER, "amount_usd": 5})
    desk.clock.advance(24 * 3600 + 1)

    assert isinstance(desk.call(desk.open(), "pay_out", {**ORDER, "amount_usd": 5}), Answered)
