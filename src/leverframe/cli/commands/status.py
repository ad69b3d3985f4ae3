"""`leverframe` alone: how the project in this folder stands, and the one next command."""

from argparse import Namespace

from leverframe.cli.pasting import command
from leverframe.cli.screen import Screen


def run(args: Namespace) -> int:
    """Say it."""
    Screen.of(args).line(f"Next: {command(args, 'check')}")
    return 0
