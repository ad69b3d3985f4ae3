"""A tool server that does its worst behind `leverframe serve`: a clear error, nothing lost, and the others go on.

Over a pipe and over HTTP, for a client of either era.
"""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from leverframe.config.project import load_project
from tests.mcp_client import ERAS, mcp_client
from tests.mcp_gate import write_gate
from tests.pinning import pin_everything
from tests.served import ServedProject, free_port
from tests.waiting import until

FIXTURES: Final = Path(__file__).parent.parent / "fixtures"
OBJECT: Final = {"type": "object"}
OUTPUT: Final = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}
# By tool: the status that the client is told, and words of the reason over a pipe and over HTTP.
TOLD: Final = {
    "crash": ("failed", "ended before it answered", "early"),
    "hang": ("failed", "did not answer in", "did not end its answer within"),
    "flood": ("failed", "10,000 messages in a row", "10,000 messages in a row"),
    "wrong_ids": ("failed", "1,000 answers to requests that were never made", "1,000 answers to requests"),
    "huge": ("failed", "bytes", "bytes"),
    "lies": ("failed", "broke its output schema", "broke its output schema"),
    "is_none": ("failed", "no content", "no content"),
    "pay": ("unknown", "ended before it answered", "early"),
}
READS: Final = ("okay", "crash", "hang", "flood", "wrong_id", "wrong_ids", "huge", "lies", "is_none", "changes")


def written(folder: Path, port: int) -> None:
    for name in ("mcp_shop.py", "mcp_worst.py"):
        shutil.copy(FIXTURES / name, folder / name)
    trusted = {"because": "a test"}
    worst: dict[str, object] = {"mcp": ["python", "mcp_worst.py", "worst.txt"], "trusted_process": trusted}
    if port:
        worst = {"url": f"http://127.0.0.1:{port}/mcp", "private": "allowed"}
    servers = {"worst": worst, "steady": {"mcp": ["python", "mcp_shop.py", "steady.txt"], "trusted_process": trusted}}
    made = {"effect": "read", "input": OBJECT, "output": OUTPUT, "timeout_s": 20}
    tools = {f"worst.{name}": {**made, "from": {"mcp": "worst", "name": name}} for name in READS}
    tools["worst.hang"]["timeout_s"] = 1
    tools["worst.pay"] = {**made, "from": {"mcp": "worst", "name": "pay"}, "effect": "irreversible"}
    tools["steady.lookup"] = {"from": {"mcp": "steady", "name": "lookup_order"}, "effect": "read", "input": OBJECT}
    write_gate(folder, servers, tools)
    # Without people, this machine's user makes the key.
    (folder / "leverframe.yaml").write_text(json.dumps({"servers": servers}))
    asyncio.run(pin_everything(load_project(folder).servers, folder))


@pytest.fixture(params=["pipe", "http"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServedProject]:
    with ExitStack() as stack:
        port = free_port() if request.param == "http" else 0
        if port:
            command = [sys.executable, str(FIXTURES / "mcp_worst.py"), str(tmp_path / "worst.txt"), str(port)]
            process = stack.enter_context(subprocess.Popen(command))
            stack.callback(process.kill)
            until(lambda: listens(port), what="the worst server listens", within_s=30)
        written(tmp_path, port)
        found = ServedProject(folder=tmp_path, port=free_port())
        found.key = found.create_key()
        found.start()
        stack.callback(found.stop)
        yield found


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("era", ERAS)
def test_whatever_one_server_does_is_told_and_touches_no_other(desk: ServedProject, era: str) -> None:
    is_http = not (desk.folder / "leverframe.yaml").read_text().count("mcp_worst.py")

    async def play() -> None:
        async with mcp_client(f"http://127.0.0.1:{desk.port}/mcp", desk.key, era) as agent:
            listed = {tool.name for tool in (await agent.list_tools()).tools}
            for name, (status, *words) in TOLD.items():
                bad, *good = await asyncio.gather(
                    agent.call_tool(f"worst.{name}", {}),
                    *(agent.call_tool("steady.lookup", {"n": number}) for number in range(3)),
                )
                said = dict(bad.structured_content or {})
                assert (bad.is_error, said["status"]) == (True, status), (name, said)
                assert words[is_http] in str(said["message"]), (name, said)
                assert not any(one.is_error for one in good), (name, good)
                # It is asked again as if nothing had been, and lists are whole.
                async with asyncio.timeout(60):
                    # A process that is stuck is given 10 s before another is started in its place.
                    while (after := await agent.call_tool("worst.okay", {})).is_error:
                        assert name == "hang", after
                assert after.structured_content == {"total": 1}, (name, after)
                assert {tool.name for tool in (await agent.list_tools()).tools} == listed
            odd = await agent.call_tool("worst.wrong_id", {})
            assert odd.structured_content == {"total": 1}

    asyncio.run(play())
    desk.verified()


@pytest.mark.parametrize("era", ERAS)
def test_a_write_whose_server_crashed_is_unknown_and_is_never_sent_again(desk: ServedProject, era: str) -> None:
    async def play() -> list[str]:
        async with mcp_client(f"http://127.0.0.1:{desk.port}/mcp", desk.key, era) as agent:
            found = [await agent.call_tool("worst.pay", {"to": "me"}) for _ in range(3)]
            return [str((one.structured_content or {}).get("status")) for one in found]

    assert asyncio.run(play()) == ["unknown"] * 3
    assert (desk.folder / "worst.txt").read_text().split().count("pay") == 1
    why = desk.cli("why")
    assert "unknown" in why.stdout, why.stdout + why.stderr
    desk.verified()


@pytest.mark.parametrize("era", ERAS)
def test_tools_that_change_in_the_middle_of_a_session_are_closed_from_then_on(desk: ServedProject, era: str) -> None:
    async def play() -> tuple[str, str]:
        async with mcp_client(f"http://127.0.0.1:{desk.port}/mcp", desk.key, era) as agent:
            first = await agent.call_tool("worst.changes", {})
            assert first.structured_content == {"total": 1}
            after = await agent.call_tool("worst.okay", {})
            other = await agent.call_tool("steady.lookup", {})
            assert not other.is_error
            said = dict(after.structured_content or {})
            return str(said.get("status")), str(said.get("message"))

    status, message = asyncio.run(play())

    assert status in {"failed", "denied"}, message
    assert "another description than reviewed" in message
    assert (desk.folder / "worst.txt").read_text().split().count("okay") == 0
    diff = desk.cli("tools", "diff")
    assert diff.returncode == 1
    assert "Has changed." in diff.stdout
