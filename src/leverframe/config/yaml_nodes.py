"""A YAML document as a tree in which everything knows its place.

Knows: scalars resolved by the YAML 1.2 core schema, lists, maps with text keys.  Never: reads text.
"""

from dataclasses import dataclass
from decimal import Decimal

from leverframe.config.findings import Mark
from leverframe.domain.json import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """One value.  `text` is what stands in the file after unquoting; `source` is the raw slice, quotes included."""

    value: bool | int | Decimal | str | None
    text: str
    source: str
    at: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list."""

    items: "tuple[Node, ...]"
    at: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One `key: value` of a map."""

    key: str
    key_at: Mark
    value: "Node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A map; its keys are text and each stands once, in file order."""

    entries: tuple[Entry, ...]
    at: Mark


Node = Scalar | Items | Table


def to_json(node: Node) -> Json:
    """The plain JSON value of a node: fractions are exact decimals."""
    match node:
        case Scalar():
            return node.value
        case Items():
            return [to_json(item) for item in node.items]
        case Table():
            return {entry.key: to_json(entry.value) for entry in node.entries}


def kind_of(node: Node) -> str:
    """What a node is, in the words of a message: `text 'x'`, `the number 3`, `a list`."""
    match node:
        case Items():
            return "a list"
        case Table():
            return "a map of keys"
        case Scalar(value=None):
            return "nothing"
        case Scalar(value=bool()):
            return f"the word {node.text}"
        case Scalar(value=str()):
            return f"the text {_short(node.text)!r}"
        case Scalar():
            return f"the number {node.text}"


def place_in(scalar: Scalar, offset: int) -> Mark:
    """The place in the file of one character of a scalar's text.

    Exact for plain, quoted and literal scalars; where the file folds lines or escapes characters before the offset,
    the start of the line or of the scalar.
    """
    cursor, begun = 0, 0
    for number, line in enumerate(scalar.text.split("\n")):
        found = scalar.source.find(line, cursor)
        if found < 0:
            return scalar.at
        if begun + len(line) >= offset:
            return _advance(scalar, found + offset - begun) if number or offset else _advance(scalar, found)
        cursor, begun = found + len(line), begun + len(line) + 1
    return scalar.at


def _advance(scalar: Scalar, index: int) -> Mark:
    before = scalar.source[:index]
    line = before.count("\n")
    column = len(before) - (before.rfind("\n") + 1) + 1 if line else scalar.at.column + len(before)
    return Mark(scalar.at.path, scalar.at.line + line, column)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


_SHOWN_CHARS = 60
