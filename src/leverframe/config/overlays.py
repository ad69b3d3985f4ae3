"""`environments/NAME.yaml`: what an environment narrows.  Each key has a meet, and nothing that widens is taken.

`environments/prod.yaml` is for every workflow that runs in `prod`, `environments/prod/refund_request.yaml` for one.
An overlay has `budget`, `policy`, `approval` and `logging`: allowed tools intersect, denied ones unite, limits and
thresholds take the lower, rules are added, and a row may only ask for more.  A tool that an overlay denies without a
row of its own never runs there, also where the contract would hold it.
Property: the narrowed contract never allows what its base holds or denies (`tests/property/test_overlays.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from leverframe.config.contract import ContractDraft, contract_of
from leverframe.config.contract_limits import UNIT_KEYS, read_budget
from leverframe.config.contract_provenance import loosened, meet_provenance
from leverframe.config.findings import Findings, Mark, did_you_mean
from leverframe.config.policy_draft import NO_ROW, PolicyDraft, RowDraft, read_policy
from leverframe.config.sections import Section, check_file
from leverframe.config.surroundings import Surroundings
from leverframe.core.policy.rows import ApprovalRow
from leverframe.domain.budgets import BudgetLimits
from leverframe.domain.contracts import Contract, LoggingRules, ProvenanceRules
from leverframe.domain.ids import EnvironmentName, ToolName, WorkflowName
from leverframe.domain.policy import ApprovalRequirement, Rule, Then

FOLDER = "environments"
_NARROWS = ("budget", "policy", "approval", "logging")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlays:
    """The overlays of one project."""

    around: Surroundings

    def check_names(self, drafts: Mapping[WorkflowName, ContractDraft]) -> None:
        """Report overlays of environments or workflows that are not there: a narrowing nobody gets is a trap."""
        known = {str(each) for draft in drafts.values() for each in draft.environments}
        for name in self.around.files.names(FOLDER, ".yaml", ".yml"):
            self._check_environment(name, name.removeprefix(f"{FOLDER}/").rpartition(".")[0], known)
        for folder in self.around.files.folders(FOLDER):
            self._check_environment(f"{FOLDER}/{folder}", folder, known)
            for name in self.around.files.names(f"{FOLDER}/{folder}", ".yaml", ".yml"):
                workflow = name.rpartition("/")[2].rpartition(".")[0]
                draft = drafts.get(WorkflowName(workflow))
                if draft is None or folder not in draft.environments:
                    self.around.findings.error(
                        Mark(name),
                        "unknown-workflow",
                        f"No workflow {workflow!r} runs in {folder!r}, so this overlay narrows nothing.",
                        did_you_mean(workflow, drafts),
                    )

    def _check_environment(self, name: str, environment: str, known: set[str]) -> None:
        if environment not in known:
            self.around.findings.error(
                Mark(name),
                "unknown-environment",
                f"No workflow runs in {environment!r}, so this overlay narrows nothing.",
                did_you_mean(environment, known),
            )

    def by_environment(self, draft: ContractDraft) -> Mapping[EnvironmentName, Contract]:
        """The contract of every environment of a draft, in its order."""
        return {name: self._narrowed(draft, name) for name in draft.environments}

    def _narrowed(self, draft: ContractDraft, environment: EnvironmentName) -> Contract:
        policy, budget, logging = draft.policy, draft.budget, draft.logging
        used = []
        for name in self._files(draft, environment):
            section = self._read(name)
            if section is None:
                continue
            used.append(name)
            findings = self.around.findings
            policy = meet_policy(policy, read_policy(section, draft.reader, self.around), findings)
            budget = meet_budget(budget, section, findings)
            logging = meet_logging(logging, section, findings)
        return contract_of(draft, self.around, policy=policy, budget=budget, logging=logging, overlay_files=tuple(used))

    def _files(self, draft: ContractDraft, environment: EnvironmentName) -> tuple[str, ...]:
        """Of every workflow there, then of this one; also where it cannot be read, which is an error and no leave."""
        places = ((FOLDER, environment), (f"{FOLDER}/{environment}", draft.workflow))
        listed = ((name, stem) for folder, stem in places for name in self.around.files.names(folder, ".yaml", ".yml"))
        return tuple(name for name, stem in listed if name.rpartition("/")[2].rpartition(".")[0] == stem)

    def _read(self, name: str) -> Section | None:
        node = self.around.files.yaml(name, self.around.findings)
        section = None if node is None else check_file(node, "contract", self.around.findings, needs=())
        if section is None:
            return None
        if "hold_wait_s" in section.section("approval"):
            self.around.findings.error(
                section.section("approval").place("hold_wait_s"),
                "overlay-key",
                "An overlay may only narrow, and 'hold_wait_s' has no narrower or wider.",
                "Write it in the workflow's own file.",
            )
        for key in section.values:
            if key not in _NARROWS:
                self.around.findings.error(
                    section.place(key),
                    "overlay-key",
                    f"An overlay may only narrow, and {key!r} has no narrower or wider.",
                    f"It takes {', '.join(_NARROWS)}.",
                )
        return section


def meet_policy(base: PolicyDraft, overlay: PolicyDraft, findings: Findings) -> PolicyDraft:
    """The policy that allows what both allow; what the overlay widens goes to the findings and is not taken."""
    for tool, at in overlay.allow.items():
        if tool not in base.allow:
            _widens(at, f"allow_tools adds {tool!r}, which the contract does not allow", "Delete it.", findings)
    taken = {tool: row for tool, row in overlay.rows.items() if _may_hold(tool, row, base, findings)}
    # Denied with a row is held on every call, listed or not; the contract's allow rules go on selecting from the list.
    held = overlay.deny.keys() & taken.keys()
    kept = {*overlay.allow, *held} if overlay.has_allow_list else base.allow.keys()
    allow = {tool: at for tool, at in base.allow.items() if tool in kept}
    # Denied here without a row of its own: it never runs here, whatever the contract's row says.
    denied = {tool for tool in overlay.deny if tool not in taken}
    rows: dict[ToolName, RowDraft] = {tool: row for tool, row in base.rows.items() if tool not in denied}
    for tool, row in taken.items():
        met = _meet_row(rows[tool], row, findings) if tool in rows else _first_row(row, findings)
        rows[tool] = _narrowed_row(base.rows.get(tool), met, is_denied=tool in held, was_denied=tool in base.deny)
    rules = {rule.id: rule for rule in base.rules}
    added = []
    for rule in overlay.rules:
        if rule.id in rules:
            at = overlay.places[rule.id]
            first = rules[rule.id].source
            findings.error(at, "duplicate-rule", f"A rule {rule.id!r} already stands at {first}.", "Rename it.")
        elif rule.then is Then.ALLOW and not _selects_within(rule, base):
            at = overlay.places[rule.id]
            text = f"the allow rule {rule.id!r} could let calls run which the contract does not"
            _widens(at, text, "Name allowed tools about which the contract has no allow rule.", findings)
        else:
            added.append(replace(rule, only_narrows=True))
    return replace(
        base,
        allow=allow,
        deny={**base.deny, **overlay.deny},
        rows=rows,
        rules=(*base.rules, *added),
        places={**base.places, **overlay.places},
        provenance=_meet_provenance(base, overlay, findings),
    )


def _meet_provenance(base: PolicyDraft, overlay: PolicyDraft, findings: Findings) -> ProvenanceRules:
    for name in loosened(base.provenance, overlay.provenance):
        source = overlay.provenance.of(name).source
        text = f"policy.provenance.{name.value} is looser than the contract's"
        _widens(Mark("") if source is None else Mark(source.file, source.line), text, "Delete it.", findings)
    return meet_provenance(base.provenance, overlay.provenance)


def _selects_within(rule: Rule, base: PolicyDraft) -> bool:
    """Whether an allow rule can only narrow: beside another allow rule about the same tool it would widen."""
    others = [each for each in base.rules if each.then is Then.ALLOW]
    is_alone = all(each.tools and not each.tools & rule.tools for each in others)
    return bool(rule.tools) and rule.tools <= set(base.allow) and is_alone


def _may_hold(tool: ToolName, row: RowDraft, base: PolicyDraft, findings: Findings) -> bool:
    """Whether a row of the overlay narrows: a row for what never runs in the contract would make it held."""
    is_held = tool in base.deny and tool in base.rows
    if is_held or (tool in base.allow and tool not in base.deny):
        return True
    if tool in base.rows:
        # The contract's own row makes nothing callable either, so one more says nothing.
        return False
    _widens(
        row.at,
        f"the row would hold {tool!r}, which the contract never lets run",
        "Delete the row; a hold is more than a deny.",
        findings,
    )
    return False


def _meet_row(base: RowDraft, overlay: RowDraft, findings: Findings) -> RowDraft:
    """The row that asks for what both ask; a key that the overlay does not write is the base's."""
    section, old, new = overlay.section, base.row.requirement, overlay.row.requirement
    threshold, source = base.row.threshold_usd, base.row.threshold_source
    asked = overlay.row.threshold_usd
    if asked is not None:
        if threshold is None or asked > threshold:
            was = "every call" if threshold is None else f"{threshold:f}"
            place = section.place("threshold_usd")
            _widens(place, f"threshold_usd is {asked:f} and the contract holds {was}", "Lower it.", findings)
        else:
            threshold, source = asked, overlay.row.threshold_source
    requirement = ApprovalRequirement(
        from_groups=_fewer(old, new, section, findings),
        quorum=_at_least(old, new, section, findings),
        distinct_from=old.distinct_from | new.distinct_from,
        decide_within_s=_shorter(old.decide_within_s, section, "decide_within", findings),
        execute_within_s=_shorter(old.execute_within_s, section, "execute_within", findings),
        source=new.source,
    )
    row = ApprovalRow(tool=base.row.tool, requirement=requirement, threshold_usd=threshold, threshold_source=source)
    return RowDraft(row=row, section=section)


