"""`leverframe evidence redecide`: decide recorded calls again, and name each whose answer is another."""

import asyncio
from argparse import Namespace
from collections import Counter
from pathlib import Path

from leverframe.cli.parser import CommandParser
from leverframe.cli.project import tenant_of
from leverframe.cli.screen import Screen, Word
from leverframe.config.releases import ReleaseFiles
from leverframe.domain.contracts import Project
from leverframe.domain.errors import EXIT_OK, EXIT_REFUSED, EvidenceBroken, NotFound, UsageError
from leverframe.domain.ids import RunId, TenantId
from leverframe.domain.json import Json
from leverframe.runtime.bundle_records import ReadFile, records_in
from leverframe.runtime.redeciding import Contracts, Redecided, Standing, redecide_all
from leverframe.runtime.redeciding import redecide as redecide_run
from leverframe.runtime.sessions import find_run
from leverframe.sdk.report import BROKEN
from leverframe.sdk.verify import Unreadable, read_bundle, verify
from leverframe.wiring.assembly import Assembly, open_assembly

HELP = "decide recorded calls again"
DESCRIPTION = """\
Decide every recorded call again from its recorded inputs, under the release that its run pinned, and compare decision,
rule and reasons.  Calls whose values are gone are counted apart.  Exit code 1 where any answer is another.
--bundle FILE decides what an export holds, in a folder of its project: no Python is ever taken out of a bundle."""
_MAX_SHOWN = 20


def add(parser: CommandParser) -> None:
    """Take its arguments."""
    parser.add_argument("run_id", metavar="RUN", nargs="?", help="one run")
    parser.add_argument("--all", action="store_true", help="every run")
    parser.add_argument("--bundle", metavar="FILE", help="an export, as a zip or a folder, in place of the log here")
    parser.set_defaults(act=redecide)


def redecide(args: Namespace, project: Project) -> int:
    """Do it."""
    if args.bundle is None and (args.run_id is None) is not args.all:
        raise UsageError("Name one run, or --all.", next_move="See: leverframe evidence redecide --help")
    found = asyncio.run(_redecided(args, project)) if args.bundle is None else _in_bundle(args, project)
    counts = Counter(one.standing for one in found)
    screen = Screen.of(args)
    if screen.is_json:
        screen.document({"counts": {one.value: counts[one] for one in Standing}, "decisions": _documents(found)})
    else:
        _tell(screen, found, counts)
    return EXIT_REFUSED if counts[Standing.DIFFERENT] else EXIT_OK


async def _redecided(args: Namespace, project: Project) -> list[Redecided]:
    async with open_assembly(project, create=False) as assembly:
        found: list[Redecided] = []
        for tenant, run_id in await _asked(args, project, assembly):
            releases = assembly.runner.releases
            found += [one async for one in redecide_all(assembly.services, releases, tenant, run_id)]
        return found


def _in_bundle(args: Namespace, project: Project) -> list[Redecided]:
    """Every decision of a bundle that holds together.

    Raises:
        EvidenceBroken: it is no bundle, or does not hold together: nothing in it is worth a decision.
        NotFound: it has no run of that id.
    """
    try:
        files = read_bundle(Path(args.bundle))
        report = verify(files, None)
    except Unreadable as err:
        raise EvidenceBroken(
            f"{args.bundle!r} is no evidence bundle: {err}.", next_move="Make one with `leverframe evidence export`."
        ) from err
    if report.verdict == BROKEN:
        failed = next(place for check in report.checks.values() for place in check.places)
        raise EvidenceBroken(
            f"The bundle {args.bundle!r} does not hold together: {failed}.",
            next_move=f"See all of it: python verify.py {args.bundle}",
        )
    contracts = Contracts(ReleaseFiles(Path(project.root)))
    records = [one for one in records_in(files, _reader(Path(project.root))) if args.run_id in (None, one.run_id)]
    if args.run_id is not None and not records:
        raise NotFound(
            f"The bundle {args.bundle!r} has no run {args.run_id!r}.", next_move="Leave the id out to take every run."
        )
    return [found for record in records for found in redecide_run(record, contracts)]


def _reader(root: Path) -> ReadFile:
    """The files of a project folder, and nothing outside of it."""
    inside = root.resolve()

    def read(name: str) -> bytes | None:
        path = (inside / name).resolve()
        return path.read_bytes() if path.is_relative_to(inside) and path.is_file() else None

    return read


async def _asked(args: Namespace, project: Project, assembly: Assembly) -> list[tuple[TenantId, RunId | None]]:
    if args.run_id is not None:
        run = await find_run(assembly.services, RunId(args.run_id))
        return [(run.tenant, run.run_id)]
    tenants = [tenant_of(project, args.tenant)] if args.tenant else list(project.tenants)
    return [(tenant, None) for tenant in tenants]


def _tell(screen: Screen, found: list[Redecided], counts: Counter[Standing]) -> None:
    for standing in (Standing.DIFFERENT, Standing.UNDECIDABLE):
        listed = [one for one in found if one.standing is standing]
        for one in listed[:_MAX_SHOWN]:
            screen.line(f"{standing.value}  {one.run_id}  step {one.step}  {one.call}: {one.why}")
        if len(listed) > _MAX_SHOWN:
            screen.line(f"{standing.value}  and {len(listed) - _MAX_SHOWN} more")
    decided = counts[Standing.SAME] + counts[Standing.DIFFERENT]
    screen.line(
        f"{decided:,} decisions decided again, {counts[Standing.DIFFERENT]:,} different;"
        f" {counts[Standing.UNDECIDABLE]:,} undecidable, {counts[Standing.NOT_POLICY]:,} not of policy   ",
        Word("BROKEN" if counts[Standing.DIFFERENT] else "OK") if decided else "nothing decided",
    )


def _documents(found: list[Redecided]) -> list[Json]:
    return [
        {
            "run_id": one.run_id,
            "step": one.step,
            "entry_id": one.entry_id,
            "call": one.call,
            "recorded": one.recorded,
            "standing": one.standing.value,
            "why": one.why,
        }
        for one in found
    ]
