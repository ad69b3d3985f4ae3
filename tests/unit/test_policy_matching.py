"""Tables find every rule that a value leaves open, at every edge."""

from decimal import Decimal

import pytest

from leverframe.core.conditions import ConditionEnv, compile_condition, parse
from leverframe.core.policy.guards import guard_of
from leverframe.core.policy.matching import RuleIndex, RuleTest, index_rules
from leverframe.domain.policy import Then
from tests.policy_samples import rule


def indexed(*conditions: str) -> RuleIndex:
    rules = [rule(condition, Then.HOLD, condition) for condition in conditions]
    return index_rules(
        RuleTest(rule=each, test=compile_condition(each.when).evaluate) for each in rules if each.when is not None
    )


def matching(index: RuleIndex, **args: object) -> list[str]:
    env = ConditionEnv(args=args, run={"environment": "prod"})
    return [test.rule.id for test, _ in index.matching(env, index.open_rules((env.args, env.facts, env.run)))]


ABOVE = ("args.n > 10", "args.n >= 10", "args.n > 20", "20 <= args.n", "20 < args.n")
BELOW = ("args.n < 10", "args.n <= 10", "args.n < 20", "20 >= args.n", "20 > args.n")


@pytest.mark.parametrize(
    ("n", "above", "below"),
    [
        (9, [], [0, 1, 2, 3, 4]),
        (10, [1], [1, 2, 3, 4]),
        (Decimal("10.0"), [1], [1, 2, 3, 4]),
        (Decimal("10.5"), [0, 1], [2, 3, 4]),
        (20, [0, 1, 3], [3]),
        (10**60, [0, 1, 2, 3, 4], []),
        ("10", [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]),
        (True, [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]),
        (Decimal("NaN"), [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]),
        (None, [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]),
    ],
)
def test_an_order_table_keeps_what_a_number_leaves_open(n: object, above: list[int], below: list[int]) -> None:
    ups, downs = indexed(*ABOVE), indexed(*BELOW)

    assert (len(ups.tables), ups.shared, len(downs.tables), downs.shared) == (1, (), 1, ())
    assert matching(ups, n=n) == [ABOVE[place] for place in above]
    assert matching(downs, n=n) == [BELOW[place] for place in below]


WORDS = ('args.w == "a"', 'args.w in ["a", "b"]', '"c" == args.w', 'args.w == "a" && args.n > 1', "args.w in []")


@pytest.mark.parametrize(
    ("w", "expected"),
    [("a", [0, 1, 3]), ("b", [1]), ("c", [2]), ("d", []), ("", []), (1, [0, 1, 2, 3]), (None, [0, 1, 2, 3, 4])],
)
def test_a_text_table_keeps_what_a_word_leaves_open(w: object, expected: list[int]) -> None:
    index = indexed(*WORDS)

    assert len(index.tables) == 1
    assert matching(index, w=w, n=2) == [WORDS[place] for place in expected]


PREFIXES = tuple(f'args.w.startsWith("{prefix}")' for prefix in ("", "a", "ab", "b"))


@pytest.mark.parametrize(
    ("w", "expected"), [("", [0]), ("a", [0, 1]), ("abc", [0, 1, 2]), ("b", [0, 3]), (7, [0, 1, 2, 3])]
)
def test_a_prefix_table_keeps_what_a_text_leaves_open(w: object, expected: list[int]) -> None:
    index = indexed(*PREFIXES)

    assert len(index.tables) == 1
    assert matching(index, w=w) == [PREFIXES[place] for place in expected]


def test_rules_that_ask_the_same_are_evaluated_once_and_all_named() -> None:
    index = indexed("args.a != args.b", "args.n > 1", "args.a  !=  args.b")

    assert [places for _, places in index.shared] == [(0, 2)]
    assert matching(index, a="x", b="y", n=5) == ["args.a != args.b", "args.n > 1", "args.a  !=  args.b"]


NUMBERS = ("args.n == 10", "10.0 == args.n", "args.n == 20", "!(args.n != 30)")


@pytest.mark.parametrize(
    ("n", "expected"),
    [(10, [0, 1]), (Decimal("20.00"), [2]), (30, [3]), (15, []), ("10", [0, 1, 2, 3]), (None, [0, 1, 2, 3])],
)
def test_a_table_of_numbers_keeps_what_equals_one(n: object, expected: list[int]) -> None:
    index = indexed(*NUMBERS)

    assert (len(index.tables), index.shared) == (1, ())
    assert matching(index, n=n) == [NUMBERS[place] for place in expected]


EXCLUDED = ('args.w != "a"', '!(args.w in ["a", "b"])', '!(args.w == "c" || args.n == 1)', "!(args.w in [])")


@pytest.mark.parametrize(
    ("w", "expected"),
    [("a", [2, 3]), ("b", [0, 2, 3]), ("c", [0, 1, 3]), ("d", [0, 1, 2, 3]), (1, [0, 1, 2, 3]), (None, [0, 1, 2, 3])],
)
def test_a_table_of_excluded_words_keeps_what_a_word_leaves_open(w: object, expected: list[int]) -> None:
    index = indexed(*EXCLUDED)

    assert (len(index.tables), index.shared) == (1, ())
    assert matching(index, w=w, n=2) == [EXCLUDED[place] for place in expected]


def test_rules_that_exclude_many_words_are_evaluated_and_keep_no_table() -> None:
    conditions = [f'args.w != "{word}"' for word in range(17)]
    index = indexed(*conditions)

    assert (index.tables, len(index.shared)) == ((), 17)
    assert matching(index, w="3") == [condition for condition in conditions if condition != 'args.w != "3"']


@pytest.mark.parametrize(
    ("condition", "path", "kind"),
    [
        ('run.tenant == "acme" && args.n > 1', ("args", "n"), "above"),
        ('!(run.environment == "prod" || args.n == 1)', ("run", "environment"), "not-text"),
        ('args.n > 1 && args.w == "a"', ("args", "w"), "text"),
        ("!(args.n < 1 || args.m.deep == 2)", ("args", "n"), "above"),
        ('facts.order.status == "open"', ("facts", "order", "status"), "text"),
    ],
)
def test_the_guard_that_tells_most_calls_apart_is_looked_up(condition: str, path: tuple[str, ...], kind: str) -> None:
    guard = guard_of(parse(condition), None)

    assert guard is not None
    assert ((guard.path.root, *guard.path.keys), guard.kind) == (path, kind)


@pytest.mark.parametrize(
    "condition",
    [
        'args.w == "a" || args.n > 1',
        '!(args.w == "a" && args.n > 1)',
        "args.n != 1",
        "has(args.n)",
        'call.tool == "x"',
        'args.w < "b"',
        '!args.w.startsWith("a")',
        "args.n > args.m",
    ],
)
def test_a_rule_that_no_field_alone_makes_false_has_no_guard(condition: str) -> None:
    assert guard_of(parse(condition), None) is None
