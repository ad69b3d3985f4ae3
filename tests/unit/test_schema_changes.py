"""The answer of `tools diff` for schemas, pair by pair."""

from decimal import Decimal

import pytest

from leverframe.core.schema_changes import Change, input_change, output_change
from leverframe.domain.json import Json, JsonObject

EQUAL, WIDENED, BREAKING, NARROWED, UNKNOWN = (
    Change.EQUAL,
    Change.WIDENED,
    Change.BREAKING,
    Change.NARROWED,
    Change.UNKNOWN,
)
TEXT: JsonObject = {"type": "string"}
NUMBER: JsonObject = {"type": "number"}


def takes(*required: str, **properties: Json) -> dict[str, Json]:
    """Arguments as most servers write them: an object that is left open."""
    found: dict[str, Json] = {"type": "object", "properties": properties}
    return {**found, "required": list(required)} if required else found


def strict(*required: str, **properties: Json) -> dict[str, Json]:
    return {**takes(*required, **properties), "additionalProperties": False}


NESTED = takes(order=takes("id", id=TEXT))
REFERRED: JsonObject = {**takes(order={"$ref": "#/$defs/Order"}), "$defs": {"Order": takes("id", id=TEXT)}}
LIST = takes(items={"type": "array", "items": TEXT})

ONE_OF_TWO: list[Json] = [{"required": ["id"]}, {"required": ["name"]}]
IF_A: dict[str, Json] = {"if": {"properties": {"k": {"const": "a"}}}, "then": {"required": ["v"]}}
COMPOSED: list[tuple[str, JsonObject, JsonObject, Change]] = [
    (
        "anyOf required + new optional",
        {**takes(id=TEXT, name=TEXT), "anyOf": ONE_OF_TWO},
        {**takes(id=TEXT, name=TEXT, memo=TEXT), "anyOf": ONE_OF_TWO},
        WIDENED,
    ),
    (
        "oneOf required + new optional",
        {**takes(id=TEXT, name=TEXT), "oneOf": ONE_OF_TWO},
        {**takes(id=TEXT, name=TEXT, memo=TEXT), "oneOf": ONE_OF_TWO},
        WIDENED,
    ),
    (
        "allOf branch + new optional in branch",
        {**takes(id=TEXT), "allOf": [takes(a=TEXT)]},
        {**takes(id=TEXT), "allOf": [takes(a=TEXT, memo=TEXT)]},
        WIDENED,
    ),
    (
        "allOf only",
        {"type": "object", "allOf": [takes(a=TEXT), takes(b=TEXT)]},
        {"type": "object", "allOf": [takes(a=TEXT), takes(b=TEXT, c=TEXT)]},
        WIDENED,
    ),
    ("allOf flattened", {"type": "object", "allOf": [takes(a=TEXT), takes(b=TEXT)]}, takes(a=TEXT, b=TEXT), EQUAL),
    ("allOf removed branch", {**takes(id=TEXT), "allOf": [{"required": ["id"]}]}, takes(id=TEXT), WIDENED),
    ("allOf required added", takes(id=TEXT), {**takes(id=TEXT), "allOf": [{"required": ["id"]}]}, BREAKING),
    ("if/then + new optional", {**takes(k=TEXT, v=TEXT), **IF_A}, {**takes(k=TEXT, v=TEXT, m=TEXT), **IF_A}, WIDENED),
    (
        "patternProperties + new optional",
        {**takes(id=TEXT), "patternProperties": {"^x-": TEXT}},
        {**takes(id=TEXT, memo=TEXT), "patternProperties": {"^x-": TEXT}},
        WIDENED,
    ),
    (
        "patternProperties widened",
        {**takes(id=TEXT), "patternProperties": {"^x-": TEXT}},
        {**takes(id=TEXT), "patternProperties": {"^x-": {"type": ["string", "number"]}}},
        WIDENED,
    ),
    (
        "patternProperties narrowed",
        {**takes(id=TEXT), "patternProperties": {"^x-": {"type": ["string", "number"]}}},
        {**takes(id=TEXT), "patternProperties": {"^x-": TEXT}},
        BREAKING,
    ),
    ("patternProperties added", takes(id=TEXT), {**takes(id=TEXT), "patternProperties": {"^x-": TEXT}}, WIDENED),
    ("patternProperties removed", {**takes(id=TEXT), "patternProperties": {"^x-": TEXT}}, takes(id=TEXT), BREAKING),
    (
        "ref + properties + new optional",
        {**takes(id=TEXT), "$ref": "#/$defs/B", "$defs": {"B": takes(b=TEXT)}},
        {**takes(id=TEXT), "$ref": "#/$defs/B", "$defs": {"B": takes(b=TEXT, c=TEXT)}},
        WIDENED,
    ),
    (
        "anyOf branch names more",
        {**takes(id=TEXT), "anyOf": [takes("a", a=TEXT), takes("b", b=TEXT)]},
        {**takes(id=TEXT), "anyOf": [takes("a", a=TEXT), takes("b", b=TEXT), takes("c", c=TEXT)]},
        WIDENED,
    ),
    (
        "anyOf branch removed",
        {**takes(id=TEXT), "anyOf": [takes("a", a=TEXT), takes("b", b=TEXT)]},
        {**takes(id=TEXT), "anyOf": [takes("a", a=TEXT)]},
        BREAKING,
    ),
    (
        "nested anyOf object + new optional",
        takes(o={**takes(id=TEXT, name=TEXT), "anyOf": ONE_OF_TWO}),
        takes(o={**takes(id=TEXT, name=TEXT, memo=TEXT), "anyOf": ONE_OF_TWO}),
        WIDENED,
    ),
    (
        "dependentSchemas + new optional",
        {**takes(a=TEXT, b=TEXT), "dependentSchemas": {"a": {"required": ["b"]}}},
        {**takes(a=TEXT, b=TEXT, c=TEXT), "dependentSchemas": {"a": {"required": ["b"]}}},
        WIDENED,
    ),
    (
        "allOf: prop renamed",
        {**takes(id=TEXT), "allOf": [takes(a=TEXT)]},
        {**takes(id=TEXT), "allOf": [takes(b=TEXT)]},
        BREAKING,
    ),
    (
        "not",
        {**takes(id=TEXT, n=TEXT), "not": {"required": ["id", "n"]}},
        {
            **takes(id=TEXT, n=TEXT),
        },
        WIDENED,
    ),
    (
        "allOf nested in part new optional",
        {"type": "object", "allOf": [takes(o=takes(id=TEXT))]},
        {"type": "object", "allOf": [takes(o=takes(id=TEXT, m=TEXT))]},
        WIDENED,
    ),
    (
        "oneOf discriminated new field",
        {"type": "object", "oneOf": [takes("k", k={"const": "a"}, x=TEXT), takes("k", k={"const": "b"}, y=TEXT)]},
        {
            "type": "object",
            "oneOf": [takes("k", k={"const": "a"}, x=TEXT, z=TEXT), takes("k", k={"const": "b"}, y=TEXT)],
        },
        WIDENED,
    ),
]

