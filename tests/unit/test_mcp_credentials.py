"""Credentials of MCP servers: to their host alone, for their tenant alone, and in nothing that comes back."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from leverframe.domain.calls import ToolAnswer, ToolFailed, ToolLost, ToolOk, ToolRequest
from leverframe.domain.contracts import McpServer
from leverframe.domain.errors import ToolUnavailable
from leverframe.domain.ids import CallId, Sha256, TenantId, ToolName
from leverframe.domain.json import JsonObject
from leverframe.domain.pins import Offering
from leverframe.domain.policy import SourceRef
from leverframe.domain.tools import EffectClass, McpOrigin, ToolSpec
from leverframe.identity.secrets import ProjectSecrets
from leverframe.ports.conversation import Conversation, Exchange, exchange
from leverframe.ports.upstreams import Listing
from leverframe.testing import CredentialedMcpServer
from leverframe.tools.mcp_tools import McpTools
from tests.leaks import leaks_in
from tests.mcp_gate import KEY, served, write_gate
from tests.pinning import mcp_tools, pin_offering

HERE = SourceRef(file="leverframe.yaml", line=1)
TOKEN, ACME_TOKEN, GLOBEX_TOKEN, REFUNDS = (
    "sk-remote-0123456789",
    "sk-acme-0123456789",
    "sk-globex-0123456789",
    "sk-refunds-0123456789",
)
ACME, GLOBEX = TenantId("acme"), TenantId("globex")
OFFERING = Offering(
    info={"name": "remote", "version": "1"},
    tools={name: {"name": name, "inputSchema": {"type": "object"}} for name in ("echo", "fail")},
)
T = TypeVar("T")


@pytest.fixture
def remote() -> Iterator[CredentialedMcpServer]:
    with CredentialedMcpServer([TOKEN, ACME_TOKEN, GLOBEX_TOKEN, REFUNDS]) as server:
        yield server


def server_at(url: str, credential: str = "secret://env/REMOTE_TOKEN", **more: str) -> McpServer:
    server = McpServer(name="remote", source=HERE, url=url, allows_private_hosts=True, credential=credential)
    return replace(server, credential_header=more.get("header", ""))


def asked(
    name: str = "echo", tenant: TenantId = ACME, args: JsonObject | None = None, credential: str = ""
) -> ToolRequest:
    spec = ToolSpec(
        name=ToolName(name),
        version=1,
        origin=McpOrigin(server="remote", name=name),
        effect=EffectClass.IDEMPOTENT,
        description="",
        input_schema={"type": "object"},
        output_schema=None,
        schema_sha256=Sha256("0" * 64),
        source=HERE,
        credential=credential,
    )
    return ToolRequest(
        call_id=CallId("call_1"), tenant=tenant, spec=spec, args=args or {}, idempotency_key="k", deadline_s=20
    )


def with_tools(
    folder: Path,
    server: McpServer,
    act: Callable[[McpTools], Awaitable[T]],
    environment: Mapping[str, str] | None = None,
) -> T:
    values = {"REMOTE_TOKEN": TOKEN, "REMOTE_ACME": ACME_TOKEN, "REMOTE_GLOBEX": GLOBEX_TOKEN, "REFUNDS": REFUNDS}

    async def whole() -> T:
        pin_offering(folder, server, OFFERING)
        secrets = ProjectSecrets(folder, values if environment is None else environment)
        tools = mcp_tools({"remote": server}, folder, secrets, (ACME, GLOBEX))
        try:
            return await act(tools)
        finally:
            await tools.close()

    return asyncio.run(whole())


def value_of(answer: ToolAnswer) -> JsonObject:
    assert isinstance(answer, ToolOk), answer
    assert isinstance(answer.value, dict)
    return answer.value


def test_every_request_to_the_server_carries_its_credential(tmp_path: Path, remote: CredentialedMcpServer) -> None:
    answer = with_tools(tmp_path, server_at(remote.url), lambda tools: tools.execute(asked(args={"a": 1})))

    assert value_of(answer)["said"] == {"a": 1}
    assert {one.credential for one in remote.seen} == {TOKEN}
    assert {"initialize", "notifications/initialized", "tools/list", "tools/call"} <= {
        one.method for one in remote.seen
    }


def test_a_header_of_its_own_carries_the_bare_value(tmp_path: Path) -> None:
    with CredentialedMcpServer([TOKEN], header="X-Api-Key") as remote:
        server = server_at(remote.url, header="X-Api-Key")
        answer = with_tools(tmp_path, server, lambda tools: tools.execute(asked()))

    assert isinstance(answer, ToolOk)
    assert {one.credential for one in remote.seen} == {TOKEN}


def test_each_tenant_is_opened_with_its_own_and_no_request_with_anothers(
    tmp_path: Path, remote: CredentialedMcpServer
) -> None:
    async def act(tools: McpTools) -> None:
        await tools.offering("remote")
        for number, tenant in enumerate((GLOBEX, ACME, GLOBEX)):
            value_of(await tools.execute(asked(tenant=tenant, args={"of": tenant, "number": number})))

    with_tools(tmp_path, server_at(remote.url, "secret://env/REMOTE_{tenant}"), act)

    calls = [(one.arguments["of"], one.credential) for one in remote.calls("echo")]
    assert calls == [(GLOBEX, GLOBEX_TOKEN), (ACME, ACME_TOKEN), (GLOBEX, GLOBEX_TOKEN)]


def test_a_tenants_list_is_made_with_its_own_credential(tmp_path: Path, remote: CredentialedMcpServer) -> None:
    async def act(tools: McpTools) -> None:
        await tools.listed("remote", Listing.RESOURCES, ACME)
        await tools.listed("remote", Listing.RESOURCES, GLOBEX)

    with_tools(tmp_path, server_at(remote.url, "secret://env/REMOTE_{tenant}"), act)

    asked_with = [one.credential for one in remote.seen if one.method == "resources/list"]
    assert asked_with == [ACME_TOKEN, GLOBEX_TOKEN]


def test_a_tools_own_credential_is_sent_for_that_tool_alone(tmp_path: Path, remote: CredentialedMcpServer) -> None:
    async def act(tools: McpTools) -> None:
        value_of(await tools.execute(asked(args={"mine": True}, credential="secret://env/REFUNDS")))
        value_of(await tools.execute(asked(args={"mine": False})))

    with_tools(tmp_path, server_at(remote.url), act)

    assert [(one.arguments["mine"], one.credential) for one in remote.calls("echo")] == [
        (True, REFUNDS),
        (False, TOKEN),
    ]


@pytest.mark.parametrize("path", ["/mcp", "/elsewhere"])
def test_a_redirect_is_not_followed_and_takes_no_credential_with_it(tmp_path: Path, path: str) -> None:
    with CredentialedMcpServer([TOKEN]) as other, CredentialedMcpServer() as remote:
        remote.redirect_to = other.url.removesuffix("/mcp") + path
        answer = with_tools(tmp_path, server_at(remote.url), lambda tools: tools.execute(asked()))

    assert isinstance(answer, ToolLost)
    assert answer.has_left is False
    assert remote.seen
    assert not other.seen


def test_a_credential_that_the_server_does_not_take_is_named_by_its_reference(
    tmp_path: Path, remote: CredentialedMcpServer
) -> None:
    remote.credentials = {"sk-another-0123456789"}

    answer = with_tools(tmp_path, server_at(remote.url), lambda tools: tools.execute(asked()))

    assert isinstance(answer, ToolLost)
    assert "'secret://env/REMOTE_TOKEN'" in answer.message
    assert "401" in answer.message
    assert TOKEN not in answer.message


def test_a_reference_that_does_not_resolve_is_named_and_nothing_is_sent(
    tmp_path: Path, remote: CredentialedMcpServer
) -> None:
    answer = with_tools(tmp_path, server_at(remote.url), lambda tools: tools.execute(asked()), environment={})

    assert isinstance(answer, ToolLost)
    assert "REMOTE_TOKEN" in answer.message
    assert not remote.seen


def test_a_rotated_value_is_sent_from_the_next_request_on(tmp_path: Path, remote: CredentialedMcpServer) -> None:
    file = tmp_path / "token.txt"
    file.write_text(TOKEN)
    file.chmod(0o600)

    async def act(tools: McpTools) -> None:
        value_of(await tools.execute(asked()))
        file.write_text(REFUNDS)
        said = value_of(await tools.execute(asked()))
        assert REFUNDS not in json.dumps(said)

    with_tools(tmp_path, server_at(remote.url, "secret://file/token.txt"), act)

    assert [one.credential for one in remote.calls("echo")] == [TOKEN, REFUNDS]
    file.unlink()


class Heard(Conversation):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[JsonObject] = []

    async def tell(self, method: str, params: JsonObject) -> None:
        self.told.append({"method": method, **params})

    async def let_go(self) -> None:
        raise AssertionError

    async def ask(self, server: str, method: str, params: JsonObject) -> JsonObject:
        raise AssertionError(server, method, params)

    async def put(self, method: str, params: JsonObject) -> JsonObject:
        raise AssertionError(method, params)


def test_what_comes_back_is_without_the_credential_wherever_it_stands(
    tmp_path: Path, remote: CredentialedMcpServer
) -> None:
    heard = Heard()

    async def act(tools: McpTools) -> list[object]:
        token = exchange.set(Exchange(conversation=heard))
        try:
            good = await tools.execute(asked())
            failed = await tools.execute(asked("fail"))
        finally:
            exchange.reset(token)
        return [good, failed, await tools.listed("remote", Listing.RESOURCES, ACME), tools.statuses()]

    found = with_tools(tmp_path, server_at(remote.url), act)

    assert isinstance(found[0], ToolOk)
    assert isinstance(found[1], ToolFailed | ToolLost)
    assert heard.told
    for one in [*found, *heard.told]:
        assert TOKEN not in repr(one)
        assert "[secret]" in repr(one) or one is found[3]


def test_a_server_that_never_starts_says_why_without_the_credential(tmp_path: Path) -> None:
    async def act(tools: McpTools) -> str:
        with pytest.raises(ToolUnavailable) as caught:
            await tools.offering("remote")
        return f"{caught.value} {tools.statuses()}"

    said = with_tools(tmp_path, server_at("http://127.0.0.1:1/mcp"), act)

    assert "'127.0.0.1:1'" in said
    assert TOKEN not in said


def test_a_process_is_given_the_value_of_a_reference_and_says_it_to_nobody(tmp_path: Path) -> None:
    (tmp_path / "indiscreet.py").write_text(
        "import json, os, sys\n"
        "for line in sys.stdin:\n"
        "    asked = json.loads(line)\n"
        "    if 'id' not in asked:\n"
        "        continue\n"
        "    about = {'protocolVersion': '2025-11-25', 'capabilities': {'tools': {}}}\n"
        "    about['serverInfo'] = {'name': 'remote', 'version': '1'}\n"
        "    listed = [{'name': n, 'inputSchema': {'type': 'object'}} for n in ('echo', 'fail')]\n"
        "    token = os.environ['TOKEN']\n"
        "    text = [{'type': 'text', 'text': f'it is {token} of {len(token)}'}]\n"
        "    results = {'initialize': about, 'tools/list': {'tools': listed}, 'tools/call': {'content': text}}\n"
        "    found = results.get(asked['method'])\n"
        "    answer = {'result': found} if found else {'error': {'code': -32601, 'message': 'no'}}\n"
        "    print(json.dumps({'jsonrpc': '2.0', 'id': asked['id'], **answer}), flush=True)\n"
    )
    server = McpServer(
        name="remote",
        source=HERE,
        command=("python", "indiscreet.py"),
        trusted_because="a test",
        env={"TOKEN": "secret://env/REMOTE_TOKEN"},
    )

    answer = with_tools(tmp_path, server, lambda tools: tools.execute(asked()))

    assert isinstance(answer, ToolOk)
    assert answer.value == f"it is [secret] of {len(TOKEN)}"


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
def test_from_the_project_file_to_the_server_and_in_no_answer_or_record(
    tmp_path: Path, remote: CredentialedMcpServer, era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMOTE_TOKEN", TOKEN)
    from_remote = {"from": {"mcp": "remote", "name": "echo"}, "effect": "keyed", "input": {"type": "object"}}
    server = {"url": remote.url, "private": "allowed", "credential": "secret://env/REMOTE_TOKEN"}
    more = {"properties": {"key": {"type": "string"}}}
    tool = {**from_remote, "input": {"type": "object", **more}, "idempotency": {"argument": "key"}}
    write_gate(tmp_path, {"remote": server}, {"remote.echo": tool})

    async def whole() -> str:
        async with (
            served(tmp_path) as (_, url),
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as http,
            Client(streamable_http_client(url, http_client=http), mode=era) as agent,
        ):
            return repr(await agent.call_tool("remote.echo", {"order": era}))

    said = asyncio.run(whole())

    assert era in said
    assert "[secret]" in said
    assert TOKEN not in said
    assert [one.credential for one in remote.calls("echo")] == [TOKEN]
    assert KEY not in repr(remote.seen), "the caller's own credential went on to a server"
    assert not list(leaks_in(tmp_path, frozenset({TOKEN})))
