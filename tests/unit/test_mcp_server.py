"""`/mcp` over a real port: what a client of either era sees, may call, waits for, and never gets."""

import asyncio
import itertools
import json
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest

from leverframe.domain.approvals import AnswerWord, ApprovalState
from leverframe.domain.ids import ApprovalId, PrincipalId
from leverframe.runtime import answers
from leverframe.wiring.assembly import Assembly
from tests.mcp_gate import KEY, served, write_gate

FIXTURES = Path(__file__).parent.parent / "fixtures"
T = TypeVar("T")
# Any: plain JSON of the protocol.
Result = dict[str, Any]
OBJECT: Mapping[str, object] = {"type": "object"}
MODERN = "2026-07-28"
LEGACY = "2025-11-25"


@dataclass(slots=True, kw_only=True)
class Agent:
    """A client by hand, of one era, so that every header is its own."""

    url: str
    version: str
    http: httpx2.AsyncClient
    session: str = ""
    capabilities: Mapping[str, object]
    key: str = KEY
    number: int = 0

    # Any: plain JSON of the protocol.
    async def ask(self, method: str, **params: Any) -> Result:
        """The whole JSON-RPC answer."""
        found = await self.post(method, params)
        lines = [line[5:] for line in found.text.splitlines() if line.startswith("data:") and line[5:].strip()]
        # Any: plain JSON of the protocol.
        messages: list[Result] = [json.loads(line) for line in lines] or [found.json()]
        return next(one for one in messages if "result" in one or "error" in one)

    # Any: plain JSON of the protocol.
    async def post(self, method: str, params: Mapping[str, Any], **headers: str) -> httpx2.Response:
        self.number += 1
        sent = {
            "Authorization": f"Bearer {self.key}",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": self.version,
        }
        if self.session:
            sent["Mcp-Session-Id"] = self.session
        if self.version == MODERN:
            meta = {
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": self.capabilities,
            }
            params = {**params, "_meta": meta}
            sent["Mcp-Method"] = method
            name = params.get("name") or params.get("uri")
            if isinstance(name, str):
                sent["Mcp-Name"] = name
        body = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        return await self.http.post(self.url, json=body, headers={**sent, **headers})

    async def begin(self) -> None:
        """Shake hands, where the era asks for it."""
        if self.version == MODERN:
            return
        about = {"protocolVersion": self.version, "capabilities": self.capabilities}
        found = await self.post("initialize", {**about, "clientInfo": {"name": "test", "version": "1"}})
        assert found.status_code == 200, found.text
        self.session = found.headers["mcp-session-id"]

    async def call(self, tool: str, **arguments: object) -> Result:
        found = await self.ask("tools/call", name=tool, arguments=arguments)
        # Any: plain JSON of the protocol.
        result: Result = found["result"]
        return result


@pytest.fixture(params=[MODERN, LEGACY])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(FIXTURES / "mcp_shop.py", tmp_path / "mcp_shop.py")
    shop = {"mcp": ["python", "mcp_shop.py", "effects.txt"], "trusted_process": {"because": "a test"}}
    refuse = {"from": {"mcp": "shop", "name": "refuse"}, "effect": "read", "input": OBJECT}
    tools: dict[str, Mapping[str, object]] = {
        "shop.lookup": {"from": {"mcp": "shop", "name": "lookup_order"}, "effect": "read", "input": OBJECT},
        "shop.refuse": refuse,
    }
    write_gate(tmp_path, {"shop": shop}, tools)
    held = {"tool": "shop.pay", "from": {"mcp": "shop", "name": "echo"}, "effect": "irreversible", "input": OBJECT}
    (tmp_path / "tools" / "shop.pay.yaml").write_text(json.dumps(held))
    (tmp_path / "tools" / "shop.secret.yaml").write_text(json.dumps({**refuse, "tool": "shop.secret"}))
    contract = json.loads((tmp_path / "workflows" / "desk.yaml").read_text())
    contract["policy"]["deny_tools"] = ["shop.pay"]
    contract["approval"] = {"hold_wait_s": 1, "required_for": [{"tool": "shop.pay"}]}
    (tmp_path / "workflows" / "desk.yaml").write_text(json.dumps(contract))
    return tmp_path


