"""Conditions against the types of their names: what is reported, where, and with which better name."""

import pytest

from leverframe.core.conditions import ANY, TypeScope, check, parse, run_type, type_of_schema, with_units
from leverframe.domain.conditions import Type

REFUND = with_units(
    type_of_schema(
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "order_id": {"type": "string"},
                "amount_usd": {"type": "number"},
                "fee": {"type": "number"},
                "kind": {"enum": ["full", "part", None]},
                "items": {"type": "array", "items": {"type": "string"}},
                "urgent": {"type": "boolean"},
            },
        }
    ),
    {"amount_usd": "USD", "fee": "EUR"},
)
LOOKUP = type_of_schema({"type": "object", "properties": {"order_id": {"type": "string"}}})
ORDER = {"type": "object", "properties": {"customer_id": {"type": "string"}, "total": {"type": ["integer", "null"]}}}
FACTS = type_of_schema({"type": "object", "properties": {"order": ORDER, "value": {}}})
TOOLS = {"issue_refund": REFUND, "lookup_order": LOOKUP}


def problems(text: str, *tools: str, args: dict[str, Type] | None = None) -> list[tuple[int, str]]:
    named = {tool: TOOLS[tool] for tool in tools or ("issue_refund",)} if args is None else args
    assert not isinstance(FACTS, type(ANY))
    scope = TypeScope(args=named, tools=TOOLS, facts=FACTS)  # type: ignore[arg-type]  # an object schema is a map
    return [(problem.offset, problem.message) for problem in check(parse(text), scope)]


@pytest.mark.parametrize(
    "text",
    [
        "facts.order.customer_id != run.subject",
        'history.sum("issue_refund", "amount_usd", "24h", "subject") + args.amount_usd > 200',
        'history.count("issue_refund", "24h", "key") >= 3',
        'history.seen("issue_refund", "order_id", args.order_id, "7d", "tenant")',
        "args.amount_usd > facts.order.total",
        "args.amount_usd > facts.value.anything.below",
        'args.kind == "full" || args.kind == null',
        'args.kind in ["full", "part"]',
        '"blue" in args.items && size(args.items) < 3',
        "args.order_id in args.items",
        '"total" in facts.order',
        "args.urgent && !args.urgent || args.urgent == true",
        'args.order_id.startsWith("#W")',
        'integrity(args.order_id) < "tenant-record"',
        'confidentiality(facts.order.total) == "secret"',
        'integrity(args.order_id) in ["user", "system"]',
        "integrity(args.order_id) >= integrity(args.kind)",
        'call.tool == "issue_refund" && call.effect != "read"',
        "run.input.anything.at.all == 3",
        "has(args.kind) && has(facts.order.total)",
        '"b" > "a"',
        "facts.order.total == null",
    ],
)
def test_a_condition_that_makes_sense_has_no_problem(text: str) -> None:
    assert problems(text) == []


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("args.amout > 3", 5, "`args.amout` is not an argument of issue_refund; did you mean `args.amount_usd`?"),
        (
            "args.zzz > 3",
            5,
            "`args.zzz` is not an argument of issue_refund; there is amount_usd, fee, items, kind, order_id, urgent.",
        ),
        ('facts.ordr.x == "a"', 6, "`facts.ordr` is not a fact of this workflow; did you mean `facts.order`?"),
        (
            'facts.order.custmer == "a"',
            12,
            "`facts.order.custmer` is not a field of `facts.order`; did you mean `facts.order.customer_id`?",
        ),
        ('run.subjct == "a"', 4, "`run.subjct` is not a field of `run`; did you mean `run.subject`?"),
        ("has(args.amout)", 9, "`args.amout` is not an argument of issue_refund; did you mean `args.amount_usd`?"),
        (
            'integrity(args.amout) == "user"',
            15,
            "`args.amout` is not an argument of issue_refund; did you mean `args.amount_usd`?",
        ),
        ('args.order_id.x == "a"', 14, "`args.order_id` is a string, which has no field 'x'."),
        (
            'args.amount_usd > "50"',
            18,
            '`args.amount_usd` is a number in USD and `"50"` a string; they cannot be put in order.',
        ),
        ("args.order_id == 5", 17, "`args.order_id` is a string and `5` a number; they cannot be compared."),
        ("args.urgent == 1", 15, "`args.urgent` is true or false and `1` a number; they cannot be compared."),
        (
            "args.urgent < true",
            14,
            "`args.urgent` is true or false and `true` true or false; they cannot be put in order.",
        ),
        ("args.items == args.items", 14, "`args.items` is a list and `args.items` a list; they cannot be compared."),
        (
            "args.amount_usd > args.fee",
            18,
            "`args.amount_usd` is in USD and `args.fee` in EUR; bring both to one unit in a fact first.",
        ),
        (
            "args.amount_usd + 1 - args.fee > 3",
            22,
            "`args.amount_usd` is in USD and `args.fee` in EUR; bring both to one unit in a fact first.",
        ),
        (
            "args.amount_usd > size(args.items)",
            18,
            "`args.amount_usd` is in USD and `size(args.items)` in count; bring both to one unit in a fact first.",
        ),
        ("args.order_id + 1 > 3", 0, "`args.order_id` is a string where a number is needed."),
        (
            "size(args.amount_usd) > 1",
            5,
            "`args.amount_usd` is a number in USD where a string, a list or an object is needed.",
        ),
        ('args.amount_usd.startsWith("5")', 0, "`args.amount_usd` is a number in USD where a string is needed."),
        ("args.order_id", 0, "`args.order_id` is a string where true or false is needed."),
        ("args.urgent && args.order_id", 15, "`args.order_id` is a string where true or false is needed."),
        ('args.kind == "ful"', 13, '`args.kind` is never "ful"; did you mean "full"?'),
        ('args.kind in ["full", "none"]', 22, '`args.kind` is never "none"; it is one of full, part.'),
        (
            'call.effect == "write"',
            15,
            '`call.effect` is never "write"; it is one of idempotent, irreversible, keyed, read, reconcilable.',
        ),
        (
            "args.order_id == null",
            0,
            "`args.order_id` is a string and never null; `has(...)` asks whether a field is there.",
        ),
        ("args.kind in [null]", 14, "`null` is a value beside `==` and `!=` only."),
        ("null", 0, "`null` is a value beside `==` and `!=` only."),
        ("size([1]) > 1", 5, "A list stands to the right of `in` only."),
        ('args.kind == ["full"]', 13, "A list stands to the right of `in` only."),
        ('args.items == ["full"]', 14, "A list stands to the right of `in` only."),
        (
            "facts.value < true",
            14,
            "`facts.value` is of any type and `true` true or false; they cannot be put in order.",
        ),
        (
            "integrity(args.kind) == confidentiality(args.kind)",
            24,
            (
                "`integrity(args.kind)` is a level of integrity and `confidentiality(args.kind)` a level of "
                "confidentiality; they cannot be compared."
            ),
        ),
        ("args.kind in []", 13, "Nothing is in an empty list."),
        ("args.kind in args.order_id", 13, "`args.order_id` is a string where a list or an object is needed."),
        ("3 in args.items", 0, "`3` is a number, which `args.items` never contains."),
        ('"totl" in facts.order', 0, '`"totl"` is a string, which `facts.order` never contains.'),
        (
            'integrity(args.kind) < "tennant-record"',
            23,
            '"tennant-record" is not a level of integrity; did you mean "tenant-record"?',
        ),
        (
            'confidentiality(args.kind) < "user"',
            29,
            '"user" is not a level of confidentiality; it is one of public, tenant, secret.',
        ),
        (
            "integrity(args.kind) == run.subject",
            24,
            "`integrity(args.kind)` is a level of integrity and `run.subject` a string; they cannot be compared.",
        ),
        (
            'history.count("isue_refund", "24h", "run") > 1',
            14,
            "`isue_refund` is not a tool that history knows here; did you mean `issue_refund`?",
        ),
        (
            'history.sum("issue_refund", "amount", "24h", "run") > 1',
            28,
            "`amount` is not an argument of issue_refund; did you mean `amount_usd`?",
        ),
        (
            'history.sum("issue_refund", "order_id", "24h", "run") > 1',
            28,
            "`order_id` of issue_refund is a string; only numbers have a sum.",
        ),
        (
            'history.seen("issue_refund", "order_id", args.fee, "24h", "run")',
            41,
            "`args.fee` is a number in EUR and `order_id` of issue_refund a string; they are never equal.",
        ),
        (
            'history.sum("issue_refund", "amount_usd", "24h", "run") > args.fee',
            58,
            (
                '`history.sum("issue_refund", "amount_usd", "1d", "run")` is in USD and `args.fee` in EUR; '
                "bring both to one unit in a fact first."
            ),
        ),
    ],
)
def test_a_mistake_is_named_at_its_place(text: str, offset: int, message: str) -> None:
    assert problems(text) == [(offset, message)]


