"""What changed between two definitions of a tool: every text that differs, and what the schemas mean.

Knows: JSON pointers to what was added, removed or put in place of something.  Never: decides whether it may be.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from leverframe.core import canonical
from leverframe.core.pins import pinned_part
from leverframe.core.schema_changes import Change, SchemaChange, input_change, output_change
from leverframe.domain.json import Json, JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One place that differs; None where it was not there, or is not there any more."""

    pointer: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionDiff:
    """The differences of two definitions of one tool."""

    edits: tuple[Edit, ...]
    input: SchemaChange
    output: SchemaChange

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not self.edits


def definition_diff(old: JsonObject, new: JsonObject) -> DefinitionDiff:
    """Compare what is pinned of two definitions."""
    before, after = pinned_part(old), pinned_part(new)
    was, now = dict(_leaves(before, "")), dict(_leaves(after, ""))
    places = dict.fromkeys((*was, *now))
    edits = (Edit(pointer=place, old=was.get(place), new=now.get(place)) for place in places)
    return DefinitionDiff(
        edits=tuple(one for one in edits if one.old != one.new),
        input=_changed(before, after, "inputSchema"),
        output=_output(before, after),
    )


def _changed(before: JsonObject, after: JsonObject, key: str) -> SchemaChange:
    old, new = before.get(key, {}), after.get(key, {})
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return SchemaChange(change=Change.UNKNOWN, because=f"{key} is no schema")
    return input_change(old, new)


def _output(before: JsonObject, after: JsonObject) -> SchemaChange:
    old, new = before.get("outputSchema"), after.get("outputSchema")
    if isinstance(old, Mapping | None) and isinstance(new, Mapping | None):
        return output_change(old, new)
    return SchemaChange(change=Change.UNKNOWN, because="outputSchema is no schema")


def _leaves(value: Json, pointer: str) -> Iterator[tuple[str, str]]:
    """Every value that holds no other, as canonical JSON; texts as they are."""
    if isinstance(value, Mapping) and value:
        for key in sorted(value):
            yield from _leaves(value[key], f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list | tuple) and any(isinstance(one, Mapping | list | tuple) for one in value):
        for at, one in enumerate(value):
            yield from _leaves(one, f"{pointer}/{at}")
    else:
        yield pointer, value if isinstance(value, str) else canonical.encode(value).decode()
