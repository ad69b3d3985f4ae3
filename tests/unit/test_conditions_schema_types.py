"""JSON Schema as types of conditions."""

import pytest

from leverframe.core.conditions import ANY, type_of_schema, with_units
from leverframe.domain.conditions import (
    BoolType,
    ListType,
    MapType,
    NullType,
    NumberType,
    StringType,
    Type,
    UnionType,
)

NUMBER, TEXT, FLAG, NULL = NumberType(), StringType(), BoolType(), NullType()


def closed(**fields: Type) -> MapType:
    return MapType(fields=fields)


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        (True, ANY),
        (False, ANY),
        ({}, ANY),
        (None, ANY),
        ({"type": "string", "format": "date"}, TEXT),
        ({"type": "integer", "minimum": 0}, NUMBER),
        ({"type": "boolean"}, FLAG),
        ({"type": "null"}, NULL),
        ({"type": "teapot"}, ANY),
        ({"type": ["number", "null"]}, UnionType(members=(NUMBER, NULL))),
        ({"type": "number", "nullable": True}, UnionType(members=(NUMBER, NULL))),
        ({"enum": ["a", "b"]}, StringType(choices=frozenset("ab"))),
        ({"type": "string", "const": "a"}, StringType(choices=frozenset("a"))),
        ({"enum": ["a", 1, None]}, UnionType(members=(NUMBER, NULL, StringType(choices=frozenset("a"))))),
        ({"type": "array", "items": {"type": "string"}}, ListType(item=TEXT)),
        ({"type": "array"}, ListType(item=ANY)),
        ({"items": {"type": "number"}}, ListType(item=NUMBER)),
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": False}, ListType(item=ANY)),
        ({"type": "object"}, MapType(fields={}, extra=ANY)),
        ({"properties": {"a": {"type": "string"}}}, closed(a=TEXT)),
        ({"properties": {"a": True, "b": False}}, closed(a=ANY)),
        ({"properties": {"a": True}, "additionalProperties": True}, MapType(fields={"a": ANY}, extra=ANY)),
        ({"additionalProperties": {"type": "number"}}, MapType(fields={}, extra=NUMBER)),
        ({"type": "object", "additionalProperties": False}, closed()),
        ({"properties": {"a": True}, "patternProperties": {"^x": True}}, MapType(fields={"a": ANY}, extra=ANY)),
        (
            {"properties": {"a": True}, "patternProperties": {"^x": True}, "additionalProperties": False},
            MapType(fields={"a": ANY}, extra=ANY),
        ),
        ({"properties": {"a": True}, "if": {}, "then": {}}, MapType(fields={"a": ANY}, extra=ANY)),
        ({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "string"}]}, UnionType(members=(TEXT, NUMBER))),
        ({"anyOf": [{"type": "string"}, {}]}, ANY),
        (
            {"type": "string", "anyOf": [{"enum": ["a"]}, {"enum": ["b"]}]},
            UnionType(members=(StringType(choices=frozenset("a")), StringType(choices=frozenset("b")))),
        ),
        (
            {"allOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"b": {"type": "number"}}}]},
            closed(a=TEXT, b=NUMBER),
        ),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "allOf": [{"required": ["a"]}]}, closed(a=TEXT)),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "string"}}}, TEXT),
        ({"$ref": "#/$defs/x~1y%20z", "$defs": {"x/y z": {"type": "string"}}}, TEXT),
        ({"$ref": "#/examples/0", "examples": [{"type": "string"}]}, TEXT),
        ({"$ref": "other.json#/x"}, ANY),
        ({"$ref": "#/nowhere"}, ANY),
        ({"$ref": "#"}, ANY),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, ANY),
    ],
)
def test_a_schema_says_what_a_field_may_be(schema: object, found: Type) -> None:
    assert type_of_schema(schema) == found


def test_a_schema_that_holds_itself_is_known_down_to_where_it_begins_again() -> None:
    tree = {"properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/t"}}}}

    found = type_of_schema({"$ref": "#/$defs/t", "$defs": {"t": tree}})

    assert found == closed(name=TEXT, children=ListType(item=ANY))


def test_a_schema_nested_beyond_reason_is_any_type_at_the_bottom() -> None:
    schema: dict[str, object] = {"type": "string"}
    for _ in range(5000):
        schema = {"type": "array", "items": schema}

    found = type_of_schema(schema)

    for _ in range(32):
        assert isinstance(found, ListType)
        found = found.item
    assert found == ANY


def test_units_belong_to_numbers_alone() -> None:
    base = type_of_schema(
        {"properties": {"usd": {"type": ["number", "null"]}, "note": {"type": "string"}, "n": {"type": "number"}}}
    )

    found = with_units(base, {"usd": "USD", "note": "USD", "absent": "USD"})

    assert found == closed(usd=UnionType(members=(NumberType(unit="USD"), NULL)), note=TEXT, n=NUMBER)
    assert with_units(ANY, {"usd": "USD"}) == ANY
