"""A syntax tree to closures, once; then evaluated once for every call.

Knows: the meaning of every form, in Kleene's logic.  Every closure is total: it returns None for unknown and never
raises, whatever the values are.  `tests/property/test_conditions_engine.py` holds it equal to a second, slow
interpreter.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from typing import Final

from leverframe.core.conditions.env import AttributePath, ConditionEnv
from leverframe.core.conditions.syntax import children
from leverframe.core.conditions.values import ORDERINGS, added, any_equal, contains, equal, is_number, ordered, size
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
    LevelKind,
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
    ValueKind,
)
from leverframe.domain.labels import CONFIDENTIALITY_WORDS, INTEGRITY_WORDS, Confidentiality, Integrity

Value = Callable[[ConditionEnv], object]  # None is unknown
Test = Callable[[ConditionEnv], Truth]
Ask = Callable[[ConditionEnv], HistoryQuery | None]

_MISSING: Final = object()
_LEVEL_WORDS: Final[Mapping[LevelKind, Mapping[str, Integrity | Confidentiality]]] = {
    "integrity": INTEGRITY_WORDS,
    "confidentiality": CONFIDENTIALITY_WORDS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A condition ready to run.

    `evaluate` is total and pure.  `reads` are the paths whose values it looks at, `label_reads` those whose labels.
    """

    expr: Expr
    evaluate: Test
    reads: frozenset[AttributePath]
    label_reads: frozenset[AttributePath]
    asks: tuple[Ask, ...]

    def history_queries(self, env: ConditionEnv) -> tuple[HistoryQuery, ...]:
        """List what to ask the store before `evaluate`, each once; a query whose value is unknown is not asked."""
        queries = (ask(env) for ask in self.asks)
        return tuple(dict.fromkeys(query for query in queries if query is not None))


def compile_condition(expr: Expr) -> Compiled:
    """Compile a condition; one that does not type-check compiles too and is unknown where it makes no sense."""
    reads: set[AttributePath] = set()
    label_reads: set[AttributePath] = set()
    asks: list[Ask] = []
    waiting = [expr]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Level):
            label_reads.add((node.path.root, *node.path.keys))
            continue
        if isinstance(node, Path):
            reads.add((node.root, *node.keys))
        elif isinstance(node, History):
            asks.append(_ask(node))
        waiting.extend(children(node))
    return Compiled(
        expr=expr,
        evaluate=_test(expr),
        reads=frozenset(reads),
        label_reads=frozenset(label_reads),
        asks=tuple(reversed(asks)),
    )


def compile_value(expr: Expr) -> Value:
    """Compile an expression for its value, such as a path that fills an argument.

    The closure is total and pure; it returns None for unknown, a null included.
    """
    match expr:
        case Text(value=constant) | Number(value=constant) | Flag(value=constant):
            return lambda _env: constant
        case Null() | Items():
            return lambda _env: None
        case Path():
            return _reader(expr)
        case Sum():
            return _sum(expr)
        case Size(operand=operand):
            measured = compile_value(operand)
            return lambda env: size(measured(env))
        case Level():
            return _level(expr)
        case History():
            return _history(expr)
        case Not() | And() | Or() | Compare() | In() | StartsWith() | Has():
            return _test(expr)


def _test(expr: Expr) -> Test:
    match expr:
        case Not(operand=operand):
            return _not(_test(operand))
        case And(operands=operands):
            return _and(tuple(_test(operand) for operand in operands))
        case Or(operands=operands):
            return _or(tuple(_test(operand) for operand in operands))
        case Compare():
            return _compare(expr)
        case In():
            return _in(expr)
        case StartsWith(subject=subject, prefix=prefix):
            return _starts_with(compile_value(subject), compile_value(prefix))
        case Has(path=path):
            return _has(path)
        case _:
            return _only_boolean(compile_value(expr))


def _has(path: Path) -> Test:
    read = _reader(path)
    if path.root != "facts":
        return lambda env: read(env) is not None
    fact = path.keys[0]
    # Nobody knows what an unreadable fact has; a plain false would let `!has(...)` allow on it.
    return lambda env: read(env) is not None if fact in env.facts else None


def _only_boolean(read: Value) -> Test:
    def evaluate(env: ConditionEnv) -> Truth:
        value = read(env)
        return value if isinstance(value, bool) else None

    return evaluate


def _not(operand: Test) -> Test:
    def evaluate(env: ConditionEnv) -> Truth:
        truth = operand(env)
        return None if truth is None else not truth

    return evaluate


def _and(operands: tuple[Test, ...]) -> Test:
    def evaluate(env: ConditionEnv) -> Truth:
        is_unknown = False
        for operand in operands:
            truth = operand(env)
            if truth is False:
                return False
            if truth is None:
                is_unknown = True
        return None if is_unknown else True

    return evaluate


def _or(operands: tuple[Test, ...]) -> Test:
    def evaluate(env: ConditionEnv) -> Truth:
        is_unknown = False
        for operand in operands:
            truth = operand(env)
            if truth:
                return True
            if truth is None:
                is_unknown = True
        return None if is_unknown else False

    return evaluate


