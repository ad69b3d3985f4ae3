"""How a problem is told: the sentence and the next move for a person, an RFC 9457 document for a program."""

from argparse import Namespace

from leverframe.cli.pasting import pasteable
from leverframe.cli.screen import Screen
from leverframe.domain.errors import ConfigInvalid, LeverframeError, Problem
from leverframe.domain.json import Json


def tell(error: LeverframeError, args: Namespace) -> None:
    """Print a problem on the error stream, and with `--json` its document on the other."""
    screen = Screen.of(args)
    if isinstance(error, ConfigInvalid):
        screen.warn(*(str(problem) for problem in error.problems))
    else:
        screen.warn(error.message)
    move = pasteable(error.next_move, args)
    if move:
        screen.warn(move)
    if screen.is_json:
        screen.document(_document(error, move))


def finding(problem: Problem) -> Json:
    """One finding in a file as JSON."""
    return {
        "path": problem.path,
        "line": problem.line,
        "column": problem.column,
        "code": problem.code,
        "severity": problem.severity,
        "message": problem.message,
        "next_move": problem.next_move,
    }


def _document(error: LeverframeError, move: str) -> Json:
    """The problem document; `findings` where it is about files.  Source: RFC 9457."""
    document: dict[str, Json] = {
        "type": f"/problems/{error.slug}",
        "title": error.slug.replace("-", " "),
        "status": error.status,
        "detail": error.message,
        "next_move": move,
    }
    if isinstance(error, ConfigInvalid):
        document["findings"] = [finding(problem) for problem in error.problems]
    return document
