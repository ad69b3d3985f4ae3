"""What a Cedar file means here, what comes back of an export, and what is refused by name."""

import json

import cedarpy
import pytest

from leverframe.core.cedar import ImportedPolicy, export_policy, import_policies
from leverframe.core.conditions import render
from leverframe.domain.errors import CedarUnsupported
from leverframe.domain.policy import Then
from tests.policy_samples import DRAFT, LOOKUP, REFUND, TOOLS, policy, row, rule, seed_policy

PLAIN = f'(principal, action == Action::"{REFUND}", resource)'
CONDITIONS = [
    "facts.order.customer_id != run.subject",
    'history.sum("issue_refund", "amount_usd", "1d", "subject") + args.amount_usd > 200',
    "args.amount_usd > facts.order.refundable_usd - 0.5",
    "size(args.note) < 3 && args.reason == null",
    'args.note.startsWith("a*b") || integrity(args.order_id) >= "user"',
    'args.note in ["a", "b"] && !has(args.internal)',
    '"x" in args.tags || !("vip" in facts.customer.flags)',
    "args.ratio > 0.125",
    'history.seen("issue_refund", "order_id", args.order_id, "7d", "tenant")',
]


def imported(text: str) -> ImportedPolicy:
    return import_policies(json.loads(cedarpy.policies_to_json_str(text)), file="shop.cedar", tools=TOOLS)


def said(policy: ImportedPolicy) -> list[tuple[Then, str]]:
    return [(rule.then, "always" if rule.when is None else render(rule.when)) for rule in policy.rules]


@pytest.mark.parametrize("then", Then)
@pytest.mark.parametrize("when", CONDITIONS)
def test_a_rule_comes_back_as_it_was_written(when: str, then: Then) -> None:
    made = policy(rule("r", then, when))

    back = imported(export_policy(made, workflow="shop").text)

    assert said(back) == [(then, when)]
    assert back.rules[0].id == "r"
    assert back.rules[0].tools == {REFUND}
    assert (back.allow_tools, back.held_tools, back.workflow) == ((LOOKUP, DRAFT, REFUND), (), "shop")


@pytest.mark.parametrize(
    ("when", "back"),
    [
        (
            'confidentiality(args.note) in ["tenant", "secret"]',
            'confidentiality(args.note) == "tenant" || confidentiality(args.note) == "secret"',
        ),
        ("(args.a || args.b) == args.c", "(args.a || args.b) && args.c || !args.a && !args.b && !args.c"),
    ],
)
def test_what_cedar_says_in_more_words_comes_back_in_more_words(when: str, back: str) -> None:
    made = policy(rule("r", Then.ALLOW, when))

    assert said(imported(export_policy(made).text)) == [(Then.ALLOW, back)]


def test_a_row_comes_back_with_who_must_answer() -> None:
    made = policy(rows=(row("49.99"),))

    back = imported(export_policy(made).text)

    (hold,) = back.rules
    (before,) = (test.rule for test in made.plans[REFUND].holds.tests)
    assert said(back) == [(Then.HOLD, "args.amount_usd >= 49.99")]
    assert hold.approval is not None
    assert before.approval is not None
    assert (hold.approval.quorum, hold.approval.decide_within_s) == (1, before.approval.decide_within_s)


def test_a_tool_that_is_denied_and_has_a_row_comes_back_as_held() -> None:
    back = imported(export_policy(seed_policy()).text)

    assert (back.allow_tools, back.held_tools) == ((LOOKUP, DRAFT), (REFUND,))
    assert said(back) == [(Then.HOLD, "always")]


def test_cedar_written_by_hand_counts_money_in_cents() -> None:
    back = imported(f"forbid {PLAIN} when {{ context.args.amount_usd > 5000 }};")

    assert said(back) == [(Then.DENY, "args.amount_usd > 50")]
    assert back.rules[0].source.file == "shop.cedar"


def test_an_amount_without_its_annotation_is_still_counted_in_cents() -> None:
    exported = export_policy(policy(rows=(row(),))).text
    bare = "\n".join(line for line in exported.splitlines() if not line.startswith("@places"))

    assert said(imported(bare)) == [(Then.HOLD, "args.amount_usd >= 50")]


def test_a_guard_that_says_something_stays() -> None:
    back = imported(f'forbid {PLAIN} when {{ context.args has note && context.args.note == "x" }};')

    assert said(back) == [(Then.DENY, 'has(args.note) && args.note == "x"')]


def test_a_guard_in_a_permit_says_what_unknown_says() -> None:
    back = imported(f'permit {PLAIN} when {{ context.args has note && context.args.note == "x" }};')

    assert said(back) == [(Then.ALLOW, 'args.note == "x"')]


def test_a_guard_of_another_field_stays_in_a_permit() -> None:
    back = imported(f'permit {PLAIN} when {{ context.args has memo && context.args.note == "x" }};')

    assert said(back) == [(Then.ALLOW, 'has(args.memo) && args.note == "x"')]


