"""`leverframe signer`: hold the keys of evidence logs, as an OS user of its own, and refuse to sign a rollback."""

import asyncio
import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from leverframe.cli.screen import Screen
from leverframe.domain.errors import UsageError
from leverframe.wiring.signing import run_signer

_MAX_UID = 2**32 - 2


def add(parser: ArgumentParser) -> None:
    """Say what it takes."""
    parser.add_argument("--socket", metavar="PATH", required=True, help="where it answers: a Unix socket")
    parser.add_argument(
        "--state", metavar="FOLDER", required=True, help="where it keeps keys and last heads, for its user alone"
    )
    parser.add_argument(
        "--allow-uid", metavar="UID", action="append", required=True, help="the OS user of the door; may be repeated"
    )


def run(args: Namespace) -> int:
    """Do it, until SIGTERM or SIGINT."""
    screen = Screen.of(args)
    allowed = frozenset(_uid(one) for one in args.allow_uid)
    if os.geteuid() in allowed:
        screen.warn(
            f"The signer runs as user {os.geteuid()}, which it also answers: that user can read the key.",
            "Run it as an OS user of its own, or it stops no more than a key beside the database does.",
        )

    def ready() -> None:
        users = ", ".join(str(one) for one in sorted(allowed))
        screen.line(f"The signer answers the user {users} at {args.socket}")

    asyncio.run(run_signer(Path(args.socket).absolute(), Path(args.state).absolute(), allowed, ready))
    return 0


def _uid(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > _MAX_UID:
        raise UsageError(f"--allow-uid takes the number of a user, got {text!r}.", next_move="See: id -u USER")
    return int(text)