def play(
    project: Path,
    era: str,
    act: Callable[[Agent, Assembly], Awaitable[T]],
    *,
    capabilities: Mapping[str, object] | None = None,
    page: str = "",
) -> T:
    async def whole() -> T:
        async with served(project, page=page) as (assembly, url), httpx2.AsyncClient(timeout=30) as http:
            agent = Agent(url=url, version=era, http=http, capabilities=capabilities or {})
            await agent.begin()
            return await act(agent, assembly)

    return asyncio.run(whole())


def effects(project: Path) -> list[str]:
    path = project / "effects.txt"
    return path.read_text().splitlines() if path.exists() else []


async def grant(assembly: Assembly, approval: str) -> None:
    person = assembly.project.people[PrincipalId("person:lena")]
    services = assembly.services
    await answers.answer(services, ApprovalId(approval), person, AnswerWord.GRANT, reason="", proof="test")


async def pending(assembly: Assembly) -> str:
    """The one approval that is asked for, as soon as it is."""
    async with asyncio.timeout(30):
        for _ in itertools.count():
            waiting = await assembly.services.approvals.approvals(ApprovalState.PENDING, 10)
            if waiting:
                return waiting[0].approval_id
            await asyncio.sleep(0.01)
    raise AssertionError


def test_a_client_lists_what_its_contract_allows_and_nothing_else(project: Path, era: str) -> None:
    async def act(agent: Agent, _: Assembly) -> Result:
        return await agent.ask("tools/list")

    tools = play(project, era, act)["result"]["tools"]

    assert [tool["name"] for tool in tools] == ["shop.lookup", "shop.refuse", "shop.pay"]
    assert tools[0]["annotations"]["readOnlyHint"] is True
    assert tools[2]["annotations"]["destructiveHint"] is True


def test_a_list_that_is_kept_is_the_list_that_was_checked_and_names_who_went_missing_since(
    project: Path, era: str
) -> None:
    async def act(agent: Agent, _: Assembly) -> list[Result]:
        found = [(await agent.ask("tools/list"))["result"] for _ in range(2)]
        (project / "mcp_shop.py").write_text("import sys; sys.exit('gone for good')")
        await agent.call("shop.lookup")
        found.append((await agent.ask("tools/list"))["result"])
        return found

    first, second, third = play(project, era, act)

    assert second == first
    assert third["tools"] == first["tools"]
    assert "gone for good" in third["_meta"]["leverframe.dev/unavailable"]["shop"]


def test_a_client_that_lost_its_connection_comes_back_for_the_answer(project: Path) -> None:
    async def act(agent: Agent, assembly: Assembly) -> tuple[Result, httpx2.Response]:
        sent = {"Authorization": f"Bearer {KEY}", "Accept": "application/json, text/event-stream"}
        sent |= {"MCP-Protocol-Version": LEGACY, "Mcp-Session-Id": agent.session}
        params = {"name": "shop.pay", "arguments": {"to": "me"}}
        body = {"jsonrpc": "2.0", "id": 77, "method": "tools/call", "params": params}
        async with agent.http.stream("POST", agent.url, json=body, headers=sent) as lost:
            mark = await anext(line async for line in lost.aiter_lines() if line.startswith("id:"))
        # The connection is gone, and the call is not.
        await grant(assembly, await pending(assembly))
        back = {**sent, "Last-Event-ID": mark.removeprefix("id:").strip()}
        other = Agent(url=agent.url, version=LEGACY, http=agent.http, capabilities={})
        await other.begin()
        elsewhere = {**back, "Mcp-Session-Id": other.session}
        stranger = await agent.http.get(agent.url, headers=elsewhere)
        async with agent.http.stream("GET", agent.url, headers=back) as found:
            lines = (line async for line in found.aiter_lines() if line.startswith("data:") and line[5:].strip())
            return json.loads((await anext(lines))[5:]), stranger

    message, stranger = play(project, LEGACY, act)

    assert (message["id"], message["result"]["isError"]) == (77, False)
    assert effects(project) == ['echo {"to": "me"}']
    assert "data: {" not in stranger.text