def _first_row(row: RowDraft, findings: Findings) -> RowDraft:
    """A row where the contract has none: its other holds of the tool have the clocks that stand without a row."""
    asked = row.row.requirement
    requirement = replace(
        asked,
        decide_within_s=_shorter(NO_ROW.decide_within_s, row.section, "decide_within", findings),
        execute_within_s=_shorter(NO_ROW.execute_within_s, row.section, "execute_within", findings),
    )
    return replace(row, row=replace(row.row, requirement=requirement))


def _narrowed_row(base: RowDraft | None, met: RowDraft, *, is_denied: bool, was_denied: bool) -> RowDraft:
    """The row, which says what the contract's own row holds where the overlay holds more."""
    own = None if base is None else base.row
    if own is not None and not own.is_narrowed:
        holds_all = was_denied or own.threshold_usd is None
        if holds_all or (met.row.threshold_usd == own.threshold_usd and not is_denied):
            return met
    of_contract = None if own is None else own.own_threshold_usd if own.is_narrowed else own.threshold_usd
    return replace(met, row=replace(met.row, is_narrowed=True, own_threshold_usd=of_contract))


def _fewer(old: ApprovalRequirement, new: ApprovalRequirement, section: Section, findings: Findings) -> tuple[str, ...]:
    if not new.from_groups:
        return old.from_groups
    added = [group for group in new.from_groups if old.from_groups and group not in old.from_groups]
    if added:
        text = f"`from` adds group:{added[0]}, whose answer does not count in the contract"
        _widens(section.place("from"), text, "Delete it.", findings)
    kept = tuple(group for group in new.from_groups if group not in added)
    return kept or old.from_groups


