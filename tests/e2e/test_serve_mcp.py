"""`/mcp` of `leverframe serve`: the official client of either era lists, calls, is held, and collects after a grant."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from mcp.client.client import Client

from leverframe.config.project import load_project
from tests.mcp_client import ERAS, mcp_client
from tests.mcp_gate import write_gate
from tests.pinning import pin_everything
from tests.served import ServedDesk, served_folder

FIXTURES = Path(__file__).parent.parent / "fixtures"
OBJECT = {"type": "object"}


def written(folder: Path, **more: object) -> Path:
    shutil.copy(FIXTURES / "mcp_shop.py", folder / "mcp_shop.py")
    shop = {"mcp": ["python", "mcp_shop.py", "effects.txt"], "trusted_process": {"because": "a test"}}
    lookup = {"from": {"mcp": "shop", "name": "lookup_order"}, "effect": "read", "input": OBJECT}
    pay = {"from": {"mcp": "shop", "name": "echo"}, "effect": "irreversible", "input": OBJECT}
    where = {"from": {"mcp": "shop", "name": "environment"}, "effect": "read", "input": OBJECT}
    approval = more.pop("approval", {"hold_wait_s": 0.2, "required_for": [{"tool": "shop.pay"}]})
    write_gate(
        folder, {"shop": shop}, {"shop.lookup": lookup, "shop.pay": pay, "shop.where": where}, approval=approval, **more
    )
    project = json.loads((folder / "leverframe.yaml").read_text())
    (folder / "leverframe.yaml").write_text(json.dumps({"servers": project["servers"]}))
    asyncio.run(pin_everything(load_project(folder).servers, folder))
    return folder


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDesk]:
    folder = written(tmp_path_factory.mktemp("desk"))
    with served_folder(folder, "--workers", str(request.param)) as found:
        yield found


def client(desk: ServedDesk, era: str, key: str = "") -> AbstractAsyncContextManager[Client]:
    return mcp_client(f"http://127.0.0.1:{desk.port}/mcp", key or desk.key, era)


@pytest.mark.parametrize("era", ERAS)
def test_a_client_lists_what_its_contract_allows_and_calls_it(desk: ServedDesk, era: str) -> None:
    async def play() -> None:
        async with client(desk, era) as agent:
            listed = await agent.list_tools()
            assert [tool.name for tool in listed.tools] == ["shop.lookup", "shop.pay", "shop.where"]
            for _ in range(4):
                found = await agent.call_tool("shop.lookup", {"order_id": "W1"})
                assert not found.is_error, found
                assert "49.9" in str(found.content[0])

    asyncio.run(play())
    desk.verified()


@pytest.mark.parametrize("era", ERAS)
def test_a_held_write_answers_held_and_is_collected_once_it_is_granted(desk: ServedDesk, era: str) -> None:
    effects = desk.folder / "effects.txt"

    async def pay() -> dict[str, object]:
        async with client(desk, era) as agent:
            found = await agent.call_tool("shop.pay", {"to": era, "workers": desk.port})
            return dict(found.structured_content or {}) | {"error": found.is_error, "text": str(found.content)}

    held = asyncio.run(pay())
    assert (held["status"], held["error"]) == ("held", True)
    assert era not in effects.read_text()
    again = asyncio.run(pay())
    assert again["approval"] == held["approval"]

    granted = desk.cli("approvals", "grant", str(held["approval"]))
    assert granted.returncode == 0, granted.stdout + granted.stderr
    collected = asyncio.run(pay())

    assert collected["error"] is False, collected
    assert era in str(collected["text"])
    assert len([line for line in effects.read_text().splitlines() if f'"to": "{era}"' in line]) == 1


def test_a_stranger_gets_401_with_the_address_of_the_metadata(desk: ServedDesk) -> None:
    answer = desk.ask("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, key="lf_nobody")

    assert answer.status == 401
    where = answer.headers["www-authenticate"].partition('"')[2].rstrip('"')
    path = where.partition(f":{desk.port}")[2]
    assert desk.ask(path, None, method="GET").json["resource"] == f"http://127.0.0.1:{desk.port}/mcp"


def test_a_page_of_a_browser_reaches_nothing(desk: ServedDesk) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}

    assert desk.ask("/mcp", body, Origin="https://evil.example").status == 403
    assert desk.ask("/mcp", body, Host="evil.example").status == 421


def test_a_model_call_and_a_tool_call_of_a_key_are_of_one_run(desk: ServedDesk) -> None:
    async def play() -> None:
        async with client(desk, ERAS[1]) as agent:
            await agent.call_tool("shop.lookup", {})

    asyncio.run(play())
    listed = desk.cli("runs", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    assert len(json.loads(listed.stdout)["runs"]) == 1, listed.stdout
