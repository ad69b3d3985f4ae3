"""The decision of one call: deny beats hold beats allow beats the default, which is deny.

Knows: the order in which rules, budgets and approvals speak.  Never: reads a clock or a store; same question, same
answer.  A condition that cannot be known denies in a deny rule, holds in a hold rule, and does not allow.
Source: docs/reference/contract.md, "Meaning, where it matters".
Property: `tests/property/test_policy_fast_equals_slow.py`.
"""

from collections.abc import Mapping
from dataclasses import replace

from leverframe.core.budgets import counts, lacking, last_to_reset, limit_text, plan, plan_within, without_counts
from leverframe.core.policy import reasons
from leverframe.core.policy.compiled import CompiledPolicy, ToolPlan
from leverframe.core.policy.environment import environment, known_facts
from leverframe.core.policy.label_rules import by_labels
from leverframe.core.policy.matching import Roots, RuleIndex
from leverframe.core.policy.observing import observed
from leverframe.core.policy.output_rules import is_output, output_reason
from leverframe.core.policy.plan_rules import plan_queries, plan_reason
from leverframe.core.policy.question import Asker, HistoryAnswers, ModelQuestion, Question
from leverframe.core.policy.requirements import joined
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.conditions import HistoryQuery
from leverframe.domain.ids import RuleId, ToolName
from leverframe.domain.json import JsonObject
from leverframe.domain.policy import Allow, Decision, Deny, Fact, Hold, Reason, Reserve, RunFacts, Then

_NOTHING_GRANTED: frozenset[RuleId] = frozenset()
# A member of an enumeration is looked up in a tenth of a microsecond, and each of these is asked for every call.
_AGENT, _DOOR = Asker.AGENT, Asker.DOOR
_DENY, _HOLD = Then.DENY, Then.HOLD


def decide(question: Question | ModelQuestion, policy: CompiledPolicy) -> Decision:
    """Decide one call.

    A kill switch denies before all else.  Then the order: unknown tool, environment, the tool's review, arguments; deny
    rules; the lists; the plan; a denial in this run; budgets; hold rules, what widens the plan, `once_per` and a denial
    in another run; allow rules.
    The first that speaks against the call decides, and names every rule of its rank that took part.

    A hold that matches while no allow rule is true names that as well (`no-allow-rule`): `allow_tools` and allow rules
    say what may run by itself, and a person's grant of the whole stands in for them.  Holds that narrow (those on
    labels and plans, and those that an overlay adds) do not: with no other, the call is denied as it is without them.
    Under `enforce: observe` a model call or a read is allowed all the same, by the rule `observe`.
    """
    decision: Decision
    if question.killed is not None:
        decision = Deny(reasons=(reasons.killed(question.killed),))
    elif isinstance(question, ModelQuestion):
        decision = _decide_model(question, policy)
    elif is_output(question):
        decision = _decide_output(question, policy)
    else:
        decision = _decide_call(question, policy)
    if isinstance(decision, Deny) and isinstance(question, Question) and question.asker is _AGENT:
        decision = _counting_a_step(decision, question)
    return observed(decision, question, policy) if policy.is_observing else decision


def _decide_call(question: Question, policy: CompiledPolicy) -> Decision:
    tool = policy.plans.get(question.tool)
    if tool is None or question.spec is None:
        return Deny(reasons=(reasons.unknown_tool(policy),))
    spec = tool.spec
    if spec.environments and question.run.environment not in spec.environments:
        return Deny(reasons=(reasons.other_environment(question, spec),))
    if question.closed is not None:
        return Deny(reasons=(reasons.closed(question.closed),))
    if question.schema_error:
        return Deny(reasons=(reasons.invalid_arguments(question, spec),))
    if question.asker is _DOOR:
        return _decide_own_read(question, policy, tool)
    roots = (question.args, known_facts(question.facts), question.run.values)
    denied = _deny_reasons(question, tool, roots)
    if not denied and (question.denied_before is not None or policy.plan is not None or not tool.is_listed):
        denied = _refusals(question, policy, tool)
    if denied:
        return Deny(reasons=denied)
    cost = question.cost if question.asker is _AGENT else without_counts(question.cost)
    reserves = plan_within(question.windows, cost)
    if reserves is None:
        return _out_of_budget(question.windows, cost)
    return _by_people(question, policy, tool, roots, reserves)


def history_still_allows(question: Question, policy: CompiledPolicy, new_history: HistoryAnswers) -> bool:
    """Whether a call is allowed under another history, all else as it was: the guard of an allow.

    The windows are those of the question; the store guards their room by itself.
    """
    return isinstance(decide(replace(question, history=new_history), policy), Allow)


