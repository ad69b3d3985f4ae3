"""The project that a command is about: the folder of `-C`, else this one, loaded and checked."""

import os
import sys
from argparse import Namespace
from pathlib import Path

from leverframe.cli.screen import Screen
from leverframe.config.findings import did_you_mean
from leverframe.config.project import load_project, load_project_file, load_project_to_stop
from leverframe.core.canonical import decode
from leverframe.domain.contracts import Contract, Project
from leverframe.domain.errors import JsonInvalid, NotFound, UsageError
from leverframe.domain.ids import EnvironmentName, TenantId, WorkflowName
from leverframe.domain.json import JsonObject

_MAX_INPUT_BYTES = 8 * 1024 * 1024


def folder(args: Namespace) -> Path:
    """Where the project is.  Raises UsageError where its path is no text, which neither a URL nor a row could say."""
    found = Path(args.directory or ".")
    try:
        os.fsencode(found.resolve()).decode()
    except UnicodeError:
        raise UsageError(
            f"The folder {str(found.resolve())!r} has a name that is not UTF-8 text.", next_move="Rename it."
        ) from None
    return found


def load(args: Namespace) -> Project:
    """The project, without errors.

    Raises:
        NotFound: there is none in the folder.
        ConfigInvalid: its files have errors, all of them inside.
    """
    return load_project(folder(args))


def load_bare(args: Namespace) -> Project:
    """The project without its contracts and tools, for what needs none of them and waits for no file to be mended.

    Raises:
        NotFound: there is none in the folder.
        ConfigInvalid: its project file has errors, all of them inside.
    """
    return load_project_file(folder(args))


def load_with_names(args: Namespace) -> tuple[Project, bool]:
    """The project, and whether its workflows and tools are known: where any of its files has errors they are not.

    Raises:
        NotFound: there is none in the folder.
        ConfigInvalid: its project file has errors, all of them inside.
    """
    project, errors = load_project_to_stop(folder(args))
    if errors:
        first = errors[0]
        place = f"{first.path}:{first.line}:{first.column}" if first.line else first.path
        Screen.of(args).warn(
            f"The project's files have errors, the first at {place}: {first.message}",
            "What was asked does not wait for them; names of workflows and tools are not looked up meanwhile.",
        )
    return project, not errors


def contract_of(project: Project, workflow: str, environment: str | None = None) -> Contract:
    """The contract of a workflow, as an environment narrows it.

    Raises:
        NotFound: there is no such workflow, or it has no such environment.
    """
    name = WorkflowName(workflow)
    if name not in project.contracts:
        raise NotFound(
            f"There is no workflow {workflow!r} in {project.root!r}.",
            next_move=did_you_mean(workflow, project.contracts) or "Workflows stand in workflows/*.yaml.",
        )
    contract = project.contract_in(name, EnvironmentName(environment) if environment else None)
    if contract is None:
        known = project.contracts[name].environments
        raise NotFound(
            f"Workflow {workflow!r} has no environment {environment!r}.",
            next_move=did_you_mean(environment or "", known) or f"It has: {', '.join(known)}.",
        )
    return contract


def tenant_of(project: Project, tenant: str | None) -> TenantId:
    """The tenant that a run is for; one of several must be named, since the wrong one would see somebody's data.

    Raises:
        UsageError: the project has several and none was named.
        NotFound: there is none of that name.
    """
    if tenant is None and len(project.tenants) == 1:
        return project.tenants[0]
    known = ", ".join(project.tenants)
    if tenant is None:
        raise UsageError(f"This project has several tenants: {known}.", next_move="Name one with --tenant.")
    if tenant not in project.tenants:
        raise NotFound(f"There is no tenant {tenant!r}.", next_move=did_you_mean(tenant, project.tenants) or known)
    return TenantId(tenant)


def named_file(args: Namespace, name: str) -> Path:
    """A file that was named on the command line: from here, else from the project's folder.

    Raises:
        NotFound: it is in neither.
    """
    for path in (Path(name), folder(args) / name):
        if path.is_file():
            return path
    raise NotFound(f"There is no file {name!r}.", next_move=f"Looked here and in {str(folder(args).resolve())!r}.")


def json_object(args: Namespace, given: str, what: str) -> JsonObject:
    """A JSON object from a file, from the words themselves, or from standard input (`-`).

    Args:
        args: of the command.
        given: a file name, JSON text that begins with `{`, or `-`.
        what: what it is, for the message.

    Raises:
        NotFound: there is no such file.
        JsonInvalid: it is not JSON, no object, or larger than 8 MiB.
    """
    data, place = _bytes_of(args, given)
    if len(data) > _MAX_INPUT_BYTES:
        raise JsonInvalid(f"{what} ({place}) is larger than 8 MiB.", next_move="Give a smaller one.")
    try:
        value = decode(data)
    except JsonInvalid as err:
        raise JsonInvalid(f"{what} ({place}) is not JSON we accept: {err.message}", next_move=err.next_move) from err
    if not isinstance(value, dict):
        raise JsonInvalid(f"{what} ({place}) is no JSON object.", next_move='For example: {"message": "Hello"}')
    return value


def _bytes_of(args: Namespace, given: str) -> tuple[bytes, str]:
    if given == "-":
        return sys.stdin.buffer.read(_MAX_INPUT_BYTES + 1), "standard input"
    if given.lstrip().startswith("{"):
        return given.encode("utf-8", "surrogateescape"), "as given"
    path = named_file(args, given)
    with path.open("rb") as file:
        return file.read(_MAX_INPUT_BYTES + 1), str(path)
