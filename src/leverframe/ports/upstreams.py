"""What the tool servers of a project offer, and how they are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from leverframe.domain.ids import TenantId
from leverframe.domain.json import JsonObject


class Listing(StrEnum):
    """The lists that a server keeps."""

    TOOLS = "tools"
    RESOURCES = "resources"
    TEMPLATES = "resourceTemplates"
    PROMPTS = "prompts"


class UpstreamState(StrEnum):
    """How a server is."""

    IDLE = "idle"  # not asked for yet
    STARTING = "starting"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamStatus:
    """One server by name: `reason` says why it is down, `failures` how often it ended since it last worked."""

    server: str
    state: UpstreamState
    reason: str = ""
    failures: int = 0
    protocol: str = ""  # the version that was agreed on


class Upstreams(Protocol):
    """Contract: a server that fails is in `statuses` with its reason, and never silently missing.

    `listed` starts the server where it must, answers from the cached list, and raises `ToolUnavailable` with the
    server's name where there is none.
    """

    def statuses(self) -> Mapping[str, UpstreamStatus]:
        """Every server of the project."""
        ...

    async def listed(self, server: str, listing: Listing, tenant: TenantId) -> Sequence[JsonObject]:
        """One list of a server, whole, as it is for this tenant: another's may have other entries."""
        ...

    async def follow(self, server: str, uri: str, tenant: TenantId, updated: "Updated") -> Callable[[], None]:
        """Be told whenever a resource may have changed, also across restarts, until what is given back is called.

        Raises `ToolUnavailable` where its server does not tell of that.
        """
        ...

    def watch(self, changed: "ListChanged") -> None:
        """Be told whenever a list or the state of a server changes."""
        ...


Updated = Callable[[], None]
"""Called in the event loop where a watched resource may have changed; must not block."""


class ListChanged(Protocol):
    """Called in the event loop; must not block."""

    def __call__(self, server: str, listing: Listing | None) -> None:
        """`listing` None: the server's state changed."""
        ...
