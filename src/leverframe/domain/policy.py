"""Rules and decisions: the vocabulary of the pure core.

Knows: the rule IR that every policy source compiles to, and the three answers.  Never: evaluates anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import msgspec

from leverframe.domain.conditions import Expr, HistoryQuery
from leverframe.domain.ids import ApprovalId, BudgetId, PrincipalId, RuleId, ToolName, WindowId
from leverframe.domain.labels import Label
from leverframe.domain.words import Word


class Then(Word):
    """What a rule says; deny beats hold beats allow beats the default, which is deny."""

    DENY = "deny"
    HOLD = "hold"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRef:
    """Where a rule was written; `line` starts at 1, and 0 means that it is built in."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequirement:
    """Who may answer a hold, and within which clocks.

    `from_groups` empty: anyone of the tenant with the role approver.  The initiator never may.  An entry is a group,
    or several joined by `+` where two requirements met: the person must be in each of them.
    """

    from_groups: tuple[str, ...] = ()
    quorum: int = 1
    distinct_from: frozenset[str] = frozenset({"initiator"})  # initiator | launcher
    decide_within_s: int = 86_400
    execute_within_s: int = 3_600
    source: SourceRef


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoredLine:
    """A line that a person wrote and that changes nothing; `explain` prints it with the rule it stands in."""

    source: SourceRef
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One sentence of policy.  `when` absent: always.  `tools` empty: every tool (effects then select).

    `threshold` is set on rules made from `threshold_usd`: the amount in dollars at or above which they match;
    an absent or unknown amount, or another currency, matches too.

    `only_narrows`: an overlay added it, and so it eases nothing: its grant stands in for no allow rule, which would
    hold what the contract denies, and it bounds no amount that the contract holds for want of a bound.
    """

    id: RuleId
    then: Then
    tools: frozenset[ToolName]
    source: SourceRef
    effects: frozenset[str] = frozenset()
    when: Expr | None = None
    threshold_usd: Decimal | None = None
    approval: ApprovalRequirement | None = None
    reason: str = ""
    ignored: IgnoredLine | None = None
    only_narrows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One rule that took part in a decision, with where it stands and what it saw."""

    rule: RuleId
    then: Then
    source: SourceRef
    text: str
    is_unknown: bool = False  # matched because a value it needs could not be known


class Reserve(msgspec.Struct, frozen=True, kw_only=True):
    """One window's part of a call's reservation; all of a call are taken or none."""

    window_id: WindowId
    unit: str  # a `BudgetUnit` value
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryGuard:
    """The history a decision rested on, to be read again in its transaction.

    `seen` is what the door read; the store compares by asking `core.policy.history_still_allows` with new values.
    """

    queries: tuple[HistoryQuery, ...]


class Allow(msgspec.Struct, frozen=True, kw_only=True):
    """The call may run, under these reservations and as long as the guards hold."""

    reasons: tuple[Reason, ...]
    reserves: tuple[Reserve, ...] = ()
    consumes: ApprovalId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A person must answer first.  `requirement` joins those of all matching rules, the strictest of each key.

    `reserves` are the counts of the call alone: a held call keeps its count, and its re-entry reserves the money.
    """

    reasons: tuple[Reason, ...]
    requirement: ApprovalRequirement
    reserves: tuple[Reserve, ...] = ()


class Deny(msgspec.Struct, frozen=True, kw_only=True):
    """The call never runs.

    `stops_run`: a budget of the run is used up, and the run ends by its fallback.  `exhausted`: only budgets that span
    runs are; the run may go on without the call, or ask again after `resets_at` (None: they never reset, or what
    is full is `in_flight` and has room when a call ends).  `unit`, `limit` and `left` are of the window of `exhausted`;
    `fits_ever`: the call needs no more than that limit.
    """

    reasons: tuple[Reason, ...]
    stops_run: str = ""  # the limit that is used up, e.g. "max_tool_calls 20"
    exhausted: BudgetId = BudgetId("")  # the budget that is without room for longest
    resets_at: datetime | None = None
    unit: str = ""  # a `BudgetUnit` value: what of `exhausted` has no room
    limit: int = 0
    left: int = 0
    fits_ever: bool = True


Decision = Allow | Hold | Deny


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A fact that the door read, with its label."""

    value: object
    label: Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A fact that could not be read, and why; every condition on it is unknown."""

    why: str


Fact = Known | Unreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What conditions read as `run.*`; `values` has it under the names that they use, laid out once for a run."""

    run_id: str
    tenant: str
    environment: str
    workflow: str
    initiator: PrincipalId
    subject: str | None
    input: Mapping[str, object] = field(default_factory=dict)
    values: Mapping[str, object] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Lay out `values`."""
        values = {
            "id": self.run_id,
            "tenant": self.tenant,
            "environment": self.environment,
            "workflow": self.workflow,
            "initiator": self.initiator,
            "subject": self.subject,
            "input": self.input,
        }
        object.__setattr__(self, "values", values)
