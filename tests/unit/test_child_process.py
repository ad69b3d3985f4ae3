"""A child process is ended with its pipes, whoever else holds them and however its starter is stopped."""

import asyncio
import gc
import os
import signal
import warnings
from asyncio.subprocess import DEVNULL
from collections.abc import Coroutine
from pathlib import Path

import pytest

from leverframe.domain.contracts import McpServer
from leverframe.domain.policy import SourceRef
from leverframe.tools import child_process
from leverframe.tools.child_process import ChildProcess
from leverframe.tools.sandbox import launch_of
from tests.waiting import until

LEAVES_ONE = ("sh", "-c", "sleep 60 & echo $!; exec sleep 60")


def left_over(act: Coroutine[None, None, None]) -> list[str]:
    """What is said of transports and processes that only the garbage collector closed."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        asyncio.run(act)
        gc.collect()
    return [str(one.message) for one in seen if issubclass(one.category, ResourceWarning)]


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_an_end_waits_for_the_process_and_not_for_whoever_holds_its_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "DYING_S", 50.0)

    async def act() -> None:
        child = await ChildProcess.start(LEAVES_ONE, stdin=DEVNULL)
        assert child.process.stdout is not None
        orphan = int(await child.process.stdout.readline())
        try:
            async with asyncio.timeout(25):
                await child.end()
            assert is_running(orphan)
            assert child.process.returncode == -signal.SIGKILL
        finally:
            os.kill(orphan, signal.SIGKILL)

    assert left_over(act()) == []


def test_a_start_that_is_cancelled_while_bubblewrap_is_tried_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = tmp_path / "bwrap"
    hanging.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; exec sleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    server = McpServer(name="s", source=SourceRef(file="leverframe.yaml", line=1), command=("python", "server.py"))

    async def act() -> None:
        starting = asyncio.create_task(launch_of(server, tmp_path))
        await asyncio.to_thread(until, (tmp_path / "pid").exists, what="the start of the trial")
        starting.cancel()
        await asyncio.wait({starting})
        assert starting.cancelled()

    assert left_over(act()) == []
    assert not is_running(int((tmp_path / "pid").read_text()))
