"""HTML in a text: comments and elements that no reader is shown.

Knows: how elements are hidden by attribute, style and name.  Never: parses scripts or style sheets; an element that is
hidden by a rule elsewhere is not found.  Source: HTML Living Standard, 13.2 and 15.3.1.
"""

from html import unescape
from typing import Final

import re2

from leverframe.core.hygiene.removals import Removed, RemovedKind, removed

# An empty comment first: what stands after `<!-->` is shown.  `--!>` ends a comment too.
_COMMENT: Final = re2.compile(r"(?s)<!-->|<!--->|<!--.*?--!?>")
_OPENERS: Final = re2.compile(r"<!--|-->")
_TAG: Final = re2.compile(r"""(?s)<(/?)([A-Za-z][A-Za-z0-9:-]*)((?:[\s/](?:[^<>"']|"[^"]*"|'[^']*')*)?)>""")
_NEVER_SHOWN: Final = frozenset({"script", "style", "template", "noscript", "head", "title", "object", "iframe", "svg"})
_VOID: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_ATTRIBUTE: Final = re2.compile(r"""([^\s"'<>/=]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+))?""")
_CSS_COMMENT: Final = re2.compile(r"(?s)/\*.*?\*/")
_FAR_OUT: Final = re2.compile(r"-[0-9]{3,}.*")
_NO_SIZE: Final = re2.compile(r"[01](?:px)?")
# A whole declaration of CSS is looked at: `line-height: 1` is no height, `background-color: transparent` no ink.
_HIDING: Final = {
    "display": re2.compile(r"none"),
    "visibility": re2.compile(r"hidden|collapse"),
    "opacity": re2.compile(r"0*\.?0+%?|0+\.?"),
    "font-size": re2.compile(r"0*(?:\.[0-9]*)?[0-3]?(?:px|pt)?|0*\.?0*[a-z%]*|0*\.[0-3][0-9]*r?em|[0-3]%"),
    "text-indent": _FAR_OUT,
    "left": _FAR_OUT,
    "top": _FAR_OUT,
    "margin-left": _FAR_OUT,
    "margin-top": _FAR_OUT,
    "width": _NO_SIZE,
    "height": _NO_SIZE,
    "max-height": _NO_SIZE,
    "max-width": _NO_SIZE,
    "clip": re2.compile(r"rect\(0.*"),
    "clip-path": re2.compile(r"inset\((?:50|100)%.*"),
    "color": re2.compile(r"transparent"),
    "mso-hide": re2.compile(r"all"),
    "transform": re2.compile(r".*scale\(0*\.?0*[,)].*"),
}


def strip_comments(text: str, found: list[Removed]) -> str:
    """Take out comments.  Of one that never ends only its opening goes: what follows becomes plain to see."""
    if "<!--" not in text and "-->" not in text:
        return text
    for pattern in (_COMMENT, _OPENERS):
        out: list[str] = []
        at = 0
        for match in pattern.finditer(text):
            found.append(removed(RemovedKind.HTML_COMMENT, match.group()))
            out.append(text[at : match.start()])
            at = match.end()
        text = "".join([*out, text[at:]])
    return text


def strip_hidden(text: str, found: list[Removed]) -> str:
    """Take out elements that no reader is shown, with all that stands in them; one that never ends loses its tag."""
    if "<" not in text:
        return text
    tags = list(_TAG.finditer(text))
    ends = _ends(tags)
    out: list[str] = []
    at = 0
    for number, tag in enumerate(tags):
        name = tag.group(2).lower()
        if tag.start() < at or tag.group(1) or not _is_hidden(name, tag.group(3)):
            continue
        end = tag.end() if name in _VOID else ends.get(number, tag.end())
        found.append(removed(RemovedKind.HIDDEN_ELEMENT, text[tag.start() : end]))
        out.append(text[at : tag.start()])
        at = end
    return "".join([*out, text[at:]])


# Any: re2 has no types of its own for matches.
def _ends(tags: "list[re2._Match]") -> dict[int, int]:
    """Where the element ends that each tag begins, by the tag's number; one that never ends is not there."""
    ends: dict[int, int] = {}
    open_by_name: dict[str, list[int]] = {}
    for number, tag in enumerate(tags):
        name = tag.group(2).lower()
        waiting = open_by_name.setdefault(name, [])
        if not tag.group(1):
            waiting.append(number)
        elif waiting:
            ends[waiting.pop()] = tag.end()
    return ends


def attributes_of(written: str) -> dict[str, str]:
    """The attributes of a tag, by name; of two with one name the first counts, and character references are read."""
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(written):
        value = match.group(2) or ""
        inner = value[1:-1] if value[:1] in {'"', "'"} else value
        found.setdefault(match.group(1).lower(), unescape(inner))
    return found


def _is_hidden(name: str, attributes: str) -> bool:
    if name in _NEVER_SHOWN:
        return True
    if not attributes:
        return False
    said = attributes_of(attributes)
    if "hidden" in said or "true" in said.get("aria-hidden", "").lower() or said.get("type", "").lower() == "hidden":
        return True
    rules = _rules(said.get("style", ""))
    if any(pattern.fullmatch(value) for key, value in rules if (pattern := _HIDING.get(key)) is not None):
        return True
    inks = {"background": said["bgcolor"]} if "bgcolor" in said else {}
    if name == "font" and "color" in said:
        inks["color"] = said["color"]
    return _is_text_on_itself({**inks, **{key.removesuffix("-color"): value for key, value in rules}})


def _rules(style: str) -> list[tuple[str, str]]:
    """The declarations of a style: property and value, in lower case and without white space."""
    found = []
    for one in _CSS_COMMENT.sub("", style).lower().split(";") if style else ():
        key, _, value = one.partition(":")
        found.append((key.strip(), "".join(value.split()).partition("!")[0]))
    return found


def _is_text_on_itself(inks: dict[str, str]) -> bool:
    """Whether the text has the colour of its ground: the one that is given, else white paper."""
    ink = inks.get("color")
    return ink is not None and _colour(ink) == _colour(inks.get("background", "white"))


def _colour(written: str) -> str:
    said = "".join(written.lower().split())
    return "white" if said in {"#fff", "#ffffff", "rgb(255,255,255)", "white"} else said
