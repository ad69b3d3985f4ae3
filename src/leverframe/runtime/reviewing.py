"""A person's review of tools, as the log of every tenant tells it.

Knows: that a review opens a tool to all tenants of a project, so each of their logs has it; that it is recorded before
the lock is written, since a pin that is in force and that no log knows would be worse than one that is not in force.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leverframe.domain.contracts import Person
from leverframe.domain.evidence import DetailValue, EntryDraft, EventType
from leverframe.domain.ids import Sha256, TenantId, ToolName
from leverframe.domain.proposals import Proposal
from leverframe.domain.tools import EffectClass
from leverframe.runtime.amending import check_may_amend, sealed_reason
from leverframe.runtime.entries import clear_place
from leverframe.runtime.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What was said of one tool: its definition was seen, its effect is known, or its class is lost."""

    tool: ToolName | None = None  # of the project
    pin: str = ""  # `shop/refund_order`
    sha256: Sha256 = Sha256("")
    effect: EffectClass | None = None
    lost: EffectClass | None = None


async def check_may_review(services: Services, person: Person) -> None:
    """Whether a person may open tools: an approver of every tenant of the project.

    Raises:
        ApprovalRefused: they are not; the attempt is recorded.
    """
    for tenant in services.project.tenants:
        await check_may_amend(services, tenant, person, "tools-pin")


async def record_reviews(
    services: Services, person: Person, reviews: Sequence[Review], because: str, *, proof: str
) -> None:
    """Write reviews into the log of every tenant, durably; the lock is the caller's to write afterwards."""
    for tenant in services.project.tenants:
        entries = tuple(_entry(services, tenant, person, one, because=because, proof=proof) for one in reviews)
        if entries:
            await services.writer.commit(Proposal(tenant=tenant, entries=entries, is_durable=True))


def _entry(
    services: Services, tenant: TenantId, person: Person, review: Review, *, because: str, proof: str
) -> EntryDraft:
    said: Mapping[str, DetailValue] = {
        "pin": clear_place(review.pin),
        "sha256": review.sha256,
        "effect": review.effect.value if review.effect is not None else "",
        "lost": review.lost.value if review.lost is not None else "",
        "proof": proof,
    }
    return EntryDraft(
        entry_id=services.mint.entry_id(),
        at=services.mint.now(),
        type=EventType.TOOL_PINNED,
        tenant=tenant,
        actor=person.id,
        tool=review.tool,
        detail={key: value for key, value in said.items() if value},
        disclosures=sealed_reason(services, tenant, because),
    )
