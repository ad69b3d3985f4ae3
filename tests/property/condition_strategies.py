"""Random conditions, and environments that are hostile to them."""

from decimal import Decimal

from hypothesis import strategies as st

from leverframe.core.conditions import AttributePath, ConditionEnv, compile_condition
from leverframe.domain.conditions import (
    ROOTS,
    SCOPES,
    And,
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
    Not,
    Null,
    Number,
    Or,
    Path,
    Size,
    StartsWith,
    Sum,
    SumOp,
    Text,
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
BLIND_CONDITIONS: st.SearchStrategy[Expr] = st.recursive(BLIND_LEAVES, _grown, max_leaves=8)

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


@st.composite
def environments(draw: st.DrawFn, expr: Expr) -> ConditionEnv:
    """An environment with labels and history for most, not all, of what `expr` asks."""
    compiled = compile_condition(expr)
    env = ConditionEnv(args=draw(OBJECTS), facts=draw(OBJECTS), run=draw(OBJECTS), call=draw(OBJECTS))
    labels: dict[AttributePath, Label] = {}
    for path in sorted(compiled.label_reads):
        if draw(st.integers(0, 4)):
            labels[path] = draw(LABELS)
    history: dict[HistoryQuery, int | Decimal | bool | None] = {}
    for query in compiled.history_queries(env):
        if draw(st.integers(0, 4)):
            history[query] = draw(ANSWERS)
    return ConditionEnv(args=env.args, facts=env.facts, run=env.run, call=env.call, labels=labels, history=history)
