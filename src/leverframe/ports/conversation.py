"""The agent's side of a call, for what a tool server says and asks while the call is under way.

Knows: which conversation the running call belongs to.  It travels in a context variable, since the door between the
surface and the adapter decides about calls and has no business with their chatter.
"""

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Protocol

from leverframe.domain.json import JsonObject


class Conversation(Protocol):
    """Contract: what is told may get lost and never fails the call; what is asked goes through the door.

    `ask` and `put` raise `Unanswerable` where the contract, the agent's client or the time says no.
    """

    async def tell(self, method: str, params: JsonObject) -> None:
        """Pass on a notification of the server: `notifications/progress` or `notifications/message`."""
        ...

    async def ask(self, server: str, method: str, params: JsonObject) -> JsonObject:
        """Have a server's own request decided and put: `elicitation/create`, `sampling/createMessage`, ..."""
        ...

    async def let_go(self) -> None:
        """The server let the stream of its answer go for a while; the client's may go too, and come back for it."""
        ...

    async def put(self, method: str, params: JsonObject) -> JsonObject:
        """Put a decided request to the agent's client.  For the executor of such requests alone."""
        ...


class Unanswerable(Exception):
    """A server asked what it may not ask, or what nobody answers."""

    def __init__(self, message: str, *, code: int = -32601) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class InputNeeded:
    """A server of the 2026-07-28 protocol answered with questions; the call ends and is asked again with answers."""

    requests: JsonObject
    state: str


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One call's conversation.

    `can_answer` is what the agent's client says that it can be asked; None: not known;
    `has_way_back` whether it can be asked while the call is under way; `log_level` the log lines that it wants of a
    2026-07-28 server.  `answers` and `state` are what
    it brought to the questions of an earlier round; `needed` is what the server asks now, for the surface to pass on;
    `refused` is the protocol's code where the server took the request for a wrong one, and `lacks` what it says that
    the client must be able to be asked (-32021).
    """

    conversation: Conversation | None = None
    answers: JsonObject = field(default_factory=dict)
    state: str = ""
    can_answer: frozenset[str] | None = None
    has_way_back: bool = False
    log_level: str = ""
    needed: InputNeeded | None = None
    refused: int = 0
    lacks: frozenset[str] = frozenset()


exchange: Final[ContextVar[Exchange | None]] = ContextVar("leverframe_exchange", default=None)
"""The exchange of the call that this task is doing; None outside of one, and for the door's own reads."""
