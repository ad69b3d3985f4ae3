"""The lists and approval rows of a contract as rules.

Knows: what `deny_tools` and `approval.required_for` mean together.  Never: decides a call.
Source: docs/reference/contract.md, "Meaning, where it matters".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from leverframe.domain.ids import RuleId, ToolName
from leverframe.domain.policy import ApprovalRequirement, IgnoredLine, Rule, SourceRef, Then


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRow:
    """One row of `approval.required_for`; `threshold_usd` None holds every call of its tool.

    `is_narrowed`: an overlay holds more than its contract, whose own row holds from `own_threshold_usd`, or nothing.
    """

    tool: ToolName
    requirement: ApprovalRequirement  # its `source` is the row
    threshold_usd: Decimal | None = None
    threshold_source: SourceRef | None = None
    is_narrowed: bool = False
    own_threshold_usd: Decimal | None = None


def rules_of_lists(deny_tools: Mapping[ToolName, SourceRef], rows: Sequence[ApprovalRow]) -> tuple[Rule, ...]:
    """Compile the lists to rules.

    A denied tool without a row is denied; with one it is held on every call, also where `allow_tools` names it, and a
    threshold there is an ignored line.  A row of any other tool holds at or above its threshold.  Whether a tool may
    be called at all is not said here: a row alone makes nothing callable.  Of a row that an overlay narrowed, what the
    contract itself holds is a rule of its own: only that stands in for an allow rule.
    """
    with_row = {row.tool for row in rows}
    denied = tuple(
        Rule(
            id=RuleId("deny_tools"),
            then=Then.DENY,
            tools=frozenset({tool}),
            source=source,
            reason=f"deny_tools names {tool!r} and no approval row does",
        )
        for tool, source in deny_tools.items()
        if tool not in with_row
    )
    return (*denied, *(rule for row in rows for rule in _rules_of_row(row, is_denied=row.tool in deny_tools)))


def _rules_of_row(row: ApprovalRow, *, is_denied: bool) -> Iterator[Rule]:
    yield _rule_of_row(row, is_denied=is_denied)
    if row.is_narrowed and row.own_threshold_usd is not None:
        own = replace(row, threshold_usd=row.own_threshold_usd, is_narrowed=False, own_threshold_usd=None)
        yield _rule_of_row(own, is_denied=False)


def _rule_of_row(row: ApprovalRow, *, is_denied: bool) -> Rule:
    threshold = None if is_denied else row.threshold_usd
    ignored = None
    if is_denied and row.threshold_usd is not None:
        ignored = IgnoredLine(
            source=row.threshold_source or row.requirement.source,
            text=f"threshold_usd {row.threshold_usd:f} changes nothing: deny_tools names {row.tool}, so every call is "
            f"held; move {row.tool} to allow_tools to let amounts below {row.threshold_usd:f} through",
        )
    name = "approval" if threshold is None else f"over-{threshold:f}"
    return Rule(
        id=RuleId(f"{row.tool}/{name}"),
        then=Then.HOLD,
        tools=frozenset({row.tool}),
        source=row.requirement.source,
        threshold_usd=threshold,
        approval=row.requirement,
        ignored=ignored,
        only_narrows=row.is_narrowed,
    )
