"""Links, images and data URIs: what fetches when it is shown, or leads a reader somewhere.

Knows: Markdown and HTML that a page would follow.  A bare address stays: it is visible, and says where it leads.
Source: CommonMark 0.31, sections 6.3 to 6.5 and 4.7.
"""

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

import re2

from leverframe.core.hygiene.removals import Removed, RemovedKind, removed

_DATA_URI: Final = re2.compile(r"(?i)\bdata:[a-z0-9.+-]*/?[a-z0-9.+;=-]*,[^\s)\"'>\]]*")
_INLINE: Final = re2.compile(
    r"(!?)\[([^\[\]]*)\]\(\s*(<[^<>\n]*>|[^\s()<>]*(?:\([^\s()]*\)[^\s()]*)*)(\s+(?:\"[^\"]*\"|'[^']*'|\([^()]*\)))?\s*\)"
)
_DEFINITION: Final = re2.compile(r"(?m)^ {0,3}\[([^\[\]]+)\]:[ \t]*\n?[ \t]*(<[^<>\n]*>|\S+)[^\n]*$\n?")
_REFERENCE: Final = re2.compile(r"!\[([^\[\]]*)\](?:\[[^\[\]]*\])?")
_AUTOLINK: Final = re2.compile(r"<([A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]*)>")
_HTML: Final = re2.compile(
    r"""(?is)<(a|img|area|link|source|video|audio|embed|base|form|input|image|use)\b((?:[^<>"']|"[^"]*"|'[^']*')*)>"""
)
_TARGET: Final = re2.compile(
    r"""(?is)(?:^|[\s/"'])(?:href|src|srcset|action|xlink:href|poster|background|formaction)\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)"""
)
_ALT: Final = re2.compile(r"""(?is)(?:^|[\s/"'])alt\s*=\s*("[^"]*"|'[^']*')""")


def strip_data_uris(text: str, found: list[Removed]) -> str:
    """Take out data URIs, which carry bytes that nobody reads."""
    if "data:" not in text.lower():
        return text
    out: list[str] = []
    at = 0
    for match in _DATA_URI.finditer(text):
        found.append(removed(RemovedKind.DATA_URI, match.group()))
        out.append(text[at : match.start()])
        at = match.end()
    return "".join([*out, text[at:]])


def strip_links(text: str, hosts: Collection[str], found: list[Removed]) -> str:
    """Take the targets of links and images to hosts that are not listed out of a text; what a reader sees stays.

    Args:
        text: what a model wrote.
        hosts: host names that may be linked to; `example.com` admits its subdomains too.
        found: takes what went.
    """
    text = _strip_inline(text, hosts, found)
    text = _strip_definitions(text, hosts, found)
    text = _strip_autolinks(text, hosts, found)
    return _strip_html(text, hosts, found)


def is_listed(target: str, hosts: Collection[str]) -> bool:
    """Whether a target stays within the page or leads to a listed host, over https, http or mail.

    A browser drops tabs and line feeds in a target and takes a backslash for a slash; so does this.
    """
    said = "".join(target.strip().strip("<>").split()).replace("\\", "/")
    if not said or said.startswith("#"):
        return True
    try:
        parts = urlsplit(said if not said.startswith("//") else f"https:{said}")
        host = parts.hostname
    except ValueError:
        return False
    if parts.scheme == "mailto":
        host = parts.path.rpartition("@")[2]
    elif parts.scheme not in {"http", "https"}:
        return False
    name = (host or "").lower().rstrip(".")
    return any(name == one or name.endswith(f".{one}") for one in hosts)


def _strip_inline(text: str, hosts: Collection[str], found: list[Removed]) -> str:
    if "](" not in text:
        return text
    out: list[str] = []
    at = 0
    for match in _INLINE.finditer(text):
        if is_listed(match.group(3), hosts):
            continue
        kind = RemovedKind.IMAGE if match.group(1) else RemovedKind.LINK_TARGET
        found.append(removed(kind, match.group(), match.group(2)))
        out += [text[at : match.start()], match.group(2)]
        at = match.end()
    return "".join([*out, text[at:]])


def _strip_definitions(text: str, hosts: Collection[str], found: list[Removed]) -> str:
    if "]:" not in text:
        return text
    out: list[str] = []
    at = 0
    for match in _DEFINITION.finditer(text):
        if is_listed(match.group(2), hosts):
            continue
        found.append(removed(RemovedKind.LINK_TARGET, match.group()))
        out.append(text[at : match.start()])
        at = match.end()
    if not out:
        return text
    text = "".join([*out, text[at:]])
    # Without its definition an image reference shows its brackets; its words are enough.
    return str(_REFERENCE.sub(r"\1", text))


def _strip_autolinks(text: str, hosts: Collection[str], found: list[Removed]) -> str:
    """`<https://…>` becomes the bare address: it says where it leads, and is no longer followed."""
    out: list[str] = []
    at = 0
    for match in _AUTOLINK.finditer(text) if "<" in text else ():
        if is_listed(match.group(1), hosts):
            continue
        found.append(removed(RemovedKind.LINK_TARGET, match.group(), match.group(1)))
        out += [text[at : match.start()], match.group(1)]
        at = match.end()
    return "".join([*out, text[at:]])


def _strip_html(text: str, hosts: Collection[str], found: list[Removed]) -> str:
    out: list[str] = []
    at = 0
    for match in _HTML.finditer(text) if "<" in text else ():
        targets = [one.group(1).strip("\"'") for one in _TARGET.finditer(match.group(2))]
        if all(is_listed(target, hosts) for target in targets):
            continue
        alt = _ALT.search(match.group(2))
        kept = alt.group(1)[1:-1] if alt is not None and match.group(1).lower() == "img" else ""
        kind = RemovedKind.IMAGE if match.group(1).lower() in {"img", "image"} else RemovedKind.LINK_TARGET
        found.append(removed(kind, match.group(), kept))
        out += [text[at : match.start()], kept]
        at = match.end()
    return "".join([*out, text[at:]])
