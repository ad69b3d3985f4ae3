"""Random conditions, and environments that are hostile to them.

Two kinds.  `CONDITIONS` put any form inside any other: nearly all are unknown, and they find what raises.
`TYPED_CONDITIONS` make sense, over fields named for their type (`n` a number, `s` a string, `f` a flag, `l` a list,
`m` a map); in their environments most fields are of that type, some are missing, null or anything.
"""

from decimal import Decimal

from hypothesis import strategies as st

from leverframe.core.conditions import AttributePath, ConditionEnv, compile_condition
from leverframe.domain.conditions import (
    ROOTS,
    SCOPES,
    And,
    BoolType,
    Compare,
    CompareOp,
    Expr,
    Flag,
    Has,
    History,
    HistoryKind,
    HistoryQuery,
    In,
    Items,
    Level,
    LevelKind,
    ListType,
    MapType,
    Not,
    Null,
    Number,
    NumberType,
    Or,
    Path,
    Size,
    StartsWith,
    StringType,
    Sum,
    SumOp,
    Text,
    Type,
)
from leverframe.domain.labels import Confidentiality, Integrity, Label

COMPARE_OPS: tuple[CompareOp, ...] = ("==", "!=", "<", "<=", ">", ">=")
SUM_OPS: tuple[SumOp, ...] = ("+", "-")
HISTORY_KINDS: tuple[HistoryKind, ...] = ("count", "sum", "seen")
LEVEL_KINDS: tuple[LevelKind, ...] = ("integrity", "confidentiality")

# Few keys, words and numbers, so that paths often lead somewhere and values often meet.
KEYS = st.sampled_from(["a", "b", "c", "x-y", "in", ""])
WORDS = st.one_of(
    st.sampled_from(["", "a", "ab", "user", "secret", "1", "true", "\u00e9", 'q"\\\n']), st.text(max_size=5)
)
WHOLE = st.one_of(st.integers(-3, 3), st.sampled_from([2**63, -(10**40), 10**4000]))
FRACTIONS = st.one_of(
    st.sampled_from(
        [Decimal("1.0"), Decimal("0.10"), Decimal("-2.5"), Decimal("1E+30"), Decimal("1E-30"), Decimal(-0)]
    ),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-1000, max_value=1000),
)
NUMBERS = st.one_of(WHOLE, FRACTIONS)

NUMBER_LITERALS = st.one_of(st.integers(-3, 3), st.integers(), FRACTIONS).map(lambda number: Number(value=number))
PATHS = st.builds(
    lambda root, keys: Path(root=root, keys=tuple(keys)), st.sampled_from(ROOTS), st.lists(KEYS, min_size=1, max_size=3)
)
TEXTS = WORDS.map(lambda word: Text(value=word))
FLAGS = st.booleans().map(lambda flag: Flag(value=flag))
SCALARS = st.one_of(PATHS, PATHS, TEXTS, NUMBER_LITERALS, FLAGS)
WINDOWS = st.one_of(st.sampled_from([1, 60, 90, 3600, 86_400, 366 * 86_400]), st.integers(1, 366 * 86_400))
LEVELS = st.builds(lambda kind, path: Level(kind=kind, path=path), st.sampled_from(LEVEL_KINDS), PATHS)
LEVEL_WORDS = st.sampled_from(["third-party", "tenant-record", "user", "system", "public", "tenant", "secret", "no"])


@st.composite
def histories(draw: st.DrawFn) -> History:
    kind = draw(st.sampled_from(HISTORY_KINDS))
    return History(
        kind=kind,
        tool=draw(st.sampled_from(["refund", "look\tup"])),
        window_s=draw(WINDOWS),
        scope=draw(st.sampled_from(SCOPES)),
        arg=None if kind == "count" else draw(KEYS),
        value=draw(SCALARS) if kind == "seen" else None,
    )


# What cannot tell a missing field from one that is there: knowing less only ever makes these unknown.
BLIND_LEAVES: st.SearchStrategy[Expr] = st.one_of(
    SCALARS,
    LEVELS,
    histories(),
    st.builds(
        lambda op, level, word: Compare(op=op, left=level, right=Text(value=word)),
        st.sampled_from(COMPARE_OPS),
        LEVELS,
        LEVEL_WORDS,
    ),
)
LEAVES: st.SearchStrategy[Expr] = st.one_of(
    BLIND_LEAVES, BLIND_LEAVES, st.just(Null()), PATHS.map(lambda path: Has(path=path))
)


