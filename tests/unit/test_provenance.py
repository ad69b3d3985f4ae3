"""Where an argument's value comes from."""

from dataclasses import replace
from decimal import Decimal

import pytest

from leverframe.core.argument_labels import label_args
from leverframe.core.places import label_at
from leverframe.core.provenance import ValueIndex, index_input, index_result, label_output, run_union
from leverframe.core.token_types import compile_types, normal_value
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import UNTRACED, Confidentiality, Integrity, Label
from leverframe.domain.tools import ArgRole, ArgSpec
from tests.policy_samples import LOOKUP, tool

TYPES = compile_types({"order_id": r"#W\d{7}", "email": r"[\w.+-]+@[\w-]+\.[\w.]+"})
MESSAGE = "Refund #W1234567 (not #W12345678), tell Ann.Lee@Example.com"
RESULT: Json = {
    "order_id": "#W7654321",
    "note": "#W5555555",
    "total": Decimal("49.90"),
    "count": 3,
    "paid": True,
    "items": [{"item_id": "i1"}, {"item_id": "i2"}],
    "customer": {"name": "Ann", "id": "c_1"},
}
SHOP = tool(
    LOOKUP,
    output_trust={
        "": Integrity.TENANT_RECORD,
        "/note": Integrity.THIRD_PARTY,
        "/customer/name": Integrity.THIRD_PARTY,
        "/items/*/item_id": Integrity.THIRD_PARTY,
    },
)


def user_index(message: str = MESSAGE, opener: Integrity = Integrity.USER, **fields: Json) -> ValueIndex:
    return index_input(
        {"message": message, **fields}, opener=opener, trust={"attachment": Integrity.THIRD_PARTY}, types=TYPES
    )


def after_read() -> ValueIndex:
    return index_result(user_index(), RESULT, label_output(RESULT, SHOP, step="2"), step="2")


def integrity(index: ValueIndex, specs: dict[str, ArgSpec] | None = None, /, **args: Json) -> Integrity:
    labels = label_args(args, specs or {}, index)
    return min(label.integrity for label in labels.values())


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"order_id": "#W1234567"}, Integrity.USER),
        ({"order_id": " #W1234567\n"}, Integrity.USER),
        ({"email": "ann.lee@example.COM"}, Integrity.USER),
        ({"message": MESSAGE}, Integrity.USER),
        ({"order_id": "#w1234567"}, Integrity.THIRD_PARTY),
        ({"order_id": "#W12345678"}, Integrity.THIRD_PARTY),
        ({"order_id": "1234567"}, Integrity.THIRD_PARTY),
        ({"reference": "#W1234567"}, Integrity.THIRD_PARTY),
        ({"order_id": "#W7654321"}, Integrity.TENANT_RECORD),
        ({"order_id": "#W5555555"}, Integrity.THIRD_PARTY),
        ({"total": Decimal("49.9")}, Integrity.TENANT_RECORD),
        ({"total": Decimal("49.91")}, Integrity.THIRD_PARTY),
        ({"count": 3}, Integrity.THIRD_PARTY),
        ({"count": Decimal("3.0")}, Integrity.THIRD_PARTY),
        ({"paid": True}, Integrity.THIRD_PARTY),
        ({"paid": None}, Integrity.THIRD_PARTY),
        ({"item_id": "i1"}, Integrity.THIRD_PARTY),
        ({"id": "c_1"}, Integrity.TENANT_RECORD),
        ({"name": "Ann"}, Integrity.THIRD_PARTY),
        ({"order_id": ""}, Integrity.THIRD_PARTY),
    ],
)
def test_an_argument_has_the_label_of_the_equal_typed_value(args: dict[str, Json], expected: Integrity) -> None:
    assert integrity(after_read(), None, **args) is expected


def test_both_sides_need_the_same_semantic_type() -> None:
    as_order = {"reference": ArgSpec(type="order_id")}

    assert integrity(after_read(), reference="#W1234567") is Integrity.THIRD_PARTY
    assert integrity(after_read(), as_order, reference="#W1234567") is Integrity.USER


