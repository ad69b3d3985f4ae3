"""The page of the command line, read from its parser."""

from argparse import SUPPRESS, Action, ArgumentParser, _HelpAction, _SubParsersAction
from collections.abc import Iterator

from scripts.reference import markdown

INTRO = (
    "`leverframe` alone prints the state of the project in this folder and the one next command. Every command takes "
    "`--help`. Exit codes: 0 done (a run that is held too), 1 refused or a failed check, 2 the command line does not "
    "say what to do, 3 something outside is missing or busy."
)


def commands(parser: ArgumentParser) -> Iterator[ArgumentParser]:
    """The parser itself and every subcommand below it, in the order of its help. `prog` holds the whole words."""
    yield parser
    for action in actions(parser):
        if isinstance(action, _SubParsersAction):
            for inner in action.choices.values():
                yield from commands(inner)


def actions(parser: ArgumentParser) -> list[Action]:
    """What a parser takes, without `--help`, which every command has."""
    # argparse has no public way to list what a parser takes.
    return [action for action in parser._actions if not isinstance(action, _HelpAction)]  # noqa: SLF001


def arguments(parser: ArgumentParser) -> list[Action]:
    """Its flags and positional arguments, without subcommands and what is hidden."""
    return [
        action for action in actions(parser) if not isinstance(action, _SubParsersAction) and action.help != SUPPRESS
    ]


def undocumented(parser: ArgumentParser) -> list[str]:
    """Every command without a description and every argument without a sentence."""
    silent = [command.prog for command in commands(parser) if not command.description]
    for command in commands(parser):
        silent += [f"{command.prog} {spelling(action)}" for action in arguments(command) if not action.help]
    return silent


def spelling(action: Action) -> str:
    """`--file FILE`, `-C DIR, --directory DIR` or `WORKFLOW`, as a person types it."""
    takes_value = action.nargs != 0
    choices = "|".join(str(choice) for choice in action.choices) if action.choices else ""
    metavar = action.metavar if isinstance(action.metavar, str) else choices or action.dest.upper()
    if not action.option_strings:
        return f"[{metavar}]" if action.nargs in {"?", "*"} else metavar
    return ", ".join(f"{flag} {metavar}" if takes_value else flag for flag in action.option_strings)


def render(parser: ArgumentParser) -> str:
    """Every command with its arguments."""
    blocks = []
    for command in commands(parser):
        rows = [(markdown.code(spelling(action)), _meaning(action)) for action in arguments(command)]
        said = (command.description or "").strip()
        if rows or not _has_subcommands(command):
            blocks += [f"## {command.prog}", said, markdown.table(("Argument", "Meaning"), rows)]
    return markdown.page("Command line", INTRO, *blocks)


def _has_subcommands(parser: ArgumentParser) -> bool:
    return any(isinstance(action, _SubParsersAction) for action in actions(parser))


def _meaning(action: Action) -> str:
    said = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
    return f"{said} Required." if action.required and action.option_strings else said
