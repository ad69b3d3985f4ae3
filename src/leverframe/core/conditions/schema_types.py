"""JSON Schema to the types of conditions.

Knows: which part of a schema says what a field may be.  What it cannot read becomes "any type", so a schema it does
not understand weakens the check of a condition and never refuses a right one.  Time is bounded: a `$ref` is read
once, one that leads back to itself is any type there, and so is what is left after `_MAX_STEPS`.
Source: JSON Schema 2020-12, Core and Validation.

An object that lists `properties` and does not speak of others is taken to have no others, although a validator would
let them through: that is what turns a misspelt argument into an error.  `additionalProperties: true` says otherwise.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote

from leverframe.domain.conditions import (
    AnyType,
    BoolType,
    ListType,
    MapType,
    NullType,
    NumberType,
    StringType,
    Type,
    UnionType,
)

ANY: Final = AnyType()
_MAX_DEPTH: Final = 32
_MAX_MEMBERS: Final = 16
# A schema may come from a stranger's server, and a few `$ref`s joined by `allOf` can ask for 2^32 fields.
_MAX_STEPS: Final = 50_000
_INDEX = re.compile(r"[0-9]{1,6}")
_OPENS = ("patternProperties", "if", "dependentSchemas", "unevaluatedProperties", "not")
_OBJECT_WORDS = frozenset({"properties", "additionalProperties", "patternProperties"})
_LIST_WORDS = frozenset({"items", "prefixItems"})


def type_of_schema(schema: object) -> Type:
    """Read a JSON Schema, an object or a boolean, as a type.  Never raises: what it cannot read is any type."""
    return _SchemaReader(schema).read(schema, _MAX_DEPTH)


def with_units(base: Type, units: Mapping[str, str]) -> Type:
    """Give a unit to the numbers among the fields of an object: `{"amount_usd": "USD"}`.

    Two numbers of different units neither compare nor add; a field that is no number keeps its type.
    """
    if not isinstance(base, MapType):
        return base
    fields = {name: _in_unit(field, units.get(name, "")) for name, field in base.fields.items()}
    return MapType(fields=fields, extra=base.extra)


def members(base: Type) -> tuple[Type, ...]:
    """Return the types that a union is one of, or the type itself."""
    return base.members if isinstance(base, UnionType) else (base,)


def union_of(types: Iterable[Type]) -> Type:
    """Join types into one; any type where one of them is that, or where there are too many to be of use."""
    found: list[Type] = []
    for each in types:
        for member in members(each):
            # Maps and lists only by identity: two equal ones may take exponential time to compare.
            is_known = any(member is other for other in found) or (
                not isinstance(member, MapType | ListType) and member in found
            )
            if not is_known:
                found.append(member)
    if not found or len(found) > _MAX_MEMBERS or ANY in found:
        return ANY
    return found[0] if len(found) == 1 else UnionType(members=tuple(found))


def _in_unit(base: Type, unit: str) -> Type:
    if not unit:
        return base
    return union_of(NumberType(unit=unit) if isinstance(each, NumberType) else each for each in members(base))


class _SchemaReader:
    """Reads one schema document; remembers what each `$ref` was."""

    def __init__(self, document: object) -> None:
        self._document = document
        self._refs: dict[str, Type] = {}
        self._steps = _MAX_STEPS

    def read(self, schema: object, depth: int) -> Type:
        self._steps -= 1
        if not isinstance(schema, Mapping) or depth <= 0 or self._steps < 0:
            return ANY
        found = self._own(schema, depth)
        if isinstance(reference := schema.get("$ref"), str):
            found = self._meet(found, self._refer(reference, depth - 1))
        for part in _list(schema.get("allOf")):
            found = self._meet(found, self.read(part, depth - 1))
        for word in ("anyOf", "oneOf"):
            if choices := _list(schema.get(word)):
                found = self._meet(found, union_of(self.read(choice, depth - 1) for choice in choices))
        return union_of((found, NullType())) if schema.get("nullable") is True else found

    def _refer(self, reference: str, depth: int) -> Type:
        if reference not in self._refs:
            self._refs[reference] = ANY  # what a reference to itself finds while it is being read
            self._refs[reference] = self.read(_target(self._document, reference), depth)
        return self._refs[reference]

    def _own(self, schema: Mapping[str, object], depth: int) -> Type:
        if "const" in schema:
            return _type_of_values([schema["const"]])
        if values := _list(schema.get("enum")):
            return _type_of_values(values)
        words = schema.get("type")
        if isinstance(words, str):
            return self._of_word(words, schema, depth)
        if words := _list(words):
            return union_of(self._of_word(str(word), schema, depth) for word in words)
        if _OBJECT_WORDS & schema.keys():
            return self._of_word("object", schema, depth)
        if _LIST_WORDS & schema.keys():
            return self._of_word("array", schema, depth)
        return ANY

    def _of_word(self, word: str, schema: Mapping[str, object], depth: int) -> Type:
        match word:
            case "object":
                return self._object(schema, depth)
            case "array":
                return ListType(item=ANY if "prefixItems" in schema else self.read(schema.get("items"), depth - 1))
            case "string":
                return StringType()
            case "number" | "integer":
                return NumberType()
            case "boolean":
                return BoolType()
            case "null":
                return NullType()
            case _:
                return ANY

    def _object(self, schema: Mapping[str, object], depth: int) -> MapType:
        properties = schema.get("properties")
        named = properties if isinstance(properties, Mapping) else {}
        fields = {str(name): self.read(each, depth - 1) for name, each in named.items() if each is not False}
        return MapType(fields=fields, extra=self._extra(schema, has_fields=bool(named), depth=depth))

    def _extra(self, schema: Mapping[str, object], *, has_fields: bool, depth: int) -> Type | None:
        others = schema.get("additionalProperties")
        if others is False:
            return ANY if "patternProperties" in schema else None
        if others is not None:
            return self.read(others, depth - 1)
        is_open = not has_fields or any(word in schema for word in _OPENS)
        return ANY if is_open else None

    def _meet(self, left: Type, right: Type) -> Type:
        """What a value is that is both; the left one where the two contradict each other."""
        self._steps -= 1
        if self._steps < 0:
            return ANY
        if isinstance(left, AnyType):
            return right
        if isinstance(right, AnyType) or left is right:
            return left
        pairs = [(one, other) for one in members(left) for other in members(right) if type(one) is type(other)]
        return union_of(self._meet_one(one, other) for one, other in pairs) if pairs else left

    def _meet_one(self, left: Type, right: Type) -> Type:
        if isinstance(left, StringType) and isinstance(right, StringType):
            both = left.choices & right.choices
            return StringType(choices=both or left.choices or right.choices)
        if isinstance(left, MapType) and isinstance(right, MapType):
            fields = dict(left.fields)
            for name, each in right.fields.items():
                fields[name] = self._meet(fields[name], each) if name in fields else each
            is_closed = left.extra is None or right.extra is None
            return MapType(fields=fields, extra=None if is_closed else left.extra)
        return left


def _type_of_values(values: Iterable[object]) -> Type:
    found: list[Type] = []
    words: set[str] = set()
    for value in values:
        if isinstance(value, str):
            words.add(value)
        elif value is None:
            found.append(NullType())
        elif isinstance(value, bool):
            found.append(BoolType())
        else:
            found.append(ANY if isinstance(value, Mapping | list | tuple) else NumberType())
    if words:
        found.append(StringType(choices=frozenset(words)))
    return union_of(found)


def _target(document: object, reference: str) -> object:
    """Follow a JSON pointer within the document (RFC 6901); None for a reference to anywhere else."""
    if reference == "#":
        return document
    if not reference.startswith("#/"):
        return None
    found = document
    for part in unquote(reference[2:]).split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping):
            found = found.get(key)
        elif isinstance(found, list | tuple) and _INDEX.fullmatch(key) and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    return found


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []
