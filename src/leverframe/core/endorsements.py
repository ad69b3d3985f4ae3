"""A value that a person vouches for: which one a JSON pointer names, and under which types it is traced.

Knows: that one value is endorsed, never an object or a list, and that nothing is lifted out of its text.  Never:
decides who may.  Source: docs/labels.md, "Endorsement".  Property: `tests/property/test_labels.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from leverframe.core.hygiene import clean_entry
from leverframe.core.places import child_at, place_of, stands_for
from leverframe.core.provenance import typed_forms
from leverframe.core.token_types import TokenTypes
from leverframe.domain.json import Json
from leverframe.domain.labels import Integrity

# What the person who runs the product says is above what they can say of a value that came in.
HIGHEST = Integrity.USER


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What stands at a pointer.  `name`: that of the nearest property, under which it is traced."""

    name: str
    value: Json


def named_at(values: Json, pointer: str) -> Named | None:
    """The value at a JSON pointer (RFC 6901); None where nothing is there."""
    if pointer and not pointer.startswith("/"):
        return None
    name, node = "", values
    for token in pointer.split("/")[1:]:
        found = child_at(node, token)
        if found is None:
            return None
        # An item of a list goes by the name of the list.
        name, node = found[0] if isinstance(node, Mapping) else name, found[1]
    return Named(name=name, value=node)


def traced_as(found: Named, pointer: str, types: TokenTypes, declared: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """Every type and normal form under which an argument may equal the value; none where it is never traced.

    Args:
        found: the value.
        pointer: where it stands.
        types: the project's typed tokens.
        declared: `output_types` of the tool whose answer it is.

    Text counts as it came and as hygiene leaves it, since an agent passes on what it was shown.
    """
    place = place_of(pointer)
    name = next((name for pattern, name in declared.items() if stands_for(pattern, place)), found.name)
    spellings = [found.value]
    if isinstance(found.value, str):
        spellings.append(clean_entry(found.value).text)
    return frozenset(pair for one in spellings for pair in typed_forms(one, name, types))
