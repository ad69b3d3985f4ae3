"""Budgets as plain values: units, windows, and what a window has left.

Knows: the shape of a window.  Never: reads a clock, rounds money, or touches storage.  The moves are in `core.budgets`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from leverframe.domain.ids import BudgetId, TeamName, TenantId, WindowId, WorkflowName
from leverframe.domain.policy import SourceRef
from leverframe.domain.words import Word


class BudgetUnit(Word):
    """What is counted.  The value is the name in SQL, JSON and messages."""

    USD = "usd"  # micro-dollars
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    MODEL_CALLS = "model_calls"
    TOOL_CALLS = "tool_calls"
    STEPS = "steps"
    WALL_US = "wall_us"  # microseconds; approvals stop this clock
    IN_FLIGHT = "in_flight"  # calls at work now: reserved while one is, and never spent


# What one run has windows of; how many of its calls are at work at once is for its project to bound.
RUN_UNITS = tuple(unit for unit in BudgetUnit if unit is not BudgetUnit.IN_FLIGHT)


class BudgetPeriod(Word):
    """How long a window of a shared budget lasts.  Minutes and hours are those of UTC, the rest the tenant's."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"  # never resets
    NOW = "now"  # of no length: what is at work at this moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One unit of one budget.

    Invariant, kept by the store's guarded update and `tests/property/test_budgets.py`:
    `settled + reserved <= limit` at every instant, unless a vendor billed above its declared maximum.
    """

    window_id: WindowId
    unit: BudgetUnit
    limit: int
    settled: int = 0
    reserved: int = 0
    source: SourceRef = SourceRef(file="(default)")
    key: str = ""  # the key it was written under, e.g. "max_tool_calls"
    budget: BudgetId = BudgetId("")  # the shared budget that it is a window of; empty: the run's own
    resets_at: datetime | None = None  # the end of a shared window's period; None: never

    @property
    def left(self) -> int:
        """What a new reservation may take; negative after an overrun."""
        return self.limit - self.settled - self.reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLimits:
    """The limits of `budget:`; None is no limit of that unit, except where the contract gives a default."""

    limits: Mapping[BudgetUnit, int] = field(default_factory=dict)
    sources: Mapping[BudgetUnit, SourceRef] = field(default_factory=dict)
    max_total_s: int | None = None
    per_step_output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedBudget:
    """One item of `budgets:`, with the limits of one window over all runs of its scope.

    `tenant` None: each tenant by itself, since tenants never share a count (invariant I8).  `workflow`, `team`, `key`
    and `model` None: all of a tenant's together.  One of the five is given.  `key` is a key's name, so that the
    successor of a rotated one counts with it; `model` is `PROVIDER/MODEL` or a whole `PROVIDER`.
    """

    period: BudgetPeriod
    source: SourceRef
    tenant: TenantId | None = None
    workflow: WorkflowName | None = None
    team: TeamName | None = None
    key: str | None = None
    model: str | None = None
    limits: Mapping[BudgetUnit, int] = field(default_factory=dict)
    sources: Mapping[BudgetUnit, SourceRef] = field(default_factory=dict)
