"""stdio servers are foreign code: what they get in the sandbox, and that they never run outside of it unasked."""

import asyncio
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from leverframe.domain.calls import ToolAnswer, ToolLost, ToolOk, ToolRequest
from leverframe.domain.contracts import McpServer
from leverframe.domain.errors import ToolUnavailable
from leverframe.domain.ids import CallId, Sha256, TenantId, ToolName
from leverframe.domain.json import JsonObject
from leverframe.domain.policy import SourceRef
from leverframe.domain.tools import EffectClass, McpOrigin, ToolSpec
from leverframe.tools.mcp_process import ServerProcess
from leverframe.tools.sandbox import launch_of
from tests.pinning import mcp_tools, pin_offering

needs_bwrap = pytest.mark.needs(program="bwrap")

FIXTURES = Path(__file__).parent.parent / "fixtures"
HERE = SourceRef(file="leverframe.yaml", line=1)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with something worth stealing."""
    shutil.copy(FIXTURES / "mcp_hostile.py", tmp_path / "mcp_hostile.py")
    keys = tmp_path / ".leverframe" / "keys"
    keys.mkdir(parents=True)
    (keys / "vault.key").write_bytes(b"the key itself")
    (tmp_path / ".leverframe" / "leverframe.db").write_bytes(b"SQLite format 3\x00 and every run")
    (tmp_path / "secret.txt").write_text("a file that nobody listed")
    return tmp_path


@pytest.fixture
def port() -> Iterator[int]:
    """A loopback service that gives a word to whoever reaches it."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve() -> None:
            while True:
                try:
                    found, _ = server.accept()
                except OSError:
                    return
                with found:
                    found.sendall(b"the word of the loopback service")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


# Any: fields of a frozen value, as each test needs them.
def server_of(project: Path, port: int, *words: str, **more: Any) -> McpServer:
    command = ("python", "mcp_hostile.py", str(project), str(port), str(os.getpid()), *words)
    return replace(McpServer(name="hostile", source=HERE, command=command), **more)


def call(project: Path, server: McpServer) -> ToolAnswer:
    spec = ToolSpec(
        name=ToolName("loot"),
        version=1,
        origin=McpOrigin(server="hostile", name="loot"),
        effect=EffectClass.READ,
        description="",
        input_schema={"type": "object"},
        output_schema=None,
        schema_sha256=Sha256("0" * 64),
        source=HERE,
    )
    request = ToolRequest(
        call_id=CallId("call_1"),
        tenant=TenantId("default"),
        spec=spec,
        args={},
        idempotency_key="key-1",
        deadline_s=60,
    )

    async def whole() -> ToolAnswer:
        tools = mcp_tools({"hostile": server}, project)
        try:
            with suppress(ToolUnavailable):
                pin_offering(project, server, await tools.offering("hostile"))
            return await tools.execute(request)
        finally:
            await tools.close()

    return asyncio.run(whole())


def loot(answer: ToolAnswer) -> JsonObject:
    assert isinstance(answer, ToolOk), answer
    assert isinstance(answer.value, dict)
    return {name: got for name, got in answer.value.items() if got and name != "uid"}


@needs_bwrap
def test_a_hostile_server_gets_no_key_no_database_no_variable_no_process_and_no_network(
    project: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")

    answer = call(project, server_of(project, port))

    assert loot(answer) == {}
    assert isinstance(answer, ToolOk)
    assert isinstance(answer.value, dict)
    assert answer.value["uid"] == "65534"


def test_the_same_server_as_a_trusted_process_would_get_them(
    project: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the test above asks the right questions."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")

    got = loot(call(project, server_of(project, port, "tame", trusted_because="a test of the test")))

    assert {"key", "database", "state", "secret", "loopback", "processes"} <= set(got)


@needs_bwrap
def test_what_is_listed_is_given_and_the_state_stays_hidden_below_a_listed_folder(project: Path, port: int) -> None:
    server = server_of(project, port, readable=(".",), writable="data", env={"MY_API_KEY": "listed"})

    got = loot(call(project, server))

    assert set(got) == {"secret", "write listed", "environment", "environment of 1"}
    assert (project / "data" / "left.txt").read_text() == "was here"


def command_lines() -> list[bytes]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes())
    return found


@needs_bwrap
def test_no_command_line_of_the_machine_shows_a_variable_of_a_server(project: Path, port: int) -> None:
    """Any user may read every command line, and monitoring keeps them."""
    server = server_of(project, port, env={"SHOP_TOKEN": "sk-test-on-no-command-line"})

    async def while_it_runs() -> list[bytes]:
        process = await ServerProcess.start(await launch_of(server, project))
        try:
            await process.write_line(b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}')
            assert b"loot" in await process.read_line()
            return command_lines()
        finally:
            await process.stop()

    lines = asyncio.run(while_it_runs())

    assert any(str(project).encode() in line for line in lines)
    assert not [line for line in lines if b"sk-test-on-no-command-line" in line]


@needs_bwrap
def test_a_variable_cannot_add_to_what_the_sandbox_is_told(project: Path, port: int) -> None:
    answer = call(project, server_of(project, port, env={"A": "x\0--share-net"}))

    assert isinstance(answer, ToolLost)
    assert "zero character" in answer.message


@needs_bwrap
def test_a_sandboxed_server_reaches_the_network_only_where_it_is_listed(project: Path, port: int) -> None:
    got = loot(call(project, server_of(project, port, has_network=True)))

    assert "loopback" in got


def test_without_bubblewrap_foreign_code_is_not_started_and_the_next_move_is_named(
    project: Path, port: int, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))

    answer = call(project, server_of(project, port))

    assert isinstance(answer, ToolLost)
    assert (answer.kind, answer.has_left) == ("connect", False)
    assert "apt install bubblewrap" in answer.message
    assert "trusted_process" in answer.message


def test_a_bubblewrap_that_cannot_build_walls_here_starts_nothing(
    project: Path, port: int, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("broken")
    (folder / "bwrap").write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    (folder / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))

    answer = call(project, server_of(project, port))

    assert isinstance(answer, ToolLost)
    assert "No permissions to create new namespace" in answer.message
