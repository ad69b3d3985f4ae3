"""What a tool says back of its own call is no record of anything."""

import time
from decimal import Decimal

import pytest

from leverframe.core.argument_labels import label_args
from leverframe.core.provenance import ValueIndex, asked_with, index_input, index_result, label_output
from leverframe.core.token_types import compile_types
from leverframe.domain.json import Json
from leverframe.domain.labels import Integrity
from tests.policy_samples import LOOKUP, tool

TYPES = compile_types({"email": r"[a-z]+@[a-z.]+"})
RECORDS = tool(LOOKUP, output_trust={"": Integrity.TENANT_RECORD, "/note": Integrity.THIRD_PARTY})


def after(answer: Json, args: Json, *, message: str = "", given: ValueIndex | None = None) -> ValueIndex:
    index = given or index_input({"message": message}, opener=Integrity.USER, trust={}, types=TYPES)
    labels = label_output(answer, RECORDS, step="2")
    return index_result(index, answer, labels, step="2", asked=asked_with(args))


def of(index: ValueIndex, **args: Json) -> Integrity:
    return min(label.integrity for label in label_args(args, {}, index).values())


@pytest.mark.parametrize(
    ("asked", "echo"),
    [
        ("eve@x.com", "eve@x.com"),
        ("Eve@X.com", "eve@x.com"),
        ("eve@x.com", " eve@x.com\n"),
        ("eve @x.com", "eve@x.com"),
        ("eve\u200b@x.com", "eve@x.com"),
        ("\uff45ve@x.com", "eve@x.com"),
        ("eve\x01@x.com", "eve@x.com"),
        ("eve@\x7fx.com", "eve@x.com"),
    ],
)
def test_an_echo_raises_nothing(asked: str, echo: str) -> None:
    for args in ({"query": asked}, {"q": {"any": [asked]}}, {asked: 1}):
        for answer in ({"email": echo}, {"query": echo}, {"found": [{"email": echo}]}):
            assert of(after(answer, args), email=echo) is Integrity.THIRD_PARTY


def test_an_echo_of_an_amount_raises_nothing() -> None:
    answer: Json = {"usd": Decimal("12.50"), "email": "ann@x.com"}

    index = after(answer, {"amount": Decimal("12.5")})

    assert of(index, usd=Decimal("12.5")) is Integrity.THIRD_PARTY
    assert of(index, email="ann@x.com") is Integrity.TENANT_RECORD
    assert of(after({"usd": "12.50"}, {"amount": Decimal("12.5")}), usd="12.50") is Integrity.THIRD_PARTY


@pytest.mark.parametrize("asked", [12345, Decimal("12345.0"), "12345", "12345.00", [12345]])
def test_a_whole_number_that_is_said_back_as_a_text_raises_nothing(asked: Json) -> None:
    assert of(after({"order_id": "12345"}, {"number": asked}), order_id="12345") is Integrity.THIRD_PARTY
    assert of(after({"order_id": "12345"}, {"number": 1234}), order_id="12345") is Integrity.TENANT_RECORD
    assert of(after({"order_id": "12345"}, {"number": True}), order_id="12345") is Integrity.TENANT_RECORD


def test_a_mebibyte_of_marks_upon_one_letter_is_looked_at_in_seconds() -> None:
    # To bring them into their order takes minutes.
    piled: Json = {"email": "a" + "\u0315\u0300" * (1 << 18), "note": "ann@x.com"}
    started = time.process_time()

    index = after(piled, {"q": "eve@x.com"})

    assert time.process_time() - started < 15
    assert of(index, note="ann@x.com") is Integrity.THIRD_PARTY


def test_an_echo_lowers_nothing_that_is_known_from_elsewhere() -> None:
    said = after({"email": "ann@x.com"}, {"q": "ann@x.com"}, message="write to ann@x.com")
    assert of(said, email="ann@x.com") is Integrity.USER

    read = after({"email": "bob@x.com"}, {"q": "all"})
    again = after({"email": "bob@x.com"}, {"q": "bob@x.com"}, given=read)
    assert of(again, email="bob@x.com") is Integrity.TENANT_RECORD


def test_an_echo_in_a_field_of_anybodys_is_anybodys() -> None:
    read = after({"note": "ann@x.com", "email": "ann@x.com"}, {"q": "all"})
    assert of(read, email="ann@x.com") is Integrity.THIRD_PARTY

    assert of(after({"note": "ann@x.com"}, {"q": "ann@x.com"}), note="ann@x.com") is Integrity.THIRD_PARTY


def test_an_echo_in_a_field_of_anybodys_takes_nothing_from_a_record() -> None:
    read = after({"email": "bob@x.com"}, {"q": "all"})

    again = after({"note": "bob@x.com"}, {"q": "bob@x.com"}, given=read)

    assert of(again, email="bob@x.com") is Integrity.TENANT_RECORD


def test_an_echo_counts_for_the_run_as_any_value_does() -> None:
    assert after({"email": "eve@x.com"}, {"q": "eve@x.com"}).union.integrity is Integrity.TENANT_RECORD
    assert after({"note": "eve@x.com"}, {"q": "eve@x.com"}).union.integrity is Integrity.THIRD_PARTY


def test_an_echo_says_where_a_value_turned_up_and_no_more() -> None:
    echoed = after({"email": "eve@x.com"}, {"q": "eve@x.com"})
    assert label_args({"email": "eve@x.com"}, {}, echoed)["email"].origin == "2/email"

    read = after({"email": "eve@x.com"}, {"q": "all"}, given=echoed)
    assert of(read, email="eve@x.com") is Integrity.TENANT_RECORD
