"""What an agent is shown of a value: untrusted text cleaned, then plain, quoted or hidden behind handles.

Knows: which parts of a value are third-party, by its labels, and three ways to show them.  Never: changes a label or
a part that is more trusted; and never shows in hiding what the value itself says of its form: a type and a source come
from the tool's own spec, and how many items an untrusted list has, or which keys an untrusted object, is not shown.
Source: docs/labels.md, "Untrusted text in the context"; datamarking is that of Hines et al., "Spotlighting" (2024).
Property: `tests/property/test_agent_view.py`.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from leverframe.core.hygiene import Removed, RemovedKind, clean_entry
from leverframe.core.places import child, is_far, item, label_within, stands_for, walk
from leverframe.domain.context_rules import Untrusted
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import UNTRACED, Integrity, Label

HANDLE: Final = re.compile(r"h_[0-9a-f]{24}")
# As a word of its own: `batch_` and an id of 24 digits is none, unless this run gave it.
_WORD: Final = re.compile(rf"(?<![0-9A-Za-z_]){HANDLE.pattern}(?![0-9A-Za-z_])")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_.:$@-]{1,64}")
_FIRST_MARK, _MARKS = 0xE000, 6400  # the private use area: no font has a picture of its own for them
_REF: Final = "$ref"
# Given with a handle by us; read back with it, or without.
_OF_HANDLE: Final = frozenset({_REF, "type", "from"})

Labels = Mapping[str, Label]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """A value that a handle stands for.  `type` and `source` are of our schema; `label` with the place it came from."""

    value: Json
    label: Label
    type: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is known of a value beside itself: who gave it, and what its spec says of its form.

    `name` makes the handle of a place: the same for the same place of the same run, and guessed by nobody.
    """

    name: str
    schema: Json = None
    types: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewed:
    """A value as it is shown.  `cleaned` is the same before it was quoted or hidden: what an agent may pass on."""

    shown: Json
    cleaned: Json
    removed: tuple[Removed, ...] = ()
    hidden: Mapping[str, Hidden] = field(default_factory=dict)


def marker_of(seed: bytes) -> str:
    """The mark between the words of quoted text, by a run's own secret bytes."""
    return chr(_FIRST_MARK + int.from_bytes(seed[:4]) % _MARKS)


def view(
    value: Json,
    labels: Labels,
    source: Source,
    *,
    how: Untrusted,
    is_cleaned: bool,
    marker: str,
    handle: Callable[[str], str],
) -> Viewed:
    """Show a value.

    Args:
        value: as it came.
        labels: by JSON pointer, as `label_output` gives them.
        source: who gave it, and in which form.
        how: plain, quoted or hidden.
        is_cleaned: whether what nobody sees is taken out of untrusted text first.
        marker: the mark of quoted text; where the text itself has it, it is taken out.
        handle: the handle of a place, by its JSON pointer.
    """
    if not _has_untrusted(value, labels):
        return Viewed(shown=value, cleaned=value)
    removed: list[Removed] = []
    cleaned = value
    if is_cleaned:
        cleaned = _each_text(value, labels, lambda text: _clean(text, removed))
    if how is Untrusted.PLAIN:
        return Viewed(shown=cleaned, cleaned=cleaned, removed=tuple(removed))
    if how is Untrusted.QUOTE:
        # What bears the mark already would pass for quoted words of ours.
        cleaned = _each_text(cleaned, labels, lambda text: _without(text, marker, removed))
        shown = _each_text(cleaned, labels, lambda text: text.replace(" ", marker))
        return Viewed(shown=shown, cleaned=cleaned, removed=tuple(removed))
    hiding = _Hiding(labels=labels, source=source, handle=handle)
    shown = hiding.shown(cleaned, "", source.schema, labels.get("", UNTRACED))
    return Viewed(shown=shown, cleaned=cleaned, removed=tuple(removed), hidden=hiding.hidden)


def words_of_others(text: str, *, how: Untrusted, is_cleaned: bool, marker: str) -> str:
    """A sentence that a receiver wrote, such as why it refused, as an agent may see it."""
    if how is Untrusted.HIDE:
        return "its words are hidden"
    said = clean_entry(text).text if is_cleaned else text
    return said if how is Untrusted.PLAIN else said.replace(marker, "").replace(" ", marker)


