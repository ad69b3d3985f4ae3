"""What hygiene took out of a text."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class RemovedKind(StrEnum):
    """The kinds of things that are taken out; the value is their name in records and on pages."""

    TAG_CHARACTER = "tag-character"  # U+E0000 to U+E007F, which spell text that no font shows
    ZERO_WIDTH = "zero-width"
    BIDI_CONTROL = "bidi-control"
    CONTROL = "control"  # C0 and C1, without tab, line feed and carriage return
    VARIATION_SELECTOR = "variation-selector"  # the supplement, of which one can carry a byte
    COMPATIBILITY = "compatibility"  # rewritten by NFKC, no longer than it was
    HTML_COMMENT = "html-comment"
    HIDDEN_ELEMENT = "hidden-element"
    LINK_TARGET = "link-target"  # the text of the link stays
    IMAGE = "image"  # its alternative text stays
    DATA_URI = "data-uri"
    MARKER = "marker"  # the mark of quoted text, which nobody but us writes


# Rewritten for comparison's sake, or met in honest text; the others have little use but to hide.
HONEST_KINDS = frozenset({RemovedKind.COMPATIBILITY, RemovedKind.LINK_TARGET, RemovedKind.IMAGE, RemovedKind.CONTROL})
_SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """One removal.  `text` is what was there, cut at 200 characters; `count` is how many characters went."""

    kind: RemovedKind
    text: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """A text without what nobody sees, and all that was taken out, in the order in which it was found."""

    text: str
    removed: tuple[Removed, ...] = ()

    @property
    def is_suspicious(self) -> bool:
        """Whether something was hidden.  It may only raise caution: plainly worded instructions hide nothing."""
        return is_suspicious(self.removed)


def counts(removals: Iterable[Removed]) -> tuple[str, ...]:
    """How many characters of each kind were taken out, as a record says it: `zero-width=3`."""
    found = Counter[RemovedKind]()
    for one in removals:
        found[one.kind] += one.count
    return tuple(f"{kind.value}={count}" for kind, count in sorted(found.items()))


def is_suspicious(removals: Iterable[Removed]) -> bool:
    """Whether something was hidden.  It may only raise caution: plainly worded instructions hide nothing."""
    return any(one.kind not in HONEST_KINDS for one in removals)


def removed(kind: RemovedKind, text: str, kept: str = "") -> Removed:
    """A removal of `text`, of which `kept` stays."""
    return Removed(kind=kind, text=text[:_SHOWN_CHARS], count=len(text) - len(kept))
