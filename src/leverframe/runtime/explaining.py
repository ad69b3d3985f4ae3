"""What a workflow's policy would say about a call: decided as the door decides, with nothing read and nothing done.

Knows: what stands in for what the door would read: facts that are given, an empty history, the budgets of a new run.
Never: reads the store, calls a tool, or runs the project's functions; what is not given is unknown, and said so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from leverframe.core.argument_labels import label_args
from leverframe.core.explain import Trace, explain
from leverframe.core.nearest import nearest
from leverframe.core.places import label_at
from leverframe.core.policy import CompiledPolicy, Question, compile_contract, needed_facts, needed_history
from leverframe.core.provenance import ValueIndex, index_input, label_output
from leverframe.core.token_types import compile_types
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.conditions import HistoryQuery
from leverframe.domain.contracts import Contract, FactSpec, Project, ToolFact
from leverframe.domain.errors import NotFound
from leverframe.domain.ids import EnvironmentName, PrincipalId, TenantId, ToolName, WindowId
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import UNTRACED, Integrity, Label
from leverframe.domain.plans import DECLARE_PLAN, PlanState
from leverframe.domain.policy import Fact, Known, RunFacts, Unreadable
from leverframe.runtime.context import input_value
from leverframe.runtime.origins import Argument
from leverframe.runtime.run_limits import fresh_windows
from leverframe.runtime.schemas import schema_error

_NOT_GIVEN = "not given; explaining makes no call"


@dataclass(frozen=True, slots=True, kw_only=True)
class SupposedCall:
    """A call that somebody asks about, in a run that need not exist.  `facts`: what the door would have read."""

    tool: ToolName
    args: JsonObject
    tenant: TenantId
    environment: EnvironmentName
    subject: str | None = None
    input: JsonObject = field(default_factory=dict)
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """The trace of a supposed call, and what it rests on.

    `unknown`: facts that its rules read and nobody gave.  `supposed`: the history that was taken for empty.
    `arguments`: where each value came from, by the input that was given; `are_values_supposed`: none was, and so the
    default rules on labels were not asked.
    """

    trace: Trace
    arguments: tuple[Argument, ...]
    are_values_supposed: bool
    unknown: tuple[str, ...]
    supposed: tuple[HistoryQuery, ...]
    is_once_supposed: bool  # the tool has a `once_per`, and the act was taken for new


def explain_call(project: Project, contract: Contract, call: SupposedCall) -> Explained:
    """Decide a supposed call and trace the decision.

    Raises:
        NotFound: a fact is given that the contract does not have.
    """
    policy = compile_contract(contract)
    spec = contract.tools.get(call.tool)
    run = _run_facts(contract, call)
    facts = _facts(contract, needed_facts(policy, call.tool), call)
    queries = needed_history(policy, call.tool, call.args, facts, run)
    values = _values(project, contract, call)
    labels = {} if spec is None else label_args(call.args, spec.args, values, spec.input_schema)
    supposed = tuple(query for query in queries if query.scope != "subject" or run.subject)
    question = Question(
        tool=call.tool,
        spec=spec,
        args=call.args,
        run=run,
        schema_error=schema_error(spec.input_schema, call.args) if spec is not None else "",
        facts=facts,
        history={query: _nothing(query) for query in supposed},
        windows=fresh_windows(contract, WindowId("run/supposed")),
        cost={BudgetUnit.TOOL_CALLS: 1, BudgetUnit.STEPS: 1, BudgetUnit.USD: spec.cost if spec is not None else 0},
        arg_labels=labels,
        union=values.union if call.input else None,
        plan=_supposed_plan(policy, call),
    )
    return Explained(
        trace=explain(question, policy),
        arguments=tuple(_argument(name, value, labels.get(name, UNTRACED)) for name, value in call.args.items()),
        are_values_supposed=not call.input,
        unknown=tuple(name for name, fact in facts.items() if isinstance(fact, Unreadable)),
        supposed=supposed,
        is_once_supposed=spec is not None and spec.once_per is not None,
    )


def _supposed_plan(policy: CompiledPolicy, call: SupposedCall) -> PlanState | None:
    """A plan that has room for this very call, since what a run would have declared is not known."""
    if policy.plan is None:
        return None
    tools = None if call.tool == DECLARE_PLAN else {call.tool: 1}
    return PlanState(tools=tools, planner=Integrity.USER, declared=0)


def _run_facts(contract: Contract, call: SupposedCall) -> RunFacts:
    found = input_value(call.input, contract.subject) if contract.subject else None
    from_input = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else None
    return RunFacts(
        run_id="run_supposed",
        tenant=call.tenant,
        environment=call.environment,
        workflow=contract.workflow,
        initiator=PrincipalId(f"agent:{contract.workflow}"),
        subject=call.subject or from_input,
        input=call.input,
    )


def _facts(contract: Contract, needed: tuple[str, ...], call: SupposedCall) -> dict[str, Fact]:
    for name in call.facts:
        if name not in contract.facts:
            near = nearest(name, contract.facts)
            raise NotFound(
                f"Workflow {contract.workflow!r} has no fact {name!r}.",
                next_move=f"Did you mean {near!r}?" if near else f"It has: {', '.join(contract.facts) or 'none'}.",
            )
    facts: dict[str, Fact] = {}
    for name in needed:
        if name in call.facts:
            value = call.facts[name]
            facts[name] = Known(value=value, label=_label(contract, contract.facts[name], value))
        else:
            facts[name] = Unreadable(why=_NOT_GIVEN)
    return facts


def _label(contract: Contract, spec: FactSpec, value: Json) -> Label:
    """The label that the fact's own tool declares for such an answer; a computed one is untraced here."""
    tool = contract.tools.get(spec.tool) if isinstance(spec, ToolFact) else None
    return UNTRACED if tool is None else label_at(label_output(value, tool, step=f"facts.{spec.name}"), "")


def _values(project: Project, contract: Contract, call: SupposedCall) -> ValueIndex:
    """What has entered such a run: its input, and no answer of a tool."""
    types = compile_types(project.types)
    return index_input(call.input, opener=Integrity.USER, trust=contract.input_trust, types=types)


def _argument(name: str, value: Json, label: Label) -> Argument:
    return Argument(
        name=name,
        value=value,
        integrity=label.integrity.word,
        confidentiality=label.confidentiality.word,
        origin=label.origin,
    )


def _nothing(query: HistoryQuery) -> int | bool:
    """The answer of a history in which nothing has happened."""
    return False if query.kind == "seen" else 0
