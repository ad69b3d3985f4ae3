"""Addresses of HTTP services, parsed strictly.

Never: takes a URL that two parsers could read in two ways: no user part, no fragment, no blank, no backslash.
Source: RFC 3986; RFC 9110, section 4.2.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import urlsplit

from leverframe.domain.errors import ProviderUnavailable

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_CHARS = 2048
# A name or a v4 address, or a v6 address without a zone, and a port: no escape, no user, nothing behind a bracket.
_AUTHORITY: Final = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9._])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """`scheme://host:port/path`; the path begins with `/` and holds the query."""

    scheme: str
    host: str  # lower case, without the brackets of a v6 address
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def below(self, path: str) -> "Url":
        """The same service, `path` appended."""
        return Url(scheme=self.scheme, host=self.host, port=self.port, path=self.path.rstrip("/") + path)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_url(text: str) -> Url:
    """Parse an absolute http or https URL.

    Raises:
        ProviderUnavailable: it is not one.
    """
    reason = _odd(text)
    try:
        parts = urlsplit(text)
        port = parts.port
        host = parts.hostname or ""
        ascii_host = host if ":" in host else host.encode("idna").decode()
        if ":" in host:
            IPv6Address(host)
    except ValueError as err:
        raise _refused(text, str(err)) from err
    if reason or parts.scheme not in _DEFAULT_PORTS or not ascii_host or port == 0:
        raise _refused(text, reason or "expected https://host/path")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _refused(text, "it has a user part or a fragment")
    if _AUTHORITY.fullmatch(parts.netloc) is None:
        raise _refused(text, "its host is neither a name nor an address")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(scheme=parts.scheme, host=ascii_host, port=port or _DEFAULT_PORTS[parts.scheme], path=path)


def _odd(text: str) -> str:
    if len(text) > _MAX_CHARS:
        return f"it has more than {_MAX_CHARS} characters"
    if not text.isascii() or any(char in ' \\"<>^`{|}' or not char.isprintable() for char in text):
        return "it has a blank, a backslash, a quote or another character that no URL has"
    return ""


def _refused(text: str, reason: str) -> ProviderUnavailable:
    # A user part may hold a password.
    shown = text[:100] if "@" not in text else text.partition("://")[0] + "://..."
    return ProviderUnavailable(f"{shown!r} is not a URL that can be called: {reason}.", next_move="Mend `url`.")
