"""What a field of Cedar's context is in the condition language, and what has no place in it.

Knows: the names that an export gives (`core.cedar.readings`), and that plain Cedar written by hand reads
`context.args.…`, `context.facts.…`, `context.run.…` and `context.call.…` in the same way.
"""

import re
from dataclasses import dataclass

from leverframe.core.cedar.export import APPROVED, DOOR
from leverframe.core.cedar.readings import Keys
from leverframe.core.conditions import ConditionError, parse
from leverframe.core.nearest import nearest
from leverframe.domain.conditions import ROOTS, Compare, Expr, Has, History, Level, Null, Path, Root, Size
from leverframe.domain.errors import CedarUnsupported

_CALLED = re.compile(r"([a-z-]+)\((.*)\)", re.DOTALL)
_ROOT_OF: dict[str, Root] = {root: root for root in ROOTS}
_PLACES = (*ROOTS, "history", "labels", "values")


@dataclass(frozen=True, slots=True)
class Approved:
    """`context.approved`: whether a person has answered."""


@dataclass(frozen=True, slots=True)
class OfDoor:
    """`context.door.…`: what the door asks of every call by itself, under any policy."""


@dataclass(frozen=True, slots=True)
class OnlyOf:
    """Whether a list holds members of one type only: a part of how `in` is exported."""

    container: Path


@dataclass(frozen=True, slots=True)
class EmptyList:
    """Whether a value is a list without items: a part of how `in` is exported."""

    container: Path


FieldMeaning = Expr | Approved | OfDoor | OnlyOf | EmptyList


def meaning_of(keys: Keys) -> FieldMeaning:
    """What a field of the context stands for.

    Raises:
        CedarUnsupported: no condition can read it.
    """
    first, rest = keys[0], keys[1:]
    if keys == APPROVED:
        return Approved()
    if first == DOOR:
        return OfDoor()
    if first in _ROOT_OF:
        return Path(root=_ROOT_OF[first], keys=rest)
    if first in {"history", "labels", "values"} and len(rest) == 1:
        found = _asked(first, rest[0])
        if found is not None:
            return found
    close = nearest(first, _PLACES)
    raise CedarUnsupported(
        f"`{spelled(keys)}` is nothing that a condition can read.",
        next_move=f"Did you mean `context.{close}`?"
        if close and close != first
        else "It reads context.args, context.facts, context.run, context.call, and what an export names.",
    )


def spelled(keys: Keys) -> str:
    """A field as a person writes it."""
    return ".".join(("context", *keys))


def _asked(place: str, text: str) -> FieldMeaning | None:
    try:
        if place == "history":
            expr = parse(f"history.{text}")
            return expr if isinstance(expr, History) else None
        if place == "labels":
            expr = parse(text)
            return expr if isinstance(expr, Level) else None
        return _value(text)
    except ConditionError:
        return None


def _value(text: str) -> FieldMeaning | None:
    called = _CALLED.fullmatch(text)
    path = parse(called[2]) if called else None
    if called is None or not isinstance(path, Path):
        return None
    match called[1]:
        case "number" | "string" | "boolean" | "strings" | "numbers" | "booleans":
            return path
        case "size":
            return Size(operand=path)
        case "has":
            return Has(path=path)
        case "null":
            return Compare(op="==", left=path, right=Null())
        case "only-strings" | "only-numbers" | "only-booleans":
            return OnlyOf(path)
        case "empty":
            return EmptyList(path)
        case _:
            return None
