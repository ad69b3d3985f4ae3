"""What another schema means for whoever relies on the old one: the answer of `canonicalize(new).covers(old)`.

Knows: an argument that a schema does not name is one that nobody sends, so objects that are left open are compared by
the properties that they name; and that a new name is a way out for data, whatever its type.
Never: says equal or widened where the canonical form gives no answer; that is unknown, and a person's to judge.
Property, kept by tests/property/test_schema_changes.py: what is not breaking refuses no value that was taken before.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import jsonschema_rs
from jsonschema_rs import canonical as forms

from leverframe.core.schema_samples import samples
from leverframe.domain.json import Json, JsonObject

# Beside these, `additionalProperties: false` would say something about properties that another branch names.
_COMPOSING: Final = frozenset(
    {
        "additionalProperties",
        "unevaluatedProperties",
        "patternProperties",
        "propertyNames",
        "allOf",
        "anyOf",
        "oneOf",
        "$ref",
        "$dynamicRef",
        "if",
        "dependentSchemas",
    }
)
# Where one of these stands, it is said what becomes of properties that nobody names.
_SAYS_OF_OTHERS: Final = frozenset({"additionalProperties", "unevaluatedProperties", "propertyNames", "$dynamicRef"})
_MAX_PARTS: Final = 64  # of a schema that refers to itself
_PARTS: Final = ("allOf", "if", "then", "else", "not", "dependentSchemas")
_CHOICES: Final = ("anyOf", "oneOf")
_MAPS: Final = ("properties", "patternProperties", "$defs", "definitions")
_ITEMS: Final = ("items", "additionalProperties", "contains", "unevaluatedItems")
_MAX_NAMES: Final = 10_000


class Change(StrEnum):
    """What a new schema is to the old one."""

    EQUAL = "equal"
    WIDENED = "widened"  # takes all that the old one took, and more: possibly an argument that carries data out
    BREAKING = "breaking"  # refuses something that was right before, or gives something that nobody expects
    NARROWED = "narrowed"  # of answers: gives only what the old one gave, and less
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChange:
    """The answer, with the JSON pointers of properties that are new, and why where it is unknown."""

    change: Change
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    because: str = ""


def input_change(old: JsonObject, new: JsonObject) -> SchemaChange:
    """How the arguments of a tool changed: may a call that was right be refused, can more be sent than before."""
    if old == new:
        return SchemaChange(change=Change.EQUAL)
    before, after = _named(old), _named(new)
    added, removed = tuple(sorted(after - before)), tuple(sorted(before - after))
    takes_old, is_within_old, because = _both(_as_sent(old), _as_sent(new))
    if takes_old == "unknown" and not removed and _patterns(old) <= _patterns(new):
        # All that the old one names the new one names too, so that nothing is lost by leaving the new one open.
        takes_old = _both(_as_sent(old), new)[0]
    if takes_old == "no":
        change = Change.BREAKING
    elif takes_old != "yes":
        change = Change.UNKNOWN
    elif added or is_within_old == "no":
        change = Change.WIDENED
    else:
        change = Change.EQUAL if is_within_old == "yes" else Change.UNKNOWN
    because = because if change is Change.UNKNOWN else ""
    return SchemaChange(change=change, added=added, removed=removed, because=because)


def output_change(old: JsonObject | None, new: JsonObject | None) -> SchemaChange:
    """How the answers of a tool changed, for whoever reads them; without a schema, anything may come."""
    if old == new:
        return SchemaChange(change=Change.EQUAL)
    known, now = {} if old is None else old, {} if new is None else new
    before, after = _named(known), _named(now)
    added, removed = tuple(sorted(after - before)), tuple(sorted(before - after))
    # As they are written: a reader overlooks a field that it does not know.
    gives_all, is_within_old, because = _both(known, now)
    if is_within_old == "no":
        change = Change.BREAKING
    elif is_within_old != "yes":
        change = Change.UNKNOWN
    elif added:
        change = Change.WIDENED
    else:
        change = {"yes": Change.EQUAL, "no": Change.NARROWED}.get(gives_all, Change.UNKNOWN)
    because = because if change is Change.UNKNOWN else ""
    return SchemaChange(change=change, added=added, removed=removed, because=because)


def _both(old: Json, new: Json) -> tuple[str, str, str]:
    """Whether `new` covers `old`, whether `old` covers `new`, and why there is no answer."""
    try:
        before, after = _canonical(old), _canonical(new)
        takes_old, is_within_old = str(after.covers(before).value), str(before.covers(after).value)
        # Where the canonical form gives no answer, one value that only one of them takes is a no.
        if takes_old == "unknown" and _has_witness(old, new):
            takes_old = "no"
        if is_within_old == "unknown" and _has_witness(new, old):
            is_within_old = "no"
    # The last one is what a reference out of the schema raises.
    except (forms.CanonicalizationError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as err:
        return "unknown", "unknown", str(err).splitlines()[0]
    is_clear = "unknown" not in {takes_old, is_within_old}
    return takes_old, is_within_old, "" if is_clear else "these schemas cannot be compared in their canonical form"


def _has_witness(takes: Json, refuses: Json) -> bool:
    """Whether a value is found that is right by one schema and wrong by the other."""
    right, wrong = (
        jsonschema_rs.validator_for(_dict(one), offline=True, validate_formats=True) for one in (takes, refuses)
    )
    return any(right.is_valid(value) and not wrong.is_valid(value) for value in samples(takes))


# Any: the stubs of jsonschema-rs take a dict, and a schema of ours is a Mapping.
def _canonical(schema: Json) -> jsonschema_rs.CanonicalSchema:
    return jsonschema_rs.canonicalize(_dict(schema), offline=True, validate_formats=True)


# Any: likewise.
def _dict(schema: Json) -> dict[str, Any] | bool:
    if not isinstance(schema, dict | bool):
        raise forms.InvalidSchemaType("a schema is neither a truth value nor an object")
    return schema


def _as_sent(schema: JsonObject) -> Json:
    """The arguments that are sent: of an object that names its properties no other, also where it would take them."""
    shared = frozenset(_composed(schema, is_part=False))
    top = schema if "properties" in schema or _COMPOSING & set(schema) else {**schema, "properties": {}}
    return _closed(top, shared, "#", schema)


def _closed(schema: Json, shared: frozenset[str], pointer: str, root: JsonObject, *, is_part: bool = False) -> Json:
    """Close every object in a schema; of one that `is_part`, and judges a value with others, what is in it alone."""
    if not isinstance(schema, Mapping) or pointer in shared:
        return schema
    found: dict[str, Json] = dict(schema)
    for key in _MAPS:
        children = schema.get(key)
        if isinstance(children, Mapping):
            found[key] = {name: _closed(one, shared, f"{pointer}/{key}/{name}", root) for name, one in children.items()}
    for key in _ITEMS:
        if key in schema:
            found[key] = _closed(schema[key], shared, f"{pointer}/{key}", root)
    joins = "properties" in schema or "allOf" in schema
    for key in ("prefixItems", *(() if joins else _CHOICES), *(("allOf",) if _are_apart(schema) else ())):
        is_joined = key == "allOf" or (is_part and key in _CHOICES)
        children = _parts(schema.get(key))
        if children:
            found[key] = [
                _closed(one, shared, f"{pointer}/{key}/{at}", root, is_part=is_joined)
                for at, one in enumerate(children)
            ]
    if joins and not is_part:
        _close(found, schema, root)
    return found


def _are_apart(schema: JsonObject) -> bool:
    """Whether no property is named by two of the parts that are joined: what is in it would be closed twice."""
    names: list[str] = []
    for part in (schema, *_joined(schema)):
        properties = part.get("properties") if isinstance(part, Mapping) else None
        names += properties if isinstance(properties, Mapping) else ()
    return len(names) == len(set(names))


def _close(found: dict[str, Json], schema: JsonObject, root: JsonObject) -> None:
    """Have an object take the properties alone that it names, itself or by what is joined to it."""
    composing = _COMPOSING & set(schema)
    if composing <= {"patternProperties"}:
        found["additionalProperties"] = False
        return
    named = _named_here(schema, root)
    if named is not None:
        found["allOf"] = [*_parts(found.get("allOf")), named]


def _named_here(schema: JsonObject, root: JsonObject) -> JsonObject | None:
    """What takes only the properties that an object and the parts that are joined on it name.

    None where one of them says itself what becomes of others, or where not all of them can be found.
    """
    names: dict[str, Json] = {}
    patterns: dict[str, Json] = {}
    waiting, seen = [schema], 0
    while waiting:
        part, seen = waiting.pop(), seen + 1
        if seen > _MAX_PARTS or _SAYS_OF_OTHERS & set(part):
            return None
        for found, key in ((names, "properties"), (patterns, "patternProperties")):
            named = part.get(key)
            found.update(dict.fromkeys(named, True) if isinstance(named, Mapping) else {})
        joined = _joined(part)
        if "$ref" in part:
            joined.append(_target(root, str(part["$ref"])))
        for one in joined:
            if isinstance(one, Mapping):
                waiting.append(one)
            elif not isinstance(one, bool):
                return None
    if not names:
        return None
    more: dict[str, Json] = {"patternProperties": patterns} if patterns else {}
    return {"properties": names, **more, "additionalProperties": False}


def _parts(children: Json) -> Sequence[Json]:
    return children if isinstance(children, list | tuple) else ()


def _joined(part: JsonObject) -> list[Json]:
    """The parts that judge the same value."""
    found: list[Json] = []
    for key in ("allOf", *_CHOICES):
        found += _parts(part.get(key))
    found += [part[key] for key in ("if", "then", "else") if key in part]
    dependent = part.get("dependentSchemas")
    found += dependent.values() if isinstance(dependent, Mapping) else ()
    return found


def _composed(schema: Json, *, is_part: bool) -> Iterator[str]:
    """References whose target is joined with others on one value, so that it must stay open."""
    if isinstance(schema, Mapping):
        reference = schema.get("$ref")
        if isinstance(reference, str) and (is_part or "properties" in schema):
            yield reference
        for key, child in schema.items():
            joins = key in _PARTS or (key in _CHOICES and "properties" in schema)
            keeps = is_part and key in _CHOICES
            yield from _composed(child, is_part=joins or keeps)
    elif isinstance(schema, Sequence) and not isinstance(schema, str):
        for one in schema:
            yield from _composed(one, is_part=is_part)


def _named(schema: JsonObject) -> frozenset[str]:
    """The pointers of all properties that a schema names, `/items/*/price`, through its own references."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting: list[tuple[str, Json]] = [("", schema)]
    while waiting and len(found) < _MAX_NAMES:
        at, part = waiting.pop()
        if not isinstance(part, Mapping):
            continue
        reference = part.get("$ref")
        if isinstance(reference, str) and (at, reference) not in seen and at.count("/") < _MAX_DEEP:
            seen.add((at, reference))
            waiting.append((at, _target(schema, reference)))
        properties = part.get("properties")
        if isinstance(properties, Mapping):
            for name, child in properties.items():
                if child is not False:
                    found.add(f"{at}/{name}")
                    waiting.append((f"{at}/{name}", child))
        waiting += [(f"{at}/*", part[key]) for key in ("items", "additionalProperties") if key in part]
        waiting += [(at, part[key]) for key in ("then", "else") if key in part]
        for key in ("allOf", *_CHOICES, "prefixItems"):
            children = part.get(key)
            if isinstance(children, Sequence) and not isinstance(children, str):
                waiting += [(f"{at}/*" if key == "prefixItems" else at, one) for one in children]
    return frozenset(found)


_MAX_DEEP: Final = 8  # of a schema that refers to itself: deeper names are the same ones again


def _patterns(schema: Json) -> frozenset[str]:
    """The patterns of all names in a schema."""
    found: set[str] = set()
    waiting: list[Json] = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            patterned = part.get("patternProperties")
            found.update(patterned if isinstance(patterned, Mapping) else ())
            waiting += part.values()
        elif isinstance(part, list | tuple):
            waiting += part
    return frozenset(found)


def _target(schema: JsonObject, reference: str) -> Json:
    place: Json = schema
    for part in reference.removeprefix("#").strip("/").split("/") if reference.startswith("#") else ("?",):
        if part:
            place = place.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(place, Mapping) else None
    return place
