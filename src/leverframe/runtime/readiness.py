"""The readiness card of a workflow: what it may do, where it stops, what an incident would leave; and what is missing.

Knows: how a loaded contract answers the three questions that somebody asks before an agent gets write access.
Never: reads a run; the record is that of a dry run (`wiring.dry_run`), made by the door itself.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from leverframe.core.approvals import may_answer
from leverframe.core.conditions.printer import render
from leverframe.core.policy import CompiledPolicy, compile_contract
from leverframe.core.policy.compiled import ToolPlan
from leverframe.core.policy.matching import RuleTest
from leverframe.core.policy.requirements import joined
from leverframe.core.shared_budgets import SHARED_KEYS, budget_id
from leverframe.domain.approvals import Approval
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.contracts import Contract, Enforce, Fallback, ModelStep, Person, Project, WorkflowKind
from leverframe.domain.ids import ApprovalId, PrincipalId, RunId, Sha256, StepPath, TenantId, ToolName, WindowId
from leverframe.domain.money import usd_text
from leverframe.domain.policy import ApprovalRequirement, SourceRef, Then
from leverframe.domain.time import duration_text
from leverframe.domain.tools import McpOrigin, ToolSpec
from leverframe.runtime.run_limits import UNLIMITED, fresh_windows

_SOME_TIME = datetime(2000, 1, 1, tzinfo=UTC)
_US = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One rule that speaks about a tool.  `who` is set where a person must answer."""

    then: Then
    rule: str
    when: str  # "every call", "$50 or more", or the condition as it is written
    source: SourceRef
    who: ApprovalRequirement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedTool:
    """One tool that the workflow may ask for.  `by_itself`: without a person, as long as no condition matches."""

    tool: ToolName
    effect: str
    by_itself: bool
    source: SourceRef
    conditions: tuple[Condition, ...]
    broad_because: str = ""
    unguarded: str = ""  # how its server reaches the network past the egress guard; empty where it cannot


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One condition that ends a run, and where it is written."""

    what: str
    source: SourceRef


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftEntry:
    """One entry of the dry run's record: its type, and the names of its fields."""

    type: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that is missing before an agent should get write access.  `part`: 1 actions, 2 stops, 3 record."""

    part: int
    code: str
    text: str
    next_move: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What a call of one tool left when nothing was sent.  `tool` empty: the workflow may call none."""

    tool: str
    leaves: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The card of one workflow in one environment."""

    contract: Contract
    models: tuple[str, ...]
    actions: tuple[AllowedTool, ...]
    own_reads: tuple[ToolName, ...]  # what the door reads by itself for facts and reconcile
    stops: tuple[Stop, ...]
    follows: str
    record_of: str
    record: tuple[LeftEntry, ...]
    gaps: tuple[Gap, ...] = field(default=())


def readiness(
    project: Project,
    contract: Contract,
    dry: DryRun,
    *,
    people: Mapping[PrincipalId, Person],
    launcher: PrincipalId,
) -> Card:
    """Write the card, and find what is missing.

    Args:
        project: loaded.
        contract: of the workflow, in its environment.
        dry: what a dry run of its first write left.
        people: everyone whose answers the project takes.
        launcher: who would start runs.
    """
    policy = compile_contract(contract)
    actions = tuple(
        _allowed(policy.plans[name], contract, project) for name in contract.callable_tools() if name in policy.plans
    )
    stops = (*_stops(contract), *_shared_stops(project, contract))
    record = tuple(_entry(leaf) for leaf in dry.leaves)
    gaps = (
        *_action_gaps(project, contract, actions, people, launcher),
        *_stop_gaps(contract, policy),
        *_record_gaps(dry, record),
    )
    return Card(
        contract=contract,
        models=tuple(str(model) for model in project.tiers.get(contract.tier, ())),
        actions=actions,
        own_reads=tuple(sorted(policy.own_reads)),
        stops=stops,
        follows=_follows(contract.fallback),
        record_of=dry.tool,
        record=record,
        gaps=gaps,
    )


def _allowed(plan: ToolPlan, contract: Contract, project: Project) -> AllowedTool:
    return AllowedTool(
        tool=plan.spec.name,
        effect=plan.spec.effect.value,
        by_itself=plan.is_listed,
        source=contract.allow_sources.get(plan.spec.name, plan.row.source if plan.row else contract.source),
        conditions=tuple(_conditions(plan)),
        broad_because=plan.spec.broad_because,
        unguarded=_unguarded(plan.spec, project),
    )


def _unguarded(spec: ToolSpec, project: Project) -> str:
    """A process that has the network sends what it likes to whom it likes: no guard and no record sees it."""
    server = project.servers.get(spec.origin.server) if isinstance(spec.origin, McpOrigin) else None
    if server is None or not server.command:
        return ""
    if server.trusted_because:
        return f"server {server.name} is a process without a sandbox ({server.source}), since {server.trusted_because}"
    return f"server {server.name} has the network of this machine ({server.source})" if server.has_network else ""


def _conditions(plan: ToolPlan) -> Iterator[Condition]:
    for test in (*plan.denies.tests, *plan.holds.tests, *plan.allows.tests):
        yield Condition(
            then=test.rule.then,
            rule=test.rule.id,
            when=_when(test),
            source=test.rule.source,
            who=_who(plan, test) if test.rule.then is Then.HOLD else None,
        )
    once = plan.spec.once_per
    if once is not None:
        keys = " and ".join(once.keys)
        yield Condition(
            then=Then.HOLD,
            rule="once-per",
            when=f"the same {keys} again within {duration_text(once.within_s)}",
            source=plan.spec.source,
            who=plan.row or ApprovalRequirement(source=plan.spec.source),
        )


def _when(test: RuleTest) -> str:
    parts = []
    if test.rule.when is not None:
        parts.append(render(test.rule.when))
    if test.rule.threshold_usd is not None:
        parts.append(f"${test.rule.threshold_usd:f} or more")
    return " and ".join(parts) or "every call"


def _who(plan: ToolPlan, test: RuleTest) -> ApprovalRequirement:
    """The requirement that a hold by this rule alone would have: the rule's own, met with the tool's rows."""
    parts = [part for part in (plan.row, test.rule.approval) if part is not None]
    return joined(parts, default_source=test.rule.source)


def _stops(contract: Contract) -> Iterator[Stop]:
    for window in fresh_windows(contract, WindowId("run/card")):
        if window.limit < UNLIMITED:
            yield Stop(what=f"{window.key} {_amount(window.unit, window.limit)}", source=window.source)
    if contract.budget.max_total_s is not None:
        text = f"max_total_s {contract.budget.max_total_s} s, waits for people included"
        yield Stop(what=text, source=contract.source)
    if contract.output_schema is not None:
        yield Stop(what="an output that breaks `output:`", source=contract.source)
    for step in contract.steps:
        if not isinstance(step, ModelStep) or step.output_schema is not None:
            yield Stop(what=f"a step {step.name!r} that fails", source=step.source)


def _shared_stops(project: Project, contract: Contract) -> Iterator[Stop]:
    """The budgets that span runs: this one may be stopped by what others spend."""
    for budget in project.budgets:
        if budget.workflow in {None, contract.workflow}:
            name = budget_id(budget, budget.tenant or TenantId("*"))
            for unit, limit in budget.limits.items():
                what = f"budget {name}: {SHARED_KEYS[unit]} {_amount(unit, limit)}"
                yield Stop(what=what, source=budget.sources.get(unit, budget.source))


def _amount(unit: BudgetUnit, limit: int) -> str:
    match unit:
        case BudgetUnit.USD:
            return usd_text(limit)
        case BudgetUnit.WALL_US:
            return duration_text(limit / _US)
        case _:
            return f"{limit:,}"


def _follows(fallback: Fallback | None) -> str:
    if fallback is None:
        return "the run ends as `stopped`, and nobody is told"
    said = f", who is told: {fallback.say}" if fallback.say else ""
    if fallback.handoff_queue:
        return f"a person of queue:{fallback.handoff_queue} gets the case{said}"
    return f"the run ends as `stopped`{said}"


def _entry(leaf: bytes) -> LeftEntry:
    """The names in a leaf; those of its detail with their dot, the rest of its values left alone."""
    fields = json.loads(leaf)
    names = [name for name in fields if name not in {"v", "type", "detail"}]
    return LeftEntry(
        type=str(fields["type"]), fields=(*names, *(f"detail.{name}" for name in fields.get("detail", {})))
    )


def _action_gaps(
    project: Project,
    contract: Contract,
    actions: Sequence[AllowedTool],
    people: Mapping[PrincipalId, Person],
    launcher: PrincipalId,
) -> Iterator[Gap]:
    if not contract.owner:
        yield Gap(
            part=1, code="no-owner", text="nobody answers for this workflow", next_move="Add `owner: group:NAME`."
        )
    if contract.input_schema is None:
        yield Gap(
            part=1,
            code="no-input-schema",
            text="any input opens a run",
            next_move="Add `input:`, a JSON Schema with `required` and `additionalProperties: false`.",
        )
    if not actions:
        yield Gap(part=1, code="no-tools", text="it may call no tool", next_move="List one in `policy.allow_tools`.")
    for action in actions:
        if not contract.tools[action.tool].input_schema:
            yield Gap(
                part=1,
                code="no-argument-schema",
                text=f"{action.tool} takes any arguments",
                next_move=f"Give the tool an input schema ({contract.tools[action.tool].source}).",
            )
        for condition in action.conditions:
            if condition.who is not None:
                yield from _approver_gap(
                    project, contract, action.tool, condition.who, people=people, launcher=launcher
                )


def _approver_gap(
    project: Project,
    contract: Contract,
    tool: ToolName,
    asked: ApprovalRequirement,
    *,
    people: Mapping[PrincipalId, Person],
    launcher: PrincipalId,
) -> Iterator[Gap]:
    """A hold that too few people can answer, asked of the very function that judges answers."""
    for tenant in project.tenants:
        supposed = _supposed(contract, tenant, tool, asked, launcher)
        able = sum(may_answer(supposed, person) is None for person in people.values())
        if able < asked.quorum:
            text = f"a held {tool} of tenant {tenant} needs {asked.quorum} to answer, and {able} can ({asked.source})"
            yield Gap(
                part=1,
                code="no-approver",
                text=text,
                next_move="Name them under `people` in leverframe.yaml, with the group or the role approver.",
            )


def _supposed(
    contract: Contract, tenant: TenantId, tool: ToolName, asked: ApprovalRequirement, launcher: PrincipalId
) -> Approval:
    return Approval(
        approval_id=ApprovalId("apr_supposed"),
        tenant=tenant,
        run_id=RunId("run_supposed"),
        path=StepPath("0"),
        tool=tool,
        action_digest=Sha256(""),
        rules=(),
        requirement=asked,
        initiator=PrincipalId(f"agent:{contract.workflow}"),
        launcher=launcher,
        selector_digest=b"",
        asked_at=_SOME_TIME,
        decide_by=_SOME_TIME,
    )


def _stop_gaps(contract: Contract, policy: CompiledPolicy) -> Iterator[Gap]:
    if contract.fallback is None:
        yield Gap(
            part=2,
            code="no-fallback",
            text="a run that is stopped is handed to nobody",
            next_move='Add `fallback: {handoff: "queue:NAME", say: …}`.',
        )
    if contract.enforce is Enforce.OBSERVE:
        yield Gap(
            part=2,
            code="observed",
            text="it is only observed: of model calls and reads nothing is refused, and no limit stops them",
            next_move="Draft what was seen (leverframe policy draft --from-runs 7d), then take out `enforce: observe`.",
        )
    limits, has_model = contract.budget.limits, bool(policy.models) and contract.kind is WorkflowKind.AGENT
    wanted: list[tuple[bool, str, str]] = [
        (policy.listed_count > 0 and BudgetUnit.TOOL_CALLS not in limits, "max_tool_calls", "tool calls"),
        (has_model and not limits.keys() & _BOUNDS_MODEL, "max_usd", "what models may cost"),
        (BudgetUnit.WALL_US not in limits and contract.budget.max_total_s is None, "max_wall_s", "time"),
    ]
    for is_missing, key, what in wanted:
        if is_missing:
            text = f"nothing bounds {what} of a run"
            yield Gap(part=2, code="no-limit", text=text, next_move=f"Add `budget.{key}`.")


_BOUNDS_MODEL = frozenset({BudgetUnit.USD, BudgetUnit.MODEL_CALLS, BudgetUnit.OUTPUT_TOKENS})
_WRITE_LEAVES = ("run.started", "call.decided", "call.intended", "call.settled", "run.ended")


def _record_gaps(dry: DryRun, record: Sequence[LeftEntry]) -> Iterator[Gap]:
    if not dry.tool:
        return
    left = {entry.type for entry in record}
    missing = [name for name in _WRITE_LEAVES if name not in left]
    if missing:
        yield Gap(
            part=3,
            code="incomplete-record",
            text=f"a dry run of {dry.tool} left no {', '.join(missing)}",
            next_move=f"See why: leverframe policy explain {dry.tool}",
        )
