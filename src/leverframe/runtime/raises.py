"""Raising a budget for a while: a person adds to one of its limits, until an instant.

Knows: which budgets and units there are to raise, and what is recorded.  Never: changes the project's file, whose
limits come back by themselves.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta

from leverframe.core.nearest import nearest
from leverframe.core.shared_budgets import SHARED_KEYS
from leverframe.domain.authority import Authority, BudgetRaise
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.contracts import Person
from leverframe.domain.errors import NotFound
from leverframe.domain.evidence import DetailValue, EventType
from leverframe.domain.ids import BudgetId, TenantId
from leverframe.domain.proposals import PutRaise
from leverframe.domain.time import rfc3339
from leverframe.runtime.amending import Amendment, amend, check_may_amend, sealed_reason
from leverframe.runtime.services import Services
from leverframe.runtime.spending import open_windows


async def raise_budget(
    services: Services,
    person: Person,
    budget: BudgetId,
    added: Mapping[BudgetUnit, int],
    *,
    lasts: timedelta,
    because: str,
    proof: str,
) -> tuple[BudgetRaise, ...]:
    """Add to limits of a budget, from now on; several raises add up, and each ends by itself.

    Args:
        services: the runtime's.
        person: who does it, authenticated by the caller.
        budget: as `budgets list` names it.
        added: by how much, one or more of each unit: micro-dollars for `usd`, else a count.
        lasts: how long.
        because: why, in the person's words; sealed.
        proof: how the caller knows who it is.

    Raises:
        NotFound: there is no such budget, or it limits no such unit.
        ApprovalRefused: this person may not.
    """
    now = services.mint.now()
    tenant = await _tenant_of(services, budget, added)
    await check_may_amend(services, tenant, person, "budgets-raise")
    made: list[BudgetRaise] = []
    for unit, amount in added.items():
        sealed = sealed_reason(services, tenant, because)
        one = BudgetRaise(
            budget=budget,
            tenant=tenant,
            unit=unit,
            amount=amount,
            until=now + lasts,
            by=person.id,
            at=now,
            reason_ref=sealed[0].digest if sealed else "",
        )
        amendment = Amendment(
            changes=(PutRaise(budget_raise=one),),
            event=EventType.BUDGET_RAISED,
            detail=_detail(one),
            disclosures=sealed,
        )
        await amend(services, tenant, person, proof, _always(amendment))
        made.append(one)
    return tuple(made)


def _always(made: Amendment) -> Callable[[Authority], Amendment]:
    def make(authority: Authority) -> Amendment:
        del authority  # what is added does not rest on what stands
        return made

    return make


async def _tenant_of(services: Services, budget: BudgetId, added: Mapping[BudgetUnit, int]) -> TenantId:
    """Whose budget it is."""
    windows = await open_windows(services, services.mint.now())
    mine = [one for one in windows if one.window.budget == budget]
    if not mine:
        known = sorted({one.window.budget for one in windows})
        near = nearest(budget, known)
        raise NotFound(
            f"There is no budget {budget!r} here.",
            next_move=f"Did you mean {near!r}?" if near else "List them: leverframe budgets list",
        )
    limited = {one.window.unit for one in mine}
    for unit in added:
        if unit not in limited:
            keys = ", ".join(SHARED_KEYS[one] for one in SHARED_KEYS if one in limited)
            raise NotFound(
                f"The budget {budget!r} has no limit {SHARED_KEYS[unit]!r} to raise; it has: {keys}.",
                next_move="Name one of those.",
            )
    return mine[0].tenant


def _detail(one: BudgetRaise) -> dict[str, DetailValue]:
    return {"budget": one.budget, "unit": one.unit.value, "amount": one.amount, "until": rfc3339(one.until)}
