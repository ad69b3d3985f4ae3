"""`leverframe init --mcp`: a project around the tools of one MCP server."""

import asyncio
import os
import re
from argparse import Namespace
from pathlib import Path

from leverframe.cli.pasting import command
from leverframe.cli.screen import Screen, Word
from leverframe.cli.tool_lines import tell_suspicions
from leverframe.config.registry import NAME
from leverframe.domain.errors import UsageError
from leverframe.domain.json import Json
from leverframe.wiring.drafting import Drafted, draft_project
from leverframe.wiring.people import enrol_os_user, prepare_os_user


def init_for_server(args: Namespace, folder: Path) -> int:
    """Write it, and say what it found and what to type next.

    Raises:
        UsageError: the command or the name is none.
        ToolUnavailable: the server cannot be installed or started.
    """
    if args.name and re.fullmatch(NAME.pattern, args.name) is None:
        raise UsageError(f"{args.name!r} is not {NAME.form}.", next_move="Give another --name.")
    prepare_os_user()
    drafted = asyncio.run(draft_project(folder, args.mcp, name=args.name, trusted_because=args.trusted))
    enrolled = enrol_os_user(folder)
    here = Namespace(directory=None if folder.resolve() == Path.cwd() else os.fspath(folder))
    because = ("--because", "I have read what they do")
    steps = (
        command(here, "tools", "pin", *(("--believe-hints", *because) if drafted.hinted_reads else ())),
        command(here, "keys", "create", "agent", "--workflow", drafted.name),
    )
    screen = Screen.of(args)
    if screen.is_json:
        screen.document(_document(folder, drafted, steps))
        return 0
    screen.line(f"A project in {folder}, for the server {drafted.name!r}: {' '.join(drafted.server.command)}")
    screen.lines(f"  {note}" for note in drafted.server.notes)
    where = drafted.server.writable
    if drafted.server.command and not drafted.server.trusted_because:
        screen.line(f"  in a sandbox: no home, no network, no variables; may write in {where or 'nothing'}")
    for one in drafted.standings:
        hint = "hints that it only reads" if one.origin.name in drafted.hinted_reads else ""
        screen.line(f"  {one.origin.name:<28} ", Word("quarantined"), f"  irreversible  {hint}")
        tell_suspicions(screen, one)
    for left in drafted.left_out:
        screen.line(f"  {left.name:<28} left out: {left.why}")
    screen.line(f"No call is sent before its tool is pinned; then all but reads is held: workflows/{drafted.name}.yaml")
    screen.line(f"{enrolled.principal} may pin and answer, with the credential in {enrolled.file}")
    screen.line("Next:")
    screen.lines(f"  {text}" for text in steps)
    return 0


def _document(folder: Path, drafted: Drafted, steps: tuple[str, ...]) -> Json:
    return {
        "folder": str(folder.resolve()),
        "server": drafted.name,
        "files": list[Json](drafted.files),
        "tools": [
            {
                "name": one.origin.name,
                "hints_read": one.origin.name in drafted.hinted_reads,
                "suspicions": [{"kind": each.kind.value, "text": each.text} for each in one.suspicions],
            }
            for one in drafted.standings
        ],
        "left_out": [{"name": one.name, "why": one.why} for one in drafted.left_out],
        "next": list[Json](steps),
    }
