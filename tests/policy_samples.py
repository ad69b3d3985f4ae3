"""Small policies and calls that tests of the core build on: a shop with a read, a draft and a refund."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from leverframe.core.conditions import parse
from leverframe.core.policy import ApprovalRow, CompiledPolicy, Question, compile_policy, rules_of_lists
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.contracts import FactSpec
from leverframe.domain.ids import PrincipalId, RuleId, Sha256, ToolName, WindowId
from leverframe.domain.labels import Integrity, Label
from leverframe.domain.policy import ApprovalRequirement, Known, Rule, RunFacts, SourceRef, Then
from leverframe.domain.tools import ArgRole, ArgSpec, EffectClass, PythonOrigin, ToolSpec

LOOKUP, DRAFT, REFUND = ToolName("lookup_order"), ToolName("create_refund_draft"), ToolName("issue_refund")
CONTRACT = "workflows/refund_request.yaml"
USER = Label(integrity=Integrity.USER)
RECORD = Label(integrity=Integrity.TENANT_RECORD)

RUN = RunFacts(
    run_id="run_1",
    tenant="acme",
    environment="prod",
    workflow="refund_request",
    initiator=PrincipalId("agent:refund_request"),
    subject="c_1",
    input={"message": "Please refund #W0000001"},
)


def at(line: int) -> SourceRef:
    return SourceRef(file=CONTRACT, line=line)


def tool(name: ToolName, effect: EffectClass = EffectClass.READ, **changes: object) -> ToolSpec:
    spec = ToolSpec(
        name=name,
        version=1,
        origin=PythonOrigin(file="tools/shop.py", function=name),
        effect=effect,
        description="",
        input_schema={"type": "object"},
        output_schema=None,
        schema_sha256=Sha256("0" * 64),
        source=SourceRef(file=f"tools/{name}.yaml", line=1),
    )
    return replace(spec, **changes)  # type: ignore[arg-type]  # the caller names fields of ToolSpec


REFUND_SPEC = tool(
    REFUND,
    EffectClass.KEYED,
    args={
        "order_id": ArgSpec(role=ArgRole.SELECTOR, type="order_id"),
        "amount_usd": ArgSpec(role=ArgRole.AMOUNT),
        "note": ArgSpec(role=ArgRole.FREE_TEXT),
    },
)
TOOLS: Mapping[ToolName, ToolSpec] = {
    LOOKUP: tool(LOOKUP),
    DRAFT: tool(DRAFT, EffectClass.IDEMPOTENT),
    REFUND: REFUND_SPEC,
}


def rule(rule_id: str, then: Then, when: str = "", *, tools: tuple[ToolName, ...] = (REFUND,), line: int = 31) -> Rule:
    return Rule(
        id=RuleId(rule_id),
        then=then,
        tools=frozenset(tools),
        source=at(line),
        when=parse(when) if when else None,
    )


def row(threshold: str | None = "50", *, name: ToolName = REFUND, line: int = 13) -> ApprovalRow:
    return ApprovalRow(
        tool=name,
        requirement=ApprovalRequirement(source=at(line)),
        threshold_usd=None if threshold is None else Decimal(threshold),
        threshold_source=None if threshold is None else at(line + 1),
    )


def policy(
    *rules: Rule,
    allow: tuple[ToolName, ...] = (LOOKUP, DRAFT, REFUND),
    deny: tuple[ToolName, ...] = (),
    rows: tuple[ApprovalRow, ...] = (),
    tools: Mapping[ToolName, ToolSpec] = TOOLS,
    facts: Mapping[str, FactSpec] | None = None,
    has_models: bool = True,
) -> CompiledPolicy:
    with_row = {each.tool for each in rows}
    return compile_policy(
        (*rules_of_lists({name: at(11) for name in deny}, rows), *rules),
        allow,
        tools,
        held_tools=tuple(name for name in deny if name in with_row and name not in allow),
        facts=facts,
        has_models=has_models,
        source=at(1),
        allow_sources={name: at(7 + index) for index, name in enumerate(allow)},
    )


def seed_policy(*, allow_refund: bool = False) -> CompiledPolicy:
    """The seed contract; `allow_refund` moves issue_refund from deny_tools to allow_tools."""
    if allow_refund:
        return policy(rows=(row(),))
    return policy(allow=(LOOKUP, DRAFT), deny=(REFUND,), rows=(row(),))


def ask(name: ToolName = REFUND, spec: ToolSpec | None = None, /, **args: object) -> Question:
    chosen = spec or TOOLS.get(name)
    return Question(tool=name, spec=chosen, args=args, run=RUN)  # type: ignore[arg-type]  # JSON by the caller's word


def refund(amount: object = Decimal("49.99")) -> Question:
    return ask(REFUND, order_id="#W0000001", amount_usd=amount)


def window(unit: BudgetUnit, limit: int, *, settled: int = 0, reserved: int = 0, key: str = "") -> Window:
    return Window(
        window_id=WindowId("run/run_1"),
        unit=unit,
        limit=limit,
        settled=settled,
        reserved=reserved,
        source=at(3),
        key=key or f"max_{unit.value}",
    )


def known(value: object, label: Label = RECORD) -> Known:
    return Known(value=value, label=label)
