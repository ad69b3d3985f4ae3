"""A tree of YAML nodes checked against the registry of keys: what is left has the right keys and types.

Knows: how a wrong key, type or word is told, with its place and the nearest right one.  Never: what a key means.
What is wrong is reported and left out, so that one reading finds all of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from leverframe.config.findings import Findings, Mark, did_you_mean
from leverframe.config.json_schema_rules import checked_schema
from leverframe.config.keys import FileKind, keys_below
from leverframe.config.scalars import checked_scalar
from leverframe.config.value_types import (
    AnyValue,
    Group,
    ListOf,
    MapOf,
    Money,
    SchemaObject,
    Seconds,
    Span,
    Text,
    ValueType,
    Whole,
    Words,
    describe,
)
from leverframe.config.yaml_nodes import Entry, Items, Node, Scalar, Table, kind_of, to_json
from leverframe.domain.json import JsonObject
from leverframe.domain.time import duration_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A JSON Schema that stands in a file, found to be one."""

    value: JsonObject
    at: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A map whose keys the user chose."""

    items: "Mapping[str, Checked]"
    places: Mapping[str, Mark]
    at: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A map with keys of the registry.  Every getter answers for an absent key too."""

    at: Mark
    values: "Mapping[str, Checked]" = field(default_factory=dict)
    places: Mapping[str, Mark] = field(default_factory=dict)

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def place(self, key: str) -> Mark:
        """Where the key stands; the section itself where it is absent."""
        return self.places.get(key, self.at)

    def scalar(self, key: str) -> Scalar | None:
        """The value with its place."""
        found = self.values.get(key)
        return found if isinstance(found, Scalar) else None

    def text(self, key: str, default: str = "") -> str:
        """A text or a word."""
        found = self.scalar(key)
        return default if found is None else found.text

    def whole(self, key: str) -> int | None:
        """An integer, or None."""
        found = self.scalar(key)
        return found.value if found is not None and isinstance(found.value, int) else None

    def decimal(self, key: str) -> Decimal | None:
        """An exact number, or None."""
        found = self.scalar(key)
        return Decimal(found.value) if found is not None and isinstance(found.value, int | Decimal) else None

    def span_s(self, key: str) -> int | None:
        """Seconds of a duration such as `24h`, or None."""
        return duration_s(self.text(key)) if key in self else None

    def schema(self, key: str) -> JsonObject | None:
        """A JSON Schema, or None."""
        found = self.values.get(key)
        return found.value if isinstance(found, Schema) else None

    def section(self, key: str) -> "Section":
        """A map below; an empty one at this place where it is absent."""
        found = self.values.get(key)
        return found if isinstance(found, Section) else Section(at=self.at)

    def scalars(self, key: str) -> tuple[Scalar, ...]:
        """The items of a list of scalars."""
        return tuple(item for item in self._items(key) if isinstance(item, Scalar))

    def texts(self, key: str) -> tuple[str, ...]:
        """The items of a list of texts."""
        return tuple(item.text for item in self.scalars(key))

    def sections(self, key: str) -> "tuple[Section, ...]":
        """The items of a list of maps."""
        return tuple(item for item in self._items(key) if isinstance(item, Section))

    def named(self, key: str) -> Named:
        """A map whose keys the user chose."""
        found = self.values.get(key)
        return found if isinstance(found, Named) else Named(items={}, places={}, at=self.at)

    def named_sections(self, key: str) -> "Mapping[str, Section]":
        """A map from chosen names to maps."""
        return {name: item for name, item in self.named(key).items.items() if isinstance(item, Section)}

    def named_scalars(self, key: str) -> Mapping[str, Scalar]:
        """A map from chosen names to scalars."""
        return {name: item for name, item in self.named(key).items.items() if isinstance(item, Scalar)}

    def _items(self, key: str) -> "tuple[Checked, ...]":
        found = self.values.get(key)
        return found if isinstance(found, tuple) else ()


Checked = Scalar | Schema | Section | Named | tuple["Checked", ...]


