"""A JSON body read strictly, and changed without touching what need not change.

Knows: that two readers of one text must see one value, so a key that stands twice is refused wherever it stands.
Never: writes a value of the client's anew: members that stay are copied as bytes.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from json import JSONDecoder
from typing import Final, NoReturn

import msgspec

from leverframe.core import canonical
from leverframe.domain.errors import WireRefused

# A record holds the body within an object of its own, which must be readable too.
MAX_DEPTH: Final = canonical.MAX_DEPTH - 1
# Of commas and opened brackets, in strings too: more than any model reads, and a third of a second to read here, while
# everybody else waits.
MAX_PARTS: Final = 1_000_000
_DECODER: Final = msgspec.json.Decoder()
_ENCODER: Final = msgspec.json.Encoder()
_PARTED_BY: Final = (b",", b"[", b"{")
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

Fields = Mapping[str, object]


def read_object(body: bytes) -> Fields:
    """Parse the body of a call.

    Raises:
        WireRefused: it is not one JSON object in UTF-8, is nested deeper than `MAX_DEPTH`, has more than `MAX_PARTS`,
            or has a key twice.
    """
    value = read_loosely(body)
    # Counting brackets is enough to see that most bodies cannot be deep.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise _malformed(f"it is nested more than {MAX_DEPTH} levels deep")
    # What is written again to the same bytes held no key twice; anything else is read by the slower way, which sees it.
    written = _ENCODER.encode(value)
    if written != body and written != _packed(body):
        _refuse_twice(body)
    return value


def read_loosely(body: bytes) -> Fields:
    """The body of a call that only has to be told apart: of a key that stands twice the last counts, as for vendors.

    Raises:
        WireRefused: it is not one JSON object in UTF-8, or has more than `MAX_PARTS`.
    """
    if len(body) > MAX_PARTS and (parts := sum(map(body.count, _PARTED_BY))) > MAX_PARTS:
        raise WireRefused(
            f"The body has {parts:,} commas and brackets; {MAX_PARTS:,} are read.",
            next_move="Send less in one call.",
            code="too_large",
            status=413,
        )
    try:
        value: object = _DECODER.decode(body)
    except UnicodeDecodeError as err:
        raise _malformed("it is not UTF-8") from err
    except msgspec.DecodeError as err:
        raise _malformed(str(err)) from err
    except RecursionError as err:
        raise _malformed(f"it is nested more than {MAX_DEPTH} levels deep") from err
    if not isinstance(value, dict):
        raise _malformed("it is not an object")
    return value


def _packed(body: bytes) -> bytes:
    """The same text without the blanks between its parts; a key that stands twice still does."""
    return msgspec.json.format(body, indent=-1)


def size_of(value: object) -> int:
    """How many bytes a value of `read_object` takes as JSON without blanks."""
    return len(_ENCODER.encode(value))


def encoded(value: object) -> bytes:
    """A value as compact JSON."""
    return _ENCODER.encode(value)


def with_fields(body: bytes, changes: Mapping[str, bytes], present: Collection[str]) -> bytes:
    """The body with members of its top object set to raw JSON values; every other member keeps its bytes.

    Args:
        body: what `read_object` took.
        changes: name to the JSON text of its value.
        present: the names of all its members; where none of them changes, the body is not read again.
    """
    if not changes:
        return body
    if not changes.keys().isdisjoint(present):
        members = _MEMBERS.decode(body)
        merged = {name: bytes(raw) for name, raw in members.items()} | dict(changes)
        return b"{" + b",".join(_ENCODER.encode(name) + b":" + raw for name, raw in merged.items()) + b"}"
    tail = b"".join(b"," + _ENCODER.encode(name) + b":" + raw for name, raw in changes.items())
    end = body.rindex(b"}")
    # Behind nothing stands no comma.
    return body[:end] + (tail if present else tail[1:]) + b"}"


def _depth(value: object) -> int:
    level: list[object] = [value]
    depth = 0
    while level and depth <= MAX_DEPTH:
        depth += 1
        below: list[object] = []
        for one in level:
            if isinstance(one, dict):
                below += [item for item in one.values() if isinstance(item, dict | list)]
            elif isinstance(one, list):
                below += [item for item in one if isinstance(item, dict | list)]
        level = below
    return depth


def _refuse_twice(body: bytes) -> None:
    try:
        _STRICT.decode(body.decode())
    except (ValueError, RecursionError) as err:
        raise _malformed(str(err)) from err


def _pairs(pairs: list[tuple[str, object]]) -> object:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise WireRefused(
            f"The key {twice[:100]!r} stands twice in one object, and two readers could take two values.",
            next_move="Send each key once.",
            code="duplicate_key",
            param=twice[:100],
        )
    return found


def _constant(word: str) -> NoReturn:
    raise ValueError(f"JSON has no {word}")


_STRICT: Final = JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant)


def _malformed(why: str) -> WireRefused:
    return WireRefused(
        f"The body cannot be read as JSON: {why}.", next_move="Send one JSON object in UTF-8.", code="malformed_json"
    )
