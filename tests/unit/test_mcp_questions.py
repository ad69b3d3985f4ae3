"""What a server asks in mid-call: only what `may_ask` lists and the contract allows, and no answer approves a call."""

import asyncio
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.context import ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp_types import (
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestParams,
    ElicitResult,
    TextContent,
)

from leverframe.config.project import load_project
from leverframe.core.argument_labels import label_args
from leverframe.domain.json import Json
from leverframe.domain.labels import Integrity, Label
from leverframe.ports.store import RunFilter
from leverframe.runtime.sessions import take_up
from leverframe.wiring.assembly import Assembly, open_assembly
from tests.mcp_gate import KEY, TENANT, served, write_gate

FIXTURE = Path(__file__).parent.parent / "fixtures" / "mcp_asking.py"
ERAS = ["legacy", "modern"]
MODES = {"legacy": "legacy", "modern": "2026-07-28"}
OBJECT = {"type": "object"}
ASKS = {"ask": "elicitation", "sample": "sampling"}


def write(
    folder: Path, era: str, *, may_ask: list[str], allowed: bool = True, trust: str = "third-party", **contract: object
) -> None:
    shutil.copy(FIXTURE, folder / "mcp_asking.py")
    server = {"mcp": ["python", "mcp_asking.py", era, "seen.jsonl"], "trusted_process": {"because": "a test"}}
    tools = {
        f"asking.{name}": {"from": {"mcp": "asking", "name": name}, "effect": "read", "input": OBJECT}
        | {"output_trust": {"default": trust}}
        for name in ("ask", "sample", "task")
    }
    write_gate(folder, {"asking": server | ({"may_ask": may_ask} if may_ask else {})}, tools, **contract)
    if not allowed:
        path = folder / "workflows" / "desk.yaml"
        written = json.loads(path.read_text())
        written["policy"]["allow_tools"] = list(tools)
        path.write_text(json.dumps(written))


