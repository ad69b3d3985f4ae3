"""What an export says, what it refuses by name, and what a request carries."""

from dataclasses import replace
from decimal import Decimal

import pytest

from leverframe.core.cedar import export_policy, request_of
from leverframe.core.policy import Asker
from leverframe.domain.errors import CedarUnsupported
from leverframe.domain.policy import Then
from leverframe.domain.tools import ArgRole, ArgSpec, EffectClass
from tests.policy_samples import DRAFT, LOOKUP, REFUND, TOOLS, ask, policy, refund, row, rule, seed_policy, tool


def test_money_is_counted_in_cents() -> None:
    text = export_policy(policy(rows=(row("49.99"),))).text

    assert "(context has args.amount_usd && !(context.args.amount_usd >= 4999))" in text
    assert r'@places("{\"args.amount_usd\":2}")' in text


def test_a_request_counts_money_as_the_policy_does() -> None:
    export = export_policy(policy(rows=(row(),)))

    request = request_of(refund(Decimal("49.9")), policy(rows=(row(),)), export)

    assert request.context["args"] == {"amount_usd": 4990}
    assert request.withheld == ()


def test_an_amount_in_minor_units_stays_as_it_is() -> None:
    minor = tool(REFUND, EffectClass.KEYED, args={"amount": ArgSpec(role=ArgRole.AMOUNT, unit="minor")})

    text = export_policy(policy(rows=(row(),), tools={**TOOLS, REFUND: minor})).text

    assert "!(context.args.amount >= 5000)" in text
    assert '@places("' not in text


def test_an_amount_in_another_currency_is_held_on_every_call() -> None:
    euros = tool(REFUND, EffectClass.KEYED, args={"amount": ArgSpec(role=ArgRole.AMOUNT, currency="EUR")})

    text = export_policy(policy(rows=(row(),), tools={**TOOLS, REFUND: euros})).text

    assert "context.args.amount" not in text
    assert "unless {\n  context has approved &&\n  context.approved\n}" in text


def test_a_denied_tool_with_a_row_is_callable_after_an_approval_only() -> None:
    export = export_policy(seed_policy(), workflow="refund_request")

    listed = f'[Action::"{LOOKUP}", Action::"{DRAFT}"]'
    assert f'permit (principal, action in {listed}, resource == Workflow::"refund_request");' in export.text
    assert f'@id("{REFUND}/approval/approved")\npermit (principal, action == Action::"{REFUND}"' in export.text


def test_what_cannot_be_called_has_no_policy() -> None:
    export = export_policy(policy(allow=(LOOKUP,)))

    assert set(export.layouts) == {LOOKUP}
    assert REFUND not in export.text


def test_a_field_of_two_types_gets_one_name_for_each() -> None:
    made = policy(rule("r", Then.DENY, 'args.x == 1 || args.x == "a"'))

    text = export_policy(made).text

    assert 'context.values["number(args.x)"] == 1' in text
    assert 'context.values["string(args.x)"] == "a"' in text
    assert "context.args.x" not in text


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ('args.note < "b"', "orders only numbers"),
        ("args.note.startsWith(args.order_id)", "prefix that is no literal"),
        ("args.amount_usd > 49.999", "has 3 decimal places, and its minor unit is 2"),
        ("args.count > 10000000000000000000000", "beyond what an export holds"),
        ("args.ratio > 0.0000000001", "at most 9"),
        ("size(args.note) == null", "compared with null"),
        ("(args.a == 1) in args.list", "answer of a condition in a list"),
    ],
)
def test_what_cedar_cannot_say_is_refused_by_the_name_of_the_rule(when: str, said: str) -> None:
    made = policy(rule("strange", Then.DENY, when))

    with pytest.raises(CedarUnsupported, match=r"'strange'|'issue_refund'") as refusal:
        export_policy(made)

    assert said in refusal.value.message


def test_amounts_in_different_units_are_not_compared() -> None:
    two = {"usd": ArgSpec(role=ArgRole.AMOUNT), "cents": ArgSpec(role=ArgRole.AMOUNT, unit="minor")}
    made = policy(
        rule("mixed", Then.DENY, "args.usd > args.cents"),
        tools={**TOOLS, REFUND: tool(REFUND, EffectClass.KEYED, args=two)},
    )

    with pytest.raises(CedarUnsupported, match=r"different units are compared or added: args\.cents, args\.usd"):
        export_policy(made)


def test_conditions_that_double_with_every_level_are_refused_and_not_printed() -> None:
    when = "args.f"
    for _ in range(20):
        when = f"({when} == args.g)"

    with pytest.raises(CedarUnsupported, match="more than 5000 comparisons"):
        export_policy(policy(rule("deep", Then.DENY, when)))


@pytest.mark.parametrize("amount", [Decimal("49.999"), 10**30, Decimal("1E+9000"), Decimal("1E-9000")])
def test_a_number_that_cedar_cannot_hold_is_withheld_and_named(amount: object) -> None:
    made = policy(rows=(row(),))

    request = request_of(refund(amount), made, export_policy(made))

    assert "args" not in request.context
    why = "the number has more than 2 decimal places, or is beyond 2**53"
    assert request.withheld == (f"number(args.amount_usd): {why}",)


@pytest.mark.parametrize("amount", [None, "50", True, Decimal("NaN"), 0.5, [50], {"__extn": {"fn": "decimal"}}])
def test_what_is_no_number_is_unknown_and_nothing_is_withheld(amount: object) -> None:
    made = policy(rows=(row(),))

    request = request_of(refund(amount), made, export_policy(made))

    assert "args" not in request.context
    assert request.withheld == ()


def test_an_argument_cannot_pose_as_an_entity_of_cedar() -> None:
    made = policy(rule("r", Then.DENY, 'args["__entity"].id == "root" || args.owner == "lena"'))
    posing = {"type": "Principal", "id": "root"}

    request = request_of(ask(REFUND, __entity=posing, owner={"__entity": posing}), made, export_policy(made))

    assert request.context["values"] == {"string(args.__entity.id)": "root"}
    assert "args" not in request.context


def test_half_a_surrogate_pair_is_withheld() -> None:
    made = policy(rule("r", Then.DENY, 'args.note == "a"'))

    request = request_of(ask(REFUND, note="\ud800"), made, export_policy(made))

    assert request.withheld == ("string(args.note): the text is no valid Unicode, and Cedar's strings are",)


def test_the_doors_own_read_is_not_asked() -> None:
    made = policy()
    own = replace(ask(LOOKUP), asker=Asker.DOOR)

    with pytest.raises(CedarUnsupported, match="own read of 'lookup_order'"):
        request_of(own, made, export_policy(made))
