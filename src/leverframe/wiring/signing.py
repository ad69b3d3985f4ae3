"""The keys of a project's logs: files beside the database, or a process of another OS user."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHolder:
    """Who holds a project's log keys and last heads, and so what the evidence stops (docs/evidence-trust.md)."""

    who: str
    stops: str
    does_not_stop: str


_BESIDE = KeyHolder(
    who="files beside the database, of this user",
    stops="whoever reaches the database and not those files, cut tails included",
    does_not_stop="a rollback of the whole folder; any process of this user",
)


def key_holder(project: Project) -> KeyHolder:
    """Who holds the keys.

    Raises:
        SignerUnavailable: the project has a signer, and it does not answer.
    """
    if not project.signer:
        return _BESIDE
    path = project.signer.removeprefix(_UNIX)
    uid = SignerLine(Path(path)).other_user()
    if uid is None:
        return replace(_BESIDE, who=f"the signer at {path}, which runs as this user")
    return KeyHolder(
        who=f"the signer at {path}, of the OS user {uid}",
        stops="those too, and every agent and worker: rollback, fork, a rewritten log",
        does_not_stop="the user of the signer, and root",
    )


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
