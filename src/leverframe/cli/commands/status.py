"""`leverframe` alone: how the project in this folder stands, and the one next command."""

import asyncio
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from leverframe.cli.accounts import word_of
from leverframe.cli.pasting import command
from leverframe.cli.project import folder
from leverframe.cli.screen import Screen
from leverframe.cli.switches import stopped_text
from leverframe.config.project import load_project_lenient
from leverframe.config.project_file import PROJECT_FILE
from leverframe.domain.approvals import Approval, ApprovalState
from leverframe.domain.contracts import Project
from leverframe.domain.json import Json
from leverframe.domain.runs import Run, RunState
from leverframe.domain.time import rfc3339_s
from leverframe.ports.store import RunFilter
from leverframe.runtime.run_limits import is_of_a_key
from leverframe.wiring.assembly import database_path, open_assembly

_LOOKED_AT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Status:
    """What is said: a state in a word, a sentence, and the one next command."""

    state: str
    lines: tuple[str, ...]
    next_command: str


def run(args: Namespace) -> int:
    """Say it."""
    status = _status(args)
    screen = Screen.of(args)
    if screen.is_json:
        lines: list[Json] = [*status.lines]
        screen.document({"state": status.state, "lines": lines, "next": status.next_command})
        return 0
    screen.lines(status.lines)
    screen.line(f"Next: {status.next_command}")
    return 0


def _status(args: Namespace) -> _Status:
    root = folder(args)
    if not (root / PROJECT_FILE).exists():
        where = "in this folder" if args.directory is None else f"in {str(root)!r}"
        return _Status(
            state="no-project",
            lines=(f"There is no Leverframe project {where}.",),
            next_command=command(Namespace(directory=None), "init", args.directory or "my-desk"),
        )
    project, problems = load_project_lenient(root)
    if project is None:
        count = sum(problem.severity == "error" for problem in problems)
        said = f"The project in {root.resolve()} has {count} errors." if count != 1 else "The project has one error."
        return _Status(state="broken", lines=(said,), next_command=command(args, "check"))
    names = ", ".join(project.contracts) or "none"
    first = f"Project {root.resolve()}, workflows: {names}"
    if not project.contracts or not database_path(project).exists():
        lines = (first, "Nothing has run here yet.")
        return _Status(state="new", lines=lines, next_command=_first_run(args, project))
    return asyncio.run(_of_store(args, project, first))


async def _of_store(args: Namespace, project: Project, first: str) -> _Status:
    async with open_assembly(project, create=False) as assembly:
        services = assembly.services
        runs = await services.journal.runs(RunFilter(limit=_LOOKED_AT))
        pending = await services.approvals.approvals(ApprovalState.PENDING, _LOOKED_AT)
        now = services.mint.now()
        kills = services.authority.current().kills
    waiting = [approval for approval in pending if now < approval.decide_by]
    status = _of_runs(args, project, first, runs, waiting)
    off = tuple(f"Switched off since {rfc3339_s(one.at)}: {stopped_text(one)}." for one in kills)
    return replace(status, lines=(first, *off, *status.lines[1:]))


def _of_runs(
    args: Namespace, project: Project, first: str, runs: Sequence[Run], waiting: Sequence[Approval]
) -> _Status:
    if not runs:
        return _Status(state="new", lines=(first, "Nothing has run here yet."), next_command=_first_run(args, project))
    lost = [run for run in runs if word_of(run) == "unknown"]
    left = [run for run in runs if run.state is RunState.OPEN and not is_of_a_key(run)]
    last = runs[0]
    many = f"the last {len(runs)} runs" if len(runs) == _LOOKED_AT else f"{len(runs)} run{'s' if len(runs) > 1 else ''}"
    counts = f"{many}; calls that wait for a person: {len(waiting)}"
    if lost:
        said = f"{lost[0].run_id}: nobody can tell whether a call of it happened."
        return _Status(
            state="unknown", lines=(first, counts, said), next_command=command(args, "runs", "show", lost[0].run_id)
        )
    if waiting:
        oldest = waiting[-1]
        said = f"{oldest.tool} of {oldest.run_id} waits since {oldest.asked_at:%Y-%m-%d %H:%M} UTC."
        return _Status(
            state="waiting",
            lines=(first, counts, said),
            next_command=command(args, "approvals", "show", oldest.approval_id),
        )
    if left:
        said = f"{left[0].run_id} is open: a process works on it, or left it behind."
        return _Status(
            state="open", lines=(first, counts, said), next_command=command(args, "runs", "resume", left[0].run_id)
        )
    stands = f"ended as {word_of(last)}" if last.state is RunState.ENDED else f"is {word_of(last)}"
    said = f"The last run, {last.run_id} of {last.workflow}, {stands}."
    return _Status(state="idle", lines=(first, counts, said), next_command=command(args, "why", last.run_id))


def _first_run(args: Namespace, project: Project) -> str:
    """The command for a first run; on the input that is there, where there is one."""
    if not project.contracts:
        return command(args, "check")
    name = next(iter(project.contracts))
    given = f"inputs/{name}.json"
    is_there = (Path(project.root) / given).is_file()
    return command(args, "run", name, "--input", given if is_there else "FILE")