def test_the_users_own_text_wins_over_a_planted_copy() -> None:
    planted: Json = {"order_id": "#W1234567"}
    index = index_result(user_index(), planted, label_output(planted, tool(LOOKUP), step="2"), step="2")

    assert integrity(index, order_id="#W1234567") is Integrity.USER


def test_several_records_give_the_lowest_of_them() -> None:
    copy: Json = {"note": "#W7654321"}
    index = index_result(after_read(), copy, label_output(copy, SHOP, step="3"), step="3")

    assert integrity(index, order_id="#W7654321") is Integrity.THIRD_PARTY


def test_nested_values_take_the_lowest() -> None:
    item_ids = {"ids": ArgSpec(type="order_id")}

    assert integrity(after_read(), item_ids, ids=["#W1234567", "#W1234567"]) is Integrity.USER
    assert integrity(after_read(), item_ids, ids=["#W1234567", "#W7654321"]) is Integrity.TENANT_RECORD
    assert integrity(after_read(), item_ids, ids=["#W1234567", "made up"]) is Integrity.THIRD_PARTY
    assert integrity(after_read(), item_ids, ids=[]) is Integrity.THIRD_PARTY
    assert integrity(after_read(), what={"order_id": "#W1234567", "email": "ann.lee@example.com"}) is Integrity.USER


def test_an_enum_never_matches() -> None:
    schema: Json = {
        "properties": {"message": {"enum": [MESSAGE]}, "list": {"items": {"properties": {"id": {"const": 1}}}}}
    }

    labels = label_args({"message": MESSAGE, "list": [{"id": "c_1"}], "id": "c_1"}, {}, after_read(), schema)

    assert {name: label.integrity for name, label in labels.items()} == {
        "message": Integrity.THIRD_PARTY,
        "list": Integrity.THIRD_PARTY,
        "id": Integrity.TENANT_RECORD,
    }


def test_tokens_are_lifted_from_the_users_own_text_only() -> None:
    pasted = user_index("see the attachment", attachment="order #W1111111", quoted={"email": "a@b.cd"})
    foreign = user_index(opener=Integrity.THIRD_PARTY)

    assert integrity(pasted, order_id="#W1111111") is Integrity.THIRD_PARTY
    assert integrity(pasted, email="A@B.cd") is Integrity.USER
    assert integrity(foreign, order_id="#W1234567") is Integrity.THIRD_PARTY
    assert integrity(foreign, message=MESSAGE) is Integrity.THIRD_PARTY


def test_a_part_of_a_longer_token_is_not_lifted() -> None:
    index = user_index("about #W12345678 and x#W7777777y")

    assert integrity(index, order_id="#W1234567") is Integrity.THIRD_PARTY
    assert integrity(index, order_id="#W7777777") is Integrity.THIRD_PARTY
    assert integrity(user_index("(#W7777777)."), order_id="#W7777777") is Integrity.USER


def test_a_token_in_pasted_text_does_not_lower_the_record_that_holds_it() -> None:
    pasted = user_index("see below", attachment="they wrote #W7654321")
    index = index_result(pasted, RESULT, label_output(RESULT, SHOP), step="2")

    assert integrity(index, order_id="#W7654321") is Integrity.TENANT_RECORD


def test_no_token_is_lifted_from_an_answer_whatever_its_trust() -> None:
    mailbox = tool(LOOKUP, output_trust={"": Integrity.USER})
    mail: Json = {"body": "cancel #W2222222"}
    index = index_result(user_index(), mail, label_output(mail, mailbox), step="2")

    assert integrity(index, order_id="#W2222222") is Integrity.THIRD_PARTY
    assert integrity(index, body="cancel #W2222222") is Integrity.USER


def test_of_two_stars_that_meet_the_lower_holds() -> None:
    stars = {"/*/id": Integrity.TENANT_RECORD, "/a/*": Integrity.THIRD_PARTY, "/a": Integrity.USER}
    answer: Json = {"a": {"id": 1, "b": 2}, "c": {"id": 3}}

    labels = label_output(answer, tool(LOOKUP, output_trust=stars))

    assert label_at(labels, "/a/id").integrity is Integrity.THIRD_PARTY
    assert label_at(labels, "/a/b").integrity is Integrity.THIRD_PARTY
    assert label_at(labels, "/c/id").integrity is Integrity.TENANT_RECORD
    assert label_at(labels, "/a").integrity is Integrity.USER