def test_whoever_looked_at_a_list_hears_that_it_changed(project: Path, era: str) -> None:
    shutil.copy(FIXTURES / "mcp_worst.py", project / "mcp_worst.py")
    settings = json.loads((project / "leverframe.yaml").read_text())
    command = ["python", "mcp_worst.py", "worst.txt"]
    settings["servers"]["worst"] = {"mcp": command, "trusted_process": {"because": "a test"}}
    (project / "leverframe.yaml").write_text(json.dumps(settings))
    spec = {"tool": "worst.changes", "from": {"mcp": "worst", "name": "changes"}, "effect": "read", "input": OBJECT}
    (project / "tools" / "worst.changes.yaml").write_text(json.dumps(spec))
    contract = json.loads((project / "workflows" / "desk.yaml").read_text())
    contract["policy"]["allow_tools"].append("worst.changes")
    (project / "workflows" / "desk.yaml").write_text(json.dumps(contract))

    async def act(agent: Agent, _: Assembly) -> list[str]:
        assert len((await agent.ask("tools/list"))["result"]["tools"]) == 4
        sent = {"Authorization": f"Bearer {KEY}", "Accept": "application/json, text/event-stream"}
        sent["MCP-Protocol-Version"] = era
        if era == MODERN:
            names = {"protocolVersion": MODERN, "clientInfo": {"name": "t", "version": "1"}, "clientCapabilities": {}}
            meta = {f"io.modelcontextprotocol/{name}": one for name, one in names.items()}
            params = {"notifications": {"toolsListChanged": True}, "_meta": meta}
            body = {"jsonrpc": "2.0", "id": 70, "method": "subscriptions/listen", "params": params}
            opened = agent.http.stream(
                "POST", agent.url, json=body, headers={**sent, "Mcp-Method": "subscriptions/listen"}
            )
        else:
            opened = agent.http.stream("GET", agent.url, headers={**sent, "Mcp-Session-Id": agent.session})
        heard: list[str] = []
        async with opened as stream, asyncio.timeout(30):
            if era == LEGACY:
                await agent.call("worst.changes")
            async for line in stream.aiter_lines():
                if not line.startswith("data:") or not line[5:].strip():
                    continue
                heard.append(json.loads(line[5:])["method"])
                if heard[-1] == "notifications/subscriptions/acknowledged":
                    await agent.call("worst.changes")
                if heard[-1].endswith("list_changed"):
                    return heard
        return heard

    heard = play(project, era, act)

    assert heard[-1] == "notifications/tools/list_changed"
    assert len(heard) == (2 if era == MODERN else 1)


def test_a_header_that_says_other_than_the_argument_stops_the_call(project: Path) -> None:
    spec = json.loads((project / "tools" / "shop.lookup.yaml").read_text())
    spec["input"] = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    (project / "tools" / "shop.lookup.yaml").write_text(json.dumps(spec))

    async def act(agent: Agent, _: Assembly) -> list[httpx2.Response]:
        asked = {"name": "shop.lookup", "arguments": {"region": "eu"}}
        headers: list[dict[str, str]] = [{"Mcp-Param-Region": "us"}, {}, {"Mcp-Param-Region": "eu"}]
        return [await agent.post("tools/call", asked, **one) for one in headers]

    wrong, missing, right = play(project, MODERN, act)

    assert (wrong.status_code, missing.status_code, right.status_code) == (400, 400, 200)
    assert "Region" in wrong.json()["error"]["message"]
    assert right.json()["result"]["isError"] is False


def test_a_call_reaches_the_server_and_its_answer_comes_back(project: Path, era: str) -> None:
    async def act(agent: Agent, _: Assembly) -> Result:
        return await agent.call("shop.lookup", order_id="#W1")

    result = play(project, era, act)

    assert result["isError"] is False
    assert json.loads(result["content"][0]["text"]) == {"order_id": "#W1", "total": 49.90, "items": [1, 2]}


@pytest.mark.parametrize(
    ("tool", "status"), [("shop.secret", "denied"), ("nowhere", "denied"), ("shop.refuse", "failed")]
)
def test_what_is_not_done_is_an_error_with_its_reason(project: Path, era: str, tool: str, status: str) -> None:
    async def act(agent: Agent, _: Assembly) -> Result:
        return await agent.call(tool)

    result = play(project, era, act)

    assert result["isError"] is True
    assert result["structuredContent"]["status"] == status
    assert not [line for line in effects(project) if status == "denied"]


