"""A contract's rules as closures, indexed by tool, once; then decided once for every call.

Knows: which rules speak about which tool, and what the door must read before it asks.
Never: decides; `core.policy.decide` walks what is compiled here.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from leverframe.core.conditions import AttributePath, Compiled, ConditionEnv, compile_condition
from leverframe.core.conditions.compiler import Test
from leverframe.core.policy.amounts import always, threshold_of
from leverframe.core.policy.facts import facts_in_order, own_reads
from leverframe.core.policy.label_rules import LABEL_RULES, LabelPlan, label_plan
from leverframe.core.policy.matching import RuleIndex, RuleTest, index_rules
from leverframe.core.policy.once import once_per_facts
from leverframe.core.policy.plan_rules import PLAN_RULES
from leverframe.core.policy.requirements import joined
from leverframe.domain.audiences import Audience
from leverframe.domain.conditions import Truth
from leverframe.domain.contracts import Contract, Enforce, FactSpec, ProvenanceRules
from leverframe.domain.ids import RuleId, ToolName
from leverframe.domain.policy import ApprovalRequirement, Reason, Rule, SourceRef, Then
from leverframe.domain.tools import ArgRole, BuiltInOrigin, ToolSpec

BUILT_IN = SourceRef(file="(built-in)")
_BY_DEFAULT = ProvenanceRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPlan:
    """All that is known about one tool before any call of it.

    `is_listed`: `allow_tools` names it, so it may run by itself; `is_held`: it may run after a hold only.
    `row` joins the requirements of its approval rows, or is None without a row.
    `facts` are in the order in which they can be read.  `only_holds`: rules whose holds stand in for no allow rule, as
    they narrow: the default rules on labels, those on plans, and what an overlay adds.
    """

    spec: ToolSpec
    denies: RuleIndex
    holds: RuleIndex
    allows: RuleIndex
    is_listed: bool
    is_held: bool
    listed: tuple[Reason, ...]
    call: Mapping[str, object]
    row: ApprovalRequirement | None
    facts: tuple[str, ...]
    label_paths: tuple[AttributePath, ...]
    labels: LabelPlan | None
    asking: tuple[Compiled, ...]
    only_holds: frozenset[RuleId]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledPolicy:
    """A contract's policy, compiled.  Immutable; one is shared by every decision of a release.

    `models` is what an allowed model call is allowed by; empty: the contract has no models.
    """

    plans: Mapping[ToolName, ToolPlan]
    listed_count: int
    own_reads: frozenset[ToolName]
    models: tuple[Reason, ...]
    source: SourceRef
    facts: Mapping[str, FactSpec] = field(default_factory=dict)
    is_observing: bool = False  # model calls and reads are told of and not refused
    plan: SourceRef | None = None  # the line that asks for a plan; None: no plan is asked for
    audience: Audience | None = None  # who reads a run's output
    audience_source: SourceRef = BUILT_IN


def compile_contract(contract: Contract) -> CompiledPolicy:
    """Compile what a contract says about tools and models."""
    listed = frozenset(contract.allow_tools)
    compiled = compile_policy(
        contract.rules,
        contract.allow_tools,
        contract.tools,
        held_tools=tuple(name for name in contract.callable_tools() if name not in listed),
        facts=contract.facts,
        has_models=bool(contract.tier),
        source=contract.source,
        allow_sources=contract.allow_sources,
        provenance=contract.provenance,
    )
    return replace(
        compiled,
        is_observing=contract.enforce is Enforce.OBSERVE,
        plan=contract.plan,
        audience=contract.audience,
        audience_source=contract.audience_source or contract.source,
    )


def compile_policy(
    rules: Iterable[Rule],
    allow_tools: Collection[ToolName],
    tools: Mapping[ToolName, ToolSpec],
    *,
    held_tools: Collection[ToolName] = (),
    facts: Mapping[str, FactSpec] | None = None,
    has_models: bool = False,
    source: SourceRef = BUILT_IN,
    allow_sources: Mapping[ToolName, SourceRef] | None = None,
    provenance: ProvenanceRules = _BY_DEFAULT,
) -> CompiledPolicy:
    """Compile rules to closures, indexed by tool.

    Args:
        rules: the rule IR; the order is that of the reasons of a decision.
        allow_tools: the tools that may run by themselves.
        tools: every tool that the contract can name.
        held_tools: the tools that may run after a hold only: denied ones with an approval row.
        facts: the contract's facts, from which reads and their order follow.
        has_models: whether the contract has a model at all.
        source: the contract, for what has no line of its own.
        allow_sources: the line that lists each tool.
        provenance: what the contract says of the default rules on labels.
    """
    every = tuple(rules)
    facts = facts or {}
    sources = allow_sources or {}
    plans = {}
    for name, spec in tools.items():
        listing = Reason(rule=RuleId("allow_tools"), then=Then.ALLOW, source=sources.get(name, source), text=_LISTED)
        plans[name] = _plan(
            spec,
            tuple(_rule_test(rule, spec) for rule in every if _speaks_of(rule, spec)),
            facts,
            listed=(listing,) if name in allow_tools else (),
            is_held=name in held_tools,
            labels=partial(label_plan, spec, provenance, source=source),
        )
    return CompiledPolicy(
        plans=plans,
        listed_count=len({*allow_tools, *held_tools}),
        own_reads=own_reads(facts, tools),
        models=(Reason(rule=MODELS, then=Then.ALLOW, source=source, text=_MODELS),) if has_models else (),
        source=source,
        facts=facts,
    )


MODELS = RuleId("models")
_MODELS = "the contract's models, within its budget"
_LISTED = "the contract lists this tool, and no rule stands against this call"


def _plan(
    spec: ToolSpec,
    tests: tuple[RuleTest, ...],
    facts: Mapping[str, FactSpec],
    *,
    listed: tuple[Reason, ...],
    is_held: bool,
    labels: Callable[..., LabelPlan | None],
) -> ToolPlan:
    conditions = tuple(test.condition for test in tests if test.condition is not None)
    label_paths = frozenset[AttributePath]().union(*(condition.label_reads for condition in conditions))
    reads = label_paths.union(*(condition.reads for condition in conditions))
    wanted = {path[1] for path in reads if path[0] == "facts" and len(path) > 1}
    wanted |= once_per_facts(spec)
    if spec.amount_fact and any(test.threshold is not None for test in tests):
        wanted.add(spec.amount_fact.removeprefix("facts.").split(".")[0])
    rows = [rule.approval for rule in (test.rule for test in tests) if _is_row(rule) and rule.approval is not None]
    return ToolPlan(
        spec=spec,
        denies=index_rules(test for test in tests if test.rule.then is Then.DENY),
        holds=index_rules(test for test in tests if test.rule.then is Then.HOLD),
        allows=index_rules(test for test in tests if test.rule.then is Then.ALLOW),
        is_listed=bool(listed),
        is_held=is_held,
        listed=listed,
        call={"tool": spec.name, "effect": spec.effect.value},
        row=joined(rows, default_source=rows[0].source) if rows else None,
        facts=facts_in_order(wanted, facts),
        label_paths=tuple(sorted(label_paths)),
        labels=labels(bounded=_bounded(spec, tests)),
        asking=tuple(condition for condition in conditions if condition.asks),
        only_holds=(LABEL_RULES | PLAN_RULES).union(test.rule.id for test in tests if test.rule.only_narrows),
    )


def _rule_test(rule: Rule, spec: ToolSpec) -> RuleTest:
    """Both parts of a rule must be true; unknown in one and not false in the other is unknown."""
    condition = None if rule.when is None else compile_condition(rule.when)
    threshold = None if rule.threshold_usd is None else threshold_of(spec, rule.threshold_usd)
    test = always(truth=True)
    if condition is not None:
        test = condition.evaluate
    if threshold is not None:
        test = threshold.test if condition is None else _and(condition.evaluate, threshold.test)
    return RuleTest(rule=rule, test=test, condition=condition, threshold=threshold)


def _bounded(spec: ToolSpec, tests: tuple[RuleTest, ...]) -> frozenset[str]:
    """The arguments that a threshold or a rule compares: what bounds an amount, whoever named it."""
    easing = [test for test in tests if not test.rule.only_narrows]
    compared = {
        path[1]
        for test in easing
        if test.condition is not None
        for path in test.condition.reads
        if path[0] == "args" and len(path) > 1
    }
    if any(test.threshold is not None for test in easing):
        compared |= {name for name, arg in spec.args.items() if arg.role is ArgRole.AMOUNT}
    return frozenset(compared)


def _and(one: Test, other: Test) -> Test:
    def test(env: ConditionEnv) -> Truth:
        first, second = one(env), other(env)
        if first is False or second is False:
            return False
        return None if first is None or second is None else True

    return test


def _speaks_of(rule: Rule, spec: ToolSpec) -> bool:
    # Declaring a plan does nothing yet; rules are about the calls that follow.
    if isinstance(spec.origin, BuiltInOrigin):
        return False
    return (not rule.tools or spec.name in rule.tools) and (not rule.effects or spec.effect.value in rule.effects)


def _is_row(rule: Rule) -> bool:
    """An approval row has a requirement and no condition of its own; it speaks for every hold of its tool."""
    return rule.then is Then.HOLD and rule.approval is not None and rule.when is None
