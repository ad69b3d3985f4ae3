"""What loads and is probably not what was meant, and what a reader should know: warnings and notes of a contract.

Also the errors that need both the contract and its project: an amount that no tool names, a quorum nobody reaches.
"""

from collections.abc import Iterator
from decimal import Decimal

from leverframe.config.contract import ContractDraft
from leverframe.config.findings import Findings, Mark, did_you_mean
from leverframe.config.people import check_owner, check_people
from leverframe.config.policy_draft import PolicyDraft, RowDraft
from leverframe.config.project_file import ProjectFile
from leverframe.config.surroundings import Surroundings
from leverframe.domain.conditions import And, Compare, Expr, History, In, Items, Not, Or, Path, Size, StartsWith, Sum
from leverframe.domain.contracts import ToolStep
from leverframe.domain.policy import Rule, Then
from leverframe.domain.tools import ArgRole

# EU AI Act, articles 19 and 26: logs are kept for at least six months.
_SIX_MONTHS_DAYS = 183


def lint_contract(draft: ContractDraft, around: Surroundings) -> None:
    """Add the findings of one contract."""
    findings = around.findings
    for row in draft.policy.rows.values():
        _lint_row(row, draft, around)
    for tool, at in draft.policy.deny.items():
        if tool in draft.policy.allow and tool not in draft.policy.rows:
            findings.warning(
                at,
                "denied-and-allowed",
                f"{tool!r} is in allow_tools and in deny_tools, and deny wins: it never runs.",
                "Delete it from one of the lists.",
            )
    for rule in draft.policy.rules:
        _lint_rule(rule, draft.policy, findings)
    if draft.logging.retain_days < _SIX_MONTHS_DAYS:
        findings.note(
            draft.section.section("logging").place("retain_days"),
            "retain-days-short",
            f"Records are kept for {draft.logging.retain_days} days; the EU AI Act (Art. 19, 26) asks for six months.",
            "Where it applies to you, write 183 or more.",
        )
    for loaded in draft.tools.values():
        if loaded.spec.broad_because:
            findings.note(
                draft.at,
                "broad-tool",
                f"{draft.workflow!r} can name {loaded.spec.name!r} ({loaded.at.ref}), which is broad: "
                f"{loaded.spec.broad_because}",
            )
    _lint_environments(draft, findings)
    _lint_steps(draft, findings)
    if around.project is not None:
        _lint_project(draft, around.project, around)


def _lint_project(draft: ContractDraft, project: ProjectFile, around: Surroundings) -> None:
    check_owner(draft.section, project, around.findings)
    for row in draft.policy.rows.values():
        check_people(row, project, around.findings)
    needs_model = draft.kind.value == "agent" or any(hasattr(step, "prompt") for step in draft.steps)
    if needs_model and not draft.tier:
        around.findings.warning(
            draft.at,
            "no-model",
            f"{draft.workflow!r} has no model: leverframe.yaml names no tier in `models`.",
            "For example: models: {fast: [openai/gpt-5-mini]}",
        )


def _lint_row(row: RowDraft, draft: ContractDraft, around: Surroundings) -> None:
    tool, threshold = row.row.tool, row.row.threshold_usd
    policy = draft.policy
    if tool in policy.deny:
        if threshold is not None:
            around.findings.warning(
                row.section.place("threshold_usd"),
                "threshold-has-no-effect",
                f"deny_tools names {tool!r}, so every call is held, whatever its amount.",
                f"move {tool} to allow_tools to let amounts below {threshold:f} through",
            )
        return
    if tool not in policy.allow:
        around.findings.warning(
            row.at,
            "approval-has-no-effect",
            f"{tool!r} is in neither allow_tools nor deny_tools, and an approval row alone makes nothing callable.",
            f"Add {tool} to allow_tools, or to deny_tools to hold every call.",
        )
        return
    if threshold is not None:
        _lint_threshold(row, threshold, draft, around)


