"""The compiled policy against the slow interpreter, on random policies and hostile requests."""

from dataclasses import replace

from hypothesis import event, given, settings
from hypothesis import strategies as st

from leverframe.core.conditions import ConditionEnv, compile_condition
from leverframe.core.explain import explain, render
from leverframe.core.policy import Question, decide, history_still_allows, needed_history
from leverframe.core.policy.matching import RuleTest, index_rules
from leverframe.domain.conditions import Expr
from leverframe.domain.policy import Allow, Decision, Deny, Hold, Then
from tests.policy_samples import rule
from tests.property.condition_strategies import ANSWERS, BLIND_CONDITIONS
from tests.property.policy_strategies import TABLE_CONDITIONS, TABLE_VALUES, policies, questions
from tests.property.slow_conditions import slow_evaluate, slow_queries
from tests.property.slow_policy import SlowDecision, SlowPolicy, slow_decide, slow_environment


def without_words(decision: Decision) -> SlowDecision:
    rules = frozenset(reason.rule for reason in decision.reasons)
    unknown = frozenset(reason.rule for reason in decision.reasons if reason.is_unknown)
    match decision:
        case Allow(reserves=reserves, consumes=consumes):
            parts = frozenset((each.unit, each.amount) for each in reserves)
            return SlowDecision(word="allow", rules=rules, unknown=unknown, reserves=parts, consumes=consumes)
        case Hold(requirement=asked, reserves=reserves):
            return SlowDecision(
                word="hold",
                rules=rules,
                unknown=unknown,
                reserves=frozenset((each.unit, each.amount) for each in reserves),
                requirement=(asked.quorum, asked.decide_within_s, asked.execute_within_s, asked.distinct_from),
            )
        case Deny(stops_run=stops_run):
            return SlowDecision(word="deny", rules=rules, unknown=unknown, stops_run=bool(stops_run))


@given(data=st.data())
@settings(max_examples=settings().max_examples * 4)
def test_the_fast_policy_equals_the_slow_one(data: st.DataObject) -> None:
    fast, slow = data.draw(policies())
    question = data.draw(questions(fast))

    decision = decide(question, fast)

    event(type(decision).__name__)
    assert without_words(decision) == slow_decide(question, slow)


@given(
    conditions=TABLE_CONDITIONS,
    args=st.fixed_dictionaries({}, optional={"amount": TABLE_VALUES, "a": TABLE_VALUES}),
    subject=st.sampled_from([None, "c_1", "c_2"]),
)
@settings(max_examples=settings().max_examples * 4)
def test_tables_leave_out_only_rules_that_are_false(
    conditions: list[Expr], args: dict[str, object], subject: str | None
) -> None:
    """As many rules on few fields as a table needs, against evaluating them one by one."""
    compiled = [compile_condition(condition) for condition in conditions]
    rules = [rule(f"r{place}", Then.HOLD) for place in range(len(conditions))]
    index = index_rules(
        RuleTest(rule=replace(each, when=condition.expr), test=condition.evaluate, condition=condition)
        for each, condition in zip(rules, compiled, strict=True)
    )
    env = ConditionEnv(args=args, run={"subject": subject})

    found = [(test.rule.id, truth) for test, truth in index.matching(env, index.open_rules((args, {}, env.run)))]

    event(f"{len(index.tables)} tables")
    truths = [(each.id, slow_evaluate(condition, env)) for each, condition in zip(rules, conditions, strict=True)]
    assert found == [(rule_id, truth) for rule_id, truth in truths if truth is not False]


@given(data=st.data())
def test_deciding_twice_gives_the_same_words(data: st.DataObject) -> None:
    fast, _ = data.draw(policies())
    question = data.draw(questions(fast))

    assert decide(question, fast) == decide(question, fast)


@given(data=st.data())
def test_every_decision_says_why_in_a_bounded_text(data: st.DataObject) -> None:
    fast, _ = data.draw(policies())
    question = data.draw(questions(fast))

    decision = decide(question, fast)

    assert decision.reasons
    assert all(reason.text for reason in decision.reasons)
    assert all(" " not in reason.rule and len(reason.rule) <= 256 for reason in decision.reasons)
    assert max(len(reason.text) for reason in decision.reasons) < 5_000


@given(data=st.data())
def test_a_trace_ends_in_the_decision_and_names_every_rule_that_took_part(data: st.DataObject) -> None:
    fast, _ = data.draw(policies())
    question = data.draw(questions(fast))

    trace = explain(question, fast)

    assert trace.decision == decide(question, fast)
    named = {line.rule for line in trace.lines} | {"allow_tools"}
    assert {reason.rule for reason in trace.decision.reasons} <= named
    assert render(trace)


@given(data=st.data())
def test_the_door_reads_all_the_history_that_the_rules_ask_for(data: st.DataObject) -> None:
    fast, slow = data.draw(policies())
    question = data.draw(questions(fast))

    asked = needed_history(fast, question.tool, question.args, question.facts, question.run)

    assert len(asked) == len(set(asked))
    assert set(asked) == wanted(question, slow)


def wanted(question: Question, slow: SlowPolicy) -> set[object]:
    spec = slow.tools.get(question.tool)
    if spec is None:
        return set()
    env = slow_environment(question, spec)
    of_tool = (
        rule.when
        for rule in slow.rules
        if rule.when is not None
        and (not rule.tools or spec.name in rule.tools)
        and (not rule.effects or spec.effect.value in rule.effects)
    )
    return set().union(*(slow_queries(when, env) for when in of_tool))


@given(data=st.data())
def test_a_new_history_still_allows_exactly_where_it_would_be_allowed(data: st.DataObject) -> None:
    fast, slow = data.draw(policies())
    question = data.draw(questions(fast))
    asked = needed_history(fast, question.tool, question.args, question.facts, question.run)
    new = {query: data.draw(ANSWERS) for query in asked}

    still = history_still_allows(question, fast, new)

    assert still == (slow_decide(replace(question, history=new), slow).word == "allow")


@given(data=st.data())
def test_knowing_less_never_allows_more(data: st.DataObject) -> None:
    fast, _ = data.draw(policies(BLIND_CONDITIONS))
    question = data.draw(questions(fast))
    blind = replace(question, facts={}, history={}, arg_labels={})

    if isinstance(decide(blind, fast), Allow):
        assert isinstance(decide(question, fast), Allow)


@given(data=st.data())
def test_a_grant_satisfies_only_the_rules_that_it_names(data: st.DataObject) -> None:
    fast, _ = data.draw(policies())
    question = data.draw(questions(fast))

    decision = decide(question, fast)

    if isinstance(decision, Hold) and question.granted is not None:
        assert any(reason.rule not in question.granted.rules for reason in decision.reasons)
    if isinstance(decision, Allow) and question.granted is not None and decision.consumes is not None:
        assert decision.consumes == question.granted.approval_id
