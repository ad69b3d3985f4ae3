"""Types a condition when its file loads, so that a misspelt name is an error then and not an unknown at run time.

Knows: which types each form takes.  Where nothing is known of a value, everything is allowed: a problem is reported
only where no value of the schema could make sense.  Never raises.
"""

from leverframe.core.conditions.printer import quoted, render
from leverframe.core.conditions.resolve import Resolver, describe
from leverframe.core.conditions.schema_types import ANY, members, union_of
from leverframe.core.conditions.scope import COUNT, TypeScope
from leverframe.core.nearest import nearest
from leverframe.domain.conditions import (
    And,
    AnyType,
    BoolType,
    Compare,
    Expr,
    Flag,
    Has,
    History,
    In,
    Items,
    Level,
    LevelType,
    ListType,
    MapType,
    Not,
    Null,
    NullType,
    Number,
    NumberType,
    Or,
    Path,
    Size,
    StartsWith,
    StringType,
    Sum,
    Text,
    Type,
    TypeProblem,
)
from leverframe.domain.labels import CONFIDENTIALITY_WORDS, INTEGRITY_WORDS

_TRUTH = BoolType()
_LEVEL_WORDS = {"integrity": tuple(INTEGRITY_WORDS), "confidentiality": tuple(CONFIDENTIALITY_WORDS)}


def check(expr: Expr, scope: TypeScope) -> tuple[TypeProblem, ...]:
    """Find what `expr` asks that `scope` does not have, for every tool of the rule, in the order of the text.

    A problem that not all tools of the rule share names its tool.
    """
    if not scope.args:
        return _ordered(_Checker(scope, "", ANY).problems_of(expr))
    found = {tool: _Checker(scope, tool, scope.args[tool]).problems_of(expr) for tool in sorted(scope.args)}
    shared = set.intersection(*(set(problems) for problems in found.values()))
    problems = list(shared)
    for tool, of_tool in found.items():
        problems += [_for_tool(problem, tool) for problem in of_tool if problem not in shared]
    return _ordered(problems)


def _ordered(problems: list[TypeProblem]) -> tuple[TypeProblem, ...]:
    return tuple(sorted(problems, key=lambda problem: (problem.offset, problem.tool or "", problem.message)))


def _for_tool(problem: TypeProblem, tool: str) -> TypeProblem:
    message = problem.message if f" of {tool};" in problem.message else f"For {tool}: {problem.message}"
    return TypeProblem(offset=problem.offset, message=message, nearest=problem.nearest, tool=tool)


