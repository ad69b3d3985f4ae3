"""A tool call whose worker dies, or whose outcome cannot be written, is not at work for ever."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.mcp_client import mcp_client
from tests.served import ServedDesk, served_folder
from tests.waiting import until

ONE_AT_A_TIME = "budgets:\n  - {tenant: default, key: desk, max_in_flight: 1}\n"
CONTRACT = "workflow: desk\npolicy:\n  allow_tools: [look_up]\n"
# It answers once there is a file of the order's name.
TOOL = '''\
import time
from pathlib import Path

from leverframe.sdk.tool import tool


@tool(effect="read")
def look_up(order_id: str) -> str:
    """Look up an order."""
    while not (Path("{folder}") / order_id).exists():
        time.sleep(0.01)
    return order_id
'''


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[ServedDesk]:
    for name, text in {
        "leverframe.yaml": ONE_AT_A_TIME,
        "workflows/desk.yaml": CONTRACT,
        "tools/shop.py": TOOL.format(folder=tmp_path),
        "W1": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with served_folder(tmp_path) as found:
        yield found


def look_up(desk: ServedDesk, order_id: str) -> str:
    async def ask() -> str:
        async with mcp_client(f"http://127.0.0.1:{desk.port}/mcp", desk.key, "2026-07-28") as agent:
            answer = await agent.call_tool("look_up", {"order_id": order_id})
            return str(getattr(answer.content[0], "text", ""))

    return asyncio.run(ask())


def test_a_read_that_a_killed_worker_had_under_way_gives_its_place_back(desk: ServedDesk) -> None:
    assert look_up(desk, "W1") == "W1"
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(look_up, desk, "never")
        until(lambda: desk.rows("SELECT 1 FROM steps WHERE state = 'started'"), what="the tool is at work")
        assert "max_in_flight" in look_up(desk, "W1")
        desk.kill()
        with suppress(Exception, BaseExceptionGroup):
            lost.result()
    desk.start()

    # The agent goes on asking, so its run never comes to its end for want of use.
    until(lambda: look_up(desk, "W1") == "W1", what="there is room again")
    assert desk.rows("SELECT error FROM steps WHERE state = 'error'") == [("abandoned",)]
    desk.verified()


def test_a_read_that_is_still_at_work_keeps_its_place(desk: ServedDesk) -> None:
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(look_up, desk, "W2")
        until(lambda: desk.rows("SELECT 1 FROM steps WHERE state = 'started'"), what="the tool is at work")
        with pytest.raises(AssertionError, match="there is room"):
            until(lambda: look_up(desk, "W1") == "W1", what="there is room", within_s=5)
        (desk.folder / "W2").touch()

        assert slow.result() == "W2"
    assert look_up(desk, "W1") == "W1"
    desk.verified()
