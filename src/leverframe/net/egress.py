"""The one guard on what may be connected to: which host, over which scheme, and which address it really is.

Knows: that a name is resolved once, every address it has is judged, and one of those very addresses is connected to.
Never: lets a name be resolved a second time, which is how rebinding works, or asks a proxy variable.
Sources: `net.addresses` for the ranges.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence

from leverframe.net.addresses import is_private, refusal
from leverframe.net.exchange import HttpRequest
from leverframe.net.url import Url

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]


class EgressRefused(Exception):
    """The guard does not admit a host or an address; nothing was connected to."""


class EgressGuard:
    """Judges every connection of a client, and knows the TLS that it is made with."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, resolver: Resolver | None = None) -> None:
        self._tls = tls
        self._resolve = resolver or resolved

    def check_host(self, request: HttpRequest) -> None:
        """Judge the host by its name, also where a connection to it is open.

        Raises:
            EgressRefused: the caller's own list does not admit it.
        """
        if request.may_reach is not None and not request.may_reach(request.url):
            raise EgressRefused(f"{request.url.authority!r} is not on the list of hosts that this caller may reach")

    async def addresses(self, request: HttpRequest) -> Sequence[str]:
        """The addresses to connect to, in the resolver's order, each admitted.

        Raises:
            EgressRefused: one of them is not admitted, or the scheme is not.
            OSError: the name does not resolve.
        """
        self.check_host(request)
        url = request.url
        addresses = await self._resolve(url.host, url.port)
        if not addresses:
            raise OSError("the name has no address")
        for address in addresses:
            reason = refusal(address, is_private_allowed=request.is_private_allowed)
            if not reason and url.scheme == "http" and not is_private(address):
                reason = "a public address, to which only https is spoken"
            # One bad address spoils the name: a public one beside it is how a guard is talked round.
            if reason:
                raise EgressRefused(f"{url.host!r} is {address}, {reason}")
        return addresses

    def tls(self, url: Url) -> ssl.SSLContext | None:
        """What TLS is made with; None where none is."""
        if url.scheme == "http":
            return None
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


async def resolved(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as the system's resolver orders them.  Raises OSError where it has none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def refused_words(err: EgressRefused, request: HttpRequest) -> str:
    """The refusal as a sentence, with the next move where the project file can admit more."""
    hint = "" if request.is_private_allowed else "  A private host needs `private: allowed` in leverframe.yaml."
    return f"Not connected: {err}.{hint}"


def reason_of(err: OSError) -> str:
    """What the system says of an error, for a sentence."""
    return err.strerror or str(err) or type(err).__name__
