"""The table of problems, and a first page for each new one."""

from inspect import getdoc

from leverframe.domain import errors
from leverframe.domain.errors import LeverframeError
from scripts.reference import markdown

INTRO = (
    "Everything that Leverframe refuses or cannot do has a name, stable for ever. A command prints the problem's "
    "sentence and the next move, and exits with the code below; HTTP answers with the status and an RFC 9457 document "
    "whose `type` ends in `/problems/<slug>`. A refusal of one call by policy or budget is not a failure of the run: "
    "it is a decision, `deny`, with its rule."
)


def problem_classes() -> list[type[LeverframeError]]:
    """The root and everything below it, parents first, in the order of the module."""
    members = [member for member in vars(errors).values() if isinstance(member, type)]
    return [member for member in members if issubclass(member, LeverframeError)]


def render() -> str:
    """The table of all problems."""
    rows = [
        (
            f"[`{problem.slug}`](../problems/{problem.slug}.md)",
            str(problem.status),
            str(problem.exit_code),
            "yes" if problem.is_retryable else "no",
            markdown.code(_parent(problem)),
            _first_sentence(problem),
        )
        for problem in problem_classes()
    ]
    head = ("Slug", "HTTP", "Exit", "Try again", "Is a", "What it says")
    return markdown.page("Problems", INTRO, markdown.table(head, rows))


def facts(problem: type[LeverframeError]) -> str:
    """The line that every problem's own page carries: what a program may rely on."""
    again = "the same request may succeed later" if problem.is_retryable else "trying again changes nothing by itself"
    return f"HTTP status {problem.status}, exit code {problem.exit_code}; {again}."


def first_page(problem: type[LeverframeError]) -> str:
    """A page for somebody to finish: what the code can say about itself."""
    said = " ".join((getdoc(problem) or "").split())
    return (
        f"# {problem.slug}\n\n{facts(problem)}\n\n## What happened\n\n{said}\n\n## Why\n\n"
        f"## What to do\n\nRead the message: it names the thing, what was expected, and the next move.\n"
    )


def _parent(problem: type[LeverframeError]) -> str:
    parent = problem.__bases__[0]
    return parent.slug if issubclass(parent, LeverframeError) else ""


def _first_sentence(problem: type[LeverframeError]) -> str:
    return " ".join((getdoc(problem) or "").split()).split(".  ")[0].split(". ")[0].rstrip(".") + "."
