"""Dotted paths of the contract (`args.order_id`, `facts.order.total`, `input.message`) resolved on values."""

from collections.abc import Mapping
from typing import Final

from leverframe.domain.json import Json

MISSING: Final = object()


def resolve(path: str, roots: Mapping[str, Json]) -> object:
    """The value at a dotted path, or MISSING; a list is entered by a whole number."""
    root, *keys = path.split(".")
    if root not in roots:
        return MISSING
    node: Json = roots[root]
    for key in keys:
        if isinstance(node, Mapping):
            if key not in node:
                return MISSING
            node = node[key]
        elif isinstance(node, list | tuple) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        else:
            return MISSING
    return node
