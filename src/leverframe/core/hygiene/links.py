"""Links, images and data URIs: what fetches when it is shown, or leads a reader somewhere.

Knows: Markdown and HTML that a page would follow.  A bare address stays: it is visible, and says where it leads.
Source: CommonMark 0.31, sections 6.3 to 6.5 and 4.7.
"""

from collections.abc import Collection, Iterator, Mapping
from html import unescape
from typing import Final
from urllib.parse import urlsplit

import re2

from leverframe.core.hygiene.markup import attributes_of
from leverframe.core.hygiene.removals import Removed, RemovedKind, removed

# A media type has a slash or a parameter: `data: yes,no` is a sentence.
_DATA_URI: Final = re2.compile(r"(?i)\bdata:(?:[a-z0-9.+-]*[/;][a-z0-9.+;=/-]*)?,[^\s)\"'>\]]*")
_IN_BRACKETS: Final = r"(?:[^\[\]\\]|\\.)"
_TEXT: Final = rf"(?:{_IN_BRACKETS}|\[{_IN_BRACKETS}*\])*"
_ATOM: Final = r"(?:[^\s()<>\\]|\\\S)"
_BARE: Final = rf"(?:{_ATOM}|\((?:{_ATOM}|\((?:{_ATOM}|\({_ATOM}*\))*\))*\))*"
_TITLE: Final = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\((?:[^()\\]|\\.)*\))"""
_INLINE: Final = re2.compile(rf"(?s)(!?)\[({_TEXT})\]\(\s*(<[^<>\n]*>|{_BARE})(\s+{_TITLE})?\s*\)")
# What is left of a link whose words are nested deeper than that: its target goes, whatever stands before it.
_TAIL: Final = re2.compile(rf"\]\(\s*(<[^<>\n]*>|{_BARE})")
_DEFINITION: Final = re2.compile(
    rf"(?m)^((?:[ \t]*(?:>|[-*+]|[0-9]{{1,9}}[.)]))*[ \t]*)\[({_IN_BRACKETS}+)\]:[ \t]*\n?[ \t>]*"
    rf"(<[^<>\n]*>|\S+)(?:(?:[ \t]*\n[ \t]*|[ \t]+){_TITLE})?[ \t]*$\n?"
)
_REFERENCE: Final = re2.compile(rf"!\[({_TEXT})\](?:\[({_IN_BRACKETS}*)\])?")
_ESCAPE: Final = re2.compile(r"\\([!-/:-@\[-`{-~])")
_AUTOLINK: Final = re2.compile(r"<([A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]*)>")
_HTML: Final = re2.compile(r"""(?s)<([A-Za-z][A-Za-z0-9:-]*)((?:[\s/](?:[^<>"']|"[^"]*"|'[^']*')*))>""")
_TARGETS: Final = (
    "href",
    "src",
    "action",
    "xlink:href",
    "poster",
    "background",
    "formaction",
    "ping",
    "data",
    "lowsrc",
    "dynsrc",
)
_SETS: Final = ("srcset", "imagesrcset")
_CSS_URL: Final = re2.compile(r"""(?i)(?:url|image-set|image|src)\(\s*["']?([^"')]*)""")
_REFRESH: Final = re2.compile(r"""(?i)url\s*=\s*["']?([^"']*)""")


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
    # Markdown and HTML read character references in a target, and Markdown takes a backslash off a sign.
    read = unescape(target.strip().strip("<>"))
    return all(_leads_to(form, hosts) for form in {read, _ESCAPE.sub(r"\1", read)})


def _leads_to(target: str, hosts: Collection[str]) -> bool:
    said = "".join(target.split()).replace("\\", "/")
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
    # No host has such a sign; who reads it otherwise than this does is led elsewhere.
    if not all(char.isalnum() or char in ".-_" for char in name):
        return False
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
    # A link around a link is next, once the inner one has gone.
    return "".join([*out, text[at:]]) if out else _strip_tails(text, hosts, found)


def _strip_tails(text: str, hosts: Collection[str], found: list[Removed]) -> str:
    out: list[str] = []
    at = 0
    for match in _TAIL.finditer(text):
        # The whole of it, however deep its parentheses: the sign that moves a host may stand after them.
        rest = text[match.end() : match.end() + 1]
        is_whole = match.group(1).startswith("<") or rest in {"", ")", " ", "\n", "\t"}
        if is_whole and is_listed(match.group(1), hosts):
            continue
        found.append(removed(RemovedKind.LINK_TARGET, match.group(), "]"))
        out += [text[at : match.start()], "]"]
        at = match.end()
    return "".join([*out, text[at:]])


def _strip_definitions(text: str, hosts: Collection[str], found: list[Removed]) -> str:
    if "]:" not in text:
        return text
    out: list[str] = []
    names: set[str] = set()
    at = 0
    for match in _DEFINITION.finditer(text):
        if is_listed(match.group(3), hosts):
            continue
        found.append(removed(RemovedKind.LINK_TARGET, match.group(), match.group(1)))
        names.add(_label(match.group(2)))
        out += [text[at : match.start()], match.group(1)]
        at = match.end()
    return _strip_references("".join([*out, text[at:]]), names, found) if out else text


def _strip_references(text: str, names: Collection[str], found: list[Removed]) -> str:
    """Without its definition an image reference shows its brackets; its words are enough."""
    out: list[str] = []
    at = 0
    for match in _REFERENCE.finditer(text):
        if _label(match.group(2) or match.group(1)) not in names:
            continue
        found.append(removed(RemovedKind.LINK_TARGET, match.group(), match.group(1)))
        out += [text[at : match.start()], match.group(1)]
        at = match.end()
    return "".join([*out, text[at:]])


def _label(written: str) -> str:
    return " ".join(written.split()).casefold()


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
        name, said = match.group(1).lower(), attributes_of(match.group(2))
        if all(is_listed(target, hosts) for target in _targets(name, said)):
            continue
        kept = said.get("alt", "") if name == "img" else ""
        if f'"{kept}"' not in match.group(2) and f"'{kept}'" not in match.group(2):
            kept = ""  # written with character references, which would be others than those that stood there
        kind = RemovedKind.IMAGE if name in {"img", "image"} else RemovedKind.LINK_TARGET
        found.append(removed(kind, match.group(), kept))
        out += [text[at : match.start()], kept]
        at = match.end()
    return "".join([*out, text[at:]])


def _targets(name: str, said: Mapping[str, str]) -> Iterator[str]:
    """Where a tag leads, or what it fetches."""
    yield from (said[key] for key in _TARGETS if key in said)
    for key in _SETS:
        yield from ("".join(one.split()[:1]) for one in said.get(key, "").split(","))
    yield from (match.group(1) for match in _CSS_URL.finditer(said.get("style", "")))
    if name == "meta":
        yield from (match.group(1) for match in _REFRESH.finditer(said.get("content", "")))
