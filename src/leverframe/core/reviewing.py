"""Every tool of every server beside its pin, as a person reviews them.

Knows: which tools a server offers now, which of them were reviewed, what looks wrong.  Never: asks a server; offers are
handed in, and without one only the lock speaks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from leverframe.core.pins import closed, known_closed, reached_by
from leverframe.core.suspicions import Suspicion, look_alikes, suspicions
from leverframe.domain.contracts import McpServer
from leverframe.domain.ids import ToolName
from leverframe.domain.json import JsonObject
from leverframe.domain.pins import Closed, Offering, ToolPin, ToolsLock, pin_key
from leverframe.domain.tools import McpOrigin, McpPart, ToolSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One tool of one server.  `live` is None where it is not offered, or its server was not asked."""

    origin: McpOrigin
    names: tuple[ToolName, ...]  # the project's tools that are this one
    closed: Closed | None
    pin: ToolPin | None
    live: JsonObject | None
    suspicions: tuple[Suspicion, ...] = ()

    @property
    def key(self) -> str:
        """`shop/refund_order`."""
        return pin_key(self.origin.server, self.origin.name)


def survey(
    tools: Iterable[ToolSpec], lock: ToolsLock, servers: Mapping[str, McpServer], offers: Mapping[str, Offering]
) -> tuple[Standing, ...]:
    """All tools that are offered, pinned or named by the project, by server and name."""
    named: dict[McpOrigin, list[ToolName]] = {}
    for spec in tools:
        if isinstance(spec.origin, McpOrigin) and spec.origin.part is McpPart.TOOL:
            named.setdefault(spec.origin, []).append(spec.name)
    origins = set(named)
    origins |= {McpOrigin(server=pin.server, name=pin.name) for pin in lock.tools.values() if pin.server in servers}
    origins |= {McpOrigin(server=server, name=name) for server, offer in offers.items() for name in offer.tools}
    alike = look_alikes({server: tuple(offer.tools) for server, offer in offers.items()})
    found = []
    for origin in sorted(origins, key=lambda one: (one.server, one.name)):
        offer, server = offers.get(origin.server), servers.get(origin.server)
        reached = None if server is None else reached_by(server)
        if offer is None or reached is None:
            why = known_closed(lock, origin, reached)
        else:
            why = closed(lock, origin, reached, offer)
        live = None if offer is None else offer.tools.get(origin.name)
        found.append(
            Standing(
                origin=origin,
                names=tuple(sorted(named.get(origin, ()))),
                closed=why,
                pin=lock.tools.get(pin_key(origin.server, origin.name)),
                live=live,
                suspicions=_suspicions(origin, live, offers, alike.get((origin.server, origin.name))),
            )
        )
    return tuple(found)


def _suspicions(
    origin: McpOrigin, live: JsonObject | None, offers: Mapping[str, Offering], alike: Suspicion | None
) -> tuple[Suspicion, ...]:
    if live is None:
        return ()
    # A name that the server has itself is its own to speak of.
    own = offers[origin.server].tools
    others = {
        server: [name for name in offer.tools if name not in own]
        for server, offer in offers.items()
        if server != origin.server
    }
    return (*suspicions(live, others), *((alike,) if alike is not None else ()))
