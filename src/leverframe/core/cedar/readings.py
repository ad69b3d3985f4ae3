r"""What an exported policy reads from the context of a request: fields of one type each, and how they are named.

Knows: which fields there are, and where they stand.  Never: reads a value; `core.cedar.request` does.

A field stands where a person looks for it (`context.args.amount_usd`) where the whole export reads it as one type.
All else that a condition can ask stands under its own text: `context.values["size(args.items)"]`,
`context.labels["integrity(args.order_id)"]`, `context.history["count(\"refund\", \"1d\", \"subject\")"]`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from leverframe.core.conditions import render
from leverframe.domain.conditions import History, Level, Path

ReadingKind = Literal[
    "number",
    "string",
    "boolean",
    "strings",  # the strings of a list, or the keys of a map
    "numbers",  # the numbers of a list
    "booleans",
    "only-strings",  # whether a list has strings only, so that one that is not found is certainly not there
    "only-numbers",
    "only-booleans",
    "empty",  # whether a value is a list without items
    "size",
    "has",
    "null",  # whether a value is null; missing where the value is
]
SCALARS: Final[tuple[ReadingKind, ...]] = ("number", "string", "boolean")
SETS: Final[Mapping[ReadingKind, ReadingKind]] = {"number": "numbers", "string": "strings", "boolean": "booleans"}
ONLY: Final[Mapping[ReadingKind, ReadingKind]] = {
    "number": "only-numbers",
    "string": "only-strings",
    "boolean": "only-booleans",
}
_NATURAL: Final = frozenset({*SCALARS, *SETS.values()})
_CEDAR_JSON: Final = frozenset({"__entity", "__extn", "__expr"})  # keys that Cedar's JSON form keeps for itself

CEDAR_TYPES: Final[Mapping[ReadingKind, str]] = {
    "number": "Long",
    "size": "Long",
    "string": "String",
    "strings": "Set<String>",
    "numbers": "Set<Long>",
    "booleans": "Set<Bool>",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One field: what it is asked for, and of what.  Histories and levels are scalars of their own."""

    kind: ReadingKind
    of: Path | History | Level

    @property
    def text(self) -> str:
        """What it reads, in the words of the condition language where that has some."""
        return render(self.of) if isinstance(self.of, History | Level) else f"{self.kind}({render(self.of)})"

    @property
    def scale_key(self) -> str:
        """What `Scales` know its numbers by: those of a list share the scale of the path that leads to it."""
        return self.text if self.kind == "size" else render(self.of)

    @property
    def cedar_type(self) -> str:
        """The type that Cedar sees."""
        return CEDAR_TYPES.get(self.kind, "Bool")


Keys = tuple[str, ...]


def names(readings: Iterable[Reading]) -> Mapping[Reading, Keys]:
    """Where each field stands in the context."""
    every = tuple(dict.fromkeys(readings))
    of_path: dict[Path, set[ReadingKind]] = {}
    for reading in every:
        if isinstance(reading.of, Path) and reading.kind in _NATURAL:
            of_path.setdefault(reading.of, set()).add(reading.kind)
    natural = {path for path, kinds in of_path.items() if len(kinds) == 1 and path.keys and _is_plain(path)}
    # A field that has fields of its own is an object in the context, and so cannot be a scalar there as well.
    above = {Path(root=path.root, keys=path.keys[:depth]) for path in natural for depth in range(1, len(path.keys))}
    natural -= above
    return {reading: _keys(reading, natural) for reading in every}


def _is_plain(path: Path) -> bool:
    return not _CEDAR_JSON.intersection(path.keys)


def _keys(reading: Reading, natural: set[Path]) -> Keys:
    match reading.of:
        case History():
            return "history", reading.text.removeprefix("history.")
        case Level():
            return "labels", reading.text
        case Path() as path if path in natural and reading.kind in _NATURAL:
            return path.root, *path.keys
        case _:
            return "values", reading.text
