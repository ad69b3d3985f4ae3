"""The MAC on the head of each stored tree, so that only what the store wrote is ever signed.

Entries are committed before they are signed, and what a crash leaves unsigned is signed at the next open.  Somebody
who can write to the database and has no key could put entries of their own there; the tag refuses them at the next
batch and at the next open.  Rules: docs/adr/0010-sealed-values-and-tagged-rows.md.
"""

import hmac
import sqlite3

from leverframe.domain.errors import EvidenceBroken
from leverframe.domain.evidence import TreeState
from leverframe.domain.ids import TenantId
from leverframe.ports.vault import Vault

_TAG = "SELECT tag FROM trees WHERE tenant = :tenant"
_PUT = "UPDATE trees SET tag = :tag WHERE tenant = :tenant"


def tag_of(vault: Vault, tenant: TenantId, tree: TreeState) -> bytes:
    """The tag of a tree's head."""
    return vault.tag(tenant, b"tree\0" + tree.size.to_bytes(8, "big", signed=True) + b"".join(tree.frontier))


def is_genuine(tx: sqlite3.Connection, vault: Vault, tenant: TenantId, tree: TreeState) -> bool:
    """Whether the stored head carries its tag; True where there is none, of which nothing is signed."""
    row = tx.execute(_TAG, {"tenant": tenant}).fetchone()
    if row is None:
        return True
    if row[0] is None or not vault.has_tagged(tenant):
        return False
    return hmac.compare_digest(tag_of(vault, tenant, tree), row[0])


def is_untagged(tx: sqlite3.Connection, tenant: TenantId) -> bool:
    """Whether a version wrote it that knew no tags."""
    row = tx.execute(_TAG, {"tenant": tenant}).fetchone()
    return row is not None and row[0] is None


def put(tx: sqlite3.Connection, vault: Vault, tenant: TenantId, tree: TreeState) -> None:
    """Tag a head that is believed."""
    tx.execute(_PUT, {"tenant": tenant, "tag": tag_of(vault, tenant, tree)})


def refuse_foreign(tx: sqlite3.Connection, vault: Vault, tenant: TenantId, tree: TreeState) -> None:
    """Write nothing after entries that the store did not write.

    Raises:
        EvidenceBroken: the head does not carry its tag.
    """
    if not is_genuine(tx, vault, tenant, tree):
        raise EvidenceBroken(
            f"The log of {tenant!r} was changed outside of Leverframe: the stored head of its {tree.size} entries does"
            " not carry its MAC.",
            next_move="Stop every writer, keep the folder as it is, and run `leverframe evidence verify`.",
        )
