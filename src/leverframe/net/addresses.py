"""Which addresses may be connected to.

Knows: the ranges through which a request reaches what only this machine or its network should (SSRF).
Never: resolves a name; what is judged here is the address that is then connected to, so that a name cannot change its
mind in between.  Sources: IANA special-purpose address registries; RFC 6052, 8215 and 7915 (NAT64); the metadata
addresses that cloud vendors document.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

_METADATA: Final = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # most vendors; link-local as well
        "169.254.170.2",  # container credentials
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
)
# What holds a v4 address in its last 32 bits: mapped, translated, compatible, and the well-known NAT64 prefix.
_V4_INSIDE: Final = tuple(ip_network(text) for text in ("::ffff:0:0/96", "::ffff:0:0:0/96", "::/96", "64:ff9b::/96"))
# What holds a v4 address elsewhere, and serves nobody that we could mean: local NAT64, 6to4 and Teredo.
_TUNNELS: Final = tuple(ip_network(text) for text in ("64:ff9b:1::/48", "2002::/16", "2001::/32"))
# This network, reserved with broadcast, the relays of 6to4, documentation, segment routing.
_NOBODYS: Final = tuple(
    ip_network(text) for text in ("0.0.0.0/8", "240.0.0.0/4", "192.88.99.0/24", "3fff::/20", "5f00::/16")
)
# Shared (CGNAT), and what the IETF's own protocols were assigned, most of which some versions of Python think global:
# whoever answers there is a box of this network.
_LOCAL: Final = (ip_network("100.64.0.0/10"), ip_network("192.0.0.0/24"))


def refusal(text: str, *, is_private_allowed: bool) -> str:
    """Why this address may not be connected to; empty where it may.

    Link-local, metadata, multicast and unspecified addresses are refused whatever the project says.
    """
    address = _innermost(ip_address(text.partition("%")[0]))
    if isinstance(address, IPv6Address) and any(address in tunnel for tunnel in _TUNNELS):
        return "an address that stands for another one"
    if address in _METADATA:
        return "a cloud metadata address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast or address.is_unspecified or _is_reserved(address):
        return "an address that no server has"
    if not is_private(text) or is_private_allowed:
        return ""
    return "a loopback address" if address.is_loopback else "a private address"


def is_private(text: str) -> bool:
    """Whether only this machine or its network can reach it: loopback, private, shared (CGNAT), or not global.

    So is a v6 address of a block that nobody was given: if a packet to it arrives anywhere, it is within the network.
    """
    address = _innermost(ip_address(text.partition("%")[0]))
    if not address.is_global or address.is_reserved:
        return True
    return any(address in network for network in _LOCAL) or (isinstance(address, IPv6Address) and address.is_site_local)


def _innermost(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The v4 address that a v6 address stands for, where it does."""
    if not isinstance(address, IPv6Address) or address.is_loopback or address.is_unspecified:
        return address
    is_inside = any(address in network for network in _V4_INSIDE)
    return IPv4Address(int(address) & 0xFFFF_FFFF) if is_inside else address


def _is_reserved(address: IPv4Address | IPv6Address) -> bool:
    # 0.0.0.0/8 is this host on some systems, and 240.0.0.0/4 holds broadcast.
    return any(address in network for network in _NOBODYS)
