"""What conditions answer: the examples a person would ask about.  The laws are in tests/property."""

import threading
from decimal import Decimal
from types import MappingProxyType

import pytest

from leverframe.core.conditions import ConditionEnv, compile_condition, compile_value, parse
from leverframe.domain.conditions import HistoryQuery, Truth
from leverframe.domain.labels import Confidentiality, Integrity, Label

HUGE = 10**4000
ENV = ConditionEnv(
    args={
        "order_id": "#W1",
        "usd": Decimal("49.99"),
        "text": "50",
        "count": 3,
        "flag": True,
        "none": None,
        "nan": Decimal("NaN"),
        "snan": Decimal("sNaN"),
        "inf": Decimal("Infinity"),
        "float": 50.0,
        "huge": HUGE,
        "tiny": Decimal("1E-30"),
        "vast": Decimal("1E+1000000000"),
        "list": ["a", 1, None],
        "words": ["a", "b"],
        "empty": [],
    },
    facts=MappingProxyType({"order": MappingProxyType({"customer_id": "c1", "note": None}), "names": {"a": 1}}),
    run={"subject": "c1", "input": {"deep": {"deeper": {"x": 1}}}},
    call={"tool": "issue_refund", "effect": "keyed"},
    labels={
        ("args", "order_id"): Label(integrity=Integrity.TENANT_RECORD, confidentiality=Confidentiality.SECRET),
    },
)


def truth(text: str, env: ConditionEnv = ENV) -> Truth:
    return compile_condition(parse(text)).evaluate(env)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("facts.order.customer_id == run.subject", True),
        ("facts.order.customer_id != run.subject", False),
        ("facts.order.absent != run.subject", None),
        ("facts.unreadable.customer_id != run.subject", None),
        ("args.usd < 50", True),
        ("args.usd + 0.01 >= 50", True),
        ("args.usd + 0.01 > 50", False),
        ("0.1 + 0.2 == 0.3", True),
        ("args.text < 50", None),
        ("args.flag == 1", None),
        ("args.flag + 1 > 1", None),
        ("args.count + args.flag > 1", None),
        ("args.float > 1", None),
        ("args.nan != args.nan", None),
        ("args.snan == 1", None),
        ("args.snan < 1", None),
        ("args.inf > 1", None),
        ("args.nan + 1 > 1", None),
        ("args.huge + 1 > args.huge", True),
        ("args.huge + args.tiny > args.huge", True),
        ("args.vast > args.huge", True),
        ("args.vast + 0.1 > 0", None),
        ("args.vast - args.vast == 0", True),
        ("args.none == 1", None),
        ("args.none == null", True),
        ("args.none != null", False),
        ("args.usd == null", False),
        ("args.absent == null", None),
        ("null == null", True),
        ("(args.absent == 1) == null", None),
        ("has(args.usd)", True),
        ("has(args.none)", False),
        ("has(args.absent)", False),
        ("has(args.usd.deeper)", False),
        ("has(facts.order.none_of_it)", False),
        ("has(facts.unreadable.x)", None),
        ("!has(facts.unreadable.x)", None),
        ("has(facts.unreadable)", None),
        ("run.input.deep.deeper.x == 1", True),
        ("run.input.deep.deeper.y == 1", None),
        ('args.list["a"] == 1', None),
        ("args.flag", True),
        ("!args.flag", False),
        ("args.text", None),
        ("!args.text", None),
        ("args.flag == (args.count == 3)", True),
        ("true < false", None),
        ('"a" < "b"', True),
        ('"B" < "a"', True),
        ('args.order_id.startsWith("#W")', True),
        ('args.order_id.startsWith("#w")', False),
        ('args.usd.startsWith("4")', None),
        ('"a" in args.words', True),
        ('"c" in args.words', False),
        ('"a" in args.list', True),
        ('"c" in args.list', None),
        ("1 in args.words", None),
        ("args.absent in args.empty", None),
        ("1 in args.empty", False),
        ('args.text in ["40", "50"]', True),
        ('args.text in ["40"]', False),
        ("args.count in [1, 3.0]", True),
        ("args.count in [args.absent, 3]", True),
        ("args.count in [args.absent, 4]", None),
        ("args.flag in [1]", None),
        ('"customer_id" in facts.order', True),
        ('"note" in facts.order', True),
        ('"total" in facts.order', False),
        ("1 in facts.order", None),
        ('"a" in args.text', None),
        ("size(args.words) == 2", True),
        ("size(args.order_id) == 3", True),
        ("size(facts.order) == 2", True),
        ("size(args.usd) == 1", None),
        ("args.words == args.words", None),
        ("facts.order == facts.order", None),
        ('integrity(args.order_id) < "user"', True),
        ('integrity(args.order_id) >= "tenant-record"', True),
        ('"system" > integrity(args.order_id)', True),
        ('integrity(args.order_id) == "no-such-level"', None),
        ("integrity(args.order_id) == args.text", None),
        ('integrity(args.usd) == "user"', None),
        ('integrity(args.order_id) in ["user", "tenant-record"]', True),
        ('confidentiality(args.order_id) == "secret"', True),
        ("integrity(args.order_id) == confidentiality(args.order_id)", None),
        ('call.tool == "issue_refund" && call.effect != "read"', True),
        ("args.absent == 1 && false", False),
        ("false && args.absent == 1", False),
        ("args.absent == 1 || true", True),
        ("args.absent == 1 || false", None),
        ("args.absent == 1 && true", None),
    ],
)
def test_a_condition_answers_true_false_or_unknown(text: str, answer: Truth) -> None:
    assert truth(text) is answer


