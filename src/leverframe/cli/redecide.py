"""`leverframe evidence redecide`: decide recorded calls again, and name each whose answer is another."""

import asyncio
from argparse import Namespace
from collections import Counter

from leverframe.cli.parser import CommandParser
from leverframe.cli.project import tenant_of
from leverframe.cli.screen import Screen, Word
from leverframe.domain.contracts import Project
from leverframe.domain.errors import EXIT_OK, EXIT_REFUSED, UsageError
from leverframe.domain.ids import RunId, TenantId
from leverframe.domain.json import Json
from leverframe.runtime.redeciding import Redecided, Standing, redecide_all
from leverframe.runtime.sessions import find_run
from leverframe.wiring.assembly import Assembly, open_assembly

HELP = "decide recorded calls again"
DESCRIPTION = """\
Decide every recorded call again from its recorded inputs, under the release that its run pinned, and compare decision,
rule and reasons.  Calls whose values are gone are counted apart.  Exit code 1 where any answer is another."""
_MAX_SHOWN = 20


def add(parser: CommandParser) -> None:
    """Take its arguments."""
    parser.add_argument("run_id", metavar="RUN", nargs="?", help="one run")
    parser.add_argument("--all", action="store_true", help="every run")
    parser.set_defaults(act=redecide)


def redecide(args: Namespace, project: Project) -> int:
    """Do it."""
    if (args.run_id is None) is not args.all:
        raise UsageError("Name one run, or --all.", next_move="See: leverframe evidence redecide --help")
    found = asyncio.run(_redecided(args, project))
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
        Word("BROKEN" if counts[Standing.DIFFERENT] else "OK"),
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
