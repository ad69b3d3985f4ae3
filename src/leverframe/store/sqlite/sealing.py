"""A vault and its database: whether they belong together, and what versions before schema 5 left in clear.

The clear values are sealed and approvals tagged once, in the transaction that drops the clear rows.

Never: tags an approval of a tenant whose MAC key was made before, since such a row came from somewhere else than the
version that had no tags: whoever sets `user_version` back must not have forged rows blessed.  It stays without a tag.
"""

import sqlite3

from leverframe.domain.errors import KeyUnsafe
from leverframe.domain.evidence import Disclosure
from leverframe.domain.ids import ApprovalId, PrincipalId, RunId, TenantId
from leverframe.ports.vault import Vault
from leverframe.store.sqlite import approvals, data_keys, disclosures
from leverframe.store.sqlite.data_keys import Keyring, Keys

_VALUES = """
SELECT tenant, digest, run_id, entry_id, name, salt, value, is_redacted, token, created_us FROM kept_disclosures
"""

_ANSWERS = """
SELECT o.tenant, o.run_id, a.answer_id, a.approval_id, a.principal, a.word, a.at_us, a.proof, a.viewed_us, a.reason
  FROM kept_answers AS a
  JOIN approvals AS o ON o.approval_id = a.approval_id
"""

_PUT_ANSWER = """
INSERT INTO approval_answers (answer_id, approval_id, principal, word, at_us, proof, viewed_us, key_id, reason)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
"""

_TENANTS = "SELECT tenant FROM trees ORDER BY tenant"

_APPROVALS = "SELECT tenant, approval_id FROM approvals"

_TAGGED = """
SELECT 1 FROM approvals WHERE tenant = :tenant AND tag IS NOT NULL
 UNION ALL
SELECT 1 FROM runs WHERE tenant = :tenant AND tag IS NOT NULL
 LIMIT 1
"""


def check_vault(tx: sqlite3.Connection, vault: Vault) -> None:
    """Open nothing for writing whose keys are elsewhere.

    Raises:
        KeyUnsafe: a key that values were sealed or rows tagged with is missing, or is another one.
    """
    for (tenant,) in tx.execute(_TENANTS).fetchall():
        data_keys.check(tx, vault, TenantId(tenant))
        _check_tagged(tx, vault, TenantId(tenant))


def _check_tagged(tx: sqlite3.Connection, vault: Vault, tenant: TenantId) -> None:
    """Raises KeyUnsafe where rows have tags and the key that made them is missing: all would look forged."""
    if not vault.has_tagged(tenant) and tx.execute(_TAGGED, {"tenant": tenant}).fetchone():
        raise KeyUnsafe(
            f"The MAC key of {tenant!r} is missing, and rows in the database are tagged with it.",
            next_move="Restore `keys/` from the backup that belongs to this database; nothing was changed.",
        )


def seal_kept(tx: sqlite3.Connection, vault: Vault) -> None:
    """Seal the rows that migration 4 set aside."""
    keys = Keys(tx, Keyring(vault))
    _seal_values(tx, keys)
    _seal_answers(tx, keys)
    rows = [(TenantId(tenant), approval_id) for tenant, approval_id in tx.execute(_APPROVALS).fetchall()]
    untagged = {tenant for tenant, _ in rows if not vault.has_tagged(tenant)}
    for tenant, approval_id in rows:
        if tenant in untagged:
            approvals.tag(tx, vault, approval_id)


def _seal_values(tx: sqlite3.Connection, keys: Keys) -> None:
    for row in tx.execute(_VALUES):
        tenant, digest, run_id, entry_id, name, salt, value, is_redacted, token, created_us = row
        one = Disclosure(
            digest=digest, salt=salt, name=name, value_bytes=value, is_redacted=bool(is_redacted), token=token
        )
        key = keys.of_run(TenantId(tenant), None if run_id is None else RunId(run_id))
        disclosures.put_rows(tx, [disclosures.row_of(keys.vault, key, entry_id, one, created_us)])


def _seal_answers(tx: sqlite3.Connection, keys: Keys) -> None:
    for row in tx.execute(_ANSWERS).fetchall():
        tenant, run_id, answer_id, approval_id, principal, word, at_us, proof, viewed_us, reason = row
        key = keys.of_run(TenantId(tenant), RunId(run_id)) if reason else None
        sealed = (
            None
            if key is None
            else approvals.seal_reason(keys.vault, key, ApprovalId(approval_id), PrincipalId(principal), reason)
        )
        key_id = None if key is None else key.key_id
        tx.execute(_PUT_ANSWER, (answer_id, approval_id, principal, word, at_us, proof, viewed_us, key_id, sealed))