INPUTS: list[tuple[str, JsonObject, JsonObject, Change]] = [
    ("nothing", takes("id", id=TEXT), takes("id", id=TEXT), EQUAL),
    ("the order of keys", takes(id=TEXT, n=NUMBER), takes(n=NUMBER, id=TEXT), EQUAL),
    ("a description", takes(id=TEXT), takes(id={**TEXT, "description": "The order."}), EQUAL),
    ("a title and examples", takes(id=TEXT), {**takes(id={**TEXT, "examples": ["x"]}), "title": "Refund"}, EQUAL),
    ("a default", takes(id=TEXT), takes(id={**TEXT, "default": "x"}), EQUAL),
    ("a type written as a list", takes(id=TEXT), takes(id={"type": ["string"]}), EQUAL),
    ("an enum in another order", takes(k={"enum": ["a", "b"]}), takes(k={"enum": ["b", "a"]}), EQUAL),
    ("a const for an enum of one", takes(k={"enum": ["a"]}), takes(k={"const": "a"}), EQUAL),
    (
        "anyOf for a list of types",
        takes(k={"type": ["string", "null"]}),
        takes(k={"anyOf": [TEXT, {"type": "null"}]}),
        EQUAL,
    ),
    ("a reference for what it refers to", NESTED, REFERRED, EQUAL),
    ("closed, of which nobody sends more", takes(id=TEXT), strict(id=TEXT), EQUAL),
    ("no arguments, said aloud", {"type": "object"}, strict(), EQUAL),
    ("a new optional argument", takes("id", id=TEXT), takes("id", id=TEXT, notes=TEXT), WIDENED),
    ("a new optional argument of a closed one", strict("id", id=TEXT), strict("id", id=TEXT, notes=TEXT), WIDENED),
    ("a first argument", {"type": "object"}, takes(notes=TEXT), WIDENED),
    ("an optional argument deep inside", NESTED, takes(order=takes("id", id=TEXT, memo=TEXT)), WIDENED),
    (
        "an optional argument behind a reference",
        REFERRED,
        {**REFERRED, "$defs": {"Order": takes("id", id=TEXT, memo=TEXT)}},
        WIDENED,
    ),
    (
        "an optional argument of list items",
        takes(l={"type": "array", "items": takes(a=TEXT)}),
        takes(l={"type": "array", "items": takes(a=TEXT, b=TEXT)}),
        WIDENED,
    ),
    ("a closed object that opens", strict(id=TEXT), {**takes(id=TEXT), "additionalProperties": True}, WIDENED),
    ("a free map for a closed one", strict(id=TEXT), {**takes(id=TEXT), "additionalProperties": TEXT}, WIDENED),
    ("required becomes optional", takes("id", id=TEXT), takes(id=TEXT), WIDENED),
    ("an enum with another word", takes(k={"enum": ["a"]}), takes(k={"enum": ["a", "b"]}), WIDENED),
    ("an enum that becomes free text", takes(k={"enum": ["a"]}), takes(k=TEXT), WIDENED),
    ("an integer that becomes a number", takes(n={"type": "integer"}), takes(n=NUMBER), WIDENED),
    ("a text that may be null", takes(id=TEXT), takes(id={"type": ["string", "null"]}), WIDENED),
    ("a longer text", takes(id={**TEXT, "maxLength": 8}), takes(id={**TEXT, "maxLength": 800}), WIDENED),
    ("a pattern that goes", takes(id={**TEXT, "pattern": "^W[0-9]+$"}), takes(id=TEXT), WIDENED),
    ("a format that goes", takes(id={**TEXT, "format": "date"}), takes(id=TEXT), WIDENED),
    ("a higher maximum", takes(n={**NUMBER, "maximum": 50}), takes(n={**NUMBER, "maximum": 5000}), WIDENED),
    (
        "a higher exact maximum",
        takes(n={**NUMBER, "maximum": Decimal("49.90")}),
        takes(n={**NUMBER, "maximum": Decimal("49.91")}),
        WIDENED,
    ),
    ("more items", takes(l={"type": "array", "maxItems": 1}), takes(l={"type": "array", "maxItems": 100}), WIDENED),
    ("another way to say it", takes(k=TEXT), takes(k={"anyOf": [TEXT, takes(raw=TEXT)]}), WIDENED),
    ("an argument of any kind", takes(k=TEXT), takes(k={}), WIDENED),
    ("a new required argument", takes("id", id=TEXT), takes("id", "why", id=TEXT, why=TEXT), BREAKING),
    ("optional becomes required", takes(id=TEXT), takes("id", id=TEXT), BREAKING),
    ("an argument that goes", takes(id=TEXT, note=TEXT), takes(id=TEXT), BREAKING),
    ("an argument under another name", takes("id", id=TEXT), takes("order_id", order_id=TEXT), BREAKING),
    ("another type", takes(id=TEXT), takes(id=NUMBER), BREAKING),
    ("a number that becomes an integer", takes(n=NUMBER), takes(n={"type": "integer"}), BREAKING),
    ("an enum without a word", takes(k={"enum": ["a", "b"]}), takes(k={"enum": ["a"]}), BREAKING),
    ("a pattern that comes", takes(id=TEXT), takes(id={**TEXT, "pattern": "^W"}), BREAKING),
    ("a format that comes", takes(id=TEXT), takes(id={**TEXT, "format": "email"}), BREAKING),
    ("a lower maximum", takes(n={**NUMBER, "maximum": 50}), takes(n={**NUMBER, "maximum": 5}), BREAKING),
    ("an exclusive maximum", takes(n={**NUMBER, "maximum": 50}), takes(n={**NUMBER, "exclusiveMaximum": 50}), BREAKING),
    ("a shorter text", takes(id=TEXT), takes(id={**TEXT, "maxLength": 3}), BREAKING),
    ("items of another type", LIST, takes(items={"type": "array", "items": NUMBER}), BREAKING),
    ("items that must differ", LIST, takes(items={"type": "array", "items": TEXT, "uniqueItems": True}), BREAKING),
    (
        "an argument deep inside that goes",
        takes(order=takes(id=TEXT, memo=TEXT)),
        takes(order=takes(id=TEXT)),
        BREAKING,
    ),
    ("a free map that closes", {**takes(), "additionalProperties": True}, strict(), BREAKING),
    ("nothing is right any more", takes(id=TEXT), {"not": {}}, BREAKING),
    ("a reference that leads out", takes(id=TEXT), takes(id={"$ref": "https://example.com/order.json"}), UNKNOWN),
    ("a reference that leads nowhere", takes(id=TEXT), takes(id={"$ref": "#/$defs/Order"}), UNKNOWN),
    ("a schema that is none", takes(id=TEXT), takes(id={"type": "text"}), UNKNOWN),
    ("a pattern that is none", takes(id=TEXT), takes(id={**TEXT, "pattern": "("}), UNKNOWN),
]