def _grown(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    lists = st.lists(inner, max_size=3).map(lambda items: Items(items=tuple(items)))
    return st.one_of(
        inner.map(lambda operand: Not(operand=operand)),
        several.map(lambda operands: And(operands=operands)),
        several.map(lambda operands: Or(operands=operands)),
        st.builds(
            lambda op, left, right: Compare(op=op, left=left, right=right), st.sampled_from(COMPARE_OPS), inner, inner
        ),
        st.builds(lambda item, container: In(item=item, container=container), inner, st.one_of(lists, inner)),
        st.builds(
            lambda first, rest: Sum(first=first, rest=tuple(rest)),
            inner,
            st.lists(st.tuples(st.sampled_from(SUM_OPS), inner), min_size=1, max_size=2),
        ),
        st.builds(lambda subject, prefix: StartsWith(subject=subject, prefix=prefix), inner, inner),
        inner.map(lambda operand: Size(operand=operand)),
        lists,
    )


CONDITIONS: st.SearchStrategy[Expr] = st.recursive(LEAVES, _grown, max_leaves=8)

HOSTILE = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    WORDS,
    st.sampled_from([Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-Infinity")]),
    st.sampled_from([0.5, float("nan"), float("inf")]),
    st.sampled_from([Decimal("1E+11000"), Decimal("1E-11000"), 10**4100]),
)
VALUES: st.SearchStrategy[object] = st.recursive(
    HOSTILE,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)
LABELS = st.builds(
    lambda integrity, confidentiality: Label(integrity=integrity, confidentiality=confidentiality),
    st.sampled_from(Integrity),
    st.sampled_from(Confidentiality),
)
ANSWERS = st.one_of(st.none(), st.booleans(), NUMBERS, st.sampled_from([Decimal("NaN")]))


FIELDS = {
    "n": NUMBERS,
    "s": WORDS,
    "f": st.booleans(),
    "l": st.lists(st.one_of(WORDS, NUMBERS), max_size=3),
    "m": st.dictionaries(st.one_of(KEYS, WORDS), st.just(1), max_size=3),
}


def typed_path(name: str) -> st.SearchStrategy[Path]:
    """A path to a field of one type, at the root or one level down."""
    return st.builds(
        lambda root, before: Path(root=root, keys=(*before, name)),
        st.sampled_from(ROOTS),
        st.sampled_from([(), ("inner",)]),
    )


@st.composite
def typed_objects(draw: st.DrawFn, depth: int = 1) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, right in FIELDS.items():
        dice = draw(st.integers(0, 12))
        if dice < 10:
            found[name] = draw(right)
        elif dice < 12:
            found[name] = draw(VALUES)
    if depth and draw(st.integers(0, 5)):
        found["inner"] = draw(typed_objects(depth - 1))
    return found


def numbers(depth: int) -> st.SearchStrategy[Expr]:
    leaves: st.SearchStrategy[Expr] = st.one_of(
        NUMBER_LITERALS, typed_path("n"), histories().filter(lambda history: history.kind != "seen")
    )
    if not depth:
        return leaves
    return st.one_of(
        leaves,
        st.builds(
            lambda first, rest: Sum(first=first, rest=tuple(rest)),
            numbers(depth - 1),
            st.lists(st.tuples(st.sampled_from(SUM_OPS), numbers(depth - 1)), min_size=1, max_size=2),
        ),
        st.one_of(strings(), typed_path("l"), typed_path("m")).map(lambda operand: Size(operand=operand)),
    )


def strings() -> st.SearchStrategy[Expr]:
    return st.one_of(TEXTS, typed_path("s"))


def compared(left: st.SearchStrategy[Expr], right: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    return st.builds(
        lambda op, one, other: Compare(op=op, left=one, right=other), st.sampled_from(COMPARE_OPS), left, right
    )


def truths(depth: int, *, sees_presence: bool = True) -> st.SearchStrategy[Expr]:
    """Conditions that make sense; without `sees_presence`, none that tells a missing field from one that is there."""
    some = st.one_of(strings(), NUMBER_LITERALS, typed_path("n"))
    lists = st.lists(some, max_size=3).map(lambda items: Items(items=tuple(items)))
    leaves: st.SearchStrategy[Expr] = st.one_of(
        FLAGS,
        typed_path("f"),
        compared(numbers(1), numbers(1)),
        compared(strings(), strings()),
        compared(LEVELS, LEVEL_WORDS.map(lambda word: Text(value=word))),
        st.builds(lambda item, container: In(item=item, container=container), some, st.one_of(lists, typed_path("l"))),
        st.builds(lambda item, container: In(item=item, container=container), strings(), typed_path("m")),
        st.builds(lambda subject, prefix: StartsWith(subject=subject, prefix=prefix), strings(), strings()),
        histories().filter(lambda history: history.kind == "seen"),
    )
    if not depth:
        return leaves
    inner = truths(depth - 1, sees_presence=sees_presence)
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    grown = st.one_of(
        leaves,
        inner.map(lambda operand: Not(operand=operand)),
        several.map(lambda operands: And(operands=operands)),
        several.map(lambda operands: Or(operands=operands)),
        st.builds(lambda one, other: Compare(op="==", left=one, right=other), inner, inner),
    )
    if not sees_presence:
        return grown
    return st.one_of(
        grown,
        st.sampled_from(list(FIELDS)).flatmap(typed_path).map(lambda path: Has(path=path)),
        st.builds(lambda path: Compare(op="!=", left=path, right=Null()), typed_path("s")),
    )


TYPED_CONDITIONS = truths(2)
BLIND_CONDITIONS = st.one_of(truths(2, sees_presence=False), st.recursive(BLIND_LEAVES, _grown, max_leaves=8))


FIELD_TYPES: dict[str, Type] = {
    "n": NumberType(),
    "s": StringType(),
    "f": BoolType(),
    "l": ListType(item=StringType()),
    "m": MapType(fields={}, extra=NumberType()),
}
OBJECT_TYPE = MapType(fields=FIELD_TYPES | {"inner": MapType(fields=FIELD_TYPES)})
RIGHT_FIELDS = FIELDS | {"l": st.lists(WORDS, max_size=3)}
RIGHT_OBJECTS = st.fixed_dictionaries({**RIGHT_FIELDS, "inner": st.fixed_dictionaries(RIGHT_FIELDS)})


@st.composite
def right_environments(draw: st.DrawFn, expr: Expr) -> ConditionEnv:
    """An environment of `OBJECT_TYPE` in every root, in which nothing is missing and every question is answered."""
    compiled = compile_condition(expr)
    env = ConditionEnv(
        args=draw(RIGHT_OBJECTS), facts=draw(RIGHT_OBJECTS), run=draw(RIGHT_OBJECTS), call=draw(RIGHT_OBJECTS)
    )
    answers = {"count": st.integers(0, 9), "sum": NUMBERS, "seen": st.booleans()}
    env.labels = {path: draw(LABELS) for path in sorted(compiled.label_reads)}
    env.history = {query: draw(answers[query.kind]) for query in compiled.history_queries(env)}
    return env


@st.composite
def environments(draw: st.DrawFn, expr: Expr) -> ConditionEnv:
    """An environment with labels and history for most, not all, of what `expr` asks."""
    compiled = compile_condition(expr)
    objects = draw(st.sampled_from([OBJECTS, typed_objects(), typed_objects()]))
    env = ConditionEnv(args=draw(objects), facts=draw(objects), run=draw(objects), call=draw(objects))
    labels: dict[AttributePath, Label] = {}
    for path in sorted(compiled.label_reads):
        if draw(st.integers(0, 4)):
            labels[path] = draw(LABELS)
    history: dict[HistoryQuery, int | Decimal | bool | None] = {}
    for query in compiled.history_queries(env):
        if draw(st.integers(0, 4)):
            history[query] = draw(ANSWERS)
    return ConditionEnv(args=env.args, facts=env.facts, run=env.run, call=env.call, labels=labels, history=history)