class _Checker:
    """Types one expression with the arguments of one tool, collecting problems.

    A part with a problem has any type, so that one mistake is reported once.
    """

    def __init__(self, scope: TypeScope, tool: str, args: Type) -> None:
        self._scope = scope
        self._resolver = Resolver(scope, tool, args)
        self._problems: list[TypeProblem] = []

    def problems_of(self, expr: Expr) -> list[TypeProblem]:
        self._truth(expr)
        return self._problems

    def _report(self, offset: int, message: str, close: str | None = None) -> Type:
        self._problems.append(TypeProblem(offset=offset, message=message, nearest=close))
        return ANY

    def _type(self, expr: Expr) -> Type:
        match expr:
            case Text(value=text):
                return StringType(choices=frozenset({text}))
            case Number():
                return NumberType()
            case Null():
                return self._report(expr.at, "`null` is a value beside `==` and `!=` only.")
            case Items():
                return self._report(expr.at, "A list stands to the right of `in` only.")
            case Path():
                return self._path(expr)
            case Level(kind=kind, path=path):
                self._path(path)
                return LevelType(kind=kind)
            case Size() | Sum() | History():
                return self._computed(expr)
            case _:
                self._boolean(expr)
                return _TRUTH

    def _computed(self, expr: Size | Sum | History) -> Type:
        match expr:
            case Size(operand=operand):
                self._expect(operand, (StringType, ListType, MapType), "a string, a list or an object")
                return COUNT
            case Sum():
                return self._sum(expr)
            case History():
                return self._history(expr)

    def _boolean(self, expr: Flag | Has | Not | And | Or | Compare | In | StartsWith) -> None:
        match expr:
            case Flag():
                pass
            case Has(path=path):
                self._path(path)
            case Not(operand=operand):
                self._truth(operand)
            case And(operands=operands) | Or(operands=operands):
                for operand in operands:
                    self._truth(operand)
            case Compare():
                self._compare(expr)
            case In():
                self._in(expr)
            case StartsWith(subject=subject, prefix=prefix):
                self._expect(subject, (StringType,), "a string")
                self._expect(prefix, (StringType,), "a string")

    def _truth(self, expr: Expr) -> None:
        self._expect(expr, (BoolType,), "true or false")

    def _expect(self, expr: Expr, wanted: tuple[type, ...], words: str) -> Type:
        """Type `expr` and report it where none of its types is of a class in `wanted`."""
        found = self._type(expr)
        if not any(isinstance(each, (AnyType, *wanted)) for each in members(found)):
            return self._report(expr.at, f"`{render(expr)}` is {describe(found)} where {words} is needed.")
        return found

    def _path(self, path: Path) -> Type:
        found = self._resolver.type_of(path)
        if isinstance(found, TypeProblem):
            self._problems.append(found)
            return ANY
        return found

    def _sum(self, expr: Sum) -> Type:
        unit, owner = "", expr.first
        for term in (expr.first, *(term for _, term in expr.rest)):
            found = self._expect(term, (NumberType,), "a number")
            for each in members(found):
                if not isinstance(each, NumberType) or not each.unit or each.unit == unit:
                    continue
                if unit:
                    return self._report(term.at, _two_units(owner, unit, term, each.unit))
                unit, owner = each.unit, term
        return NumberType(unit=unit)

    def _compare(self, expr: Compare) -> None:
        left, right = expr.left, expr.right
        if expr.op in {"==", "!="} and (isinstance(left, Null) or isinstance(right, Null)):
            self._null_test(right if isinstance(left, Null) else left)
            return
        known_problems = len(self._problems)
        left_type, right_type = self._beside(right, left), self._beside(left, right)
        if len(self._problems) == known_problems:
            self._pair(left, right, left_type, right_type, is_ordered=expr.op[0] in "<>")

    def _null_test(self, operand: Expr) -> None:
        if isinstance(operand, Null):
            return
        found = self._type(operand)
        if not any(isinstance(each, AnyType | NullType) for each in members(found)):
            self._report(
                operand.at,
                f"`{render(operand)}` is {describe(found)} and never null; `has(...)` asks whether a field is there.",
            )

    def _beside(self, other: Expr, expr: Expr) -> Type:
        """Type `expr`; beside a level, a string literal is one of the level's words."""
        if not (isinstance(other, Level) and isinstance(expr, Text)):
            return self._type(expr)
        words = _LEVEL_WORDS[other.kind]
        if expr.value in words:
            return LevelType(kind=other.kind)
        close = nearest(expr.value, words)
        advice = f'did you mean "{close}"?' if close else f"it is one of {', '.join(words)}."
        return self._report(expr.at, f"{quoted(expr.value)} is not a level of {other.kind}; {advice}", close)

    def _pair(self, left: Expr, right: Expr, left_type: Type, right_type: Type, *, is_ordered: bool) -> None:
        """Report two sides that no values of their types can compare."""
        pairs = [(one, other) for one in members(left_type) for other in members(right_type)]
        if any(_comparable(one, other, is_ordered=is_ordered) for one, other in pairs):
            return
        units = [
            each.unit for side in (left_type, right_type) for each in members(side) if isinstance(each, NumberType)
        ]
        if len(units) == 2:  # noqa: PLR2004  a number on both sides
            self._report(right.at, _two_units(left, units[0], right, units[1]))
        elif (problem := _no_such_choice(left, right, left_type, right_type)) is not None:
            self._problems.append(problem)
        else:
            verb = "put in order" if is_ordered else "compared"
            self._report(
                right.at,
                f"`{render(left)}` is {describe(left_type)} and `{render(right)}` {describe(right_type)}; "
                f"they cannot be {verb}.",
            )

    def _in(self, expr: In) -> None:
        item, container = expr.item, expr.container
        item_type = self._type(item)
        if isinstance(container, Items):
            for each in container.items:
                if isinstance(each, Null):
                    self._type(each)
                else:
                    self._pair(item, each, item_type, self._beside(item, each), is_ordered=False)
            if not container.items:
                self._report(container.at, "Nothing is in an empty list.")
            return
        found = self._expect(container, (ListType, MapType), "a list or an object")
        if not any(_may_contain(each, item_type) for each in members(found)):
            self._report(
                item.at, f"`{render(item)}` is {describe(item_type)}, which `{render(container)}` never contains."
            )

    def _history(self, expr: History) -> Type:
        found = self._resolver.history_argument(expr)
        if isinstance(found, TypeProblem):
            self._problems.append(found)
            found = ANY
        if expr.kind == "count":
            return COUNT
        if expr.kind == "seen":
            self._seen(expr, found)
            return _TRUTH
        numbers = [each for each in members(found) if isinstance(each, NumberType)]
        if not numbers and not isinstance(found, AnyType):
            at = expr.names_at[1] if len(expr.names_at) > 1 else expr.at
            return self._report(at, f"`{expr.arg}` of {expr.tool} is {describe(found)}; only numbers have a sum.")
        return union_of(numbers) if numbers else NumberType()

    def _seen(self, expr: History, argument: Type) -> None:
        if expr.value is None:
            return
        value = self._type(expr.value)
        if not any(_comparable(one, other, is_ordered=False) for one in members(argument) for other in members(value)):
            self._report(
                expr.value.at,
                f"`{render(expr.value)}` is {describe(value)} and `{expr.arg}` of {expr.tool} {describe(argument)}; "
                "they are never equal.",
            )


