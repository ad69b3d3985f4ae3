"""`leverframe show`: the readiness card of a workflow."""

import asyncio
from argparse import Namespace

from leverframe.cli.cards import card_document, tell_card
from leverframe.cli.parser import CommandParser
from leverframe.cli.project import contract_of, load
from leverframe.cli.screen import Screen
from leverframe.wiring.dry_run import card_of


def add(parser: CommandParser) -> None:
    """Take the workflow."""
    parser.description = (
        "Show the readiness card of a workflow: exactly what it may do and what must be asked of whom, where it stops\n"
        "and what follows, and the record that an incident would leave, from a dry run in which nothing is sent."
    )
    parser.add_argument("workflow", metavar="WORKFLOW", help="the name of a contract in workflows/")
    parser.add_argument("--environment", metavar="NAME", help="as this environment narrows it (the contract's first)")


def run(args: Namespace) -> int:
    """Print it."""
    project = load(args)
    card = asyncio.run(card_of(project, contract_of(project, args.workflow, args.environment)))
    screen = Screen.of(args)
    if screen.is_json:
        screen.document(card_document(card))
    else:
        tell_card(screen, args, card)
    return 0
