"""Kill switches: thrown and cleared by a person, told in the log of every tenant whose calls they stop.

Knows: what a name must be, and whose calls a switch stops.  Never: ends a call that is on its way; it ends by itself.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from leverframe.core.leaves import is_cleartext
from leverframe.core.nearest import nearest
from leverframe.domain.authority import Authority, KillScope, KillSwitch
from leverframe.domain.contracts import Enforce, Person, Project
from leverframe.domain.errors import ApprovalRefused, Contended, NotFound
from leverframe.domain.evidence import DetailValue, EventType
from leverframe.domain.ids import TenantId
from leverframe.domain.proposals import Proposal, PutKill
from leverframe.runtime.amending import Amendment, amend, check_may_amend, entry_of, sealed_reason
from leverframe.runtime.services import Services
from leverframe.runtime.token_callers import PREFIX

_TRIES = 8
_MODEL = re.compile(r"[^\s/]+/[^\s/]\S*")


@dataclass(frozen=True, slots=True, kw_only=True)
class KillAsk:
    """What a person wants stopped, or let go on."""

    scope: KillScope
    name: str
    tenant: TenantId | None  # None: in every tenant
    because: str
    has_names: bool = True  # of workflows and tools: the files that say them load just now


async def throw(services: Services, person: Person, ask: KillAsk, *, proof: str) -> KillSwitch:
    """Stop such calls in every process, from the next one on; a second time changes who, when and why.

    Anyone who works for all the tenants whose calls it stops may do it: to stop is safe.

    Raises:
        NotFound: nothing has that name.
        ApprovalRefused: it would stop calls of a tenant that this person does not work for.
    """
    tenants = _stopped(services, ask)
    missing = [tenant for tenant in tenants if tenant not in person.tenants]
    if missing:
        raise ApprovalRefused(
            f"{person.id!r} does not work for {missing[0]!r}, whose calls this would stop; nothing was changed.",
            next_move="Name a tenant of yours with --tenant.",
        )
    _check_name(services, ask)
    return await _set(services, person, ask, tenants, is_on=True, proof=proof)


async def clear(services: Services, person: Person, ask: KillAsk, *, proof: str) -> KillSwitch:
    """Let such calls go on; an approver of every tenant that it concerns may.

    Raises:
        NotFound: no such switch is on.
        ApprovalRefused: this person may not.
    """
    tenants = _stopped(services, ask)
    for tenant in tenants:
        await check_may_amend(services, tenant, person, "unkill")
    return await _set(services, person, ask, tenants, is_on=False, proof=proof)


class _MovedError(Exception):
    """The authority is another than the one under which tenants were told that a switch is cleared."""


async def _told(services: Services, ask: KillAsk, tenants: tuple[TenantId, ...]) -> tuple[TenantId, ...]:
    """The tenants that are told, first the one with whose entry the row is committed.

    While a switch is on, that one stays the same, though leverframe.yaml names its tenants in another order by now, or
    that one no more: it may come back, and its log says that the switch is on.
    """
    await services.authority.reload()
    standing = _standing(services.authority.current(), ask)
    first = tenants[0] if standing is None or standing.holder is None else standing.holder
    return (first, *(tenant for tenant in tenants if tenant != first))


async def _set(
    services: Services, person: Person, ask: KillAsk, tenants: tuple[TenantId, ...], *, is_on: bool, proof: str
) -> KillSwitch:
    """Move the switch, and tell it in the log of each tenant.  It is one row, committed with the entry of one of them.

    The others are told that it is thrown after it was, and that it is cleared before it is: so no log says that it is
    on while it is not, whatever happens in between and whoever else moves it.
    """
    first, *others = await _told(services, ask, tenants)
    made: list[KillSwitch] = []

    async def tell() -> int:
        generation = services.authority.current().generation
        for tenant in others:
            told = Amendment(
                changes=(),
                event=EventType.KILLSWITCH_SET,
                detail={**_detail(ask, is_on=is_on), "elsewhere": True},
                disclosures=sealed_reason(services, tenant, ask.because),
            )
            entry = entry_of(services, tenant, person, proof, told, generation=generation)
            await services.writer.commit(Proposal(tenant=tenant, entries=(entry,)))
        return generation

    def make(authority: Authority, told_under: int | None) -> Amendment:
        if not is_on:
            _find(authority, ask)
        if told_under not in {None, authority.generation}:
            raise _MovedError
        sealed = sealed_reason(services, first, ask.because)
        switch = KillSwitch(
            scope=ask.scope,
            name=ask.name,
            tenant=ask.tenant,
            by=person.id,
            at=services.mint.now(),
            reason_ref=sealed[0].digest if sealed else "",
        )
        made[:] = [switch]
        change = PutKill(kill=switch, is_on=is_on)
        return Amendment(
            changes=(change,), event=EventType.KILLSWITCH_SET, detail=_detail(ask, is_on=is_on), disclosures=sealed
        )

    if is_on or not others:
        await amend(services, first, person, proof, lambda authority: make(authority, None))
        await tell()
        return made[0]
    for _ in range(_TRIES):
        await services.authority.reload()
        _find(services.authority.current(), ask)
        told_under = await tell()
        with suppress(_MovedError):
            await amend(services, first, person, proof, partial(make, told_under=told_under))
            return made[0]
    raise Contended(
        f"The authority was changed by others {_TRIES} times in a row; the switch is on as it was.",
        next_move="Ask again.",
    )


def _stopped(services: Services, ask: KillAsk) -> tuple[TenantId, ...]:
    """The tenants whose calls it stops."""
    known = services.project.tenants
    if ask.tenant is not None:
        return (ask.tenant,)
    if ask.scope is KillScope.TENANT:
        _check_known(ask.name, known, "tenant")
        return (TenantId(ask.name),)
    if ask.scope is KillScope.KEY:
        found = [one.tenant for one in services.authority.current().keys.values() if ask.name in {one.key_id, one.name}]
        return tuple(dict.fromkeys(found)) or known
    return known


def _check_name(services: Services, ask: KillAsk) -> None:
    """Refuse a name that nothing has: a switch that stops nothing would be believed to stop something."""
    project = services.project
    match ask.scope:
        case KillScope.EVERYTHING | KillScope.TENANT:
            return
        case KillScope.WORKFLOW | KillScope.TOOL if not ask.has_names:
            return
        case KillScope.WORKFLOW:
            _check_known(ask.name, project.contracts, "workflow")
        case KillScope.TOOL:
            contracts = [each for environments in project.environments.values() for each in environments.values()]
            _check_known(ask.name, {name for one in contracts for name in one.tools}, "tool")
        case KillScope.MODEL:
            if not _may_be_asked(project, ask.name):
                models = {str(model) for tier in project.tiers.values() for model in tier}
                _check_known(ask.name, models | set(project.providers), "model or provider")
        case KillScope.KEY if ask.name.startswith(PREFIX) and is_cleartext(ask.name):
            # Whoever comes with an issuer's token is in no list: their calls name them (`key:oidc_...`).
            return
        case KillScope.KEY:
            keys = services.authority.current().keys.values()
            _check_known(ask.name, {name for one in keys for name in (one.key_id, one.name)}, "key")


def _may_be_asked(project: Project, model: str) -> bool:
    """Whether an agent may name this model of a provider though no tier has it, since its workflow is only watched."""
    environments = project.environments.values()
    is_watching = any(one.enforce is Enforce.OBSERVE for contracts in environments for one in contracts.values())
    return is_watching and _MODEL.fullmatch(model) is not None and model.partition("/")[0] in project.providers


def _check_known(name: str, known: Iterable[str], what: str) -> None:
    names = sorted(known)
    if name not in names:
        near = nearest(name, names)
        raise NotFound(
            f"There is no {what} {name!r} here, so there is nothing to stop.",
            next_move=f"Did you mean {near!r}?" if near else f"Known: {', '.join(names[:20]) or 'none'}.",
        )


def _standing(authority: Authority, ask: KillAsk) -> KillSwitch | None:
    place = (ask.scope, ask.name, ask.tenant)
    return next((one for one in authority.kills if (one.scope, one.name, one.tenant) == place), None)


def _find(authority: Authority, ask: KillAsk) -> None:
    if _standing(authority, ask) is not None:
        return
    raise NotFound(
        f"No such kill switch is on: {' '.join(word for word in (ask.scope.value, ask.name) if word)}"
        + (f" of tenant {ask.tenant}." if ask.tenant else "."),
        next_move="List those that are: leverframe kill list",
    )


def _detail(ask: KillAsk, *, is_on: bool) -> dict[str, DetailValue]:
    detail: dict[str, DetailValue] = {"scope": ask.scope.value, "is_on": is_on}
    if ask.name:
        detail["name"] = ask.name
    if ask.tenant is not None:
        detail["of_tenant"] = ask.tenant
    return detail
