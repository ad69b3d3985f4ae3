"""The order of a decision, what it reserves, and what answers it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from leverframe.core.policy import (
    Asker,
    GrantedApproval,
    Question,
    StickyDenial,
    decide,
)
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.ids import ApprovalId, EnvironmentName, PrincipalId, RuleId, ToolName
from leverframe.domain.policy import Allow, Decision, Deny, Hold, Reserve, Then
from leverframe.domain.tools import OncePer, ToolSpec
from tests.policy_samples import (
    DRAFT,
    LOOKUP,
    REFUND,
    REFUND_SPEC,
    RUN,
    TOOLS,
    ask,
    policy,
    refund,
    row,
    rule,
    window,
)

ONE_CALL = {BudgetUnit.TOOL_CALLS: 1, BudgetUnit.STEPS: 1, BudgetUnit.USD: 2_000}


def rules(decision: Decision) -> list[str]:
    return [reason.rule for reason in decision.reasons]


def granted(*names: str) -> GrantedApproval:
    return GrantedApproval(approval_id=ApprovalId("apr_1"), rules=frozenset(map(RuleId, names)))


def denial(*, is_same_run: bool) -> StickyDenial:
    return StickyDenial(
        approval_id=ApprovalId("apr_0"),
        denied_by=PrincipalId("person:lena"),
        denied_at=datetime(2030, 1, 1, tzinfo=UTC),
        is_same_run=is_same_run,
        reason="not this order",
    )


def test_everything_against_a_call_is_said_in_the_order_of_the_page() -> None:
    here = replace(REFUND_SPEC, environments=frozenset({EnvironmentName("sandbox")}))
    never = rule("never", Then.DENY)
    full = window(BudgetUnit.TOOL_CALLS, 4, settled=4)
    worst = replace(
        refund(75),
        run=replace(RUN, environment="prod"),
        schema_error="/note: expected string, got array",
        denied_before=denial(is_same_run=True),
        windows=(full,),
        cost=ONE_CALL,
    )

    def said(
        question: Question, *, tools: Mapping[ToolName, ToolSpec] = TOOLS, with_rule: bool = True, listed: bool = True
    ) -> list[str]:
        compiled = policy(
            *([never] if with_rule else []),
            allow=(LOOKUP, REFUND) if listed else (LOOKUP,),
            rows=(row(),),
            tools=tools,
        )
        return rules(decide(question, compiled))

    assert said(replace(worst, spec=None)) == ["unknown-tool"]
    assert said(worst, tools={**TOOLS, REFUND: here}) == ["other-environment"]
    assert said(worst) == ["invalid-arguments"]
    valid = replace(worst, schema_error="")
    assert said(valid) == ["never"]
    assert said(valid, with_rule=False, listed=False) == ["not-allowed"]
    assert said(valid, with_rule=False) == ["denied-before/apr_0"]
    undenied = replace(valid, denied_before=None)
    assert said(undenied, with_rule=False) == ["max_tool_calls"]
    assert said(replace(undenied, windows=()), with_rule=False) == ["issue_refund/over-50"]
    assert said(replace(refund(1), cost=ONE_CALL), with_rule=False) == ["allow_tools"]


def test_an_unknown_tool_hears_how_many_the_contract_lists() -> None:
    decision = decide(replace(ask(LOOKUP), spec=None), policy(allow=(LOOKUP, DRAFT), deny=(REFUND,), rows=(row(),)))

    assert "the contract lists 3 tools" in decision.reasons[0].text


def test_a_tool_that_is_known_for_a_fact_only_is_not_allowed() -> None:
    assert rules(decide(ask(LOOKUP), policy(allow=(REFUND,)))) == ["not-allowed"]


def test_invalid_arguments_are_named_by_their_pointer() -> None:
    decision = decide(replace(refund(), schema_error="/item_ids: expected array, got string"), policy())

    assert decision.reasons[0].text == "/item_ids: expected array, got string"


def test_an_allow_names_the_line_that_lists_the_tool() -> None:
    (reason,) = decide(ask(LOOKUP), policy()).reasons

    assert (reason.rule, reason.then, str(reason.source)) == (
        "allow_tools",
        Then.ALLOW,
        "workflows/refund_request.yaml:7",
    )


def test_every_matching_rule_is_named_in_the_order_of_the_contract() -> None:
    every = [rule(name, Then.DENY, line=line) for name, line in (("b", 40), ("a", 41), ("c", 42))]

    assert rules(decide(refund(), policy(*every))) == ["b", "a", "c"]


def test_an_allow_reserves_the_worst_case_in_every_window_that_it_touches() -> None:
    windows = (window(BudgetUnit.TOOL_CALLS, 4), window(BudgetUnit.USD, 2_000), window(BudgetUnit.MODEL_CALLS, 8))

    decision = decide(replace(refund(1), windows=windows, cost=ONE_CALL), policy())

    assert isinstance(decision, Allow)
    assert decision.reserves == (
        Reserve(window_id=windows[0].window_id, unit="tool_calls", amount=1),
        Reserve(window_id=windows[0].window_id, unit="usd", amount=2_000),
    )


def test_a_held_call_keeps_its_count_and_reserves_no_money() -> None:
    windows = (window(BudgetUnit.TOOL_CALLS, 4), window(BudgetUnit.USD, 2_000))

    decision = decide(replace(refund(60), windows=windows, cost=ONE_CALL), policy(rows=(row(),)))

    assert isinstance(decision, Hold)
    assert [(part.unit, part.amount) for part in decision.reserves] == [("tool_calls", 1)]


def test_a_reentry_reserves_its_money_and_is_not_counted_again() -> None:
    windows = (window(BudgetUnit.TOOL_CALLS, 1, settled=1), window(BudgetUnit.USD, 2_000))
    again = replace(
        refund(60), windows=windows, cost=ONE_CALL, asker=Asker.REENTRY, granted=granted("issue_refund/over-50")
    )

    decision = decide(again, policy(rows=(row(),)))

    assert isinstance(decision, Allow)
    assert [(part.unit, part.amount) for part in decision.reserves] == [("usd", 2_000)]
    assert decision.consumes == "apr_1"


@pytest.mark.parametrize(
    ("full", "stops"),
    [
        (window(BudgetUnit.TOOL_CALLS, 20, settled=19, reserved=1), "max_tool_calls 20"),
        (window(BudgetUnit.USD, 50_000, settled=48_001), "max_usd 0.05"),
        (window(BudgetUnit.WALL_US, 90_000_000, settled=90_000_001, key="max_wall_s"), "max_wall_s 90"),
    ],
)
def test_a_window_without_room_denies_and_stops_the_run(full: Window, stops: str) -> None:
    decision = decide(replace(refund(1), windows=(full,), cost=ONE_CALL), policy())

    assert isinstance(decision, Deny)
    assert decision.stops_run == stops
    assert decision.reasons[0].text.startswith(stops)


def test_the_last_call_that_fits_is_allowed() -> None:
    windows = (window(BudgetUnit.TOOL_CALLS, 20, settled=19), window(BudgetUnit.USD, 2_000))

    assert isinstance(decide(replace(refund(1), windows=windows, cost=ONE_CALL), policy()), Allow)


def test_a_reentry_that_is_held_again_is_not_counted_again() -> None:
    again = replace(refund(60), windows=(window(BudgetUnit.TOOL_CALLS, 4),), cost=ONE_CALL, asker=Asker.REENTRY)

    decision = decide(again, policy(rows=(row(),)))

    assert isinstance(decision, Hold)
    assert decision.reserves == ()


def test_a_grant_names_what_it_satisfies_and_is_consumed() -> None:
    question = replace(refund(60), granted=granted("issue_refund/over-50"))

    decision = decide(question, policy(rows=(row(),)))

    assert isinstance(decision, Allow)
    assert rules(decision) == ["issue_refund/over-50", "allow_tools"]
    assert decision.reasons[0].text.endswith("; granted by apr_1")


def test_a_newly_matching_rule_holds_again_and_names_the_old_one_too() -> None:
    compiled = policy(rule("velocity", Then.HOLD, "args.amount_usd > 55"), rows=(row(),))

    decision = decide(replace(refund(60), granted=granted("issue_refund/over-50")), compiled)

    assert isinstance(decision, Hold)
    assert rules(decision) == ["issue_refund/over-50", "velocity"]


def test_a_grant_never_beats_a_deny() -> None:
    question = replace(refund(60), granted=granted("never", "issue_refund/over-50"))

    assert isinstance(decide(question, policy(rule("never", Then.DENY), rows=(row(),))), Deny)


def test_a_grant_is_consumed_also_when_nothing_holds_any_more() -> None:
    decision = decide(replace(refund(10), granted=granted("velocity")), policy())

    assert isinstance(decision, Allow)
    assert decision.consumes == "apr_1"


def test_a_denial_sticks_in_its_run_and_holds_in_another() -> None:
    same = decide(replace(refund(), denied_before=denial(is_same_run=True)), policy())
    other = decide(replace(refund(), denied_before=denial(is_same_run=False)), policy(rows=(row("1"),)))

    assert isinstance(same, Deny)
    assert isinstance(other, Hold)
    assert rules(other) == ["denied-before/apr_0", "issue_refund/over-1"]
    assert "person:lena denied" in other.reasons[0].text
    assert "not this order" in other.reasons[0].text


ONCE = replace(REFUND_SPEC, once_per=OncePer(keys=("order_id", "facts.order.payment"), within_s=86_400))


@pytest.mark.parametrize(("seen", "expected"), [(False, Allow), (True, Hold), (None, Hold)])
def test_the_same_business_act_again_is_held(seen: bool | None, expected: type) -> None:  # noqa: FBT001  a table
    compiled = policy(tools={**TOOLS, REFUND: ONCE})

    decision = decide(replace(refund(), once_per_seen=seen), compiled)

    assert isinstance(decision, expected)
    assert decision.reasons[0].is_unknown is (seen is None)
    assert decision.reasons[0].rule == ("allow_tools" if seen is False else "once_per")
