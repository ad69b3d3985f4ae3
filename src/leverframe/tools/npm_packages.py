"""A package of npm put into a folder of the project once, in place of `npx`, which fetches the newest each time.

Knows: which words of an `npx` command are its own.  Never: lets a script of a package run: what is installed is only
started later, in the sandbox.
"""

import asyncio
import json
import re
import shutil
from asyncio.subprocess import DEVNULL, STDOUT
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from leverframe.domain.errors import ToolUnavailable, UsageError
from leverframe.tools.child_process import ChildProcess

_INSTALL_S: Final = 300.0
_FLAGS: Final = frozenset({"-y", "--yes", "-q", "--quiet"})
_PACKAGE: Final = re.compile(r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*(?:@[A-Za-z0-9.^~<>=*-]+)?")
_LAST_LINES: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class NpxCommand:
    """What an `npx` command names: a package, perhaps with a version, and the words for its program."""

    package: str
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """The package without its version."""
        return re.sub(r"(?<=.)@.*", "", self.package)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """Where an installed package's program is, below the folder it was installed in, and which version it is."""

    entry: str
    version: str


def npx_command(words: Sequence[str]) -> NpxCommand | None:
    """The package of an `npx` command; None where it is another command.

    Raises:
        UsageError: it has flags of npx that are not understood here.
    """
    if not words or words[0] != "npx":
        return None
    rest = [word for word in words[1:] if word not in _FLAGS]
    if not rest or _PACKAGE.fullmatch(rest[0]) is None:
        raise UsageError(
            f"Of {' '.join(words)!r} the package is not understood.",
            next_move='Write it as: --mcp "npx -y PACKAGE[@VERSION] WORD ..."',
        )
    return NpxCommand(package=rest[0], words=tuple(rest[1:]))


async def install(command: NpxCommand, folder: Path) -> Installed:
    """Install a package and what it needs below `folder`; no script of any of them runs.

    Raises:
        ToolUnavailable: there is no npm, it fails, or the package has no program.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise ToolUnavailable("npm is not installed, and the server is a package of it.", next_move="Install Node.js.")
    await asyncio.to_thread(folder.mkdir, parents=True)
    flags = ("--ignore-scripts", "--no-audit", "--no-fund", "--save-exact", "--no-progress", "--prefix", str(folder))
    argv = (npm, "install", *flags, "--", command.package)
    child = await ChildProcess.start(argv, stdin=DEVNULL, stderr=STDOUT, cwd=folder)
    try:
        async with asyncio.timeout(_INSTALL_S):
            said, _ = await child.process.communicate()
    except TimeoutError as err:
        raise ToolUnavailable(
            f"npm did not install {command.package!r} within {_INSTALL_S:g} s.", next_move="Look at the network."
        ) from err
    finally:
        await child.end()
    if child.process.returncode != 0:
        why = " ".join(said.decode(errors="replace").split())[-_LAST_LINES:]
        raise ToolUnavailable(
            f"npm cannot install {command.package!r}: {why}", next_move="Mend the name or the network."
        )
    return _program(command, folder)


def _program(command: NpxCommand, folder: Path) -> Installed:
    home = folder / "node_modules" / command.name
    try:
        about = json.loads((home / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        raise ToolUnavailable(f"{command.name!r} was installed without a package.json.") from err
    if not isinstance(about, dict):
        raise ToolUnavailable(f"The package.json of {command.name!r} is no object.", next_move="Name another package.")
    programs = about.get("bin")
    if isinstance(programs, dict):
        own = command.name.rpartition("/")[2]
        programs = programs.get(own) or next(iter(programs.values()), None)
    entry = home / str(programs)
    if not isinstance(programs, str) or not _is_file_in(home, entry):
        raise ToolUnavailable(f"The package {command.name!r} has no program.", next_move="Name one that has.")
    return Installed(entry=entry.relative_to(folder).as_posix(), version=str(about.get("version", "")))


def _is_file_in(home: Path, entry: Path) -> bool:
    """Whether a path that a package names is a file of its own; one that no file can have is none."""
    try:
        return entry.resolve().is_relative_to(home.resolve()) and entry.is_file()
    except (OSError, ValueError, RuntimeError):
        return False
