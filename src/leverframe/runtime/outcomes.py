"""What a call came to, as the loop or the surface that asked for it sees it."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from leverframe.domain.calls import ToolUse
from leverframe.domain.errors import BudgetExhausted
from leverframe.domain.ids import ApprovalId, BudgetId, StepPath
from leverframe.domain.json import Json
from leverframe.domain.policy import Deny, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The call ran, now or in an earlier life of this run (`is_repeat`)."""

    path: StepPath
    value: Json
    is_repeat: bool = False
    shown: Json = None  # the same as an agent may see it: cleaned, and quoted or hidden where the contract says so


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Policy, contract or a person said no.  The run may go on with something else."""

    path: StepPath
    reasons: tuple[Reason, ...]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """A person must answer first."""

    path: StepPath
    approval_id: ApprovalId
    reasons: tuple[Reason, ...]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The receiver said no, or its answer could not be used; proven or declared to have had no effect."""

    path: StepPath
    error: str  # a slug: tool-refused | tool-unavailable | tool-drifted | output-invalid
    message: str
    words: str = ""  # what of the message the receiver wrote


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Nobody can tell whether it happened; a person resolves it."""

    path: StepPath
    message: str
    words: str = ""  # what of the message the receiver wrote


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A limit of the run is used up: the run ends by its fallback.  `limit` reads `max_tool_calls 20`."""

    path: StepPath
    limit: str
    message: str


class Exhausted(msgspec.Struct, frozen=True, kw_only=True):
    """A budget that spans runs has no room for the call, which was not done: the problem `budget-exhausted`.

    A loop of ours ends by its fallback; an outside agent may ask again after `resets_at` (None: it never resets).
    """

    path: StepPath
    budget: BudgetId
    resets_at: datetime | None
    message: str
    unit: str = ""  # a `BudgetUnit` value: what of it has no room
    limit: int = 0  # micro-dollars for `usd`, else a count
    left: int = 0
    fits_ever: bool = True  # asked again, it may find room

    @property
    def reason(self) -> str:
        """Why a run that cannot go on ended: `budget-exhausted tenant/acme/month`."""
        return f"{BudgetExhausted.slug} {self.budget}"


ToolOutcome = Answered | Refused | HeldBack | Failed | Lost | Stopped | Exhausted


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSaid:
    """A model's answer."""

    path: StepPath
    text: str
    tool_uses: tuple[ToolUse, ...]
    finish_reason: str
    is_recorded: bool


ModelOutcome = ModelSaid | Failed | Stopped | Exhausted | Refused


def deny_message(decision: Deny) -> str:
    """What the agent is told of a refusal: the rules and why, never another customer's data."""
    return "; ".join(f"{reason.rule}: {reason.text}" for reason in decision.reasons)
