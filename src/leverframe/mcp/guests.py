"""Who may come in, as the process that mounts the surface knows it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from leverframe.runtime.outcomes import Stopped
from leverframe.runtime.outside import OutsideRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """A request that was authenticated.  `name` is its key's, and a session belongs to one name."""

    name: str
    run: Callable[[], Awaitable[OutsideRun]]  # the run of its calls, opened where there is none
    stopped: Callable[[OutsideRun, Stopped], Awaitable[None]]  # hears of a call that met a limit of its run


class Guests(Protocol):
    """Contract: nothing of a request is looked at before `admit`.

    It raises `AuthRefused`, `ScopeMissing` or `IssuerUnavailable`.
    """

    async def admit(self, headers: Mapping[str, str]) -> Guest:
        """Who asks, by the headers of the request (names in lower case)."""
        ...


ApprovalUrl = Callable[[str], str]
"""The page where a person answers an approval, by its id; empty where there is none."""
