"""Retention: disclosed values of ended runs are deleted once they are older than their contract's `retain_days`.

Knows: when values are too old, and the entry that says that they went.  What is deleted is values and salts alone; the
entries commit to their digests for ever, so every proof holds afterwards.
Never: touches a run that has not ended, nor a workflow whose contract is no longer in the project: nobody says then
how long its values are kept.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from leverframe.domain.evidence import EntryDraft, EventType, KeptValue
from leverframe.domain.ids import TenantId, WorkflowName
from leverframe.domain.proposals import Proposal, PruneDisclosures
from leverframe.domain.time import rfc3339
from leverframe.runtime.services import Services

BATCH = 2_000
"""Values deleted in one transaction, so that other writers wait for milliseconds and not for the whole of it."""

AT_MOST = 50_000
"""Values of one workflow and tenant deleted at one start; the next start goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was deleted of one workflow in one tenant's log."""

    tenant: TenantId
    workflow: WorkflowName
    before: datetime
    count: int


async def prune(services: Services, *, at_most: int = AT_MOST) -> tuple[Pruned, ...]:
    """Delete what is too old in every log of the project; nothing is written where there is nothing to delete."""
    now = services.mint.now()
    done = []
    for workflow, days in _retention(services).items():
        before = now - timedelta(days=days)
        for tenant in services.project.tenants:
            values = await services.evidence.prunable(tenant, before, workflow, at_most)
            if values:
                pruned = Pruned(tenant=tenant, workflow=workflow, before=before, count=len(values))
                await _delete(services, pruned, tuple(values))
                done.append(pruned)
    return tuple(done)


def _retention(services: Services) -> dict[WorkflowName, int]:
    """The days of each workflow; where environments differ, the longest, since a run's values are found by workflow."""
    found: dict[WorkflowName, int] = {}
    for workflow, contract in services.project.contracts.items():
        environments = services.project.environments.get(workflow, {}).values()
        found[workflow] = max(one.logging.retain_days for one in (contract, *environments))
    return found


async def _delete(services: Services, pruned: Pruned, values: tuple[KeptValue, ...]) -> None:
    """Delete in batches.  The first carries the entry: a crash between two leaves a promise to delete, never a gap."""
    entry = EntryDraft(
        entry_id=services.mint.entry_id(),
        at=services.mint.now(),
        type=EventType.RETENTION_PRUNED,
        tenant=pruned.tenant,
        detail={"workflow": pruned.workflow, "before": rfc3339(pruned.before), "count": pruned.count},
    )
    for first in range(0, len(values), BATCH):
        change = PruneDisclosures(tenant=pruned.tenant, values=values[first : first + BATCH])
        entries = (entry,) if first == 0 else ()
        await services.writer.commit(Proposal(tenant=pruned.tenant, changes=(change,), entries=entries))
