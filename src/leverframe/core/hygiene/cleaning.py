"""The order in which a text is cleaned, again and again until nothing changes.

What is hidden can hide what hides it: a zero-width space within `<!--`, a comment that another comment's end makes.
"""

from collections.abc import Callable, Collection
from functools import partial

from leverframe.core.hygiene.invisible import normalise, strip_invisible
from leverframe.core.hygiene.links import strip_data_uris, strip_links
from leverframe.core.hygiene.markup import strip_comments, strip_hidden
from leverframe.core.hygiene.removals import Cleaned, Removed, RemovedKind, removed

_Pass = Callable[[str, list[Removed]], str]
_ENTRY: tuple[_Pass, ...] = (strip_invisible, normalise, strip_comments, strip_hidden, strip_data_uris)
# Every pass that changes something shortens or normalises; honest text is clean after two.
_MAX_ROUNDS = 16


def clean_entry(text: str) -> Cleaned:
    """A text of others, as it may be shown to a model or a person.

    NFKC where it does not lengthen; without tag characters, zero-width and bidi controls, comments and hidden elements
    of HTML, and data URIs.  Idempotent; never longer than `text`.
    """
    return _until_still(text, _ENTRY)


def clean_output(text: str, hosts: Collection[str]) -> Cleaned:
    """What a model wrote, as it may be shown on a page: like `clean_entry`, and it links to listed hosts alone.

    Args:
        text: the model's words.
        hosts: lower-case host names that may be linked to; each admits its subdomains.
    """
    return _until_still(text, (*_ENTRY, partial(_linked, hosts)))


def _linked(hosts: Collection[str], text: str, found: list[Removed]) -> str:
    return strip_links(text, hosts, found)


def _until_still(text: str, passes: tuple[_Pass, ...]) -> Cleaned:
    if text.isascii() and text.isprintable() and not any(sign in text for sign in ("<", ">", "](", "]:", ":")):
        return Cleaned(text=text)
    found: list[Removed] = []
    for _ in range(_MAX_ROUNDS):
        before = text
        for one in passes:
            text = one(text, found)
        if text == before:
            return Cleaned(text=text, removed=tuple(found))
    # Nested deeper than honest text is: what opens markup goes, and the words stay.
    for sign in ("<", "](", "]:", "data:"):
        if sign in text:
            found.append(removed(RemovedKind.HIDDEN_ELEMENT, sign * text.count(sign)))
            text = text.replace(sign, "")
    text = normalise(strip_invisible(text, found), found)
    return Cleaned(text=text, removed=tuple(found))
