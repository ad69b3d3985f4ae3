"""How the shared budgets stand: every window that is open now, with what is settled and reserved in it.

Never: makes a window; one that nothing was reserved in yet is shown empty.
"""

from dataclasses import dataclass
from datetime import datetime

from leverframe.core.shared_budgets import shared_windows, with_books
from leverframe.domain.budgets import Window
from leverframe.domain.ids import TenantId, WorkflowName
from leverframe.runtime.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWindow:
    """One unit of one budget in its present period, for the tenant whose spending it bounds."""

    tenant: TenantId
    window: Window


async def open_windows(services: Services, at: datetime) -> tuple[OpenWindow, ...]:
    """The windows of every tenant and workflow of the project, by tenant, id and unit."""
    project = services.project
    found: list[OpenWindow] = []
    # A budget of a whole tenant is counted for a project without a workflow as well.
    workflows = tuple(project.contracts) or (WorkflowName(""),)
    for tenant in project.tenants:
        zone = project.zone_of(tenant)
        windows = {
            (one.window_id, one.unit): one
            for workflow in workflows
            for one in shared_windows(project.budgets, tenant=tenant, workflow=workflow, at=at, zone=zone)
        }
        ids = tuple(dict.fromkeys(window_id for window_id, _ in windows))
        stored = await services.journal.shared_windows(ids) if ids else ()
        ordered = with_books((windows[place] for place in sorted(windows)), stored)
        found += [OpenWindow(tenant=tenant, window=one) for one in ordered]
    return tuple(found)
