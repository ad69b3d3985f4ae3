"""What the record says of a run's plan: what stands, what its planner had seen, and who let it grow."""

from collections.abc import Mapping, Sequence

from leverframe.core.policy.plan_rules import planned_tools
from leverframe.domain.json import Json
from leverframe.domain.plans import DECLARE_PLAN
from leverframe.domain.runs import Step, StepKind, StepState
from leverframe.runtime.plans import place_of
from leverframe.runtime.showing import RunValues
from leverframe.runtime.why_answers import PlanSeen

_MADE = frozenset({StepState.STARTED, StepState.INTENDED, StepState.OK, StepState.UNKNOWN})


def plan_seen(steps: Sequence[Step], values: RunValues) -> PlanSeen | None:
    """The plan that stands at the end of what was recorded; None where none was let through."""
    calls = [step for step in steps if step.kind is StepKind.TOOL]
    declared = [step for step in calls if step.name == DECLARE_PLAN and step.state is StepState.OK]
    if not declared:
        return None
    last = max(declared, key=lambda step: place_of(step, values.fields(step.args_ref)))
    planner = values.fields(last.args_ref).get("plan")
    tools = planned_tools(values.fields(last.result_ref))
    made = [step.name for step in calls if step.state in _MADE]
    return PlanSeen(
        tools={tool: (made.count(tool), most) for tool, most in tools.items()},
        outside={name: made.count(name) for name in made if name != DECLARE_PLAN and name not in tools},
        planner=_word(planner),
        step=last.path,
        declared=len(declared),
        granted=tuple(step.approval_id for step in declared if step.approval_id),
    )


def _word(recorded: Json) -> str:
    planner = recorded.get("planner") if isinstance(recorded, Mapping) else None
    return planner if isinstance(planner, str) else ""
