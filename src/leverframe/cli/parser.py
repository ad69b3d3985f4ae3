"""argparse, with the manners of this command line: arguments loaded late, errors as problems, help in groups."""

import re
from argparse import SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from typing import Any, NoReturn

from leverframe import __version__
from leverframe.cli.registry import GROUPS, Command
from leverframe.core.nearest import nearest
from leverframe.domain.errors import UsageError

_DESCRIPTION = """\
The door between your agents and production: every call is bounded, decided, approved where it must be, done once,
and provable afterwards.  Without a command it says how the project in this folder stands, and the one next command."""
_EPILOG = """\
The options stand before a command or after it.  Exit codes: 0 done (a run that is held too), 1 refused or a failed
check, 2 the words do not say what to do, 3 something outside is missing or busy."""
_EVERYWHERE: tuple[tuple[tuple[str, ...], dict[str, str], str], ...] = (
    (("-C", "--directory"), {"metavar": "DIR"}, "the project's folder (default: this one)"),
    (("--json",), {"action": "store_true"}, "print JSON, errors included"),
    (("--no-color",), {"action": "store_true"}, "print no colour, as NO_COLOR=1 does"),
)
_AT_THE_ROOT: tuple[tuple[tuple[str, ...], dict[str, str], str], ...] = (
    (("--version",), {}, "print the version"),
    (("--help",), {}, "print this"),
)
_INVALID_CHOICE = re.compile(r"(?:argument [^:]*: )?invalid choice: '(.*)' \(choose from (.*)\)", re.DOTALL)


class CommandParser(ArgumentParser):
    """A parser whose arguments are added the first time that somebody uses it.

    Args:
        fill: adds them; None where they are added by hand.
        words: the keywords of ArgumentParser.
    """

    # Any: the keywords are handed on as they are.
    def __init__(self, *, fill: Callable[["CommandParser"], None] | None = None, **words: Any) -> None:
        words.setdefault("formatter_class", RawDescriptionHelpFormatter)
        # A shortened flag would change its meaning on the day that a longer one is added.
        super().__init__(allow_abbrev=False, **words)
        self._filler = fill
        self._add_everywhere()

    def fill(self) -> None:
        """Add the arguments, once."""
        filler, self._filler = self._filler, None
        if filler is not None:
            filler(self)

    # Any: as typeshed declares it.
    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, with the arguments there."""
        self.fill()
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Refuse the words, naming the nearest known one."""
        raise UsageError(_sentence(message), next_move=f"See: {self.prog} --help")

    def _add_everywhere(self) -> None:
        """Take the options of `leverframe` after a command too, without a default: it would undo what stood before."""
        for flags, words, _ in _EVERYWHERE:
            # Any: keywords of add_argument, which are of several types.
            keywords: dict[str, Any] = {**words, "default": SUPPRESS, "help": SUPPRESS}
            self.add_argument(*flags, **keywords)


class RootParser(CommandParser):
    """The parser of `leverframe` itself, whose help shows the commands in groups."""

    def format_help(self) -> str:
        """The whole help of the program."""
        lines = [_DESCRIPTION, "", self.format_usage().rstrip()]
        for group in GROUPS:
            lines += ["", f"{group.title}:"]
            lines += [f"  {command.name:<20} {command.summary}" for command in group.commands]
        lines += ["", "Options:"]
        for flags, words, text in (
            *_EVERYWHERE,
            (("--version",), {}, "print the version"),
            (("--help",), {}, "print this"),
        ):
            spelled = " ".join([", ".join(flags), *([words["metavar"]] if "metavar" in words else [])])
            lines.append(f"  {spelled:<20} {text}")
        return "\n".join([*lines, "", _EPILOG, ""])

    def _add_everywhere(self) -> None:
        for flags, words, text in _EVERYWHERE:
            # Any: keywords of add_argument, which are of several types.
            keywords: dict[str, Any] = {**words, "help": text}
            self.add_argument(*flags, **keywords)
        self.add_argument("--version", action="version", version=f"leverframe {__version__}", help="print the version")


def root_parser(*, is_whole: bool = False) -> RootParser:
    """The parser of every command; the arguments of each are added when it is typed, or now where `is_whole`."""
    root = RootParser(
        prog="leverframe", description=_DESCRIPTION, usage="leverframe [-C DIR] [--json] [--no-color] [COMMAND ...]"
    )
    words = root.add_subparsers(dest="command", metavar="COMMAND", parser_class=CommandParser, prog="leverframe")
    for group in GROUPS:
        for command in group.commands:
            parser = words.add_parser(
                command.name, help=command.summary, description=command.summary, fill=_filler(command)
            )
            if is_whole:
                parser.fill()
    return root


def _filler(command: Command) -> Callable[[CommandParser], None]:
    def fill(parser: CommandParser) -> None:
        module = command.module()
        module.add(parser)
        parser.set_defaults(run=module.run)

    return fill


def _sentence(message: str) -> str:
    """What argparse says, as a sentence; an unknown word gets the nearest known one."""
    found = _INVALID_CHOICE.fullmatch(message)
    if found is None:
        return f"{message[:1].upper()}{message[1:]}."
    word, known = found.group(1), [name.strip("'") for name in found.group(2).split(", ")]
    near = nearest(word, known)
    return f"There is no {word!r} here; " + (f"did you mean {near!r}?" if near else f"known: {', '.join(known)}.")
