"""JSON as the protocol's package holds it, and as we do.

Knows: that the package reads and writes floats.  A number that came in has the decimal that it prints as; one that goes
out is the float nearest to it.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from leverframe.core import canonical
from leverframe.domain.json import Json, JsonObject

# Any: what the protocol's package takes and gives as JSON; the names say where it is ours no more.
PlainJson = Any

_BLOCKS: Final = frozenset({"text", "image", "audio", "resource", "resource_link"})


def exact(value: object) -> Json:
    """What came in, without a float."""
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, Mapping):
        return {str(key): exact(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [exact(one) for one in value]
    return value if value is None or isinstance(value, bool | int | str | Decimal) else str(value)


def exact_object(value: object) -> JsonObject:
    """The same for what must be an object; empty where there is none."""
    found = exact(value)
    return found if isinstance(found, dict) else {}


def plain(value: Json) -> PlainJson:
    """What goes out, in dicts and lists, its decimals as floats."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def content_of(value: Json) -> list[dict[str, PlainJson]]:
    """A recorded answer as content blocks: those that it is, or one text."""
    if isinstance(value, list) and value and all(_is_block(one) for one in value):
        return [plain(one) for one in value]
    text = value if isinstance(value, str) else canonical.encode(value).decode()
    return [{"type": "text", "text": text}]


def _is_block(value: Json) -> bool:
    return isinstance(value, Mapping) and value.get("type") in _BLOCKS