def check_file(node: Node, file: FileKind, findings: Findings, *, needs: tuple[str, ...]) -> Section | None:
    """Check a whole file.

    Args:
        node: its document.
        file: which of the three files it is.
        findings: gains what is wrong.
        needs: the keys that must be there.

    Returns:
        What is right of it, or None where it is no map at all.
    """
    checker = _Checker(file=file, findings=findings)
    if not isinstance(node, Table):
        known = ", ".join(keys_below(file, ""))
        findings.error(
            node.at, "wrong-type", f"The file is {kind_of(node)}, expected a map of keys.", f"Known keys: {known}."
        )
        return None
    return checker.section(node, "", needs)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checker:
    file: FileKind
    findings: Findings

    def section(self, table: Table, path: str, needs: tuple[str, ...]) -> Section:
        values: dict[str, Checked] = {}
        places: dict[str, Mark] = {}
        for entry in table.entries:
            found = self._entry(entry, path)
            if found is not None:
                values[entry.key] = found
                places[entry.key] = entry.key_at
        given = {entry.key for entry in table.entries}
        for key in needs:
            if key not in given:
                where = f"{path!r}" if path else "The file"
                self.findings.error(
                    table.at, "missing-key", f"{where} has no key {key!r}, which it needs.", self._example(path, key)
                )
        return Section(at=table.at, values=values, places=places)

    def _key_above(self, path: str) -> tuple[str, str]:
        """The parent and name of the key that a value is of: for `models.*`, those of `models`."""
        while path.endswith((".*", "[]")):
            path = path[:-2]
        parent, _, name = path.rpartition(".")
        return parent, name

    def _example(self, path: str, name: str) -> str:
        key = keys_below(self.file, path).get(name)
        return f"For example: {name}: {key.example}" if key else ""

    def _entry(self, entry: Entry, path: str) -> Checked | None:
        known = keys_below(self.file, path)
        key = known.get(entry.key)
        if key is None:
            where = f" in {path!r}" if path else ""
            enforced = [name for name, each in known.items() if each.status == "enforced"]
            self.findings.error(
                entry.key_at,
                "unknown-key",
                f"The key {entry.key!r} is not known{where}.",
                did_you_mean(entry.key, enforced) or f"Known here: {', '.join(enforced)}.",
            )
            return None
        if key.status != "enforced":
            self.findings.error(
                entry.key_at,
                "not-in-this-version",
                f"Nothing in this version enforces {key.path!r}, so it is refused rather than ignored.",
                "Delete it.",
            )
            return None
        return self.value(entry.value, key.value, key.path)

    def value(self, node: Node, type_: ValueType, path: str) -> Checked | None:
        is_empty = isinstance(node, Scalar) and node.value is None and not node.source.strip()
        if isinstance(type_, Group) and type_.may_be_empty and is_empty:
            return Section(at=node.at)
        if is_empty:
            self.findings.error(
                node.at,
                "empty-value",
                f"The key {path!r} has no value, expected {describe(type_)}.",
                "Write a value, or delete the key.",
            )
            return None
        match type_, node:
            case Group(), Table():
                return self.section(node, path, type_.needs)
            case MapOf(), Table():
                return self._named(node, type_, path)
            case ListOf(), Items():
                return self._list(node, type_, path)
            case SchemaObject(), Table():
                return self._schema(node, path)
            case ((Text() | Whole() | Money() | Seconds() | Span() | Words() | AnyValue()), Scalar()):
                return checked_scalar(node, type_, path, self.findings)
            case _:
                self.findings.error(
                    node.at,
                    "wrong-type",
                    f"The key {path!r} is {kind_of(node)}, expected {describe(type_)}.",
                    self._example(*self._key_above(path)) or f"Write {describe(type_)}.",
                )
                return None

    def _named(self, table: Table, type_: MapOf, path: str) -> Named:
        items: dict[str, Checked] = {}
        for entry in table.entries:
            key = Scalar(value=entry.key, text=entry.key, source=entry.key, at=entry.key_at)
            name = f"a name in {path}" if type_.key.may_be_secret else f"the name {entry.key!r} in {path}"
            if checked_scalar(key, type_.key, name, self.findings) is None:
                continue
            found = self.value(entry.value, type_.item, f"{path}.*")
            if found is not None:
                items[entry.key] = found
        places = {entry.key: entry.key_at for entry in table.entries}
        return Named(items=items, places=places, at=table.at)

    def _list(self, items: Items, type_: ListOf, path: str) -> tuple[Checked, ...]:
        if len(items.items) < type_.at_least:
            self.findings.error(
                items.at, "empty-list", f"The list {path!r} is empty, expected {type_.at_least} or more.", "Fill it."
            )
        checked = (self.value(item, type_.item, f"{path}[]") for item in items.items)
        return tuple(item for item in checked if item is not None)

    def _schema(self, table: Table, path: str) -> Schema | None:
        value = to_json(table)
        if not isinstance(value, dict) or not checked_schema(value, table, path, self.findings):
            return None
        return Schema(value=value, at=table.at)
