"""The evidence log as it is stored, column by column, for verification alone.

Contract: reads only, one tenant at a time, in the order said; opened without a writer and without any check of the log,
so that a broken one can be looked at.  Nothing that these functions give may be believed before it was held against
the leaves, and the leaves against a signed head.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from leverframe.domain.approvals import Approval
from leverframe.domain.evidence import Disclosure, TreeState
from leverframe.domain.ids import Sha256, TenantId
from leverframe.domain.runs import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLeaf:
    """A leaf with the columns that stand beside it; `run_id` and `run_seq` are None where the entry has no run.

    `written` grows with the order in which rows were written, as far as nobody changed that too.
    """

    index: int
    written: int
    entry_id: str
    run_id: str | None
    run_seq: int | None
    type: str
    at_us: int
    leaf: bytes
    leaf_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDisclosure:
    """A disclosure and when the entry that commits to it was made.

    `disclosure` None: what is stored under this digest does not open; it was changed, or its key is not here.
    """

    digest: str
    entry_id: str
    disclosure: Disclosure | None
    created_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A row that holds what is never written there.  `key` is its id, as it is stored."""

    key: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredApproval:
    """An approval as it is stored; not `is_tagged`: its row does not carry the MAC of what it says."""

    approval: Approval
    is_tagged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run as it is stored; not `is_tagged`: its row does not carry the MAC of what it says."""

    run: Run
    is_tagged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStep:
    """What the journal says of one step, in the words of its columns; `refs` are the digests of its values."""

    run_id: str
    path: str
    kind: str
    name: str
    state: str
    action_digest: Sha256
    decision: str
    rule: str
    rule_source: str
    approval_id: str
    idempotency_key: str
    refs: tuple[str, ...]
    cost_microusd: int
    input_tokens: int
    output_tokens: int
    started_us: int
    finished_us: int | None
    error: str
    is_counted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWindow:
    """What the journal says of one budget window; `run_id` None: it spans runs."""

    window_id: str
    unit: str
    run_id: str | None
    limit: int
    settled: int
    reserved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReservation:
    """What the journal says of one reservation; `amounts` are window id, unit and amount of each part."""

    reservation_id: str
    run_id: str
    path: str
    amounts: Sequence[tuple[str, str, int]]
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHead:
    """The newest head that was kept in a file beside the database; `root` is base64."""

    size: int
    root: str
    note: bytes


class EvidenceAudit(Protocol):
    """Everything that is stored of a tenant's log, and what the journal says beside it."""

    def leaves(self, tenant: TenantId, first: int, count: int) -> Sequence[StoredLeaf]:
        """Rows of leaves from an index on, in the order of the index that they claim."""
        ...

    def nodes(self, tenant: TenantId) -> Sequence[tuple[int, int, bytes]]:
        """The kept hashes of complete subtrees: level, index, hash."""
        ...

    def tree(self, tenant: TenantId) -> TreeState:
        """The stored head of the tree."""
        ...

    def is_tree_tagged(self, tenant: TenantId) -> bool:
        """Whether the stored head of the tree carries the MAC of whoever wrote it; True where there is no tree."""
        ...

    def note(self, tenant: TenantId) -> tuple[int, bytes] | None:
        """The stored signed head, after the size that it is stored under."""
        ...

    def kept_head(self, tenant: TenantId) -> StoredHead | None:
        """The head in the file beside the database; None where there is none."""
        ...

    def disclosures(self, tenant: TenantId) -> Sequence[StoredDisclosure]:
        """All disclosures but those whose key was destroyed."""
        ...

    def policies(self, tenant: TenantId) -> Sequence[tuple[Sha256, bytes]]:
        """The kept texts of policies and manifests, by the digest that they are stored under."""
        ...

    def authority_problem(self) -> str:
        """Why keys, kill switches, raises and endorsements of all tenants are not as written; empty where they are."""
        ...

    def approvals(self, tenant: TenantId) -> Sequence[StoredApproval | Unreadable]:
        """All approvals as the journal has them, newest first."""
        ...

    def runs(self, tenant: TenantId) -> Sequence[StoredRun | Unreadable]:
        """All runs as the journal has them."""
        ...

    def steps(self, tenant: TenantId) -> Sequence[StoredStep]:
        """All steps as the journal has them."""
        ...

    def books(self, tenant: TenantId) -> tuple[Sequence[StoredWindow], Sequence[StoredReservation | Unreadable]]:
        """All budget windows and all reservations as the journal has them."""
        ...
