"""A second interpreter of the rule IR: slow, obvious, and sharing no code with `core.policy`.

It reads the rules one by one for every call, in the order of the contract's page, with conditions interpreted by
`slow_conditions` and amounts compared as fractions.  The compiled policy must agree with it on every question.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import TypeGuard

from leverframe.core.conditions import ConditionEnv
from leverframe.core.policy import Asker, Question
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.contracts import ProvenanceRules
from leverframe.domain.ids import ToolName
from leverframe.domain.labels import Label
from leverframe.domain.policy import ApprovalRequirement, Known, Rule, Then
from leverframe.domain.tools import ToolSpec
from tests.property.slow_conditions import slow_evaluate
from tests.property.slow_labels import slow_labels

COUNTED = {BudgetUnit.TOOL_CALLS, BudgetUnit.MODEL_CALLS, BudgetUnit.STEPS}


@dataclass(frozen=True, kw_only=True)
class SlowPolicy:
    """The same inputs that `compile_policy` takes, kept as they are."""

    rules: tuple[Rule, ...]
    allow_tools: tuple[ToolName, ...]
    held_tools: tuple[ToolName, ...]
    tools: Mapping[ToolName, ToolSpec]
    own_reads: frozenset[ToolName] = frozenset()
    provenance: ProvenanceRules = field(default_factory=ProvenanceRules)


@dataclass(frozen=True, kw_only=True)
class SlowDecision:
    """A decision without its words: what it is, which rules took part, which of them for want of knowledge."""

    word: str
    rules: frozenset[str]
    unknown: frozenset[str] = frozenset()
    reserves: frozenset[tuple[str, int]] = frozenset()
    stops_run: bool = False
    requirement: tuple[int, int, int, frozenset[str]] | None = None
    consumes: str | None = None


@dataclass(kw_only=True)
class _Found:
    rules: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    approvals: list[ApprovalRequirement] = field(default_factory=list)


def slow_decide(question: Question, policy: SlowPolicy) -> SlowDecision:
    """Decide by reading the page from top to bottom; a call that is denied with no step left stops the run."""
    found = _slow_decide(question, policy) if question.killed is None else _deny({"kill-switch"})
    if found.word != "deny" or found.stops_run or question.asker != Asker.AGENT:
        return found
    steps = [each for each in question.windows if each.unit == "steps"]
    asked = question.cost.get(BudgetUnit.STEPS, 0)
    over = {each.key for each in steps if each.settled + each.reserved + asked > each.limit}
    return replace(found, rules=found.rules | over, stops_run=True) if over else found


def _slow_decide(question: Question, policy: SlowPolicy) -> SlowDecision:
    if question.tool not in policy.tools or question.spec is None:
        return _deny({"unknown-tool"})
    spec = policy.tools[question.tool]
    if len(spec.environments) > 0 and question.run.environment not in spec.environments:
        return _deny({"other-environment"})
    if question.closed is not None:
        return _deny({question.closed.slug})
    if question.schema_error != "":
        return _deny({"invalid-arguments"})
    if question.asker == Asker.DOOR:
        return _own_read(question, policy, spec)
    denied = _find(Then.DENY, question, policy, spec)
    if denied.rules:
        return _deny(denied.rules, denied.unknown)
    if question.tool not in policy.allow_tools and question.tool not in policy.held_tools:
        return _deny({"not-allowed"})
    before = question.denied_before
    if before is not None and before.is_same_run:
        return _deny({f"denied-before/{before.approval_id}"})
    over = _without_room(question)
    if over:
        return SlowDecision(word="deny", rules=frozenset(over), stops_run=True)
    return _people(question, policy, spec)


def _people(question: Question, policy: SlowPolicy, spec: ToolSpec) -> SlowDecision:
    held = _find(Then.HOLD, question, policy, spec)
    if spec.once_per is not None and question.once_per_seen in (True, None):
        held.rules.add("once_per")
        held.unknown |= {"once_per"} if question.once_per_seen is None else set()
    if question.denied_before is not None:
        held.rules.add(f"denied-before/{question.denied_before.approval_id}")
    granted = set() if question.granted is None else set(question.granted.rules)

    allowing = [rule for rule in _of_tool(policy, spec) if rule.then == Then.ALLOW]
    true_ones = {rule.id for rule in allowing if _truth(rule, question, spec) is True}
    is_listed = question.tool in policy.allow_tools
    reasons: set[str] = {"allow_tools"} if is_listed else set()
    if is_listed and allowing:
        reasons = set(true_ones)
        standing = held.rules - slow_labels(question, spec, policy.provenance, _of_tool(policy, spec)).keys()
        standing -= {rule.id for rule in _of_tool(policy, spec) if rule.only_narrows}
        if not true_ones and not standing and "no-allow-rule" not in granted:
            return _deny({"no-allow-rule"})
        if not true_ones:
            held.rules.add("no-allow-rule")
    if not is_listed and not held.rules:
        return _deny({"not-allowed"})
    if held.rules - granted:
        return _hold(question, policy, spec, held)
    return SlowDecision(
        word="allow",
        rules=frozenset(reasons | (held.rules if question.granted is not None else set())),
        unknown=frozenset(held.unknown),
        reserves=_parts(question, _asked(question)),
        consumes=None if question.granted is None else question.granted.approval_id,
    )


def _hold(question: Question, policy: SlowPolicy, spec: ToolSpec, held: _Found) -> SlowDecision:
    rows = [
        rule.approval
        for rule in _of_tool(policy, spec)
        if rule.then == Then.HOLD and rule.when is None and rule.approval is not None
    ]
    asked = [*rows, *held.approvals]
    counted = {unit: n for unit, n in question.cost.items() if unit in COUNTED and question.asker == Asker.AGENT}
    return SlowDecision(
        word="hold",
        rules=frozenset(held.rules),
        unknown=frozenset(held.unknown),
        reserves=_parts(question, counted),
        requirement=(
            max((each.quorum for each in asked), default=1),
            min((each.decide_within_s for each in asked), default=86_400),
            min((each.execute_within_s for each in asked), default=3_600),
            frozenset({"initiator"}.union(*(each.distinct_from for each in asked)) if not asked else set())
            | frozenset(name for each in asked for name in each.distinct_from),
        ),
    )


def _own_read(question: Question, policy: SlowPolicy, spec: ToolSpec) -> SlowDecision:
    if spec.effect.value != "read" or question.tool not in policy.own_reads:
        return _deny({"not-an-own-read"})
    over = _without_room(question)
    if over:
        return SlowDecision(word="deny", rules=frozenset(over), stops_run=True)
    return SlowDecision(word="allow", rules=frozenset({"own-read"}), reserves=_parts(question, _asked(question)))


def _find(then: Then, question: Question, policy: SlowPolicy, spec: ToolSpec) -> _Found:
    found = _Found()
    for rule in _of_tool(policy, spec):
        if rule.then != then:
            continue
        truth = _truth(rule, question, spec)
        if truth is False:
            continue
        found.rules.add(rule.id)
        if truth is None:
            found.unknown.add(rule.id)
        if rule.approval is not None:
            found.approvals.append(rule.approval)
    matching = slow_labels(question, spec, policy.provenance, _of_tool(policy, spec))
    found.rules |= {rule for rule, follows in matching.items() if follows == then}
    return found


def _of_tool(policy: SlowPolicy, spec: ToolSpec) -> list[Rule]:
    return [
        rule
        for rule in policy.rules
        if (len(rule.tools) == 0 or spec.name in rule.tools)
        and (len(rule.effects) == 0 or spec.effect.value in rule.effects)
    ]


def _truth(rule: Rule, question: Question, spec: ToolSpec) -> bool | None:
    """Kleene's and, as the minimum of false < unknown < true."""
    ranks = {False: 0, None: 1, True: 2}
    parts: list[bool | None] = [True]
    if rule.when is not None:
        parts.append(slow_evaluate(rule.when, slow_environment(question, spec)))
    if rule.threshold_usd is not None:
        parts.append(_at_or_above(rule.threshold_usd, question, spec))
    return min(parts, key=lambda part: ranks[part])


