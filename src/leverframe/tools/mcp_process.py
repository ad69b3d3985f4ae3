"""An MCP server as a child process: started as `tools.sandbox` says, spoken to in lines, stopped for certain.

Knows: where one message ends, what the process wrote to its standard error, and which limit of `tools.process_limits`
it went over.
Never: gives the process anything of ours: no variable, no open file, no terminal.
Source: MCP specification, transports/stdio, shutdown.
"""

import asyncio
import os
import signal
from collections import deque
from contextlib import suppress
from typing import Final, Self

from leverframe.domain.errors import ToolUnavailable
from leverframe.tools import process_tree
from leverframe.tools.child_process import DYING_S, ChildProcess
from leverframe.tools.process_limits import Confined, Threshold
from leverframe.tools.results import MAX_RESULT_BYTES
from leverframe.tools.sandbox import Launch

# Servers send structured content a second time, as escaped text.
MAX_LINE_BYTES: Final = 4 * MAX_RESULT_BYTES
_STDERR_LINES: Final = 20
_STDERR_LINE_BYTES: Final = 16 << 10
# What a process gets to end by itself after its input closed, and again after SIGTERM.
_GRACE_S: Final = 2.0
_LAST_WORDS_S: Final = 0.5
_AT_THE_THRESHOLD: Final = 16  # bubblewrap, and the first process of its sandbox


