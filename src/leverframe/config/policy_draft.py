"""`policy` and `approval` of a contract or an overlay, before they become rules.

Knows: lists, rows and rules with the place of each.  Never: what they mean together; that is `core.policy.rows`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from leverframe.config.conditions import ConditionReader
from leverframe.config.contract_provenance import read_provenance
from leverframe.config.findings import Findings, Mark
from leverframe.config.sections import Section
from leverframe.config.surroundings import Surroundings
from leverframe.core.policy.rows import ApprovalRow, rules_of_lists
from leverframe.domain.contracts import ProvenanceRules
from leverframe.domain.ids import RuleId, ToolName
from leverframe.domain.policy import ApprovalRequirement, Rule, Then

_BUILT_IN_RULES = frozenset(
    {
        "allow_tools", "deny_tools", "unknown-tool", "other-environment", "invalid-arguments", "not-allowed",
        "no-allow-rule", "once-per", "once_per", "own-read", "not-an-own-read", "no-models", "models", "observe",
        "approval-binds-bytes", "untraced-recipient", "untraced-selector", "untraced-amount", "third-party-text",
        "third-party-link", "rule-of-two",
    }
)  # fmt: skip
NO_ROW = ApprovalRequirement(source=Mark("(built-in)").ref)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDraft:
    """One row of `approval.required_for` with the places of its keys."""

    row: ApprovalRow
    section: Section

    @property
    def at(self) -> Mark:
        """Where the row names its tool."""
        return self.section.place("tool")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDraft:
    """What a contract's `policy` and `approval` say, by tool."""

    allow: Mapping[ToolName, Mark] = field(default_factory=dict)
    deny: Mapping[ToolName, Mark] = field(default_factory=dict)
    rows: Mapping[ToolName, RowDraft] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    places: Mapping[RuleId, Mark] = field(default_factory=dict)  # where the id of each rule stands
    has_allow_list: bool = False
    provenance: ProvenanceRules = ProvenanceRules()

    def compiled(self) -> tuple[Rule, ...]:
        """The rule IR: the lists and rows, then the written rules, in file order."""
        lists = rules_of_lists(
            {tool: at.ref for tool, at in self.deny.items()}, [draft.row for draft in self.rows.values()]
        )
        return (*lists, *self.rules)

    def tools(self) -> tuple[ToolName, ...]:
        """Every tool that lists, rows and rules name."""
        of_rules = (tool for rule in self.rules for tool in sorted(rule.tools))
        return tuple(dict.fromkeys((*self.allow, *self.deny, *self.rows, *of_rules)))


def read_policy(section: Section, reader: ConditionReader, around: Surroundings) -> PolicyDraft:
    """Read the policy of a contract or an overlay; unknown tools and bad conditions go to the findings."""
    policy = section.section("policy")
    rows: dict[ToolName, RowDraft] = {}
    for each in section.section("approval").sections("required_for"):
        if "tool" in each:
            _keep_row(_row(each), rows, around.findings)
    rules, places = _rules(policy, reader, around)
    draft = PolicyDraft(
        allow=_tool_list(policy, "allow_tools", around),
        deny=_tool_list(policy, "deny_tools", around),
        rows=rows,
        rules=rules,
        places=places,
        has_allow_list="allow_tools" in policy,
        provenance=read_provenance(policy, around.findings),
    )
    for tool, row in rows.items():
        if tool not in draft.allow and tool not in draft.deny:
            around.tool(tool, row.at)
    return draft


def _tool_list(policy: Section, key: str, around: Surroundings) -> dict[ToolName, Mark]:
    found: dict[ToolName, Mark] = {}
    for each in policy.scalars(key):
        name = ToolName(each.text)
        if name in found:
            around.findings.warning(each.at, "named-twice", f"{key!r} names {name!r} twice.", "Delete one of them.")
            continue
        found[name] = each.at
        around.tool(name, each.at)
    return found


def _keep_row(draft: RowDraft, rows: dict[ToolName, RowDraft], findings: Findings) -> None:
    first = rows.setdefault(draft.row.tool, draft)
    if first is not draft:
        findings.error(
            draft.at,
            "duplicate-row",
            f"A row for {draft.row.tool!r} already stands at line {first.at.line}.",
            "Write one row a tool.",
        )


def _row(section: Section) -> RowDraft:
    at = section.place("tool")
    groups = tuple(text.removeprefix("group:") for text in section.texts("from"))
    requirement = ApprovalRequirement(
        from_groups=groups,
        quorum=section.whole("quorum") or NO_ROW.quorum,
        # The initiator may never answer, named or not.
        distinct_from=frozenset({"initiator", *section.texts("distinct_from")}),
        decide_within_s=section.span_s("decide_within") or NO_ROW.decide_within_s,
        execute_within_s=section.span_s("execute_within") or NO_ROW.execute_within_s,
        source=at.ref,
    )
    has_threshold = "threshold_usd" in section
    row = ApprovalRow(
        tool=ToolName(section.text("tool")),
        requirement=requirement,
        threshold_usd=_shortest(section.decimal("threshold_usd")),
        threshold_source=section.place("threshold_usd").ref if has_threshold else None,
    )
    return RowDraft(row=row, section=section)


def _shortest(amount: Decimal | None) -> Decimal | None:
    """One spelling for one amount, since rules are named by it: 50.00 is 50."""
    if amount is None:
        return None
    short = amount.normalize()
    return short.quantize(Decimal(1)) if short == short.to_integral_value() else short


def _rules(
    policy: Section, reader: ConditionReader, around: Surroundings
) -> tuple[tuple[Rule, ...], Mapping[RuleId, Mark]]:
    rules: dict[RuleId, Rule] = {}
    places: dict[RuleId, Mark] = {}
    for section in policy.sections("rules"):
        if "id" not in section or "then" not in section:
            continue
        rule = _rule(section, reader, around)
        at = section.place("id")
        if rule.id in _BUILT_IN_RULES:
            around.findings.error(
                at, "reserved-rule-id", f"The rule id {rule.id!r} is one of Leverframe's own.", "Choose another."
            )
        elif rule.id in rules:
            around.findings.error(
                at,
                "duplicate-rule",
                f"A rule {rule.id!r} already stands at line {rules[rule.id].source.line}.",
                "Give each rule an id of its own; decisions name it.",
            )
        else:
            rules[rule.id] = rule
            places[rule.id] = at
    return tuple(rules.values()), places


def _rule(section: Section, reader: ConditionReader, around: Surroundings) -> Rule:
    tools = section.scalars("tools")
    for each in tools:
        around.tool(each.text, each.at)
    when = section.scalar("when")
    expr = None if when is None else reader.read(when, [each.text for each in tools])
    if "tools" in section and not tools:
        around.findings.error(
            section.place("tools"),
            "empty-list",
            "The rule's list of tools is empty, so it would be about every tool.",
            "Delete the key for every tool, or name some.",
        )
    return Rule(
        id=RuleId(section.text("id")),
        then=Then(section.text("then")),
        tools=frozenset(ToolName(each.text) for each in tools),
        source=section.place("id").ref,
        effects=frozenset(section.texts("effects")),
        when=expr,
        reason=section.text("reason"),
    )