OUTPUTS: list[tuple[str, JsonObject | None, JsonObject | None, Change]] = [
    ("nothing", takes("id", id=TEXT), takes("id", id=TEXT), EQUAL),
    ("no schema, as before", None, None, EQUAL),
    ("a description", takes("id", id=TEXT), takes("id", id={**TEXT, "description": "x"}), EQUAL),
    ("a field more", takes("id", id=TEXT), takes("id", id=TEXT, memo=TEXT), WIDENED),
    ("a field that is always there now", takes(id=TEXT), takes("id", id=TEXT), NARROWED),
    ("fewer words", takes("k", k={"enum": ["a", "b"]}), takes("k", k={"enum": ["a"]}), NARROWED),
    ("a schema where there was none", None, {"type": "object"}, NARROWED),
    ("a field that may be missing", takes("id", id=TEXT), takes(id=TEXT), BREAKING),
    ("a field that goes", takes("id", id=TEXT), takes(), BREAKING),
    ("a field of another type", takes("id", id=TEXT), takes("id", id=NUMBER), BREAKING),
    ("a word that nobody expects", takes("k", k={"enum": ["a"]}), takes("k", k={"enum": ["a", "b"]}), BREAKING),
    ("a field that may be null", takes("id", id=TEXT), takes("id", id={"type": ["string", "null"]}), BREAKING),
    ("no schema any more", {"type": "object"}, None, BREAKING),
]