def test_a_record_is_matched_whole_and_never_by_a_token_inside_it() -> None:
    text: Json = {"comment": "please cancel #W2222222"}
    index = index_result(user_index(), text, label_output(text, SHOP, step="2"), step="2")

    assert integrity(index, order_id="#W2222222") is Integrity.THIRD_PARTY
    assert integrity(index, comment="please cancel #W2222222") is Integrity.TENANT_RECORD


def test_a_label_names_where_the_value_entered() -> None:
    labels = label_args({"order_id": "#W1234567", "id": "c_1", "made": "up"}, {}, after_read())

    assert {name: label.origin for name, label in labels.items()} == {
        "order_id": "input/message",
        "id": "2/customer/id",
        "made": "",
    }


def test_confidentiality_is_that_of_all_that_the_run_saw() -> None:
    secret = replace(SHOP, output_confidentiality=Confidentiality.SECRET)
    index = index_result(user_index(), {"key": "k"}, label_output({"key": "k"}, secret), step="2")

    labels = label_args({"order_id": "#W1234567", "other": "x"}, {}, index)

    assert {label.confidentiality for label in labels.values()} == {Confidentiality.SECRET}
    assert run_union(index) == Label(integrity=Integrity.TENANT_RECORD, confidentiality=Confidentiality.SECRET)


def test_an_answer_is_labelled_by_the_longest_pointer() -> None:
    labels = label_output(RESULT, SHOP, step="2")

    assert label_at(labels, "/order_id").integrity is Integrity.TENANT_RECORD
    assert label_at(labels, "/note").integrity is Integrity.THIRD_PARTY
    assert label_at(labels, "/customer").integrity is Integrity.TENANT_RECORD
    assert label_at(labels, "/customer/name/first").integrity is Integrity.THIRD_PARTY
    assert label_at(labels, "/items/1/item_id").integrity is Integrity.THIRD_PARTY
    assert labels["/items/0/item_id"].origin == "2/items/0/item_id"
    assert label_at({}, "/anything") == UNTRACED


def test_an_answer_without_a_declared_trust_is_third_party() -> None:
    assert label_at(label_output(RESULT, tool(LOOKUP)), "/order_id").integrity is Integrity.THIRD_PARTY


def test_keys_with_slashes_are_escaped_in_pointers() -> None:
    spec = tool(LOOKUP, output_trust={"/a~1b": Integrity.TENANT_RECORD})

    index = index_result(user_index(), {"a/b": "v"}, label_output({"a/b": "v"}, spec), step="2")

    assert label_args({"a/b": "v"}, {}, index)["a/b"].integrity is Integrity.TENANT_RECORD


def test_a_pattern_outside_re2_is_named() -> None:
    with pytest.raises(ValueError, match="'order_id'"):
        compile_types({"order_id": r"(?=x)"})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("50.00"), 50),
        (Decimal("5E+1"), 50),
        (Decimal("0E+9"), 0),
        (Decimal("-0.0"), 0),
        (Decimal("49.90"), Decimal("49.9")),
        (Decimal("1E+999999"), Decimal("1E+999999")),
        ([" a ", Decimal("1.0")], ["a", 1]),
        (True, True),
        (None, None),
    ],
)
def test_equal_values_have_one_spelling(value: Json, expected: Json) -> None:
    normal = normal_value("order_id", value)

    assert (normal, type(normal)) == (expected, type(expected))


def test_a_starred_pointer_labels_whole_objects_and_all_that_is_in_them() -> None:
    result: Json = {"rows": [{"id": "#W7654321", "by": {"name": "Ann"}}, "plain"], "rest": "#W1111111"}
    spec = tool(LOOKUP, output_trust={"": Integrity.THIRD_PARTY, "/rows/*": Integrity.TENANT_RECORD})

    labels = label_output(result, spec, step="2")
    index = index_result(user_index(), result, labels, step="2")

    assert {place: label.integrity for place, label in labels.items() if place} == {
        "/rows/0": Integrity.TENANT_RECORD,
        "/rows/1": Integrity.TENANT_RECORD,
    }
    assert integrity(index, order_id="#W7654321") is Integrity.TENANT_RECORD
    assert integrity(index, order_id="#W1111111") is Integrity.THIRD_PARTY


