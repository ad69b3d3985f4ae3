"""How much of the machine a server's process may have, and what becomes of one that takes more."""

import asyncio
import gc
import os
import resource
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import pytest

from leverframe.domain.calls import ToolAnswer, ToolLost, ToolOk, ToolRequest
from leverframe.domain.contracts import McpServer, ServerLimits
from leverframe.domain.ids import CallId, Sha256, TenantId, ToolName
from leverframe.domain.json import JsonObject
from leverframe.domain.pins import Offering
from leverframe.domain.policy import SourceRef
from leverframe.domain.tools import EffectClass, McpOrigin, ToolSpec
from leverframe.ports.upstreams import UpstreamState
from leverframe.tools.mcp_tools import McpTools
from leverframe.tools.process_limits import rlimits, too_large, too_many, too_much, unseen
from tests.pinning import mcp_tools, pin_offering
from tests.waiting import until

needs_bwrap = pytest.mark.needs(program="bwrap")

FIXTURES: Final = Path(__file__).parent.parent / "fixtures"
HERE: Final = SourceRef(file="leverframe.yaml", line=1)
MIB: Final = 1 << 20
MEMORY: Final[JsonObject] = {"name": "memory", "inputSchema": {"type": "object"}}
SMALL: Final = ServerLimits(memory_mib=128, processes=24, open_files=64, file_mib=4)
# A gateway that dies when it would let its server in.
KILLED_IN_BETWEEN: Final = """
import asyncio, os, signal, sys
from pathlib import Path
from leverframe.domain.contracts import McpServer
from leverframe.domain.policy import SourceRef
from leverframe.tools.mcp_process import ServerProcess
from leverframe.tools.process_limits import Threshold
from leverframe.tools.sandbox import launch_of

Threshold.let_in = lambda self: os.kill(os.getpid(), signal.SIGKILL)
root = Path(sys.argv[1])
server = McpServer(
    name="s",
    source=SourceRef(file="leverframe.yaml", line=1),
    command=("python", "server.py", str(root / "data")),
    writable="data",
)
async def start():
    await ServerProcess.start(await launch_of(server, root))
asyncio.run(start())
"""
T = TypeVar("T")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(FIXTURES / "mcp_greedy.py", tmp_path / "mcp_greedy.py")
    (tmp_path / ".leverframe").mkdir()
    return tmp_path


def greedy(project: Path, *words: str, limits: ServerLimits | None = SMALL, trusted: str = "") -> McpServer:
    command = ("python", "mcp_greedy.py", str(project / "data"), *words)
    return McpServer(
        name="greedy", source=HERE, command=command, limits=limits, writable="data", trusted_because=trusted
    )


def asked(name: str, n: int = 0) -> ToolRequest:
    spec = ToolSpec(
        name=ToolName(name),
        version=1,
        origin=McpOrigin(server="greedy", name=name),
        effect=EffectClass.KEYED,
        description="",
        input_schema={"type": "object"},
        output_schema=None,
        schema_sha256=Sha256("0" * 64),
        source=HERE,
    )
    return ToolRequest(
        call_id=CallId("call_1"),
        tenant=TenantId("default"),
        spec=spec,
        args={"n": n},
        idempotency_key="key-1",
        deadline_s=45,
    )


def with_server(project: Path, server: McpServer, act: Callable[[McpTools], Awaitable[T]]) -> T:
    (project / "data").mkdir(exist_ok=True)

    async def whole() -> T:
        tools = mcp_tools({"greedy": server}, project)
        try:
            pin_offering(project, server, await tools.offering("greedy"))
            return await act(tools)
        finally:
            await tools.close()

    return asyncio.run(whole())


def called(project: Path, name: str, n: int = 0, server: McpServer | None = None) -> ToolAnswer:
    return with_server(project, server or greedy(project), lambda tools: tools.execute(asked(name, n)))


def said(answer: ToolAnswer) -> str:
    assert isinstance(answer, ToolOk), answer
    assert isinstance(answer.value, dict)
    return str(answer.value["said"])


def lost(answer: ToolAnswer) -> str:
    """Why a call was lost that had left, so that its effect is unknown."""
    assert isinstance(answer, ToolLost), answer
    assert (answer.kind, answer.has_left) == ("crash", True)
    return answer.message