@pytest.mark.parametrize(
    ("old", "new", "change"), [row[1:] for row in (*INPUTS, *COMPOSED)], ids=[row[0] for row in (*INPUTS, *COMPOSED)]
)
def test_a_change_of_arguments_is_called_what_it_is(old: JsonObject, new: JsonObject, change: Change) -> None:
    assert input_change(old, new).change is change


@pytest.mark.parametrize(("old", "new", "change"), [row[1:] for row in OUTPUTS], ids=[row[0] for row in OUTPUTS])
def test_a_change_of_answers_is_called_what_it_is(
    old: JsonObject | None, new: JsonObject | None, change: Change
) -> None:
    assert output_change(old, new).change is change


def test_new_and_lost_arguments_are_named_by_their_place() -> None:
    old = takes(order=takes(id=TEXT), gone=TEXT)
    new = takes(order=takes(id=TEXT, memo=TEXT), lines={"type": "array", "items": takes(note=TEXT)})

    found = input_change(old, new)

    assert found.added == ("/lines", "/lines/*/note", "/order/memo")
    assert found.removed == ("/gone",)


def test_a_schema_that_refers_to_itself_is_compared_and_comes_to_an_end() -> None:
    tree: JsonObject = {
        **takes(node={"$ref": "#/$defs/Node"}),
        "$defs": {"Node": takes(next={"$ref": "#/$defs/Node"}, v=TEXT)},
    }

    assert input_change(tree, {**tree, "title": "Tree"}).change in {EQUAL, UNKNOWN}
    assert input_change(tree, takes(node=NUMBER)).change is not EQUAL


def test_an_unknown_answer_says_why() -> None:
    assert input_change(takes(id=TEXT), takes(id={"$ref": "https://example.com/order.json"})).because
