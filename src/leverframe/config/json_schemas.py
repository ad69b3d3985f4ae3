"""The JSON Schemas of the three files, for editors: made from the registry of keys, enforced ones only."""

import json
from typing import Final, Literal

from leverframe.config.keys import KEYS, keys_below
from leverframe.config.registry import FileKind
from leverframe.config.value_types import (
    AnyValue,
    Group,
    ListOf,
    MapOf,
    Money,
    SchemaObject,
    Seconds,
    Span,
    Text,
    ValueType,
    Whole,
    Words,
)
from leverframe.domain.json import Json, JsonObject

SchemaName = Literal["workflow", "project", "tool"]

_FILES: Final[dict[SchemaName, tuple[FileKind, str, tuple[str, ...]]]] = {
    "workflow": ("contract", "A workflow contract of Leverframe", ("workflow",)),
    "project": ("project", "The project file of Leverframe", ()),
    "tool": ("tool", "A tool spec of Leverframe", ("tool", "from")),
}
_SPAN_PATTERN = r"^0*[1-9][0-9]{0,8}[smhd]$"


def schema_for(file: SchemaName) -> JsonObject:
    """The JSON Schema (2020-12) of one of the three files."""
    kind, title, needs = _FILES[file]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **_group(kind, "", needs),
    }


def schema_text(file: str) -> str:
    """The same as indented JSON text, as `leverframe schema` prints it.

    Raises:
        KeyError: there is no such file.
    """
    names: dict[str, SchemaName] = {name: name for name in _FILES}
    return json.dumps(schema_for(names[file]), indent=2, ensure_ascii=False) + "\n"


def _group(file: FileKind, path: str, needs: tuple[str, ...]) -> dict[str, Json]:
    properties: dict[str, Json] = {}
    for name, key in keys_below(file, path).items():
        if key.status == "enforced":
            described: dict[str, Json] = {"description": key.doc}
            properties[name] = {**_of(key.value, file, key.path), **described, "examples": [key.example]}
    found: dict[str, Json] = {"type": "object", "properties": properties, "additionalProperties": False}
    if needs:
        found["required"] = list(needs)
    return found


def _of(type_: ValueType, file: FileKind, path: str) -> dict[str, Json]:
    match type_:
        case Group():
            found = _group(file, path, type_.needs)
            return {**found, "type": ["object", "null"]} if type_.may_be_empty else found
        case ListOf():
            return {"type": "array", "items": _of(type_.item, file, f"{path}[]"), "minItems": type_.at_least}
        case MapOf():
            found = {"type": "object", "additionalProperties": _of(type_.item, file, f"{path}.*")}
            return {**found, "propertyNames": _scalar(type_.key)}
        case SchemaObject():
            return {"type": "object"}
        case _:
            return _scalar(type_)


def _scalar(type_: ValueType) -> dict[str, Json]:
    match type_:
        case Text():
            pattern: dict[str, Json] = {"pattern": f"^(?:{type_.pattern})$"} if type_.pattern else {}
            return {"type": "string", "minLength": 1, "maxLength": type_.max_chars, **pattern}
        case Whole():
            return {"type": "integer", "minimum": type_.minimum, "maximum": type_.maximum}
        case Money():
            return {"type": "number", "minimum": 0}
        case Seconds():
            return {"type": "number", "exclusiveMinimum": 0, "maximum": type_.maximum}
        case Span():
            return {"type": "string", "pattern": _SPAN_PATTERN}
        case Words():
            words: list[Json] = [*type_.known, *(int(word) for word in type_.known if word.isdigit())]
            return {"enum": words}
        case AnyValue():
            return {"type": ["string", "number", "boolean"]}
        case _:
            return {}


def enforced_paths(file: FileKind) -> tuple[str, ...]:
    """The paths of the keys that this version enforces, in registry order."""
    return tuple(key.path for key in KEYS if key.file == file and key.status == "enforced")
