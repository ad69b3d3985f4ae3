"""The condition language of `when:`: parse, check against types, compile to closures, print.

A small typed subset of CEL in Kleene's three-valued logic: what is missing, null or of another type is unknown.
"""

from leverframe.core.conditions.compiler import Compiled, compile_condition, compile_value
from leverframe.core.conditions.env import AttributePath, ConditionEnv
from leverframe.core.conditions.parser import parse
from leverframe.core.conditions.printer import render
from leverframe.core.conditions.schema_types import ANY, type_of_schema, with_units
from leverframe.core.conditions.scope import TypeScope, run_type
from leverframe.core.conditions.typecheck import check
from leverframe.domain.errors import ConditionError

__all__ = [
    "ANY",
    "AttributePath",
    "Compiled",
    "ConditionEnv",
    "ConditionError",
    "TypeScope",
    "check",
    "compile_condition",
    "compile_value",
    "parse",
    "render",
    "run_type",
    "type_of_schema",
    "with_units",
]
