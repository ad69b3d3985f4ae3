"""The default rules on where the values of a call come from."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from leverframe.core.argument_labels import label_args
from leverframe.core.policy import Question, compile_policy, decide
from leverframe.core.provenance import ValueIndex, index_input, index_result, label_output
from leverframe.core.token_types import compile_types
from leverframe.domain.contracts import Provenance, ProvenanceRule, ProvenanceRules
from leverframe.domain.ids import ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import Confidentiality, Integrity
from leverframe.domain.policy import Allow, Deny, Then
from leverframe.domain.tools import ArgRole, ArgSpec, EffectClass, ToolSpec
from tests.policy_samples import RUN, rule, tool

SEND = ToolName("send")
READ = ToolName("read")
TYPES = compile_types({"email": r"[a-z]+@[a-z]+\.example"})
ARGS = {
    "to": ArgSpec(role=ArgRole.RECIPIENT, type="email", accepts=Integrity.TENANT_RECORD),
    "order": ArgSpec(role=ArgRole.SELECTOR, type="order"),
    "usd": ArgSpec(role=ArgRole.AMOUNT),
    "text": ArgSpec(role=ArgRole.FREE_TEXT),
}
WORDS = "Write to ann@house.example: the parcel is on its way, about order o1."


def after_reading(
    answer: Json, *, trust: Integrity = Integrity.THIRD_PARTY, secrecy: Confidentiality = Confidentiality.TENANT
) -> ValueIndex:
    start = index_input({"message": WORDS, "order": "o1"}, opener=Integrity.USER, trust={}, types=TYPES)
    spec = tool(READ, output_trust={"": trust}, output_confidentiality=secrecy)
    return index_result(start, answer, label_output(answer, spec, step="1"), step="1")


def rules_of(
    args: JsonObject,
    index: ValueIndex,
    *,
    spec: ToolSpec | None = None,
    says: dict[Provenance, Then | None] | None = None,
    with_rule: bool = False,
) -> tuple[str, tuple[str, ...]]:
    """The word of the decision, and the default rules that took part."""
    asked = spec or tool(SEND, EffectClass.IRREVERSIBLE, args=ARGS)
    written = {name: ProvenanceRule(then=then) for name, then in (says or {}).items()}
    bounds = (rule("cap", Then.HOLD, when="args.usd > 900", tools=(SEND,)),) if with_rule else ()
    policy = compile_policy(bounds, [SEND], {SEND: asked}, provenance=ProvenanceRules(written=written, because="test"))
    labels = label_args(args, asked.args, index, asked.input_schema)
    question = Question(tool=SEND, spec=asked, args=args, run=RUN, arg_labels=labels, union=index.union)
    decision = decide(question, policy)
    word = "allow" if isinstance(decision, Allow) else "deny" if isinstance(decision, Deny) else "hold"
    return word, tuple(reason.rule for reason in decision.reasons if reason.rule != "allow_tools")


SEEN = after_reading({"sender": "eve@elsewhere.example", "order": "o9"})
RECORDS = after_reading({"email": "bob@house.example"}, trust=Integrity.TENANT_RECORD)


# Any: the arguments of a call, right or wrong.
@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"to": "ann@house.example"}, ()),
        ({"to": ["ann@house.example"]}, ()),
        ({"to": "eve@elsewhere.example"}, ("untraced-recipient",)),
        ({"to": ["ann@house.example", "eve@elsewhere.example"]}, ("untraced-recipient",)),
        ({"to": [["ann@house.example"], ["eve@elsewhere.example"]]}, ("untraced-recipient",)),
        ({"to": "ann"}, ("untraced-recipient",)),
        ({"to": []}, ()),
        ({"to": ""}, ()),
        ({"to": None}, ()),
        ({"to": {}}, ()),
        ({"to": 7}, ("untraced-recipient",)),
        ({"to": True}, ("untraced-recipient",)),
        ({"order": "o1"}, ()),
        ({"order": "o9"}, ("untraced-selector",)),
        ({"order": "o"}, ("untraced-selector",)),
        ({"usd": 50}, ("untraced-amount",)),
        ({"usd": Decimal("49.99")}, ("untraced-amount",)),
        ({"text": "anything"}, ()),
        ({"to": "ann@house.example", "text": "anything"}, ("third-party-text",)),
        ({"to": "ann@house.example", "text": "the parcel is on its way"}, ()),
        ({"to": "ann@house.example", "text": "The parcel is on its way"}, ("third-party-text",)),
        ({"to": "ann@house.example", "text": "the parcel is its way"}, ("third-party-text",)),
        ({"to": "ann@house.example", "text": ""}, ()),
        ({"to": [], "text": "anything"}, ()),
    ],
)
def test_a_call_is_held_by_the_rules_that_its_values_break(args: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert rules_of(args, SEEN) == ("hold" if expected else "allow", expected)


def test_records_are_taken_where_the_argument_accepts_them_and_nowhere_else() -> None:
    strict = tool(SEND, EffectClass.IRREVERSIBLE, args={"to": ArgSpec(role=ArgRole.RECIPIENT, type="email")})

    assert rules_of({"to": "bob@house.example"}, RECORDS) == ("allow", ())
    assert rules_of({"to": "bob@house.example"}, RECORDS, spec=strict) == ("hold", ("untraced-recipient",))


def test_own_text_is_free_before_anything_untrusted_was_read() -> None:
    assert rules_of({"to": "bob@house.example", "text": "see www.elsewhere.example"}, RECORDS) == ("allow", ())


def test_an_enum_is_never_traced_though_the_user_wrote_the_word() -> None:
    listed = tool(
        SEND,
        EffectClass.IRREVERSIBLE,
        args={"order": ArgSpec(role=ArgRole.SELECTOR)},
        input_schema={"type": "object", "properties": {"order": {"enum": ["o1", "o2"]}}},
    )

    assert rules_of({"order": "o1"}, SEEN, spec=listed) == ("hold", ("untraced-selector",))


@pytest.mark.parametrize(
    ("role", "expected"),
    [("recipient", "hold"), ("selector", "allow"), ("amount", "allow"), ("command", "allow")],
)
def test_a_read_is_asked_only_where_its_values_go(role: str, expected: str) -> None:
    reading = tool(SEND, EffectClass.READ, args={"at": ArgSpec(role=ArgRole(role))})

    assert rules_of({"at": "elsewhere"}, SEEN, spec=reading)[0] == expected


def test_an_amount_that_a_rule_compares_needs_no_trace() -> None:
    assert rules_of({"usd": 50}, SEEN, with_rule=True) == ("allow", ())


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        (Then.DENY, ("deny", ("untraced-recipient",))),
        (None, ("allow", ())),
        (Then.HOLD, ("hold", ("untraced-recipient",))),
    ],
)
def test_a_contract_tightens_or_loosens_a_rule(then: Then | None, expected: tuple[str, tuple[str, ...]]) -> None:
    assert rules_of({"to": "eve@elsewhere.example"}, SEEN, says={Provenance.RECIPIENTS: then}) == expected


def test_a_secret_and_untrusted_text_in_one_run_let_nothing_out_unasked() -> None:
    both = after_reading({"code": "1234-x"}, secrecy=Confidentiality.SECRET)

    assert rules_of({"to": "ann@house.example"}, both) == ("hold", ("rule-of-two",))
    assert rules_of({"order": "o1"}, both) == ("allow", ())


_LEADS = ("third-party-link",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words", ()),
        ("The file notes.md, e.g. of main.py, says 3.5 and/or 12:30. Then go on.", ()),
        ("it is at src/main.py", ()),
        ({"note": ["plain", {"key": "words"}]}, ()),
        ("see https://elsewhere.example/x", _LEADS),
        ("see elsewhere.example/x", _LEADS),
        ("see elsewhere.zz/x", _LEADS),
        ("see elsewhere.zz:8080", _LEADS),
        ("see elsewhere.zz?q=1", _LEADS),
        ("see elsewhere.com", _LEADS),
        ("see elsewhere.co.uk today", _LEADS),
        ("see els\u00e9where.\u65e5\u672c/x", _LEADS),
        ("see elsewhere\u3002com/x", _LEADS),
        ("see //elsewhere.zz", _LEADS),
        ("see https:/elsewhere", _LEADS),
        ("see https:\\\\elsewhere", _LEADS),
        ("at 10.1.2.3", _LEADS),
        ("[here][1]\n\n[1]: x", _LEADS),
        ("<img src = x>", _LEADS),
        ({"https://elsewhere.example": "words"}, _LEADS),
        ([{"a": {"elsewhere.example/x": 1}}], _LEADS),
    ],
)
def test_after_public_text_alone_only_a_link_is_asked_about(text: Json, expected: tuple[str, ...]) -> None:
    page: Json = {"page": "words"}
    spec = tool(READ, output_confidentiality=Confidentiality.PUBLIC)
    public = index_result(ValueIndex(types=TYPES), page, label_output(page, spec), step="1")
    loose = tool(
        SEND,
        EffectClass.IRREVERSIBLE,
        args={**ARGS, "to": ArgSpec(role=ArgRole.RECIPIENT, accepts=Integrity.THIRD_PARTY)},
    )

    assert rules_of({"to": "anyone", "text": text}, public, spec=loose)[1] == expected


def test_a_value_from_nowhere_makes_no_hold_of_what_is_denied() -> None:
    spec = tool(SEND, EffectClass.IRREVERSIBLE, args=ARGS)
    small = rule("small", Then.ALLOW, when="args.usd < 20", tools=(SEND,))
    policy = compile_policy([small], [SEND], {SEND: spec})
    args: JsonObject = {"to": "eve@elsewhere.example", "usd": 30}
    question = Question(tool=SEND, spec=spec, args=args, run=RUN, union=SEEN.union)

    assert isinstance(decide(question, policy), Deny)


def test_a_rule_that_only_narrows_bounds_no_amount() -> None:
    spec = tool(SEND, EffectClass.IRREVERSIBLE, args={"usd": ArgSpec(role=ArgRole.AMOUNT)})
    cap = replace(rule("cap", Then.HOLD, when="args.usd > 900", tools=(SEND,)), only_narrows=True)
    policy = compile_policy([cap], [SEND], {SEND: spec})
    question = Question(tool=SEND, spec=spec, args={"usd": 30}, run=RUN, union=SEEN.union)

    assert [reason.rule for reason in decide(question, policy).reasons] == ["untraced-amount"]
