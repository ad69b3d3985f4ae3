"""Where `secret://` references become values."""

from typing import Protocol


class Secrets(Protocol):
    """References to credentials, resolved where they are used.

    Contract: a value is returned to adapters only and is never logged; a reference that does not resolve raises
    `SecretUnavailable`, naming the reference and never a value.
    """

    def resolve(self, reference: str, *, tenant: str = "") -> str:
        """The value of `secret://SOURCE/NAME`; `{tenant}` in it is the tenant of the call."""
        ...

    async def resolved(self, reference: str, *, tenant: str = "") -> str:
        """As `resolve`; what must be fetched from another machine is waited for beside the event loop."""
        ...

    def known_values(self) -> frozenset[str]:
        """Every value resolved so far, so that results, errors and logs can be scrubbed of them."""
        ...
