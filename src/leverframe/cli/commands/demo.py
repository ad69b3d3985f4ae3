"""`leverframe demo`: the first ten minutes in some seconds, each step by the command that a person would type."""

import asyncio
import time
from argparse import Namespace
from contextlib import redirect_stdout
from pathlib import Path

from leverframe.cli.main import main
from leverframe.cli.parser import CommandParser
from leverframe.cli.pasting import command
from leverframe.cli.registry import commands
from leverframe.cli.screen import Screen
from leverframe.config.project import load_project
from leverframe.domain.errors import AlreadyExists, RefusedError
from leverframe.domain.ids import ApprovalId, RunId
from leverframe.ports.store import RunFilter
from leverframe.wiring.assembly import open_assembly

_FOLDER = "leverframe-demo"
_MOST_FOLDERS = 100
_INPUT = "inputs/refund_request.json"


def add(parser: CommandParser) -> None:
    """Take the folder."""
    parser.description = (
        "Play a first run in a new folder: a project is written, its agent asks for a refund, the call is held and\n"
        "granted, the run is explained and its record verified.  No account, no key, no network."
    )
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help=f"a new folder (./{_FOLDER}, or the next free one)")


def run(args: Namespace) -> int:
    """Play it; the first step that fails ends it, with its exit code."""
    began = time.monotonic()
    folder = str(Path(args.directory or ".") / (args.folder or _free(args.directory)))
    play = _Play(args, folder)
    play.step("init", folder, is_inside=False)
    play.step("run", "refund_request", "--input", _INPUT)
    if play.code:
        return play.code
    run_id, approval_id = asyncio.run(_held(folder))
    play.step("approvals", "grant", approval_id, "--reason", "the jar was broken")
    play.step("why", run_id)
    play.step("evidence", "verify")
    screen = Screen.of(args)
    if not screen.is_json and play.code == 0:
        screen.line()
        screen.line(f"{play.count} commands, {time.monotonic() - began:.1f} s.  The project stays in {folder}")
        screen.line(f"Next: {command(Namespace(directory=folder), 'show', 'refund_request')}")
    return play.code


class _Play:
    """The commands, one after the other, as long as each ends well."""

    def __init__(self, args: Namespace, folder: str) -> None:
        self._args = args
        self._folder = folder
        self._known = {one.name for one in commands()}
        self.code = 0
        self.count = 0

    def step(self, *words: str, is_inside: bool = True) -> None:
        """Print a command as it would be typed, and do it."""
        if self.code or words[0] not in self._known:
            return
        screen = Screen.of(self._args)
        if not screen.is_json:
            screen.line()
            screen.line(f"$ {command(Namespace(directory=self._folder if is_inside else None), *words)}")
        everywhere = [
            *(["-C", self._folder] if is_inside else []),
            *(["--json"] if self._args.json else []),
            *(["--no-color"] if self._args.no_color else []),
        ]
        self.count += 1
        # Or what they print would go where a document's command has turned the output of the project's own code.
        with redirect_stdout(self._args.standard_output):
            self.code = main([*everywhere, *words])


async def _held(folder: str) -> tuple[RunId, ApprovalId]:
    """The run that was just begun, and the approval that it waits for."""
    async with open_assembly(load_project(Path(folder)), create=False) as assembly:
        newest = await assembly.services.journal.runs(RunFilter(limit=1))
        approvals = await assembly.services.approvals.approvals(None, 1)
    if not newest or not approvals:
        raise RefusedError(
            f"The demo's run in {folder!r} was not held as it should be.", next_move="Run the demo again."
        )
    return newest[0].run_id, approvals[0].approval_id


def _free(directory: str | None) -> str:
    """A folder name that nothing has yet."""
    for number in range(1, _MOST_FOLDERS):
        name = _FOLDER if number == 1 else f"{_FOLDER}-{number}"
        if not (Path(directory or ".") / name).exists():
            return name
    raise AlreadyExists(f"{_FOLDER!r} and {_MOST_FOLDERS - 1} more like it are there.", next_move="Name a new folder.")
