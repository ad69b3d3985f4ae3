"""SQL of `data_keys`: the wrapped keys under which values are sealed, one for each subject, run or tenant.

Owner: evidence.  Writer: the store's writer.  Trust: untrusted; without the key-encryption key of the vault nothing in
it opens a value, and an editor can only make values unreadable.
A destroyed key keeps its row without its bytes, so that what was sealed under it reads as erased; whoever is written of
again gets a new one.  Rules: docs/adr/0010-sealed-values-and-tagged-rows.md.
"""

import sqlite3
from collections.abc import Collection

from leverframe.domain.errors import KeyUnsafe
from leverframe.domain.ids import RunId, TenantId
from leverframe.ports.vault import DataKey, Vault

# Whose a key is: a subject's, else a run's, else the tenant's own.
_OF_TENANT = b"tenant"
_MAX_RUNS = 8_192

_SUBJECT = "SELECT subject_digest FROM runs WHERE run_id = ?1"

_LIVE = "SELECT key_id, wrapped FROM data_keys WHERE tenant = ?1 AND holder = ?2 AND wrapped IS NOT NULL"

# As many slots as are asked for at once: the text of the statement never depends on its values.
_SOME = """
SELECT holder, key_id, wrapped FROM data_keys
 WHERE tenant = ?1 AND wrapped IS NOT NULL
   AND holder IN (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
"""
_SLOTS = 16

_PUT = "INSERT INTO data_keys (tenant, key_id, holder, wrapped) VALUES (?1, ?2, ?3, ?4)"

_DESTROY = "UPDATE data_keys SET wrapped = NULL WHERE tenant = ?1 AND key_id = ?2"

_ANY = "SELECT key_id, wrapped FROM data_keys WHERE tenant = ?1 AND wrapped IS NOT NULL LIMIT 1"


class Keyring:
    """The vault of a process, and what it found out once: whose key a run's values are under, and which tags hold."""

    def __init__(self, vault: Vault) -> None:
        self.vault = vault
        self._holders: dict[RunId, bytes] = {}
        # State and tag of each run's row that carried its MAC when it was last looked at.
        self.run_tags: dict[RunId, tuple[str, bytes]] = {}

    def holder(self, tx: sqlite3.Connection, run_id: RunId | None) -> bytes:
        """Whose key seals what a run says; a run that is not there has its own."""
        if run_id is None:
            return _OF_TENANT
        known = self._holders.get(run_id)
        if known is None:
            row = tx.execute(_SUBJECT, (run_id,)).fetchone()
            known = holder_of(row[0] if row is not None else b"", run_id)
            if row is not None:
                self.know(run_id, row[0])
        return known

    def know(self, run_id: RunId, subject_digest: bytes) -> None:
        """Remember whose a run is; the run is there."""
        if run_id not in self._holders:
            if len(self._holders) >= _MAX_RUNS:
                self._holders.clear()
            self._holders[run_id] = holder_of(subject_digest, run_id)


class Keys:
    """The data keys of one transaction, each looked up once; what it has made goes when its savepoint goes."""

    def __init__(self, tx: sqlite3.Connection, ring: Keyring) -> None:
        self._tx = tx
        self._ring = ring
        self._found: dict[tuple[TenantId, bytes], DataKey] = {}

    @property
    def vault(self) -> Vault:
        """The vault that the keys are of."""
        return self._ring.vault

    def know(self, run_id: RunId, subject_digest: bytes) -> None:
        """Remember whose a run is."""
        self._ring.know(run_id, subject_digest)

    def prefetch(self, tenant: TenantId, run_ids: Collection[RunId]) -> None:
        """Look for the keys of these runs at once; one that cannot be opened is left to `of_run`."""
        holders = list({self._ring.holder(self._tx, run_id) for run_id in run_ids})
        for first in range(0, len(holders), _SLOTS):
            slots = holders[first : first + _SLOTS]
            slots += slots[-1:] * (_SLOTS - len(slots))
            for holder, key_id, wrapped in self._tx.execute(_SOME, (tenant, *slots)):
                key = DataKey(tenant=tenant, key_id=key_id, wrapped=wrapped)
                if self.vault.can_open(key):
                    self._found[tenant, holder] = key

    def of_run(self, tenant: TenantId, run_id: RunId | None) -> DataKey:
        """The key for what is said in a run, or outside any; made where there is none yet.

        Raises:
            KeyUnsafe: the vault cannot open it, so that nothing would ever be read again.
        """
        return self.of_holder(tenant, self._ring.holder(self._tx, run_id))

    def of_holder(self, tenant: TenantId, holder: bytes) -> DataKey:
        """The same for a subject, a run or a tenant."""
        known = self._found.get((tenant, holder))
        if known is None:
            known = self._found[tenant, holder] = self._live(tenant, holder) or self._made(tenant, holder)
        return known

    def is_known_run(self, run_id: RunId, found: tuple[str, bytes | None]) -> bool:
        """Whether this state and tag of a run's row were held against its MAC before."""
        return self._ring.run_tags.get(run_id) == found

    def know_run(self, run_id: RunId, genuine: tuple[str, bytes]) -> None:
        """Remember a row's state and the tag that is the MAC of it, whether or not its transaction is committed."""
        if len(self._ring.run_tags) >= _MAX_RUNS:
            self._ring.run_tags.clear()
        self._ring.run_tags[run_id] = genuine

    def reset(self) -> None:
        """Look again: a savepoint was rolled back, and with it keys that were made in it."""
        self._found.clear()

    def destroy(self, tenant: TenantId, holder: bytes) -> bytes | None:
        """Overwrite a holder's key; returns its id, None where there is none."""
        key = self._live(tenant, holder)
        if key is None:
            return None
        self._tx.execute(_DESTROY, (tenant, key.key_id))
        self._found.pop((tenant, holder), None)
        return key.key_id

    def _live(self, tenant: TenantId, holder: bytes) -> DataKey | None:
        row = self._tx.execute(_LIVE, (tenant, holder)).fetchone()
        if row is None:
            return None
        key = DataKey(tenant=tenant, key_id=row[0], wrapped=row[1])
        _check(self.vault, key)
        return key

    def _made(self, tenant: TenantId, holder: bytes) -> DataKey:
        key = self.vault.new_key(tenant)
        self._tx.execute(_PUT, (tenant, key.key_id, holder, key.wrapped))
        return key


def holder_of(subject_digest: bytes, run_id: RunId) -> bytes:
    """A run's subject, else the run itself."""
    return b"subject:" + subject_digest if subject_digest else b"run:" + run_id.encode()


def check(tx: sqlite3.Connection, vault: Vault, tenant: TenantId) -> None:
    """See to it that the vault belongs to this database, before anything is sealed under another key beside it.

    Raises:
        KeyUnsafe: it does not, or its key-encryption key is missing.
    """
    row = tx.execute(_ANY, (tenant,)).fetchone()
    if row is not None:
        _check(vault, DataKey(tenant=tenant, key_id=row[0], wrapped=row[1]))


def _check(vault: Vault, key: DataKey) -> None:
    if not vault.can_open(key):
        raise KeyUnsafe(
            f"The key-encryption key of {key.tenant!r} is not the one under which the database's values were sealed.",
            next_move="Restore `keys/` from the backup that belongs to this database; nothing was changed.",
        )
