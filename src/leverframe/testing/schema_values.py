"""A value that fits a JSON Schema, as a model writes one that was told to keep to it.

Knows: the part of JSON Schema that vendors take for structured output (objects, lists, texts, numbers, choices, `$ref`
within the schema).  Never: fits a `pattern`; a schema with one gets a text that may break it.
"""

from collections.abc import Mapping
from typing import Final

from leverframe.domain.json import Json, JsonObject

_FORMATS: Final[Mapping[str, str]] = {
    "date": "2026-01-02",
    "date-time": "2026-01-02T03:04:05Z",
    "time": "03:04:05Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_MOST_DEPTH: Final = 16


def value_for(schema: JsonObject) -> Json:
    """One value that fits.

    Raises:
        ValueError: the schema refers to itself without end, or to what is not in it.
    """
    return _value(schema, schema, 0)


def _value(schema: Json, root: JsonObject, depth: int) -> Json:
    if depth > _MOST_DEPTH:
        raise ValueError("the schema has no value that ends")
    if not isinstance(schema, Mapping):
        return "anything"  # `true`
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    match schema:
        case {"$ref": str(path)}:
            return _value(_at(root, path), root, depth + 1)
        case {"enum": [first, *_]} | {"examples": [first, *_]}:
            return _value({"const": first}, root, depth + 1)
        case {"anyOf": [first, *_]} | {"oneOf": [first, *_]}:
            return _value(first, root, depth + 1)
        case {"allOf": list(parts)}:
            whole = {name: one for part in parts if isinstance(part, dict) for name, one in part.items()}
            return _value(whole, root, depth + 1)
    return _of_type(schema, root, depth)


def _of_type(schema: JsonObject, root: JsonObject, depth: int) -> Json:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    match kind:
        case "object":
            properties = schema.get("properties", {})
            items = properties.items() if isinstance(properties, dict) else ()
            return {name: _value(one, root, depth + 1) for name, one in items}
        case "array":
            count = _whole(schema, "minItems", 1)
            return [_value(schema.get("items", True), root, depth + 1) for _ in range(max(1, count))]
        case "integer" | "number":
            return max(_whole(schema, "minimum", 1), _whole(schema, "exclusiveMinimum", 0) + 1)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            text = _FORMATS.get(str(schema.get("format", "")), "W1")
            return text.ljust(_whole(schema, "minLength", 0), "0")


def _whole(schema: JsonObject, name: str, default: int) -> int:
    value = schema.get(name, default)
    return int(value) if isinstance(value, int | float) else default


def _at(root: JsonObject, path: str) -> Json:
    """What a `$ref` within the document names."""
    found: Json = root
    for part in path.removeprefix("#").split("/")[1:]:
        if not isinstance(found, dict) or part not in found:
            raise ValueError(f"the schema refers to {path!r}, which is not in it")
        found = found[part]
    return found
