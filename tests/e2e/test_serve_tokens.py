"""`/mcp` of `leverframe serve` for whoever has a token of the project's issuer; no server behind it gets that."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from leverframe.config.project import load_project
from leverframe.testing import CredentialedMcpServer, FakeVendor
from leverframe.testing.issuer import LoopbackIssuer
from leverframe.wiring.people import launcher
from tests.pinning import pin_everything
from tests.served import Answer, ServedDesk, free_port

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ECHO = {"from": {"mcp": "remote", "name": "echo"}, "effect": "read", "input": {"type": "object"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A served project of two tenants, its issuer, and the server behind it."""

    desk: ServedDesk
    issuer: LoopbackIssuer
    remote: CredentialedMcpServer

    @property
    def audience(self) -> str:
        return f"http://127.0.0.1:{self.desk.port}/mcp"

    def token(self, **claims: object) -> str:
        said = {"aud": self.audience, "org": "acme", "scope": "call", "roles": ["desk"], "email": "ann", **claims}
        return self.issuer.token(**said)  # type: ignore[arg-type]  # a test's own claims

    def ask(self, token: str) -> Answer:
        return self.desk.ask("/mcp", LIST, key=token)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    folder = tmp_path_factory.mktemp("tokens")
    with LoopbackIssuer("/realms/acme") as issuer, CredentialedMcpServer() as remote, FakeVendor() as vendor:
        port = free_port()
        desk = ServedDesk(folder=folder, vendor=vendor, port=port)
        access = {
            "issuer": issuer.url,
            "audience": f"http://127.0.0.1:{port}/mcp",
            "scopes": ["call"],
            "claims": {"tenant": "org", "workflows": "roles", "principal": "email"},
            "private": "allowed",
        }
        project = {
            "tenants": {"acme": {}, "globex": {}},
            "people": {name: {"roles": ["approver"]} for name in ("lena", launcher())},
            "servers": {"remote": {"url": remote.url, "private": "allowed"}},
            "access_tokens": access,
        }
        (folder / "workflows").mkdir()
        (folder / "tools").mkdir()
        (folder / "leverframe.yaml").write_text(json.dumps(project))
        (folder / "tools" / "echo.yaml").write_text(json.dumps({"tool": "echo", **ECHO}))
        for name in ("desk", "vault"):
            contract = {"workflow": name, "policy": {"allow_tools": ["echo"]}}
            (folder / "workflows" / f"{name}.yaml").write_text(json.dumps(contract))
        asyncio.run(pin_everything(load_project(folder).servers, folder))
        # No API key was made: the issuer's tokens are enough to be served.
        desk.start()
        try:
            yield Gate(desk=desk, issuer=issuer, remote=remote)
        finally:
            desk.stop()


def called(
    gate: Gate, token: str, era: str = "2026-07-28", selected: Mapping[str, str] | None = None, **arguments: object
) -> str:
    """What the official client gets of one call."""
    headers = {"Authorization": f"Bearer {token}", **(selected or {})}

    async def play() -> str:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(gate.audience, http_client=http), mode=era) as agent,
        ):
            assert [tool.name for tool in (await agent.list_tools()).tools] == ["echo"]
            return repr(await agent.call_tool("echo", arguments))

    return asyncio.run(play())


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
def test_a_person_with_a_token_calls_and_the_token_reaches_no_server(gate: Gate, era: str) -> None:
    token = gate.token(sub=f"user-{era}", email="lena")

    assert era in called(gate, token, era, by=era)
    assert [one.credential for one in gate.remote.calls("echo") if one.arguments == {"by": era}] == [""]
    assert token not in repr(gate.remote.seen)


def test_every_token_of_one_subject_is_of_one_run_and_of_its_own_tenant(gate: Gate) -> None:
    for claims in ({"jti": "1"}, {"jti": "2"}, {"org": "globex"}, {"sub": "same-2"}):
        called(gate, gate.token(**{"sub": "same", "email": "nobody-here", **claims}))

    runs = json.loads(gate.desk.cli("runs", "list", "--json").stdout)["runs"]
    mine = [one for one in runs if "oidc:nobody-here" in json.dumps(one) or one["tenant"] == "globex"]
    initiators = {(one["tenant"], one["initiator"]) for one in runs if one["initiator"].startswith("key:oidc_")}
    assert len({one for one in initiators if one[0] == "globex"}) == 1
    assert len(initiators) == len({one["run_id"] for one in runs if one["initiator"].startswith("key:oidc_")})
    assert mine


