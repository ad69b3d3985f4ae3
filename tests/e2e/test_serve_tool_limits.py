"""A limit of an agent's own run, met by an agent that calls tools alone: its key goes on in the next run."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.e2e.test_serve_mcp import client, written
from tests.served import ServedDesk, served_folder


def asked(desk: ServedDesk, tool: str, args: dict[str, object], key: str = "") -> str:
    """How a call ended."""

    async def call() -> dict[str, object]:
        async with client(desk, "2026-07-28", key) as agent:
            found = await agent.call_tool(tool, args)
            return dict(found.structured_content or {"status": "failed" if found.is_error else "answered"})

    return str(asyncio.run(call())["status"])


def runs(desk: ServedDesk) -> list[tuple[str, str]]:
    """How the runs stand, the oldest first."""
    found = json.loads(desk.cli("runs", "list", "--json").stdout)["runs"]
    return [(one["outcome"] or one["state"], one["stop_reason"]) for one in reversed(found)]


@pytest.mark.parametrize("workers", [1, 3])
def test_an_agent_that_calls_tools_alone_goes_on_in_the_next_run_once_its_own_limit_is_met(
    tmp_path: Path, workers: int
) -> None:
    with served_folder(written(tmp_path, budget={"max_tool_calls": 2}), "--workers", str(workers)) as desk:
        said = [asked(desk, "shop.lookup", {"order_id": f"W{number}"}) for number in range(7)]

        assert said == ["answered", "answered", "stopped"] * 2 + ["answered"]
        assert runs(desk) == [("stopped", "max_tool_calls 2")] * 2 + [("open", "")]
        desk.verified()


def test_a_run_with_a_token_stays_with_its_backend_where_its_limit_is_met(tmp_path: Path) -> None:
    with served_folder(written(tmp_path, budget={"max_tool_calls": 1})) as desk:
        opened = desk.ask("/api/v1/runs", {"input": {}}, key=desk.create_key("backend", "--open-runs"))
        token = opened.json["run_token"]

        said = [asked(desk, "shop.lookup", {"order_id": f"W{number}"}, token) for number in range(3)]

        assert said == ["answered", "stopped", "stopped"]
        assert runs(desk) == [("open", "")]


def test_a_limit_that_leaves_no_room_for_a_first_call_opens_no_run_after_another(tmp_path: Path) -> None:
    with served_folder(written(tmp_path, budget={"max_tool_calls": 0})) as desk:
        said = [asked(desk, "shop.lookup", {"order_id": f"W{number}"}) for number in range(3)]

        assert said == ["stopped"] * 3
        assert len(runs(desk)) == 1
