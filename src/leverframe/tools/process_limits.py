"""How much of the machine a server's process and all that it starts may have, and their end where they take more.

Knows: what the kernel refuses by itself (files, and processes where it counts them for each sandbox), and what it does
not, which is looked at several times a second.  Memory is such a thing: an address-space limit would break runtimes
that reserve far more than they use, as node does.
Never: lets foreign code run before its limits stand.
Source: getrlimit(2), user_namespaces(7), bwrap(1) --info-fd and --block-fd.
"""

import asyncio
import os
import resource
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from leverframe.core import canonical
from leverframe.domain.contracts import ServerLimits
from leverframe.domain.errors import JsonInvalid, ToolUnavailable
from leverframe.tools import process_tree

LOOK_S: Final = 0.1
# Files in memory cost more to find than what processes have; shared pages, to tell apart, far more.
_LOOKS_TO_FILES: Final = 10
_BUILD_S: Final = 10.0
_MIB: Final = 1 << 20
# What one process may set aside, which bounds it between two looks: node begins with 600 MiB of which it uses 80, and
# each thread has a stack.
_DATA_FACTOR: Final = 2
_DATA_SPARE_BYTES: Final = 1 << 30
_STACK_BYTES: Final = 8 << 20
# Before it the kernel counts all processes of a user together, and those of others would use the limit up.
_COUNTED_BY_SANDBOX: Final = (5, 14)
_FIRST_TO_GO: Final = "1000"
_BLIND_LOOKS: Final = 50
_STILL_S: Final = 1.0
_STILL_POLL_S: Final = 0.001
_ALL: Final = 1 << 22  # Linux numbers no more tasks than these


