"""What text is a condition, and where and how a text that is none is refused."""

import time
from contextlib import suppress
from decimal import Decimal

import pytest

from leverframe.core.conditions import ConditionError, parse, render
from leverframe.domain.conditions import (
    And,
    Compare,
    Expr,
    Flag,
    Has,
    History,
    In,
    Items,
    Level,
    Not,
    Null,
    Number,
    Or,
    Path,
    Root,
    Size,
    StartsWith,
    Sum,
    Text,
)


def path(root: Root, *keys: str) -> Path:
    return Path(root=root, keys=keys)


ONE, TWO, YES = Number(value=1), Number(value=2), Flag(value=True)
A, B, C = path("args", "a"), path("args", "b"), path("args", "c")


@pytest.mark.parametrize(
    ("text", "expr"),
    [
        ("true", YES),
        ("args.a || args.b && args.c", Or(operands=(A, And(operands=(B, C))))),
        ("(args.a || args.b) && args.c", And(operands=(Or(operands=(A, B)), C))),
        ("args.a && args.b && args.c", And(operands=(A, B, C))),
        ("(args.a && args.b) && args.c", And(operands=(And(operands=(A, B)), C))),
        ("!args.a == args.b", Compare(op="==", left=Not(operand=A), right=B)),
        ("!!args.a", Not(operand=Not(operand=A))),
        ("1 + args.a - 2 < 2", Compare(op="<", left=Sum(first=ONE, rest=(("+", A), ("-", TWO))), right=TWO)),
        (
            "args.a - -1 >= -2.50",
            Compare(op=">=", left=Sum(first=A, rest=(("-", Number(value=-1)),)), right=Number(value=Decimal("-2.5"))),
        ),
        ("args.a-1 > 2", Compare(op=">", left=Sum(first=A, rest=(("-", ONE),)), right=TWO)),
        ('args["line-items"].a != null', Compare(op="!=", left=path("args", "line-items", "a"), right=Null())),
        ("args.a in [1, 2,]", In(item=A, container=Items(items=(ONE, TWO)))),
        ('"a" in facts.order', In(item=Text(value="a"), container=path("facts", "order"))),
        ('args.a.startsWith("x")', StartsWith(subject=A, prefix=Text(value="x"))),
        ("args.startsWith", path("args", "startsWith")),
        ("args.has.size.history", path("args", "has", "size", "history")),
        ("has(facts.order.id)", Has(path=path("facts", "order", "id"))),
        ("size(args.a) > 2", Compare(op=">", left=Size(operand=A), right=TWO)),
        ('integrity(args.a) < "user"', Compare(op="<", left=Level(kind="integrity", path=A), right=Text(value="user"))),
        (
            'history.count("refund", "90s", "run") > 2',
            Compare(op=">", left=History(kind="count", tool="refund", window_s=90, scope="run"), right=TWO),
        ),
        (
            "history.seen('refund', 'order', args.a, '7d', 'tenant')",
            History(kind="seen", tool="refund", arg="order", value=A, window_s=604_800, scope="tenant"),
        ),
        (
            r'"\"\\\n\u00e9\U0001F600" == "' + "'\t" + '"',
            Compare(op="==", left=Text(value='"\\\n\u00e9\U0001f600'), right=Text(value="'\t")),
        ),
        ("\n  args.a\n  && args.b\n", And(operands=(A, B))),
    ],
)
def test_a_condition_has_one_reading(text: str, expr: Expr) -> None:
    assert parse(text) == expr
    assert parse(render(expr)) == expr


