"""What `tools.lock` holds: the definitions that a person has seen, of tools and of the servers behind them.

Knows: the values.  Never: reads, compares or hashes them; that is `config.lock_file` and `core.pins`.
Source: docs/pins.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from leverframe.domain.ids import PrincipalId, Sha256, ToolName
from leverframe.domain.json import JsonObject
from leverframe.domain.tools import EffectClass

QUARANTINED, DRIFTED = "tool-quarantined", "tool-drifted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offering:
    """What a server says of itself: who it is, and all its tools by name, each definition as it was sent."""

    info: JsonObject  # `serverInfo` of the protocol: name and version
    tools: Mapping[str, JsonObject]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """Who looked at something, when, and why it is so."""

    by: PrincipalId
    at: datetime
    because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPin:
    """The upstream behind a server's name: how it is reached, and whom it said that it is."""

    reached_by: JsonObject
    info: JsonObject
    reviewed: Reviewed


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPin:
    """One tool of a server.  `sha256` is over the definition and the upstream (`core.pins.definition_digest`)."""

    server: str
    name: str
    sha256: Sha256
    definition: JsonObject
    reviewed: Reviewed

    @property
    def key(self) -> str:
        """`shop/refund_order`, which no other tool of the lock has."""
        return pin_key(self.server, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectPin:
    """A person said what a tool of the project does to the world."""

    effect: EffectClass
    reviewed: Reviewed


@dataclass(frozen=True, slots=True, kw_only=True)
class LostClass:
    """A test showed that a tool is not of the class that its spec claims; it counts as irreversible."""

    claimed: EffectClass
    reviewed: Reviewed


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsLock:
    """The whole file.  Empty where there is none: every tool of a server is then quarantined."""

    servers: Mapping[str, ServerPin] = field(default_factory=dict)
    tools: Mapping[str, ToolPin] = field(default_factory=dict)  # by `pin_key`
    effects: Mapping[ToolName, EffectPin] = field(default_factory=dict)
    lost: Mapping[ToolName, LostClass] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """Why no call of a tool may be sent.  `slug` names the problem: `tool-quarantined` or `tool-drifted`."""

    slug: str
    message: str
    seen: Sha256 = Sha256("")  # of the live definition, where there is one


def pin_key(server: str, name: str) -> str:
    """How a tool of a server is named in the lock."""
    return f"{server}/{name}"
