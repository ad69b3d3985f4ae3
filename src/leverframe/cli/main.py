"""The command `leverframe`: words in, exit code out; no traceback for anything that a person can mend.

Exit codes: 0 done, 1 refused or a failed check, 2 the words do not say what to do, 3 something outside is missing,
130 interrupted, 141 whoever read the output went away.
"""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from types import TracebackType

from leverframe import __version__
from leverframe.cli.parser import CommandParser, root_parser
from leverframe.cli.pasting import pasteable
from leverframe.cli.problems import tell
from leverframe.cli.registry import Command
from leverframe.cli.screen import Screen
from leverframe.domain.errors import EXIT_UNAVAILABLE, LeverframeError, UsageError

_INTERRUPTED, _READER_GONE = 130, 141
_STATUS = Command("status", "Say how the project in this folder stands.")


def build_parser() -> CommandParser:
    """The whole parser, every command with its arguments: what the reference page is made from."""
    return root_parser(is_whole=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the words say.

    Args:
        argv: the words after the program's name; None takes those of this process, and its way to die too.
    """
    if argv is None:
        _own_the_process()
    words = sys.argv[1:] if argv is None else list(argv)
    # Known before the words are parsed, since the parser's own complaint is printed that way too.
    args = Namespace(json="--json" in words, no_color="--no-color" in words, directory=None, standard_output=sys.stdout)
    try:
        _refuse_bytes(words)
        root_parser().parse_args(words, args)
        act = _STATUS.module().run if args.command is None else args.run
        # What the project's own Python prints is no part of the document, which goes to the other one.
        with redirect_stdout(sys.stderr) if args.json else nullcontext():
            code = int(act(args))
        return _finished(code)
    except SystemExit as stop:  # --help and --version
        return stop.code if isinstance(stop.code, int) else 0
    except LeverframeError as err:
        tell(err, args)
        return err.exit_code
    except KeyboardInterrupt:
        text = "Interrupted.  What was recorded stays, and a run goes on with: leverframe runs resume RUN"
        Screen.of(args).warn(pasteable(text, args))
        return _INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return _READER_GONE
    except OSError as err:
        named = f" ({err.filename!r})" if err.filename else ""
        Screen.of(args).warn(
            f"The operating system refused: {err.strerror or err}{named}.",
            "Put that right and type the same command again; what was recorded stays.",
        )
        return EXIT_UNAVAILABLE


def _refuse_bytes(words: Sequence[str]) -> None:
    """Refuse a word that is no text: no file of a project and no row could say it."""
    for word in words:
        try:
            os.fsencode(word).decode()
        except UnicodeError:
            raise UsageError(
                f"{word!r} is not UTF-8 text.", next_move="Write it, or name the file, in UTF-8."
            ) from None


def _finished(code: int) -> int:
    """Write out what is buffered while a broken pipe can still be answered."""
    sys.stdout.flush()
    return code


def _own_the_process() -> None:
    """Set what only the owner of the process may set: how it writes what it cannot encode, how it dies of a bug."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        # Closed by whoever started us.  What is opened next would take its place, and that may be the database.
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    if not os.environ.get("LEVERFRAME_DEBUG"):
        sys.excepthook = _report_bug


def _report_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say that this is a bug of ours, where it happened and what to send; the process then exits with 1."""
    place = trace
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" at {place.tb_frame.f_globals.get('__name__', '?')}:{place.tb_lineno}" if place is not None else ""
    Screen(sys.stdout, sys.stderr, is_json=False, has_color=False).warn(
        f"This is a bug in Leverframe {__version__}: {kind.__name__}{where}: {error}",
        "What was recorded stays as it is.  Run the same command with LEVERFRAME_DEBUG=1 and report what it prints;",
        "leave out what is private.  How and where: SECURITY.md for a hole, the project's issues for all else.",
    )


def _discard_output() -> None:
    """Let the interpreter's last flush go nowhere, or it would complain about the same pipe again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
