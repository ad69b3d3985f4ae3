"""What a policy says, as sentences that each become one policy of Cedar.

Knows: which tools a rule is about, and that a threshold is a condition on the tool's amounts.  Never: prints.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from leverframe.core.policy import CompiledPolicy
from leverframe.core.policy.amounts import Threshold
from leverframe.core.policy.compiled import ToolPlan
from leverframe.core.policy.matching import RuleTest
from leverframe.domain.conditions import And, Compare, Expr, Flag, In, Items, Not, Null, Number, Or, Path, Text
from leverframe.domain.ids import ToolName
from leverframe.domain.policy import ApprovalRequirement, SourceRef, Then

ALWAYS = Flag(value=True)
_UNKNOWN = Null()  # as a condition, null is never true and never false


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One rule about one tool."""

    name: str
    then: Then
    tool: ToolName
    when: Expr
    reason: str = ""
    source: SourceRef | None = None
    approval: ApprovalRequirement | None = None
    only_narrows: bool = False  # its grant stands in for no allow rule


def sentences_of(policy: CompiledPolicy) -> Mapping[ToolName, tuple[Sentence, ...]]:
    """The rules about each tool that can be called at all, in the order of the contract."""
    return {name: tuple(_of_tool(plan)) for name, plan in policy.plans.items() if plan.is_listed or plan.is_held}


def _of_tool(plan: ToolPlan) -> Iterator[Sentence]:
    spec = plan.spec
    if spec.environments:
        words = Items(items=tuple(Text(value=name) for name in sorted(spec.environments)))
        yield Sentence(
            name=f"{spec.name}/environments",
            then=Then.DENY,
            tool=spec.name,
            when=Not(operand=In(item=Path(root="run", keys=("environment",)), container=words)),
            reason="The tool runs in these environments only.",
            source=spec.source,
        )
    # An allow rule about a tool that is not listed changes nothing: `allow_tools` says what may run by itself.
    allows = plan.allows.tests if plan.is_listed else ()
    for test in (*plan.denies.tests, *plan.holds.tests, *allows):
        rule = test.rule
        yield Sentence(
            name=rule.id,
            then=rule.then,
            tool=spec.name,
            when=_condition(test),
            reason=rule.reason,
            source=rule.source,
            approval=rule.approval,
            only_narrows=rule.only_narrows,
        )


def _condition(test: RuleTest) -> Expr:
    parts: list[Expr] = []
    if test.rule.when is not None:
        parts.append(test.rule.when)
    if test.threshold is not None:
        parts.append(_threshold(test.threshold))
    if not parts:
        return ALWAYS
    return parts[0] if len(parts) == 1 else And(operands=tuple(parts))


def _threshold(threshold: Threshold) -> Expr:
    """True where any amount is at or above the limit, else unknown where any is absent or no dollars."""
    compared = tuple(
        Compare(op=">=", left=_path(place.path, place.keys), right=Number(value=place.limit))
        if place.currency == "USD"
        else _UNKNOWN
        for place in threshold.places
    )
    if not compared:
        return _UNKNOWN
    return compared[0] if len(compared) == 1 else Or(operands=compared)


def _path(text: str, keys: tuple[str, ...]) -> Path:
    return Path(root="facts" if text.startswith("facts.") else "args", keys=keys)
