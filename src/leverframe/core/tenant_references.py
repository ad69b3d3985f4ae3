"""References to secrets in which `{tenant}` stands: whose each becomes, and where two tenants would have one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from leverframe.domain.ids import TenantId

TENANT: Final = "{tenant}"
_VARIABLES: Final = "secret://env/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A secret that two tenants would have: each by the reference of its own, which can be one and the same."""

    reference: str
    tenant: TenantId
    resolved: str
    other: TenantId


def of_tenant(reference: str, tenant: str) -> str:
    """The reference as it is resolved for a tenant; a variable has capitals, and `_` for what it cannot have."""
    if reference.startswith(_VARIABLES):
        tenant = "".join(char.upper() if char.isalnum() else "_" for char in tenant)
    return reference.replace(TENANT, tenant)


def shared(references: Iterable[str], tenants: Sequence[TenantId]) -> Sequence[Shared]:
    """Of each reference with `{tenant}`, the first secret that another tenant would have too."""
    wanted = [one for one in dict.fromkeys(references) if TENANT in one]
    owners: dict[str, TenantId] = {}
    found: list[Shared] = []
    for reference in wanted:
        for tenant in tenants:
            resolved = of_tenant(reference, tenant)
            other = owners.setdefault(resolved, tenant)
            if other != tenant:
                found.append(Shared(reference=reference, tenant=tenant, resolved=resolved, other=other))
                break
    return found
