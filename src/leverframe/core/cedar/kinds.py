"""Which scalar types an expression can have, as far as the tool's schemas say.

Where nothing is known of a field, it can be any; Cedar then gets one field a type (`core.cedar.readings`).
"""

from collections.abc import Mapping
from typing import Final

from leverframe.core.cedar.readings import ReadingKind
from leverframe.core.conditions import ANY, TypeScope, run_type, type_of_schema
from leverframe.core.conditions.resolve import Resolver
from leverframe.core.conditions.schema_types import members
from leverframe.core.policy import CompiledPolicy
from leverframe.domain.conditions import (
    AnyType,
    BoolType,
    Expr,
    Flag,
    History,
    Items,
    Level,
    MapType,
    Null,
    Number,
    NumberType,
    Path,
    Size,
    StringType,
    Sum,
    Text,
    Type,
    TypeProblem,
)
from leverframe.domain.contracts import FactSpec, ToolFact
from leverframe.domain.ids import ToolName
from leverframe.domain.tools import ToolSpec

Kinds = frozenset[ReadingKind]

_NONE: Final[Kinds] = frozenset()
_NUMBER: Final[Kinds] = frozenset({"number"})
_STRING: Final[Kinds] = frozenset({"string"})
_BOOLEAN: Final[Kinds] = frozenset({"boolean"})
_ANY: Final[Kinds] = _NUMBER | _STRING | _BOOLEAN


class ToolTypes:
    """The types of what a condition about one tool can name."""

    def __init__(self, spec: ToolSpec, policy: CompiledPolicy) -> None:
        args = type_of_schema(spec.input_schema)
        tools = {name: plan.spec for name, plan in policy.plans.items()}
        facts = MapType(fields={name: _fact_type(fact, tools) for name, fact in policy.facts.items()}, extra=ANY)
        scope = TypeScope(args={spec.name: args}, tools=None, facts=facts, run=run_type())
        self._resolver = Resolver(scope, spec.name, args)

    def kinds(self, expr: Expr) -> Kinds:
        """The scalar types that an expression can have; none where it is never a scalar."""
        match expr:
            case Text():
                return _STRING
            case Number() | Sum() | Size():
                return _NUMBER
            case History(kind=kind):
                return _BOOLEAN if kind == "seen" else _NUMBER
            case Null() | Items() | Level():
                return _NONE
            case Path():
                found = self._resolver.type_of(expr)
                return _NONE if isinstance(found, TypeProblem) else _kinds_of(found)
            case Flag():
                return _BOOLEAN
            case _:
                return _BOOLEAN


def _fact_type(fact: FactSpec, tools: Mapping[ToolName, ToolSpec]) -> Type:
    spec = tools.get(fact.tool) if isinstance(fact, ToolFact) else None
    return ANY if spec is None or spec.output_schema is None else type_of_schema(spec.output_schema)


def _kinds_of(found: Type) -> Kinds:
    kinds = _NONE
    for each in members(found):
        match each:
            case AnyType():
                return _ANY
            case NumberType():
                kinds |= _NUMBER
            case StringType():
                kinds |= _STRING
            case BoolType():
                kinds |= _BOOLEAN
            case _:
                pass
    return kinds
