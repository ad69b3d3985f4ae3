"""Where a value stands within another: JSON pointers (RFC 6901) whose length a sender does not decide.

Knows: that a key longer than a name stands in a pointer by its hash, and a place further in than any record's by a hash
of its way.  Never: reads a value.  Who sends an answer picks its keys; each of thousands of values has a pointer, and
each pointer repeats the keys above it.
"""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Final

from leverframe.domain.json import Json
from leverframe.domain.labels import UNTRACED, Label

Labels = Mapping[str, Label]

MAX_KEY_CHARS: Final = 64
MAX_PLACE_CHARS: Final = 512
# RFC 6901 escapes with ~0 and ~1 alone, so that no pointer that a person writes looks like one of these.
_LONG_KEY: Final = "~2"
_FAR: Final = "/~3"


def escaped(key: str) -> str:
    """One reference token of a place: as RFC 6901, section 3, writes it, or the hash of a key that is no name."""
    if len(key) > MAX_KEY_CHARS:
        return _LONG_KEY + _hash(key)
    return key.replace("~", "~0").replace("/", "~1")


def child(place: str, key: str) -> str:
    """The place of a property."""
    return _within(f"{place}/{escaped(key)}")


def item(place: str, position: int) -> str:
    """The place of an item of a list."""
    return _within(f"{place}/{position}")


def place_of(pointer: str) -> str:
    """The place that a pointer names, in which long keys may be written out."""
    if len(pointer) <= MAX_KEY_CHARS:
        return pointer
    place = ""
    for token in pointer.split("/")[1:]:
        place = child(place, token.replace("~1", "/").replace("~0", "~"))
    return place


def is_far(place: str) -> bool:
    """Whether a value stands further in than a place tells; no pointer of a spec leads there."""
    return place.startswith(_FAR)


def is_starred(pointer: str) -> bool:
    """Whether a `*` stands for an index or a key of a pointer."""
    return "*" in pointer.split("/")


def stands_for(pattern: str, place: str) -> bool:
    """Whether a pointer in which `*` stands for any index or key is of this place."""
    if is_far(place):
        return False
    wanted, there = place_of(pattern).split("/"), place.split("/")
    return len(wanted) == len(there) and all(a in ("*", b) for a, b in zip(wanted, there, strict=True))


def child_at(node: Json, token: str) -> tuple[str, Json] | None:
    """The key and the value that a reference token names in an object or a list; None where nothing is there."""
    key = token.replace("~1", "/").replace("~0", "~")
    if isinstance(node, Mapping):
        if key in node:
            return key, node[key]
        # A place that `why` has shown names a long key by its hash.
        long = (each for each in node if escaped(each) == token) if token.startswith(_LONG_KEY) else iter(())
        found = next(long, None)
        return None if found is None else (found, node[found])
    if isinstance(node, list | tuple) and key.isascii() and key.isdigit() and int(key[:9]) < len(node):
        return (key, node[int(key)]) if key == str(int(key[:9])) else None
    return None


def label_at(labels: Labels, pointer: str) -> Label:
    """The label of the value at `pointer`: that of the longest prefix; none is third-party."""
    if is_far(pointer):
        return far_label(labels)
    while True:
        label = labels.get(pointer)
        if label is not None:
            return label
        if not pointer:
            return UNTRACED
        pointer = pointer[: pointer.rindex("/")]


def label_within(labels: Labels, place: str, above: Label) -> Label:
    """The label of the value at a place whose surroundings have the label `above`: from the top, one step at a time."""
    return far_label(labels) if is_far(place) else labels.get(place, above)


def far_label(labels: Labels) -> Label:
    """What stands further in than a pointer of a spec could say is nobody's, and as secret as all of it."""
    return Label(integrity=UNTRACED.integrity, confidentiality=labels.get("", UNTRACED).confidentiality)


def walk(value: Json, key: str = "", *, inner: bool = False) -> Iterator[tuple[str, str, Json]]:
    """Yield (place, name of the nearest property, scalar) of every leaf; with `inner`, of containers too."""
    waiting: list[tuple[str, str, Json]] = [("", key, value)]
    while waiting:
        place, name, node = waiting.pop()
        if isinstance(node, Mapping):
            waiting.extend((child(place, each), each, inside) for each, inside in node.items())
        elif isinstance(node, list | tuple):
            waiting.extend((item(place, position), name, inside) for position, inside in enumerate(node))
        else:
            yield place, name, node
            continue
        if inner:
            yield place, name, node


def walk_labelled(value: Json, labels: Labels) -> Iterator[tuple[str, str, Json, Label]]:
    """The same, with containers, and with the label of each."""
    waiting: list[tuple[str, str, Json, Label]] = [("", "", value, labels.get("", UNTRACED))]
    while waiting:
        place, name, node, label = waiting.pop()
        yield place, name, node, label
        if isinstance(node, Mapping):
            for each, inside in node.items():
                at = child(place, each)
                waiting.append((at, each, inside, label_within(labels, at, label)))
        elif isinstance(node, list | tuple):
            for position, inside in enumerate(node):
                at = item(place, position)
                waiting.append((at, name, inside, label_within(labels, at, label)))


def _within(place: str) -> str:
    return place if len(place) <= MAX_PLACE_CHARS else _FAR + _hash(place)


def _hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
