"""What is wrong in the files of a project, gathered so that one look shows all of it.

Knows: places and problems.  Never: stops at the first one; a caller asks `has_errors` when it needs to know.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from leverframe.core.nearest import nearest
from leverframe.domain.errors import Problem
from leverframe.domain.policy import SourceRef


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file of the project.  `line` and `column` start at 1; 0 means the file as a whole."""

    path: str
    line: int = 0
    column: int = 0

    @property
    def ref(self) -> SourceRef:
        """The same place as rules and windows name it, without the column."""
        return SourceRef(file=self.path, line=self.line)


MAX_PROBLEMS = 200
"""More than anyone reads; a file with thousands is the wrong file.  The first error is kept in any case."""

_SHORT_LIST = 12


class Findings:
    """The problems of one load."""

    def __init__(self) -> None:
        # A dict, since it keeps the order and finds what is already there at once; a broken file can have thousands.
        self._problems: dict[Problem, None] = {}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems by file and place; within one place as they were found."""
        return tuple(sorted(self._problems, key=lambda found: (found.path, found.line, found.column)))

    @property
    def has_errors(self) -> bool:
        """Whether anything keeps the files from being used."""
        return any(problem.severity == "error" for problem in self._problems)

    def error(self, at: Mark, code: str, message: str, next_move: str = "") -> None:
        """Record what keeps the file from being used."""
        self._add(at, code, message, "error", next_move)

    def warning(self, at: Mark, code: str, message: str, next_move: str = "") -> None:
        """Record what loads but is probably not what was meant."""
        self._add(at, code, message, "warning", next_move)

    def note(self, at: Mark, code: str, message: str, next_move: str = "") -> None:
        """Record what a reader may want to know."""
        self._add(at, code, message, "note", next_move)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Take over the problems of another load; what is already here is not repeated."""
        for problem in problems:
            self._keep(problem)

    def _add(self, at: Mark, code: str, message: str, severity: str, next_move: str) -> None:
        self._keep(
            Problem(
                path=at.path,
                line=at.line,
                column=at.column,
                code=code,
                message=message,
                severity=severity,
                next_move=next_move,
            )
        )

    def _keep(self, problem: Problem) -> None:
        if len(self._problems) < MAX_PROBLEMS or (problem.severity == "error" and not self.has_errors):
            self._problems[problem] = None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The next move for an unknown name: the nearest known one, else all of a short list, else nothing."""
    names = sorted(known)
    found = nearest(name, names)
    if found is not None:
        return f"Did you mean {found!r}?"
    if names and len(names) <= _SHORT_LIST:
        return f"Known here: {', '.join(names)}."
    return ""