def test_the_metadata_says_where_a_client_gets_a_token_for_this_resource(gate: Gate) -> None:
    refused = gate.ask("lf_nobody")
    where = re.search(r'resource_metadata="([^"]+)"', refused.headers["www-authenticate"])

    assert refused.status == 401
    assert where is not None
    for path in (where[1].partition(f":{gate.desk.port}")[2], "/.well-known/oauth-protected-resource"):
        metadata = gate.desk.ask(path, None, method="GET", key="").json
        assert metadata["resource"] == gate.audience
        assert metadata["authorization_servers"] == [gate.issuer.url]
        assert metadata["scopes_supported"] == ["call"]
    assert gate.desk.ask(where[1].partition(f":{gate.desk.port}")[2], {}, key="").status == 405


def test_a_token_that_is_not_taken_gets_401_with_the_reason(gate: Gate) -> None:
    for claims, why in (
        ({"aud": "https://other.example"}, "another audience"),
        ({"exp": 1}, "expired"),
        ({"org": "initech"}, "tenant"),
        ({"roles": ["nowhere"]}, "workflow"),
    ):
        answer = gate.ask(gate.token(**claims))

        assert answer.status == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert why in answer.headers["www-authenticate"]
        assert answer.json["type"] == "/problems/token-refused"


def test_a_token_without_the_scope_gets_403_with_the_scope_to_ask_for(gate: Gate) -> None:
    answer = gate.ask(gate.token(scope="openid"))

    assert answer.status == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert 'scope="call"' in answer.headers["www-authenticate"]


def test_a_token_opens_only_what_it_names_and_only_mcp(gate: Gate) -> None:
    both = gate.token(sub="both", roles=["desk", "vault"])
    with pytest.raises(ExceptionGroup) as caught:
        called(gate, both)
    # Two workflows, so the call must name one of them.
    assert "Leverframe-Workflow" in repr(caught.value.exceptions)

    assert gate.desk.ask("/v1/models", None, method="GET", key=both).status == 401
    assert gate.desk.ask("/api/v1/runs", {"workflow": "desk", "input": {}}, key=both).status == 401


def test_a_token_opens_what_it_names_and_not_what_another_of_its_subject_opened_before(gate: Gate) -> None:
    of_vault, of_desk = (gate.token(sub="moved", email="moved", roles=[role]) for role in ("vault", "desk"))
    in_vault = {"Leverframe-Workflow": "vault"}
    for token, selected in ((of_vault, {}), (of_vault, in_vault), (of_desk, {})):
        called(gate, token, selected=selected)

    rows = json.loads(gate.desk.cli("runs", "list", "--json").stdout)["runs"]
    runs = {one["workflow"]: one["run_id"] for one in rows if one["launcher"] == "oidc:moved"}
    assert set(runs) == {"desk", "vault"}
    assert "is_error=False" in called(gate, of_vault, selected={"Leverframe-Run": runs["vault"]})
    for selected in (in_vault, {"Leverframe-Run": runs["vault"]}):
        with pytest.raises(ExceptionGroup) as caught:
            called(gate, of_desk, selected=selected)
        assert "There is no" in repr(caught.value.exceptions)


def test_a_key_still_works_beside_tokens_and_a_kill_switch_stops_one_subject(gate: Gate) -> None:
    assert "by-key" in called(gate, gate.desk.create_key("beside", "--tenant", "acme"), by="by-key")
    token = gate.token(sub="stopped")
    assert "is_error=False" in called(gate, token, stopped=True)
    runs = json.loads(gate.desk.cli("runs", "list", "--json").stdout)["runs"]
    name = max(runs, key=lambda one: one["opened_at"])["initiator"].removeprefix("key:")

    killed = gate.desk.cli("kill", "key", name, "--because", "a test")

    assert killed.returncode == 0, killed.stdout + killed.stderr
    assert "is_error=True" in called(gate, token, stopped=True)
    assert "is_error=False" in called(gate, gate.token(sub="another"), stopped=False)


def test_an_issuer_that_is_down_keeps_out_nobody_it_vouched_for_lately(gate: Gate) -> None:
    gate.issuer.is_down = True
    try:
        assert "is_error=False" in called(gate, gate.token(sub="later"))
    finally:
        gate.issuer.is_down = False
    gate.desk.verified()
