"""What a look at a process and all that it started finds, and how a tree that moves is held."""

import asyncio
import os
import signal
import subprocess
import sys
from typing import Final

import pytest

from leverframe.domain.contracts import ServerLimits
from leverframe.tools import process_tree
from leverframe.tools.process_limits import Confined
from tests.waiting import until

MIB: Final = 1 << 20
FORKING: Final = "import os\nwhile True:\n    if os.fork() == 0: os._exit(0)\n    os.wait()\n"

# Its child has its memory until it becomes another program, which this one never does.
LENDING: Final = "import ctypes, time\nctypes.CDLL(None).vfork()\ntime.sleep(60)\n"


def test_a_fork_bomb_is_looked_at_again_only_when_all_that_was_found_stands_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever is starting another process while it is looked at has one that nobody finds."""
    look, found, moving = process_tree.usage_of, set[int](), list[int]()

    def looked(root: int, *, enough: int) -> process_tree.Usage:
        moving.extend(pid for pid in found if not process_tree.is_still(pid))
        usage = look(root, enough=enough)
        found.update(usage.pids)
        return usage

    monkeypatch.setattr(process_tree, "usage_of", looked)
    for _ in range(20):
        with subprocess.Popen([sys.executable, "-c", FORKING], start_new_session=True) as bomb:
            confined = Confined(bomb.pid, ServerLimits(), is_sandbox=False)
            found.clear()
            try:
                asyncio.run(confined.end())
            finally:
                bomb.kill()
                confined.close()

    assert moving == []


def test_nobody_else_is_held_up_while_a_process_that_cannot_be_stopped_is_waited_for() -> None:
    async def turns_until_ended(confined: Confined) -> int:
        ending, turns = asyncio.ensure_future(confined.end()), 0
        while not ending.done():
            await asyncio.sleep(0)
            turns += 1
        await ending
        return turns

    with subprocess.Popen([sys.executable, "-c", LENDING], start_new_session=True) as lending:
        assert until(lambda: len(process_tree.usage_of(lending.pid, enough=9).pids) > 1, what="its child")
        confined = Confined(lending.pid, ServerLimits(), is_sandbox=False)
        try:
            assert asyncio.run(turns_until_ended(confined)) > 9
        finally:
            lending.kill()
            confined.close()


def test_a_process_is_still_when_it_was_stopped_and_when_it_has_ended() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as sleeping:
        assert not process_tree.is_still(sleeping.pid)
        sleeping.send_signal(signal.SIGSTOP)
        assert until(lambda: process_tree.is_still(sleeping.pid), what="the stop")
        sleeping.kill()
        assert until(lambda: process_tree.is_still(sleeping.pid), what="the end")
    assert process_tree.is_still(sleeping.pid)


def test_the_sizes_of_a_rollup_are_read_whatever_else_stands_there() -> None:
    text = (
        "00400000-7fff rollup ---p 00000000 00:00 0  [rollup]\nRss:  77500 kB\nPss:   1 kB\nPss_Shmem: 0 kB\nOdd: x\n"
    )

    assert process_tree.proportions(text) == {"Rss": 77500 << 10, "Pss": 1024, "Pss_Shmem": 0}


def test_a_look_at_a_tree_goes_no_further_than_it_must() -> None:
    whole = process_tree.usage_of(os.getpid(), enough=10_000)

    assert os.getpid() in whole.pids
    assert whole.resident_bytes > MIB
    assert process_tree.usage_of(1, enough=2).tasks <= max(2, process_tree.usage_of(1, enough=10_000).tasks)