def _at_or_above(limit: Decimal, question: Question, spec: ToolSpec) -> bool | None:
    """Kleene's or over every amount, as the maximum of false < unknown < true; no amount at all is unknown."""
    found: list[bool | None] = []
    for name, arg in spec.args.items():
        if arg.role is None or arg.role.value != "amount":
            continue
        amount = question.args.get(name)
        if not _is_number(amount) or arg.currency not in ("", "USD"):
            found.append(None)
        else:
            dollars = Fraction(amount) / (100 if arg.unit == "minor" else 1)
            found.append(dollars >= Fraction(limit))
    if spec.amount_fact:
        value: object = {name: fact.value for name, fact in question.facts.items() if isinstance(fact, Known)}
        for key in spec.amount_fact.split(".")[1:]:
            value = value[key] if isinstance(value, dict) and key in value else None
        found.append(Fraction(value) >= Fraction(limit) if _is_number(value) else None)
    if True in found:
        return True
    return None if None in found or not found else False


def _is_number(value: object) -> TypeGuard[int | Decimal]:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, Decimal) and value.is_finite())


def slow_environment(question: Question, spec: ToolSpec) -> ConditionEnv:
    """Every value and every label of a call, asked for or not."""
    run = question.run
    labels: dict[tuple[str, ...], Label] = {("args", name): label for name, label in question.arg_labels.items()}
    labels |= {("facts", name): fact.label for name, fact in question.facts.items() if isinstance(fact, Known)}
    return ConditionEnv(
        args=question.args,
        facts={name: fact.value for name, fact in question.facts.items() if isinstance(fact, Known)},
        run={
            "id": run.run_id,
            "tenant": run.tenant,
            "environment": run.environment,
            "workflow": run.workflow,
            "initiator": run.initiator,
            "subject": run.subject,
            "input": run.input,
        },
        call={"tool": spec.name, "effect": spec.effect.value},
        labels=_Inside(labels),
        history=question.history,
    )


class _Inside(Mapping[tuple[str, ...], Label]):
    """The label of an argument or a fact stands for everything inside it."""

    def __init__(self, labels: Mapping[tuple[str, ...], Label]) -> None:
        self._labels = labels

    def __getitem__(self, path: tuple[str, ...]) -> Label:
        return self._labels[path[:2]]

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)


def _asked(question: Question) -> dict[BudgetUnit, int]:
    if question.asker == Asker.AGENT:
        return dict(question.cost)
    return {unit: amount for unit, amount in question.cost.items() if unit not in COUNTED}


def _without_room(question: Question) -> set[str]:
    asked = _asked(question)
    return {
        each.key for each in question.windows if each.settled + each.reserved + asked.get(each.unit, 0) > each.limit
    }


def _parts(question: Question, asked: Mapping[BudgetUnit, int]) -> frozenset[tuple[str, int]]:
    return frozenset((each.unit.value, asked[each.unit]) for each in question.windows if asked.get(each.unit, 0) > 0)


def _deny(rules: set[str], unknown: set[str] | None = None) -> SlowDecision:
    return SlowDecision(word="deny", rules=frozenset(rules), unknown=frozenset(unknown or ()))
