"""Whether what is stored of each log may be gone on with, asked once when a database is opened for writing.

Knows: a head of a tree is believed for its tag, or for a signed head that covers all of it.  Never: signs.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import suppress

from leverframe.core import merkle
from leverframe.core.notes import open_checkpoint, parse_vkey
from leverframe.domain.errors import EvidenceBroken, SignerUnavailable
from leverframe.domain.evidence import TreeState
from leverframe.domain.ids import TenantId
from leverframe.ports.signing import Signer
from leverframe.ports.vault import Vault
from leverframe.store.sqlite import evidence, known_heads, tree_tags

_TENANTS = "SELECT tenant FROM trees ORDER BY tenant"


def check(tx: sqlite3.Connection, vault: Vault, signers: Mapping[TenantId, Signer]) -> None:
    """Tag what an earlier version left without a tag, and refuse what the store did not write.

    While a signer is away its log is left as it is: it can be read, and the first entry asks again.

    Raises:
        EvidenceBroken: the head of a tree carries no tag of this database, and no signed head covers all of it.
    """
    for (name,) in tx.execute(_TENANTS).fetchall():
        tenant = TenantId(name)
        tree, signer = evidence.tree_of(tx, tenant), signers.get(tenant)
        if tree_tags.is_genuine(tx, vault, tenant, tree):
            continue
        is_untagged = tree_tags.is_untagged(tx, tenant)
        with suppress(SignerUnavailable):
            is_believed = is_untagged if signer is None else _is_covered(tx, tenant, tree, signer)
            # A tag whose key is gone is no reason to make another key.
            if is_believed and (is_untagged or vault.has_tagged(tenant)):
                tree_tags.put(tx, vault, tenant, tree)
            else:
                tree_tags.refuse_foreign(tx, vault, tenant, tree)


def _is_covered(tx: sqlite3.Connection, tenant: TenantId, tree: TreeState, signer: Signer) -> bool:
    noted = evidence.note_of(tx, tenant)
    if noted is None:
        return False
    try:
        head = open_checkpoint(noted[1], parse_vkey(signer.in_epoch(known_heads.epoch_of(tx, tenant)).vkey))
    except EvidenceBroken:
        return False
    return (head.size, head.root) == (tree.size, merkle.root(tree))
