"""`budgets` of the project file, and the time zones in which their days and months begin.

Knows: what one item must say, and which of them would count the same twice.  Never: counts.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from leverframe.config.findings import Findings, Mark, did_you_mean
from leverframe.config.sections import Section
from leverframe.core.shared_budgets import SHARED_KEYS
from leverframe.domain.budgets import BudgetPeriod, BudgetUnit, SharedBudget
from leverframe.domain.ids import TeamName, TenantId, WorkflowName
from leverframe.domain.money import micro_usd
from leverframe.domain.policy import SourceRef

_SCOPES = ("tenant", "workflow", "team", "key", "model")
_IN_FLIGHT = SHARED_KEYS[BudgetUnit.IN_FLIGHT]


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


def read_budgets(
    section: Section, tenants: tuple[TenantId, ...], models: Collection[str], findings: Findings
) -> tuple[WrittenBudget, ...]:
    """Read `budgets`; an item that is wrong is reported and left out.

    `models` are the names that a budget of a model may have: those of the tiers, and the providers.
    """
    found: list[WrittenBudget] = []
    places: dict[tuple[object, ...], Mark] = {}
    for item in section.sections("budgets"):
        if not _is_whole(item, tenants, models, findings):
            continue
        for budget in _budgets(item):
            place = (budget.tenant, budget.workflow, budget.team, budget.key, budget.model, budget.period)
            first = places.setdefault(place, item.at)
            if first is not item.at:
                findings.error(
                    item.at,
                    "duplicate-budget",
                    f"A budget of this tenant, workflow, team, key, model and window already stands at {first.ref}.",
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


def _is_whole(item: Section, tenants: tuple[TenantId, ...], models: Collection[str], findings: Findings) -> bool:
    """Whether an item says of whom, for how long and how much."""
    if not any(scope in item for scope in _SCOPES):
        if not findings.has_errors:
            # A name that is none has been reported and left out.
            findings.error(
                item.at,
                "missing-key",
                "A budget names neither a tenant nor a workflow, team, key or model.",
                "Add one of them, or several; one without `tenant:` counts for each tenant by itself.",
            )
        return False
    for scope, known, whose in (("tenant", tenants, "`tenants`"), ("model", models, "`models` and `providers`")):
        written = item.scalar(scope)
        if written is not None and written.text not in known:
            findings.error(
                written.at,
                f"unknown-{scope}",
                f"A budget is of the {scope} {written.text!r}, which {whose} does not list.",
                did_you_mean(written.text, known),
            )
            return False
    return _has_limits(item, findings)


def _has_limits(item: Section, findings: Findings) -> bool:
    """Whether an item limits something, over a window where it needs one."""
    limits = [key for key in SHARED_KEYS.values() if key in item]
    timed = [key for key in limits if key != _IN_FLIGHT]
    if not limits:
        if not findings.has_errors:
            # A limit that is wrong has been reported and left out: it is not missing.
            units = ", ".join(SHARED_KEYS.values())
            findings.error(item.at, "missing-key", "A budget limits nothing.", f"Add one of {units}.")
        return False
    if "model" in item and "max_tool_calls" in item:
        findings.error(
            item.place("max_tool_calls"),
            "key-without-effect",
            "A budget of a model counts model calls, and a tool call has no model.",
            "Give `max_tool_calls` to a budget without `model:`.",
        )
        return False
    if "window" in item and not timed:
        findings.error(
            item.place("window"),
            "key-without-effect",
            f"`{_IN_FLIGHT}` counts the calls that are at work at one moment, which has no window.",
            "Delete `window:`, or add a limit that has one, such as max_usd.",
        )
        return False
    if "window" not in item and timed:
        if not findings.has_errors:
            # A word that is not known has been reported and left out.
            findings.error(
                item.at,
                "missing-key",
                f"A budget with `{timed[0]}` says not over how long.",
                "Add window: minute, hour, day, month or total.",
            )
        return False
    return True


def _budgets(item: Section) -> Iterable[SharedBudget]:
    """What an item limits over its window, and what at every moment."""
    limits: dict[BudgetUnit, int] = {}
    sources: dict[BudgetUnit, SourceRef] = {}
    for unit, key in SHARED_KEYS.items():
        value = item.decimal(key)
        if value is not None:
            limits[unit] = micro_usd(value) if unit is BudgetUnit.USD else int(value)
            sources[unit] = item.place(key).ref
    at_work = limits.pop(BudgetUnit.IN_FLIGHT, None)
    if limits:
        yield _budget(item, BudgetPeriod(item.text("window")), limits, sources)
    if at_work is not None:
        yield _budget(item, BudgetPeriod.NOW, {BudgetUnit.IN_FLIGHT: at_work}, sources)


def _budget(
    item: Section, period: BudgetPeriod, limits: Mapping[BudgetUnit, int], sources: Mapping[BudgetUnit, SourceRef]
) -> SharedBudget:
    return SharedBudget(
        period=period,
        source=item.at.ref,
        tenant=TenantId(item.text("tenant")) if "tenant" in item else None,
        workflow=WorkflowName(item.text("workflow")) if "workflow" in item else None,
        team=TeamName(item.text("team")) if "team" in item else None,
        key=item.text("key") if "key" in item else None,
        model=item.text("model") if "model" in item else None,
        limits=limits,
        sources={unit: sources[unit] for unit in limits},
    )
