"""The keys of a project's logs: files beside the database, or a process of another OS user."""

from collections.abc import Callable, Mapping
from pathlib import Path

from leverframe.domain.contracts import Project
from leverframe.domain.errors import KeyUnsafe
from leverframe.domain.ids import TenantId
from leverframe.ports.signing import Signer
from leverframe.signing.ed25519 import Ed25519FileSigner
from leverframe.signing.remote import RemoteSigner, SignerLine
from leverframe.signing.signer_process import SignerProcess

_UNIX = "unix:"


def open_signers(project: Project, state: Path, *, create: bool) -> Mapping[TenantId, Signer]:
    """The key of each tenant's log, made at its first use; reading commands never make one.

    Raises:
        KeyUnsafe: a key is open to others, or lies beside the database of a project that has a signer.
    """
    if project.signer:
        _refuse_left_keys(project, state)
        line = SignerLine(Path(project.signer.removeprefix(_UNIX)))
        return {tenant: RemoteSigner(line, log_of(tenant), create=create) for tenant in project.tenants}
    signers: dict[TenantId, Signer] = {}
    for tenant in project.tenants:
        path = _key_file(state, tenant)
        if path.exists():
            signers[tenant] = Ed25519FileSigner.load(path)
        elif create:
            signers[tenant] = Ed25519FileSigner.create(path, log_of(tenant))
    return signers


def log_of(tenant: TenantId) -> str:
    """The name of a tenant's log."""
    return f"leverframe/{tenant}"


async def run_signer(path: Path, folder: Path, allowed: frozenset[int], ready: Callable[[], None]) -> None:
    """Be the signer process until it is told to stop.

    Raises:
        KeyUnsafe: the folder or the place of the socket is open to others.
        SignerUnavailable: another signer uses the socket or the folder.
    """
    await SignerProcess(path, folder, allowed).serve(ready)


def _key_file(state: Path, tenant: TenantId) -> Path:
    return state / "keys" / f"{tenant}.log.key"


def _refuse_left_keys(project: Project, state: Path) -> None:
    """A key that this user can read still signs whatever this user writes."""
    for tenant in project.tenants:
        path = _key_file(state, tenant)
        if path.exists():
            raise KeyUnsafe(
                f"`evidence.signer` is set, and the key of the log of {tenant!r} is still in {str(path)!r}, where this"
                " user can read it.",
                next_move="Move it into the state folder of the signer, as docs/evidence-trust.md shows, or delete it.",
            )
