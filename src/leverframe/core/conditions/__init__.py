"""The condition language of `when:`: parse, check against types, compile to closures, print.

A small typed subset of CEL in Kleene's three-valued logic: what is missing, null or of another type is unknown.
"""

from leverframe.core.conditions.compiler import Compiled, compile_condition, compile_value
from leverframe.core.conditions.env import AttributePath, ConditionEnv
from leverframe.core.conditions.parser import parse
from leverframe.domain.errors import ConditionError

__all__ = [
    "AttributePath",
    "Compiled",
    "ConditionEnv",
    "ConditionError",
    "compile_condition",
    "compile_value",
    "parse",
]