def running(project: Path) -> list[int]:
    """The processes of this machine that were started with this test's folder in their command."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if str(project / "data").encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def cmdline(pid: int) -> list[str]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return []


@needs_bwrap
@pytest.mark.parametrize(("way", "n"), [("held_memory", 700), ("children_memory", 700), ("memory_files", 200)])
def test_a_server_with_more_memory_than_its_limit_is_ended_and_its_call_is_unknown(
    project: Path, way: str, n: int
) -> None:
    message = lost(called(project, way, n))

    assert "memory limit, `limits.memory_mib`" in message
    assert f"was stopped before it answered '{way}'" in message
    assert until(lambda: not running(project), what="the end of every process")


@needs_bwrap
def test_memory_that_processes_share_counts_once(project: Path) -> None:
    """Each of five has 48 MiB of it: 240 MiB in a plain sum, with a limit of 128."""
    assert said(called(project, "shared", 48)) == "had them"


@needs_bwrap
def test_a_fork_bomb_ends_at_the_limit_and_leaves_no_process(project: Path) -> None:
    """As root the kernel refuses no process, and the bomb is seen and ended; for anybody else it refuses."""
    answer = called(project, "processes", 2000)

    if os.geteuid() == 0:
        assert "more than 24 processes and threads (process limit, `limits.processes`)" in lost(answer)
    else:
        assert said(answer) == "Resource temporarily unavailable after 23"
    assert until(lambda: not running(project), what="the end of every process of the bomb")


@needs_bwrap
def test_threads_count_as_processes_do(project: Path) -> None:
    answer = called(project, "threads", 300)

    if os.geteuid() == 0:
        assert "process limit" in lost(answer)
    else:
        assert said(answer).startswith("can't start new thread")


@needs_bwrap
def test_a_server_writes_no_larger_file_than_its_limit(project: Path) -> None:
    assert said(called(project, "file", 9)) == "File too large"
    assert (project / "data" / "large").stat().st_size == 4 * MIB


@needs_bwrap
def test_a_large_file_ends_no_sandboxed_server_that_leaves_the_signal_as_it_is(project: Path) -> None:
    assert said(called(project, "file_by_the_rules", 9)) == "File too large"


def test_a_trusted_server_that_dies_of_a_large_file_says_so(project: Path) -> None:
    bound = greedy(project, trusted="a test")

    message = lost(called(project, "file_by_the_rules", 9, bound))

    assert "more than 4 MiB (file limit, `limits.file_mib`)" in message


@needs_bwrap
def test_a_server_opens_no_more_files_than_its_limit(project: Path) -> None:
    assert said(called(project, "opened", 100)) == "Too many open files"


@needs_bwrap
def test_no_place_in_memory_takes_more_than_its_size(project: Path) -> None:
    """They are in no process, so that no count of memory would find them."""
    large = ServerLimits(file_mib=200, memory_mib=512)

    answer = called(project, "memory_folders", 80, greedy(project, limits=large))

    assert said(answer) == str(project / "data")


@needs_bwrap
def test_a_server_without_written_limits_has_the_usual_ones(project: Path) -> None:
    assert "memory limit" in lost(called(project, "held_memory", 1200, greedy(project, limits=None)))


def test_a_trusted_process_has_limits_only_where_they_are_written(project: Path) -> None:
    free = greedy(project, limits=None, trusted="a test")
    bound = greedy(project, trusted="a test")

    assert said(called(project, "memory", 200, free)) == "had them"
    assert said(called(project, "opened", 100, free)) == "opened them"
    assert "memory limit" in lost(called(project, "held_memory", 700, bound))
    assert "process limit" in lost(called(project, "processes", 300, bound))
    assert said(called(project, "opened", 100, bound)) == "Too many open files"
    assert said(called(project, "file", 9, bound)) == "File too large"
    assert until(lambda: not running(project), what="the end of every process")


@needs_bwrap
def test_after_its_end_a_server_is_started_again_and_says_of_itself_why_it_ended(project: Path) -> None:
    async def act(tools: McpTools) -> tuple[str, str, str]:
        message = lost(await tools.execute(asked("held_memory", 700)))
        reasons = [one.reason for one in tools.statuses().values() if one.state is not UpstreamState.UP]
        return message, " ".join(reasons), said(await tools.execute(asked("memory", 1)))

    message, reason, then = with_server(project, greedy(project), act)

    assert "memory limit" in message
    assert "it ended" in reason
    assert then == "had them"


@needs_bwrap
def test_a_server_that_takes_too_much_at_every_start_is_started_ever_less_often(project: Path) -> None:
    server = greedy(project, "held_memory", "700")

    async def act() -> tuple[int, str]:
        tools = mcp_tools({"greedy": server}, project)
        pin_offering(project, server, Offering(info={"name": "greedy", "version": "1"}, tools={"memory": MEMORY}))
        try:
            loop = asyncio.get_running_loop()
            begin, (status,) = loop.time(), tools.statuses().values()
            # On a slow machine a start takes a while; there are only fewer of them.
            while loop.time() < begin + 8 or (status.failures < 2 and loop.time() < begin + 90):
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await tools.execute(asked("memory", 1))
                await asyncio.sleep(0.05)
                (status,) = tools.statuses().values()
            return status.failures, status.reason
        finally:
            await tools.close()

    (project / "data").mkdir()
    failures, reason = asyncio.run(act())

    # 0, 0.25, 0.5, 1, 2, 4 s between starts, and what each takes itself.
    assert 2 <= failures <= 6
    assert "memory limit" in reason


@needs_bwrap
def test_a_server_that_undid_its_dying_with_its_parent_does_not_outlive_it(project: Path) -> None:
    assert said(called(project, "outlive")) == "will outlive"

    assert until(lambda: not running(project), what="the end of the server")


def test_a_server_whose_orphan_holds_its_pipes_leaves_none_of_them_to_the_collector(project: Path) -> None:
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            assert said(called(project, "orphan", server=greedy(project, limits=None, trusted="a test"))) == "left one"
            gc.collect()
    finally:
        for pid in running(project):
            os.kill(pid, signal.SIGKILL)

    assert [str(one.message) for one in seen if issubclass(one.category, ResourceWarning)] == []


def test_a_call_is_lost_at_the_limit_though_an_orphan_holds_the_pipes(project: Path) -> None:
    async def act(tools: McpTools) -> tuple[str, float]:
        assert said(await tools.execute(asked("orphan", 1))) == "left one"
        began = asyncio.get_running_loop().time()
        return lost(await tools.execute(asked("held_memory", 700))), asyncio.get_running_loop().time() - began

    try:
        message, took_s = with_server(project, greedy(project, trusted="a test"), act)
    finally:
        for pid in running(project):
            os.kill(pid, signal.SIGKILL)

    assert "memory limit" in message
    assert took_s < asked("held_memory").deadline_s / 2


@needs_bwrap
def test_a_gateway_that_is_killed_before_the_limits_stand_leaves_no_server_that_runs_without(project: Path) -> None:
    (project / "data").mkdir()
    (project / "server.py").write_text("import sys\nopen(sys.argv[1] + '/ran', 'w').close()\n")
    words = [sys.executable, "-c", KILLED_IN_BETWEEN, str(project)]

    killed = subprocess.run(words, check=False, timeout=60)

    assert killed.returncode == -signal.SIGKILL
    # Whoever waits there is bubblewrap still, and waits for ever.
    waiting = running(project)
    assert "server.py" not in {name for pid in waiting for name in cmdline(pid)[:2]}
    for pid in waiting:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert until(lambda: not running(project), what="the end of who waits")
    assert not (project / "data" / "ran").exists()


def test_what_a_look_says_of_limits_is_exact_at_the_limit() -> None:
    assert unseen(50) == too_many(24, SMALL) == ""
    assert "could not be looked at" in unseen(51)
    assert "process limit" in too_many(25, SMALL)
    assert too_much(128 * MIB, SMALL) == ""
    assert "it had 129 MiB of memory where 128 are allowed" in too_much(129 * MIB, SMALL)
    assert "it wrote a file of more than 4 MiB" in too_large(-signal.SIGXFSZ, SMALL)
    assert too_large(-signal.SIGKILL, SMALL) == too_large(0, SMALL) == too_large(None, SMALL) == ""


def test_the_kernel_is_told_what_it_counts_and_processes_only_for_a_sandbox() -> None:
    sandbox, trusted = (rlimits(SMALL, is_sandbox=one) for one in (True, False))

    assert resource.RLIMIT_NPROC not in trusted
    assert resource.RLIMIT_AS not in sandbox
    assert sandbox[resource.RLIMIT_FSIZE] == trusted[resource.RLIMIT_FSIZE] == 4 * MIB
    assert sandbox[resource.RLIMIT_NOFILE] == 64
    assert sandbox[resource.RLIMIT_DATA] == (2 * 128 + 24 * 8 + 1024) * MIB
