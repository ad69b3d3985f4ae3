"""The plan of a run, as its journal has it.

Knows: which declaration stands, and what whoever declares one now has seen.  Never: keeps a plan beside the journal: a
run that is taken up after a crash, or in another worker, has the plan that was recorded.
"""

from collections.abc import Mapping
from datetime import datetime

from leverframe.core.policy import HistoryAnswers
from leverframe.core.policy.plan_rules import calls_of, planned_tools
from leverframe.domain.context_rules import Untrusted
from leverframe.domain.ids import ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import Integrity
from leverframe.domain.plans import DECLARE_PLAN, PlanState
from leverframe.domain.runs import Step, StepKind, StepState
from leverframe.runtime.context import RunContext


def standing_plan(ctx: RunContext) -> Step | None:
    """The declaration that stands: the last one that policy, or a person, let through."""
    declared = [one for one in ctx.steps.values() if _is_declaration(one) and one.state is StepState.OK]
    return max(declared, key=lambda step: place_of(step, ctx.payload(step.args_ref)), default=None)


def place_of(step: Step, recorded: Json) -> tuple[int, datetime]:
    """Where a declaration stands among those of its run: after as many as its decision counted, clocks or no clocks."""
    plan = recorded.get("plan") if isinstance(recorded, Mapping) else None
    before = plan.get("declared") if isinstance(plan, Mapping) else None
    return (before if isinstance(before, int) else 0), step.started_at


def plan_of(ctx: RunContext, step: Step) -> Mapping[ToolName, int]:
    """What a recorded declaration says."""
    value = ctx.payload(step.result_ref)
    found: JsonObject = value if isinstance(value, dict) else {}
    return planned_tools(found)


def plan_state(ctx: RunContext, history: HistoryAnswers, planner: Integrity | None) -> PlanState | None:
    """Where the plan stands for one decision; None where the run's release asks for none.

    Args:
        ctx: the run, whose steps are at least as new as `history`.
        history: the answers to `plan_queries`.
        planner: the integrity of whoever declares, where that is not the run's agent.
    """
    if ctx.policy.plan is None:
        return None
    step, declared = standing_plan(ctx), history.get(calls_of(DECLARE_PLAN))
    return PlanState(
        tools=None if step is None else plan_of(ctx, step),
        planner=seen_by_planner(ctx) if planner is None else planner,
        declared=declared if isinstance(declared, int) else 0,
    )


def seen_by_planner(ctx: RunContext) -> Integrity:
    """The lowest integrity of what the run's agent has seen; of a run that nobody opened for it nothing is known."""
    seen = ctx.values.union.integrity
    if ctx.contract.context.untrusted is Untrusted.HIDE:
        # Untrusted answers are shown to it as handles; an outside agent may have its input from elsewhere.
        seen = max(seen, Integrity.TENANT_RECORD)
        seen = min(seen, ctx.input_integrity) if ctx.is_outside else seen
    return min(ctx.opener, seen)


def _is_declaration(step: Step) -> bool:
    return step.kind is StepKind.TOOL and step.name == DECLARE_PLAN
