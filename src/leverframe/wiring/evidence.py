"""What `leverframe evidence` works with beside the assembly: the stored log, keys, and trust files."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from leverframe.core.notes import SignedHead, parse_vkey
from leverframe.domain.contracts import Project
from leverframe.domain.ids import TenantId
from leverframe.identity.vault import FileVault
from leverframe.ports.audit import EvidenceAudit
from leverframe.signing.trust import Trust, load_trust, save_trust
from leverframe.store import open_audit
from leverframe.wiring.assembly import database_path
from leverframe.wiring.people import KEYS_FOLDER, STATE_FOLDER
from leverframe.wiring.signing import KeyHolder, key_holder, open_signers

TrustFile = Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLogs:
    """A snapshot of every log of a project, and the key of each where it is here."""

    audit: EvidenceAudit
    vkeys: Mapping[TenantId, str]
    remembered: Mapping[TenantId, SignedHead]  # by a signer that is another process
    holder: KeyHolder


@contextmanager
def open_logs(project: Project) -> Iterator[StoredLogs]:
    """Open the logs to be verified, broken or not; nothing is written, and no head is checked yet.

    Raises:
        StoreUnavailable: there is no database, or it cannot be read.
        KeyUnsafe: a key beside it is open to others or damaged.
        SignerUnavailable: the project has a signer, and it does not answer.
    """
    state = Path(project.root) / STATE_FOLDER
    signers = open_signers(project, state, create=False)
    # Before the snapshot: a head that is signed after it is of entries that it does not hold, like one of a cut tail.
    heads = {tenant: signer.head() for tenant, signer in signers.items()}
    audit = open_audit(database_path(project), FileVault(state / KEYS_FOLDER))
    try:
        yield StoredLogs(
            audit=audit,
            vkeys={
                tenant: signer.in_epoch(audit.epoch(tenant)).vkey
                for tenant, signer in signers.items()
                if heads[tenant] is not None or not project.signer
            },
            remembered={tenant: head for tenant, head in heads.items() if head is not None},
            holder=key_holder(project),
        )
    finally:
        audit.close()


def read_trust(path: Path) -> TrustFile:
    """A trust file.

    Raises:
        KeyUnsafe: it is missing, others may change it, or it is none.
        EvidenceBroken: its key is malformed.
    """
    return load_trust(path)


def write_trust(path: Path, vkey: str, head: SignedHead | None) -> None:
    """Write a trust file of this key and head; what is there is replaced."""
    save_trust(path, Trust(vkey=parse_vkey(vkey), head=head))


def trust_json(trust: TrustFile | None) -> dict[str, object] | None:
    """A trust file in the form in which the offline verifier takes it."""
    if trust is None:
        return None
    data: dict[str, object] = {"origin": trust.vkey.name, "vkey": str(trust.vkey)}
    if trust.head is not None:
        data["head"] = {"size": trust.head.size, "root": base64.b64encode(trust.head.root).decode()}
    return data