def test_one_mistake_is_reported_once_and_two_are_reported_in_order() -> None:
    found = problems('facts.ordr.total + 1 > 3 && args.amout == "a"')

    assert [offset for offset, _ in found] == [6, 33]


def test_an_argument_must_exist_for_every_tool_of_the_rule() -> None:
    assert problems('args.order_id == "x"', "issue_refund", "lookup_order") == []
    assert problems("args.amount_usd > 3", "issue_refund", "lookup_order") == [
        (5, "`args.amount_usd` is not an argument of lookup_order; there is order_id.")
    ]


def test_a_type_that_fits_one_tool_and_not_the_other_names_the_other() -> None:
    args = {
        "by_text": type_of_schema({"properties": {"n": {"type": "string"}}}),
        "by_number": type_of_schema({"properties": {"n": {"type": "number"}}}),
    }

    assert problems("args.n > 3", args=args) == [
        (9, "For by_text: `args.n` is a string and `3` a number; they cannot be put in order.")
    ]


def test_a_mistake_of_all_tools_is_reported_once() -> None:
    assert len(problems('facts.ordr == "x"', "issue_refund", "lookup_order")) == 1


def test_what_cannot_be_seen_is_not_judged() -> None:
    scope = TypeScope(args={"unseen": ANY}, tools=None)

    assert check(parse('args.anything.at.all > 3 && history.sum("unseen", "x", "1h", "run") > 3'), scope) == ()
    assert check(parse("args.x == 1"), TypeScope(args={}, tools={})) == ()


def test_the_input_of_the_workflow_is_typed_too() -> None:
    scope = TypeScope(
        args={}, tools=None, run=run_type(type_of_schema({"properties": {"customer_id": {"type": "string"}}}))
    )

    (problem,) = check(parse("run.input.customer == run.subject"), scope)

    assert problem.nearest == "run.input.customer_id"
    assert problem.offset == 10


def test_a_workflow_without_facts_says_so() -> None:
    (problem,) = check(parse("has(facts.order)"), TypeScope(args={}, tools=None))

    assert problem.message == "`facts.order` is not a fact of this workflow; there are none."
