"""What the record says of a run's plan, of what was taken out of its texts, and of values that people endorsed."""

from collections.abc import Iterable, Mapping, Sequence

from leverframe.core.policy.plan_rules import planned_tools
from leverframe.domain.ids import StepPath
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.plans import DECLARE_PLAN
from leverframe.domain.runs import Step, StepKind, StepState
from leverframe.runtime.endorsing import BY_A_PERSON
from leverframe.runtime.plans import place_of
from leverframe.runtime.showing import RunValues
from leverframe.runtime.why_answers import EndorsedSeen, PlanSeen, RemovedSeen

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


def removed_seen(entries: Iterable[JsonObject]) -> tuple[RemovedSeen, ...]:
    """What hygiene took out of the texts of a run, by the entries that say so."""
    found = []
    for entry in entries:
        detail = entry.get("detail")
        removed = detail.get("removed") if isinstance(detail, Mapping) else None
        if not isinstance(removed, list) or not isinstance(detail, Mapping):
            continue
        whole = {"run.started": "input", "run.ended": "output"}
        found.append(
            RemovedSeen(
                of=whole.get(str(entry.get("type")), str(entry.get("tool"))),
                step=StepPath(str(entry.get("step", ""))),
                counts=tuple(str(one) for one in removed),
                is_suspicious=detail.get("suspicious") is True,
            )
        )
    return tuple(found)


def endorsed_seen(entries: Iterable[tuple[int, JsonObject]], values: RunValues) -> tuple[EndorsedSeen, ...]:
    """What people endorsed, by the entries that say so; place and reason as far as they are kept."""
    found = []
    for index, entry in entries:
        detail, sealed = entry.get("detail"), entry.get("_sd")
        if entry.get("type") != "label.endorsed" or not isinstance(detail, Mapping):
            continue
        if detail.get("reason") != BY_A_PERSON:
            continue
        digests = sealed if isinstance(sealed, list) else []
        said = next((fields for one in digests if (fields := values.fields(str(one)))), {})
        found.append(
            EndorsedSeen(
                index=index,
                place=f"{entry.get('step')}{said.get('pointer', '')}",
                before=str(detail.get("before")),
                integrity=str(detail.get("integrity")),
                by=str(entry.get("actor")),
                because=str(said.get("because", "")),
            )
        )
    return tuple(found)


def _word(recorded: Json) -> str:
    planner = recorded.get("planner") if isinstance(recorded, Mapping) else None
    return planner if isinstance(planner, str) else ""
