"""SQL of `disclosures`: salted values, sealed, apart from the leaves that commit to them and found by their entries.

Owner: evidence.  Writer: the store's writer.  Trust: untrusted; a changed one does not open or no longer fits its
digest, and a deleted one shows as missing, so an editor can only make verification fail.
Name, salt, value, and whether it may be shown stand inside what is sealed, bound to the entry and the digest.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import msgspec

from leverframe.domain.errors import EvidenceBroken
from leverframe.domain.evidence import Disclosure, EntryDraft, KeptValue
from leverframe.domain.ids import EntryId, RunId, TenantId, WorkflowName
from leverframe.domain.proposals import DestroyKey, GuardFailed, PruneDisclosures
from leverframe.domain.time import to_us
from leverframe.ports.vault import DataKey, Vault
from leverframe.store.sqlite.data_keys import Keys, holder_of

_PUT = """
INSERT INTO disclosures (tenant, digest, entry_id, key_id, sealed, created_us)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT DO NOTHING
"""

_OF_ENTRY = """
SELECT d.tenant, d.digest, d.entry_id, d.key_id, d.sealed, d.created_us, k.wrapped
  FROM disclosures AS d
  LEFT JOIN data_keys AS k ON k.tenant = d.tenant AND k.key_id = d.key_id
 WHERE d.tenant = :tenant AND d.entry_id = :entry_id
"""

_OF_FIRST_ENTRY = """
SELECT d.tenant, d.digest, d.entry_id, d.key_id, d.sealed, d.created_us, k.wrapped
  FROM leaves AS l
 CROSS JOIN disclosures AS d
  LEFT JOIN data_keys AS k ON k.tenant = d.tenant AND k.key_id = d.key_id
 WHERE l.tenant = :tenant AND l.run_id = :run_id AND l.run_seq = 1 AND d.entry_id = l.entry_id AND d.tenant = :tenant
"""

_OF_RUN = """
SELECT d.tenant, d.digest, d.entry_id, d.key_id, d.sealed, d.created_us, k.wrapped
  FROM leaves AS l
 CROSS JOIN disclosures AS d
  LEFT JOIN data_keys AS k ON k.tenant = d.tenant AND k.key_id = d.key_id
 WHERE l.tenant = :tenant AND l.run_id = :run_id AND d.entry_id = l.entry_id AND d.tenant = :tenant
 ORDER BY d.created_us, d.digest
"""

_OF_TENANT = """
SELECT d.tenant, d.digest, d.entry_id, d.key_id, d.sealed, d.created_us, k.wrapped
  FROM disclosures AS d
  LEFT JOIN data_keys AS k ON k.tenant = d.tenant AND k.key_id = d.key_id
 WHERE d.tenant = :tenant
 ORDER BY d.created_us, d.digest
"""

_OF_SUBJECT = """
SELECT d.entry_id, d.digest
  FROM runs AS r
 CROSS JOIN leaves AS l
 CROSS JOIN disclosures AS d
 WHERE r.tenant = :tenant AND r.subject_digest = :subject_digest AND l.tenant = :tenant AND l.run_id = r.run_id
   AND d.entry_id = l.entry_id AND d.tenant = :tenant
 ORDER BY d.created_us, d.digest
"""

_PRUNABLE = """
SELECT d.entry_id, d.digest
  FROM runs AS r
 CROSS JOIN leaves AS l
 CROSS JOIN disclosures AS d
 WHERE r.tenant = :tenant AND r.workflow = :workflow AND r.state = 'ended' AND r.ended_us < :before_us
   AND l.tenant = :tenant AND l.run_id = r.run_id
   AND d.entry_id = l.entry_id AND d.tenant = :tenant AND d.created_us < :before_us
 ORDER BY d.created_us, d.digest
 LIMIT :limit
"""

_PRUNE = "DELETE FROM disclosures WHERE tenant = ?1 AND entry_id = ?2 AND digest = ?3"

_LEFT = "SELECT count(*) FROM disclosures WHERE tenant = ?1 AND key_id = ?2"


class _Sealed(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What is inside: all of a disclosure but its digest."""

    salt: str
    name: str
    value: bytes
    is_redacted: bool
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRow:
    """A row as it is stored.  `disclosure` None: it does not open; `is_erased`: its key was destroyed."""

    digest: str
    entry_id: str
    created_us: int
    is_erased: bool
    disclosure: Disclosure | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Sealed).decode


def put(tx: sqlite3.Connection, keys: Keys, drafts: Sequence[EntryDraft]) -> None:
    """Seal and store what entries disclose; what is there already stays as it is."""
    rows = []
    for draft in drafts:
        key = keys.of_run(draft.tenant, draft.run_id)
        created_us = to_us(draft.at)
        rows += [row_of(keys.vault, key, draft.entry_id, one, created_us) for one in draft.disclosures]
    put_rows(tx, rows)


def row_of(vault: Vault, key: DataKey, entry_id: str, one: Disclosure, created_us: int) -> tuple[object, ...]:
    """A disclosure as `put_rows` takes it."""
    inside = _Sealed(one.salt, one.name, one.value_bytes, one.is_redacted, one.token)
    sealed = vault.seal(key, _place(key.tenant, entry_id, one.digest), _encode(inside))
    return key.tenant, one.digest, entry_id, key.key_id, sealed, created_us


