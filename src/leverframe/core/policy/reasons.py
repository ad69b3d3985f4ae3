"""The reasons of a decision: which rule took part, where it stands, what it saw.

Knows: the built-in rules by name.  Never: decides; it is asked for what took part only, so that deciding stays quick.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from leverframe.core.budgets import left_text, limit_text
from leverframe.core.conditions import ConditionEnv
from leverframe.core.conditions.printer import window_text
from leverframe.core.policy.compiled import BUILT_IN, CompiledPolicy, ToolPlan
from leverframe.core.policy.matching import RuleTest
from leverframe.core.policy.question import ModelQuestion, Question, StickyDenial
from leverframe.core.policy.wording import seen_text, with_reason
from leverframe.domain.authority import KillScope, KillSwitch
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.conditions import Truth
from leverframe.domain.errors import BudgetExhausted
from leverframe.domain.ids import ApprovalId, RuleId
from leverframe.domain.pins import Closed
from leverframe.domain.policy import Fact, Reason, SourceRef, Then
from leverframe.domain.time import rfc3339, rfc3339_s
from leverframe.domain.tools import OncePer, ToolSpec

UNKNOWN_TOOL = RuleId("unknown-tool")
OTHER_ENVIRONMENT = RuleId("other-environment")
INVALID_ARGUMENTS = RuleId("invalid-arguments")
NOT_ALLOWED = RuleId("not-allowed")
NO_ALLOW_RULE = RuleId("no-allow-rule")
ONCE_PER = RuleId("once_per")
OWN_READ = RuleId("own-read")
NOT_AN_OWN_READ = RuleId("not-an-own-read")
NO_MODELS = RuleId("no-models")
KILL_SWITCH = RuleId("kill-switch")
BUDGET_EXHAUSTED = RuleId(BudgetExhausted.slug)


def of_rule(test: RuleTest, truth: Truth, env: ConditionEnv, facts: Mapping[str, Fact]) -> Reason:
    """A rule of the contract with the values that it looked at."""
    rule = test.rule
    parts = []
    if test.condition is not None:
        parts.append(seen_text(test.condition, env, facts))
    if test.threshold is not None:
        parts.append(test.threshold.text(env))
    text = with_reason(rule.reason, ", ".join(part for part in parts if part) or _ALWAYS[rule.then])
    return Reason(rule=rule.id, then=rule.then, source=rule.source, text=text, is_unknown=truth is None)


_ALWAYS = {
    Then.DENY: "every call of this tool is denied",
    Then.HOLD: "every call of this tool is held",
    Then.ALLOW: "every call of this tool is allowed",
}


def unknown_tool(policy: CompiledPolicy) -> Reason:
    """The contract does not know the tool at all."""
    return _deny(UNKNOWN_TOOL, policy.source, f"the contract lists {policy.listed_count} tools, and not this one")


def killed(switch: KillSwitch) -> Reason:
    """A person has stopped such calls; their words are not for the agent."""
    what = "every call" if switch.scope is KillScope.EVERYTHING else f"every call of {switch.scope.value} {switch.name}"
    where = f" of tenant {switch.tenant}" if switch.tenant is not None else ""
    text = f"{switch.by} has switched off {what}{where} at {rfc3339(switch.at)}; it stays off until it is cleared"
    return _deny(KILL_SWITCH, BUILT_IN, text)


def other_environment(question: Question, spec: ToolSpec) -> Reason:
    """The tool does not run where this run's effects land."""
    names = ", ".join(sorted(spec.environments))
    text = f"the tool runs in {names}, and run.environment is {question.run.environment!r}"
    return _deny(OTHER_ENVIRONMENT, spec.source, text)


def closed(why: Closed) -> Reason:
    """What the tool's server offers is not what a person has reviewed."""
    return _deny(RuleId(why.slug), SourceRef(file="tools.lock"), why.message.removesuffix("."))


def invalid_arguments(question: Question, spec: ToolSpec) -> Reason:
    """The arguments break the tool's input schema."""
    return _deny(INVALID_ARGUMENTS, spec.source, question.schema_error)


def not_allowed(policy: CompiledPolicy) -> Reason:
    """The tool is known and the contract does not let this workflow call it."""
    text = (
        f"allow_tools does not name it, nor does deny_tools together with an approval row; "
        f"the contract lists {policy.listed_count} tools"
    )
    return _deny(NOT_ALLOWED, policy.source, text)


