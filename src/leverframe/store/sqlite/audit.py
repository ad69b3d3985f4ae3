"""The log as it is stored, for verification: one snapshot, read without a writer and without believing any of it.

Owner, writer and trust of each table stand in the module that writes it.  Never: checks a head when it opens, as
`open_sqlite` does, so that a broken log can be looked at.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from leverframe.domain.errors import StoreUnavailable
from leverframe.domain.evidence import TreeState
from leverframe.domain.ids import Sha256, TenantId
from leverframe.ports.audit import (
    StoredApproval,
    StoredDisclosure,
    StoredHead,
    StoredLeaf,
    StoredReservation,
    StoredRun,
    StoredStep,
    StoredWindow,
    Unreadable,
)
from leverframe.ports.vault import Vault
from leverframe.store.sqlite import (
    approvals,
    authority,
    disclosures,
    evidence,
    known_heads,
    reservations,
    runs,
    tree_tags,
)
from leverframe.store.sqlite.connection import cannot_write, check_file, open_reader, said_plainly
from leverframe.store.sqlite.heads import KeptHead, read_kept
from leverframe.store.sqlite.migrate import refuse_newer

_LEAVES = """
SELECT leaf_index, entry_id, run_id, run_seq, type, at_us, leaf, leaf_hash, rowid
  FROM leaves
 WHERE tenant = :tenant AND leaf_index >= :first
 ORDER BY leaf_index
 LIMIT :count
"""

_NODES = "SELECT level, node_index, hash FROM tree_nodes WHERE tenant = :tenant ORDER BY level, node_index"

_POLICIES = """
SELECT DISTINCT f.sha256, a.content
  FROM release_files AS f
  JOIN artifacts AS a ON a.sha256 = f.sha256
  JOIN runs AS r ON r.release_digest = f.release_digest
 WHERE r.tenant = :tenant AND (f.name = 'manifest' OR f.name GLOB 'policy:*')
 ORDER BY f.sha256
"""

_STEPS = """
SELECT s.run_id, s.path, s.kind, s.name, s.state, s.action_digest, s.decision, s.rule, s.rule_source, s.approval_id,
       s.idempotency_key, s.args_ref, s.result_ref, s.detail_ref, s.cost_microusd, s.input_tokens, s.output_tokens,
       s.started_us, s.finished_us, s.error, s.is_counted
  FROM steps AS s
  JOIN runs AS r ON r.run_id = s.run_id
 WHERE r.tenant = :tenant
 ORDER BY s.step_id
"""

_WINDOWS = """
SELECT window_id, unit, run_id, limit_value, settled, reserved FROM windows WHERE tenant = :tenant
 ORDER BY window_id, unit
"""

_RESERVATIONS = """
SELECT b.reservation_id, b.run_id, b.path, b.amounts, b.state
  FROM reservations AS b
  JOIN runs AS r ON r.run_id = b.run_id
 WHERE r.tenant = :tenant
 ORDER BY b.reservation_id
