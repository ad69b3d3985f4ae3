"""How the requirements of several rules become one."""

from dataclasses import replace

from leverframe.core.policy import decide
from leverframe.core.policy.requirements import joined
from leverframe.domain.policy import ApprovalRequirement, Hold, Then
from tests.policy_samples import at, policy, refund, row, rule

LEADS = ApprovalRequirement(source=at(13), from_groups=("leads", "oncall"), quorum=1, decide_within_s=600)
LEGAL = ApprovalRequirement(
    source=at(20),
    from_groups=("legal", "oncall"),
    quorum=2,
    distinct_from=frozenset({"initiator", "launcher"}),
    execute_within_s=60,
)


def test_without_a_requirement_any_approver_but_the_initiator_may_answer() -> None:
    alone = joined((), default_source=at(31))

    assert alone == ApprovalRequirement(source=at(31))
    assert alone.distinct_from == {"initiator"}


def test_a_join_takes_the_strictest_of_each_key() -> None:
    both = joined((LEADS, LEGAL), default_source=at(1))

    assert both == ApprovalRequirement(
        source=at(13),
        from_groups=("leads+legal", "oncall"),
        quorum=2,
        distinct_from=frozenset({"initiator", "launcher"}),
        decide_within_s=600,
        execute_within_s=60,
    )


def test_a_join_has_no_order_and_no_doubles() -> None:
    forth = joined((LEADS, LEGAL, LEADS), default_source=at(1))
    back = joined((LEGAL, LEADS), default_source=at(1))

    assert replace(forth, source=at(1)) == replace(back, source=at(1))


def test_a_part_without_groups_narrows_nothing() -> None:
    anyone = ApprovalRequirement(source=at(40))

    assert joined((anyone, LEADS), default_source=at(1)).from_groups == LEADS.from_groups


def test_a_hold_rule_takes_the_row_of_its_tool() -> None:
    leads = replace(row("50"), requirement=LEADS)

    decision = decide(refund(10), policy(rule("velocity", Then.HOLD), rows=(leads,)))

    assert isinstance(decision, Hold)
    assert [reason.rule for reason in decision.reasons] == ["velocity"]
    assert decision.requirement == LEADS


def test_a_rule_with_its_own_requirement_adds_it_where_it_matches() -> None:
    leads = replace(row("50"), requirement=LEADS)
    legal = replace(rule("large", Then.HOLD, "args.amount_usd > 100"), approval=LEGAL)
    compiled = policy(legal, rows=(leads,))

    small, large = decide(refund(60), compiled), decide(refund(200), compiled)

    assert isinstance(small, Hold)
    assert isinstance(large, Hold)
    assert small.requirement.quorum == 1
    assert large.requirement.quorum == 2
