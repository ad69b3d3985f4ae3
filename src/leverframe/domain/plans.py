"""A run's plan: the tools that it may call and how often, fixed before anything untrusted was read.

Knows: the plan as a value, and the name of the tool that declares one.  Never: decides; `core.policy.plan_rules` does.
Source: docs/labels.md, "Plans".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from leverframe.domain.ids import ToolName
from leverframe.domain.labels import Integrity

DECLARE_PLAN: Final = ToolName("declare_plan")
MOST_CALLS: Final = 1_000  # of one tool in a plan


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanState:
    """Where the plan of a run stands when a call is decided.

    `tools`: how often each may be called in the whole run; a tool that is not named may not; None: none was declared.
    `planner`: the lowest integrity of all that whoever declares a plan now has seen.
    `declared`: how many declarations the journal has, so that one in between is noticed.
    """

    tools: Mapping[ToolName, int] | None
    planner: Integrity
    declared: int