class Person:
    """The agent's side: answers whatever it is asked, and remembers that it was."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def elicited(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        del context
        self.asked.append(f"elicitation: {params.message}")
        return ElicitResult(action="accept", content={"approved": True, "pick": "W00001"})

    async def sampled(self, context: ClientRequestContext, params: CreateMessageRequestParams) -> CreateMessageResult:
        del context
        self.asked.append(f"sampling: {params.max_tokens}")
        return CreateMessageResult(role="assistant", content=TextContent(type="text", text="So."), model="m")


def play(folder: Path, tool: str, client: str) -> tuple[str, list[str], list[tuple[str, str, str]], str]:
    """Call a tool; what came of it, what the person was asked, and the steps of the run with their records."""
    person = Person()

    async def whole() -> tuple[str, list[tuple[str, str, str]], str]:
        async with (
            served(folder) as (assembly, url),
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as http,
            Client(
                streamable_http_client(url, http_client=http),
                mode=MODES[client],
                elicitation_callback=person.elicited,
                sampling_callback=person.sampled,
            ) as agent,
        ):
            found = await agent.call_tool(f"asking.{tool}", {})
            return repr(found), *(await recorded(assembly))

    said, steps, values = asyncio.run(whole())
    return said, person.asked, steps, values


async def recorded(assembly: Assembly) -> tuple[list[tuple[str, str, str]], str]:
    journal = assembly.services.journal
    (run_id,) = [one.run_id for one in await journal.runs(RunFilter(limit=1))]
    steps = [(str(one.name), one.decision, one.state.value) for one in await journal.steps(run_id)]
    return steps, repr(await assembly.services.evidence.disclosures_of_run(TENANT, run_id))


def seen(folder: Path, word: str) -> list[object]:
    lines = (json.loads(line) for line in (folder / "seen.jsonl").read_text().splitlines())
    return [line[word] for line in lines if word in line]


@pytest.mark.parametrize("client", ERAS)
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("tool", ASKS)
def test_a_server_that_may_not_ask_is_not_told_that_it_could_and_reaches_nobody(
    tmp_path: Path, tool: str, era: str, client: str
) -> None:
    write(tmp_path, era, may_ask=[])

    said, asked, steps, _ = play(tmp_path, tool, client)

    assert asked == []
    assert all(ASKS[tool] not in str(one) for one in seen(tmp_path, "capabilities"))
    assert {name for name, _, _ in steps} == {f"asking.{tool}"}
    assert "approved" not in said
    assert "So." not in said


@pytest.mark.parametrize("client", ERAS)
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("tool", ASKS)
def test_a_question_that_the_contract_does_not_allow_is_denied_and_reaches_nobody(
    tmp_path: Path, tool: str, era: str, client: str
) -> None:
    write(tmp_path, era, may_ask=[ASKS[tool]], allowed=False)

    _, asked, steps, _ = play(tmp_path, tool, client)

    assert asked == []
    assert (f"asking.{ASKS[tool]}", "deny", "denied") in steps


@pytest.mark.parametrize("client", ERAS)
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("tool", ASKS)
def test_a_question_that_is_listed_and_allowed_is_a_recorded_call_of_the_run(
    tmp_path: Path, tool: str, era: str, client: str
) -> None:
    write(tmp_path, era, may_ask=[ASKS[tool]])

    said, asked, steps, values = play(tmp_path, tool, client)

    if (era, client) == ("legacy", "modern"):
        # The server waits in mid-call, and this client cannot be asked then: nobody answers in its place.
        (answer,) = seen(tmp_path, "answer")
        assert "nobody is asked in mid-call" in str(answer)
        assert asked == []
        assert (f"asking.{ASKS[tool]}", "allow", "error") in steps
        return
    assert [one.partition(":")[0] for one in asked] == [ASKS[tool]]
    assert "is_error=False" in said
    assert (f"asking.{ASKS[tool]}", "allow", "ok") in steps
    assert ("Which colour?" if tool == "ask" else "Say so.") in values


@pytest.mark.parametrize("client", ERAS)
@pytest.mark.parametrize("era", ERAS)
def test_a_question_that_needs_a_person_is_held_and_no_answer_of_the_agents_side_grants_it(
    tmp_path: Path, era: str, client: str
) -> None:
    approval = {"hold_wait_s": 0.1, "required_for": [{"tool": "asking.elicitation"}]}
    write(tmp_path, era, may_ask=["elicitation"], approval=approval)
    path = tmp_path / "workflows" / "desk.yaml"
    contract = json.loads(path.read_text())
    contract["policy"]["allow_tools"].remove("asking.elicitation")
    contract["policy"]["deny_tools"] = ["asking.elicitation"]
    path.write_text(json.dumps(contract))

    _, asked, steps, _ = play(tmp_path, "ask", client)

    assert asked == []
    assert ("asking.elicitation", "hold", "held") in steps


@pytest.mark.parametrize(("era", "client"), [("legacy", "legacy"), ("modern", "legacy"), ("modern", "modern")])
def test_what_the_agents_side_answered_is_no_record_where_the_server_says_it_back(
    tmp_path: Path, era: str, client: str
) -> None:
    write(tmp_path, era, may_ask=["elicitation"], trust="tenant-record")

    _, asked, _, _ = play(tmp_path, "ask", client)
    labels = asyncio.run(labels_of_newest(tmp_path, order_id="W00001"))

    assert len(asked) == 1
    assert labels["order_id"].integrity is Integrity.THIRD_PARTY


async def labels_of_newest(folder: Path, **args: Json) -> Mapping[str, Label]:
    """What these arguments would be in the newest run, taken up by another process."""
    async with open_assembly(load_project(folder), create=False) as assembly:
        (newest,) = await assembly.services.journal.runs(RunFilter(limit=1))
        contract = assembly.project.contracts[newest.workflow]
        return label_args(args, {}, (await take_up(assembly.services, contract, newest)).values)


@pytest.mark.parametrize("client", ERAS)
def test_a_task_that_nobody_asked_for_is_no_answer(tmp_path: Path, client: str) -> None:
    write(tmp_path, "modern", may_ask=[])

    said, _, steps, _ = play(tmp_path, "task", client)

    assert "is_error=True" in said
    assert "gave a result of a kind that nobody knows" in said
    assert steps == [("asking.task", "allow", "error")]


# Any: plain JSON of the protocol.
async def raw(http: httpx2.AsyncClient, url: str, **params: object) -> dict[str, Any]:
    """One `tools/call` of a client by hand, of the 2026-07-28 protocol."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {**params, "_meta": meta}}
    headers = {
        "Authorization": f"Bearer {KEY}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": str(params["name"]),
    }
    found = await http.post(url, json=body, headers=headers)
    lines = [line[5:] for line in found.text.splitlines() if line.startswith("data:") and line[5:].strip()]
    # Any: plain JSON of the protocol.
    messages: list[dict[str, Any]] = [json.loads(line) for line in lines] or [found.json()]
    return next(one for one in messages if "result" in one or "error" in one)