def test_a_forbid_unless_approved_holds() -> None:
    back = imported(
        f"permit {PLAIN}; forbid {PLAIN} when {{ context.args.amount_usd > 5000 }} unless {{ context.approved }};"
    )

    assert said(back) == [(Then.HOLD, "args.amount_usd > 50")]
    assert back.allow_tools == (REFUND,)


def test_a_permit_that_needs_an_approval_makes_a_tool_held() -> None:
    back = imported(f"permit {PLAIN} when {{ context.approved }};")

    assert (said(back), back.held_tools, back.allow_tools) == ([(Then.HOLD, "always")], (REFUND,), ())


def test_what_is_held_and_not_permitted_is_denied_as_cedar_denies_it() -> None:
    back = imported(
        f"permit {PLAIN} when {{ context.args.amount_usd < 5000 }};"
        f"forbid {PLAIN} when {{ context.args.amount_usd > 2000 }} unless {{ context.approved }};"
    )

    assert said(back) == [
        (Then.ALLOW, "args.amount_usd < 50"),
        (Then.HOLD, "args.amount_usd > 20"),
        (Then.DENY, "args.amount_usd >= 50"),
    ]


def test_a_principal_is_who_opened_the_run() -> None:
    back = imported(f'permit (principal == Principal::"agent:shop", action == Action::"{REFUND}", resource);')

    assert said(back) == [(Then.ALLOW, 'run.initiator == "agent:shop"')]


def test_an_if_becomes_two_cases() -> None:
    back = imported(f"forbid {PLAIN} when {{ if context.args.a then context.args.b == 1 else context.args.c == 2 }};")

    assert said(back) == [(Then.DENY, "args.a && args.b == 1 || !args.a && args.c == 2")]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f'forbid (principal in Group::"x", action == Action::"{REFUND}", resource);', "its principal is not one"),
        (f'forbid (principal is Principal, action == Action::"{REFUND}", resource);', "its principal is not one"),
        (f'forbid (principal, action == Action::"{REFUND}", resource in Folder::"x");', "its resource is not one"),
        ('forbid (principal, action == Action::"issue_refnd", resource);', "'issue_refnd' is no tool"),
        ("permit (principal, action, resource);", "permits every action"),
        (f"forbid {PLAIN} when {{ resource.owner == 1 }};", "A field of `resource`"),
        (f"forbid {PLAIN} when {{ context.arg.note == 1 }};", "`context.arg.note` is nothing"),
        (f'forbid {PLAIN} when {{ context.args.tags.containsAll(["a"]) }};', "`containsAll` has no form"),
        (f'forbid {PLAIN} when {{ context.args.note like "*x" }};', "a `*` that is not at its end"),
        (f"forbid {PLAIN} when {{ ip(context.args.ip).isLoopback() }};", "has no form"),
        (f"forbid {PLAIN} when {{ context.args.a * 2 > 3 }};", "`*` has no form"),
        (f'forbid {PLAIN} when {{ context.args.a == Order::"x" }};', "An entity is compared"),
        (f"forbid {PLAIN} when {{ context.args.a is Order }};", "`is` has no form"),
        (f'@places("{{\\"args.note\\":-1}}") forbid {PLAIN};', "no number of decimal places"),
        (f'@places("{{\\"args.amount_usd\\":0}}") forbid {PLAIN};', "the tool counts it in another unit"),
        (f'@color("red") forbid {PLAIN};', "@color"),
        (f'@approval("[]") forbid {PLAIN} unless {{ context.approved }};', "@approval is no JSON object"),
        (f"forbid {PLAIN} when {{ context.approved && context.args.a }};", "`context.approved` stands where"),
        (f'forbid {PLAIN} when {{ context.values has "size(args.a)" }};', "stands without a comparison"),
        (f"forbid {PLAIN} when {{ context.args.amount_usd > context.args.other }};", "different units"),
        (f'forbid {PLAIN} when {{ context.labels["integrity(args.a)"] > 9 }};', "no level"),
    ],
)
def test_what_has_no_form_here_is_refused_by_policy_and_construct(text: str, what: str) -> None:
    with pytest.raises(CedarUnsupported, match=r"The policy '\w+' of shop\.cedar does not import") as refusal:
        imported(text)

    assert what in refusal.value.message


def test_a_template_is_refused() -> None:
    with pytest.raises(CedarUnsupported, match=r"shop\.cedar holds templates"):
        imported("permit (principal == ?principal, action, resource);")


def test_a_grant_without_its_forbid_is_refused() -> None:
    with pytest.raises(CedarUnsupported, match="no policy forbids it without one"):
        imported(f"permit {PLAIN} when {{ context.approved && context.args.amount_usd < 5000 }};")


def test_policies_of_one_name_stay_apart() -> None:
    one, other = (f'@id("a") forbid {PLAIN} when {{ context.args.{name} }};' for name in "xy")

    back = imported(one + other)

    assert [rule.id for rule in back.rules] == ["a", "a~2"]
