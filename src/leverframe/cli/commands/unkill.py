"""`leverframe unkill`: clear a kill switch."""

import asyncio
from argparse import Namespace

from leverframe.cli.parser import CommandParser
from leverframe.cli.project import load
from leverframe.cli.screen import Screen, Word
from leverframe.cli.switches import add_scopes, ask_of, stopped_text, switch_document
from leverframe.domain.contracts import Project
from leverframe.runtime.kills import clear
from leverframe.wiring.assembly import open_assembly
from leverframe.wiring.people import PROOF, identify


def add(parser: CommandParser) -> None:
    """Take the scopes."""
    add_scopes(parser, "Let go on", "the tool is mended")


def run(args: Namespace) -> int:
    """Clear the switch."""
    return asyncio.run(_cleared(args, load(args)))


async def _cleared(args: Namespace, project: Project) -> int:
    async with open_assembly(project, create=False) as assembly:
        switch = await clear(assembly.services, identify(project), ask_of(args, project), proof=PROOF)
    screen = Screen.of(args)
    if screen.is_json:
        screen.document(switch_document(switch, is_on=False))
        return 0
    screen.line(Word("cleared"), f" {stopped_text(switch)} may be made again, by {switch.by}.")
    return 0
