"""What the parser, the printer and the walkers share: the words of the language and the shape of its tree."""

from typing import Final

from leverframe.domain.conditions import (
    SCOPES,
    And,
    Compare,
    CompareOp,
    Expr,
    Flag,
    Has,
    History,
    HistoryKind,
    HistoryScope,
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

MAX_DEPTH: Final = 64
MAX_WINDOW_S: Final = 366 * 86_400

KEYWORDS: Final = frozenset({"true", "false", "null", "in"})
COMPARE_OPS: Final[dict[str, CompareOp]] = {"==": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
SUM_OPS: Final[dict[str, SumOp]] = {"+": "+", "-": "-"}
LEVEL_KINDS: Final[dict[str, LevelKind]] = {"integrity": "integrity", "confidentiality": "confidentiality"}
HISTORY_KINDS: Final[dict[str, HistoryKind]] = {"count": "count", "sum": "sum", "seen": "seen"}
SCOPE_WORDS: Final[dict[str, HistoryScope]] = {scope: scope for scope in SCOPES}
FUNCTIONS: Final = ("has", "size", *LEVEL_KINDS)
WINDOW_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

# How tightly each operator binds; `!` and `.` bind tighter than all of them.
OR_LEVEL, AND_LEVEL, RELATION_LEVEL, SUM_LEVEL, UNARY_LEVEL = 1, 2, 3, 4, 5
OPERATOR_LEVELS: Final = (
    {"||": OR_LEVEL, "&&": AND_LEVEL, "in": RELATION_LEVEL}
    | dict.fromkeys(COMPARE_OPS, RELATION_LEVEL)
    | dict.fromkeys(SUM_OPS, SUM_LEVEL)
)


def children(expr: Expr) -> tuple[Expr, ...]:
    """The expressions directly inside `expr`, from left to right; a `has` or a level holds a path."""
    match expr:
        case Text() | Number() | Flag() | Null() | Path():
            return ()
        case Items(items=items) | And(operands=items) | Or(operands=items):
            return items
        case Not(operand=operand) | Size(operand=operand):
            return (operand,)
        case Compare(left=left, right=right) | In(item=left, container=right):
            return (left, right)
        case StartsWith(subject=left, prefix=right):
            return (left, right)
        case Sum(first=first, rest=rest):
            return (first, *(term for _, term in rest))
        case Has(path=path) | Level(path=path):
            return (path,)
        case History(value=value):
            return () if value is None else (value,)


def too_deep(expr: Expr) -> Expr | None:
    """The first expression found below `MAX_DEPTH` levels, or None.  Walks without recursion."""
    waiting = [(expr, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_DEPTH:
            return node
        waiting.extend((child, depth + 1) for child in children(node))
    return None
