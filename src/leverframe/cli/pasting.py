"""Commands that run as they are printed, in the shell that they are printed in.

Knows: how this program was started and which `-C` it was given.
"""

import os
import re
import shlex
import sys
from argparse import Namespace
from pathlib import Path

_NAME = "leverframe"
_COMMAND = re.compile(rf"(?<![\w./-]){_NAME} (?=([a-z]+))")


def command(args: Namespace, *words: str) -> str:
    """`leverframe -C my-desk approvals grant apr_…`, each word quoted where a shell asks for it."""
    return " ".join([_prefix(args), *(shlex.quote(word) for word in words)])


def pasteable(text: str, args: Namespace) -> str:
    """A sentence of the runtime in which every `leverframe …` becomes the command that works here.

    `init` names its own folder, so it keeps out of the one that was given.
    """
    return _COMMAND.sub(lambda found: f"{_program() if found.group(1) == 'init' else _prefix(args)} ", text)


def _prefix(args: Namespace) -> str:
    folder = getattr(args, "directory", None)
    return " ".join([_program(), *(["-C", shlex.quote(folder)] if folder else [])])


def _program() -> str:
    """How this program is called in the person's shell: by its name where PATH finds this very one."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return f"{shlex.quote(_shortest(Path(sys.executable)))} -m {_NAME}"
    if started.name != _NAME or _is_on_path(started):
        return _NAME
    return shlex.quote(_shortest(started))


def _is_on_path(started: Path) -> bool:
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        found = Path(folder or ".") / _NAME
        if os.access(found, os.X_OK) and not found.is_dir():
            return found.absolute() == started.absolute()
    return False


def _shortest(program: Path) -> str:
    """Relative to here where that is below here, as a person would type it."""
    try:
        return str(program.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(program)
