"""Keyed hashes, for finding equal values again without keeping them."""

from typing import Protocol

from leverframe.domain.ids import TenantId


class Fingerprints(Protocol):
    """Contract: HMAC-SHA256 under a key of the tenant that never leaves the machine; equal in, equal out.

    `domain` separates uses, so that a request digest is never equal to a pseudonym of the same bytes.
    """

    def fingerprint(self, tenant: TenantId, domain: str, data: bytes) -> bytes:
        """32 bytes."""
        ...