def test_every_name_knows_its_place_in_the_text() -> None:
    expr = parse('!has(args.a) && history.sum("refund", "usd", "24h", "run") > facts.x["y"]')

    assert isinstance(expr, And)
    absent, compared = expr.operands
    assert (absent.at, compared.at) == (0, 16)
    assert isinstance(compared, Compare)
    assert isinstance(compared.left, History)
    assert compared.left.names_at == (28, 38)
    assert isinstance(compared.right, Path)
    assert (compared.right.at, compared.right.keys_at) == (61, (67, 69))


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("", 0, "The condition is empty"),
        ("  \n", 0, "The condition is empty"),
        ("args.a = 1", 7, "Write `==` to compare"),
        ("args.a & args.b", 7, "Write `&&`"),
        ("args.a * 2 > 1", 7, "compute anything else in a fact"),
        ("args.a ? 1 : 2", 7, "write two rules"),
        ('args.a == "x', 10, "no closing quote"),
        ('args.a == "x\ny"', 10, "no closing quote"),
        (r'args.a == "\x41"', 11, "no known escape"),
        (r'args.a == "\ud800"', 11, "no known escape"),
        (r'args.a == "\u12"', 11, "no known escape"),
        (r'args.a == "\U00110000"', 11, "no known escape"),
        ("args.a > 50usd", 9, "A number ends in the character 'u'"),
        ("args.a > 1e3", 9, "A number ends in the character 'e'"),
        ("args.a > 0x10", 9, "A number ends in the character 'x'"),
        ("args.a > .5", 9, "Expected a value where '.' stands"),
        ("args.a > 5.", 10, "Only a name that begins at args"),
        ("args.a >", 8, "Expected a value where the condition ends"),
        ("(args.a", 7, "Expected `)` where the condition ends"),
        ("args.a)", 6, "Expected an operator or the end"),
        ("args.a args.b", 7, "Expected an operator or the end"),
        ("args.", 5, "Expected the name of a field"),
        ("args.in == 1", 5, 'Write `["in"]`'),
        ("args.items[0] == 1", 11, "A field in brackets is named by a string"),
        ("fact.order.id == 1", 0, "Did you mean `facts`?"),
        ("hass(args.a)", 0, "Did you mean `has`?"),
        ("args(1)", 0, "`args` is not a name of the language here"),
        ("customer == 1", 0, "A value begins with args, facts, run or call"),
        ("label(args.a).integrity == 1", 0, "Write `integrity(args.x)`"),
        ("integrity(args.a) < user", 20, "a string stands in quotes"),
        ("has(args)", 4, "`has` takes one field"),
        ("has(1)", 4, "`has` takes one field"),
        ("has(args.a && args.b)", 4, "`has` takes one field"),
        ("integrity()", 10, "`integrity` takes one field"),
        ("size(args.a, 1)", 11, "Expected `)` where ',' stands"),
        ('args.a.endsWith("x")', 7, "the only one is `startsWith`"),
        ('"a".matches("x")', 4, "the only one is `startsWith`"),
        ("(args.a).b == 1", 8, "Only a name that begins at args"),
        ("1 < args.a < 3", 11, "Comparisons do not chain"),
        ("args.a == 1 in [true]", 12, "Comparisons do not chain"),
        ("-args.a > 1", 0, "Write `0 - x`"),
        ("[1, 2", 5, "Expected `]` where the condition ends"),
        ("history", 0, "asked with count, sum or seen"),
        ('history.summ("a", "b", "24h", "run") > 1', 0, "Write `history.sum("),
        ('history.count("refund", "24h") > 1', 24, "Write `history.count("),
        ('history.count(args.tool, "24h", "run") > 1', 14, "names in quotes"),
        ('history.seen("a", "b", has(args.x), "24h", "run")', 23, "a field or a literal"),
        ('history.seen("a", "b", [1], "24h", "run")', 23, "a field or a literal"),
        ('history.count("refund", "1w", "run") > 1', 24, "not a duration from 1s to 366d"),
        ('history.count("refund", "0s", "run") > 1', 24, "not a duration from 1s to 366d"),
        ('history.count("refund", "367d", "run") > 1', 24, "not a duration from 1s to 366d"),
        ('history.count("refund", "999999999d", "run") > 1', 24, "not a duration"),
        ('history.count("refund", "24h", "subjekt") > 1', 31, 'Did you mean "subject"?'),
        ("args.\u00e4 == 1", 5, "'\u00e4' is not part of the condition language"),
        ("args.a == 1 // note", 12, "compute anything else in a fact"),
    ],
)
def test_what_is_no_condition_is_refused_at_its_place(text: str, offset: int, message: str) -> None:
    with pytest.raises(ConditionError) as caught:
        parse(text)

    assert caught.value.offset == offset
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 65 + "true" + ")" * 65,
        "!" * 64 + "true",
        "[" * 1000,
        "size(" * 100,
        "(args.a && " * 300,
        'args.a.startsWith("' * 2 + "x",
        '"a"' + '.startsWith("a")' * 100,
    ],
)
def test_deep_nesting_is_refused_not_a_crash(text: str) -> None:
    with pytest.raises(ConditionError):
        parse(text)


@pytest.mark.parametrize("text", ["(" * 63 + "true" + ")" * 63, "!" * 63 + "true", " && ".join(["true"] * 500)])
def test_a_condition_within_the_bounds_is_read(text: str) -> None:
    assert parse(render(parse(text))) == parse(text)


def test_a_condition_of_more_than_4096_characters_is_refused() -> None:
    assert parse("true" + " " * 4092) == YES
    with pytest.raises(ConditionError, match="has 4097 characters, and at most 4096"):
        parse("true" + " " * 4093)


@pytest.mark.parametrize(
    "text", ['"' + "\\a" * 2047, "!" * 4096, "1+" * 2047 + "1", "a." * 2048, "args" + ".a" * 2046, "9" * 4096]
)
def test_the_worst_texts_take_no_time(text: str) -> None:
    started = time.process_time()

    with suppress(ConditionError):
        parse(text)

    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("((args.a))&&!(args.b>1)", "args.a && !(args.b > 1)"),
        ("(args.a+1)-(2-args.b)>0", "(args.a + 1) - (2 - args.b) > 0"),
        ("!(args.a+1) == -1", "!(args.a + 1) == -1"),
        ("!(args.a in args.b) && !(args.a)", "!(args.a in args.b) && !args.a"),
        ("args['order-id']=='x'", 'args["order-id"] == "x"'),
        ('history.count("a","60m","run")>1', 'history.count("a", "1h", "run") > 1'),
        ("args.a == 1.50", "args.a == 1.50"),
        ('(-1).startsWith("x")', '(-1).startsWith("x")'),
        (r'args.a == "\u0007\u200b"', r'args.a == "\u0007\u200b"'),
        ("args.a == 100000000000000000000000000001", "args.a == 100000000000000000000000000001"),
    ],
)
def test_a_condition_is_printed_in_one_form(text: str, printed: str) -> None:
    assert render(parse(text)) == printed