def test_history_is_asked_with_the_values_of_the_call_and_answers_the_condition() -> None:
    compiled = compile_condition(
        parse(
            'history.sum("refund", "usd", "24h", "subject") + args.usd > 200'
            ' || history.count("refund", "1h", "key") > 2'
            ' || history.seen("refund", "order_id", args.order_id, "7d", "tenant")'
        )
    )
    total, count, seen = compiled.history_queries(ENV)

    assert (total.kind, total.tool, total.arg, total.window_s, total.scope) == (
        "sum",
        "refund",
        "usd",
        86_400,
        "subject",
    )
    assert (count.kind, count.arg, count.window_s, count.scope) == ("count", None, 3_600, "key")
    assert (seen.kind, seen.arg, seen.value, seen.window_s) == ("seen", "order_id", "#W1", 604_800)
    assert compiled.evaluate(with_history({total: Decimal("150.00"), count: 2, seen: False})) is False
    assert compiled.evaluate(with_history({total: Decimal("150.02"), count: 2, seen: False})) is True
    assert compiled.evaluate(with_history({total: 0, count: 2})) is None
    assert compiled.evaluate(with_history({total: None, count: 2, seen: False})) is None
    assert compiled.evaluate(with_history({total: True, count: Decimal(2), seen: 1})) is None
    assert compiled.evaluate(with_history({total: None, count: 3})) is True


def with_history(history: dict[HistoryQuery, int | Decimal | bool | None]) -> ConditionEnv:
    return ConditionEnv(args=ENV.args, history=history)


@pytest.mark.parametrize(
    ("question", "wrong_answers"),
    [
        ('history.count("t", "1h", "run") == 1', [True, Decimal(1), None, Decimal("NaN")]),
        ('history.sum("t", "a", "1h", "run") == 1', [True, None, Decimal("NaN"), Decimal("Infinity")]),
        ('history.sum("t", "a", "1h", "run") == true', [True]),
        ('history.seen("t", "a", 1, "1h", "run")', [1, Decimal(1), None]),
        ('(history.seen("t", "a", 1, "1h", "run")) == null', [1, None]),
    ],
)
def test_an_answer_of_the_wrong_type_is_unknown(
    question: str, wrong_answers: list[int | Decimal | bool | None]
) -> None:
    compiled = compile_condition(parse(question))
    (query,) = compiled.history_queries(ENV)

    assert [compiled.evaluate(with_history({query: answer})) for answer in wrong_answers] == [None] * len(wrong_answers)


def test_true_and_one_are_two_questions_to_history() -> None:
    compiled = compile_condition(
        parse('history.seen("t", "a", args.flag, "1h", "run") || history.seen("t", "a", args.one, "1h", "run")')
    )
    env = ConditionEnv(args={"flag": True, "one": 1})

    queries = compiled.history_queries(env)

    assert [query.value_kind for query in queries] == ["boolean", "number"]
    assert len({*queries}) == 2


@pytest.mark.parametrize("name", ["absent", "none", "nan", "float", "list"])
def test_a_value_that_cannot_be_looked_for_is_not_asked_and_is_unknown(name: str) -> None:
    compiled = compile_condition(parse(f'history.seen("t", "a", args.{name}, "1h", "run")'))

    assert compiled.history_queries(ENV) == ()
    assert compiled.evaluate(ENV) is None


def test_a_question_asked_twice_is_asked_once() -> None:
    question = 'history.count("t", "60m", "run")'
    compiled = compile_condition(parse(f'{question} > 1 && {question} < 9 || history.count("t", "1h", "run") == 5'))

    assert len(compiled.history_queries(ENV)) == 1


def test_a_condition_says_which_values_and_which_labels_it_reads() -> None:
    compiled = compile_condition(
        parse(
            'has(args.a) && facts.order["line-items"] == run.subject && integrity(args.b) == "user" && '
            'history.seen("t", "a", args.c, "1h", "run")'
        )
    )

    assert compiled.reads == {("args", "a"), ("facts", "order", "line-items"), ("run", "subject"), ("args", "c")}
    assert compiled.label_reads == {("args", "b")}


@pytest.mark.parametrize(
    ("text", "value"),
    [("args.order_id", "#W1"), ("args.none", None), ("args.absent", None), ("args.usd + 1", Decimal("50.99"))],
)
def test_an_expression_can_be_compiled_for_its_value(text: str, value: object) -> None:
    assert compile_value(parse(text))(ENV) == value


def test_threads_share_a_compiled_condition() -> None:
    compiled = compile_condition(parse("args.usd + 0.01 - 0.01 == 49.99 && args.vast + 0.1 > 0"))
    answers: list[Truth] = []

    def evaluate_often() -> None:
        answers.extend(compiled.evaluate(ENV) for _ in range(500))

    threads = [threading.Thread(target=evaluate_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [None] * 2000
