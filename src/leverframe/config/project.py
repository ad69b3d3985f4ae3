"""A project folder to a frozen `Project`, or to everything that is wrong with it.

Loading runs `tools/*.py`, which are the project's own code.  Nothing is written.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from leverframe.config.access import check_access
from leverframe.config.budgets import check_workflows
from leverframe.config.contract import ContractDraft, read_contract
from leverframe.config.credentials import check_credentials, check_tenants_apart
from leverframe.config.findings import Findings, Mark
from leverframe.config.kept_files import KeptFiles
from leverframe.config.lints import lint_contract
from leverframe.config.lock_file import LOCK_FILE, read_lock
from leverframe.config.overlays import Overlays
from leverframe.config.project_file import PROJECT_FILE, ProjectFile, read_project_file
from leverframe.config.project_files import ProjectFiles
from leverframe.config.python_source import PythonSources
from leverframe.config.surroundings import Surroundings
from leverframe.config.tool_files import ToolFiles
from leverframe.config.tool_specs import LoadedTool, limits_of
from leverframe.domain.contracts import Contract, Project
from leverframe.domain.errors import ConfigInvalid, NotFound, Problem
from leverframe.domain.ids import EnvironmentName, ToolName, WorkflowName
from leverframe.domain.tools import ToolLimits


def load_project(root: Path) -> Project:
    """Load a project that has no errors; its warnings and notes are for `load_project_lenient`.

    Raises:
        NotFound: there is no project in the folder.
        ConfigInvalid: some file of it does not load; every error is inside.
    """
    return _without_errors(ProjectFiles(root))


def keep_project(root: Path) -> Mapping[str, bytes | None]:
    """The files of a project that has no errors, for `load_kept_project`.

    Raises:
        NotFound: there is no project in the folder.
        ConfigInvalid: some file of it does not load; every error is inside.
    """
    files = ProjectFiles(root)
    _without_errors(files)
    return files.kept()


def load_kept_project(root: Path, kept: Mapping[str, bytes | None]) -> Project:
    """Load the project that stood in a folder when its files were kept, whatever stands there now.

    Raises:
        ConfigInvalid: it does not load any more, for want of a package say.
    """
    return _without_errors(KeptFiles(root, kept))


def _without_errors(files: ProjectFiles) -> Project:
    project, problems = _judged(files)
    errors = [problem for problem in problems if problem.severity == "error"]
    if project is None or errors:
        raise ConfigInvalid(errors)
    return project


def load_project_file(root: Path) -> Project:
    """What the project file alone says: no contracts and no tools, and no code of the project is run.

    Whoever takes back a key or verifies the log waits for none of these.

    Raises:
        NotFound: there is no project in the folder.
        ConfigInvalid: the project file does not load, so that nobody can tell where the database is.
    """
    files, findings = ProjectFiles(root), Findings()
    _refuse_none(files)
    file = read_project_file(files, findings)
    if file is None or findings.has_errors:
        raise ConfigInvalid([one for one in findings.problems if one.severity == "error"])
    return _project(files, file, {})


def load_project_to_stop(root: Path) -> tuple[Project, tuple[Problem, ...]]:
    """Load a project whose calls are to be stopped; where any of its files has an error, its project file alone.

    Returns the project, and the errors.

    Raises:
        NotFound: there is no project in the folder.
        ConfigInvalid: as `load_project_file`.
    """
    unlisted = Findings()
    try:
        project, problems = load_project_lenient(root)
    except OSError as err:
        name = Path(str(err.filename)).name
        unlisted.error(Mark(name), "unreadable-folder", f"The folder {name!r} cannot be listed: {err.strerror}.")
        project, problems = None, unlisted.problems
    if project is not None:
        return project, ()
    return load_project_file(root), tuple(one for one in problems if one.severity == "error")


def load_project_lenient(
    root: Path, *, supposed: Mapping[str, bytes] | None = None
) -> tuple[Project | None, tuple[Problem, ...]]:
    """Load a project with all its problems; the project is None where any of them is an error.

    Args:
        root: its folder.
        supposed: files by name that are read as if they were there, in place of what is.

    Raises:
        NotFound: there is no project in the folder.
    """
    return _judged(ProjectFiles(root, supposed))


def _judged(files: ProjectFiles) -> tuple[Project | None, tuple[Problem, ...]]:
    _refuse_none(files)
    findings = Findings()
    return _loaded(files, files, files, findings, is_whole=True), findings.problems


def _refuse_none(files: ProjectFiles) -> None:
    if not files.exists(PROJECT_FILE):
        raise NotFound(
            f"There is no project in {str(files.root)!r}: it has no {PROJECT_FILE}.",
            next_move="Make one with: leverframe init FOLDER, or name another folder with -C.",
        )


def load_release(folder: Path, beside: Path) -> tuple[Project | None, tuple[Problem, ...]]:
    """Load the kept files of a release; what a release does not pin is that of the project's folder `beside`.

    That is the project file with what it names (recordings, other workflows), and the lock.
    """
    files, around, findings = ProjectFiles(folder), ProjectFiles(beside), Findings()
    own = [files if files.exists(name) else around for name in (PROJECT_FILE, LOCK_FILE)]
    return _loaded(files, own[0], own[1], findings, is_whole=False), findings.problems


def _loaded(
    files: ProjectFiles, of_project: ProjectFiles, of_lock: ProjectFiles, findings: Findings, *, is_whole: bool
) -> Project | None:
    """Contracts and tools of one folder, under a project file and a lock that may stand in another one."""
    project = read_project_file(of_project, findings)
    if project is None:
        return None
    sources = PythonSources(files=files, findings=findings)
    lock = read_lock(of_lock, findings)
    tools = ToolFiles(
        files=files,
        sources=sources,
        servers=project.servers,
        findings=findings,
        lock=lock,
        has_tenants=len(project.tenants) > 1,
        limits=limits_of(project.section.section("tool_limits"), ToolLimits()),
    ).read()
    around = Surroundings(files=files, sources=sources, tools=tools, project=project, findings=findings)
    contracts = _contracts(around)
    if is_whole and not findings.has_errors:
        # A contract that does not load has no name yet, so only a project that is right otherwise is judged by names.
        check_workflows(project.budgets, contracts, findings)
        check_access(project.section, contracts, findings)
    _check_endorsements(tools, project.types, findings)
    check_credentials(project.section, tools.values(), project.servers, findings)
    check_tenants_apart(project.section, tools.values(), project.tenants, findings)
    if findings.has_errors:
        return None
    specs = {name: loaded.spec for name, loaded in tools.items()}
    return replace(_project(files, project, contracts), tools=specs)


def _check_endorsements(tools: Mapping[ToolName, LoadedTool], types: Mapping[str, str], findings: Findings) -> None:
    """A validator must be there: a type without a pattern would endorse nothing, silently."""
    for tool in tools.values():
        for place, each in tool.section.named_scalars("endorse").items():
            if each.text not in types:
                findings.error(
                    each.at,
                    "unknown-type",
                    f"{tool.spec.name!r} endorses {place!r} by the type {each.text!r}, which has no pattern.",
                    f"Declare it in {PROJECT_FILE}: types: {{{each.text}: {{pattern: ...}}}}",
                )


def check_contract_file(path: Path) -> tuple[Problem, ...]:
    """Judge one contract on its own: what cannot be seen from its file alone becomes a note.

    Raises:
        NotFound: there is no such file.
    """
    if not path.is_file():
        raise NotFound(
            f"There is no file {str(path)!r}.", next_move="Name a contract, such as workflows/refund_request.yaml."
        )
    root, name = _root_and_name(path)
    findings = Findings()
    files = ProjectFiles(root)
    around = Surroundings(
        files=files,
        sources=PythonSources(files=files, findings=findings),
        tools=None,
        project=None,
        findings=findings,
    )
    draft = read_contract(name, around)
    if draft is not None:
        lint_contract(draft, around)
    return findings.problems


def _root_and_name(path: Path) -> tuple[Path, str]:
    """The folder that the file's prompts and functions are named from: its project's, else its own."""
    folder = path.resolve().parent
    root = next((each for each in (folder, *folder.parents) if (each / PROJECT_FILE).is_file()), folder)
    return root, path.resolve().relative_to(root).as_posix()


def _contracts(around: Surroundings) -> Mapping[WorkflowName, Mapping[EnvironmentName, Contract]]:
    drafts: dict[WorkflowName, ContractDraft] = {}
    for name in around.files.names("workflows", ".yaml", ".yml"):
        draft = read_contract(name, around)
        if draft is None:
            continue
        first = drafts.setdefault(draft.workflow, draft)
        if first is not draft:
            around.findings.error(
                draft.at,
                "duplicate-workflow",
                f"The workflow {draft.workflow!r} already stands at {first.at.ref}.",
                "Give one of them another name.",
            )
            continue
        lint_contract(draft, around)
    if not drafts and not around.findings.has_errors:
        around.findings.warning(
            Mark("workflows"), "no-workflow", "The project has no contract.", "Write workflows/NAME.yaml."
        )
    overlays = Overlays(around=around)
    overlays.check_names(drafts)
    return {name: overlays.by_environment(draft) for name, draft in drafts.items()}


def _project(
    files: ProjectFiles,
    project: ProjectFile,
    contracts: Mapping[WorkflowName, Mapping[EnvironmentName, Contract]],
) -> Project:
    return Project(
        root=str(files.root),
        # Narrowed for the default environment: whoever does not ask for one must not get the wider contract.
        contracts={name: next(iter(each.values())) for name, each in contracts.items()},
        environments=contracts,
        tenants=project.tenants,
        people=project.people,
        providers=project.providers,
        tiers=project.tiers,
        tier_sources=project.tier_sources,
        servers=project.servers,
        types=project.types,
        storage_url=project.storage_url,
        durability=project.durability,
        signer=project.signer,
        access=project.access,
        credential_issuers=project.credential_issuers,
        budgets=tuple(each.budget for each in project.budgets),
        zones=project.zones,
    )
