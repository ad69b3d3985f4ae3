"""`leverframe evidence recover`: go on from a backup that is behind what was signed, openly."""

from argparse import Namespace

from leverframe.cli.parser import CommandParser
from leverframe.cli.pasting import command
from leverframe.cli.screen import Screen
from leverframe.domain.contracts import Project
from leverframe.domain.errors import RefusedError, UsageError
from leverframe.domain.json import Json
from leverframe.ports.store import Recovered
from leverframe.wiring.recovering import recover_logs

HELP = "go on from a restored backup, in a new epoch"
DESCRIPTION = """\
A backup that was restored is behind the newest head that was signed, and nothing is written to it.  This begins a new
epoch: the log says what was given up and why, and the signer signs nothing of the old epoch any more."""
_MAX_SHOWN = 20


def add(parser: CommandParser) -> None:
    """Take its arguments."""
    parser.add_argument("--because", required=True, metavar="TEXT", help="why; it is recorded")
    parser.set_defaults(act=recover)


def recover(args: Namespace, project: Project) -> int:
    """Do it."""
    because = str(args.because).strip()
    if not because:
        raise UsageError("Nobody will know why.", next_move='For example: --because "disk lost, backup of Monday"')
    found = recover_logs(project, because)
    if not found:
        raise RefusedError(
            "No log of this project is behind a head that was signed, so there is nothing to recover.",
            next_move="Verify it: leverframe evidence verify",
        )
    screen = Screen.of(args)
    if screen.is_json:
        screen.document([_document(one) for one in found])
        return 0
    for one in found:
        screen.line(
            f"{one.lost.origin}: {one.kept:,} of {one.lost.size:,} entries are left; it goes on in epoch {one.epoch}"
        )
        if one.unended:
            screen.line(f"  {len(one.unended)} runs are open in the backup and may have done more since. Look before")
            screen.line("  you resume one: what it did after the backup would be done again.")
            screen.lines(f"    {command(args, 'runs', 'show', run_id)}" for run_id in one.unended[:_MAX_SHOWN])
    screen.line("Whoever holds a trust file should hear of it: the given-up head is named in the log.")
    return 0


def _document(one: Recovered) -> Json:
    return {
        "tenant": one.tenant,
        "epoch": one.epoch,
        "kept": one.kept,
        "lost": {"origin": one.lost.origin, "size": one.lost.size, "root": one.lost.root.hex()},
        "unended": list(one.unended),
    }
