"""What a condition may name: the types of its roots, one set of arguments for each tool of its rule."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from leverframe.core.conditions.schema_types import ANY
from leverframe.domain.conditions import MapType, NumberType, StringType, Type

_TEXT: Final = StringType()
NO_FACTS: Final = MapType(fields={})
CALL_TYPE: Final = MapType(
    fields={
        "tool": _TEXT,
        "effect": StringType(choices=frozenset({"read", "idempotent", "keyed", "reconcilable", "irreversible"})),
    }
)


def run_type(input_type: Type = ANY) -> MapType:
    """Return the type of `run.*`, given the type of the workflow's input."""
    names = ("id", "tenant", "environment", "workflow", "initiator", "subject")
    return MapType(fields=dict.fromkeys(names, _TEXT) | {"input": input_type})


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeScope:
    """The names that one rule may use.

    `args`: for each tool that the rule names, the type of its arguments; any type where the tool's spec is not there
    to see.  Empty: the rule names none, and every argument is of any type.
    `tools`: the same for every tool that history may be asked of; None where the tools cannot be seen.
    """

    args: Mapping[str, Type]
    tools: Mapping[str, Type] | None
    facts: MapType = NO_FACTS
    run: Type = run_type()
    call: Type = CALL_TYPE


COUNT: Final = NumberType(unit="count")
