"""The compiled conditions against a slow interpreter, and against Kleene's laws."""

from collections.abc import Mapping
from itertools import permutations
from typing import TypeVar

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from leverframe.core.conditions import ConditionEnv, TypeScope, check, compile_condition, parse
from leverframe.domain.conditions import And, Expr, Flag, Not, Or, Truth
from tests.property.condition_strategies import (
    BLIND_CONDITIONS,
    CONDITIONS,
    OBJECT_TYPE,
    OBJECTS,
    TYPED_CONDITIONS,
    environments,
    right_environments,
)
from tests.property.slow_conditions import slow_evaluate, slow_queries

MANY = max(400, settings().max_examples)

K = TypeVar("K")
V = TypeVar("V")


def parts(whole: Mapping[K, V]) -> st.SearchStrategy[dict[K, V]]:
    """Any part of a mapping."""
    keys = st.lists(st.sampled_from(list(whole)), unique=True) if whole else st.just([])
    return keys.map(lambda kept: {key: whole[key] for key in kept})


def truth(expr: Expr, env: ConditionEnv) -> Truth:
    return compile_condition(expr).evaluate(env)


@settings(max_examples=MANY)
@given(data=st.data(), expr=st.one_of(TYPED_CONDITIONS, CONDITIONS))
def test_the_compiled_condition_agrees_with_the_slow_interpreter(data: st.DataObject, expr: Expr) -> None:
    env = data.draw(environments(expr))

    answer = truth(expr, env)

    assert answer is slow_evaluate(expr, env)


@given(data=st.data(), expr=CONDITIONS)
def test_the_compiled_condition_asks_history_what_the_slow_interpreter_asks(data: st.DataObject, expr: Expr) -> None:
    env = data.draw(environments(expr))

    queries = compile_condition(expr).history_queries(env)

    assert set(queries) == slow_queries(expr, env)
    assert len(set(queries)) == len(queries)


@given(data=st.data(), operands=st.lists(TYPED_CONDITIONS, min_size=2, max_size=3))
def test_the_order_of_operands_never_matters(data: st.DataObject, operands: list[Expr]) -> None:
    env = data.draw(environments(And(operands=tuple(operands))))

    conjunctions = {truth(And(operands=order), env) for order in permutations(operands)}
    disjunctions = {truth(Or(operands=order), env) for order in permutations(operands)}

    assert len(conjunctions) == len(disjunctions) == 1


@given(data=st.data(), left=TYPED_CONDITIONS, right=TYPED_CONDITIONS)
def test_kleenes_laws_hold(data: st.DataObject, left: Expr, right: Expr) -> None:
    env = data.draw(environments(And(operands=(left, right))))
    both, either = And(operands=(left, right)), Or(operands=(left, right))
    plain = truth(And(operands=(left, Flag(value=True))), env)  # `left` where a truth is needed

    assert truth(Not(operand=Not(operand=left)), env) is plain
    assert truth(And(operands=(left, left)), env) is plain
    assert truth(Or(operands=(left, Flag(value=False))), env) is plain
    assert truth(And(operands=(left, Flag(value=False))), env) is False
    assert truth(Or(operands=(left, Flag(value=True))), env) is True
    assert truth(Or(operands=(left, both)), env) is plain
    assert truth(Not(operand=both), env) is truth(Or(operands=(Not(operand=left), Not(operand=right))), env)
    assert truth(Not(operand=either), env) is truth(And(operands=(Not(operand=left), Not(operand=right))), env)


@given(data=st.data(), expr=BLIND_CONDITIONS)
def test_what_is_missing_can_only_make_an_answer_unknown(data: st.DataObject, expr: Expr) -> None:
    env = data.draw(environments(expr))
    less = ConditionEnv(
        args=data.draw(parts(env.args)),
        facts=data.draw(parts(env.facts)),
        run=data.draw(parts(env.run)),
        labels=data.draw(parts(env.labels)),
        history=data.draw(parts(env.history)),
    )

    before, after = truth(expr, env), truth(expr, less)

    assert after is before or after is None


@given(data=st.data(), expr=TYPED_CONDITIONS)
def test_a_condition_that_type_checks_is_known_where_nothing_is_missing(data: st.DataObject, expr: Expr) -> None:
    scope = TypeScope(args={"refund": OBJECT_TYPE}, tools=None, facts=OBJECT_TYPE, run=OBJECT_TYPE, call=OBJECT_TYPE)
    assume(not check(expr, scope))
    env = data.draw(right_environments(expr))

    assert truth(expr, env) is not None


@settings(max_examples=50)
@given(env=st.builds(ConditionEnv, args=OBJECTS, facts=OBJECTS))
@example(env=ConditionEnv(args={"a": "x" * 10_000, "b": {"a": 10**4000}}))
def test_a_condition_looks_only_at_what_it_says_it_reads(env: ConditionEnv) -> None:
    compiled = compile_condition(parse('args.a == facts.b || has(args.b.a) || size(facts["x-y"]) > 1'))
    kept = ConditionEnv(
        args={key: env.args[key] for key in ("a", "b") if key in env.args},
        facts={key: env.facts[key] for key in ("b", "x-y") if key in env.facts},
    )

    assert compiled.reads == {("args", "a"), ("facts", "b"), ("args", "b", "a"), ("facts", "x-y")}
    assert compiled.evaluate(env) is compiled.evaluate(kept)
