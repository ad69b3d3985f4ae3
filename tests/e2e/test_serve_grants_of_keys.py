"""A held call of a run that a backend opened for a person: what stops the backend's key stops a grant of it as well."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_serve_mcp import client, written
from tests.served import ServedDesk, served_folder


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDesk]:
    with served_folder(written(tmp_path_factory.mktemp("granted"))) as found:
        yield found


def effects(desk: ServedDesk) -> str:
    file: Path = desk.folder / "effects.txt"
    return file.read_text() if file.exists() else ""


def held(desk: ServedDesk, token: str, to: str) -> str:
    """Ask for a write that is held; the approval."""

    async def pay() -> dict[str, object]:
        async with client(desk, "2026-07-28", token) as agent:
            return dict((await agent.call_tool("shop.pay", {"to": to})).structured_content or {})

    found = asyncio.run(pay())
    assert found["status"] == "held", found
    return str(found["approval"])


def opened(desk: ServedDesk, key: str) -> tuple[str, str]:
    answer = desk.ask("/api/v1/runs", {"input": {}, "on_behalf_of": "person:ada"}, key=key)
    assert answer.status == 201, answer.body
    return answer.json["run_id"], answer.json["run_token"]


def test_a_granted_call_of_a_run_for_a_person_does_not_run_once_the_key_is_switched_off(desk: ServedDesk) -> None:
    run_id, token = opened(desk, desk.create_key("off", "--open-runs"))
    approval = held(desk, token, "switched-off")
    assert desk.cli("kill", "key", "off", "--because", "a test").returncode == 0

    granted = desk.cli("approvals", "grant", approval)

    assert "kill-switch" in granted.stdout, granted.stdout + granted.stderr
    assert (granted.returncode, "the granted call was denied; it was not done" in granted.stdout) == (1, True)
    assert "switched-off" not in effects(desk)
    ended = desk.cli("runs", "end", run_id, "--because", "its key is off")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    desk.verified()


@pytest.mark.parametrize("is_for_a_person", [True, False], ids=["for-a-person", "its-own"])
def test_a_granted_call_does_not_run_once_its_key_was_revoked(desk: ServedDesk, *, is_for_a_person: bool) -> None:
    name = f"gone-{is_for_a_person}"
    key = desk.create_key(name, "--open-runs")
    run_id, token = opened(desk, key) if is_for_a_person else ("", key)
    approval = held(desk, token, name)
    assert desk.cli("keys", "revoke", name).returncode == 0

    granted = desk.cli("approvals", "grant", approval)

    assert "denied  shop.pay: key-revoked" in granted.stdout, granted.stdout + granted.stderr
    assert "was revoked; ask again in a run of a live key" in granted.stdout
    assert granted.returncode == 1
    assert name not in effects(desk)
    shown = json.loads(desk.cli("approvals", "show", approval, "--json").stdout)
    assert shown["state"] == "revoked"
    late = desk.ask(f"/api/v1/runs/{run_id or shown['run_id']}", None, key=token, method="GET")
    assert late.status == 401
    ended = desk.cli("runs", "end", shown["run_id"], "--because", "its key is gone")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    desk.verified()


def test_the_log_says_which_key_opened_a_run_for_a_person(desk: ServedDesk) -> None:
    run_id, _ = opened(desk, desk.create_key("backend", "--open-runs"))

    ((leaf,),) = desk.rows("SELECT CAST(leaf AS TEXT) FROM leaves WHERE type = 'run.started' AND run_id = ?", run_id)
    keys = json.loads(desk.cli("keys", "list", "--json").stdout)["keys"]

    said = json.loads(leaf)
    (key,) = [one for one in keys if one["name"] == "backend"]
    assert (said["actor"], said["detail"]["opened_with"]) == ("person:ada", key["key_id"])


def test_a_call_is_of_the_key_that_opened_its_run_also_after_another_backend_asked_in_it(tmp_path: Path) -> None:
    with served_folder(written(tmp_path, plan={"declare": True})) as desk:
        ours, other = desk.create_key("ours", "--open-runs"), desk.create_key("other", "--open-runs")
        run_id, token = opened(desk, ours)
        planned = desk.ask(f"/api/v1/runs/{run_id}/plan", {"tools": {"shop.pay": 1, "shop.lookup": 9}}, key=other)
        assert planned.status == 200, planned.body
        assert desk.cli("kill", "key", "ours", "--because", "a test").returncode == 0

        async def look() -> dict[str, object]:
            async with client(desk, "2026-07-28", token) as agent:
                found = await agent.call_tool("shop.lookup", {"order_id": "W1"})
                return dict(found.structured_content or {"status": "answered"})

        said = asyncio.run(look())

        assert (said["status"], said.get("rules")) == ("denied", ["kill-switch"])
        desk.verified()
