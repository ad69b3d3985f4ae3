"""`leverframe check`: what is wrong in the files, and with `--ready` what is missing before an agent gets them."""

import asyncio
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from leverframe.cli.cards import gap_document, tell_gaps
from leverframe.cli.parser import CommandParser
from leverframe.cli.pasting import command, pasteable
from leverframe.cli.problems import finding
from leverframe.cli.project import folder, named_file
from leverframe.cli.screen import Screen, Word
from leverframe.config.project import check_contract_file, load_project_lenient
from leverframe.domain.contracts import Contract, Project
from leverframe.domain.errors import NotFound, Problem, UsageError
from leverframe.domain.json import Json
from leverframe.runtime.readiness import Card
from leverframe.wiring.dry_run import card_of

_SEVERITIES = ("error", "warning", "note")


def add(parser: CommandParser) -> None:
    """Take a file, and whether readiness is asked for."""
    parser.description = (
        "Load every file of a project and say what is wrong, each with file, line and column; exits 1 on an error.\n"
        "With FILE, judge one contract on its own: what cannot be seen from it alone is a note."
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="one contract, such as workflows/refund_request.yaml")
    parser.add_argument("--ready", action="store_true", help="exit 1 too where a part of a readiness card is missing")


def run(args: Namespace) -> int:
    """Print what is wrong."""
    if args.file is not None and not args.ready:
        problems = check_contract_file(named_file(args, args.file))
        return _tell(args, problems, ())
    project, problems = load_project_lenient(folder(args))
    cards = _cards(args, project) if args.ready and project is not None else ()
    return _tell(args, problems, cards, project)


def _cards(args: Namespace, project: Project) -> tuple[Card, ...]:
    contracts: Sequence[Contract] = tuple(project.contracts.values())
    if args.file is not None:
        wanted = named_file(args, args.file).resolve()
        contracts = [one for one in contracts if (Path(project.root) / one.source.file).resolve() == wanted]
        if not contracts:
            raise NotFound(
                f"{args.file!r} is no contract of the project in {project.root!r}.", next_move="Name one of workflows/."
            )
    if not contracts:
        raise UsageError("The project has no contract that could be ready.", next_move="Write workflows/NAME.yaml.")
    return tuple(asyncio.run(card_of(project, contract)) for contract in contracts)


def _tell(args: Namespace, problems: Sequence[Problem], cards: Sequence[Card], project: Project | None = None) -> int:
    screen = Screen.of(args)
    counts = Counter(problem.severity for problem in problems)
    code = 1 if counts["error"] or any(card.gaps for card in cards) else 0
    if screen.is_json:
        screen.document(_document(problems, cards))
        return code
    for problem in problems:
        place = f"{problem.path}:{problem.line}:{problem.column}" if problem.line else problem.path
        screen.line(f"{place}: ", Word(problem.severity), f" {problem.code}: {problem.message}")
        if problem.next_move:
            screen.line(f"    {pasteable(problem.next_move, args)}")
    for card in cards:
        tell_gaps(screen, args, card)
    told = ", ".join(_counted(counts[word], word) for word in _SEVERITIES if counts[word]) or "nothing to say"
    screen.line(f"{_what(args, project)}: {told}")
    if not counts["error"] and project is not None and not cards:
        first = next(iter(project.contracts), "WORKFLOW")
        screen.line(f"Next: {command(args, 'show', first)}")
    return code


def _what(args: Namespace, project: Project | None) -> str:
    if args.file is not None:
        return str(args.file)
    if project is None:
        return str(folder(args))
    tools = {name for contract in project.contracts.values() for name in contract.tools}
    return f"{_counted(len(project.contracts), 'workflow')}, {_counted(len(tools), 'tool')}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _document(problems: Sequence[Problem], cards: Sequence[Card]) -> Json:
    document: dict[str, Json] = {
        "has_errors": any(problem.severity == "error" for problem in problems),
        "findings": [finding(problem) for problem in problems],
    }
    if cards:
        document["ready"] = {card.contract.workflow: [gap_document(gap) for gap in card.gaps] for card in cards}
    return document