def needed_facts(policy: CompiledPolicy, tool: ToolName) -> tuple[str, ...]:
    """The facts that the rules and the threshold of a tool read, each after the facts that it rests on."""
    known = policy.plans.get(tool)
    return () if known is None else known.facts


def needed_history(
    policy: CompiledPolicy, tool: ToolName, args: JsonObject, facts: Mapping[str, Fact], run: RunFacts
) -> tuple[HistoryQuery, ...]:
    """The history that the rules of a tool ask for this call, each query once; an unknown value is not asked for."""
    known = policy.plans.get(tool)
    if known is None:
        return ()
    of_plan = () if policy.plan is None else plan_queries(tool)
    if not known.asking:
        return of_plan
    env = environment(known, args, facts, run)
    asked = [query for condition in known.asking for query in condition.history_queries(env)]
    return tuple(dict.fromkeys((*asked, *of_plan)))


def _deny_reasons(question: Question, tool: ToolPlan, roots: Roots) -> tuple[Reason, ...]:
    denied = _matching(tool.denies, roots, question, tool)
    if tool.labels is None or not tool.labels.may_deny:
        return denied
    return (*denied, *(one for one in _by_labels(question, tool) if one.then is _DENY))


def _refusals(question: Question, policy: CompiledPolicy, tool: ToolPlan) -> tuple[Reason, ...]:
    """What denies a call that no deny rule denies: the lists, the plan, an earlier denial in this run."""
    if not tool.is_listed and not tool.is_held:
        return (reasons.not_allowed(policy),)
    of_plan = () if policy.plan is None else _of_plan(question, policy, _DENY)
    if of_plan:
        return of_plan
    if question.denied_before is not None and question.denied_before.is_same_run:
        return (reasons.denied_before(question.denied_before),)
    return ()


def _of_plan(question: Question, policy: CompiledPolicy, then: Then) -> tuple[Reason, ...]:
    reason = None if policy.plan is None else plan_reason(question, policy.plan)
    return () if reason is None or reason.then is not then else (reason,)


def _by_labels(question: Question, tool: ToolPlan) -> tuple[Reason, ...]:
    """The default rules on where values come from; a record from before them is not asked."""
    if tool.labels is None or question.union is None:
        return ()
    return by_labels(
        tool.labels, question.args, question.arg_labels, question.union, is_suspicious=question.is_suspicious
    )


def _matching(rules: RuleIndex, roots: Roots, question: Question, tool: ToolPlan) -> tuple[Reason, ...]:
    """The reasons of the rules that are true or unknown; the environment is laid out only where one may be."""
    if not rules.tests:
        return ()
    open_rules = rules.open_rules(roots)
    if not open_rules and not rules.shared:
        return ()
    env = environment(
        tool, question.args, question.facts, question.run, history=question.history, arg_labels=question.arg_labels
    )
    found = rules.matching(env, open_rules)
    return tuple([reasons.of_rule(test, truth, env, question.facts) for test, truth in found]) if found else ()


def _by_people(
    question: Question, policy: CompiledPolicy, tool: ToolPlan, roots: Roots, reserves: tuple[Reserve, ...]
) -> Decision:
    """What is left when nothing forbids the call: whether it may run by itself, and else who must have answered."""
    granted = _NOTHING_GRANTED if question.granted is None else question.granted.rules
    held = _hold_reasons(question, tool, roots)
    if policy.plan is not None:
        held = (*held, *_of_plan(question, policy, _HOLD))
    by_itself = _allow_reasons(question, tool, roots)
    if not by_itself and tool.is_listed:
        if reasons.NO_ALLOW_RULE not in granted and all(one.rule in tool.only_holds for one in held):
            return Deny(reasons=(reasons.no_allow_rule(tool, _DENY),))
        held = (*held, reasons.no_allow_rule(tool, _HOLD))
    if not held and not tool.is_listed:
        return Deny(reasons=(reasons.not_allowed(policy),))
    if held and any(reason.rule not in granted for reason in held):
        return _hold(question, tool, held)
    if question.granted is None:
        return Allow(reasons=by_itself, reserves=reserves)
    approval_id = question.granted.approval_id
    satisfied = tuple(reasons.granted_by(reason, approval_id) for reason in held)
    return Allow(reasons=(*satisfied, *by_itself), reserves=reserves, consumes=approval_id)


def _hold_reasons(question: Question, tool: ToolPlan, roots: Roots) -> tuple[Reason, ...]:
    held = _matching(tool.holds, roots, question, tool)
    labels, union = tool.labels, question.union
    if labels is not None and union is not None:
        # As `_by_labels`, without a call: this is asked for nearly every call that may run.
        labelled = by_labels(labels, question.args, question.arg_labels, union, is_suspicious=question.is_suspicious)
        held = (*held, *labelled) if labelled else held
    if tool.spec.once_per is not None and question.once_per_seen is not False:
        unknown = question.once_per_seen is None
        held = (*held, reasons.once_per(tool.spec.once_per, tool.spec, is_unknown=unknown))
    if question.denied_before is not None:
        held = (reasons.denied_before(question.denied_before), *held)
    return held