class ServerProcess:
    """One child process and its three pipes."""

    def __init__(self, child: ChildProcess, confined: Confined | None) -> None:
        """`confined` None: it has no limits, or ended before it could have any."""
        self._child = child
        self._process = child.process
        self._confined = confined
        self._watch = asyncio.create_task(self._look(confined)) if confined is not None else None
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._stderr_task = asyncio.create_task(self._read_stderr())
        self.fault = ""  # what the server did that ended the conversation, where it was not its own end
        self.over = ""  # the limit that it went over, which ended it
        self._has_ended = False

    @classmethod
    async def start(cls, launch: Launch) -> Self:
        """Start a server.

        Raises:
            ToolUnavailable: it cannot be started, or its limits cannot be kept.
        """
        if not launch.is_sandbox:
            child = await _started(launch)
            return await cls._confine(child, child.process.pid, launch)
        threshold = Threshold()
        try:
            child = await _started(launch, threshold)
            threshold.started()
            try:
                first = await threshold.first_process()
            except BaseException:
                await _ended(child)
                raise
            found = await cls._confine(child, first, launch)
            threshold.let_in()
            return found
        finally:
            threshold.close()

    @classmethod
    async def _confine(cls, child: ChildProcess, first: int | None, launch: Launch) -> Self:
        if first is None or launch.limits is None:
            return cls(child, None)
        try:
            return cls(child, Confined(first, launch.limits, is_sandbox=launch.is_sandbox))
        except ToolUnavailable:
            await _ended(child)
            raise

    @property
    def has_ended(self) -> bool:
        """Nothing that is sent from now on is answered."""
        stdin = self._process.stdin
        return self._has_ended or self._process.returncode is not None or stdin is None or stdin.is_closing()

    @property
    def last_words(self) -> str:
        """The end of what it wrote to its standard error, for messages; empty where it was silent."""
        return " | ".join(line for line in self._stderr if line)[-500:]

    async def write_line(self, line: bytes) -> None:
        """Send one message.  `OSError` where the pipe is broken."""
        assert self._process.stdin is not None  # noqa: S101 the pipe was asked for in start()
        self._process.stdin.write(line + b"\n")
        await self._process.stdin.drain()

    async def read_line(self) -> bytes:
        """The next message; empty at the end."""
        if self._has_ended:
            return b""
        assert self._process.stdout is not None  # noqa: S101 the pipe was asked for in start()
        try:
            return await self._process.stdout.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            self._has_ended = True
        except asyncio.LimitOverrunError:
            self.end(f"a message of more than {MAX_LINE_BYTES:,} bytes")
        return b""

    def end(self, fault: str) -> None:
        """Take no more from this server, since what follows cannot be told apart."""
        self.fault = self.fault or fault
        self._has_ended = True

    async def silence(self) -> None:
        """Wait a moment for the end of its standard error and for how it ended, where it has."""
        if self.has_ended:
            exiting = asyncio.ensure_future(self._process.wait())
            await asyncio.wait({self._stderr_task, exiting}, timeout=_LAST_WORDS_S)
            exiting.cancel()
            if self._confined is not None:
                self.over = self.over or self._confined.why_it_ended(self._process.returncode)

    async def stop(self) -> None:
        """End it: by closing its input, then SIGTERM, then SIGKILL, each to the whole group."""
        try:
            if self._process.stdin is not None:
                self._process.stdin.close()
            for number in (signal.SIGTERM, signal.SIGKILL):
                if await self._has_exited(0.05 if self.fault or self.over else _GRACE_S):
                    return
                self._signal(number)
            await self._has_exited(_GRACE_S)
        finally:
            # Also where we are cancelled in the middle: no process outlives us.
            self._signal(signal.SIGKILL)
            ending = {self._stderr_task, asyncio.ensure_future(self._process.wait())}
            if self._confined is None or self._watch is None:
                self._stderr_task.cancel()
            else:
                # All of it is ended, so that its pipes end, too.
                self._watch.cancel()
                ending |= {self._watch, asyncio.ensure_future(self._drained())}
                self._confined.close()
            try:
                await asyncio.wait(ending, timeout=DYING_S if self._ends_whole else _GRACE_S)
            finally:
                for task in ending:
                    task.cancel()
                # Who was orphaned by it may hold them for as long as it likes.
                self._child.close()

    @property
    def _ends_whole(self) -> bool:
        """Nobody is left that holds its pipes, once the kernel is done: worth waiting for."""
        return bool(self.over) or (self._confined is not None and self._confined.is_sandbox)

    async def _has_exited(self, within_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._drained()
                await self._process.wait()
        return self._process.returncode is not None

    async def _drained(self) -> None:
        # A server that flushes its output into a full pipe would never come to its end.
        assert self._process.stdout is not None  # noqa: S101 the pipe was asked for in start()
        while await self._process.stdout.read(1 << 16):
            pass

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    async def _look(self, confined: Confined) -> None:
        is_kept = False
        try:
            self.over = await confined.watched()
            is_kept = True
            # Whoever got away holds its pipes; what it was asked is lost all the same.
            await asyncio.sleep(_LAST_WORDS_S)
            self._child.hang_up()
        except asyncio.CancelledError:
            is_kept = True
            raise
        finally:
            if not is_kept:
                # Nobody looks any more, whatever the reason.
                self.over = "its limits could not be kept"
                await confined.end()

    async def _read_stderr(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 the pipe was asked for in start()
        while data := await self._process.stderr.read(_STDERR_LINE_BYTES):
            self._stderr.extend(line[:300] for line in data.decode(errors="replace").splitlines())


async def _started(launch: Launch, threshold: Threshold | None = None) -> ChildProcess:
    words = _unseen(launch)
    program, *seen = launch.argv
    try:
        return await ChildProcess.start(
            (
                program,
                *(() if threshold is None else threshold.words),
                *(() if words is None else ("--args", str(words))),
                *seen,
            ),
            env=launch.env,
            cwd=launch.cwd,
            line_bytes=MAX_LINE_BYTES,
            pass_fds=(*(() if words is None else (words,)), *(() if threshold is None else threshold.passed)),
            # A group of its own: Ctrl-C in our terminal is for us, who then stop it in order.
            has_own_session=True,
        )
    except OSError as err:
        raise ToolUnavailable(
            f"{launch.argv[0]!r} cannot be started: {err.strerror}.", next_move="Mend `servers` of leverframe.yaml."
        ) from err
    finally:
        if words is not None:
            os.close(words)


async def _ended(child: ChildProcess) -> None:
    """Kill what has not begun its work, and who waits at the threshold."""
    for pid in process_tree.usage_of(child.process.pid, enough=_AT_THE_THRESHOLD).pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    await child.end()


def _unseen(launch: Launch) -> int | None:
    """A descriptor of a file in memory, at its beginning, with the words that no command line shows."""
    if not launch.unseen:
        return None
    words = os.memfd_create("leverframe-words")
    with os.fdopen(os.dup(words), "wb") as file:
        file.write(b"".join(os.fsencode(word) + b"\0" for word in launch.unseen))
    os.lseek(words, 0, os.SEEK_SET)
    return words
