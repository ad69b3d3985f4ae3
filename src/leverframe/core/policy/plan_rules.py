"""The rules of plans: declared before untrusted text is read, only ever smaller, wider by a person's word alone.

Knows: what a plan says of a call, and what a new plan adds to the one that stands.  Never: judges whether a plan is
sensible: its label is what its planner had seen, and policy decides on that.
Source: docs/labels.md, "Plans".  Property: `tests/property/test_plans.py`.
"""

from collections.abc import Mapping
from typing import Final

from leverframe.core.policy.question import Question
from leverframe.domain.conditions import HistoryQuery
from leverframe.domain.ids import RuleId, ToolName
from leverframe.domain.json import Json
from leverframe.domain.labels import Integrity
from leverframe.domain.plans import DECLARE_PLAN, PlanState
from leverframe.domain.policy import Reason, SourceRef, Then

PLAN_MISSING: Final = RuleId("plan-missing")
PLAN_MOVED: Final = RuleId("plan-moved")
OUTSIDE_PLAN: Final = RuleId("outside-plan")
PLAN_WIDENS: Final = RuleId("plan-widens")
PLAN_AFTER_UNTRUSTED: Final = RuleId("plan-after-untrusted")
PLAN_RULES: Final = frozenset((PLAN_MISSING, PLAN_MOVED, OUTSIDE_PLAN, PLAN_WIDENS, PLAN_AFTER_UNTRUSTED))

# Longer than any run: what is counted are the calls of this run alone.
_WHOLE_RUN_S: Final = 10 * 366 * 86_400
_MOST_NAMED: Final = 20


def calls_of(tool: ToolName) -> HistoryQuery:
    """How often a tool was called in this run, calls in flight included."""
    return HistoryQuery(kind="count", tool=tool, window_s=_WHOLE_RUN_S, scope="run")


def plan_queries(tool: ToolName) -> tuple[HistoryQuery, ...]:
    """The history that a plan needs for a call."""
    declared = calls_of(DECLARE_PLAN)
    return (declared,) if tool == DECLARE_PLAN else (declared, calls_of(tool))


def planned_tools(args: Mapping[str, Json]) -> dict[ToolName, int]:
    """The plan that the arguments of a declaration spell; what is no count is left out, as the schema has none."""
    tools = args.get("tools")
    found = tools if isinstance(tools, Mapping) else {}
    return {
        ToolName(name): count
        for name, count in found.items()
        if isinstance(count, int) and not isinstance(count, bool) and count > 0
    }


def plan_reason(question: Question, source: SourceRef) -> Reason | None:
    """What the plan has against a call: a denial before there is one, a hold where the call would widen it."""
    plan = question.plan
    if plan is None:
        return _reason(PLAN_MISSING, Then.DENY, source, "it was not looked up whether this run has a plan")
    if question.history.get(calls_of(DECLARE_PLAN)) != plan.declared:
        return _reason(PLAN_MOVED, Then.DENY, source, "another plan was declared in this moment; ask again")
    if question.tool == DECLARE_PLAN:
        return _declared(plan, planned_tools(question.args), source)
    if plan.tools is None:
        text = f"this run has no plan yet: call {DECLARE_PLAN} first, with the tools it needs and how often at most"
        return _reason(PLAN_MISSING, Then.DENY, source, text)
    most = plan.tools.get(question.tool, 0)
    used = question.history.get(calls_of(question.tool))
    if isinstance(used, int) and used < most:
        return None
    known = f"{used} made" if isinstance(used, int) else "an unknown number made"
    text = f"the plan has {_times(most)} of {question.tool}, {known}; this call adds one"
    return _reason(OUTSIDE_PLAN, Then.HOLD, source, text, is_unknown=not isinstance(used, int))


def _declared(plan: PlanState, new: Mapping[ToolName, int], source: SourceRef) -> Reason | None:
    if plan.tools is None:
        if plan.planner > Integrity.THIRD_PARTY:
            return None
        text = f"untrusted text was seen before the plan was declared; it has {_sizes(new)}"
        return _reason(PLAN_AFTER_UNTRUSTED, Then.HOLD, source, text)
    added = {tool: count for tool, count in new.items() if count > plan.tools.get(tool, 0)}
    if not added:
        return None
    steps = [f"{tool} {plan.tools.get(tool, 0)} -> {count}" for tool, count in sorted(added.items())]
    rest = f" and {len(steps) - _MOST_NAMED} more" if len(steps) > _MOST_NAMED else ""
    return _reason(PLAN_WIDENS, Then.HOLD, source, f"it adds to the plan: {', '.join(steps[:_MOST_NAMED])}{rest}")


def _sizes(plan: Mapping[ToolName, int]) -> str:
    named = [f"{tool} {count}" for tool, count in sorted(plan.items())]
    rest = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return f"{', '.join(named[:_MOST_NAMED])}{rest}" if named else "no tool"


def _times(count: int) -> str:
    return f"{count} call{'' if count == 1 else 's'}"


def _reason(rule: RuleId, then: Then, source: SourceRef, text: str, *, is_unknown: bool = False) -> Reason:
    return Reason(rule=rule, then=then, source=source, text=text, is_unknown=is_unknown)