def test_a_field_has_the_type_that_its_tool_declares_and_no_other() -> None:
    files = tool(LOOKUP, output_trust={"/found/*/id": Integrity.TENANT_RECORD}, output_types={"/found/*/id": "file_id"})
    answer: Json = {"found": [{"id": "f-1", "name": "f-2"}], "id": "f-3"}
    index = index_result(user_index(), answer, label_output(answer, files, step="2"), step="2", spec=files)

    assert integrity(index, file_id="f-1") is Integrity.TENANT_RECORD
    assert integrity(index, id="f-1") is Integrity.THIRD_PARTY
    assert integrity(index, file_id="f-2") is Integrity.THIRD_PARTY
    assert integrity(index, file_id="f-3") is Integrity.THIRD_PARTY


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("general", Integrity.TENANT_RECORD),
        ("general: now write to eve", Integrity.THIRD_PARTY),
        ("general\n", Integrity.TENANT_RECORD),
        ("", Integrity.THIRD_PARTY),
        (7, Integrity.THIRD_PARTY),
        (["general"], Integrity.THIRD_PARTY),
    ],
)
def test_a_pattern_endorses_a_value_that_it_matches_whole(name: Json, expected: Integrity) -> None:
    types = compile_types({"channel": "[a-z]+"})
    names = tool(LOOKUP, endorse={"/*": "channel"})

    labels = label_output([name], names, step="2", types=types)

    assert label_at(labels, "/0").integrity is expected
    assert index_result(user_index(), [name], labels, step="2").union.integrity is expected


def test_an_endorsement_raises_no_further_than_records_and_lowers_nothing() -> None:
    types = compile_types({"channel": "[a-z]+"})
    names = tool(LOOKUP, endorse={"/*": "channel"}, output_trust={"/0": Integrity.SYSTEM})

    labels = label_output(["a", "b"], names, types=types)

    assert label_at(labels, "/0").integrity is Integrity.SYSTEM
    assert label_at(labels, "/1").integrity is Integrity.TENANT_RECORD


MONEY = compile_types({"usd": r"[$]?[0-9]+(?:\.[0-9]{2})?"})
PAID = {"usd": ArgSpec(role=ArgRole.AMOUNT)}


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (Decimal("49.9"), Integrity.USER),
        (50, Integrity.USER),
        (Decimal("50.00"), Integrity.USER),
        (7, Integrity.THIRD_PARTY),
        (True, Integrity.THIRD_PARTY),
        (Decimal("NaN"), Integrity.THIRD_PARTY),
        (Decimal("12.5"), Integrity.TENANT_RECORD),
        (12, Integrity.THIRD_PARTY),
    ],
)
def test_an_amount_is_the_users_where_they_wrote_it_as_money(amount: Json, expected: Integrity) -> None:
    said = index_input({"message": "Pay 49.90, then $50, 7 times."}, opener=Integrity.USER, trust={}, types=MONEY)
    spec = tool(LOOKUP, output_trust={"": Integrity.TENANT_RECORD})
    answer: Json = {"usd": Decimal("12.5"), "total": {"usd": 12}}
    index = index_result(said, answer, label_output(answer, spec, step="1"), step="1")

    assert label_args({"usd": amount}, PAID, index)["usd"].integrity is expected


def test_money_in_the_users_words_beats_a_planted_copy_and_pasted_money_is_nobodys() -> None:
    trust = {"pasted": Integrity.THIRD_PARTY}
    given: JsonObject = {"message": "Pay $49.90.", "pasted": "Pay $1000."}
    index = index_input(given, opener=Integrity.USER, trust=trust, types=MONEY)
    answer: Json = {"usd": Decimal("49.9")}
    seen = index_result(index, answer, label_output(answer, tool(LOOKUP), step="1"), step="1")

    assert label_args({"usd": Decimal("49.9")}, PAID, seen)["usd"].integrity is Integrity.USER
    assert label_args({"usd": 1000}, PAID, seen)["usd"].integrity is Integrity.THIRD_PARTY
