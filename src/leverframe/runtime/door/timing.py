"""How long a call may take, and how long one waits for a call that somebody else has in hand."""

import math

from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.ids import ToolName
from leverframe.runtime.context import RunContext

_PATIENCE_S = 30.0  # beyond the tool's own time: facts, commits, a busy machine


def wall_s(windows: tuple[Window, ...]) -> float:
    """What the run's wall clock has left for a call; the door's own reads have no such window."""
    return min((one.left / 1_000_000 for one in windows if one.unit is BudgetUnit.WALL_US), default=math.inf)


def patience_s(ctx: RunContext, tool: str) -> float:
    """How long to wait for someone who has the same step in hand: as long as all its attempts may take."""
    spec = ctx.contract.tools.get(ToolName(tool))
    return _PATIENCE_S + (spec.timeout_s * (1 + spec.retries.max) if spec is not None else 0.0)
