"""What type a path or a history question has in a scope, or which name it was probably meant to be."""

from collections.abc import Iterable, Mapping
from typing import Final

from leverframe.core.conditions.printer import render_path
from leverframe.core.conditions.schema_types import ANY, members, union_of
from leverframe.core.conditions.scope import TypeScope
from leverframe.core.nearest import nearest
from leverframe.domain.conditions import (
    AnyType,
    BoolType,
    History,
    LevelType,
    ListType,
    MapType,
    NullType,
    NumberType,
    Path,
    Root,
    StringType,
    Type,
    TypeProblem,
)

_SHOWN_NAMES: Final = 8


def describe(found: Type) -> str:
    """Say a type in words: "a number in USD", "a string or null"."""
    return " or ".join(dict.fromkeys(_describe_one(each) for each in members(found)))


class Resolver:
    """Looks names up for one tool of a rule; `tool` is empty where the rule names none."""

    def __init__(self, scope: TypeScope, tool: str, args: Type) -> None:
        self._tools = scope.tools
        self._tool = tool
        self._roots: Mapping[Root, Type] = {"args": args, "facts": scope.facts, "run": scope.run, "call": scope.call}

    def type_of(self, path: Path) -> Type | TypeProblem:
        """Follow a path key by key; a union is followed into each member that has the key."""
        found = self._roots[path.root]
        for position, key in enumerate(path.keys):
            maps = [each for each in members(found) if isinstance(each, AnyType | MapType)]
            if not maps:
                owner = render_path(path.root, path.keys[:position])
                return TypeProblem(
                    offset=_key_at(path, position),
                    message=f"`{owner}` is {describe(found)}, which has no field {key!r}.",
                )
            inner = [each for each in (_field(one, key) for one in maps) if each is not None]
            if not inner:
                return self._missing(path, position, maps)
            found = union_of(inner)
        return found

    def history_argument(self, expr: History) -> Type | TypeProblem:
        """Find the type of the argument that a history question is about; any type for `count`."""
        if self._tools is None:
            return ANY
        if expr.tool not in self._tools:
            close = nearest(expr.tool, self._tools)
            return TypeProblem(
                offset=expr.names_at[0] if expr.names_at else expr.at,
                message=f"`{expr.tool}` is not a tool that history knows here; {_advice(close, close, self._tools)}",
                nearest=close,
            )
        maps = members(self._tools[expr.tool])
        if expr.arg is None:
            return ANY
        inner = [each for each in (_field(one, expr.arg) for one in maps) if each is not None]
        if inner:
            return union_of(inner)
        known = _names(maps)
        close = nearest(expr.arg, known)
        return TypeProblem(
            offset=expr.names_at[1] if len(expr.names_at) > 1 else expr.at,
            message=f"`{expr.arg}` is not an argument of {expr.tool}; {_advice(close, close, known)}",
            nearest=close,
        )

    def _missing(self, path: Path, position: int, maps: Iterable[Type]) -> TypeProblem:
        before, key = path.keys[:position], path.keys[position]
        known = _names(maps)
        name = nearest(key, known)
        close = None if name is None else render_path(path.root, (*before, name))
        return TypeProblem(
            offset=_key_at(path, position),
            message=f"`{render_path(path.root, (*before, key))}` is not {self._owner(path.root, before)}; "
            f"{_advice(close, name, known)}",
            nearest=close,
        )

    def _owner(self, root: Root, before: tuple[str, ...]) -> str:
        if before:
            return f"a field of `{render_path(root, before)}`"
        match root:
            case "args":
                return f"an argument of {self._tool}" if self._tool else "an argument"
            case "facts":
                return "a fact of this workflow"
            case "run" | "call":
                return f"a field of `{root}`"


def _advice(close: str | None, name: str | None, known: Iterable[str]) -> str:
    if close is not None and name is not None:
        return f"did you mean `{close}`?"
    names = sorted(known)
    if not names:
        return "there are none."
    more = ", ..." if len(names) > _SHOWN_NAMES else ""
    return f"there is {', '.join(names[:_SHOWN_NAMES])}{more}."


def _names(types: Iterable[Type]) -> frozenset[str]:
    return frozenset(name for each in types if isinstance(each, MapType) for name in each.fields)


def _field(owner: Type, key: str) -> Type | None:
    if isinstance(owner, AnyType):
        return ANY
    return owner.fields.get(key, owner.extra) if isinstance(owner, MapType) else None


def _key_at(path: Path, position: int) -> int:
    return path.keys_at[position] if position < len(path.keys_at) else path.at


def _describe_one(found: Type) -> str:
    match found:
        case AnyType():
            return "of any type"
        case NullType():
            return "null"
        case BoolType():
            return "true or false"
        case NumberType(unit=unit):
            return f"a number in {unit}" if unit and unit != "count" else "a number"
        case StringType():
            return "a string"
        case ListType():
            return "a list"
        case MapType():
            return "an object"
        case LevelType(kind=kind):
            return f"a level of {kind}"
        case _:
            return "one of several types"
