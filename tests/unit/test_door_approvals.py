"""Held calls: exactly the granted bytes run, once; a changed call is a new hold; a denial sticks."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from leverframe.core.canonical import encode
from leverframe.domain.approvals import AnswerWord, ApprovalState
from leverframe.domain.errors import ApprovalAlreadyDecided, CallDenied
from leverframe.domain.ids import PrincipalId
from leverframe.domain.json import JsonObject
from leverframe.domain.runs import RunOutcome, StepState
from leverframe.runtime import answers
from leverframe.runtime.outcomes import Answered, HeldBack, Refused
from tests.door_desk import CONTRACT, Desk, open_desk, rules, said, write_desk

GRANT = AnswerWord.GRANT
LARGE: JsonObject = {"order_id": "W00001", "amount_usd": 60, "note": "broken"}
GRANTED, DENIED, EXPIRED = ApprovalState.GRANTED, ApprovalState.DENIED, ApprovalState.EXPIRED
CONSUMED, REVOKED = ApprovalState.CONSUMED, ApprovalState.REVOKED


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    write_desk(tmp_path)
    with open_desk(tmp_path) as opened:
        yield opened


def test_what_was_granted_runs_exactly_once_and_is_collected_after_that(desk: Desk) -> None:
    run = desk.open()
    held = desk.call(run, "issue_refund", LARGE)

    waiting = desk.call(run, "issue_refund", LARGE)
    desk.grant(held)
    ran = desk.call(run, "issue_refund", LARGE)
    again = desk.call(run, "issue_refund", LARGE)

    assert isinstance(waiting, HeldBack)
    assert isinstance(ran, Answered)
    assert again == replace(ran, is_repeat=True)
    assert desk.state(held) is CONSUMED
    assert desk.shop("SELECT tool, order_id, amount FROM effects") == [("issue_refund", "W00001", "60")]


def test_an_approval_binds_the_bytes_that_were_shown_and_sent(desk: Desk) -> None:
    run = desk.open()
    held = desk.call(run, "issue_refund", LARGE)

    approval = desk.grant(held)
    desk.call(run, "issue_refund", LARGE)

    decided = desk.leaves(run.run_id, "call.decided")[-1]
    intended = desk.leaves(run.run_id, "call.intended")[-1]
    assert approval.action_digest == decided["action_digest"] == intended["action_digest"]
    assert decided["approval_id"] == intended["approval_id"] == approval.approval_id
    envelope = desk.disclosed(run.run_id, desk.steps(run.run_id)[held.path].args_ref)["envelope"]
    assert envelope["args"] == LARGE
    assert len(envelope["nonce"]) == 32


def test_other_bytes_under_the_name_of_a_granted_step_never_run(desk: Desk) -> None:
    run = desk.open()
    held = desk.call(run, "issue_refund", LARGE, step="the refund")
    desk.grant(held)

    swapped = desk.call(run, "issue_refund", {**LARGE, "amount_usd": 6000}, step="the refund")

    assert rules(swapped) == ("approval-binds-bytes",)
    assert desk.effects() == {}
    assert desk.state(held) is GRANTED
    assert isinstance(desk.call(run, "issue_refund", LARGE, step="the refund"), Answered)
    assert desk.shop("SELECT amount FROM effects") == [("60",)]


def test_a_name_that_a_path_cannot_say_is_told_apart_and_stands_nowhere_in_clear(desk: Desk) -> None:
    run = desk.open()

    first = desk.call(run, "set_status", {"order_id": "W00001", "status": "a"}, step="jane@example.com 1")
    second = desk.call(run, "set_status", {"order_id": "W00001", "status": "b"}, step="jane@example.com/1")

    assert isinstance(first, Answered)
    assert isinstance(second, Answered)
    assert first.path != second.path
    assert "jane" not in str(desk.leaves(run.run_id))


def test_a_denied_call_is_denied_for_the_rest_of_its_run_whatever_its_amount_and_text(desk: Desk) -> None:
    run = desk.open()
    desk.deny(desk.call(run, "issue_refund", LARGE), reason="not ours")

    same = desk.call(run, "issue_refund", LARGE)
    small = desk.call(run, "issue_refund", {**LARGE, "amount_usd": 1, "note": "please"})
    other = desk.call(run, "issue_refund", {"order_id": "W00002", "amount_usd": 1})

    assert isinstance(same, Refused)
    assert rules(small)[0].startswith("denied-before/")
    assert "not ours" in said(small)
    assert isinstance(other, Answered)
    assert desk.effects() == {"issue_refund": 1}


def test_a_denial_sticks_for_the_whole_run_also_after_a_day(desk: Desk) -> None:
    run = desk.open()
    desk.deny(desk.call(run, "issue_refund", LARGE))

    desk.clock.advance(25 * 3600)

    assert rules(desk.call(run, "issue_refund", {**LARGE, "amount_usd": 1}))[0].startswith("denied-before/")
    assert desk.effects() == {}


def test_a_denial_in_this_run_is_not_hidden_by_a_later_one_for_somebody_else(tmp_path: Path) -> None:
    write_desk(tmp_path, CONTRACT.replace("tools: [look_up, issue_refund]", "tools: [look_up]"))
    with open_desk(tmp_path) as desk:
        ours, theirs = desk.open("c_1"), desk.open("c_2")
        desk.deny(desk.call(ours, "issue_refund", LARGE))
        desk.clock.advance(1)
        desk.deny(desk.call(theirs, "issue_refund", LARGE))

        again = desk.call(ours, "issue_refund", {**LARGE, "amount_usd": 1})

        assert isinstance(again, Refused)
        assert desk.effects() == {}


def test_a_denied_call_is_held_from_another_run_of_that_subject_within_a_day(desk: Desk) -> None:
    desk.deny(desk.call(desk.open(), "issue_refund", LARGE), reason="not ours")
    small = {**LARGE, "amount_usd": 1}

    soon = desk.call(desk.open(), "issue_refund", small)
    desk.clock.advance(24 * 3600 + 1)
    late = desk.call(desk.open(), "issue_refund", small)

    assert isinstance(soon, HeldBack)
    assert "not ours" in soon.reasons[0].text
    assert isinstance(late, Answered)


def test_a_fact_that_changed_since_the_grant_is_a_new_hold_and_takes_the_grant_back(desk: Desk) -> None:
    run = desk.open()
    first = desk.call(run, "issue_refund", LARGE)
    desk.grant(first)
    desk.shop("UPDATE orders SET note = 'returned' WHERE order_id = 'W00001'")

    second = desk.call(run, "issue_refund", LARGE)

    assert isinstance(second, HeldBack)
    assert desk.state(first) is REVOKED
    assert desk.approval(second).action_digest != desk.approval(first).action_digest
    assert desk.effects() == {}
    desk.grant(second)
    assert isinstance(desk.call(run, "issue_refund", LARGE), Answered)
    assert desk.effects() == {"issue_refund": 1}


def test_a_fact_that_now_denies_takes_the_grant_back(desk: Desk) -> None:
    run = desk.open()
    held = desk.call(run, "issue_refund", LARGE)
    desk.grant(held)
    desk.shop("UPDATE orders SET customer_id = 'c_2' WHERE order_id = 'W00001'")

    outcome = desk.call(run, "issue_refund", LARGE)

    assert rules(outcome) == ("own-orders-only",)
    assert desk.state(held) is REVOKED
    assert [leaf["approval_id"] for leaf in desk.leaves(run.run_id, "approval.revoked")] == [
        desk.approval(held).approval_id
    ]
    assert desk.effects() == {}


def test_a_call_that_needs_no_grant_any_more_takes_it_back(tmp_path: Path) -> None:
    rule = '{id: gifts, then: hold, tools: [set_status], when: facts.order.note == "gift for jane@example.com"}'
    write_desk(tmp_path, CONTRACT.replace("approval:\n", f"    - {rule}\napproval:\n"))
    with open_desk(tmp_path) as desk:
        run, paid = desk.open(), {"order_id": "W00001", "status": "paid"}
        held = desk.call(run, "set_status", paid)
        desk.grant(held)
        desk.shop("UPDATE orders SET note = '' WHERE order_id = 'W00001'")

        assert isinstance(desk.call(run, "set_status", paid), Answered)
        assert desk.state(held) is REVOKED


def test_a_rule_that_matches_only_now_holds_again(tmp_path: Path) -> None:
    when = """'history.count("issue_refund", "1h", "subject") > 0'"""
    rule = f"{{id: velocity, then: hold, tools: [issue_refund], when: {when}}}"
    write_desk(tmp_path, CONTRACT.replace("approval:\n", f"    - {rule}\napproval:\n"))
    with open_desk(tmp_path) as desk:
        run = desk.open()
        first = desk.call(run, "issue_refund", LARGE)
        assert isinstance(desk.call(desk.open(), "issue_refund", {"order_id": "W00002", "amount_usd": 1}), Answered)
        desk.grant(first)

        second = desk.call(run, "issue_refund", LARGE)

        assert set(rules(second)) == {"velocity", "issue_refund/over-50"}
        assert desk.state(first) is REVOKED
        desk.grant(second)
        assert isinstance(desk.call(run, "issue_refund", LARGE), Answered)


def test_a_call_that_was_granted_elsewhere_is_only_collected(tmp_path: Path) -> None:
    """`approvals grant` beside a live agent: the granter's process runs the call, the agent's own learns of it."""
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk, open_desk(tmp_path, desk.clock, seed=1) as granting:
        run = desk.open()
        held = desk.call(run, "issue_refund", LARGE)
        granting.grant(held)
        granting.do(granting.runner.resume(run.run_id))

        collected = desk.call(run, "issue_refund", LARGE)

        assert isinstance(collected, Answered)
        assert collected.is_repeat
        assert desk.effects() == {"issue_refund": 1}


def test_a_held_call_keeps_its_count_and_no_money(desk: Desk) -> None:
    run = desk.open()
    held = desk.call(run, "issue_refund", LARGE)
    before = desk.windows(run.run_id)
    desk.grant(held)
    desk.call(run, "issue_refund", LARGE)
    after = desk.windows(run.run_id)

    counted = {unit.value: (before[unit].settled, after[unit].settled) for unit in before}
    assert counted["tool_calls"] == (1, 1)
    assert counted["steps"] == (1, 1)
    # One read for the hold and one for its re-entry, and then the refund itself.
    assert counted["usd"] == (1_000, 2_000 + 10_000)
    assert all(window.reserved == 0 for window in (*before.values(), *after.values()))


def test_an_ended_run_refuses_calls_and_lets_its_approvals_go(desk: Desk) -> None:
    run = desk.open()
    pending = desk.call(run, "issue_refund", LARGE)
    granted = desk.call(run, "issue_refund", {**LARGE, "amount_usd": 61})
    desk.grant(granted)

    desk.do(run.end(RunOutcome.SUCCESS, "bye"))

    with pytest.raises(CallDenied, match="has ended"):
        desk.call(run, "set_status", {"order_id": "W00001", "status": "x"})
    assert (desk.state(pending), desk.state(granted)) == (ApprovalState.CANCELLED, REVOKED)
    with pytest.raises(ApprovalAlreadyDecided):
        desk.grant(pending)
    assert desk.effects() == {}


def test_a_run_that_another_process_ended_refuses_calls(tmp_path: Path) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk, open_desk(tmp_path, desk.clock, seed=1) as other:
        run = desk.open()
        held = desk.call(run, "issue_refund", LARGE)
        reopened = other.do(other.runner.reopen_outside(run.run_id))
        newer = desk.call(run, "issue_refund", {**LARGE, "amount_usd": 61})
        other.do(reopened.end(RunOutcome.SUCCESS, None))

        with pytest.raises(CallDenied, match="any more"):
            desk.call(run, "set_status", {"order_id": "W00001", "status": "x"})

        assert {desk.state(held), desk.state(newer)} == {ApprovalState.CANCELLED}
        assert desk.steps(run.run_id)[held.path].state is StepState.HELD
        assert desk.effects() == {}


def test_redacted_values_are_withheld_from_what_an_approver_is_shown(tmp_path: Path) -> None:
    write_desk(tmp_path)
    with open_desk(tmp_path) as desk:
        run = desk.open(message="please", email="jane@example.com")
        held = desk.call(run, "issue_refund", {**LARGE, "note": "write to jane@example.com"})
        assert isinstance(held, HeldBack)

        shown = desk.do(answers.show(desk.runner.services, held.approval_id))

        assert "jane@example.com" not in shown.sentence + encode([shown.envelope, shown.reasons]).decode()
        assert "[email withheld" in encode(shown.envelope).decode()
        assert "jane@example.com" not in str(desk.leaves(run.run_id))
        assert PrincipalId("agent:desk") == shown.run.initiator
