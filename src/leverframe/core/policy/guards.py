"""What a rule cannot match without: one field against literals, read off its condition.

Knows: `args.amount_usd > 500 && x` is false for a call of 40, whatever x is, and `!(run.environment == "prod" || x)`
for a run in prod.  Never: evaluates a rule, nor says that one matches.  A field that is missing or of another type
makes no guard false.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from leverframe.core.policy.amounts import Threshold
from leverframe.domain.conditions import (
    And,
    Compare,
    CompareOp,
    Expr,
    In,
    Items,
    Not,
    Number,
    Or,
    Path,
    StartsWith,
    Text,
)

GuardKind = Literal["text", "number", "prefix", "above", "below", "not-text"]

# The first that a rule has is asked: those that leave few rules open come first.
_MOST_SELECTIVE: tuple[GuardKind, ...] = ("text", "number", "prefix", "above", "below", "not-text")
_FLIPPED: dict[CompareOp, CompareOp] = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NEGATED: dict[CompareOp, CompareOp] = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_OF_NUMBERS: dict[CompareOp, GuardKind] = {"==": "number", "<": "below", "<=": "below", ">": "above", ">=": "above"}
_OF_TEXTS: dict[CompareOp, GuardKind] = {"==": "text", "!=": "not-text"}


@dataclass(frozen=True, slots=True)
class Guard:
    """A part of a condition without which it is false.

    `text`: the field is one of the literals; `not-text`: none of them; `number`: equals it; `prefix`: starts with it;
    `above` and `below`: on that side of it, or equal to it, which the rule itself then judges.
    """

    path: Path
    kind: GuardKind
    literals: tuple[str | int | Decimal, ...]


def guard_of(when: Expr | None, threshold: Threshold | None) -> Guard | None:
    """The guard of a rule that leaves it open for the fewest calls; None where it has none that a table can hold."""
    found = [] if when is None else list(_guards(when, is_wanted=True))
    if threshold is not None and len(threshold.places) == 1:
        (place,) = threshold.places
        root: Literal["args", "facts"] = "facts" if place.path.startswith("facts.") else "args"
        if place.currency == "USD":
            found.append(Guard(Path(root=root, keys=place.keys), "above", (place.limit,)))
    return min(found, key=_openness, default=None)


def _openness(guard: Guard) -> tuple[bool, bool, int]:
    # What is the same for every call of a run tells no two calls apart.
    kind = _MOST_SELECTIVE.index(guard.kind)
    return guard.kind == "not-text", guard.path.root == "run", kind


def _guards(expr: Expr, *, is_wanted: bool) -> Iterator[Guard]:
    """The guards of `expr` being true, or being false: `!(a || b)` is `!a && !b`, also where one is unknown."""
    match expr:
        case Not(operand=operand):
            yield from _guards(operand, is_wanted=not is_wanted)
        case And(operands=operands) | Or(operands=operands) if isinstance(expr, And) is is_wanted:
            for operand in operands:
                yield from _guards(operand, is_wanted=is_wanted)
        case Compare(op=op, left=left, right=right):
            op = op if is_wanted else _NEGATED[op]
            for guard in (_compared(op, left, right), _compared(_FLIPPED[op], right, left)):
                if guard is not None:
                    yield guard
        case In(item=Path() as path, container=Items(items=items)) if _is_field(path):
            words = tuple(item.value for item in items if isinstance(item, Text))
            if len(words) == len(items):
                yield Guard(path, "text" if is_wanted else "not-text", words)
        case StartsWith(subject=Path() as path, prefix=Text(value=prefix)) if is_wanted and _is_field(path):
            yield Guard(path, "prefix", (prefix,))


def _compared(op: CompareOp, field: Expr, literal: Expr) -> Guard | None:
    if not isinstance(field, Path) or not _is_field(field):
        return None
    if isinstance(literal, Text) and op in _OF_TEXTS:
        return Guard(field, _OF_TEXTS[op], (literal.value,))
    if isinstance(literal, Number) and op in _OF_NUMBERS:
        return Guard(field, _OF_NUMBERS[op], (literal.value,))
    return None


def _is_field(path: Path) -> bool:
    return path.root != "call" and bool(path.keys)  # a tool's rules all see the same call.tool