ANSWER = {"q": {"action": "accept", "content": {"colour": "red"}}, "z": {"action": "accept", "content": {"more": 1}}}


def test_answers_reach_a_server_only_for_the_questions_that_were_put_in_this_very_call(tmp_path: Path) -> None:
    write(tmp_path, "modern", may_ask=["elicitation"])

    async def whole() -> None:
        async with served(tmp_path) as (assembly, url), httpx2.AsyncClient(timeout=60) as http:
            asked = await raw(http, url, name="asking.ask", arguments={})
            state = asked["result"]["requestState"]
            assert asked["result"]["resultType"] == "input_required"
            assert state.startswith("leverframe-asked:")  # sealed: the server's own stays here

            for odd in (state[:-2] + "xx", "s1", f"leverframe-asked:{state[17:40]}", state.replace(".", "a.", 1)):
                said = await raw(http, url, name="asking.ask", arguments={}, inputResponses=ANSWER, requestState=odd)
                assert said["error"]["code"] == -32602, said
            other = await raw(
                http, url, name="asking.ask", arguments={"a": 1}, inputResponses=ANSWER, requestState=state
            )
            assert other["error"]["code"] == -32602

            done = await raw(http, url, name="asking.ask", arguments={}, inputResponses=ANSWER, requestState=state)
            assert json.loads(done["result"]["content"][0]["text"]) == {"heard": ANSWER["q"]}, done
            steps, values = await recorded(assembly)
            assert "'colour': 'red'" in values or '"colour":"red"' in values
            assert ("asking.elicitation", "allow", "ok") in steps

    asyncio.run(whole())

    responses = [one["responses"] for one in seen(tmp_path, "called") if isinstance(one, dict)]
    assert responses == [None, {"q": ANSWER["q"]}]


def test_an_answer_that_comes_with_the_call_is_given_once_it_is_asked_for_and_alone(tmp_path: Path) -> None:
    write(tmp_path, "modern", may_ask=["elicitation"])

    async def whole() -> None:
        async with served(tmp_path) as (assembly, url), httpx2.AsyncClient(timeout=60) as http:
            other = await raw(http, url, name="asking.ask", arguments={}, inputResponses={"z": ANSWER["z"]})
            assert other["result"]["resultType"] == "input_required"

            done = await raw(http, url, name="asking.ask", arguments={}, inputResponses=ANSWER)

            assert json.loads(done["result"]["content"][0]["text"]) == {"heard": ANSWER["q"]}, done
            steps, values = await recorded(assembly)
            assert "'colour': 'red'" in values or '"colour":"red"' in values
            assert ("asking.elicitation", "allow", "ok") in steps

    asyncio.run(whole())

    responses = [one["responses"] for one in seen(tmp_path, "called") if isinstance(one, dict)]
    assert responses == [None, None, {"q": ANSWER["q"]}]


def test_answers_to_a_server_that_may_not_ask_reach_nobody(tmp_path: Path) -> None:
    write(tmp_path, "modern", may_ask=[])

    async def whole() -> None:
        async with served(tmp_path) as (_, url), httpx2.AsyncClient(timeout=60) as http:
            await raw(http, url, name="asking.ask", arguments={}, inputResponses=ANSWER)

    asyncio.run(whole())

    assert [one["responses"] for one in seen(tmp_path, "called") if isinstance(one, dict)] == [None]
