"""A parsed Cedar condition as a tree of `and`, `or` and leaves, with every negation pushed to the leaves.

Knows: that a guard (`context has args.a`) beside what reads that field says nothing that an unknown value does not say
by itself; such guards are dropped, so that a condition comes back as a person wrote it.  It stays as `has(args.a)`
where it stands alone.  Dropping one turns false into unknown, which only a tree without negations may do: there it
can never make true what was not.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from leverframe.core.cedar.fields import Approved, EmptyList, OfDoor, OnlyOf, spelled
from leverframe.core.cedar.readings import Keys
from leverframe.domain.conditions import And, Compare, CompareOp, Expr, Flag, Has, In, Not, Or, Path
from leverframe.domain.errors import CedarUnsupported

_OPPOSITE: dict[CompareOp, CompareOp] = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_ALWAYS, _NEVER = Flag(value=True), Flag(value=False)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A condition; `reads` are the fields without any of which it is unknown."""

    expr: Expr
    reads: frozenset[Keys] = frozenset()


@dataclass(frozen=True, slots=True)
class Guard:
    """`context has …`, or its negation."""

    keys: Keys
    meaning: Path | None
    is_positive: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """`context.approved`, or what only the export of `in` says; `is_positive` is false behind a `!`."""

    keys: Keys
    about: Approved | OfDoor | OnlyOf | EmptyList
    is_positive: bool = True


@dataclass(frozen=True, slots=True)
class AllOf:
    """True where every part is."""

    parts: "tuple[Tree, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True where one part is."""

    parts: "tuple[Tree, ...]"


Tree = Leaf | Guard | Mark | AllOf | AnyOf


def all_of(parts: Iterable[Tree]) -> Tree:
    """Join without nesting."""
    found = tuple(each for part in parts for each in (part.parts if isinstance(part, AllOf) else (part,)))
    return found[0] if len(found) == 1 else AllOf(found)


def any_of(parts: Iterable[Tree]) -> Tree:
    """Join without nesting."""
    found = tuple(each for part in parts for each in (part.parts if isinstance(part, AnyOf) else (part,)))
    return found[0] if len(found) == 1 else AnyOf(found)


def inverse(tree: Tree) -> Tree:
    """The tree that is true where this one is false."""
    match tree:
        case Leaf(expr=expr):
            return replace(tree, expr=negated(expr))
        case Guard(is_positive=is_positive) | Mark(is_positive=is_positive):
            return replace(tree, is_positive=not is_positive)
        case AllOf(parts=parts):
            return any_of(inverse(part) for part in parts)
        case AnyOf(parts=parts):
            return all_of(inverse(part) for part in parts)


def ends(tree: Tree) -> Iterator[Leaf | Guard | Mark]:
    """Every leaf, guard and mark of a tree."""
    if isinstance(tree, AllOf | AnyOf):
        for part in tree.parts:
            yield from ends(part)
    else:
        yield tree


def negated(expr: Expr) -> Expr:
    """What is true where `expr` is false, and unknown where it is unknown; without more `!` than needed."""
    match expr:
        case Not(operand=operand):
            return operand
        case Flag(value=value):
            return Flag(value=not value)
        case And(operands=operands):
            return _joined_or(negated(each) for each in operands)
        case Or(operands=operands):
            return _joined_and(negated(each) for each in operands)
        case Compare(op=op, left=left, right=right):
            return Compare(op=_OPPOSITE[op], left=left, right=right)
        case _:
            return Not(operand=expr)


