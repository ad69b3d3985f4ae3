"""Python signatures to JSON Schemas: what a typed function takes and gives back.

Knows: str, bool, int, Decimal, list, dict, Literal, enums of text, Optional and unions, dataclasses, TypedDict.
Never: a float, whose amounts would not be the ones that were written.
"""

import dataclasses
import enum
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from leverframe.domain.json import Json, JsonObject

_SCALARS: Mapping[object, JsonObject] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    Decimal: {"type": "number"},
    type(None): {"type": "null"},
    dict: {"type": "object"},
    Mapping: {"type": "object"},
    list: {"type": "array"},
    typing.Any: {},
    object: {},
}
_MAX_DEPTH = 16


class SignatureProblem(Exception):
    """A signature that no schema can be made of; the text says which part and what to write instead."""


def input_schema(function: Callable[..., object], *, hidden: frozenset[str]) -> JsonObject:
    """The schema of the arguments that an agent may send.

    Args:
        function: the tool's function; each parameter has a type.
        hidden: parameters that the door fills in, such as the idempotency key.

    Raises:
        SignatureProblem: a parameter has no type, one that JSON has no word for, or cannot be passed by name.
    """
    hints = _hints(function)
    properties: dict[str, Json] = {}
    required: list[Json] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in hidden:
            continue
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise SignatureProblem(f"the parameter {name!r} cannot be passed by name; write ordinary parameters")
        if name not in hints:
            raise SignatureProblem(f"the parameter {name!r} has no type; write for example {name}: str")
        properties[name] = _schema(hints[name], f"the parameter {name!r}", closed=True)
        if parameter.default is parameter.empty:
            required.append(name)
    schema: dict[str, Json] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = required
    return schema


def output_schema(function: Callable[..., object]) -> JsonObject | None:
    """The schema of the answer; None where the function does not say what it returns.

    Raises:
        SignatureProblem: the return type is one that JSON has no word for.
    """
    hints = _hints(function)
    return _schema(hints["return"], "the answer", closed=False) if "return" in hints else None


def _hints(function: Callable[..., object]) -> dict[str, object]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError) as err:
        raise SignatureProblem(f"its types cannot be read: {err}") from err


def _schema(hint: object, where: str, *, closed: bool, depth: int = 0) -> JsonObject:
    if depth > _MAX_DEPTH:
        raise SignatureProblem(f"{where} has a type that contains itself or is nested too deep; use dict there")
    if hint is float:
        raise SignatureProblem(f"{where} is a float, which cannot hold an exact amount; write Decimal")
    try:
        if hint in _SCALARS:
            return _SCALARS[hint]
    except TypeError:
        pass  # an unhashable annotation is no scalar type
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": [member.value for member in hint]}
    if dataclasses.is_dataclass(hint) or typing.is_typeddict(hint):
        return _record(hint, where, closed=closed, depth=depth)
    return _generic(hint, where, closed=closed, depth=depth)


def _generic(hint: object, where: str, *, closed: bool, depth: int) -> JsonObject:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return {"enum": list(args)}
    if origin is typing.Annotated:
        return _schema(args[0], where, closed=closed, depth=depth + 1)
    if origin in {typing.Union, types.UnionType}:
        return {"anyOf": [_schema(each, where, closed=closed, depth=depth + 1) for each in args]}
    if origin in {list, Sequence, set, frozenset} or (origin is tuple and len(args) == 2 and args[1] is ...):  # noqa: PLR2004 - tuple[T, ...]
        return {"type": "array", "items": _schema(args[0], where, closed=closed, depth=depth + 1)}
    if origin in {dict, Mapping} and args[0] is str:
        return {"type": "object", "additionalProperties": _schema(args[1], where, closed=closed, depth=depth + 1)}
    shown = getattr(hint, "__name__", str(hint))
    raise SignatureProblem(f"{where} has the type {shown}, which has no JSON form; use str, int, Decimal, list or dict")


def _record(hint: object, where: str, *, closed: bool, depth: int) -> JsonObject:
    properties: dict[str, Json] = {}
    required: list[Json] = []
    # Any: a dataclass or a TypedDict, as checked by the caller; no type says "either".
    record: typing.Any = hint
    if dataclasses.is_dataclass(record):
        optional = {
            each.name
            for each in dataclasses.fields(record)
            if each.default is not dataclasses.MISSING or each.default_factory is not dataclasses.MISSING
        }
    else:
        optional = set(record.__optional_keys__)
    for name, each in typing.get_type_hints(record).items():
        properties[name] = _schema(each, f"{name!r} of {where}", closed=closed, depth=depth + 1)
        if name not in optional:
            required.append(name)
    schema: dict[str, Json] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    if closed:
        schema["additionalProperties"] = False
    return schema
