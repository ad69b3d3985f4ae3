"""`leverframe init`: a small project that runs, and the credential of the person at this machine."""

import os
from argparse import Namespace
from pathlib import Path

from leverframe.cli.init_server import init_for_server
from leverframe.cli.parser import CommandParser
from leverframe.cli.pasting import command
from leverframe.cli.screen import Screen
from leverframe.config.init import write_new_project
from leverframe.domain.errors import UsageError
from leverframe.wiring.people import enrol_os_user, prepare_os_user


def add(parser: CommandParser) -> None:
    """Take the folder."""
    parser.description = (
        "Write a small project that runs: the refund contract, its three tools over a little shop, one input, and a\n"
        "recorded model.  Nothing that is there is overwritten.  This machine's user becomes its approver."
    )
    parser.add_argument(
        "--mcp",
        metavar="COMMAND",
        help="draft a project for the tools of this MCP server instead: a command, npx -y PACKAGE ..., or an address",
    )
    parser.add_argument("--name", default="", metavar="NAME", help="what that server is called (made of its command)")
    parser.add_argument(
        "--trusted",
        default="",
        metavar="TEXT",
        help="why that server may run without the sandbox, as a process of yours",
    )
    parser.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help="the new project's folder (this one)")


def run(args: Namespace) -> int:
    """Write it and say what to type next."""
    screen = Screen.of(args)
    folder = Path(args.directory or ".") / args.folder
    if args.mcp == "":
        # An unset variable: the small project would be written in place of the one that was meant.
        raise UsageError("--mcp takes a command or an address, got ''.", next_move='Try --mcp "npx -y PACKAGE".')
    if args.mcp is not None:
        return init_for_server(args, folder)
    if args.name or args.trusted:
        raise UsageError("--name and --trusted are of a server.", next_move="Give it: --mcp COMMAND")
    # Before anything is written, so that a refusal here leaves no half-made project behind.
    prepare_os_user()
    files = write_new_project(folder)
    enrolled = enrol_os_user(folder)
    here = Namespace(directory=None if folder.resolve() == Path.cwd() else os.fspath(folder))
    next_commands = (
        command(here, "check"),
        command(here, "run", "refund_request", "--input", "inputs/refund_request.json"),
    )
    if screen.is_json:
        screen.document(
            {
                "folder": str(folder.resolve()),
                "files": [str(path) for path in files],
                "approver": enrolled.principal,
                "credential_file": str(enrolled.file),
                "next": list(next_commands),
            }
        )
        return 0
    screen.line(f"A project in {folder}")
    names = [path.relative_to(folder).as_posix() for path in files]
    screen.pairs(((name, _MEANS.get(name, "")) for name in names), indent=2)
    screen.line()
    screen.line(f"{enrolled.principal} may answer its held calls, with the credential in {enrolled.file}")
    screen.line("Next:")
    screen.lines(f"  {text}" for text in next_commands)
    return 0


_MEANS = {
    "leverframe.yaml": "models, people, tokens",
    "workflows/refund_request.yaml": "the contract: what the agent may do",
    "tools/shop.py": "three tools over a little shop",
    "inputs/refund_request.json": "one input",
    "recordings/refund_request.jsonl": "a model's recorded answers",
}