def condition_of(tree: Tree) -> Expr:
    """The tree as a condition that is true exactly where the tree is.

    Raises:
        CedarUnsupported: a guard or a part of an exported `in` stands where it cannot be said.
    """
    match tree:
        case Leaf(expr=expr):
            return expr
        case AllOf(parts=parts):
            return _joined_and(condition_of(part) for part in _without_guards(parts))
        case AnyOf(parts=parts):
            return _joined_or(condition_of(part) for part in _without_empty(parts))
        case Guard(keys=keys, meaning=meaning, is_positive=is_positive):
            return _guard(keys, meaning, is_positive=is_positive)
        case Mark(keys=keys):
            raise CedarUnsupported(
                f"`{spelled(keys)}` stands where a condition cannot ask for it.",
                next_move="Keep it as the export writes it: `forbid … unless { … || context.approved }`.",
            )


def _guard(keys: Keys, meaning: Path | None, *, is_positive: bool) -> Expr:
    if meaning is None:
        raise CedarUnsupported(
            f"`context has {'.'.join(keys)}` stands without a comparison of that field beside it.",
            next_move="Write the comparison behind it: `context has x && context.x …`.",
        )
    if not meaning.keys:
        return _ALWAYS if is_positive else _NEVER  # args, facts, run and call are always there
    found = Has(path=meaning)
    return found if is_positive else Not(operand=found)


def _without_guards(parts: tuple[Tree, ...]) -> Iterator[Tree]:
    reads = frozenset[Keys]().union(*(_reads(part) for part in parts))
    searched = {
        part.expr.operand.container
        for part in parts
        if isinstance(part, Leaf) and isinstance(part.expr, Not) and isinstance(part.expr.operand, In)
    }
    for part in parts:
        match part:
            case Guard(keys=keys, is_positive=True) if any(read[: len(keys)] == keys for read in reads):
                continue
            case Mark(about=OnlyOf(container=container), is_positive=True) if container in searched:
                continue
            case _:
                yield part


def _without_empty(parts: tuple[Tree, ...]) -> Iterator[Tree]:
    """Leave out `has(a) && empty(list)` beside `!(a in list)`, which is true there as well."""
    said = {part.expr for each in parts for part in _all_parts(each) if isinstance(part, Leaf)}
    for part in parts:
        empty = next(
            (
                each.about
                for each in _all_parts(part)
                if isinstance(each, Mark) and isinstance(each.about, EmptyList) and each.is_positive
            ),
            None,
        )
        items = [each.expr.path for each in _all_parts(part) if isinstance(each, Leaf) and isinstance(each.expr, Has)]
        if empty is None or not any(Not(operand=In(item=item, container=empty.container)) in said for item in items):
            yield part


def _all_parts(tree: Tree) -> tuple[Tree, ...]:
    return tree.parts if isinstance(tree, AllOf) else (tree,)


def _reads(tree: Tree) -> frozenset[Keys]:
    """The fields without any of which a tree is certainly not true."""
    match tree:
        case Leaf(reads=reads):
            return reads
        case Mark(keys=keys, is_positive=True):
            return frozenset({keys})
        case AllOf(parts=parts):
            return frozenset[Keys]().union(*(_reads(part) for part in parts))
        case AnyOf(parts=parts):
            return frozenset[Keys].intersection(*(_reads(part) for part in parts)) if parts else frozenset()
        case _:
            return frozenset()


def _joined_and(parts: Iterable[Expr]) -> Expr:
    found = _flat(parts, And, neutral=_ALWAYS)
    if _NEVER in found:
        return _NEVER
    return And(operands=found) if len(found) > 1 else found[0] if found else _ALWAYS


def _joined_or(parts: Iterable[Expr]) -> Expr:
    found = _flat(parts, Or, neutral=_NEVER)
    if _ALWAYS in found:
        return _ALWAYS
    return Or(operands=found) if len(found) > 1 else found[0] if found else _NEVER


def _flat(parts: Iterable[Expr], kind: type[And] | type[Or], *, neutral: Flag) -> tuple[Expr, ...]:
    """The operands in order, each once; what changes nothing is left out."""
    found: dict[Expr, None] = {}
    for part in parts:
        for each in part.operands if isinstance(part, kind) else (part,):
            if each != neutral:
                found[each] = None
    return tuple(found)