def _comparable(left: Type, right: Type, *, is_ordered: bool) -> bool:
    match left, right:
        case AnyType(), other:
            return isinstance(other, AnyType | NumberType | StringType | LevelType) or (
                isinstance(other, BoolType) and not is_ordered
            )
        case other, AnyType():
            return _comparable(right, left, is_ordered=is_ordered)
        case NumberType(unit=one), NumberType(unit=other_unit):
            return not one or not other_unit or one == other_unit
        case StringType(choices=one_of), StringType(choices=other_of):
            return is_ordered or not one_of or not other_of or bool(one_of & other_of)
        case LevelType(kind=one_kind), LevelType(kind=other_kind):
            return one_kind == other_kind
        case BoolType(), BoolType():
            return not is_ordered
        case _:
            return False


def _may_contain(container: Type, item: Type) -> bool:
    match container:
        case AnyType():
            return True
        case ListType(item=each):
            return any(_comparable(one, other, is_ordered=False) for one in members(each) for other in members(item))
        case MapType(fields=fields, extra=extra):
            for each in members(item):
                if isinstance(each, AnyType):
                    return True
                if isinstance(each, StringType):
                    return extra is not None or not each.choices or not each.choices.isdisjoint(fields)
            return False
        case _:
            return False


def _two_units(left: Expr, left_unit: str, right: Expr, right_unit: str) -> str:
    return (
        f"`{render(left)}` is in {left_unit} and `{render(right)}` in {right_unit}; "
        "bring both to one unit in a fact first."
    )


def _no_such_choice(left: Expr, right: Expr, left_type: Type, right_type: Type) -> TypeProblem | None:
    """The problem of a literal that an enumeration does not have, or None where that is not what is wrong."""
    for literal, other, other_type in ((right, left, left_type), (left, right, right_type)):
        choices = frozenset[str]().union(
            *(each.choices for each in members(other_type) if isinstance(each, StringType))
        )
        if isinstance(literal, Text) and choices and not isinstance(other, Text):
            close = nearest(literal.value, choices)
            advice = f'did you mean "{close}"?' if close else f"it is one of {', '.join(sorted(choices)[:8])}."
            return TypeProblem(
                offset=literal.at,
                message=f"`{render(other)}` is never {quoted(literal.value)}; {advice}",
                nearest=close,
            )
    return None
