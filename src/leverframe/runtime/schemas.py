"""JSON Schema checks with messages a person can act on.

Knows: how one schema becomes one compiled validator, and how its first complaint reads: `/item_ids: expected array,
got string`.  Never: follows a reference out of the schema (`offline`).  Values are named by type only, since a
refused argument may be personal.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs

from leverframe.core import canonical
from leverframe.domain.json import Json, JsonObject

_MOST_OBJECTS: Final = 4_096
_BY_OBJECT: dict[int, tuple[JsonObject, jsonschema_rs.Validator]] = {}


def schema_error(schema: JsonObject | None, value: Json) -> str:
    """Why `value` breaks `schema`, with the JSON pointer of the place; empty where it does not, or without a schema."""
    if schema is None:
        return ""
    validator = _compiled(schema)
    if validator.is_valid(value):
        return ""
    return "; ".join(_sentence(error) for _, error in zip(range(3), validator.iter_errors(value), strict=False))


def _compiled(schema: JsonObject) -> jsonschema_rs.Validator:
    """The validator of a schema, found again by the object itself: writing it out would cost more than the check."""
    known = _BY_OBJECT.get(id(schema))
    # What is kept keeps its schema, so that no other object can get its id.
    if known is not None and known[0] is schema:
        return known[1]
    validator = _validator(canonical.encode(schema))
    if len(_BY_OBJECT) >= _MOST_OBJECTS:
        del _BY_OBJECT[next(iter(_BY_OBJECT))]
    _BY_OBJECT[id(schema)] = schema, validator
    return validator


@lru_cache(maxsize=1024)
def _validator(schema: bytes) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(schema.decode(), offline=True)


def _sentence(error: jsonschema_rs.ValidationError) -> str:
    pointer = "".join(f"/{_escape(str(key))}" for key in error.instance_path) or "(the whole value)"
    # The kinds are classes made at run time, each with fields of its own; the stubs know only their base.
    kind: Any = error.kind
    match kind.name:
        case "type":
            return f"{pointer}: expected {' or '.join(kind.types)}, got {json_type(error.instance)}"
        case "required":
            return f"{pointer}: {kind.property!r} is missing"
        case "additionalProperties":
            return f"{pointer}: unexpected {', '.join(repr(name) for name in kind.unexpected)}"
        case "enum":
            return f"{pointer}: expected one of {', '.join(str(option) for option in kind.options)}"
        case name:
            return f"{pointer}: breaks {name!r} of the schema"


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def json_type(value: object) -> str:
    """The JSON name of a value's type."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case Decimal() | float():
            return "number"
        case str():
            return "string"
        case Mapping():
            return "object"
        case _:
            return "array"