def unmarked(value: Json, marker: str) -> Json:
    """What an agent wrote, with the marks of quoted text that it copied turned back into spaces."""
    match value:
        case str():
            return value.replace(marker, " ")
        case Mapping():
            return {key.replace(marker, " "): unmarked(item, marker) for key, item in value.items()}
        case list() | tuple():
            return [unmarked(item, marker) for item in value]
        case _:
            return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """The arguments that an agent means: its handles resolved.

    `used`: the handles by the argument that they stand in; `unknown` says what is wrong with one, and where.
    """

    args: JsonObject
    used: Mapping[str, tuple[Hidden, ...]] = field(default_factory=dict)
    unknown: str = ""


def resolve_handles(args: JsonObject, known: Mapping[str, Hidden]) -> Meant:
    """Put the values of handles in their places.

    A handle is a whole argument, or a whole value within one: `{"$ref": "h_…"}` or the bare text of it.  One that this
    run never gave is not looked for anywhere else; one that stands within a longer text would be sent as it is.
    """
    used: dict[str, list[Hidden]] = {}
    problems: list[str] = []

    def resolved(node: Json, place: str, name: str) -> Json:
        ref = handle_in(node)
        if ref is not None:
            found = known.get(ref)
            if found is None:
                problems.append(
                    f"{place}: {ref} is no handle that this run was given: it is of another run, or made up"
                )
                return node
            used.setdefault(name, []).append(found)
            return found.value
        match node:
            case str() if _has_handle(node, known):
                problems.append(f"{place}: a handle stands within a text; give it as the whole value")
                return node
            case Mapping():
                if any(_has_handle(key, known) for key in node):
                    problems.append(f"{place}: a handle is the name of a key; give it as a value")
                return {key: resolved(each, child(place, key), name) for key, each in node.items()}
            case list() | tuple():
                return [resolved(each, item(place, at), name) for at, each in enumerate(node)]
            case _:
                return node

    found = {name: resolved(value, child("", name), name) for name, value in args.items()}
    return Meant(args=found, used={name: tuple(each) for name, each in used.items()}, unknown="; ".join(problems[:3]))


def with_values(text: str, known: Mapping[str, Hidden], spelled: Callable[[Json], str]) -> str:
    """A text for people: each handle in it that this run gave is replaced by what it stands for."""

    def value_of(found: re.Match[str]) -> str:
        hidden = known.get(found.group())
        return found.group() if hidden is None else spelled(hidden.value)

    return HANDLE.sub(value_of, text)


def handle_in(node: Json) -> str | None:
    """The handle that a value is, in either of its spellings; None where it is none."""
    if isinstance(node, Mapping) and _REF in node and node.keys() <= _OF_HANDLE:
        node = node[_REF]
    return node if isinstance(node, str) and HANDLE.fullmatch(node) else None


def _has_handle(text: str, known: Mapping[str, Hidden]) -> bool:
    """Whether a handle stands in a text, also one of another run or one that another worker of this one gave."""
    return _WORD.search(text) is not None or any(one in known for one in HANDLE.findall(text))


def _has_untrusted(value: Json, labels: Labels) -> bool:
    is_named = "" not in labels or any(label.integrity is Integrity.THIRD_PARTY for label in labels.values())
    return is_named or any(is_far(place) for place, _, _ in walk(value, inner=True))


def _each_text(value: Json, labels: Labels, change: Callable[[str], str]) -> Json:
    """A value with its untrusted texts changed, and the keys of its untrusted objects that are more than a name."""

    def changed(node: Json, place: str, label: Label) -> Json:
        match node:
            case str():
                return change(node) if label.integrity is Integrity.THIRD_PARTY else node
            case Mapping():
                names = _names_shown(node, change) if label.integrity is Integrity.THIRD_PARTY else node
                return {
                    name: within(each, child(place, key), label)
                    for name, (key, each) in zip(names, node.items(), strict=True)
                }
            case list() | tuple():
                return [within(each, item(place, at), label) for at, each in enumerate(node)]
            case _:
                return node

    def within(node: Json, place: str, above: Label) -> Json:
        return changed(node, place, label_within(labels, place, above))

    return changed(value, "", labels.get("", UNTRACED))


