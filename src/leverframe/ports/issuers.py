"""Whoever can say what a credential may do."""

from typing import Protocol

from leverframe.domain.credentials import CredentialGrant, CredentialIssuer


class Issuers(Protocol):
    """Contract: a credential is sent to nobody but the issuer that the project names for it, once for each question.

    `granted` never raises for what an issuer does: what is not known is said in the grant, without the value.
    """

    async def granted(self, value: str, issuer: CredentialIssuer | None) -> CredentialGrant:
        """What this credential may do; without an issuer only what it says itself."""
        ...

    async def close(self) -> None:
        """Let go of connections.  Safe to call twice."""
        ...
