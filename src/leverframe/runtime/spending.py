"""How the shared budgets stand: every window that is open now, with what is settled and reserved in it.

Never: makes a window; one that nothing was reserved in yet is shown empty.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from leverframe.core.shared_budgets import every_window, with_books, with_raises
from leverframe.domain.authority import BudgetRaise
from leverframe.domain.budgets import Window
from leverframe.domain.ids import TenantId
from leverframe.runtime.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWindow:
    """One unit of one budget in its present period, for the tenant whose spending it bounds.

    The window's limit holds what `raises` add to it now.
    """

    tenant: TenantId
    window: Window
    raises: tuple[BudgetRaise, ...] = ()

    @property
    def raised(self) -> int:
        """By how much its limit is above the project's file."""
        return sum(one.amount for one in self.raises)


async def open_windows(services: Services, at: datetime) -> tuple[OpenWindow, ...]:
    """The windows of every tenant of the project, by tenant, id and unit.

    Raises:
        AuthorityForged: raises were changed outside of Leverframe, so nobody knows the limits.
    """
    project, raises = services.project, services.authority.current().raises
    found: list[OpenWindow] = []
    for tenant in project.tenants:
        windows = every_window(project.budgets, tenant=tenant, at=at, zone=project.zone_of(tenant))
        ids = tuple(dict.fromkeys(window.window_id for window in windows))
        stored = await services.journal.shared_windows(ids) if ids else ()
        raised = with_raises(windows, raises, at)
        found += [
            OpenWindow(tenant=tenant, window=one, raises=_raises_of(one, raises, at))
            for one in with_books(raised, stored)
        ]
    return tuple(found)


def _raises_of(window: Window, raises: Iterable[BudgetRaise], at: datetime) -> tuple[BudgetRaise, ...]:
    return tuple(one for one in raises if (one.budget, one.unit) == (window.budget, window.unit) and at < one.until)
