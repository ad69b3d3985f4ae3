"""Why a call is or would be allowed, held or denied, as a trace that a person can read.

Knows: every rule of the tool, whether it matched, and what it saw.  Never: decides; the last line is what
`core.policy.decide` said, so that a trace cannot say something else than the door does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from leverframe.core.conditions import ConditionEnv
from leverframe.core.policy.compiled import BUILT_IN, CompiledPolicy, ToolPlan
from leverframe.core.policy.decide import decide
from leverframe.core.policy.environment import environment
from leverframe.core.policy.matching import RuleTest
from leverframe.core.policy.question import Asker, Question
from leverframe.core.policy.reasons import NO_ALLOW_RULE, of_rule
from leverframe.domain.conditions import Truth
from leverframe.domain.ids import RuleId
from leverframe.domain.policy import Allow, Decision, Deny, Hold, Reason, SourceRef, Then


class Took(StrEnum):
    """What a line of a trace did."""

    MATCHED = "matched"
    NOT_MATCHED = "not matched"
    UNKNOWN = "unknown"
    IGNORED = "ignored"
    GRANTED = "granted"  # it matched, and a person's grant satisfies it
    NOT_REACHED = "not reached"  # something before it has decided


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceLine:
    """One rule, what it did and what it saw."""

    rule: RuleId
    then: Then
    took: Took
    source: SourceRef
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Every rule that speaks about the tool, in the order of deny, hold and allow; then the decision."""

    lines: tuple[TraceLine, ...]
    decision: Decision

    @property
    def word(self) -> str:
        """The decision in one word."""
        match self.decision:
            case Allow():
                return "allow"
            case Hold():
                return "hold"
            case Deny():
                return "deny"


def explain(question: Question, policy: CompiledPolicy) -> Trace:
    """Trace the decision of a call: the rules of its tool, then what is built in and took part, then the decision."""
    decision = decide(question, policy)
    tool = policy.plans.get(question.tool)
    lines = [] if tool is None else list(_rule_lines(question, tool, decision))
    told = {line.rule for line in lines}
    lines += [_built_in(reason) for reason in decision.reasons if reason.rule not in told]
    return Trace(lines=tuple(lines), decision=decision)


def render(trace: Trace) -> tuple[str, ...]:
    """A trace as lines of text: one or two a rule, and the decision with its rules and places last."""
    width = max((len(line.took.value) for line in trace.lines), default=0)
    lines = []
    for line in trace.lines:
        lines.append(f"{line.took.value:<{width}}  {line.then.value:<5}  {line.rule}  {_place(line.source)}".rstrip())
        if line.text:
            lines.append(f"{'':<{width}}         {line.text}")
    rules = ", ".join(f"{reason.rule} {_place(reason.source)}".strip() for reason in trace.decision.reasons)
    lines.append(f"{trace.word.upper()} by {rules}")
    lines.extend(_consequence(trace.decision))
    return tuple(lines)


def _rule_lines(question: Question, tool: ToolPlan, decision: Decision) -> Iterator[TraceLine]:
    env = environment(
        tool, question.args, question.facts, question.run, history=question.history, arg_labels=question.arg_labels
    )
    granted = frozenset[RuleId]() if question.granted is None else question.granted.rules
    is_early = question.closed is not None or bool(question.schema_error) or question.spec is None
    is_before_rules = is_early or question.asker is Asker.DOOR
    took_part = {reason.rule for reason in decision.reasons}
    all_reached = not isinstance(decision, Deny) or NO_ALLOW_RULE in took_part
    for test in (*tool.denies.tests, *tool.holds.tests, *tool.allows.tests):
        truth = test.test(env)
        reached = not is_before_rules and (all_reached or test.rule.then is Then.DENY)
        took = _took(test, truth, is_reached=reached or test.rule.id in took_part, granted=granted)
        yield _line(test, truth, took, env, question)
        if test.rule.ignored is not None:
            yield TraceLine(
                rule=test.rule.id,
                then=test.rule.then,
                took=Took.IGNORED,
                source=test.rule.ignored.source,
                text=test.rule.ignored.text,
            )


def _took(test: RuleTest, truth: Truth, *, is_reached: bool, granted: frozenset[RuleId]) -> Took:
    if not is_reached:
        return Took.NOT_REACHED
    if truth is False:
        return Took.NOT_MATCHED
    if test.rule.then is Then.HOLD and test.rule.id in granted:
        return Took.GRANTED
    return Took.MATCHED if truth else Took.UNKNOWN


def _line(test: RuleTest, truth: Truth, took: Took, env: ConditionEnv, question: Question) -> TraceLine:
    reason = of_rule(test, truth, env, question.facts)
    return TraceLine(rule=reason.rule, then=reason.then, took=took, source=reason.source, text=reason.text)


def _built_in(reason: Reason) -> TraceLine:
    took = Took.UNKNOWN if reason.is_unknown else Took.MATCHED
    return TraceLine(rule=reason.rule, then=reason.then, took=took, source=reason.source, text=reason.text)


def _place(source: SourceRef) -> str:
    return "" if source == BUILT_IN else str(source)


def _consequence(decision: Decision) -> Iterator[str]:
    match decision:
        case Hold(requirement=asked):
            who = f"of {' or '.join(asked.from_groups)}" if asked.from_groups else "with the role approver"
            people = "one person" if asked.quorum == 1 else f"{asked.quorum} people"
            yield f"needs {people} {who}, never the {' or the '.join(sorted(asked.distinct_from))}"
        case Deny(stops_run=limit) if limit:
            yield f"stops the run: {limit}"
        case _:
            pass
