"""A child process and its pipes, both ended for certain.

Knows: that whoever a child started may hold its pipes long after its end, and that asyncio waits for the pipes.
Never: leaves a pipe, or a process that runs, to the garbage collector.
Source: the documentation of asyncio, Transports and Protocols; what `asyncio.create_subprocess_exec` does, which gives
no way to close the pipes.
"""

import asyncio
from asyncio.subprocess import PIPE, Process, SubprocessStreamProtocol
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_LINE_BYTES: Final = 64 << 10
# The kernel takes its time with the thousands of a fork bomb, and with much memory.
DYING_S: Final = 10.0
_POLL_S: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildProcess:
    """A process that was started here; whoever starts it also ends it, or closes it when it has ended."""

    process: Process
    transport: asyncio.SubprocessTransport

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        stdin: int = PIPE,
        stdout: int = PIPE,
        stderr: int = PIPE,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
        has_own_session: bool = False,
        line_bytes: int = _LINE_BYTES,
    ) -> Self:
        """Start a program.  `line_bytes`: the longest line that it is read by.  `OSError` where it cannot be."""
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(
            lambda: SubprocessStreamProtocol(limit=line_bytes, loop=loop),
            *argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=env,
            cwd=cwd,
            pass_fds=tuple(pass_fds),
            start_new_session=has_own_session,
        )
        return cls(process=Process(transport, protocol, loop), transport=transport)

    async def end(self) -> None:
        """Kill it where it runs, and close its pipes, whoever else holds them."""
        try:
            if self.process.returncode is None:
                with suppress(ProcessLookupError, PermissionError):
                    self.process.kill()
            with suppress(TimeoutError):
                async with asyncio.timeout(DYING_S):
                    # `wait` of Python 3.11 would wait for whoever else holds the pipes, too.
                    while self.process.returncode is None:  # noqa: ASYNC110 nothing tells of it
                        await asyncio.sleep(_POLL_S)
        finally:
            self.close()

    def hang_up(self) -> None:
        """Read no more of it: what it wrote to its output ends here, whoever else holds that."""
        output = self.transport.get_pipe_transport(1)
        if output is not None:
            output.close()

    def close(self) -> None:
        """Close its pipes, and kill it where it still runs."""
        self.transport.close()
