"""`budgets` of the project file, and the time zones in which their days and months begin.

Knows: what one item must say, and which of them would count the same twice.  Never: counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from leverframe.config.findings import Findings, Mark, did_you_mean
from leverframe.config.sections import Section
from leverframe.core.shared_budgets import SHARED_KEYS
from leverframe.domain.budgets import BudgetPeriod, BudgetUnit, SharedBudget
from leverframe.domain.ids import TenantId, WorkflowName
from leverframe.domain.money import micro_usd
from leverframe.domain.policy import SourceRef


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenBudget:
    """One item of `budgets`, with the place of its workflow's name: contracts are read later."""

    budget: SharedBudget
    workflow_at: Mark


def read_zones(section: Section, findings: Findings) -> Mapping[TenantId, tzinfo]:
    """Read `tenants.*.timezone`; a tenant without one is not in the answer, and has UTC."""
    zones: dict[TenantId, tzinfo] = {}
    for name, tenant in section.named_sections("tenants").items():
        written = tenant.scalar("timezone")
        if written is None:
            continue
        try:
            zones[TenantId(name)] = ZoneInfo(written.text)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            known = available_timezones()
            findings.error(
                written.at,
                "unknown-timezone",
                f"The tenant {name!r} is in the time zone {written.text!r}, which this machine does not know.",
                did_you_mean(written.text, known)
                or "Write one such as Europe/Berlin; the package tzdata has them all.",
            )
    return zones


def read_budgets(section: Section, tenants: tuple[TenantId, ...], findings: Findings) -> tuple[WrittenBudget, ...]:
    """Read `budgets`; an item that is wrong is reported and left out."""
    found: list[WrittenBudget] = []
    places: dict[tuple[TenantId | None, WorkflowName | None, BudgetPeriod], Mark] = {}
    for item in section.sections("budgets"):
        if not _is_whole(item, tenants, findings):
            continue
        budget = _budget(item)
        place = (budget.tenant, budget.workflow, budget.period)
        first = places.setdefault(place, item.at)
        if first is not item.at:
            findings.error(
                item.at,
                "duplicate-budget",
                f"A budget of this tenant, workflow and window already stands at {first.ref}.",
                "Write its limits there.",
            )
            continue
        found.append(WrittenBudget(budget=budget, workflow_at=item.place("workflow")))
    return tuple(found)


def check_workflows(
    budgets: tuple[WrittenBudget, ...], workflows: Mapping[WorkflowName, object], findings: Findings
) -> None:
    """Report budgets of workflows that the project does not have: they would bound nothing."""
    for each in budgets:
        name = each.budget.workflow
        if name is not None and name not in workflows:
            findings.error(
                each.workflow_at,
                "unknown-workflow",
                f"A budget bounds the workflow {name!r}, which no contract describes.",
                did_you_mean(name, workflows),
            )


def _is_whole(item: Section, tenants: tuple[TenantId, ...], findings: Findings) -> bool:
    """Whether an item says of whom, for how long and how much."""
    if "window" not in item:
        return False  # reported already: a missing key, or a word that is not known
    if "tenant" not in item and "workflow" not in item:
        findings.error(
            item.at,
            "missing-key",
            "A budget names neither a tenant nor a workflow.",
            "Add `tenant:` or `workflow:` or both; one of a workflow counts for each tenant by itself.",
        )
        return False
    tenant = item.scalar("tenant")
    if tenant is not None and tenant.text not in tenants:
        findings.error(
            tenant.at,
            "unknown-tenant",
            f"A budget is of the tenant {tenant.text!r}, which `tenants` does not list.",
            did_you_mean(tenant.text, tenants),
        )
        return False
    if any(key in item for key in SHARED_KEYS.values()):
        return True
    if not findings.has_errors:
        # A limit that is wrong has been reported and left out: it is not missing.
        units = ", ".join(SHARED_KEYS.values())
        findings.error(item.at, "missing-key", "A budget limits nothing.", f"Add one of {units}.")
    return False


def _budget(item: Section) -> SharedBudget:
    limits: dict[BudgetUnit, int] = {}
    sources: dict[BudgetUnit, SourceRef] = {}
    for unit, key in SHARED_KEYS.items():
        value = item.decimal(key)
        if value is not None:
            limits[unit] = micro_usd(value) if unit is BudgetUnit.USD else int(value)
            sources[unit] = item.place(key).ref
    return SharedBudget(
        period=BudgetPeriod(item.text("window")),
        source=item.at.ref,
        tenant=TenantId(item.text("tenant")) if "tenant" in item else None,
        workflow=WorkflowName(item.text("workflow")) if "workflow" in item else None,
        limits=limits,
        sources=sources,
    )
