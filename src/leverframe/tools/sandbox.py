"""How foreign code is started on this machine: under bubblewrap, with what the project lists and nothing else.

Knows: what a process in the sandbox sees.  It has no variable but the listed ones, no home, no state of ours, no
network unless listed, no other process to look at, and a root of the system's own programs that it cannot write.
`--as-pid-1` keeps bubblewrap itself, whose environment is ours, out of the sandbox's /proc.
Never: starts foreign code outside of it by itself; `trusted_process` in the project file says so by name.
"""

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from leverframe.domain.contracts import McpServer, ServerLimits
from leverframe.domain.errors import ToolUnavailable
from leverframe.tools.child_process import ChildProcess

_STATE: Final = ".leverframe"
_PROBE_S: Final = 10.0
_TMP_BYTES: Final = str(64 << 20)
_NOBODY: Final = "65534"
# What programs need of the system to start at all.
_SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
_FOR_NETWORK: Final = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A command that is ready to be started: absolute program, whole environment, folder.

    `unseen` are words that bubblewrap reads before those of `argv`, from an open file: a command line is for everybody
    on the machine to read, and a variable may be a credential.
    """

    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    is_sandbox: bool = False
    limits: ServerLimits | None = None
    unseen: Sequence[str] = field(default=(), repr=False)


async def launch_of(server: McpServer, root: Path, hidden: Sequence[Path] = ()) -> Launch:
    """How a server is started.

    Args:
        server: one with a command.
        root: the project's folder.
        hidden: files of ours that lie elsewhere than in `.leverframe`, such as a database.

    Raises:
        ToolUnavailable: its program is missing, or it needs the sandbox and this machine has none that works.
    """
    program = program_path(server.command[0], root)
    command = (program, *server.command[1:])
    if server.trusted_because:
        return Launch(argv=command, env=server.env, cwd=root, limits=server.limits)
    bwrap = await _working_bwrap(server.name)
    argv = (bwrap, *_walls(server, root, program, hidden), "--", *command)
    # bubblewrap itself runs outside of the walls it builds; it is given no variable either.
    return Launch(
        argv=argv,
        env={},
        cwd=root,
        is_sandbox=True,
        limits=server.limits or ServerLimits(),
        unseen=tuple(_variables(server)),
    )


def program_path(program: str, root: Path) -> str:
    """The absolute path of a server's program; `python` is the one that runs Leverframe.

    Raises:
        ToolUnavailable: there is no such program.
    """
    if program in {"python", "python3"}:
        return sys.executable
    found = str((root / program).resolve()) if "/" in program else shutil.which(program)
    if found is None or not os.access(found, os.X_OK) or Path(found).is_dir():
        raise ToolUnavailable(
            f"The program {program!r} is not there or cannot be run.",
            next_move="Install it, or write its absolute path in `servers` of leverframe.yaml.",
        )
    return str(Path(found).absolute())


def _walls(server: McpServer, root: Path, program: str, hidden: Sequence[Path]) -> Iterator[str]:
    yield from ("--unshare-all", "--die-with-parent", "--new-session", "--as-pid-1")
    yield from ("--unshare-user", "--uid", _NOBODY, "--gid", _NOBODY, "--cap-drop", "ALL", "--hostname", "sandbox")
    if server.has_network:
        yield "--share-net"
    for name in (*_SYSTEM, *(_FOR_NETWORK if server.has_network else ())):
        yield from ("--ro-bind-try", name, name)
    yield from ("--proc", "/proc", "--dev", "/dev")
    # What is written to memory is in no process: each such place has a size, or cannot be written.
    for name in ("/tmp", "/dev/shm"):  # noqa: S108 its own
        yield from ("--size", _TMP_BYTES, "--tmpfs", name)
    yield from ("--dir", str(root))
    for path in _seen(server, root, program):
        yield from ("--ro-bind", str(path), str(path))
    if server.writable:
        folder = _inside(root, server.writable)
        folder.mkdir(parents=True, exist_ok=True)
        yield from ("--bind", str(folder), str(folder))
    # Last, so that no folder above or below brings it back.
    masks = [path for path in dict.fromkeys((root / _STATE, *hidden)) if path.is_dir()]
    for path in dict.fromkeys((root / _STATE, *hidden)):
        if path.is_dir():
            yield from ("--tmpfs", str(path))
        elif path.exists():
            yield from ("--ro-bind", "/dev/null", str(path))
    # Nor may what was made for the walls be written: only /tmp and the listed folder can.
    for name in (*map(str, masks), "/dev", "/"):
        yield from ("--remount-ro", name)
    yield from ("--chdir", str(root))


def _variables(server: McpServer) -> Iterator[str]:
    yield "--clearenv"
    for key, value in server.env.items():
        if "\0" in key + value:
            # It would end the word, and what follows would be read as another one.
            raise ToolUnavailable(
                f"The variable {key.partition(chr(0))[0]!r} of server {server.name!r} holds a zero character.",
                next_move="Mend `env` in leverframe.yaml.",
            )
        yield from ("--setenv", key, value)


def _seen(server: McpServer, root: Path, program: str) -> Sequence[Path]:
    """What a sandbox shows beyond the system: its program, the files its command names, and the listed paths."""
    found = [Path(program)]
    if program == sys.executable:
        found += [Path(sys.prefix), Path(sys.base_prefix), Path(program).resolve()]
    found += [root / word for word in server.command[1:] if word and _is_named_file(root / word, root)]
    found += [_inside(root, name) for name in server.readable]
    missing = next((one for one in found if not one.exists()), None)
    if missing is not None:
        raise ToolUnavailable(
            f"Server {server.name!r} is to read {str(missing)!r}, which is not there.", next_move="Mend `readable`."
        )
    return [one for one in dict.fromkeys(found) if not one.is_relative_to("/usr")]


def _is_named_file(path: Path, root: Path) -> bool:
    try:
        real = path.resolve()
        return path.is_file() and real.is_relative_to(root.resolve()) and _STATE not in real.parts
    except (OSError, ValueError):
        return False


def _inside(root: Path, name: str) -> Path:
    """A listed path, absolute.  The state folder is masked whatever is listed."""
    return (root / name).resolve()


async def _working_bwrap(server: str) -> str:
    """The path of bubblewrap, where it can build its walls here."""
    found = shutil.which("bwrap")
    if found is None:
        raise _no_sandbox(server, "bubblewrap is not installed", "Install it: apt install bubblewrap.")
    probe = (found, "--unshare-all", "--unshare-user", "--as-pid-1", "--ro-bind", "/", "/", "--proc", "/proc", "true")
    child = await ChildProcess.start(probe, stdin=DEVNULL, stdout=DEVNULL, env={})
    try:
        async with asyncio.timeout(_PROBE_S):
            _, errors = await child.process.communicate()
    except TimeoutError as err:
        raise _no_sandbox(server, "bubblewrap hangs", "Run by hand: bwrap --unshare-all --ro-bind / / true") from err
    finally:
        # Also where we are cancelled.
        await child.end()
    if child.process.returncode != 0:
        reason = errors.decode(errors="replace").strip()[:300]
        raise _no_sandbox(
            server,
            f"bubblewrap cannot build a sandbox on this machine ({reason})",
            "Allow user namespaces (kernel.unprivileged_userns_clone=1), or run as a user that may make them.",
        )
    return found


def _no_sandbox(server: str, reason: str, move: str) -> ToolUnavailable:
    return ToolUnavailable(
        f"Server {server!r} is foreign code and {reason}, so it is not started.",
        next_move=f'{move}  Where you trust its code, add trusted_process: {{because: "..."}} in leverframe.yaml.',
    )
