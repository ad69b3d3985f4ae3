"""Who is at the keyboard, and whom a project takes answers from.

A person is whoever holds the credential of the configuration folder in force (`XDG_CONFIG_HOME`), never who a flag or
a variable names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leverframe.core.approvals import APPROVER_ROLE
from leverframe.domain.contracts import Person, Project
from leverframe.domain.errors import ApprovalRefused
from leverframe.domain.ids import PrincipalId
from leverframe.identity import os_user

STATE_FOLDER = ".leverframe"
KEYS_FOLDER = "keys"  # in the state folder
PROOF = "os-user"  # what an answer from this command line proves: an OS user with that credential, not a passkey


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """A principal whose answers a project takes, and the file that proves who they are."""

    principal: PrincipalId
    file: Path


def launcher() -> PrincipalId:
    """The OS user of this process: `os:maria`."""
    return os_user.launcher()


def people_of(project: Project) -> Mapping[PrincipalId, Person]:
    """Everyone who may answer: the project's `people`; where it lists none, this machine's user, as an approver."""
    if project.people:
        return project.people
    alone = launcher()
    return {alone: Person(id=alone, tenants=frozenset(project.tenants), roles=frozenset({APPROVER_ROLE}))}


def enrol_os_user(root: Path) -> Enrolled:
    """Make this machine's user known to a project, as itself, with the credential of the configuration folder in force.

    Raises:
        KeyUnsafe: that folder is another person's, the credential or the list of approvers cannot be written, or they
            can be read by others.
    """
    return enrol_person(root, launcher(), os_user.configuration_folder())


def prepare_os_user() -> None:
    """Make this machine's user their credential, or find that the configuration folder is another person's.

    Raises:
        KeyUnsafe: it is, or the credential cannot be written.
    """
    os_user.create_approver(os_user.configuration_folder(), launcher())


def enrol_launcher(project: Project) -> None:
    """The same for a project that was cloned and not written here, as far as it takes this user's answers.

    Nothing happens where the user is enrolled already, or where the configuration folder is another person's: running
    a command neither replaces a credential nor makes anyone somebody else.
    """
    root, us, folder = Path(project.root), launcher(), os_user.configuration_folder()
    if us not in people_of(project) or os_user.Approvers(root / STATE_FOLDER).knows(us):
        return
    if not (folder / os_user.CREDENTIAL_FILE).exists() or os_user.load_approver(folder).principal == us:
        enrol_os_user(root)


def enrol_person(root: Path, principal: PrincipalId, folder: Path) -> Enrolled:
    """Make a person of `people` known to a project, with a credential in a configuration folder of their own.

    Raises:
        KeyUnsafe: the folder holds somebody else's credential, or cannot be written.
    """
    approver = os_user.create_approver(folder, principal)
    os_user.Approvers(root / STATE_FOLDER).enrol(approver)
    return Enrolled(principal=principal, file=folder / os_user.CREDENTIAL_FILE)


def identify(project: Project) -> Person:
    """The person at the keyboard, by their credential.

    Raises:
        ApprovalRefused: there is no credential, the project does not know it, or lists its people without this one.
        KeyUnsafe: the credential is damaged, or others can read it.
    """
    folder = os_user.configuration_folder()
    if not (folder / os_user.CREDENTIAL_FILE).exists():
        raise ApprovalRefused(
            f"Nobody can be identified: there is no approver credential in {str(folder)!r}.",
            next_move="Answer as the user who ran `leverframe init` or `leverframe run` here, with their own"
            " configuration folder (XDG_CONFIG_HOME).",
        )
    approver = os_user.load_approver(folder)
    os_user.Approvers(Path(project.root) / STATE_FOLDER).check(approver)
    people = people_of(project)
    if approver.principal not in people:
        raise ApprovalRefused(
            f"{approver.principal!r} is not one of the people whom this project lists.",
            next_move="Who may: `people` in leverframe.yaml; without it, this machine's user.",
        )
    return people[approver.principal]
