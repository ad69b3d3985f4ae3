"""The key under which a tenant's values are fingerprinted: `.leverframe/keys/<tenant>.key`, 32 random bytes.

Trusted: whoever reads it can test guesses against the digests of a log, and so it never leaves the machine.
Source: RFC 2104 (HMAC), with SHA-256.
"""

import hmac
import os
from hashlib import sha256
from pathlib import Path
from typing import Final

from leverframe.domain.errors import KeyUnsafe
from leverframe.domain.ids import TenantId
from leverframe.identity.private_files import create_private, read_private
from leverframe.ports.fingerprints import Fingerprints

_KEY_BYTES: Final = 32
_MAX_NAME_CHARS: Final = 64


class TenantKeys(Fingerprints):
    """The fingerprint keys of a project's tenants, each made at its first use and kept from then on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys: dict[TenantId, bytes] = {}

    def fingerprint(self, tenant: TenantId, domain: str, data: bytes) -> bytes:
        """32 bytes: HMAC-SHA256 over the length-prefixed domain and the data.

        Raises:
            KeyUnsafe: the key file cannot be made or read, is damaged, or can be read by others.
        """
        name = domain.encode()
        return hmac.digest(self._key(tenant), len(name).to_bytes(4, "big") + name + data, "sha256")

    def _key(self, tenant: TenantId) -> bytes:
        if tenant not in self._keys:
            self._keys[tenant] = self._load(tenant)
        return self._keys[tenant]

    def _load(self, tenant: TenantId) -> bytes:
        path = self._folder / f"{file_name(tenant)}.key"
        if not path.exists():
            # Two processes may both come here; the one that loses reads the winner's key.
            create_private(path, os.urandom(_KEY_BYTES))
        key = read_private(path, "The fingerprint key")
        if len(key) != _KEY_BYTES:
            raise KeyUnsafe(
                f"The fingerprint key {str(path)!r} has {len(key)} bytes, expected {_KEY_BYTES}.",
                next_move="Restore it from a backup: with another key no earlier call is found again.",
            )
        return key


def file_name(tenant: TenantId) -> str:
    """The tenant as one path component; a name that is not plain stands as its hash, behind a dot that none has."""
    is_plain = tenant.isascii() and all(char.isalnum() or char in "-_" for char in tenant)
    if tenant and is_plain and len(tenant) <= _MAX_NAME_CHARS:
        return tenant
    return f"sha256.{sha256(tenant.encode()).hexdigest()}"
