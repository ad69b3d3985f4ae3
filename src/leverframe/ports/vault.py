"""What the store needs keys for, and never holds itself: values at rest, and rows that grant authority.

Contract for every implementation (tests/unit/test_vault.py):
- A data key is random, has a random id, and leaves the vault wrapped under the tenant's key-encryption key alone; the
  store keeps the wrapped form.  Without both, nothing that was sealed can be read: destroying the wrapped form erases.
- What is sealed opens under its own key, tenant and place only; anything else does not open.
- A tag is a MAC under a key of the tenant that no database holds.
- All of it may be called from any thread.
"""

from dataclasses import dataclass
from typing import Protocol

from leverframe.domain.ids import TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class DataKey:
    """A key under which values are sealed, as the store keeps it: its random id and its wrapped bytes."""

    tenant: TenantId
    key_id: bytes
    wrapped: bytes


class Vault(Protocol):
    """The keys of a project's tenants.  Every function raises KeyUnsafe where a key file is missing or unsafe."""

    def new_key(self, tenant: TenantId) -> DataKey:
        """A fresh data key; makes the tenant's key-encryption key at its first use."""
        ...

    def seal(self, key: DataKey, place: bytes, data: bytes) -> bytes:
        """Encrypt and authenticate, bound to its place, under a nonce of its own.

        Raises:
            KeyUnsafe: the key was wrapped under another key-encryption key than the one that is here.
        """
        ...

    def open(self, key: DataKey, place: bytes, sealed: bytes) -> bytes | None:
        """What was sealed at that place; None where it, its place or its key was changed."""
        ...

    def can_open(self, key: DataKey) -> bool:
        """Whether the key-encryption key that is here is the one that wrapped this key."""
        ...

    def forget(self, key_id: bytes) -> None:
        """Drop a key whose wrapped form was destroyed from memory."""
        ...

    def tag(self, tenant: TenantId, row: bytes) -> bytes:
        """The MAC of a row that grants authority, its version first; equal rows have equal tags."""
        ...

    def has_tagged(self, tenant: TenantId) -> bool:
        """Whether the tenant's MAC key was ever made: until then no row of theirs can carry a tag."""
        ...