"""


class SqliteAudit:
    """`ports.audit` over one snapshot of a database file.  Whoever opened it closes it."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, vault: Vault, kept: Mapping[TenantId, KeptHead]
    ) -> None:
        self._tx = connection
        self._path = path
        self._vault = vault
        self._kept = kept

    def leaves(self, tenant: TenantId, first: int, count: int) -> Sequence[StoredLeaf]:
        """Rows of leaves from an index on, in the order of their index."""
        rows = self._rows(_LEAVES, tenant=tenant, first=first, count=count)
        return [
            StoredLeaf(
                index=row[0],
                entry_id=row[1],
                run_id=row[2],
                run_seq=row[3],
                type=row[4],
                at_us=row[5],
                leaf=row[6],
                leaf_hash=row[7],
                written=row[8],
            )
            for row in rows
        ]

    def nodes(self, tenant: TenantId) -> Sequence[tuple[int, int, bytes]]:
        """The kept hashes of complete subtrees."""
        return [(level, index, digest) for level, index, digest in self._rows(_NODES, tenant=tenant)]

    def tree(self, tenant: TenantId) -> TreeState:
        """The stored head of the tree."""
        with said_plainly(self._path):
            return evidence.tree_of(self._tx, tenant)

    def is_tree_tagged(self, tenant: TenantId) -> bool:
        """Whether the stored head of the tree carries its MAC."""
        with said_plainly(self._path):
            return tree_tags.is_genuine(self._tx, self._vault, tenant, evidence.tree_of(self._tx, tenant))

    def note(self, tenant: TenantId) -> tuple[int, bytes] | None:
        """The stored signed head, after the size that it is stored under."""
        with said_plainly(self._path):
            return evidence.note_of(self._tx, tenant)

    def kept_head(self, tenant: TenantId) -> StoredHead | None:
        """The head in the file beside the database, as it was when the snapshot was taken."""
        kept = self._kept.get(tenant)
        return None if kept is None else StoredHead(size=kept.size, root=kept.root, note=kept.note.encode())

    def epoch(self, tenant: TenantId) -> int:
        """The epoch that the log is in, as the database says."""
        with said_plainly(self._path):
            return known_heads.epoch_of(self._tx, tenant)

    def disclosures(self, tenant: TenantId) -> Sequence[StoredDisclosure]:
        """All disclosures but those whose key was destroyed, oldest first."""
        with said_plainly(self._path):
            return [
                StoredDisclosure(
                    digest=one.digest,
                    entry_id=one.entry_id,
                    disclosure=one.disclosure,
                    created_us=one.created_us,
                )
                for one in disclosures.of_tenant(self._tx, self._vault, tenant)
                if not one.is_erased
            ]

    def policies(self, tenant: TenantId) -> Sequence[tuple[Sha256, bytes]]:
        """The kept policies and manifests of a tenant's runs."""
        return [(Sha256(digest), content) for digest, content in self._rows(_POLICIES, tenant=tenant)]

    def authority_problem(self) -> str:
        """Why the rows that grant something to keys are not what was written; empty where they are."""
        with said_plainly(self._path):
            return authority.problem(self._tx, self._vault)

    def approvals(self, tenant: TenantId) -> Sequence[StoredApproval | Unreadable]:
        """All approvals, newest first."""
        with said_plainly(self._path):
            return approvals.stored(self._tx, self._vault, tenant)

    def runs(self, tenant: TenantId) -> Sequence[StoredRun | Unreadable]:
        """All runs, newest first."""
        with said_plainly(self._path):
            return runs.stored(self._tx, self._vault, tenant)

    def steps(self, tenant: TenantId) -> Sequence[StoredStep]:
        """All steps in the order in which they were first written."""
        return [
            StoredStep(
                run_id=row[0],
                path=row[1],
                kind=row[2],
                name=row[3],
                state=row[4],
                action_digest=Sha256(row[5]),
                decision=row[6],
                rule=row[7],
                rule_source=row[8],
                approval_id=row[9],
                idempotency_key=row[10],
                refs=tuple(ref for ref in row[11:14] if ref),
                cost_microusd=row[14],
                input_tokens=row[15],
                output_tokens=row[16],
                started_us=row[17],
                finished_us=row[18],
                error=row[19],
                is_counted=row[20] == 1,
            )
            for row in self._rows(_STEPS, tenant=tenant)
        ]

    def books(self, tenant: TenantId) -> tuple[Sequence[StoredWindow], Sequence[StoredReservation | Unreadable]]:
        """All budget windows, and all reservations."""
        windows = [
            StoredWindow(window_id=row[0], unit=row[1], run_id=row[2], limit=row[3], settled=row[4], reserved=row[5])
            for row in self._rows(_WINDOWS, tenant=tenant)
        ]
        return windows, [_reservation(row) for row in self._rows(_RESERVATIONS, tenant=tenant)]

    def close(self) -> None:
        """Let go of the file."""
        self._tx.close()

    # Any: a row of SQLite has no static type; STRICT tables keep what each column may hold.
    def _rows(self, query: str, **params: object) -> list[tuple[Any, ...]]:
        with said_plainly(self._path):
            return self._tx.execute(query, params).fetchall()


# Any: a row of SQLite has no static type; STRICT tables keep what each column may hold.
def _reservation(row: tuple[Any, ...]) -> StoredReservation | Unreadable:
    try:
        amounts = reservations.amounts_of(row[3])
    except msgspec.MsgspecError as err:
        return Unreadable(key=row[0], why=str(err))
    return StoredReservation(reservation_id=row[0], run_id=row[1], path=row[2], amounts=amounts, state=row[4])


def open_audit(path: Path, vault: Vault) -> SqliteAudit:
    """Open a database for verification.

    Raises:
        StoreUnavailable: it is missing, damaged, foreign or cannot be read.
        SchemaTooNew: a later version wrote it.
    """
    check_file(path)
    try:
        # Before the snapshot: a head that is signed after it is of entries that it does not hold.
        kept = {TenantId(tenant): head for tenant, head in read_kept(path).items()}
    except OSError as err:
        raise cannot_write(path, err) from err
    connection = open_reader(path)
    try:
        with said_plainly(path):
            refuse_newer(connection, path)
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM leaves LIMIT 1").fetchone()
    except sqlite3.OperationalError as err:
        connection.close()
        raise StoreUnavailable(
            f"{str(path)!r} has no evidence log.", next_move="Check the path; it is no database of Leverframe."
        ) from err
    except BaseException:
        connection.close()
        raise
    return SqliteAudit(connection, path, vault, kept)
