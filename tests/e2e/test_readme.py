"""The README's blocks as they stand, typed into a fresh folder with the wheel of this commit."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import pytest

from leverframe.testing import ConversingVendor
from tests.mcp_client import ERAS, mcp_client
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
# The first ten minutes: more commands than these, and nobody types them.
MOST_COMMANDS = 7
MOST_FOR_A_SERVER = 4


def shell_blocks() -> list[str]:
    """Every block of the README that a person is to type, in order."""
    return BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))


def first_blocks() -> list[str]:
    """Those of the first ten minutes."""
    return [block for block in shell_blocks() if "leverframe serve" not in block and "--mcp" not in block]


def agent_block() -> str:
    """The one with which an agent gets its door."""
    (found,) = (block for block in shell_blocks() if "leverframe serve" in block)
    return found


def server_commands() -> list[str]:
    """Those with which a tool server gets its door."""
    return [line for block in shell_blocks() if "--mcp" in block for line in block.splitlines()]


@dataclass(frozen=True)
class Machine:
    """A fresh folder, and an environment in which `pip` and `leverframe` are those of a fresh virtual environment."""

    here: Path
    environment: dict[str, str]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """As a person begins: nothing installed, and this commit's wheel where pip looks."""
    folder = tmp_path_factory.mktemp("readme")
    wheels, packages, home = folder / "wheels", folder / "packages", folder / "home"
    home.mkdir()
    # A copy, so that a build of this test leaves nothing in the tree.
    run("git", "clone", "-q", "--no-hardlinks", str(ROOT), str(folder / "clone"))
    run(
        *(sys.executable, "-m", "pip", "wheel", str(folder / "clone"), "-q", "--no-deps"),
        *("--no-build-isolation", "--disable-pip-version-check", "--wheel-dir", str(wheels)),
    )
    run(sys.executable, "-m", "venv", str(packages))
    here = folder / "here"
    here.mkdir()
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "PATH": f"{packages / 'bin'}:{os.environ['PATH']}",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONWARNINGS": "",
    }
    return Machine(here, environment)


@pytest.fixture(scope="module")
def typed(machine: Machine) -> subprocess.CompletedProcess[str]:
    """All blocks of the first ten minutes typed into one shell."""
    return type_in(machine, "\n".join(first_blocks()))


def type_in(machine: Machine, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f"set -eu\n{script}"],
        cwd=machine.here,
        env=machine.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_block_of_the_readme_runs_as_it_is_written(typed: subprocess.CompletedProcess[str]) -> None:
    assert typed.returncode == 0, typed.stdout + typed.stderr


def test_the_first_run_is_held_then_granted_then_explained(typed: subprocess.CompletedProcess[str]) -> None:
    _, _, own = typed.stdout.rpartition("A project in my-desk")

    assert "HELD" in own
    assert own.index("HELD") < own.index("GRANTED by") < own.index("asked for") < own.index("approved by")


def test_the_first_ten_minutes_are_few_commands() -> None:
    commands = [line for block in first_blocks() for line in block.splitlines() if line and not line.startswith("#")]

    assert len(commands) <= MOST_COMMANDS


@pytest.mark.needs(program="npm")
@pytest.mark.needs(program="bwrap")
@pytest.mark.usefixtures("typed")
def test_a_tool_server_gets_its_door_with_four_commands_and_a_client_works_through_it(machine: Machine) -> None:
    *commands, serving = server_commands()
    typed = type_in(machine, "\n".join(commands))
    assert typed.returncode == 0, typed.stdout + typed.stderr
    assert len(commands) + 1 <= MOST_FOR_A_SERVER
    assert "13 pinned" in typed.stdout or "14 pinned" in typed.stdout
    shared = machine.here / "my-files" / "files"
    (shared / "note.txt").write_text("forty-two", encoding="utf-8")

    port = free_port()
    server = subprocess.Popen(
        ["sh", "-c", f"exec {serving} --port {port}"],
        cwd=machine.here,
        env=machine.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: server.poll() is not None or is_ready(port), what="the server is ready", within_s=60)
        assert is_ready(port)
        key = next(word for word in typed.stdout.split() if word.startswith("OPENAI_API_KEY=")).partition("=")[2]
        given = client_of_readme(key, port)
        for mode in ERAS:
            tools, read = asyncio.run(as_client(given, mode, "read_text_file", path=str(shared / "note.txt")))
            assert {"read_text_file", "write_file"} <= tools
            assert "forty-two" in read
        # A write waits for a person, and nothing is written meanwhile.
        _, said = asyncio.run(as_client(given, mode, "write_file", path=str(shared / "new.txt"), content="no"))
        assert "held" in said
        assert [one.name for one in shared.iterdir()] == ["note.txt"]
    finally:
        server.terminate()
        server.wait(timeout=30)


def client_of_readme(key: str, port: int) -> dict[str, str]:
    """The README's address, with this key and port."""
    (block,) = re.findall(r"^```json\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    one = json.loads(block)["mcpServers"]["files"]
    assert one["headers"]["Authorization"] == "Bearer lf_..."
    return {"url": one["url"].replace(":8460", f":{port}"), "key": key}


async def as_client(given: dict[str, str], mode: str, tool: str, **arguments: str) -> tuple[set[str], str]:
    """The tools that the protocol's own Python client lists, and what one of them answers."""
    async with mcp_client(given["url"], given["key"], mode) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        return tools, str((await client.call_tool(tool, arguments)).content)


@pytest.mark.needs(program="curl")
@pytest.mark.usefixtures("typed")
def test_an_agent_gets_its_door_with_two_exported_lines(machine: Machine) -> None:
    with ConversingVendor() as vendor:
        port = free_port()
        script = agent_block()
        # Two addresses are others than a reader's: the vendor's, and the port of this machine.
        for there, here in {
            "wire: openai,": f'wire: openai, url: "{vendor.url}/v1", private: allowed,',
            "leverframe serve": f"leverframe serve --port {port}",
            "keys create agent": f"keys create agent --url http://127.0.0.1:{port}",
        }.items():
            assert script.count(there) == 1
            script = script.replace(there, here)
        door = Machine(machine.here, {**machine.environment, "OPENAI_API_KEY": "sk-of-the-vendor"})

        done = type_in(door, f"trap 'kill $!; wait $! || :' EXIT\n{script}")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Hello, I am here to help." in done.stdout
    assert "openai/gpt-5-mini 1 time, 0 failed" in done.stdout
    # The key that the agent has is not the vendor's.
    assert [one["authorization"] for one in vendor.headers] == ["Bearer sk-of-the-vendor"]


def is_ready(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def test_the_readme_shows_the_contract_that_init_writes() -> None:
    written = (ROOT / "src/leverframe/config/template/refund_request.yaml").read_text(encoding="utf-8")

    assert written in (ROOT / "README.md").read_text(encoding="utf-8")
