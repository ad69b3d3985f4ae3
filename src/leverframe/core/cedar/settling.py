"""What the permits, forbids and grants of a file mean together, for each of its tools.

Knows: in Cedar, a call that nothing permits is denied even where a `forbid` of it names `context.approved`; here a
hold rule makes an unpermitted call wait for a person.  Where the two would differ, a deny rule says the difference.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from leverframe.core.cedar.trees import Tree, negated
from leverframe.domain.conditions import Expr, Flag, Or
from leverframe.domain.errors import CedarUnsupported
from leverframe.domain.ids import RuleId, ToolName
from leverframe.domain.policy import Rule, SourceRef, Then

ALWAYS, NEVER = Flag(value=True), Flag(value=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One policy with its scope read; `when` is the tree of all its conditions."""

    name: str
    is_permit: bool
    tools: tuple[ToolName, ...]
    when: Tree
    workflow: str
    annotations: Mapping[str, str]


@dataclass(kw_only=True)
class Found:
    """What the policies of a file have said so far."""

    rules: list[Rule] = field(default_factory=list)
    listed: dict[ToolName, list[Expr]] = field(default_factory=dict)
    grants: list[tuple[Statement, Expr]] = field(default_factory=list)
    door_grants: dict[ToolName, None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def settle(found: Found, file: str) -> tuple[ToolName, ...]:
    """Add the rules that follow from several policies together; give the tools that may run after a hold only.

    Raises:
        CedarUnsupported: what a person may grant and what is held do not fit each other.
    """
    granted: dict[ToolName, list[tuple[Statement, Expr]]] = {}
    for statement, when in found.grants:
        for tool in statement.tools:
            granted.setdefault(tool, []).append((statement, when))
    for tool, conditions in found.listed.items():
        if ALWAYS in conditions:
            if len(set(conditions)) > 1:
                found.rules.append(_extra(f"{tool}/always", Then.ALLOW, tool, ALWAYS, file))
        else:
            _settle_conditional(tool, conditions, granted.get(tool, []), found, file)
    held = tuple(tool for tool in dict.fromkeys((*granted, *found.door_grants)) if tool not in found.listed)
    for tool in held:
        _settle_held(tool, granted.get(tool, []), found, file)
    return held


def with_own_ids(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Number the rules that share an id, since a decision and a grant name rules by it."""
    seen: Counter[RuleId] = Counter()
    kept = []
    for rule in rules:
        seen[rule.id] += 1
        kept.append(rule if seen[rule.id] == 1 else replace(rule, id=RuleId(f"{rule.id}~{seen[rule.id]}")))
    return tuple(kept)


def _settle_conditional(
    tool: ToolName, conditions: list[Expr], grants: list[tuple[Statement, Expr]], found: Found, file: str
) -> None:
    """A tool that is permitted under conditions: what no permit covers is denied, unless a grant covers it."""
    holds = _holds_of(tool, found)
    if holds and not grants:
        permitted = conditions[0] if len(conditions) == 1 else Or(operands=tuple(conditions))
        found.rules.append(_extra(f"{tool}/not-permitted", Then.DENY, tool, negated(permitted), file))
        return
    _refuse_unpaired(tool, holds, grants)


def _settle_held(tool: ToolName, grants: list[tuple[Statement, Expr]], found: Found, file: str) -> None:
    """A tool that only a grant permits."""
    holds = _holds_of(tool, found)
    if any(when == ALWAYS for _, when in grants):
        if not any(_when(hold) == ALWAYS for hold in holds):
            found.rules.append(_extra(f"{tool}/approval", Then.HOLD, tool, ALWAYS, file))
        return
    _refuse_unpaired(tool, holds, grants)


def _refuse_unpaired(tool: ToolName, holds: list[Rule], grants: list[tuple[Statement, Expr]]) -> None:
    held = {_when(hold) for hold in holds}
    for statement, when in grants:
        if when not in held:
            raise CedarUnsupported(
                f"The policy {statement.name!r} permits {tool!r} after an approval, and no policy forbids it without "
                f"one under the same condition.",
                next_move="Write beside it: forbid (…) when { the same } unless { context.approved }.",
            )
    answered = {when for _, when in grants}
    for hold in holds:
        if _when(hold) not in answered:
            raise CedarUnsupported(
                f"The policy {hold.id!r} holds {tool!r}, and no policy permits it after the approval.",
                next_move="Write beside it: permit (…) when { context.approved && the same }.",
            )


def _holds_of(tool: ToolName, found: Found) -> list[Rule]:
    return [rule for rule in found.rules if rule.then is Then.HOLD and (not rule.tools or tool in rule.tools)]


def _when(rule: Rule) -> Expr:
    return ALWAYS if rule.when is None else rule.when


def _extra(name: str, then: Then, tool: ToolName, when: Expr, file: str) -> Rule:
    return Rule(
        id=RuleId(name),
        then=then,
        tools=frozenset({tool}),
        source=SourceRef(file=file),
        when=None if when == ALWAYS else when,
    )
