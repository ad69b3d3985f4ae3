"""`leverframe doctor`: looks at what no file says, through the checks that it is given.

Knows: what a check is, and how its findings end the command.  Never: repairs anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from leverframe.core.scopes import judged, uses
from leverframe.core.scrub import scrubbed_text
from leverframe.domain.contracts import Project
from leverframe.domain.credentials import CredentialGrant, CredentialUse, Diagnosis
from leverframe.domain.errors import SecretUnavailable
from leverframe.domain.ids import TenantId
from leverframe.ports.issuers import Issuers
from leverframe.ports.secrets import Secrets

_TENANT = "{tenant}"


class Check(Protocol):
    """One thing that `doctor` looks at.

    Contract: `diagnoses` raises nothing for what it finds or cannot ask; that is a diagnosis.
    """

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        ...

    @property
    def looked_at(self) -> int:
        """How many things the last look was at."""
        ...

    async def diagnoses(self) -> Sequence[Diagnosis]:
        """Look."""
        ...


@dataclass(slots=True)
class CredentialScopes:
    """Whether a credential may do more, or less, than the tools that are called with it say that they need."""

    project: Project
    secrets: Secrets
    issuers: Issuers
    name: str = "credential-scopes"
    looked_at: int = 0

    async def diagnoses(self) -> Sequence[Diagnosis]:
        """Ask about each credential, for each tenant that has one of its own."""
        found: list[Diagnosis] = []
        for use in uses(self.project.tools.values(), self.project.servers):
            own = _TENANT in use.reference
            for tenant in self.project.tenants if own else (None,):
                self.looked_at += 1
                found += judged(use, await self._grant(use, tenant), tenant)
        return found

    async def _grant(self, use: CredentialUse, tenant: TenantId | None) -> CredentialGrant:
        try:
            value = await self.secrets.resolved(use.reference, tenant=tenant or "")
        except SecretUnavailable as err:
            return CredentialGrant(unknown_because=err.message.rstrip("."))
        grant = await self.issuers.granted(value, self.project.credential_issuers.get(use.reference))
        known = self.secrets.known_values()
        # What an issuer answers is another's text, and may repeat what it was sent.
        return CredentialGrant(
            scopes=frozenset(scrubbed_text(one, known) for one in grant.scopes),
            unknown_because=scrubbed_text(grant.unknown_because, known),
            is_mute=grant.is_mute,
        )
