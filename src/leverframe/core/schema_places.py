"""What a JSON Schema says of one place in a value: which keys it names there, and whether it lists the values.

Knows: `properties`, `items`, references within the schema, and its alternatives.  Never: validates.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from leverframe.domain.json import Json

Rules = tuple[Mapping[str, Json], ...]  # every rule that may hold at one place

_COMBINES: Final = ("anyOf", "oneOf", "allOf")
_LEADS_ON: Final = frozenset((*_COMBINES, "$ref"))
# More than any tool has; a schema is the project's or its server's, and may refer to itself.
_MOST_RULES: Final = 64


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
        waiting.append(_referred(one.get("$ref"), root))
    return tuple(found)


def property_rules(rules: Rules, name: str, root: Json) -> Rules:
    """The rules of a property that these rules name; none where they do not."""
    found: list[Mapping[str, Json]] = []
    for rule in rules:
        properties = rule.get("properties")
        inside = properties.get(name) if isinstance(properties, Mapping) else None
        found += rules_of(inside, root)
    return tuple(found)


def other_rules(rules: Rules, root: Json) -> Rules:
    """The rules of a property that these rules do not name."""
    return tuple(one for rule in rules for one in rules_of(rule.get("additionalProperties"), root))


def item_rules(rules: Rules, position: int, root: Json) -> Rules:
    """The rules of one item of a list."""
    found: list[Mapping[str, Json]] = []
    for rule in rules:
        first = rule.get("prefixItems")
        is_first = isinstance(first, list | tuple) and position < len(first)
        found += rules_of(first[position] if is_first and isinstance(first, list | tuple) else rule.get("items"), root)
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
                inside = None if here is None else property_rules(here, key, root) or other_rules(here, root)
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


def _referred(reference: Json, root: Json) -> Json:
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    node = root
    for step in reference.removeprefix("#").split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        node = node.get(key) if isinstance(node, Mapping) else None
    return node