def _reader(path: Path) -> Value:
    """Read a path; None where it is missing, null, or leads through something that has no fields."""
    root: Callable[[ConditionEnv], Mapping[str, Mapping[str, object]]] = attrgetter(path.root)
    keys = path.keys
    if len(keys) == 1:
        (key,) = keys

        def read_one(env: ConditionEnv) -> object:
            try:
                return root(env)[key]
            except (KeyError, TypeError):
                return None

        return read_one
    if len(keys) == 2:  # noqa: PLR2004  `facts.order.customer_id`, the commonest shape, without a loop
        first, second = keys

        def read_two(env: ConditionEnv) -> object:
            try:
                return root(env)[first][second]
            except (KeyError, TypeError):
                return None

        return read_two

    def read_all(env: ConditionEnv) -> object:
        value = _walk(path, env)
        return None if value is _MISSING else value

    return read_all


def _walk(path: Path, env: ConditionEnv) -> object:
    # Any: each step may be any JSON value, and the ones without string keys raise TypeError below.
    value = getattr(env, path.root)
    try:
        for key in path.keys:
            value = value[key]
    except (KeyError, TypeError):
        return _MISSING
    return value


def _compare(expr: Compare) -> Test:
    op, left, right = expr.op, expr.left, expr.right
    if op in {"==", "!="}:
        if isinstance(left, Null) or isinstance(right, Null):
            test = _is_null(right if isinstance(left, Null) else left)
            return test if op == "==" else _not(test)
        return _equal(_beside(right, left), _beside(left, right), is_wanted=op == "==")
    ordering = ORDERINGS[op]
    read_left, read_right = _beside(right, left), _beside(left, right)
    return lambda env: ordered(ordering, read_left(env), read_right(env))


def _equal(read_left: Value, read_right: Value, *, is_wanted: bool) -> Test:
    def evaluate(env: ConditionEnv) -> Truth:
        left, right = read_left(env), read_right(env)
        # The commonest pair, without a second call.
        if type(left) is str and type(right) is str:
            return (left == right) is is_wanted
        truth = equal(left, right)
        return None if truth is None else truth is is_wanted

    return evaluate


def _is_null(operand: Expr) -> Test:
    """Compile `x == null`, the one place where null is a value and only a missing one is unknown."""
    if isinstance(operand, Null):
        return lambda _env: True
    if isinstance(operand, Path):

        def evaluate(env: ConditionEnv) -> Truth:
            value = _walk(operand, env)
            return None if value is _MISSING else value is None

        return evaluate
    read = compile_value(operand)
    return lambda env: None if read(env) is None else False


def _beside(other: Expr, expr: Expr) -> Value:
    """Compile `expr`; beside a level, a string literal is one of the level's words."""
    if isinstance(other, Level) and isinstance(expr, Text):
        level = _LEVEL_WORDS[other.kind].get(expr.value)
        return lambda _env: level
    return compile_value(expr)


def _in(expr: In) -> Test:
    read = compile_value(expr.item)
    if not isinstance(expr.container, Items):
        container = compile_value(expr.container)
        return lambda env: contains(container(env), read(env))
    items = expr.container.items
    if not isinstance(expr.item, Level) and items and all(isinstance(item, Text) for item in items):
        words = frozenset(item.value for item in items if isinstance(item, Text))
        return lambda env: value in words if type(value := read(env)) is str else None
    candidates = tuple(_beside(expr.item, item) for item in items)

    def evaluate(env: ConditionEnv) -> Truth:
        value = read(env)
        return None if value is None else any_equal([candidate(env) for candidate in candidates], value)

    return evaluate


def _starts_with(read_subject: Value, read_prefix: Value) -> Test:
    def evaluate(env: ConditionEnv) -> Truth:
        subject, prefix = read_subject(env), read_prefix(env)
        return subject.startswith(prefix) if isinstance(subject, str) and isinstance(prefix, str) else None

    return evaluate


def _sum(expr: Sum) -> Value:
    first = compile_value(expr.first)
    rest = tuple((op, compile_value(term)) for op, term in expr.rest)

    def evaluate(env: ConditionEnv) -> object:
        total = first(env)
        for op, term in rest:
            total = added(op, total, term(env))
        return total

    return evaluate


def _level(expr: Level) -> Value:
    path: AttributePath = (expr.path.root, *expr.path.keys)
    kind = expr.kind

    def evaluate(env: ConditionEnv) -> object:
        label = env.labels.get(path)
        if label is None:
            return None
        return label.integrity if kind == "integrity" else label.confidentiality

    return evaluate


def _ask(expr: History) -> Ask:
    if expr.value is None:
        query = HistoryQuery(kind=expr.kind, tool=expr.tool, window_s=expr.window_s, scope=expr.scope, arg=expr.arg)
        return lambda _env: query
    read = compile_value(expr.value)

    def ask(env: ConditionEnv) -> HistoryQuery | None:
        value = read(env)
        if isinstance(value, str | int | Decimal) and (kind := _value_kind(value)) is not None:
            return HistoryQuery(
                kind=expr.kind,
                tool=expr.tool,
                window_s=expr.window_s,
                scope=expr.scope,
                arg=expr.arg,
                value=value,
                value_kind=kind,
            )
        return None

    return ask


def _value_kind(value: object) -> ValueKind | None:
    if type(value) is str:
        return "string"
    if type(value) is bool:
        return "boolean"
    return "number" if is_number(value) else None


def _history(expr: History) -> Value:
    ask = _ask(expr)
    kind = expr.kind

    def evaluate(env: ConditionEnv) -> object:
        query = ask(env)
        answer = None if query is None else env.history.get(query)
        if kind == "seen":
            return answer if type(answer) is bool else None
        if kind == "count":
            return answer if type(answer) is int else None
        return answer if is_number(answer) else None

    return evaluate