def _at_least(old: ApprovalRequirement, new: ApprovalRequirement, section: Section, findings: Findings) -> int:
    if "quorum" in section and new.quorum < old.quorum:
        text = f"quorum is {new.quorum} and the contract asks for {old.quorum}"
        _widens(section.place("quorum"), text, "Raise it.", findings)
    return max(old.quorum, new.quorum)


def _shorter(old_s: int, section: Section, key: str, findings: Findings) -> int:
    new_s = section.span_s(key)
    if new_s is not None and new_s > old_s:
        _widens(section.place(key), f"{key} is longer than the contract's {old_s} s", "Shorten it.", findings)
    return old_s if new_s is None else min(old_s, new_s)


def meet_budget(base: BudgetLimits, overlay: Section, findings: Findings) -> BudgetLimits:
    """The lower of each limit."""
    new = read_budget(overlay, defaults=False)
    written = overlay.section("budget")
    limits, sources = dict(base.limits), dict(base.sources)
    for unit, limit in new.limits.items():
        old = base.limits.get(unit)
        if old is not None and limit > old:
            place = written.place(UNIT_KEYS[unit])
            _widens(place, f"{UNIT_KEYS[unit]} is above the contract's", "Lower it.", findings)
        else:
            limits[unit], sources[unit] = limit, new.sources[unit]
    return BudgetLimits(
        limits=limits,
        sources=sources,
        max_total_s=_lower(base.max_total_s, new.max_total_s, written.place("max_total_s"), findings),
        per_step_output_tokens=_lower(
            base.per_step_output_tokens,
            new.per_step_output_tokens,
            written.section("per_step").place("max_output_tokens"),
            findings,
        ),
    )


def _lower(old: int | None, new: int | None, place: Mark, findings: Findings) -> int | None:
    if old is not None and new is not None and new > old:
        _widens(place, f"{new:,} is above the contract's {old:,}", "Lower it.", findings)
    return min((each for each in (old, new) if each is not None), default=None)


def meet_logging(base: LoggingRules, overlay: Section, findings: Findings) -> LoggingRules:
    """Fewer days, and the fields of both are redacted."""
    logging = overlay.section("logging")
    days = _lower(base.retain_days, logging.whole("retain_days"), logging.place("retain_days"), findings)
    return LoggingRules(
        retain_days=base.retain_days if days is None else days,
        redact_fields=base.redact_fields | set(logging.texts("redact_fields")),
    )


def _widens(at: Mark, what: str, next_move: str, findings: Findings) -> None:
    text = f"An overlay may only narrow: {what}."
    findings.error(at, "overlay-widens", text, next_move)
