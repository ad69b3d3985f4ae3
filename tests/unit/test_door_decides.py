"""No effect without an allow: what the door lets through, and how it says no."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.ids import PrincipalId
from leverframe.domain.json import JsonObject
from leverframe.domain.runs import StepState
from leverframe.runtime.outcomes import Answered, Failed, HeldBack, Refused, Stopped
from tests.door_desk import CONTRACT, Desk, open_desk, rules, said, write_desk

REFUND: JsonObject = {"order_id": "W00001", "amount_usd": 20}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    write_desk(tmp_path)
    with open_desk(tmp_path) as opened:
        yield opened


def with_rule(text: str) -> str:
    """The contract with one more rule, in flow style."""
    return CONTRACT.replace("approval:\n", f"    - {text}\napproval:\n")


def test_an_unknown_tool_is_denied_and_its_name_stands_nowhere_in_clear(desk: Desk) -> None:
    run = desk.open()

    outcome = desk.call(run, "drop jane@example.com", {})

    assert rules(outcome) == ("unknown-tool",)
    (leaf,) = desk.leaves(run.run_id, "call.decided")
    assert (leaf["decision"], leaf["rule"]) == ("deny", "unknown-tool")
    assert "jane" not in str(leaf)
    assert desk.effects() == {}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"order_id": 7, "amount_usd": 20}, "/order_id: expected string, got integer"),
        ({"order_id": "W00001"}, "'amount_usd' is missing"),
        ({**REFUND, "to": "me"}, "unexpected 'to'"),
        ({**REFUND, "e mail of jane": "x"}, "unexpected 'e mail of jane'"),
        ({**REFUND, "amount_usd": "20"}, "/amount_usd: expected"),
        ("no json", "not JSON"),
        ("[1]", "got list"),
        ('{"order_id": "W00001", "order_id": "W00002", "amount_usd": 1}', "stands twice"),
        ('{"order_id": "W00001", "amount_usd": NaN}', "JSON has no NaN"),
        ("[" * 5_000, "nested more than 128 levels"),
        ('{"order_id": "\\ud800", "amount_usd": 1}', "half of a surrogate pair"),
        ('{"order_id": "W00001", "amount_usd": 1e99999999999999999999}', "to be held exactly"),
        ("", "not JSON"),
        ('{"order_id": "\ud800"}', "half of a surrogate pair"),
    ],
)
def test_arguments_off_schema_are_denied_with_the_place(
    desk: Desk, arguments: str | JsonObject, complaint: str
) -> None:
    run = desk.open()

    outcome = desk.call(run, "issue_refund", arguments)

    assert rules(outcome) == ("invalid-arguments",)
    assert complaint in said(outcome)
    assert desk.effects() == {}
    assert desk.reads() == {}


def test_the_name_of_an_argument_that_no_schema_declares_is_not_logged_in_clear(desk: Desk) -> None:
    run = desk.open()

    desk.call(run, "issue_refund", {**REFUND, "jane@example.com": "x", "with space": 1})

    (leaf,) = desk.leaves(run.run_id, "call.decided")
    assert "argument_labels" not in leaf
    assert "jane" not in str(leaf)


def test_a_deny_rule_names_itself_its_line_and_what_it_saw(desk: Desk) -> None:
    run = desk.open()

    outcome = desk.call(run, "issue_refund", {"order_id": "W00003", "amount_usd": 20})

    assert isinstance(outcome, Refused)
    (reason,) = outcome.reasons
    line = CONTRACT.splitlines().index("    - id: own-orders-only") + 1
    assert (reason.rule, str(reason.source)) == ("own-orders-only", f"workflows/desk.yaml:{line}")
    assert "facts.order.customer_id is 'c_2'" in reason.text
    assert desk.effects() == {}


def test_a_fact_that_cannot_be_read_denies(desk: Desk) -> None:
    desk.mood("look_up", "before:raise")
    run = desk.open()

    outcome = desk.call(run, "issue_refund", REFUND)

    assert isinstance(outcome, Refused)
    assert outcome.reasons[0].is_unknown
    assert "facts.order could not be read" in outcome.reasons[0].text
    assert desk.effects() == {}


def test_an_answer_off_its_schema_is_no_fact(desk: Desk) -> None:
    desk.mood("look_up", "garbage")
    run = desk.open()

    assert rules(desk.call(run, "issue_refund", REFUND)) == ("own-orders-only",)
    assert desk.effects() == {}


@pytest.mark.parametrize("when", ["!has(facts.order.note)", "!has(facts.order)", "!(facts.order.total_usd > 1000)"])
def test_an_allow_rule_never_allows_on_a_fact_that_could_not_be_read(tmp_path: Path, when: str) -> None:
    write_desk(tmp_path, with_rule(f'{{id: let-it, then: allow, tools: [set_status], when: "{when}"}}'))
    with open_desk(tmp_path) as desk:
        desk.mood("look_up", "before:raise", times=9)

        outcome = desk.call(desk.open(), "set_status", {"order_id": "W00001", "status": "paid"})

        assert rules(outcome) == ("no-allow-rule",)
        assert desk.effects() == {}


@pytest.mark.parametrize(("then", "expected"), [("deny", Refused), ("hold", HeldBack)])
@pytest.mark.parametrize("when", ["has(facts.order.note)", "!has(facts.order.note)", "facts.order.total_usd > 1000"])
def test_a_rule_that_denies_or_holds_does_so_on_a_fact_that_could_not_be_read(
    tmp_path: Path, then: str, expected: type, when: str
) -> None:
    write_desk(tmp_path, with_rule(f'{{id: wary, then: {then}, tools: [set_status], when: "{when}"}}'))
    with open_desk(tmp_path) as desk:
        desk.mood("look_up", "before:raise", times=9)

        outcome = desk.call(desk.open(), "set_status", {"order_id": "W00001", "status": "paid"})

        assert isinstance(outcome, expected)
        assert rules(outcome) == ("wary",)
        assert desk.effects() == {}


def test_a_tool_that_the_contract_knows_and_does_not_list_is_denied(tmp_path: Path) -> None:
    write_desk(tmp_path, CONTRACT.replace("look_up, peek, set_status,", "look_up, peek,"))
    with open_desk(tmp_path) as desk:
        outcome = desk.call(desk.open(), "set_status", {"order_id": "W00001", "status": "paid"})

        assert rules(outcome) in {("not-allowed",), ("unknown-tool",)}
        assert desk.effects() == {}


def test_the_call_that_is_itself_the_read_of_a_fact_runs_once(desk: Desk) -> None:
    run = desk.open()

    outcome = desk.call(run, "look_up", {"order_id": "W00001"})

    assert isinstance(outcome, Answered)
    assert desk.reads() == {"look_up": 1}
    assert desk.windows(run.run_id)[BudgetUnit.USD].settled == 1_000


def test_the_answer_of_such_a_read_is_withheld_where_a_rule_denies_it(desk: Desk) -> None:
    run = desk.open()

    outcome = desk.call(run, "look_up", {"order_id": "W00003"})

    assert rules(outcome) == ("own-orders-only",)
    assert "joe@example.com" not in said(outcome)
    assert desk.reads() == {"look_up": 1}
    assert desk.steps(run.run_id)[outcome.path].state is StepState.DENIED


def test_facts_do_not_count_in_max_tool_calls_and_what_they_cost_counts_in_money(tmp_path: Path) -> None:
    write_desk(tmp_path, CONTRACT.replace("max_tool_calls: 40", "max_tool_calls: 2"))
    with open_desk(tmp_path) as desk:
        run = desk.open()

        first = desk.call(run, "issue_refund", REFUND)
        second = desk.call(run, "issue_refund", {**REFUND, "amount_usd": 21})
        third = desk.call(run, "issue_refund", {**REFUND, "amount_usd": 22})

        assert isinstance(first, Answered)
        assert isinstance(second, Answered)
        assert third == Stopped(path=third.path, limit="max_tool_calls 2", message=said(third))
        windows = desk.windows(run.run_id)
        assert windows[BudgetUnit.TOOL_CALLS].settled == 2
        # Two refunds of a cent each, and a tenth of a cent for each of three reads.
        assert windows[BudgetUnit.USD].settled == 2 * 10_000 + 3 * 1_000


def test_denied_calls_count_in_max_steps_and_never_beyond_it(tmp_path: Path) -> None:
    write_desk(tmp_path, CONTRACT.replace("max_tool_calls: 40", "max_steps: 3"))
    with open_desk(tmp_path) as desk:
        run = desk.open()

        outcomes = [desk.call(run, "no_such_tool", {"n": n}) for n in range(5)]

        assert [type(one) for one in outcomes] == [Refused, Refused, Refused, Stopped, Stopped]
        steps = desk.windows(run.run_id)[BudgetUnit.STEPS]
        assert (steps.settled, steps.reserved, steps.limit) == (3, 0, 3)
        assert "unknown-tool" in said(outcomes[-1])


def test_the_answer_of_a_read_that_breaks_its_schema_is_an_error_without_its_bytes(desk: Desk) -> None:
    desk.mood("peek", "garbage")
    run = desk.open()

    outcome = desk.call(run, "peek", {"order_id": "W00001"})

    assert isinstance(outcome, Failed)
    assert outcome.error == "output-invalid"
    assert "surprise" not in said(outcome)
    assert desk.steps(run.run_id)[outcome.path].state is StepState.ERROR


def test_the_answer_of_a_write_that_breaks_its_schema_is_quarantined_and_the_write_counts_as_done(desk: Desk) -> None:
    desk.mood("pay_out", "garbage")
    run = desk.open()

    outcome = desk.call(run, "pay_out", {"order_id": "W00001", "amount_usd": 5})
    again = desk.call(run, "pay_out", {"order_id": "W00001", "amount_usd": 5})
    reworded = desk.call(run, "pay_out", {"order_id": " W00001", "amount_usd": 5, "memo": "please"})

    assert isinstance(outcome, Failed)
    assert (outcome.error, "surprise" in said(outcome)) == ("output-invalid", False)
    assert isinstance(again, Failed)
    assert rules(reworded) == ("once_per",)
    step = desk.steps(run.run_id)[outcome.path]
    assert step.state is StepState.OK
    assert "surprise" in desk.disclosed(run.run_id, step.result_ref)["quarantined"]
    assert desk.effects() == {"pay_out": 1}


def test_every_executed_call_names_the_policy_and_the_rule_that_let_it(desk: Desk) -> None:
    run = desk.open()

    desk.call(run, "set_status", {"order_id": "W00001", "status": "paid"})

    decided, intended, settled = desk.leaves(run.run_id, "call.decided", "call.intended", "call.settled")
    assert decided["policy_digest"] == desk.contract().policy_digest
    assert (decided["decision"], decided["rule"]) == ("allow", "allow_tools")
    assert decided["detail"]["rule_source"].startswith("workflows/desk.yaml:")
    assert intended["cause"] == decided["entry_id"]
    assert intended["action_digest"] == decided["action_digest"] == settled["action_digest"]
    assert settled["outcome"] == "ok"


def test_the_initiator_of_a_run_is_who_acts_in_every_entry(desk: Desk) -> None:
    run = desk.open()

    desk.call(run, "set_status", {"order_id": "W00001", "status": "paid"})

    assert {leaf["actor"] for leaf in desk.leaves(run.run_id) if "actor" in leaf} == {PrincipalId("agent:desk")}


def test_a_tool_whose_answers_keep_breaking_their_schema_rests_for_a_minute_and_is_tried_again(desk: Desk) -> None:
    desk.mood("peek", "garbage")
    run = desk.open()

    broken = [desk.call(run, "peek", {"order_id": "W00001"}) for _ in range(3)]
    reads = desk.reads()["peek"]
    resting = desk.call(run, "peek", {"order_id": "W00001"})
    desk.shop("DELETE FROM moods")
    desk.clock.advance(61)
    tried = desk.call(run, "peek", {"order_id": "W00001"})

    assert [type(one) for one in broken] == [Failed, Failed, Failed]
    assert rules(resting) == ("tool-drifted",)
    assert isinstance(tried, Answered)
    assert desk.reads()["peek"] == reads + 1


def test_a_good_answer_forgets_the_broken_ones(desk: Desk) -> None:
    run = desk.open()

    for _ in range(3):
        desk.mood("peek", "garbage")
        broken = [desk.call(run, "peek", {"order_id": "W00001"}) for _ in range(2)]
        desk.shop("DELETE FROM moods")

        assert [type(one) for one in broken] == [Failed, Failed]
        assert isinstance(desk.call(run, "peek", {"order_id": "W00001"}), Answered)