def _names_shown(node: JsonObject, change: Callable[[str], str]) -> Collection[str]:
    """The keys of an untrusted object as they are shown, in their order.

    Keys that look alike are told apart by what everybody sees: `a`, `a*`, `a*2`.  Counted, since a sender may make a
    hundred thousand of them.
    """
    found: dict[str, None] = {}
    alike: dict[str, int] = {}
    for key in node:
        shown = name = key if _PLAIN_KEY.fullmatch(key) else change(key)
        while name in found:
            alike[shown] = count = alike.get(shown, 0) + 1
            name = f"{shown}*{count}" if count > 1 else f"{shown}*"
        found[name] = None
    return found


def _clean(text: str, removed: list[Removed]) -> str:
    cleaned = clean_entry(text)
    removed.extend(cleaned.removed)
    return cleaned.text


def _without(text: str, marker: str, removed: list[Removed]) -> str:
    count = text.count(marker)
    if not count:
        return text
    removed.append(Removed(kind=RemovedKind.MARKER, text=marker * min(count, 200), count=count))
    return text.replace(marker, "")


@dataclass(slots=True, kw_only=True)
class _Hiding:
    labels: Labels
    source: Source
    handle: Callable[[str], str]
    hidden: dict[str, Hidden] = field(default_factory=dict)

    def shown(self, value: Json, place: str, schema: Json, label: Label) -> Json:
        if label.integrity is not Integrity.THIRD_PARTY:
            return self._within(value, place, schema, label)
        declared = _properties(schema) if isinstance(value, Mapping) else {}
        if not declared or not isinstance(value, Mapping):
            return self._hide(value, place, schema, label)
        # Every property that the spec declares, there or not: which of them came is the sender's word.
        labels = {name: self._label(child(place, name), label) for name in declared}
        return {
            name: self.shown(value.get(name), child(place, name), rule, labels[name])
            for name, rule in declared.items()
            if name in value or labels[name].integrity is Integrity.THIRD_PARTY
        }

    def _within(self, value: Json, place: str, schema: Json, label: Label) -> Json:
        match value:
            case Mapping():
                rules = _properties(schema)
                places = {key: child(place, key) for key in value}
                return {
                    key: self.shown(each, places[key], rules.get(key), self._label(places[key], label))
                    for key, each in value.items()
                }
            case list() | tuple():
                items = schema.get("items") if isinstance(schema, Mapping) else None
                at = [item(place, position) for position in range(len(value))]
                return [
                    self.shown(each, here, items, self._label(here, label))
                    for each, here in zip(value, at, strict=True)
                ]
            case _:
                return value

    def _label(self, place: str, above: Label) -> Label:
        return label_within(self.labels, place, above)

    def _hide(self, value: Json, place: str, schema: Json, label: Label) -> Json:
        found = Hidden(
            value=_text_of_blocks(value),
            label=label,
            type=self._type(place, schema),
            source=self.source.name,
        )
        ref = self.handle(place)
        self.hidden[ref] = found
        return {_REF: ref, "type": found.type, "from": found.source}

    def _type(self, place: str, schema: Json) -> str:
        declared = next((name for pointer, name in self.source.types.items() if stands_for(pointer, place)), "")
        said = schema.get("type") if isinstance(schema, Mapping) else None
        return declared or (said if isinstance(said, str) else "value")


def _properties(schema: Json) -> Mapping[str, Json]:
    found = schema.get("properties") if isinstance(schema, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _text_of_blocks(value: Json) -> Json:
    """The text of an answer that is text blocks alone, as an MCP server gives it; any other value as it is."""
    if not isinstance(value, list) or not value:
        return value
    texts = [one.get("text") for one in value if isinstance(one, Mapping) and one.get("type") == "text"]
    whole = [text for text in texts if isinstance(text, str)]
    return "\n".join(whole) if len(whole) == len(value) else value