def _lint_threshold(row: RowDraft, threshold: Decimal, draft: ContractDraft, around: Surroundings) -> None:
    tool = row.row.tool
    place = row.section.place("threshold_usd")
    loaded = draft.tools.get(tool)
    amounts = [] if loaded is None else [name for name, arg in loaded.spec.args.items() if arg.role is ArgRole.AMOUNT]
    if not any(_sums(rule.when, tool) for rule in draft.policy.rules if rule.then is not Then.ALLOW and rule.when):
        name = amounts[0] if amounts else "AMOUNT"
        by_sum = f'history.sum("{tool}", "{name}", "24h", "subject") + args.{name} > LIMIT'
        by_count = f'history.count("{tool}", "24h", "subject") >= LIMIT'
        around.findings.note(
            place,
            "threshold-can-be-split",
            f"Several calls of {tool!r}, each just below {threshold:f}, all pass.",
            f"Add a hold rule: when: {by_count if loaded is not None and not amounts else by_sum}",
        )
    if loaded is None:
        return
    if not amounts and not loaded.spec.amount_fact:
        around.findings.error(
            place,
            "amount-missing",
            f"{tool!r} names no amount, so the threshold has nothing to compare.",
            f"At {loaded.at.ref}, give an argument the role amount, or write amount: {{usd: facts.NAME}}.",
        )
    fact = loaded.spec.amount_fact.split(".")[1] if loaded.spec.amount_fact else ""
    if fact and fact not in draft.facts.specs:
        around.findings.error(
            place,
            "unknown-fact",
            f"{tool!r} takes its amount from {loaded.spec.amount_fact!r} ({loaded.at.ref}), "
            f"and this contract has no fact {fact!r}.",
            did_you_mean(fact, draft.facts.specs) or f"Declare it under facts: {fact}.",
        )


def _lint_rule(rule: Rule, policy: PolicyDraft, findings: Findings) -> None:
    at = policy.places[rule.id]
    if rule.when is not None and _is_self_asserted(rule.when):
        findings.warning(
            at,
            "self-asserted-owner",
            f"The rule {rule.id!r} compares an argument with run.subject, and an argument is the agent's claim.",
            "Read who owns the thing as a fact, and compare that: facts.order.customer_id != run.subject.",
        )
    if rule.then is Then.ALLOW:
        outside = sorted(rule.tools - set(policy.allow))
        if outside:
            findings.warning(
                at,
                "rule-has-no-effect",
                f"The rule {rule.id!r} allows {outside[0]!r}, which allow_tools does not name; "
                "an allow rule only selects within it.",
                f"Add {outside[0]} to allow_tools, or delete it here.",
            )
    if rule.then is Then.HOLD:
        held = {*policy.allow, *(tool for tool in policy.deny if tool in policy.rows)}
        for tool in sorted(rule.tools - held):
            findings.warning(
                at,
                "rule-has-no-effect",
                f"The rule {rule.id!r} holds {tool!r}, which never runs: a hold rule makes nothing callable.",
                f"Add {tool} to allow_tools, or give it an approval row.",
            )


def _lint_environments(draft: ContractDraft, findings: Findings) -> None:
    for tool in draft.tools.values():
        only = tool.spec.environments
        if only and not only & set(draft.environments):
            findings.warning(
                draft.policy.allow.get(tool.spec.name, draft.at),
                "environment-mismatch",
                f"{tool.spec.name!r} may be called in {', '.join(sorted(only))} only, and this workflow runs in "
                f"{', '.join(draft.environments)}.",
                f"Add one of them at {tool.at.ref}.",
            )


def _lint_steps(draft: ContractDraft, findings: Findings) -> None:
    policy = draft.policy
    for step in draft.steps:
        if not isinstance(step, ToolStep):
            continue
        is_held = step.tool in policy.deny and step.tool in policy.rows
        if not is_held and (step.tool not in policy.allow or step.tool in policy.deny):
            findings.error(
                Mark(step.source.file, step.source.line, 1),
                "step-never-runs",
                f"The step calls {step.tool!r}, which the contract's policy never lets run.",
                f"Add {step.tool} to allow_tools, or to deny_tools with an approval row to hold it.",
            )


def _is_self_asserted(expr: Expr) -> bool:
    for each in _walk(expr):
        if isinstance(each, Compare):
            roots = {(side.root, side.keys[:1]) for side in (each.left, each.right) if isinstance(side, Path)}
            if ("run", ("subject",)) in roots and any(root == "args" for root, _ in roots):
                return True
    return False


def _sums(expr: Expr, tool: str) -> bool:
    return any(
        isinstance(each, History) and each.kind in {"sum", "count"} and each.tool == tool for each in _walk(expr)
    )


def _walk(expr: Expr) -> Iterator[Expr]:
    """An expression and all parts of it."""
    waiting: list[Expr] = [expr]
    while waiting:
        each = waiting.pop()
        yield each
        match each:
            case And(operands=parts) | Or(operands=parts):
                waiting.extend(parts)
            case Not(operand=part) | Size(operand=part):
                waiting.append(part)
            case Compare(left=left, right=right):
                waiting.extend((left, right))
            case In(item=item, container=container):
                waiting.extend((item, container))
            case StartsWith(subject=subject, prefix=prefix):
                waiting.extend((subject, prefix))
            case Sum(first=first, rest=rest):
                waiting.extend((first, *(part for _, part in rest)))
            case Items(items=parts):
                waiting.extend(parts)
            case _:
                pass
