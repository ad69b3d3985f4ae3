"""The person at this machine: who launched a process, and how they prove that they may answer approvals.

`init` makes one credential for the OS user, in that user's own configuration folder and never in a project, and
enrols its SHA-256 in the project's state (`.leverframe/approvers.json`).  An answer needs the credential itself: a
process that sees the project's folder alone (a tool server, a sandboxed agent, a teammate's clone, a backup) can
neither find it nor compute it from the hash.

What this does not stop: a process that runs as the same OS user with that user's home in reach, and one that can
write `.leverframe/`, since it could as well edit the database beside it.  Both files are refused unless they belong
to the OS user and are closed to others.  Authority rows get a MAC with the evidence keys.

approvers.json: owner the OS user, writer `enrol`; trusted: whoever can edit it can grant.
"""

import hmac
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from leverframe.core import canonical
from leverframe.domain.errors import ApprovalRefused, JsonInvalid, KeyUnsafe
from leverframe.domain.ids import PrincipalId, Sha256
from leverframe.domain.json import Json
from leverframe.identity.private_files import create_private, read_private, replace_private

_TOKEN_BYTES: Final = 32
CREDENTIAL_FILE: Final = "approver.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approver:
    """A principal with the credential that proves it.  The credential is never shown."""

    principal: PrincipalId
    credential: str = field(repr=False)

    @property
    def credential_sha256(self) -> Sha256:
        """What a project keeps of it."""
        return Sha256(sha256(self.credential.encode()).hexdigest())


def launcher() -> PrincipalId:
    """`os:maria`: the user that this process runs as, whatever LOGNAME and USER claim."""
    try:
        return PrincipalId(f"os:{pwd.getpwuid(os.getuid()).pw_name}")
    except KeyError:
        # A container may run under an id that has no name.
        return PrincipalId(f"os:{os.getuid()}")


def configuration_folder(environment: Mapping[str, str] | None = None) -> Path:
    """`$XDG_CONFIG_HOME/leverframe`, else `~/.config/leverframe`.  Source: XDG Base Directory Specification 0.8."""
    variables = os.environ if environment is None else environment
    base = variables.get("XDG_CONFIG_HOME", "")
    # The specification: a relative path is to be ignored.
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / "leverframe"


def create_approver(folder: Path, principal: PrincipalId) -> Approver:
    """Make the credential of this configuration folder, or return the one that is there.

    Raises:
        KeyUnsafe: it cannot be written, can be read by others, or is another principal's.
    """
    made = Approver(principal=principal, credential=os.urandom(_TOKEN_BYTES).hex())
    written: Json = {"version": 1, "principal": principal, "credential": made.credential}
    if create_private(folder / CREDENTIAL_FILE, canonical.encode(written) + b"\n"):
        return made
    found = load_approver(folder)
    if found.principal != principal:
        raise KeyUnsafe(
            f"{str(folder / CREDENTIAL_FILE)!r} is the credential of {found.principal!r}, not of {principal!r}.",
            next_move="Use another configuration folder (XDG_CONFIG_HOME), or remove the file.",
        )
    return found


def load_approver(folder: Path) -> Approver:
    """The approver of this configuration folder.

    Raises:
        KeyUnsafe: it is missing, damaged, another user's, or can be read by others.
    """
    path = folder / CREDENTIAL_FILE
    value = _decoded(read_private(path, "The approver credential"), path)
    principal, credential = value.get("principal"), value.get("credential")
    if not isinstance(principal, str) or not isinstance(credential, str) or len(credential) != 2 * _TOKEN_BYTES:
        raise KeyUnsafe(
            f"The approver credential {str(path)!r} is damaged.", next_move="Remove it and run `leverframe init` again."
        )
    return Approver(principal=PrincipalId(principal), credential=credential)


class Approvers:
    """Whose answers a project takes: hashes of credentials in `approvers.json`, in the project's state folder."""

    def __init__(self, state_folder: Path) -> None:
        self._path = state_folder / "approvers.json"

    def enrol(self, approver: Approver) -> None:
        """Take this principal's answers from now on; a new credential replaces the old one.

        Only `init` and a run enrol, and only the OS user who started them, as itself.

        Raises:
            KeyUnsafe: the file cannot be written, is damaged or can be read by others.
        """
        enrolled = dict(self._enrolled())
        if enrolled.get(approver.principal) == approver.credential_sha256:
            return
        enrolled[approver.principal] = approver.credential_sha256
        written: Json = {"version": 1, "approvers": enrolled}
        replace_private(self._path, canonical.encode(written) + b"\n")

    def knows(self, principal: PrincipalId) -> bool:
        """Whether this principal is enrolled, whatever their credential."""
        return principal in self._enrolled()

    def check(self, approver: Approver) -> None:
        """Make sure that this credential is the enrolled one of its principal.

        Raises:
            ApprovalRefused: it is not.
            KeyUnsafe: the file is damaged or can be read by others.
        """
        expected = self._enrolled().get(approver.principal, "")
        if not hmac.compare_digest(expected.encode(), approver.credential_sha256.encode()):
            raise ApprovalRefused(
                f"{approver.principal!r} has no credential that this project knows.",
                next_move="Answer as the OS user who ran `leverframe init` here, or enrol with it.",
            )

    def _enrolled(self) -> Mapping[str, str]:
        if not self._path.exists():
            return {}
        value = _decoded(read_private(self._path, "The list of approvers"), self._path)
        approvers = value.get("approvers")
        if not isinstance(approvers, Mapping):
            raise KeyUnsafe(
                f"The list of approvers {str(self._path)!r} is damaged.",
                next_move="Remove it and run `leverframe init` again.",
            )
        return {name: one for name, one in approvers.items() if isinstance(one, str)}


def _decoded(data: bytes, path: Path) -> Mapping[str, Json]:
    try:
        value = canonical.decode(data)
    except JsonInvalid as err:
        raise KeyUnsafe(
            f"{str(path)!r} is damaged: {err.message}", next_move="Remove it and run `leverframe init`."
        ) from err
    if not isinstance(value, Mapping):
        raise KeyUnsafe(f"{str(path)!r} is damaged: no object.", next_move="Remove it and run `leverframe init`.")
    return value
