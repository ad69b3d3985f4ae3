"""SQL of `disclosures`: salted values, each stored once, apart from the leaves that commit to them.

Owner: evidence.  Writer: the store's writer.  Trust: untrusted; a changed one no longer fits its digest, and a deleted
one shows as missing, so an editor can only make verification fail.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from leverframe.domain.evidence import Disclosure, EntryDraft
from leverframe.domain.ids import RunId, TenantId, WorkflowName
from leverframe.domain.proposals import PruneDisclosures
from leverframe.domain.time import to_us

_PUT = """
INSERT INTO disclosures (tenant, digest, run_id, entry_id, name, salt, value, is_redacted, token, created_us)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (tenant, digest) DO NOTHING
"""

_ONE = """
SELECT digest, salt, name, value, is_redacted, token FROM disclosures WHERE tenant = :tenant AND digest = :digest
"""

_OF_RUN = """
SELECT d.digest, d.salt, d.name, d.value, d.is_redacted, d.token
  FROM leaves AS l
 CROSS JOIN disclosures AS d
 WHERE l.tenant = :tenant AND l.run_id = :run_id AND d.entry_id = l.entry_id AND d.tenant = :tenant
 ORDER BY d.created_us, d.digest
"""

_PRUNABLE = """
SELECT d.digest
  FROM runs AS r
 CROSS JOIN leaves AS l
 CROSS JOIN disclosures AS d
 WHERE r.tenant = :tenant AND r.workflow = :workflow AND r.state = 'ended' AND r.ended_us < :before_us
   AND l.tenant = :tenant AND l.run_id = r.run_id
   AND d.entry_id = l.entry_id AND d.tenant = :tenant AND d.created_us < :before_us
 ORDER BY d.created_us, d.digest
 LIMIT :limit
"""

_PRUNE = "DELETE FROM disclosures WHERE tenant = :tenant AND digest = :digest"


def put(tx: sqlite3.Connection, drafts: Sequence[EntryDraft]) -> None:
    """Store what entries disclose; what is there already stays as it is."""
    tx.executemany(
        _PUT,
        [
            (
                draft.tenant,
                one.digest,
                draft.run_id,
                draft.entry_id,
                one.name,
                one.salt,
                one.value_bytes,
                int(one.is_redacted),
                one.token,
                to_us(draft.at),
            )
            for draft in drafts
            for one in draft.disclosures
        ],
    )


def prune(tx: sqlite3.Connection, change: PruneDisclosures) -> None:
    """Delete disclosures; those that are gone already are nothing."""
    tx.executemany(_PRUNE, [{"tenant": change.tenant, "digest": digest} for digest in change.digests])


def by_digest(tx: sqlite3.Connection, tenant: TenantId, digests: Sequence[str]) -> Mapping[str, Disclosure]:
    """Those of the digests that are still there."""
    found = (tx.execute(_ONE, {"tenant": tenant, "digest": digest}).fetchone() for digest in digests)
    return {row[0]: _disclosure(row) for row in found if row is not None}


def of_run(tx: sqlite3.Connection, tenant: TenantId, run_id: RunId) -> Sequence[Disclosure]:
    """All that a run's entries disclose, oldest first."""
    return [_disclosure(row) for row in tx.execute(_OF_RUN, {"tenant": tenant, "run_id": run_id})]


def prunable(
    tx: sqlite3.Connection, tenant: TenantId, before: datetime, workflow: WorkflowName, limit: int
) -> Sequence[str]:
    """Digests of that workflow's runs that ended before then, oldest first."""
    params = {"tenant": tenant, "workflow": workflow, "before_us": to_us(before), "limit": limit}
    return [digest for (digest,) in tx.execute(_PRUNABLE, params)]


# Any: a row of SQLite has no static type; STRICT tables keep what each column may hold.
def _disclosure(row: tuple[Any, ...]) -> Disclosure:
    return Disclosure(
        digest=row[0], salt=row[1], name=row[2], value_bytes=row[3], is_redacted=bool(row[4]), token=row[5]
    )
