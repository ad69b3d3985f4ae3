"""One HTTP exchange as values: what is asked, within what limits, and how it ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from leverframe.net.url import Url

MAX_BODY_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """What is asked.  Host, Content-Length and Connection are added by the client.

    `repr` shows no header and no body: they hold keys and people's words.  `may_reach` is the caller's own list of
    hosts, asked before every request; None admits every host that the guard admits.
    """

    method: str
    url: Url
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    is_private_allowed: bool = False
    may_reach: Callable[[Url], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long and how much.  Each time is from its own start but `total_s`, which holds them all."""

    total_s: float
    connect_s: float = 10.0  # name, connection and TLS
    first_byte_s: float = 600.0  # from the request written to the first byte of the answer
    idle_s: float = 300.0  # streams: the longest silence within an answer
    max_body_bytes: int = MAX_BODY_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """A whole answer; header names in lower case, equal ones joined by a comma."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLost:
    """No whole answer.  `has_left` False is a promise that no byte of the request was written."""

    kind: str  # refused (by our own guard) | connect | timeout | garbage
    message: str
    has_left: bool


class StreamBroken(Exception):
    """An answer that had begun has no proper end.  `kind` is connect, timeout, garbage or too-large."""

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
