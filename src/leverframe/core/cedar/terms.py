"""A condition to Cedar, twice: when it is certainly true, and when it is certainly false.

Knows: Kleene's logic in two-valued formulas.  Neither formula can fail, since each field is guarded; where both are
false the condition is unknown.  Never: decides what unknown means for a rule; `core.cedar.export` does.
Property: `tests/property/test_cedar_equal.py`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from leverframe.core.cedar.formula import (
    FALSE,
    TRUE,
    Atom,
    Constant,
    Formula,
    Negated,
    every,
    field,
    has_field,
    prefix_pattern,
    relation,
    some,
    text_literal,
)
from leverframe.core.cedar.kinds import ToolTypes
from leverframe.core.cedar.readings import ONLY, SCALARS, SETS, Keys, Reading, ReadingKind
from leverframe.core.cedar.scales import MAX_TERMS, Scales, literal_places, scaled
from leverframe.core.conditions import render
from leverframe.core.conditions.syntax import children
from leverframe.domain.conditions import (
    And,
    Compare,
    CompareOp,
    Expr,
    Flag,
    Has,
    History,
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
)
from leverframe.domain.errors import CedarUnsupported
from leverframe.domain.labels import CONFIDENTIALITY_WORDS, INTEGRITY_WORDS

_OPPOSITE: dict[CompareOp, CompareOp] = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


@dataclass(frozen=True, slots=True)
class Truths:
    """When a condition is certainly true, and when certainly false."""

    true: Formula
    false: Formula


@dataclass(frozen=True, slots=True)
class Value:
    """A printed value of one kind, and the guards without which it may not be read."""

    guards: tuple[Formula, ...]
    text: str


UNKNOWN = Truths(FALSE, FALSE)


class Terms:
    """Translates the conditions about one tool.

    Args:
        types: of what the tool's conditions can name.
        scales: the places of every number.
        place: where a field stands in the context.
    """

    def __init__(self, types: ToolTypes, scales: Scales, place: Callable[[Reading], Keys]) -> None:
        self._types = types
        self._scales = scales
        self._place = place

    def test(self, expr: Expr) -> Truths:
        """Translate a condition.

        Raises:
            CedarUnsupported: Cedar has no form for a part of it.
        """
        match expr:
            case Flag(value=value):
                return Truths(Constant(value), Constant(not value))
            case Not(operand=operand):
                inner = self.test(operand)
                return Truths(inner.false, inner.true)
            case And(operands=operands):
                parts = [self.test(operand) for operand in operands]
                return Truths(every(each.true for each in parts), some(each.false for each in parts))
            case Or(operands=operands):
                parts = [self.test(operand) for operand in operands]
                return Truths(some(each.true for each in parts), every(each.false for each in parts))
            case Compare():
                return self._compare(expr)
            case In():
                return self._in(expr)
            case StartsWith():
                return self._starts_with(expr)
            case Has(path=path):
                return self._flag(Reading("has", path))
            case Path() | History() if "boolean" in self._types.kinds(expr):
                return self._flag(Reading("boolean", expr))
            case _:
                return UNKNOWN

    def _flag(self, reading: Reading) -> Truths:
        keys = self._place(reading)
        guard, value = has_field(keys), Atom(field(keys))
        return Truths(every((guard, value)), every((guard, Negated(value))))

    def _compare(self, expr: Compare) -> Truths:
        op, left, right = expr.op, expr.left, expr.right
        if op in {"==", "!="} and (isinstance(left, Null) or isinstance(right, Null)):
            truths = self._is_null(right if isinstance(left, Null) else left)
        elif isinstance(left, Level) or isinstance(right, Level):
            return self._levels(op, left, right)
        elif op in {"==", "!="}:
            truths = self._equal(left, right)
        else:
            return self._ordered(op, left, right)
        return truths if op == "==" else Truths(truths.false, truths.true)

    def _is_null(self, expr: Expr) -> Truths:
        if isinstance(expr, Null):
            return Truths(TRUE, FALSE)
        if isinstance(expr, Path):
            return self._flag(Reading("null", expr))
        raise CedarUnsupported(
            f"`{render(expr)}` is compared with null, which in Cedar only a field can be.",
            next_move="Compare its fields with null, or ask `has` of them.",
        )

    def _equal(self, left: Expr, right: Expr) -> Truths:
        shared = self._types.kinds(left) & self._types.kinds(right)
        parts: list[Truths] = []
        for kind in SCALARS:
            if kind not in shared:
                continue
            if kind == "boolean":
                one, other = self.test(left), self.test(right)
                same = some((every((one.true, other.true)), every((one.false, other.false))))
                unlike = some((every((one.true, other.false)), every((one.false, other.true))))
                parts.append(Truths(same, unlike))
            else:
                parts.append(self._related("==", left, right, kind))
        return Truths(some(each.true for each in parts), some(each.false for each in parts))

    def _ordered(self, op: CompareOp, left: Expr, right: Expr) -> Truths:
        shared = self._types.kinds(left) & self._types.kinds(right)
        if "string" in shared:
            raise CedarUnsupported(
                f"`{render(Compare(op=op, left=left, right=right))}` may order two strings, and Cedar orders only "
                f"numbers.",
                next_move="Declare the type of its fields in the tool's schema, or compare strings with `==`.",
            )
        return self._related(op, left, right, "number") if "number" in shared else UNKNOWN

    def _related(self, op: CompareOp, left: Expr, right: Expr, kind: ReadingKind) -> Truths:
        scale = self._scale((left, right)) if kind == "number" else 0
        one, other = self._value(left, kind, scale), self._value(right, kind, scale)
        guards = every((*one.guards, *other.guards))
        compared = relation(one.text, op, other.text)
        return Truths(every((guards, compared)), every((guards, Negated(compared))))

    def _levels(self, op: CompareOp, left: Expr, right: Expr) -> Truths:
        kind = left.kind if isinstance(left, Level) else right.kind if isinstance(right, Level) else None
        one, other = self._rank(left, kind), self._rank(right, kind)
        if one is None or other is None:
            return UNKNOWN
        guards = every((*one.guards, *other.guards))
        compared = relation(one.text, op, other.text)
        return Truths(every((guards, compared)), every((guards, Negated(compared))))

    def _rank(self, expr: Expr, kind: LevelKind | None) -> Value | None:
        if isinstance(expr, Level) and expr.kind == kind:
            return self._read(Reading("number", expr))
        words = INTEGRITY_WORDS if kind == "integrity" else CONFIDENTIALITY_WORDS
        level = words.get(expr.value) if isinstance(expr, Text) else None
        return None if level is None else Value((), str(int(level)))

    def _in(self, expr: In) -> Truths:
        item, container = expr.item, expr.container
        if isinstance(container, Items):
            return self._in_literal(item, container.items)
        if not isinstance(container, Path):
            return UNKNOWN
        kinds = self._types.kinds(item)
        if isinstance(item, Level):
            self._known(item)
        if not kinds:
            return UNKNOWN
        if "boolean" in kinds and not isinstance(item, Path | Flag | History):
            raise CedarUnsupported(
                f"`{render(expr)}` looks for the answer of a condition in a list.",
                next_move="Write the two cases as two rules.",
            )
        scale = self._scale((item, container))
        true, false = [], []
        for kind in SCALARS:
            if kind not in kinds:
                continue
            value = self._value(item, kind, scale)
            members = self._read(Reading(SETS[kind], container))
            guards = every((*value.guards, *members.guards))
            found = Atom(f"{members.text}.contains({value.text})")
            true.append(every((guards, found)))
            false.append(every((guards, self._flag(Reading(ONLY[kind], container)).true, Negated(found))))
        if isinstance(item, Path):
            # What is no scalar is not in an empty list either.
            false.append(every((self._known(item), self._flag(Reading("empty", container)).true)))
        return Truths(some(true), some(false))

    def _in_literal(self, item: Expr, items: tuple[Expr, ...]) -> Truths:
        if not items:
            return Truths(FALSE, self._known(item))
        if all(isinstance(each, Text) for each in items) and not isinstance(item, Level):
            return self._in_words(item, [each for each in items if isinstance(each, Text)])
        parts = [self._same(each, item) for each in items]
        return Truths(some(each.true for each in parts), every(each.false for each in parts))

    def _same(self, candidate: Expr, item: Expr) -> Truths:
        """One item of a list literal against what is looked for; null is not a value there, and a word no level."""
        is_level = isinstance(candidate, Level) and not isinstance(item, Level)
        if is_level or isinstance(candidate, Null) or isinstance(item, Null):
            return UNKNOWN
        return self._compare(Compare(op="==", left=item, right=candidate))

    def _in_words(self, item: Expr, words: list[Text]) -> Truths:
        if "string" not in self._types.kinds(item):
            return UNKNOWN
        value = self._value(item, "string", 0)
        found = Atom(f"[{', '.join(text_literal(word.value) for word in words)}].contains({value.text})")
        return Truths(every((*value.guards, found)), every((*value.guards, Negated(found))))

    def _starts_with(self, expr: StartsWith) -> Truths:
        if "string" not in self._types.kinds(expr.subject) or "string" not in self._types.kinds(expr.prefix):
            return UNKNOWN
        if not isinstance(expr.prefix, Text):
            raise CedarUnsupported(
                f"`{render(expr)}` has a prefix that is no literal, and Cedar's `like` takes literals only.",
                next_move="Write the prefix out, or compare the whole with `==`.",
            )
        subject = self._value(expr.subject, "string", 0)
        found = relation(subject.text, "like", prefix_pattern(expr.prefix.value))
        return Truths(every((*subject.guards, found)), every((*subject.guards, Negated(found))))

    def _value(self, expr: Expr, kind: ReadingKind, scale: int) -> Value:
        """A value of a kind that the expression can have."""
        match expr:
            case Text(value=value):
                return Value((), text_literal(value))
            case Flag(value=value):
                return Value((), "true" if value else "false")
            case Number():
                return Value((), self._number(expr, scale))
            case Size(operand=Text(value=value)):
                return Value((), str(len(value) * 10**scale))
            case Size(operand=Path() as path):
                return self._read(Reading("size", path))
            case Path() | History():
                return self._read(Reading(kind, expr))
            case Sum(first=first, rest=rest):
                return self._sum(first, rest, scale)
            case _:
                return Value((FALSE,), "0")

    def _sum(self, first: Expr, rest: Iterable[tuple[str, Expr]], scale: int) -> Value:
        terms = [("", first), *rest]
        if any("number" not in self._types.kinds(term) for _, term in terms):
            return Value((FALSE,), "0")
        values = [self._value(term, "number", scale) for _, term in terms]
        text = values[0].text
        for (op, term), value in zip(terms[1:], values[1:], strict=True):
            text += f" {op} ({value.text})" if isinstance(term, Sum) else f" {op} {value.text}"
        return Value(tuple(guard for value in values for guard in value.guards), text)

    def _number(self, literal: Number, scale: int) -> str:
        number = scaled(literal.value, scale)
        if number is None:
            raise CedarUnsupported(
                f"The number {_shortened(literal.value)} is beyond what an export holds, which is 2**53 in units of "
                f"{scale} decimal places.",
                next_move="Cedar has 64-bit integers only; compare with a smaller number.",
            )
        return str(number)

    def _read(self, reading: Reading) -> Value:
        keys = self._place(reading)
        return Value((has_field(keys),), field(keys))

    def _known(self, expr: Expr) -> Formula:
        """When an expression has a value at all."""
        match expr:
            case Text() | Number() | Flag():
                return TRUE
            case Path():
                return self._flag(Reading("has", expr)).true
            case Null() | Items():
                return FALSE
            case _:
                raise CedarUnsupported(
                    f"`{render(expr)}` is looked for in a list that may be empty, which Cedar can ask of fields only.",
                    next_move="Compare it with each value by `==`.",
                )

    def _scale(self, exprs: tuple[Expr, ...]) -> int:
        """The scale that all numbers of a comparison share."""
        leaves = [leaf for expr in exprs for leaf in _terms(expr)]
        if len(leaves) > MAX_TERMS:
            raise CedarUnsupported(
                f"More than {MAX_TERMS} numbers are added, whose sum may leave Cedar's 64 bits.",
                next_move="Compute a part of it in a fact.",
            )
        texts = [render(leaf) for leaf in leaves if isinstance(leaf, Path | Size | History)]
        return max((self._scales.get(text, 0) for text in texts), default=0) if texts else literal_places(leaves)


def _terms(expr: Expr) -> list[Expr]:
    if isinstance(expr, Sum):
        return [leaf for term in children(expr) for leaf in _terms(term)]
    return [expr]


def _shortened(value: object) -> str:
    text = format(value, "E") if not isinstance(value, int) or abs(value) < 10**30 else f"of {value.bit_length()} bits"
    return str(value) if isinstance(value, int) and abs(value) < 10**30 else text