def _allow_reasons(question: Question, tool: ToolPlan, roots: Roots) -> tuple[Reason, ...]:
    """What lets the call run by itself: the list alone, or the allow rules that are true; empty where nothing does."""
    if not tool.allows.tests or not tool.is_listed:
        return tool.listed
    # An allow rule that cannot be known does not allow.
    return tuple(reason for reason in _matching(tool.allows, roots, question, tool) if not reason.is_unknown)


def _hold(question: Question, tool: ToolPlan, held: tuple[Reason, ...]) -> Hold:
    """A hold names every matching rule, granted ones too: the next grant must satisfy all of them at once."""
    names = {reason.rule for reason in held}
    of_rules = (test.rule.approval for test in tool.holds.tests if test.rule.id in names)
    parts = [part for part in (tool.row, *of_rules) if part is not None]
    counted = counts(question.cost) if question.asker is _AGENT else {}
    return Hold(
        reasons=held,
        requirement=joined(parts, default_source=held[0].source),
        reserves=plan(question.windows, counted),
    )


def _out_of_budget(windows: tuple[Window, ...], cost: Mapping[BudgetUnit, int]) -> Deny:
    """Say which windows have no room; `plan_within` has found that there are some."""
    full = lacking(windows, cost)
    why = tuple(reasons.no_room(window, cost) for window in full)
    of_run = next((window for window in full if not window.budget), None)
    if of_run is not None:
        return Deny(reasons=why, stops_run=limit_text(of_run))
    # Before one that will have room again stands one that never has so much.
    last = last_to_reset([one for one in full if cost.get(one.unit, 0) > one.limit] or full)
    return Deny(
        reasons=why,
        exhausted=last.budget,
        resets_at=last.resets_at,
        unit=last.unit.value,
        limit=last.limit,
        left=last.left,
        fits_ever=cost.get(last.unit, 0) <= last.limit,
    )


def _counting_a_step(denied: Deny, question: Question) -> Deny:
    """A denied call is a step as well; where no step is left, the run that goes on asking is stopped."""
    step = {BudgetUnit.STEPS: question.cost.get(BudgetUnit.STEPS, 0)}
    full = () if denied.stops_run else lacking(_steps_of(question.windows), step)
    if not full:
        return denied
    spent = tuple(reasons.no_room(window, step) for window in full)
    return Deny(reasons=(*denied.reasons, *spent), stops_run=limit_text(full[0]))


def _steps_of(windows: tuple[Window, ...]) -> tuple[Window, ...]:
    return tuple(window for window in windows if window.unit is BudgetUnit.STEPS)


def _decide_own_read(question: Question, policy: CompiledPolicy, tool: ToolPlan) -> Decision:
    """The door's own read stands outside the agent's rules: the contract itself asks for it."""
    if tool.spec.effect.is_write or question.tool not in policy.own_reads:
        return Deny(reasons=(reasons.not_an_own_read(tool, policy),))
    return _within_budget(question.windows, without_counts(question.cost), (reasons.own_read(policy),))


def _decide_output(question: Question, policy: CompiledPolicy) -> Decision:
    """The output of a run: rules are about calls, so that its audience alone decides; an agent does not ask for it."""
    if policy.audience is None or question.asker not in {Asker.RUN, Asker.REENTRY}:
        return Deny(reasons=(reasons.not_allowed(policy),))
    reason = output_reason(question, policy.audience, policy.audience_source)
    granted = question.granted
    if reason.then is Then.ALLOW and granted is None:
        return Allow(reasons=(reason,))
    if granted is not None and (reason.then is Then.ALLOW or reason.rule in granted.rules):
        return Allow(reasons=(reasons.granted_by(reason, granted.approval_id),), consumes=granted.approval_id)
    return Hold(reasons=(reason,), requirement=joined((), default_source=reason.source))


def _decide_model(question: ModelQuestion, policy: CompiledPolicy) -> Decision:
    if not policy.models:
        return Deny(reasons=(reasons.no_models(question, policy),))
    return _within_budget(question.windows, question.cost, policy.models)


def _within_budget(windows: tuple[Window, ...], cost: Mapping[BudgetUnit, int], why: tuple[Reason, ...]) -> Decision:
    reserves = plan_within(windows, cost)
    return _out_of_budget(windows, cost) if reserves is None else Allow(reasons=why, reserves=reserves)
