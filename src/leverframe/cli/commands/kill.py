"""`leverframe kill`: stop calls now, in every process; and which switches are on."""

import asyncio
from argparse import Namespace

from leverframe.cli.parser import CommandParser
from leverframe.cli.pasting import command
from leverframe.cli.project import load_bare, load_with_names
from leverframe.cli.screen import Screen, Word
from leverframe.cli.switches import add_scopes, ask_of, stopped_text, switch_document
from leverframe.domain.contracts import Project
from leverframe.domain.time import duration_text, rfc3339_s
from leverframe.runtime.kills import KillAsk, throw
from leverframe.wiring.assembly import Assembly, open_assembly
from leverframe.wiring.people import PROOF, identify


def add(parser: CommandParser) -> None:
    """Take the scopes, and `list`."""
    add_scopes(parser, "Stop", "refunds went to the wrong account", lists=True)


def run(args: Namespace) -> int:
    """Do what the words say."""
    # Only these two are looked up in files, which may run code of the project, or be half written.
    project, has_names = load_with_names(args) if args.scope in {"workflow", "tool"} else (load_bare(args), True)
    return asyncio.run(_opened(args, project, has_names=has_names))


async def _opened(args: Namespace, project: Project, *, has_names: bool) -> int:
    async with open_assembly(project, create=False) as assembly:
        if args.scope == "list":
            return _list(args, assembly)
        return await _throw(args, assembly, ask_of(args, project, has_names=has_names))


async def _throw(args: Namespace, assembly: Assembly, ask: KillAsk) -> int:
    screen = Screen.of(args)
    switch = await throw(assembly.services, identify(assembly.project), ask, proof=PROOF)
    if screen.is_json:
        screen.document(switch_document(switch, is_on=True))
        return 0
    screen.line(Word("killed"), f" {stopped_text(switch)}, by {switch.by}.")
    screen.line("The next such call is refused in every process; one that is on its way ends by itself, or is unknown.")
    of_tenant = ("--tenant", switch.tenant) if switch.tenant is not None else ()
    names = (switch.name,) if switch.name else ()
    screen.line(f"Next: {command(args, 'unkill', switch.scope.value, *names, *of_tenant, '--because', 'it is mended')}")
    return 0


def _list(args: Namespace, assembly: Assembly) -> int:
    screen, now = Screen.of(args), assembly.services.mint.now()
    kills = assembly.services.authority.current().kills
    if screen.is_json:
        screen.document({"kill_switches": [switch_document(one, is_on=True) for one in kills]})
        return 0
    if not kills:
        screen.line("No kill switch is on.")
        return 0
    rows = [
        (stopped_text(one), rfc3339_s(one.at), duration_text((now - one.at).total_seconds()), one.by) for one in kills
    ]
    screen.table(("STOPS", "SINCE", "FOR", "BY"), rows)
    return 0