class Threshold:
    """The two pipes at which bubblewrap waits, walls not yet built, until its first process has its limits."""

    def __init__(self) -> None:
        self._told, self._tell = os.pipe()
        read, self._go = os.pipe()
        # With a writer in the same descriptor its end is never seen: where we are killed now, nobody is let in.
        self._wait = os.open(f"/proc/self/fd/{read}", os.O_RDWR | os.O_CLOEXEC)
        os.close(read)
        self._open = {self._told, self._tell, self._wait, self._go}

    @property
    def words(self) -> Sequence[str]:
        """For bubblewrap's command line."""
        return ("--info-fd", str(self._tell), "--block-fd", str(self._wait))

    @property
    def passed(self) -> Sequence[int]:
        """The descriptors that bubblewrap is to inherit."""
        return (self._tell, self._wait)

    def started(self) -> None:
        """Bubblewrap has its ends; without ours, its end is seen."""
        self._close(self._tell, self._wait)

    async def first_process(self) -> int | None:
        """The first process of the sandbox, as this machine numbers it; None: bubblewrap ended before there was one."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        file = os.fdopen(self._told, "rb", buffering=0)
        self._open.discard(self._told)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
        try:
            async with asyncio.timeout(_BUILD_S):
                said = await reader.read()
            return _first_of(said) if said else None
        except (TimeoutError, JsonInvalid, ValueError) as err:
            raise ToolUnavailable(
                "bubblewrap did not say which process its sandbox begins with, so no limit can be set on it.",
                next_move="Install bubblewrap 0.4 or later.",
            ) from err
        finally:
            transport.close()

    def let_in(self) -> None:
        """Have bubblewrap go on."""
        with suppress(OSError):
            os.write(self._go, b"1")

    def close(self) -> None:
        """Forget the pipes.  Who was not let in by then waits for ever, and is to be ended."""
        self._close(*self._open)

    def _close(self, *descriptors: int) -> None:
        for one in descriptors:
            self._open.discard(one)
            os.close(one)


class Confined:
    """A process that has limits, and all that it starts."""

    def __init__(self, pid: int, limits: ServerLimits, *, is_sandbox: bool) -> None:
        """Set the limits.  `pid`: the first process of a sandbox, or a trusted process that leads its group.

        Raises:
            ToolUnavailable: a limit cannot be set or kept here.
        """
        self._pid = pid
        self._limits = limits
        self.is_sandbox = is_sandbox
        self._handle = _handle(pid)
        try:
            if not process_tree.can_be_read():
                raise OSError("this kernel does not tell which processes a process started")  # noqa: TRY301 one message
            for kind, most in rlimits(limits, is_sandbox=is_sandbox).items():
                _limit(pid, kind, most)
        except ProcessLookupError:
            pass  # it has ended, and its pipes say so
        except OSError as err:
            self.close()
            raise ToolUnavailable(
                f"The limits of a server cannot be kept on this machine: {err}.",
                next_move="Run it on a Linux with /proc and CONFIG_PROC_CHILDREN.",
            ) from err
        # Where the machine itself runs out of memory, the kernel takes this one first and not who serves others.
        with suppress(OSError):
            Path(f"/proc/{pid}/oom_score_adj").write_text(_FIRST_TO_GO, encoding="ascii")

    async def watched(self) -> str:
        """Look until it has more than it may, and end it; why.  Goes on for ever where it never has."""
        looks, blind, files = 0, 0, 0
        while True:
            await asyncio.sleep(LOOK_S)
            looks += 1
            usage = process_tree.usage_of(self._pid, enough=self._limits.processes + 1)
            blind = 0 if usage.pids else blind + 1
            reason = unseen(blind) or too_many(usage.tasks, self._limits)
            # A fork bomb grows while its memory is counted.
            if not reason and looks % _LOOKS_TO_FILES == 0:
                files = await asyncio.to_thread(process_tree.memory_file_bytes, usage.pids)
            if not reason and too_much(usage.resident_bytes + files, self._limits):
                # In a thread: the kernel walks every page, and holds nobody else up.
                used = await asyncio.to_thread(process_tree.memory_bytes, usage.pids)
                reason = too_much(used, self._limits)
            if reason:
                await self.end()
                return reason

    def why_it_ended(self, return_code: int | None) -> str:
        """The limit that the kernel ended it for; empty: for none."""
        return too_large(return_code, self._limits)

    def close(self) -> None:
        """Let go of it.  A sandbox ends here for certain, also one that has undone its dying with its parent."""
        handle, self._handle = self._handle, None
        if handle is not None:
            if self.is_sandbox:
                _kill(handle)
            os.close(handle)

    async def end(self) -> None:
        """Kill all of it."""
        if self._handle is None:
            return
        held: set[int] = set()
        try:
            # Who is orphaned is not found any more: all are held before the first is ended.
            while not self.is_sandbox and (new := set(process_tree.usage_of(self._pid, enough=_ALL).pids) - held):
                held |= new
                _send(new, signal.SIGSTOP)
                await _until_still(new)
        finally:
            # Also where we are cancelled in the middle: nobody is left standing.
            _send(held, signal.SIGKILL)
            if self._handle is not None:
                # No process of a sandbox outlives its first one.
                _kill(self._handle)


def _first_of(said: bytes) -> int:
    found = canonical.decode(said)
    pid = found.get("child-pid") if isinstance(found, dict) else None
    if not isinstance(pid, int):
        raise ValueError("no child-pid")  # noqa: TRY004 what was said is wrong, not our argument
    return pid


def rlimits(limits: ServerLimits, *, is_sandbox: bool) -> dict[int, int]:
    """What the kernel itself is told to refuse."""
    found = {
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_FSIZE: limits.file_mib * _MIB,
        resource.RLIMIT_DATA: _DATA_FACTOR * limits.memory_mib * _MIB
        + limits.processes * _STACK_BYTES
        + _DATA_SPARE_BYTES,
        resource.RLIMIT_CORE: 0,
    }
    if is_sandbox and _kernel() >= _COUNTED_BY_SANDBOX:
        found[resource.RLIMIT_NPROC] = limits.processes
    return found


def unseen(looks: int) -> str:
    """Why what could not be looked at so many times is ended; empty: it is not."""
    return "its processes could not be looked at, so that its limits could not be kept" if looks > _BLIND_LOOKS else ""


def too_many(tasks: int, limits: ServerLimits) -> str:
    """Why a tree of so many processes and threads is ended; empty: it is not."""
    if tasks <= limits.processes:
        return ""
    return f"it had more than {limits.processes:,} processes and threads (process limit, `limits.processes`)"


def too_much(used_bytes: int, limits: ServerLimits) -> str:
    """Why a tree with so much in memory is ended; empty: it is not."""
    if used_bytes <= limits.memory_mib * _MIB:
        return ""
    has = f"{used_bytes / _MIB:,.0f} MiB of memory where {limits.memory_mib:,} are allowed"
    return f"it had {has} (memory limit, `limits.memory_mib`)"


def too_large(return_code: int | None, limits: ServerLimits) -> str:
    """Why a process ended that died of the signal for too large a file; empty: it did not.

    The first process of a sandbox never does: such a signal does not reach it, and its write is refused.
    """
    if return_code != -signal.SIGXFSZ:
        return ""
    return f"it wrote a file of more than {limits.file_mib:,} MiB (file limit, `limits.file_mib`)"


def _limit(pid: int, kind: int, most: int) -> None:
    _, hard = resource.prlimit(pid, kind)
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.prlimit(pid, kind, (least, least))


def _kernel() -> tuple[int, ...]:
    return tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2] if part.isdigit())


def _send(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


async def _until_still(pids: set[int]) -> None:
    """A process that is told to stop may be in the middle of starting another, which no look has found yet.

    One that waits for a disk, or for a child that it has lent its memory to, cannot stop, nor start any: no longer than
    `_STILL_S`.
    """
    until = time.monotonic() + _STILL_S
    while not all(map(process_tree.is_still, pids)) and time.monotonic() < until:  # noqa: ASYNC110  no process tells us
        await asyncio.sleep(_STILL_POLL_S)


def _kill(handle: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)


def _handle(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
