"""Values that a schema may take, made from its own words: witnesses that one schema takes what another refuses.

Knows: the edges that its keywords name (a maximum and just beyond it, one property at a time, an extra one).
Never: claims that a value is right; whoever uses one asks the validator.  A schema of which no value is found has none
here, which says nothing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain, islice
from typing import Final

from leverframe.domain.json import Json, JsonObject

_MOST: Final = 400  # values of one schema
_FEW: Final = 12  # values of a part of it
_DEEP: Final = 6
_ANYTHING: Final[tuple[Json, ...]] = ("x", "", 0, 1, -1, Decimal("0.5"), True, None, [], ["x"], {}, {"x": "x"})
_TEXTS: Final[tuple[Json, ...]] = (
    "x",
    "",
    "a longer text, with spaces",
    "2026-01-01",
    "2026-01-01T00:00:00Z",
    "a@example.com",
    "https://example.com/x",
    "123e4567-e89b-12d3-a456-426614174000",
    "W12345",
)
_NUMBERS: Final[tuple[Json, ...]] = (0, 1, -1, Decimal("0.5"), Decimal("-0.5"), 10**9)
_EXTRA: Final = "another_argument"
_PLAIN: Final = re.compile(r"[\w-]*")


def samples(schema: Json) -> Iterator[Json]:
    """At most 400 values, those that every keyword names first; the same ones for the same schema."""
    return islice(_of(schema, schema, 0), _MOST)


def _of(schema: Json, root: Json, depth: int) -> Iterator[Json]:
    if depth > _DEEP or schema is False:
        return
    if not isinstance(schema, Mapping) or not schema:
        yield from _ANYTHING
        return
    if "const" in schema:
        yield schema["const"]
    words = schema.get("enum")
    if isinstance(words, Sequence) and not isinstance(words, str):
        yield from words
    yield from _joined(schema, root, depth)
    types = schema.get("type")
    for word in (types,) if isinstance(types, str) else types if isinstance(types, list | tuple) else _guessed(schema):
        yield from _of_type(str(word), schema, root, depth)


def _joined(schema: JsonObject, root: Json, depth: int) -> Iterator[Json]:
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        yield from _of(_target(root, reference), root, depth + 1)
    for key in ("anyOf", "oneOf", "allOf"):
        branches = schema.get(key)
        if isinstance(branches, Sequence) and not isinstance(branches, str):
            for branch in branches:
                yield from islice(_of(branch, root, depth + 1), _FEW)


def _of_type(word: str, schema: JsonObject, root: Json, depth: int) -> Iterator[Json]:
    match word:
        case "string":
            sizes = (schema.get(key) for key in ("minLength", "maxLength"))
            yield from ("x" * size for size in sizes if isinstance(size, int) and size < _LONG)
            yield from _TEXTS
            sizes = (schema.get(key) for key in ("minLength", "maxLength"))
            yield from ("x" * (size + 1) for size in sizes if isinstance(size, int) and size < _LONG)
        case "integer" | "number":
            yield from _edges(schema)
            yield from (one for one in _NUMBERS if word == "number" or isinstance(one, int))
        case "boolean":
            yield from (True, False)
        case "null":
            yield None
        case "array":
            yield from _arrays(schema, root, depth)
        case "object":
            yield from _objects(schema, root, depth)
        case _:
            pass


_LONG: Final = 10_000


def _edges(schema: JsonObject) -> Iterator[Json]:
    for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"):
        edge = schema.get(key)
        if isinstance(edge, int | Decimal) and not isinstance(edge, bool):
            yield from (edge, edge - 1, edge + 1, edge - Decimal("0.001"), edge + Decimal("0.001"))


def _arrays(schema: JsonObject, root: Json, depth: int) -> Iterator[Json]:
    parts = list(islice(_of(schema.get("items", {}), root, depth + 1), _FEW))
    first = schema.get("prefixItems")
    heads: list[Json] = []
    if isinstance(first, Sequence) and not isinstance(first, str):
        heads = [next(_of(one, root, depth + 1), None) for one in first]
        yield heads
    yield []
    sizes = [size for key in ("minItems", "maxItems") if isinstance(size := schema.get(key), int) and size < _MOST]
    for part in parts:
        yield [*heads, part]
        yield [*heads, part, part]
        yield from ([part] * size for size in sizes)
    yield parts


def _objects(schema: JsonObject, root: Json, depth: int) -> Iterator[Json]:
    properties = schema.get("properties")
    named: JsonObject = properties if isinstance(properties, Mapping) else {}
    parts = {name: list(islice(_of(one, root, depth + 1), _FEW)) for name, one in named.items()}
    required = schema.get("required")
    needed = [str(name) for name in required] if isinstance(required, list | tuple) else []
    least: dict[str, Json] = {name: next(iter(parts.get(name, ())), "x") for name in needed}
    whole: dict[str, Json] = least | {name: values[0] for name, values in parts.items() if values}
    yield whole
    yield least
    for name, values in parts.items():
        for value in values:
            yield {**least, name: value}
            yield {**whole, name: value}
    patterned = schema.get("patternProperties")
    for pattern, one in patterned.items() if isinstance(patterned, Mapping) else ():
        name = _begun_by(pattern)
        yield from ({**least, name: value} for value in islice(_of(one, root, depth + 1), _FEW))
    extra = schema.get("additionalProperties", schema.get("unevaluatedProperties", True))
    for value in chain(islice(_of(extra, root, depth + 1), _FEW)):
        yield {**least, _EXTRA: value}
    for name in needed:
        yield {key: value for key, value in whole.items() if key != name}


def _begun_by(pattern: str) -> str:
    """A name that a simple pattern may take: the letters that it begins with, and one more."""
    plain = _PLAIN.match(pattern.removeprefix("^"))
    return f"{plain[0] if plain else ''}x"


def _guessed(schema: JsonObject) -> tuple[str, ...]:
    """The types that keywords speak of, where none is named."""
    found = []
    if {"properties", "required", "additionalProperties"} & set(schema):
        found.append("object")
    if {"items", "prefixItems", "minItems", "maxItems"} & set(schema):
        found.append("array")
    if {"pattern", "minLength", "maxLength", "format"} & set(schema):
        found.append("string")
    if {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"} & set(schema):
        found.append("number")
    return tuple(found)


def _target(root: Json, reference: str) -> Json:
    place = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if part:
            place = place.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(place, Mapping) else None
    return place
