"""What the runtime needs of the world, built once by `wiring` and passed down."""

from collections.abc import Mapping
from dataclasses import dataclass

from leverframe.core.token_types import TokenTypes
from leverframe.domain.contracts import Person, Project
from leverframe.domain.ids import PrincipalId, TenantId
from leverframe.ports.claims import Claims
from leverframe.ports.clock import Clock
from leverframe.ports.fingerprints import Fingerprints
from leverframe.ports.functions import ProjectFunctions
from leverframe.ports.signing import Signer
from leverframe.ports.store import ApprovalBook, EvidenceLog, Journal, Writer
from leverframe.runtime.authority import AuthorityCache
from leverframe.runtime.mint import Mint


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The ports and the project.  The ports that act are not here: only the door holds them."""

    project: Project
    people: Mapping[PrincipalId, Person]  # who may answer: the project's, or this machine's user
    writer: Writer
    journal: Journal
    approvals: ApprovalBook
    evidence: EvidenceLog
    clock: Clock
    mint: Mint
    fingerprints: Fingerprints
    functions: ProjectFunctions
    claims: Claims
    signers: Mapping[TenantId, Signer]
    types: TokenTypes
    authority: AuthorityCache
