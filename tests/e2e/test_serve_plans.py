"""Plans over the wire, kept by `/mcp` in every worker and widened by a person; and a run's output on its way out."""

import asyncio
from collections.abc import Iterator

import pytest

from leverframe.testing import FakeVendor
from tests.e2e.test_serve_mcp import client, written
from tests.served import ServedDesk, free_port


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDesk]:
    folder = written(tmp_path_factory.mktemp("planned"), plan={"declare": True}, audience="public")
    with FakeVendor() as vendor:
        found = ServedDesk(folder=folder, vendor=vendor, port=free_port())
        found.key = found.create_key("backend", "--open-runs")
        found.start("--workers", "2")
        try:
            yield found
        finally:
            found.stop()


def opened(desk: ServedDesk, **body: object) -> tuple[str, str]:
    answer = desk.ask("/api/v1/runs", {"input": {}, **body})
    assert answer.status == 201, answer.body
    return answer.json["run_id"], answer.json["run_token"]


def test_a_plan_of_the_opener_bounds_what_the_agent_calls(desk: ServedDesk) -> None:
    run_id, token = opened(desk, plan={"shop.lookup": 1})

    async def play() -> list[dict[str, object]]:
        async with client(desk, "2026-07-28", token) as agent:
            asked = [await agent.call_tool("shop.lookup", {"order_id": "W1"}) for _ in range(2)]
            asked.append(await agent.call_tool("declare_plan", {"tools": {"shop.lookup": 3}}))
            return [dict(one.structured_content or {"status": "answered"}) for one in asked]

    first, second, wider = asyncio.run(play())

    assert first["status"] == "answered"
    assert second["status"] == "held"
    assert "outside-plan" in str(second["message"])
    assert wider["status"] == "held"
    granted = desk.cli("approvals", "grant", str(wider["approval"]))
    assert granted.returncode == 0, granted.stdout + granted.stderr
    told = desk.cli("why", run_id)
    assert "shop.lookup 1 of 3" in told.stdout
    assert "label third-party" in told.stdout
    assert str(wider["approval"]) in told.stdout
    desk.verified()


def test_an_agent_declares_before_it_calls_and_a_backend_may_for_it(desk: ServedDesk) -> None:
    run_id, token = opened(desk)

    async def call(tool: str, arguments: dict[str, object]) -> dict[str, object]:
        async with client(desk, "2026-07-28", token) as agent:
            assert "declare_plan" in [one.name for one in (await agent.list_tools()).tools]
            found = await agent.call_tool(tool, arguments)
            return dict(found.structured_content or {"status": "answered"})

    early = asyncio.run(call("shop.lookup", {"order_id": "W1"}))
    planned = desk.ask(f"/api/v1/runs/{run_id}/plan", {"tools": {"shop.lookup": 1}}, key=token)
    later = asyncio.run(call("shop.lookup", {"order_id": "W1"}))
    wider = desk.ask(f"/api/v1/runs/{run_id}/plan", {"tools": {"shop.lookup": 1, "shop.pay": 1}}, key=token)

    assert (early["status"], early["rules"]) == ("denied", ["plan-missing"])
    assert planned.json["state"] == "declared", planned.body
    assert later["status"] == "answered"
    assert (wider.json["state"], "shop.pay 0 -> 1" in wider.json["message"]) == ("held", False)
    assert wider.json["approval"].startswith("apr_")


@pytest.mark.parametrize("plan", [{"nothing.here": 1}, {"shop.lookup": -1}, {"shop.lookup": "many"}, []])
def test_a_plan_that_the_contract_does_not_take_opens_no_run(desk: ServedDesk, plan: object) -> None:
    answer = desk.ask("/api/v1/runs", {"input": {}, "plan": plan})

    assert answer.status == 422, answer.body
    assert "plan" in answer.json["detail"]


def test_a_run_whose_output_is_wider_than_what_it_read_ends_once_a_person_granted_it(desk: ServedDesk) -> None:
    run_id, token = opened(desk, plan={"shop.lookup": 1})

    async def look() -> None:
        async with client(desk, "2026-07-28", token) as agent:
            assert not (await agent.call_tool("shop.lookup", {"order_id": "W1"})).is_error

    asyncio.run(look())
    body = {"outcome": "success", "output": "It costs 49.90."}
    held = desk.ask(f"/api/v1/runs/{run_id}/end", body, key=token)
    assert (held.status, held.json["state"]) == (202, "held"), held.body
    assert desk.ask(f"/api/v1/runs/{run_id}", None, method="GET").json["state"] == "open"

    granted = desk.cli("approvals", "grant", held.json["approval"])
    assert granted.returncode == 0, granted.stdout + granted.stderr
    ended = desk.ask(f"/api/v1/runs/{run_id}/end", body, key=token)

    assert (ended.status, ended.json["state"]) == (200, "ended"), ended.body
    desk.verified()
