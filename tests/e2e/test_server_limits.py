"""Servers that take too much of the machine, behind `leverframe serve`: the gateway and its other servers go on."""

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from mcp.types import CallToolResult

from leverframe.config.project import load_project
from tests.mcp_client import ERAS, mcp_client
from tests.mcp_gate import write_gate
from tests.pinning import pin_everything
from tests.served import ServedDesk, served_folder

pytestmark = pytest.mark.needs(program="bwrap")

FIXTURES: Final = Path(__file__).parent.parent / "fixtures"
GREEDY: Final = ("held_memory", "processes")


def written(folder: Path) -> None:
    for name in ("mcp_greedy.py", "mcp_shop.py"):
        shutil.copy(FIXTURES / name, folder / name)
    limits = {"memory_mib": 128, "processes": 24}
    servers: dict[str, object] = {
        "greedy": {"mcp": ["python", "mcp_greedy.py", str(folder / "data")], "writable": "data", "limits": limits},
        "shop": {"mcp": ["python", "mcp_shop.py", str(folder / "effects" / "log.txt")], "writable": "effects"},
    }
    given = {"type": "object", "properties": {"n": {"type": "integer"}}}
    tools: dict[str, dict[str, object]] = {
        f"greedy.{name}": {"from": {"mcp": "greedy", "name": name}, "effect": "irreversible", "input": given}
        for name in GREEDY
    }
    tools["shop.echo"] = {"from": {"mcp": "shop", "name": "echo"}, "effect": "read", "input": {"type": "object"}}
    write_gate(folder, servers, tools)
    # Without people, this machine's user makes the key.
    (folder / "leverframe.yaml").write_text(json.dumps({"servers": servers}))
    asyncio.run(pin_everything(load_project(folder).servers, folder))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDesk]:
    folder = tmp_path_factory.mktemp("greedy")
    written(folder)
    with served_folder(folder) as found:
        yield found


@pytest.mark.parametrize(
    ("tool", "n", "word"), [("held_memory", 700, "memory limit"), ("processes", 300, "process limit")]
)
def test_the_call_that_took_too_much_is_unknown_and_recorded_with_its_reason_and_others_are_answered(
    desk: ServedDesk, tool: str, n: int, word: str
) -> None:
    async def play() -> tuple[CallToolResult, CallToolResult]:
        async with mcp_client(f"http://127.0.0.1:{desk.port}/mcp", desk.key, ERAS[0]) as agent:
            greedy = asyncio.create_task(agent.call_tool(f"greedy.{tool}", {"n": n}))
            beside = await agent.call_tool("shop.echo", {})
            return await greedy, beside

    greedy, beside = asyncio.run(play())

    assert not beside.is_error
    if tool == "processes" and os.geteuid() != 0:
        # The kernel refused it more, and it went on with those it had.
        assert "Resource temporarily unavailable" in str(greedy.content)
        return
    assert greedy.is_error
    assert greedy.structured_content is not None
    assert greedy.structured_content["status"] == "unknown"
    assert word in greedy.structured_content["message"]
    assert word in recorded(desk, f"greedy.{tool}")
    desk.verified()


def recorded(desk: ServedDesk, tool: str) -> str:
    """What the log says that came of the last call of a tool."""
    ((run,),) = desk.rows("SELECT DISTINCT run_id FROM steps WHERE name = ?", tool)
    shown = desk.cli("evidence", "show", run).stdout
    return shown.rpartition(f"tool={tool} ")[2]