def test_a_held_call_waits_answers_held_and_the_same_call_again_collects_it_once(project: Path, era: str) -> None:
    async def act(agent: Agent, assembly: Assembly) -> tuple[Result, Result, Result]:
        held = await agent.call("shop.pay", amount=5)
        await grant(assembly, held["structuredContent"]["approval"])
        return held, await agent.call("shop.pay", amount=5), await agent.call("shop.pay", amount=5)

    held, collected, again = play(project, era, act)

    assert held["structuredContent"]["status"] == "held"
    assert collected["isError"] is False, collected
    assert again["content"] == collected["content"]
    assert again["_meta"]["leverframe.dev/repeat_of"]
    assert len(effects(project)) == 1


def test_a_grant_within_the_wait_answers_the_call_itself(project: Path, era: str) -> None:
    contract = json.loads((project / "workflows" / "desk.yaml").read_text())
    contract["approval"]["hold_wait_s"] = 60
    (project / "workflows" / "desk.yaml").write_text(json.dumps(contract))

    async def act(agent: Agent, assembly: Assembly) -> Result:
        calling = asyncio.create_task(agent.call("shop.pay", amount=5))
        await grant(assembly, await pending(assembly))
        return await calling

    assert play(project, era, act)["isError"] is False
    assert len(effects(project)) == 1


def test_a_modern_client_is_sent_to_the_page_and_coming_back_grants_nothing(project: Path) -> None:
    able: Mapping[str, object] = {"elicitation": {"form": {}, "url": {}}}

    async def act(agent: Agent, _: Assembly) -> tuple[Result, Result]:
        first = (await agent.ask("tools/call", name="shop.pay", arguments={"amount": 5}))["result"]
        accepted = {"approval": {"action": "accept", "content": {"approved": True}}}
        again = {"inputResponses": accepted, "requestState": first["requestState"]}
        return first, (await agent.ask("tools/call", name="shop.pay", arguments={"amount": 5}, **again))["result"]

    first, second = play(project, MODERN, act, capabilities=able, page="https://gate.example/approvals")

    request = first["inputRequests"]["approval"]
    assert (first["resultType"], request["params"]["mode"]) == ("input_required", "url")
    assert request["params"]["url"].startswith("https://gate.example/approvals/")
    assert second["structuredContent"]["status"] == "held"
    assert effects(project) == []


def test_without_a_live_key_nothing_is_looked_at_and_the_metadata_is_named(project: Path, era: str) -> None:
    async def act(agent: Agent, _: Assembly) -> tuple[httpx2.Response, httpx2.Response]:
        agent.key = "lf_another"
        refused = await agent.post("tools/list", {})
        where = refused.headers["www-authenticate"].partition('resource_metadata="')[2].rstrip('"')
        return refused, await agent.http.get(where)

    refused, metadata = play(project, era, act)

    assert refused.status_code == 401
    assert metadata.json()["resource"].endswith("/mcp")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Host": "evil.example:127.0.0.1"},
        {"Host": "0.0.0.0:80"},
        {"Host": "127.0.0.2"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://evil.example:8460"},
        {"Origin": "null"},
    ],
)
def test_a_page_of_another_site_does_not_get_in(project: Path, era: str, headers: Mapping[str, str]) -> None:
    async def act(agent: Agent, _: Assembly) -> int:
        return (await agent.post("tools/list", {}, **headers)).status_code

    assert play(project, era, act) in {403, 421}


def test_a_server_that_died_is_named_and_its_tools_stay_listed(project: Path, era: str) -> None:
    async def act(agent: Agent, _: Assembly) -> tuple[Result, Result]:
        (project / "mcp_shop.py").write_text("import sys; sys.exit('gone for good')")
        for _attempt in range(3):
            await agent.call("shop.lookup")
            await agent.ask("tools/call", name="shop.refuse", arguments={})
        return await agent.call("shop.lookup"), (await agent.ask("tools/list"))["result"]

    # Its crash is what the next start finds.
    (project / "effects.txt").touch()
    original = (project / "mcp_shop.py").read_text()
    crashing = original.replace('case "lookup_order":', 'case "lookup_order" if not EFFECTS.exists():')
    (project / "mcp_shop.py").write_text(
        crashing.replace('case "refuse":', 'case "lookup_order" | "refuse":\n            os._exit(1)')
    )

    result, listed = play(project, era, act)

    assert result["isError"] is True
    assert "'shop'" in result["content"][0]["text"]
    assert [tool["name"] for tool in listed["tools"]] == ["shop.lookup", "shop.refuse", "shop.pay"]
    assert "gone for good" in listed["_meta"]["leverframe.dev/unavailable"]["shop"]
