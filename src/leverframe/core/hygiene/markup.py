"""HTML in a text: comments and elements that no reader is shown.

Knows: how elements are hidden by attribute, style and name.  Never: parses scripts or style sheets; an element that is
hidden by a rule elsewhere is not found.  Source: HTML Living Standard, 13.2 and 15.3.1.
"""

from dataclasses import dataclass
from typing import Final

import re2

from leverframe.core.hygiene.removals import Removed, RemovedKind, removed

_COMMENT: Final = re2.compile(r"(?s)<!--.*?-->|<!-->|<!--->")
_OPENERS: Final = re2.compile(r"<!--|-->")
_TAG: Final = re2.compile(r"""(?s)<(/?)([A-Za-z][A-Za-z0-9:-]*)((?:[\s/](?:[^<>"']|"[^"]*"|'[^']*')*)?)>""")
_NEVER_SHOWN: Final = frozenset({"script", "style", "template", "noscript", "head", "title", "object", "iframe", "svg"})
_VOID: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_HIDDEN_ATTRIBUTE: Final = re2.compile(
    r"""(?i)(?:^|[\s/"'])(?:hidden(?:$|[\s=/])|aria-hidden\s*=\s*["']?true|type\s*=\s*["']?hidden)"""
)
_STYLE: Final = re2.compile(r"""(?is)(?:^|[\s/"'])style\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)""")
_HIDING: Final = re2.compile(
    r"(?i)display:none|visibility:(?:hidden|collapse)|opacity:0?\.?0*(?:;|$|!)|font-size:0?\.?[0-3]?(?:px|pt|em|rem|%)?(?:;|$|!)"
    r"|(?:text-indent|left|top|margin-left|margin-top):-\d{3,}|(?:width|height|max-height|max-width):[01](?:px)?(?:;|$|!)"
    r"|clip:rect\(0|clip-path:inset\((?:50|100)%|color:transparent|mso-hide:all|transform:scale\(0"
)
_COLOURS: Final = re2.compile(r"(?i)(?:^|;)(background(?:-color)?|color):([^;!]+)")
_MAX_DEPTH: Final = 200


@dataclass(frozen=True, slots=True)
class _Open:
    """A hidden element that has begun: where it stands, its name, and how many of that name are open in it."""

    start: int
    name: str
    depth: int = 1


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
    out: list[str] = []
    at = 0
    hidden: _Open | None = None
    for match in _TAG.finditer(text):
        name, is_end = match.group(2).lower(), bool(match.group(1))
        if hidden is None:
            if is_end or not _is_hidden(name, match.group(3)):
                continue
            if name in _VOID:
                found.append(removed(RemovedKind.HIDDEN_ELEMENT, match.group()))
                out.append(text[at : match.start()])
                at = match.end()
            else:
                hidden = _Open(match.start(), name)
        elif name == hidden.name:
            depth = hidden.depth + (-1 if is_end else 1)
            hidden = _Open(hidden.start, name, min(depth, _MAX_DEPTH))
            if depth == 0:
                found.append(removed(RemovedKind.HIDDEN_ELEMENT, text[hidden.start : match.end()]))
                out.append(text[at : hidden.start])
                at, hidden = match.end(), None
    if hidden is not None:
        end = text.index(">", hidden.start) + 1
        found.append(removed(RemovedKind.HIDDEN_ELEMENT, text[hidden.start : end]))
        out.append(text[at : hidden.start])
        at = end
    return "".join([*out, text[at:]])


def _is_hidden(name: str, attributes: str) -> bool:
    if name in _NEVER_SHOWN:
        return True
    if not attributes:
        return False
    if _HIDDEN_ATTRIBUTE.search(attributes):
        return True
    style = _STYLE.search(attributes)
    if style is None:
        return False
    said = "".join(style.group(1).strip("\"'").split())
    return bool(_HIDING.search(said)) or _is_text_on_itself(said)


def _is_text_on_itself(style: str) -> bool:
    """Whether the text has the colour of its ground: the one that is given, else white paper."""
    colours = {
        match.group(1).lower().removesuffix("-color"): _colour(match.group(2)) for match in _COLOURS.finditer(style)
    }
    ink = colours.get("color")
    return ink is not None and ink == colours.get("background", "white")


def _colour(written: str) -> str:
    said = written.lower()
    return "white" if said in {"#fff", "#ffffff", "rgb(255,255,255)", "white"} else said
