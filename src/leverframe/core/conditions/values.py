"""The operations of conditions on run-time values, each total: what does not fit is None, unknown, never an error.

Knows: which Python types stand for which type of the language.  `bool` is not a number, a float is nothing, and a NaN
or an infinity is no number either.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow
from operator import ge, gt, le, lt
from typing import Any, Final

from leverframe.domain.conditions import CompareOp, SumOp, Truth
from leverframe.domain.labels import Confidentiality, Integrity

# A sum whose exact value needs more significant digits is unknown: 1E+1000000000 + 0.1 would fill the memory.
MAX_SUM_DIGITS: Final = 10_000
_EXACT = Context(
    prec=MAX_SUM_DIGITS, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact, InvalidOperation, Overflow], flags=[]
)
# Any: the four functions take every pair that orders; `ordered` looks at the types before it calls one.
Ordering = Callable[[Any, Any], bool]
ORDERINGS: Final[dict[CompareOp, Ordering]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


def is_number(value: object) -> bool:
    """Tell whether it is an integer or a finite decimal."""
    return type(value) is int or (type(value) is Decimal and value.is_finite())


def equal(left: object, right: object) -> Truth:
    """Compare two scalars of one type; unknown for different types, lists, maps and null."""
    kind = type(left)
    if kind is str or kind is bool or kind is Integrity or kind is Confidentiality:
        return left == right if type(right) is kind else None
    if is_number(left) and is_number(right):
        return left == right
    return None


def ordered(op: Ordering, left: object, right: object) -> Truth:
    """Compare by one of `ORDERINGS`: numbers, strings by code point, levels of one kind."""
    kind = type(left)
    if kind is str or kind is Integrity or kind is Confidentiality:
        return op(left, right) if type(right) is kind else None
    if is_number(left) and is_number(right):
        return op(left, right)
    return None


def contains(container: object, item: object) -> Truth:
    """Look for a scalar in a list or a key in a map.

    In a list: true where one item is equal, else unknown where one could not be compared.
    """
    if item is None:
        return None
    if isinstance(container, list | tuple):
        return any_equal(container, item)
    if isinstance(container, Mapping):
        return item in container if type(item) is str else None
    return None


def any_equal(items: Sequence[object], item: object) -> Truth:
    """Kleene's `or` over `item == each`."""
    is_unknown = False
    for candidate in items:
        truth = equal(candidate, item)
        if truth:
            return True
        if truth is None:
            is_unknown = True
    return None if is_unknown else False


def added(op: SumOp, left: object, right: object) -> int | Decimal | None:
    """Add or subtract exactly; unknown where a side is no number or the value is beyond `MAX_SUM_DIGITS`."""
    if isinstance(left, int) and isinstance(right, int):
        if type(left) is bool or type(right) is bool:
            return None
        return left + right if op == "+" else left - right
    if not (isinstance(left, int | Decimal) and isinstance(right, int | Decimal)):
        return None
    if not (is_number(left) and is_number(right)):
        return None
    try:
        return _EXACT.add(left, right) if op == "+" else _EXACT.subtract(left, right)
    except DecimalException:
        return None


def size(value: object) -> int | None:
    """Count characters, items or keys."""
    return len(value) if isinstance(value, str | list | tuple | Mapping) else None