def put_rows(tx: sqlite3.Connection, rows: Iterable[tuple[object, ...]]) -> None:
    """Store sealed rows."""
    tx.executemany(_PUT, rows)


def prune(tx: sqlite3.Connection, change: PruneDisclosures) -> None:
    """Delete disclosures; those that are gone already are nothing."""
    tx.executemany(_PRUNE, [(change.tenant, *value) for value in change.values])


def destroy(tx: sqlite3.Connection, keys: Keys, change: DestroyKey) -> GuardFailed | None:
    """Delete disclosures with the key of their subject; more under that key than were named is a lost race."""
    prune(tx, PruneDisclosures(tenant=change.tenant, values=change.values))
    key_id = keys.destroy(change.tenant, holder_of(change.subject_digest, change.run_id))
    if key_id is None:
        return None
    (left,) = tx.execute(_LEFT, (change.tenant, key_id)).fetchone()
    if left:
        return GuardFailed(guard="DestroyKey", detail=f"{left} more values are under the key than were named")
    keys.vault.forget(key_id)
    return None


def of_entries(
    tx: sqlite3.Connection, vault: Vault, tenant: TenantId, entry_ids: Iterable[EntryId]
) -> Mapping[str, Disclosure]:
    """What these entries disclose and is still there, by digest.  Raises EvidenceBroken where one was changed."""
    found = (tx.execute(_OF_ENTRY, {"tenant": tenant, "entry_id": one}) for one in entry_ids)
    return {one.digest: one for one in _opened(vault, chain.from_iterable(found))}


def of_first_entries(
    tx: sqlite3.Connection, vault: Vault, tenant: TenantId, run_ids: Iterable[RunId]
) -> Mapping[str, Disclosure]:
    """The same of the first entry of each of these runs, which holds its input."""
    found = (tx.execute(_OF_FIRST_ENTRY, {"tenant": tenant, "run_id": one}) for one in run_ids)
    return {one.digest: one for one in _opened(vault, chain.from_iterable(found))}


def of_run(tx: sqlite3.Connection, vault: Vault, tenant: TenantId, run_id: RunId) -> Sequence[Disclosure]:
    """All that a run's entries disclose, oldest first.  Raises EvidenceBroken where one was changed."""
    return list(_opened(vault, tx.execute(_OF_RUN, {"tenant": tenant, "run_id": run_id})))


def of_tenant(tx: sqlite3.Connection, vault: Vault, tenant: TenantId) -> Iterator[StoredRow]:
    """Every row of a tenant, oldest first, whether it opens or not."""
    for row in tx.execute(_OF_TENANT, {"tenant": tenant}):
        yield _stored(vault, row)


def of_subject(tx: sqlite3.Connection, tenant: TenantId, subject_digest: bytes) -> Sequence[KeptValue]:
    """All that is kept of a subject's runs, oldest first."""
    return _places(tx.execute(_OF_SUBJECT, {"tenant": tenant, "subject_digest": subject_digest}))


def prunable(
    tx: sqlite3.Connection, tenant: TenantId, before: datetime, workflow: WorkflowName, limit: int
) -> Sequence[KeptValue]:
    """What is kept of that workflow's runs that ended before then, oldest first."""
    params = {"tenant": tenant, "workflow": workflow, "before_us": to_us(before), "limit": limit}
    return _places(tx.execute(_PRUNABLE, params))


def _places(rows: Iterable[tuple[str, str]]) -> Sequence[KeptValue]:
    return [KeptValue(EntryId(entry_id), digest) for entry_id, digest in rows]


def _place(tenant: str, entry_id: str, digest: str) -> bytes:
    return f"disclosure 1\0{tenant}\0{entry_id}\0{digest}".encode()


# Any: a row of SQLite has no static type; STRICT tables keep what each column may hold.
def _opened(vault: Vault, rows: Iterable[tuple[Any, ...]]) -> Iterator[Disclosure]:
    for row in rows:
        stored = _stored(vault, row)
        if stored.disclosure is not None:
            yield stored.disclosure
        elif not stored.is_erased:
            raise EvidenceBroken(
                f"The stored value {stored.digest!r} of entry {stored.entry_id!r} is not what was sealed.",
                next_move="Keep the database as it is, and run: leverframe evidence verify",
            )


# Any: see `_opened`.
def _stored(vault: Vault, row: tuple[Any, ...]) -> StoredRow:
    tenant, digest, entry_id, key_id, sealed, created_us, wrapped = row
    inside = None
    if wrapped is not None:
        key = DataKey(tenant=TenantId(tenant), key_id=key_id, wrapped=wrapped)
        inside = vault.open(key, _place(tenant, entry_id, digest), sealed)
    return StoredRow(
        digest=digest,
        entry_id=entry_id,
        created_us=created_us,
        is_erased=wrapped is None,
        disclosure=None if inside is None else _disclosure(digest, inside),
    )


def _disclosure(digest: str, inside: bytes) -> Disclosure:
    one = _decode(inside)
    return Disclosure(
        digest=digest,
        salt=one.salt,
        name=one.name,
        value_bytes=one.value,
        is_redacted=one.is_redacted,
        token=one.token,
    )
