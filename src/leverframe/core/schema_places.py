"""What a JSON Schema says of one place in a value: which keys it names there, and whether it lists the values.

Knows: `properties`, `items` and their kin, references within the schema, and its alternatives and conditions, each of
which may hold.  Never: validates.  Source: JSON Schema 2020-12, core, sections 8.2, 10 and 11.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

import re2

from leverframe.domain.json import Json

Rules = tuple[Mapping[str, Json], ...]  # every rule that may hold at one place

_COMBINES: Final = ("anyOf", "oneOf", "allOf")
_CONDITIONS: Final = ("then", "else")
_REFERS: Final = ("$ref", "$dynamicRef")
_LEADS_ON: Final = frozenset((*_COMBINES, *_CONDITIONS, *_REFERS, "dependentSchemas"))
_OPEN: Final = frozenset(("patternProperties", "unevaluatedProperties"))
_OTHER_ITEMS: Final = ("items", "additionalItems", "unevaluatedItems", "contains")
# More than any tool has; a schema is the project's or its server's, and may refer to itself.
_MOST_RULES: Final = 64
_MAX_DIGITS: Final = 9


def rules_of(schema: Json, root: Json) -> Rules:
    """A schema with all that it refers to or combines."""
    if not isinstance(schema, Mapping):
        return ()
    if schema.keys().isdisjoint(_LEADS_ON):
        return (schema,)
    found: list[Mapping[str, Json]] = []
    waiting: list[Json] = [schema]
    while waiting and len(found) < _MOST_RULES:
        one = waiting.pop()
        if not isinstance(one, Mapping) or any(one is known for known in found):
            continue
        found.append(one)
        for key in _COMBINES:
            parts = one.get(key)
            waiting.extend(parts if isinstance(parts, list | tuple) else ())
        waiting.extend(one.get(key) for key in _CONDITIONS)
        waiting.extend(_referred(one.get(key), root) for key in _REFERS)
        dependent = one.get("dependentSchemas")
        waiting.extend(dependent.values() if isinstance(dependent, Mapping) else ())
    return tuple(found)


def property_rules(rules: Rules, name: str, root: Json) -> Rules:
    """The rules of a property: of what names it, itself or by a pattern, and of what speaks of the others."""
    rule = rules[0] if len(rules) == 1 else None
    if rule is not None and _OPEN.isdisjoint(rule) and not isinstance(rule.get("additionalProperties"), Mapping):
        # Nearly every schema; this is asked for each argument of each call.
        properties = rule.get("properties")
        return rules_of(properties.get(name), root) if isinstance(properties, Mapping) else ()
    found: list[Mapping[str, Json]] = []
    is_named = False
    for rule in rules:
        named = _named(rule, name, root)
        is_named = is_named or bool(named)
        found += named or rules_of(rule.get("additionalProperties"), root)
    if not is_named:
        found += [one for rule in rules for one in rules_of(rule.get("unevaluatedProperties"), root)]
    return tuple(found)


def _named(rule: Mapping[str, Json], name: str, root: Json) -> Rules:
    properties = rule.get("properties")
    inside = properties.get(name) if isinstance(properties, Mapping) else None
    found = rules_of(inside, root)
    patterns = rule.get("patternProperties")
    for pattern, one in patterns.items() if isinstance(patterns, Mapping) else ():
        found += rules_of(one, root) if _matches(pattern, name) else ()
    return found


def item_rules(rules: Rules, position: int, root: Json) -> Rules:
    """The rules of one item of a list."""
    found: list[Mapping[str, Json]] = []
    for rule in rules:
        items = rule.get("items")
        # Before 2020-12, `items` was what `prefixItems` is.
        first = items if isinstance(items, list | tuple) else rule.get("prefixItems")
        is_first = isinstance(first, list | tuple) and position < len(first)
        if is_first and isinstance(first, list | tuple):
            found += rules_of(first[position], root)
        for key in _OTHER_ITEMS:
            found += rules_of(rule.get(key), root) if not is_first or key == "contains" else ()
    return tuple(found)


def names(rules: Rules, key: str) -> bool:
    """Whether a key is one that the schema itself names."""
    return any(isinstance(inside := rule.get("properties"), Mapping) and key in inside for rule in rules)


def lists_values(rules: Rules) -> bool:
    """Whether the values at this place are listed; a place that may also be null is not listed by that."""
    return any(_lists(rule) for rule in rules)


def leaves_of(value: Json, type_name: str, rules: Rules | None, root: Json) -> Iterator[tuple[Json, str, Rules | None]]:
    """Every value in an argument with its type and its rules.

    A key that the schema does not name is a value too: `{"ann@example.com": "reader"}` says who.
    """
    waiting: list[tuple[Json, str, Rules | None]] = [(value, type_name, rules)]
    while waiting:
        node, name, here = waiting.pop()
        if isinstance(node, Mapping):
            for key, item in node.items():
                is_said = here is not None and not names(here, key)
                if is_said:
                    yield key, type_name, ()
                inside = None if here is None else property_rules(here, key, root)
                waiting.append((item, name if is_said else key or name, inside))
        elif isinstance(node, list | tuple):
            waiting.extend(
                (item, name, None if here is None else item_rules(here, position, root))
                for position, item in enumerate(node)
            )
        else:
            yield node, name, here


def _lists(rule: Mapping[str, Json]) -> bool:
    listed = rule.get("enum")
    some = listed if isinstance(listed, list | tuple) else ()
    return rule.get("const") is not None or any(value is not None for value in some)


def _matches(pattern: str, name: str) -> bool:
    """Whether a pattern of names, of whatever dialect, may match; one that cannot be read here may."""
    found = _compiled(pattern)
    return found is None or found.search(name) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> "re2._Regexp | None":
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error:
        return None


def _referred(reference: Json, root: Json) -> Json:
    if not isinstance(reference, str) or not isinstance(root, Mapping):
        return None
    base = root.get("$id")
    fragment = reference.removeprefix(base.partition("#")[0]) if isinstance(base, str) else reference
    if not fragment.startswith("#"):
        return None
    if fragment[1:2] not in {"", "/"}:
        return _anchored(fragment[1:], root)
    node: Json = root
    for step in fragment.split("/")[1:]:
        key = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(node, list | tuple):
            place = int(key) if key.isascii() and key.isdigit() and len(key) < _MAX_DIGITS else len(node)
            node = node[place] if place < len(node) else None
        else:
            node = node.get(key) if isinstance(node, Mapping) else None
    return node


def _anchored(name: str, root: Json) -> Json:
    waiting: list[Json] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            if name in (node.get("$anchor"), node.get("$dynamicAnchor")):
                return node
            waiting.extend(node.values())
        elif isinstance(node, list | tuple):
            waiting.extend(node)
    return None
