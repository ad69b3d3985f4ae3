"""Agents of three frameworks, as their documentation writes them, governed by environment variables alone."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conversing import ConversingDesk, conversing_desk

ROOT = Path(__file__).resolve().parents[2]
AGENTS = ("pydantic_ai_agent", "openai_agents_agent", "langchain_agent")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConversingDesk]:
    with conversing_desk(tmp_path_factory.mktemp("agents") / "desk") as found:
        yield found


@pytest.mark.parametrize("agent", AGENTS)
def test_an_agent_is_governed_by_two_exported_lines(desk: ConversingDesk, agent: str) -> None:
    before = len(desk.vendor.bodies)
    environment = {
        **os.environ,
        **desk.exports(agent.replace("_", "-")),
        # Its traces would go to its vendor, around the door.
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        # A header of the environment, so that each agent's run is found by its name.
        "OPENAI_CUSTOM_HEADERS": f"Leverframe-Run: {agent}",
    }

    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "agents" / f"{agent}.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    # The vendor asks for order W1, and tells what the agent's own tool said of it.
    assert done.stdout.strip() == "The tool says: Order W1 was delivered yesterday."
    assert len(desk.vendor.bodies) - before == 2
    ((run_id,),) = desk.rows("SELECT run_id FROM runs WHERE item LIKE '%/' || ?", agent)
    run = desk.run_of(run_id)
    steps = [(one["kind"], one["name"], one["state"]) for one in run["steps"]]
    assert steps == [("model", "vendor/gpt-5-mini", "ok")] * 2
    assert run["cost_usd"] > 0
    # Its tool stands outside the door: the record tells that it was offered, and asked for.
    recorded = desk.cli("evidence", "show", run_id, "--json")
    assert recorded.returncode == 0, recorded.stderr
    values = [value for entry in json.loads(recorded.stdout) for value in entry["values"]]
    assert [names_of_tools(one["value"]) for one in values if one["name"] == "call"] == [["order_status"]] * 2
    uses = [use["name"] for one in values if one["name"] == "answer" for use in one["value"]["tool_uses"]]
    assert uses == ["order_status"]


# Any: a call as it is recorded, in JSON.
def names_of_tools(call: Any) -> list[str]:
    return [tool.get("function", tool)["name"] for tool in call["request"]["tools"]]
