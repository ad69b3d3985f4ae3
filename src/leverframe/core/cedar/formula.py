"""Cedar expressions that cannot fail: built as values, printed with no more parentheses than Cedar's grammar needs.

Knows: how Cedar spells strings, fields, guards and connectives (docs.cedarpolicy.com/policies/syntax-grammar.html).
Never: knows a rule.  Every formula that this package builds guards each field with `has` before it reads it: a policy
of Cedar that fails on a missing field is skipped, and a skipped `forbid` would allow.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from leverframe.domain.errors import CedarUnsupported

# A condition such as `(a == b) == (c == d)` doubles with every level; beyond this it is refused, not printed.
MAX_ATOMS: Final = 5_000

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset({"true", "false", "if", "then", "else", "in", "is", "like", "has"})
_ESCAPES = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"}


@dataclass(frozen=True, slots=True)
class Constant:
    """`true` or `false`."""

    value: bool

    @property
    def atoms(self) -> int:
        """One, as everything that is printed as one."""
        return 1


@dataclass(frozen=True, slots=True)
class Atom:
    """A part without connectives, as text; `is_relation`: it needs parentheses behind `!`."""

    text: str
    is_relation: bool = False

    @property
    def atoms(self) -> int:
        """One."""
        return 1


@dataclass(frozen=True, slots=True)
class Negated:
    """`!x`."""

    operand: "Atom"

    @property
    def atoms(self) -> int:
        """As many as what is negated."""
        return 1


@dataclass(frozen=True, slots=True)
class All:
    """`a && b && c`, evaluated from left to right: guards first."""

    parts: "tuple[Formula, ...]"
    atoms: int


@dataclass(frozen=True, slots=True)
class Some:
    """`a || b || c`."""

    parts: "tuple[Formula, ...]"
    atoms: int


Formula = Constant | Atom | Negated | All | Some

TRUE: Final = Constant(True)
FALSE: Final = Constant(False)


def every(parts: Iterable[Formula]) -> Formula:
    """True where all are; of none, true."""
    kept: dict[Formula | int, Formula] = {}
    for part in parts:
        for each in part.parts if isinstance(part, All) else (part,):
            if each == FALSE:
                return FALSE
            if each != TRUE:
                # Compound parts are told apart by place: comparing two of them could take exponential time.
                kept[each if isinstance(each, Atom | Negated) else len(kept)] = each
    found = tuple(kept.values())
    return found[0] if len(found) == 1 else All(found, _count(found)) if found else TRUE


def some(parts: Iterable[Formula]) -> Formula:
    """True where one is; of none, false."""
    kept: dict[Formula | int, Formula] = {}
    for part in parts:
        for each in part.parts if isinstance(part, Some) else (part,):
            if each == TRUE:
                return TRUE
            if each != FALSE:
                kept[each if isinstance(each, Atom | Negated) else len(kept)] = each
    found = tuple(kept.values())
    return found[0] if len(found) == 1 else Some(found, _count(found)) if found else FALSE


def relation(left: str, operator: str, right: str) -> Atom:
    """`left op right` of two printed values."""
    return Atom(f"{left} {operator} {right}", is_relation=True)


def _count(parts: tuple[Formula, ...]) -> int:
    atoms = sum(part.atoms for part in parts)
    if atoms > MAX_ATOMS:
        raise CedarUnsupported(
            f"A condition needs more than {MAX_ATOMS} comparisons in Cedar's two-valued logic.",
            next_move="Write it as several rules; comparing two conditions with `==` doubles it each time.",
        )
    return atoms


def printed(formula: Formula, indent: str = "  ") -> str:
    """Print it, each part of the outermost connective on a line of its own."""
    match formula:
        case All(parts=parts):
            return f" &&\n{indent}".join(_inline(part, is_inside_all=True) for part in parts)
        case Some(parts=parts):
            return f" ||\n{indent}".join(_inline(part) for part in parts)
        case _:
            return _inline(formula)


def _inline(formula: Formula, *, is_inside_all: bool = False) -> str:
    match formula:
        case Constant(value=value):
            return "true" if value else "false"
        case Atom(text=text):
            return text
        case Negated(operand=operand):
            return f"!({operand.text})" if operand.is_relation else f"!{operand.text}"
        case All(parts=parts):
            text = " && ".join(_inline(part, is_inside_all=True) for part in parts)
            return text if is_inside_all else f"({text})"
        case Some(parts=parts):
            text = " || ".join(_inline(part) for part in parts)
            return f"({text})" if is_inside_all else text


def text_literal(value: str) -> str:
    """A string in double quotes."""
    return f'"{_escaped(value)}"'


def prefix_pattern(prefix: str) -> str:
    """The pattern of `like` that matches what begins with a prefix."""
    return '"' + "*".join([_escaped(prefix).replace("*", r"\*"), '"'])


def field(keys: tuple[str, ...]) -> str:
    """A field of the context: `context.args.amount_usd`, `context.values["size(args.items)"]`."""
    return "context" + "".join(f".{key}" if _is_plain(key) else f"[{text_literal(key)}]" for key in keys)


def has_field(keys: tuple[str, ...]) -> Formula:
    """The guard of a field, every level of it."""
    if all(_is_plain(key) for key in keys):
        return Atom(f"context has {'.'.join(keys)}", is_relation=True)
    guards: list[Formula] = []
    for depth, key in enumerate(keys):
        name = key if _is_plain(key) else text_literal(key)
        guards.append(Atom(f"{field(keys[:depth])} has {name}", is_relation=True))
    return every(guards)


def _is_plain(key: str) -> bool:
    return _IDENTIFIER.fullmatch(key) is not None and key not in _RESERVED and not key.startswith("__")


def _escaped(value: str) -> str:
    return "".join(_ESCAPES.get(char) or (char if char.isprintable() else f"\\u{{{ord(char):x}}}") for char in value)
