"""The head of the transcript: what the returns desk may do, must ask for, stops at and leaves behind.

Knows: how a contract reads as five lines.  Never: names a number or a tool that does not stand in the contract.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from examples.returns_desk.screen import Screen
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.contracts import Contract
from leverframe.domain.policy import ApprovalRequirement, Rule, Then
from leverframe.domain.tools import ArgRole, ToolSpec

_MICRO: Final = 1_000_000
_TARGETS: Final = frozenset({ArgRole.SELECTOR, ArgRole.RECIPIENT})


def show_readiness(contract: Contract, screen: Screen) -> None:
    """Print the contract as a person would say it."""
    screen.line()
    who = f"{contract.workflow}   A language model may do this, and nothing else"
    screen.line(f"{who:<72}{contract.source.file}")
    for label, text in _lines(contract):
        screen.line(f"{label:<11}{text}", indent=2)


def _lines(contract: Contract) -> Iterator[tuple[str, str]]:
    yield "may", may(contract)
    for position, rule in enumerate(rule for rule in contract.rules if rule.then is Then.DENY and rule.reason):
        yield (
            "" if position else "always",
            f"{rule.reason[0].lower()}{rule.reason[1:].removesuffix('.')}   {_place(rule)}",
        )
    for condition, tools in _asked(contract).items():
        yield "must ask", ", ".join(sorted(tools))
        yield "", condition
    yield "stops at", stops(contract)
    leaves = "who asked for what, what it read, which rule allowed it, who approved, what it cost"
    yield "leaves", leaves
    hidden = _listed(sorted(contract.logging.redact_fields))
    yield "", f"for {contract.logging.retain_days} days, and {hidden} are never shown"


def may(contract: Contract) -> str:
    """`6 reads, 7 writes, calculate, transfer_to_human_agents`: what names no record of the shop stands by its name."""
    specs = [contract.tools[name] for name in contract.allow_tools]
    plain = [spec for spec in specs if not _stands_apart(spec)]
    writes = sum(spec.effect.is_write for spec in plain)
    apart = [spec.name for spec in specs if _stands_apart(spec)]
    return ", ".join([f"{len(plain) - writes} reads", f"{writes} writes", *apart])


def stops(contract: Contract) -> str:
    """`20 tool calls, 4 model calls, $0.05, 90 s; then a person of queue:tier2 gets the case`."""
    limits = contract.budget.limits
    words = {
        BudgetUnit.TOOL_CALLS: "{} tool calls",
        BudgetUnit.MODEL_CALLS: "{} model calls",
        BudgetUnit.USD: "${}",
        BudgetUnit.WALL_US: "{} s",
    }
    parts = [text.format(_amount(unit, limits[unit])) for unit, text in words.items() if unit in limits]
    queue = contract.fallback.handoff_queue if contract.fallback is not None else ""
    return ", ".join(parts) + (f"; then a person of queue:{queue} gets the case" if queue else "; then it stops")


def _asked(contract: Contract) -> dict[str, set[str]]:
    """From when on a person must answer, and who, with the tools that this is said of."""
    asked: dict[str, set[str]] = {}
    for rule in contract.rules:
        if rule.threshold_usd is not None and rule.approval is not None:
            asked.setdefault(_condition(rule.threshold_usd, rule.approval), set()).update(rule.tools)
    return asked


def _condition(threshold_usd: Decimal, asks: ApprovalRequirement) -> str:
    from_whom = _listed([f"group:{name}" for name in asks.from_groups] or ["the role approver"], word="or")
    people = "one" if asks.quorum == 1 else str(asks.quorum)
    never = _listed(sorted(asks.distinct_from), word="or the")
    return f"of ${threshold_usd:,.2f} or more: {people} of {from_whom}, never the {never} of the run"


def _stands_apart(spec: ToolSpec) -> bool:
    """Broad tools, and writes that name no record of the shop."""
    names_record = any(arg.role in _TARGETS for arg in spec.args.values())
    return bool(spec.broad_because) or (spec.effect.is_write and not names_record)


def _amount(unit: BudgetUnit, limit: int) -> str:
    if unit is BudgetUnit.USD:
        return f"{Decimal(limit) / _MICRO:.2f}"
    return f"{limit // _MICRO if unit is BudgetUnit.WALL_US else limit}"


def _place(rule: Rule) -> str:
    return str(rule.source).rsplit("/", 1)[-1]


def _listed(words: Iterable[str], *, word: str = "and") -> str:
    *first, last = words
    return f"{', '.join(first)} {word} {last}" if first else last
