"""Files of a project that are edited while several workers serve it, one of which dies: all serve one configuration."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.bursts import burst
from tests.mcp_client import ERAS, mcp_client
from tests.served import CONTRACT, ServedDesk, served_desk
from tests.waiting import until

BODY = {"model": "fast", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 10}
ROUND, WORKERS = 24, 2
START_S = 60.0

EDITS = {
    "a contract": ("workflows/desk.yaml", CONTRACT + "budget: {max_model_calls: 3}\n"),
    "a contract that does not load": ("workflows/desk.yaml", "workflow: [\n"),
    "a second contract of its name": ("workflows/second.yaml", CONTRACT),
    "an overlay": ("environments/default.yaml", "budget: {max_model_calls: 3}\n"),
    "a project file that does not load": ("leverframe.yaml", "models: {fast: [nobody/gpt-4]}\n"),
}
TOOL = """\
from leverframe.sdk.tool import tool

@tool(effect="read")
def price_of(order_id: str) -> str:
    return "PRICE"
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDesk]:
    with served_desk(tmp_path_factory.mktemp("edited"), CONTRACT, words=("--workers", str(WORKERS))) as found:
        found.vendor.manner.output_tokens = 1
        until(lambda: found.counted("leverframe_workers") == WORKERS, what="both serve", within_s=START_S)
        yield found


@pytest.mark.parametrize("edit", EDITS)
def test_a_worker_that_is_started_after_an_edit_serves_what_the_others_serve(desk: ServedDesk, edit: str) -> None:
    assert statuses(desk) == {200}
    workers, runs = desk.workers(), runs_of_calls(desk)

    with edited(desk.folder, *EDITS[edit]):
        for worker in workers:
            os.kill(worker, signal.SIGKILL)

            until(partial(is_replaced, desk, worker), what="another serves in its place", within_s=START_S)
        # Whoever answers now was started after the edit.
        assert statuses(desk) == {200}

    assert (len(runs), runs_of_calls(desk)) == (1, runs)
    desk.verified()


@contextmanager
def edited(folder: Path, name: str, text: str) -> Iterator[None]:
    """One file of a folder, written anew for the length of the block."""
    file = folder / name
    before = file.read_bytes() if file.exists() else None
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        file.unlink() if before is None else file.write_bytes(before)


def runs_of_calls(desk: ServedDesk) -> list[tuple[str]]:
    return desk.rows("SELECT DISTINCT run_id FROM steps")


def statuses(desk: ServedDesk) -> set[int]:
    return {one.status for one in burst(desk.port, desk.key, BODY, ROUND)}


def is_replaced(desk: ServedDesk, dead: int) -> bool:
    """Call all the while, and say whether as many serve as before."""
    assert statuses(desk) == {200}
    workers = desk.workers()
    return dead not in workers and len(workers) == WORKERS == desk.counted("leverframe_workers")


def price(desk: ServedDesk) -> str:
    """What a tool answers that is a Python function of the project."""

    async def call() -> str:
        async with mcp_client(f"http://127.0.0.1:{desk.port}/mcp", desk.key, ERAS[1]) as agent:
            return str((await agent.call_tool("price_of", {"order_id": "W1"})).content)

    return asyncio.run(call())


@pytest.mark.parametrize("is_called_before", [True, False])
def test_a_function_of_the_project_is_run_as_it_was_loaded_by_every_worker(
    tmp_path: Path, *, is_called_before: bool
) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "shop.py").write_text(TOOL.replace("PRICE", "of the release"))
    with served_desk(tmp_path, CONTRACT + "policy: {allow_tools: [price_of]}\n", words=("--workers", "2")) as desk:
        until(lambda: desk.counted("leverframe_workers") == WORKERS, what="both serve", within_s=START_S)
        assert not is_called_before or "of the release" in price(desk)

        with edited(tmp_path, "tools/shop.py", TOOL.replace("PRICE", "edited")):
            told = [price(desk)]
            for worker in desk.workers() if is_called_before else ():
                os.kill(worker, signal.SIGKILL)
                until(partial(is_replaced, desk, worker), what="another serves in its place", within_s=START_S)
                told.append(price(desk))

        assert all("of the release" in one for one in told), told
