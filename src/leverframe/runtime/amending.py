"""Changing the authority: who may, and one change with its evidence, all or nothing.

Knows: that a change rests on the generation that it was made from, and is made again where another came first.
Never: knows what is changed; `runtime.keys`, `.kills`, `.raises` and `.endorsing` do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from leverframe.core.approvals import APPROVER_ROLE
from leverframe.core.disclosures import seal
from leverframe.core.redaction import redaction_of
from leverframe.domain.authority import Authority
from leverframe.domain.contracts import Person
from leverframe.domain.errors import ApprovalRefused, Contended
from leverframe.domain.evidence import DetailValue, Disclosure, EntryDraft, EventType
from leverframe.domain.ids import StepPath, TenantId
from leverframe.domain.proposals import (
    AuthorityIs,
    Committed,
    Guard,
    Proposal,
    PutEndorsement,
    PutKey,
    PutKill,
    PutRaise,
)
from leverframe.domain.runs import Run
from leverframe.runtime.services import Services

_TRIES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """What one act of a person changes, and how the log tells it; `run` and `step` where it is about one of them."""

    changes: tuple[PutKey | PutKill | PutRaise | PutEndorsement, ...]
    event: EventType
    detail: Mapping[str, DetailValue]
    disclosures: tuple[Disclosure, ...] = ()
    run: Run | None = None
    step: StepPath | None = None
    guards: tuple[Guard, ...] = ()


async def amend(
    services: Services, tenant: TenantId, person: Person, proof: str, make: Callable[[Authority], Amendment]
) -> Amendment:
    """Make a change of what stands now, and commit it with its entry in the tenant's log.

    Args:
        services: the runtime's.
        tenant: whose log tells it, and under whose key its rows are tagged.
        person: who does it, authenticated by the caller.
        proof: how the caller knows who it is, e.g. `os-user`.
        make: the change, from the authority as it stands; called again where another change came first.

    Raises:
        Contended: others changed it again and again.
        AuthorityForged: what stands was not written by Leverframe, so nothing is built on it.
    """
    for _ in range(_TRIES):
        await services.authority.reload()
        authority = services.authority.current()
        made = make(authority)
        entry = entry_of(services, tenant, person, proof, made, generation=authority.generation + len(made.changes))
        proposal = Proposal(
            tenant=tenant,
            guards=(AuthorityIs(generation=authority.generation), *made.guards),
            changes=made.changes,
            entries=(entry,),
        )
        if isinstance(await services.writer.commit(proposal), Committed):
            await services.authority.reload()
            return made
    raise Contended(
        f"The authority, or what the change is about, was changed by others {_TRIES} times in a row; nothing was done.",
        next_move="Ask again.",
    )


def entry_of(
    services: Services, tenant: TenantId, person: Person, proof: str, made: Amendment, *, generation: int
) -> EntryDraft:
    """The entry of a change; `generation` is the one that it leads to."""
    return EntryDraft(
        entry_id=services.mint.entry_id(),
        at=services.mint.now(),
        type=made.event,
        tenant=tenant,
        environment=None if made.run is None else made.run.environment,
        run_id=None if made.run is None else made.run.run_id,
        step=made.step,
        actor=person.id,
        detail={**made.detail, "generation": generation, "proof": proof},
        disclosures=made.disclosures,
    )


async def check_may_amend(services: Services, tenant: TenantId, person: Person, what: str) -> None:
    """Whether a person may give keys or money away, or clear a switch: an approver of that tenant.

    Raises:
        ApprovalRefused: they are none; the attempt is recorded.
    """
    if APPROVER_ROLE in person.roles and tenant in person.tenants:
        return
    entry = EntryDraft(
        entry_id=services.mint.entry_id(),
        at=services.mint.now(),
        type=EventType.AUTH_REFUSED,
        tenant=tenant,
        actor=person.id,
        detail={"reason": "not-an-approver", "wanted": what},
    )
    await services.writer.commit(Proposal(tenant=tenant, entries=(entry,)))
    raise ApprovalRefused(
        f"{person.id!r} is no approver of {tenant!r}, and only one may do this ({what}); nothing was changed.",
        next_move="Ask one of them: `people` in leverframe.yaml, with `roles: [approver]`.",
    )


def sealed_reason(services: Services, tenant: TenantId, reason: str) -> tuple[Disclosure, ...]:
    """A person's words as a disclosure under the tenant's key; none where they said nothing."""
    if not reason:
        return ()
    return seal(
        "reason",
        reason,
        redaction=redaction_of(()),
        salts=services.mint.salts(),
        token_key=services.fingerprints.fingerprint(tenant, "redaction-token", b"authority"),
    )