def no_allow_rule(plan: ToolPlan, then: Then) -> Reason:
    """The tool has `then: allow` rules, and none of them is true for this call."""
    names = ", ".join(test.rule.id for test in plan.allows.tests)
    text = f"none of the rules that allow this tool is true: {names}"
    return Reason(rule=NO_ALLOW_RULE, then=then, source=plan.allows.tests[0].rule.source, text=text)


def denied_before(denial: StickyDenial) -> Reason:
    """A person has denied this before; the rule's id names that denial, so that a later one holds again."""
    where = "in this run" if denial.is_same_run else "in another run of this subject"
    text = f"{denial.denied_by} denied the same tool, selectors and recipients {where} at {rfc3339(denial.denied_at)}"
    return Reason(
        rule=RuleId(f"denied-before/{denial.approval_id}"),
        then=Then.DENY if denial.is_same_run else Then.HOLD,
        source=BUILT_IN,
        text=f"{text}: {denial.reason}" if denial.reason else text,
    )


def once_per(once: OncePer, spec: ToolSpec, *, is_unknown: bool) -> Reason:
    """The same business act has been done, or is in flight, in this run or another."""
    keys = " and ".join(once.keys)
    seen = "could not be looked up" if is_unknown else "was seen"
    text = f"the same {keys} {seen} within {window_text(once.within_s)}"
    return Reason(rule=ONCE_PER, then=Then.HOLD, source=spec.source, text=text, is_unknown=is_unknown)


def no_room(window: Window, cost: Mapping[BudgetUnit, int]) -> Reason:
    """A budget window cannot take the worst case of this call."""
    return _no_room(window, cost.get(window.unit, 0))


# What a call takes more or less of, as its caller asks for a longer or a shorter answer.
_OF_LENGTH = frozenset({BudgetUnit.USD, BudgetUnit.OUTPUT_TOKENS})


# The calls of a burst are alike, and each is told so of the same books.
@lru_cache(maxsize=256)
def _no_room(window: Window, amount: int) -> Reason:
    asked = left_text(replace(window, limit=amount, settled=0, reserved=0))
    if window.budget:
        return _exhausted(window, asked, fits_ever=amount <= window.limit)
    text = f"{limit_text(window)}: {left_text(window)} left, and this call needs {asked}"
    return _deny(RuleId(window.key or window.unit.value), window.source, text)


def _exhausted(window: Window, asked: str, *, fits_ever: bool) -> Reason:
    """A budget that spans runs; an overrun one has less than nothing left, and says so."""
    raising = f"raise it for a while: leverframe budgets raise {window.budget}"
    if not fits_ever:
        less = "ask for less, such as fewer output tokens, or " if window.unit in _OF_LENGTH else ""
        when = f"There is never so much: {less}{raising}"
    elif window.unit is BudgetUnit.IN_FLIGHT:
        when = "There is room again when a call that is at work ends."
    elif window.resets_at is None:
        when = f"It never resets: {raising}"
    else:
        when = f"It resets at {rfc3339_s(window.resets_at)}; ask again then, or {raising}"
    limit = f"{window.key} {left_text(replace(window, settled=0, reserved=0))}"
    text = f"budget {window.budget} has {left_text(window)} left of {limit}, and this call needs {asked}. {when}"
    return _deny(BUDGET_EXHAUSTED, window.source, text)


def own_read(policy: CompiledPolicy) -> Reason:
    """The door reads for a fact or a reconcile."""
    text = "the door's own read, declared by the contract's facts or a tool's reconcile"
    return Reason(rule=OWN_READ, then=Then.ALLOW, source=policy.source, text=text)


def not_an_own_read(plan: ToolPlan, policy: CompiledPolicy) -> Reason:
    """The door may read by itself only what the contract declares, and never with an effect."""
    if plan.spec.effect.is_write:
        text = f"a fact or reconcile must be a read, and the tool's effect is {plan.spec.effect.value}"
        return _deny(NOT_AN_OWN_READ, plan.spec.source, text)
    return _deny(NOT_AN_OWN_READ, policy.source, "no fact of the contract and no reconcile of a tool names it")


def no_models(question: ModelQuestion, policy: CompiledPolicy) -> Reason:
    """The contract names no model, so none may be called."""
    return _deny(NO_MODELS, policy.source, f"the contract has no models, and {question.model} was asked for")


def granted_by(reason: Reason, approval_id: ApprovalId) -> Reason:
    """A hold that a person's grant satisfies."""
    return replace(reason, text=f"{reason.text}; granted by {approval_id}")


def _deny(rule: RuleId, source: SourceRef, text: str) -> Reason:
    return Reason(rule=rule, then=Then.DENY, source=source, text=text)
