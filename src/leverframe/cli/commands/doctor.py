"""`leverframe doctor`: what no file says, asked of whoever knows."""

import asyncio
from argparse import Namespace
from collections.abc import Sequence

from leverframe.cli.parser import CommandParser
from leverframe.cli.pasting import pasteable
from leverframe.cli.project import load
from leverframe.cli.screen import Screen, Word
from leverframe.domain.contracts import Project
from leverframe.domain.credentials import Diagnosis, Severity
from leverframe.domain.errors import EXIT_OK, EXIT_REFUSED, EXIT_UNAVAILABLE
from leverframe.domain.json import Json
from leverframe.wiring.doctor import open_checks

_Found = Sequence[tuple[str, int, Sequence[Diagnosis]]]


def add(parser: CommandParser) -> None:
    """Say what it does; it takes nothing of its own."""
    parser.description = (
        "Ask whoever knows about what no file of the project says.\n"
        "credential-scopes: resolve each credential and ask its issuer (`credentials` of leverframe.yaml) whether it\n"
        "may do more, or less, than `scopes` of its tools say.\n"
        "Exits 1 where something is wrong, 3 where somebody could not be asked."
    )


def run(args: Namespace) -> int:
    """Look, and tell."""
    found = asyncio.run(_look(load(args)))
    screen = Screen.of(args)
    if screen.is_json:
        screen.document({"checks": [_document(*one) for one in found]})
    else:
        _tell(screen, args, found)
    severities = {one.severity for _, _, diagnoses in found for one in diagnoses}
    if Severity.PROBLEM in severities:
        return EXIT_REFUSED
    return EXIT_UNAVAILABLE if Severity.UNASKED in severities else EXIT_OK


async def _look(project: Project) -> _Found:
    async with open_checks(project) as checks:
        return [(check.name, check.looked_at, found) for check in checks for found in [await check.diagnoses()]]


def _tell(screen: Screen, args: Namespace, found: _Found) -> None:
    for name, looked_at, diagnoses in found:
        wrong = sum(one.severity is Severity.PROBLEM for one in diagnoses)
        screen.line(f"{name}: {looked_at} looked at, {wrong} wrong")
        for one in diagnoses:
            whose = f" [{one.tenant}]" if one.tenant else ""
            screen.line("  ", Word(_WORDS[one.severity]), f" {one.code}{whose}: {one.message}")
            if one.next_move:
                screen.line(f"    {pasteable(one.next_move, args)}")


_WORDS = {Severity.PROBLEM: "error", Severity.UNASKED: "warning", Severity.NOTE: "note"}


def _document(name: str, looked_at: int, diagnoses: Sequence[Diagnosis]) -> Json:
    return {"name": name, "looked_at": looked_at, "findings": [_finding(one) for one in diagnoses]}


def _finding(one: Diagnosis) -> Json:
    return {
        "severity": one.severity.value,
        "code": one.code,
        "about": one.about,
        "tenant": one.tenant,
        "message": one.message,
        "next_move": one.next_move,
        "data": {name: list(values) for name, values in (one.data or {}).items()},
    }
