"""Access tokens of an issuer, as the entry points ask about them."""

from typing import Protocol

from leverframe.domain.access import Identified


class Tokens(Protocol):
    """Contract: a token is checked whole (signature, issuer, audience, time, scopes) and goes nowhere from here."""

    async def identified(self, text: str) -> Identified:
        """Whose token this is.

        Raises:
            TokenRefused: it is not one that this project takes.
            ScopeMissing: it is, and lacks a scope.
            IssuerUnavailable: the issuer's keys cannot be had now.
        """
        ...
