"""What `policy explain` says of a call."""

from dataclasses import replace
from decimal import Decimal

from leverframe.core.explain import Took, explain, render
from leverframe.core.policy import CompiledPolicy, GrantedApproval, Question
from leverframe.core.policy.wording import shown
from leverframe.domain.ids import ApprovalId, RuleId, ToolName
from leverframe.domain.policy import Then
from tests.policy_samples import REFUND, ask, known, policy, refund, row, rule, seed_policy

OWN = rule("own-orders-only", Then.DENY, "facts.order.customer_id != run.subject")
VELOCITY = rule("velocity", Then.HOLD, "args.amount_usd > 200", line=36)


def took(question: Question, compiled: CompiledPolicy) -> dict[str, Took]:
    return {line.rule: line.took for line in explain(question, compiled).lines}


def test_a_trace_shows_the_ignored_threshold_of_the_seed_contract() -> None:
    trace = explain(refund(10), seed_policy())

    assert [line.took for line in trace.lines] == [Took.MATCHED, Took.IGNORED]
    assert str(trace.lines[1].source) == "workflows/refund_request.yaml:14"
    assert "threshold_usd 50 changes nothing" in trace.lines[1].text
    assert trace.word == "hold"


def test_a_trace_says_of_every_rule_whether_it_matched() -> None:
    compiled = policy(OWN, VELOCITY, rows=(row(),))
    mine = replace(refund(60), facts={"order": known({"customer_id": "c_1"})})

    assert took(mine, compiled) == {
        "own-orders-only": Took.NOT_MATCHED,
        "issue_refund/over-50": Took.MATCHED,
        "velocity": Took.NOT_MATCHED,
    }


def test_a_trace_says_what_was_unknown_and_what_was_not_reached() -> None:
    compiled = policy(OWN, VELOCITY)

    assert took(refund(300), compiled) == {"own-orders-only": Took.UNKNOWN, "velocity": Took.NOT_REACHED}


def test_a_trace_shows_the_unmet_allow_rule() -> None:
    compiled = policy(rule("small", Then.ALLOW, "args.amount_usd < 10"))

    assert took(refund(50), compiled) == {"small": Took.NOT_MATCHED, "no-allow-rule": Took.MATCHED}


def test_a_trace_shows_what_a_grant_satisfied() -> None:
    granted = GrantedApproval(approval_id=ApprovalId("apr_1"), rules=frozenset({RuleId("velocity")}))

    trace = explain(replace(refund(300), granted=granted), policy(VELOCITY))

    assert {line.rule: line.took for line in trace.lines} == {"velocity": Took.GRANTED, "allow_tools": Took.MATCHED}
    assert trace.word == "allow"


def test_a_trace_of_an_unknown_tool_is_the_refusal_alone() -> None:
    lines = render(explain(ask(ToolName("delete_customer")), seed_policy()))

    assert lines[-1] == "DENY by unknown-tool workflows/refund_request.yaml:1"
    assert "the contract lists 3 tools" in lines[1]


def test_a_rendered_trace_ends_in_the_decision_and_who_must_answer() -> None:
    lines = render(explain(refund(60), policy(OWN, rows=(row(),), allow=(REFUND,))))
    held = render(explain(refund(60), policy(rows=(row(),), allow=(REFUND,))))

    assert lines[-1] == "DENY by own-orders-only workflows/refund_request.yaml:31"
    assert held == (
        "matched  hold   issue_refund/over-50  workflows/refund_request.yaml:13",
        "                args.amount_usd is 60; the threshold is $50",
        "HOLD by issue_refund/over-50 workflows/refund_request.yaml:13",
        "needs one person with the role approver, never the initiator",
    )


def test_values_are_shown_short_whatever_they_are() -> None:
    assert shown(10**5_000) == "a number of 16610 bits"
    assert shown(Decimal("1E+999999")) == "1.000000E+999999"
    assert shown(Decimal("0.10")) == "0.10"
    assert shown(Decimal("NaN")) == "not a number"
    assert shown("x" * 500) == repr("x" * 80 + "…")
    assert shown([1, 2]) == "a list of 2"
    assert shown({"a": 1}) == "an object of 1"
    assert (shown(None), shown(True), shown(-7)) == ("null", "true", "-7")
    assert shown(0.5) == "a float"
