"""The condition language of `when:` as plain values: its syntax tree, its types, its three truth values.

Knows: what a parsed condition looks like and what it may ask of history.  Never: parses, checks or evaluates one;
that is `core.conditions`.  Source: a subset of the Common Expression Language (github.com/google/cel-spec), with
Kleene's three-valued logic in place of CEL's errors.

`at` is the place in the expression's text, in characters from its start; it takes no part in equality, so that a
condition equals itself written with other spaces.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal

Truth = bool | None  # None is unknown: it never allows, and always denies or holds

Root = Literal["args", "facts", "run", "call"]
CompareOp = Literal["==", "!=", "<", "<=", ">", ">="]
SumOp = Literal["+", "-"]
LevelKind = Literal["integrity", "confidentiality"]
HistoryKind = Literal["count", "sum", "seen"]
HistoryScope = Literal["run", "subject", "workflow", "tenant", "key"]
ValueKind = Literal["string", "number", "boolean"]

ROOTS: Final[tuple[Root, ...]] = ("args", "facts", "run", "call")
SCOPES: Final[tuple[HistoryScope, ...]] = ("run", "subject", "workflow", "tenant", "key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A string literal."""

    value: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number literal: an integer of any size or an exact, finite decimal."""

    value: int | Decimal
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """`true` or `false`."""

    value: bool
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Null:
    """`null`: a value only beside `==` and `!=`; unknown everywhere else."""

    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list literal."""

    items: "tuple[Expr, ...]"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A field reached from a root: `facts.order.customer_id`.

    `keys_at` holds the place of each key in the text, as long as `keys` where the path was parsed.
    """

    root: Root
    keys: tuple[str, ...]
    at: int = field(default=0, compare=False)
    keys_at: tuple[int, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """`!x`: unknown stays unknown."""

    operand: "Expr"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class And:
    """`a && b && c`: false where any is false, else unknown where any is unknown.  Two operands or more."""

    operands: "tuple[Expr, ...]"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Or:
    """`a || b || c`: true where any is true, else unknown where any is unknown.  Two operands or more."""

    operands: "tuple[Expr, ...]"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """Two values of one type, compared.  Strings order by code point; booleans do not order."""

    op: CompareOp
    left: "Expr"
    right: "Expr"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class In:
    """`x in list`, or `"key" in map`."""

    item: "Expr"
    container: "Expr"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """`first + b - c`: numbers of one unit, from left to right, exact.  `rest` is never empty."""

    first: "Expr"
    rest: "tuple[tuple[SumOp, Expr], ...]"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartsWith:
    """`subject.startsWith(prefix)`, by code point, case kept."""

    subject: "Expr"
    prefix: "Expr"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Has:
    """`has(path)`: true where the field is there and not null, else false; unknown of a fact that could not be read."""

    path: Path
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """`size(x)`: characters of a string, items of a list, keys of a map."""

    operand: "Expr"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """`integrity(path)` or `confidentiality(path)`: a level of the value's label, compared with its words."""

    kind: LevelKind
    path: Path
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A question to the record of earlier calls.

    `arg` is set for `sum` and `seen`; `value`, a path or a scalar literal, for `seen` alone.  `names_at` holds the
    places of the tool and the argument in the text.
    """

    kind: HistoryKind
    tool: str
    window_s: int
    scope: HistoryScope
    arg: str | None = None
    value: "Path | Text | Number | Flag | None" = None
    at: int = field(default=0, compare=False)
    names_at: tuple[int, ...] = field(default=(), compare=False)


Expr = (
    Text
    | Number
    | Flag
    | Null
    | Items
    | Path
    | Not
    | And
    | Or
    | Compare
    | In
    | Sum
    | StartsWith
    | Has
    | Size
    | Level
    | History
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """A history question with its value filled in, as the store answers it.

    The answer is an `int` for `count`, an `int` or `Decimal` for `sum`, a `bool` for `seen`; `None` or no answer is
    unknown.  `value_kind` keeps `true` and `1` two questions, which Python's equality would make one.
    """

    kind: HistoryKind
    tool: str
    window_s: int
    scope: HistoryScope
    arg: str | None = None
    value: str | int | Decimal | bool | None = None
    value_kind: ValueKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyType:
    """Nothing is known about the value before it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NullType:
    """Only null."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoolType:
    """True or false."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberType:
    """An integer or a decimal.  `unit` such as "USD" or "USD minor"; empty fits every unit."""

    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StringType:
    """A string; `choices`, where not empty, are all the values it may have."""

    choices: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListType:
    """A list whose items all have the type `item`."""

    item: "Type"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapType:
    """An object: its known fields, and the type of every other field, or None where there is no other."""

    fields: "Mapping[str, Type]"
    extra: "Type | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelType:
    """A level of a label; it is compared with its own words only."""

    kind: LevelKind


@dataclass(frozen=True, slots=True, kw_only=True)
class UnionType:
    """One of several types; never a union within a union."""

    members: "tuple[Type, ...]"


Type = AnyType | NullType | BoolType | NumberType | StringType | ListType | MapType | LevelType | UnionType


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeProblem:
    """One thing that a condition asks and its scope does not have.

    `offset` counts characters from the start of the expression.  `tool` is set where it holds for one tool of several.
    """

    offset: int
    message: str
    nearest: str | None = None
    tool: str | None = None
