"""A second interpreter of conditions: slow, obvious, and sharing no code with the compiler.

It walks the tree, keeps unknown and null apart, does arithmetic in fractions, and takes Kleene's tables from the order
false < unknown < true.  The compiled closures must agree with it on every expression and environment.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Final

from leverframe.core.conditions import ConditionEnv
from leverframe.domain.conditions import (
    And,
    Compare,
    Expr,
    Flag,
    Has,
    History,
    HistoryQuery,
    In,
    Items,
    Level,
    Not,
    Null,
    Number,
    Or,
    Path,
    Size,
    StartsWith,
    Sum,
    Text,
    Truth,
)

MAX_SUM_DIGITS = 10_000
_LEVELS = {
    "integrity": ["third-party", "tenant-record", "user", "system"],
    "confidentiality": ["public", "tenant", "secret"],
}


class Unknown:
    """What cannot be known; unlike null, it is not even a value."""


class LevelValue:
    """A level: its kind, and its place in the order of that kind."""

    def __init__(self, kind: str, word: str) -> None:
        self.kind = kind
        self.rank = _LEVELS[kind].index(word)


UNKNOWN: Final = Unknown()


def slow_evaluate(expr: Expr, env: ConditionEnv) -> Truth:
    """The truth of a condition."""
    value = _value(expr, env)
    return value if isinstance(value, bool) else None


def slow_queries(expr: Expr, env: ConditionEnv) -> set[HistoryQuery]:
    """Every history question that the condition asks in this environment."""
    found = (_query(node, env) for node in every_node(expr) if isinstance(node, History))
    return {query for query in found if query is not None}


def _value(expr: Expr, env: ConditionEnv) -> object:  # noqa: C901, PLR0912  one case for each form is the point of it
    match expr:
        case Text(value=constant) | Number(value=constant) | Flag(value=constant):
            return constant
        case Null():
            return None
        case Items():
            return UNKNOWN
        case Path():
            return _follow(expr, env)
        case Not(operand=operand):
            return _of_rank(2 - _rank(operand, env))
        case And(operands=operands):
            return _of_rank(min(_rank(operand, env) for operand in operands))
        case Or(operands=operands):
            return _of_rank(max(_rank(operand, env) for operand in operands))
        case Compare():
            return _compare(expr, env)
        case In():
            return _in(expr, env)
        case Sum(first=first, rest=rest):
            total = _value(first, env)
            for op, term in rest:
                total = _add(total, _value(term, env), 1 if op == "+" else -1)
            return total
        case StartsWith(subject=subject, prefix=prefix):
            whole, start = _value(subject, env), _value(prefix, env)
            if isinstance(whole, str) and isinstance(start, str):
                return whole[: len(start)] == start
            return UNKNOWN
        case Has(path=path):
            if path.root == "facts" and path.keys[0] not in env.facts:
                return UNKNOWN
            found = _follow(path, env)
            return found is not None and found is not UNKNOWN
        case Size(operand=operand):
            measured = _value(operand, env)
            return sum(1 for _ in measured) if isinstance(measured, str | list | dict) else UNKNOWN
        case Level(kind=kind, path=path):
            label = env.labels.get((path.root, *path.keys))
            return UNKNOWN if label is None else LevelValue(kind, getattr(label, kind).word)
        case History(kind=asked):
            query = _query(expr, env)
            answer = env.history.get(query) if query is not None else None
            is_fit = {
                "count": isinstance(answer, int) and not isinstance(answer, bool),
                "sum": _is_number(answer),
                "seen": isinstance(answer, bool),
            }
            return answer if is_fit[asked] else UNKNOWN


def _rank(expr: Expr, env: ConditionEnv) -> int:
    truth = slow_evaluate(expr, env)
    return 1 if truth is None else 2 if truth else 0


def _of_rank(rank: int) -> object:
    return [False, UNKNOWN, True][rank]


def _follow(path: Path, env: ConditionEnv) -> object:
    found: object = {"args": env.args, "facts": env.facts, "run": env.run, "call": env.call}[path.root]
    for key in path.keys:
        if not isinstance(found, Mapping) or key not in found:
            return UNKNOWN
        found = found[key]
    return found


def _is_number(value: object) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite()
    return isinstance(value, int | Fraction) and not isinstance(value, bool)


def _fraction(value: object) -> Fraction:
    assert isinstance(value, int | Decimal | Fraction)
    return Fraction(value)


def _add(left: object, right: object, sign: int) -> object:
    if not (_is_number(left) and _is_number(right)):
        return UNKNOWN
    exact = _fraction(left) + sign * _fraction(right)
    if isinstance(left, int) and isinstance(right, int):
        return int(exact)
    digits = exact
    while digits.denominator != 1:
        digits *= 10
    significant = abs(int(digits))
    while significant and significant % 10 == 0:
        significant //= 10
    return exact if significant < 10**MAX_SUM_DIGITS else UNKNOWN


def _compare(expr: Compare, env: ConditionEnv) -> object:
    if expr.op in {"==", "!="} and (isinstance(expr.left, Null) or isinstance(expr.right, Null)):
        values = [_value(expr.left, env), _value(expr.right, env)]
        if any(isinstance(value, Unknown) for value in values):
            return UNKNOWN
        return (values == [None, None]) == (expr.op == "==")
    left, right = _side(expr.left, expr.right, env), _side(expr.right, expr.left, env)
    order = _order(left, right)
    if order is None:
        return UNKNOWN
    if isinstance(left, bool) and expr.op not in {"==", "!="}:
        return UNKNOWN
    return {
        "==": order == "same",
        "!=": order != "same",
        "<": order == "less",
        "<=": order in {"less", "same"},
        ">": order == "more",
        ">=": order in {"more", "same"},
    }[expr.op]


def _side(expr: Expr, other: Expr, env: ConditionEnv) -> object:
    """A value; beside a level, a string literal is one of the level's words."""
    if isinstance(other, Level) and isinstance(expr, Text):
        return LevelValue(other.kind, expr.value) if expr.value in _LEVELS[other.kind] else UNKNOWN
    return _value(expr, env)


