"""The keys that keep a tenant's values closed and their approvals honest, in files beside the database.

`.leverframe/keys/<tenant>.vault.key`: 32 random bytes that wrap the data keys (AES-256-GCM).  Whoever has it and the
database reads every value.  `.leverframe/keys/<tenant>.mac.key`: 32 random bytes for tags (HMAC-SHA256).  Whoever has
it and may write the database can forge an approval.  Both are made at their first use and never replaced.
Never: keeps a nonce for later, since a process that forks would use it twice.
Source: NIST SP 800-38D (96-bit random nonces, at most 2**32 for one key); RFC 2104.
"""

import hmac
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from leverframe.domain.errors import KeyUnsafe
from leverframe.domain.ids import TenantId
from leverframe.identity.keys import file_name
from leverframe.identity.private_files import create_private, read_private
from leverframe.ports.vault import DataKey, Vault

_KEY_BYTES: Final = 32
_KEY_ID_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_TAG_VERSION: Final = b"\x01"
_WRAP: Final = b"leverframe data key 1\x00"
_TAG: Final = b"leverframe authority row 1\x00"
# A cipher takes 4 us to make and about 1 KB to keep.
_MAX_CIPHERS: Final = 4_096


class FileVault(Vault):
    """The vault of a project: one folder, private to the user who runs it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._wrapping: dict[TenantId, AESGCM] = {}
        self._tagging: dict[TenantId, bytes] = {}
        # By id and wrapped bytes: a wrapped key that was exchanged in the database is another key.
        self._ciphers: dict[tuple[bytes, bytes], AESGCM] = {}

    def new_key(self, tenant: TenantId) -> DataKey:
        """A fresh data key of a tenant.

        Raises:
            KeyUnsafe: the key-encryption key cannot be made or read.
        """
        key_id, secret = os.urandom(_KEY_ID_BYTES), os.urandom(_KEY_BYTES)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._wrapper(tenant, create=True).encrypt(nonce, secret, _wrap_place(tenant, key_id))
        key = DataKey(tenant=tenant, key_id=key_id, wrapped=nonce + sealed)
        self._keep(key, AESGCM(secret))
        return key

    def seal(self, key: DataKey, place: bytes, data: bytes) -> bytes:
        """Nonce, then ciphertext, then its tag.

        Raises:
            KeyUnsafe: the key was wrapped under another key-encryption key than the one that is here.
        """
        cipher = self._cipher(key)
        if cipher is None:
            raise KeyUnsafe(
                f"The data key {key.key_id.hex()!r} of {key.tenant!r} was not wrapped under"
                f" {str(self._file(key.tenant, 'vault'))!r}.",
                next_move="Restore that key file from the backup that belongs to this database.",
            )
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + cipher.encrypt(nonce, data, place)

    def open(self, key: DataKey, place: bytes, sealed: bytes) -> bytes | None:
        """What was sealed at that place; None where it, its place or its key was changed.

        Raises:
            KeyUnsafe: the key-encryption key is missing or cannot be read.
        """
        cipher = self._cipher(key)
        return None if cipher is None else _opened(cipher, sealed, place)

    def can_open(self, key: DataKey) -> bool:
        """Whether the key-encryption key that is here wrapped this key.

        Raises:
            KeyUnsafe: it is missing or cannot be read.
        """
        return self._cipher(key) is not None

    def forget(self, key_id: bytes) -> None:
        """Drop a destroyed key from memory."""
        for known in [one for one in list(self._ciphers) if one[0] == key_id]:
            self._ciphers.pop(known, None)

    def tag(self, tenant: TenantId, row: bytes) -> bytes:
        """33 bytes: the version, then HMAC-SHA256.

        Raises:
            KeyUnsafe: the MAC key cannot be made or read.
        """
        secret = self._tagging.get(tenant)
        if secret is None:
            secret = self._tagging[tenant] = self._load(tenant, "mac", "The MAC key", create=True)
        return _TAG_VERSION + hmac.digest(secret, _TAG + row, "sha256")

    def has_tagged(self, tenant: TenantId) -> bool:
        """Whether the MAC key is there."""
        return tenant in self._tagging or self._file(tenant, "mac").exists()

    def _cipher(self, key: DataKey) -> AESGCM | None:
        known = self._ciphers.get((key.key_id, key.wrapped))
        if known is not None:
            return known
        wrapper = self._wrapper(key.tenant, create=False)
        secret = _opened(wrapper, key.wrapped, _wrap_place(key.tenant, key.key_id))
        if secret is None:
            return None
        cipher = AESGCM(secret)
        self._keep(key, cipher)
        return cipher

    def _keep(self, key: DataKey, cipher: AESGCM) -> None:
        if len(self._ciphers) >= _MAX_CIPHERS:
            self._ciphers.clear()
        self._ciphers[key.key_id, key.wrapped] = cipher

    def _wrapper(self, tenant: TenantId, *, create: bool) -> AESGCM:
        known = self._wrapping.get(tenant)
        if known is None:
            secret = self._load(tenant, "vault", "The key-encryption key", create=create)
            known = self._wrapping[tenant] = AESGCM(secret)
        return known

    def _load(self, tenant: TenantId, kind: str, what: str, *, create: bool) -> bytes:
        path = self._file(tenant, kind)
        if create and not path.exists():
            # Two processes may both come here; the one that loses reads the winner's key.
            create_private(path, os.urandom(_KEY_BYTES))
        if not path.exists():
            raise KeyUnsafe(
                f"{what} {str(path)!r} is missing, and what was sealed or signed with it cannot be read or believed.",
                next_move="Restore it from the backup that belongs to this database.",
            )
        secret = read_private(path, what)
        if len(secret) != _KEY_BYTES:
            raise KeyUnsafe(
                f"{what} {str(path)!r} has {len(secret)} bytes, expected {_KEY_BYTES}.",
                next_move="Restore it from the backup that belongs to this database.",
            )
        return secret

    def _file(self, tenant: TenantId, kind: str) -> Path:
        return self._folder / f"{file_name(tenant)}.{kind}.key"


def _opened(cipher: AESGCM, sealed: bytes, place: bytes) -> bytes | None:
    try:
        return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
    except (InvalidTag, ValueError):
        # ValueError: too short to hold a nonce.
        return None


def _wrap_place(tenant: TenantId, key_id: bytes) -> bytes:
    return _WRAP + key_id + tenant.encode()
