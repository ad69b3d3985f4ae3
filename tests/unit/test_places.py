"""Where a value stands, also where a sender makes its place as long as they can."""

import pytest

from leverframe.core.agent_view import Source, view
from leverframe.core.argument_labels import label_args
from leverframe.core.endorsements import named_at
from leverframe.core.places import (
    MAX_PLACE_CHARS,
    child,
    escaped,
    is_far,
    label_at,
    place_of,
    stands_for,
    walk,
    walk_labelled,
)
from leverframe.core.provenance import ValueIndex, index_result, label_output
from leverframe.domain.context_rules import Untrusted
from leverframe.domain.json import Json
from leverframe.domain.labels import Confidentiality, Integrity
from tests.policy_samples import LOOKUP, tool

LONG = "k" * 200_000
RECORDS = {"": Integrity.TENANT_RECORD}


def nested(key: str, levels: int, leaf: Json) -> Json:
    for _ in range(levels):
        leaf = {key: leaf}
    return leaf


def test_the_places_of_a_value_are_short_however_long_its_keys_are() -> None:
    value: Json = {LONG: [str(at) for at in range(20_000)], "deep": nested("a" * 64, 100, ["x"] * 1_000)}

    places = [place for place, _, _ in walk(value)]

    assert len(set(places)) == len(places) == 21_000
    assert max(map(len, places)) <= MAX_PLACE_CHARS


def test_two_long_keys_are_two_places() -> None:
    assert child("", LONG) != child("", LONG + "k")
    assert child(child("", LONG), "a") != child(child("", LONG + "k"), "a")


@pytest.mark.parametrize("key", ["a", "a/b", "a~b", "", "~2" + "0" * 32, "~3", "*", "ü" * 65, LONG])
def test_a_pointer_that_writes_a_key_out_names_its_place(key: str) -> None:
    written = "/" + key.replace("~", "~0").replace("/", "~1") + "/0"
    value: Json = {key: ["here"]}

    assert place_of(written) == next(place for place, _, _ in walk(value))
    for pointer in (written, f"/{escaped(key)}/0"):
        found = named_at(value, pointer)
        assert found is not None
        assert (found.name, found.value) == (key, "here")


@pytest.mark.parametrize("pointer", ["/b", "/a/1", "/a/00", "/a/-1", "/a/0/x", "a", "/~2" + "0" * 32, "/~3" + "0" * 32])
def test_a_pointer_to_nothing_names_nothing(pointer: str) -> None:
    assert named_at({"a": [1]}, pointer) is None


def test_a_long_key_of_a_spec_is_found_and_a_star_stands_for_one() -> None:
    key = "ship to / address ~ " * 5
    written = "/" + key.replace("~", "~0").replace("/", "~1")
    spec = tool(
        LOOKUP,
        output_trust={**RECORDS, written: Integrity.THIRD_PARTY, "/*/note": Integrity.THIRD_PARTY},
        output_types={f"{written}/id": "order_id"},
    )
    answer: Json = {key: {"id": "o1"}, LONG: {"note": "obey", "id": "o2"}}
    labels = label_output(answer, spec, step="2")
    index = index_result(ValueIndex(), answer, labels, step="2", spec=spec)

    assert index.known["order_id", "o1"].integrity is Integrity.THIRD_PARTY
    assert index.known["note", "obey"].integrity is Integrity.THIRD_PARTY
    assert index.known["id", "o2"].integrity is Integrity.TENANT_RECORD


def test_what_stands_further_in_than_a_place_tells_is_nobodys_whatever_a_spec_says() -> None:
    spec = tool(
        LOOKUP,
        output_trust={**RECORDS, "/*": Integrity.TENANT_RECORD},
        output_confidentiality=Confidentiality.SECRET,
    )
    answer: Json = {"near": "n", "deep": nested("a" * 64, 20, {"id": "far"})}
    labels = label_output(answer, spec, step="2")
    index = index_result(ValueIndex(), answer, labels, step="2")
    place, label = next((place, label) for place, key, _, label in walk_labelled(answer, labels) if key == "id")

    assert is_far(place)
    assert label == label_at(labels, place)
    assert (label.integrity, label.confidentiality) == (Integrity.THIRD_PARTY, Confidentiality.SECRET)
    assert label_args({"id": "far"}, {}, index)["id"].integrity is Integrity.THIRD_PARTY
    assert label_args({"near": "n"}, {}, index)["near"].integrity is Integrity.TENANT_RECORD
    assert index.union.integrity is Integrity.THIRD_PARTY
    assert not stands_for("/*", place)


@pytest.mark.parametrize("how", [Untrusted.PLAIN, Untrusted.QUOTE, Untrusted.HIDE])
def test_what_stands_that_far_in_is_shown_as_untrusted_text_is(how: Untrusted) -> None:
    text = "two words\u200b"
    answer: Json = nested("a" * 64, 20, [text, text])
    labels = label_output(answer, tool(LOOKUP, output_trust=RECORDS))

    viewed = view(
        answer, labels, Source(name="t"), how=how, is_cleaned=True, marker="\ue000", handle=lambda place: "h_" + place
    )

    leaf: Json = viewed.shown
    while isinstance(leaf, dict) and "$ref" not in leaf:
        leaf = next(iter(leaf.values()))
    assert (
        leaf
        == {
            Untrusted.PLAIN: ["two words"] * 2,
            Untrusted.QUOTE: ["two\ue000words"] * 2,
            Untrusted.HIDE: leaf,
        }[how]
    )
    assert len(viewed.hidden) == (how is Untrusted.HIDE)