def _order(left: object, right: object) -> str | None:
    """How two values of one type stand to each other; None where they have not one type."""
    if isinstance(left, bool) and isinstance(right, bool):
        return "same" if left == right else "different"
    if isinstance(left, str) and isinstance(right, str):
        return _stand([ord(char) for char in left], [ord(char) for char in right])
    if isinstance(left, LevelValue) and isinstance(right, LevelValue):
        return _stand([left.rank], [right.rank]) if left.kind == right.kind else None
    if _is_number(left) and _is_number(right):
        difference = _fraction(left) - _fraction(right)
        return "same" if difference == 0 else "less" if difference < 0 else "more"
    return None


def _stand(left: list[int], right: list[int]) -> str:
    return "same" if left == right else "less" if left < right else "more"


def _in(expr: In, env: ConditionEnv) -> object:
    item = _value(expr.item, env)
    if item is None or isinstance(item, Unknown):
        return UNKNOWN
    if isinstance(expr.container, Items):
        pairs = [(item, _side(each, expr.item, env)) for each in expr.container.items]
    else:
        container = _value(expr.container, env)
        if isinstance(container, Mapping):
            return item in list(container) if isinstance(item, str) else UNKNOWN
        if not isinstance(container, list):
            return UNKNOWN
        pairs = [(item, each) for each in container]
    orders = [_order(one, other) for one, other in pairs]
    if "same" in orders:
        return True
    return UNKNOWN if None in orders else False


def _query(expr: History, env: ConditionEnv) -> HistoryQuery | None:
    value = None if expr.value is None else _value(expr.value, env)
    if expr.value is not None and not (isinstance(value, str | bool) or _is_number(value)):
        return None
    kinds = {str: "string", bool: "boolean", int: "number", Decimal: "number"}
    return HistoryQuery(
        kind=expr.kind,
        tool=expr.tool,
        window_s=expr.window_s,
        scope=expr.scope,
        arg=expr.arg,
        value=value,  # type: ignore[arg-type]  # the line above refused every other type
        value_kind=kinds.get(type(value)),  # type: ignore[arg-type]  # the words of the dictionary are its words
    )


def every_node(expr: Expr) -> Iterator[Expr]:
    yield expr
    match expr:
        case Not(operand=inner) | Size(operand=inner):
            yield from every_node(inner)
        case And(operands=several) | Or(operands=several) | Items(items=several):
            for each in several:
                yield from every_node(each)
        case Compare(left=one, right=other) | In(item=one, container=other) | StartsWith(subject=one, prefix=other):
            yield from every_node(one)
            yield from every_node(other)
        case Sum(first=one, rest=rest):
            yield from every_node(one)
            for _, term in rest:
                yield from every_node(term)
        case _:
            return
