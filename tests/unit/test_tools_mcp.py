"""MCP servers over stdio: what they are given, what their ends mean, and that none outlives us."""

import asyncio
import os
import shutil
import signal
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import pytest

from leverframe.domain.calls import ToolAnswer, ToolFailed, ToolLost, ToolOk, ToolRequest
from leverframe.domain.contracts import McpServer
from leverframe.domain.ids import CallId, Sha256, TenantId, ToolName
from leverframe.domain.json import JsonObject
from leverframe.domain.policy import SourceRef
from leverframe.domain.tools import EffectClass, McpOrigin, ToolSpec
from leverframe.ports.conversation import Exchange
from leverframe.ports.upstreams import UpstreamState
from leverframe.tools.mcp_peer import Ears, PeerLost, RpcError
from leverframe.tools.mcp_process import ServerProcess
from leverframe.tools.mcp_stdio import StdioPeer
from leverframe.tools.mcp_tools import McpTools
from leverframe.tools.mcp_upstream import back_off_s
from leverframe.tools.sandbox import launch_of
from tests.pinning import SHOP as SHOP_OFFERING
from tests.pinning import mcp_tools, pin_offering

FIXTURES = Path(__file__).parent.parent / "fixtures"
HERE = SourceRef(file="leverframe.yaml", line=1)
SHOP = ("python", "mcp_shop.py", "effects.txt")
T = TypeVar("T")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("mcp_shop.py", "mcp_sdk_shop.py"):
        shutil.copy(FIXTURES / name, tmp_path / name)
    return tmp_path


def spec(name: str, effect: EffectClass = EffectClass.KEYED, server: str = "shop") -> ToolSpec:
    return ToolSpec(
        name=ToolName(name),
        version=1,
        origin=McpOrigin(server=server, name=name),
        effect=effect,
        description="",
        input_schema={"type": "object"},
        output_schema=None,
        schema_sha256=Sha256("0" * 64),
        source=HERE,
    )


def asked(tool: ToolSpec, args: JsonObject | None = None, deadline_s: float = 20.0) -> ToolRequest:
    return ToolRequest(
        call_id=CallId("call_1"),
        tenant=TenantId("default"),
        spec=tool,
        args=args or {},
        idempotency_key="key-1",
        deadline_s=deadline_s,
    )


def with_server(
    project: Path,
    act: Callable[[McpTools], Awaitable[T]],
    command: tuple[str, ...] = SHOP,
    trusted: str = "a test",
) -> T:
    async def whole() -> T:
        server = McpServer(name="shop", command=command, trusted_because=trusted, source=HERE)
        pin_offering(project, server, SHOP_OFFERING)
        tools = mcp_tools({"shop": server}, project)
        try:
            return await act(tools)
        finally:
            await tools.close()

    return asyncio.run(whole())


def execute(
    project: Path, request: ToolRequest, command: tuple[str, ...] = SHOP, trusted: str = "a test"
) -> ToolAnswer:
    return with_server(project, lambda tools: tools.execute(request), command, trusted)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_server_inherits_no_variable_and_stands_in_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")

    answer = execute(project, asked(spec("environment")))

    assert isinstance(answer, ToolOk)
    assert isinstance(answer.value, dict)
    assert answer.value["names"] == []
    assert answer.value["cwd"] == str(project.resolve())


def test_no_server_outlives_close(project: Path) -> None:
    answer = execute(project, asked(spec("environment")))

    assert isinstance(answer, ToolOk)
    assert isinstance(answer.value, dict)
    pid = answer.value["pid"]
    assert isinstance(pid, int)
    assert not is_running(pid)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ((*SHOP, "dies"), "no database"),
        (("no-such-program",), "'no-such-program' is not there"),
        (("./no-such-file",), "'./no-such-file' is not there"),
        (("python", "-c", "print('{')"), "is not JSON-RPC"),
        (("python", "-c", "pass"), "ended during the handshake"),
    ],
)
def test_a_server_that_does_not_start_says_why_and_nothing_left(
    project: Path, command: tuple[str, ...], reason: str
) -> None:
    async def act(tools: McpTools) -> tuple[str, ToolAnswer]:
        return await tools.ready(spec("lookup_order")), await tools.execute(asked(spec("lookup_order")))

    why_not, answer = with_server(project, act, command)

    assert reason in why_not
    assert isinstance(answer, ToolLost)
    assert (answer.kind, answer.has_left) == ("connect", False)


def test_a_start_that_outlasts_one_call_serves_the_next(project: Path) -> None:
    async def act(tools: McpTools) -> tuple[ToolAnswer, ToolAnswer]:
        hasty = await tools.execute(asked(spec("lookup_order"), deadline_s=0.0001))
        return hasty, await tools.execute(asked(spec("lookup_order")))

    hasty, patient = with_server(project, act)

    assert isinstance(hasty, ToolLost)
    assert (hasty.kind, hasty.has_left) == ("connect", False)
    assert isinstance(patient, ToolOk)


@pytest.mark.parametrize("effect", list(EffectClass))
def test_an_internal_error_of_a_server_leaves_the_effect_of_a_write_unknown(project: Path, effect: EffectClass) -> None:
    answer = execute(project, asked(spec("broken", effect)))

    if effect.is_write:
        assert isinstance(answer, ToolLost)
        assert answer.has_left
    else:
        assert isinstance(answer, ToolFailed)
    assert "it fell over half way" in answer.message


def test_after_a_garbled_message_a_new_server_is_asked(project: Path) -> None:
    async def act(tools: McpTools) -> tuple[ToolAnswer, ToolAnswer]:
        return await tools.execute(asked(spec("garbled"))), await tools.execute(asked(spec("lookup_order")))

    garbled, after = with_server(project, act)

    assert isinstance(garbled, ToolLost)
    assert (garbled.kind, garbled.has_left) == ("garbage", True)
    assert isinstance(after, ToolOk)


def test_a_server_killed_between_calls_is_started_again(project: Path) -> None:
    async def act(tools: McpTools) -> ToolAnswer:
        first = await tools.execute(asked(spec("environment")))
        assert isinstance(first, ToolOk)
        assert isinstance(first.value, dict)
        pid = first.value["pid"]
        assert isinstance(pid, int)
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            # Its end is noticed by the loop itself, which sets no event.
            while tools.statuses()["shop"].state is UpstreamState.UP:  # noqa: ASYNC110
                await asyncio.sleep(0)
        return await tools.execute(asked(spec("lookup_order")))

    assert isinstance(with_server(project, act), ToolOk)


class Deaf(Ears):
    """Hears nothing and answers nothing."""

    async def asked(self, method: str, params: JsonObject, during: Exchange | None) -> JsonObject:
        raise RpcError(-32601, f"{method} {params} {during}")

    async def told(self, method: str, params: JsonObject, during: Exchange | None) -> None:
        del method, params, during


def test_a_request_to_a_server_that_has_ended_never_leaves(project: Path) -> None:
    async def act() -> PeerLost:
        server = McpServer(name="shop", command=SHOP, trusted_because="a test", source=HERE)
        peer = StdioPeer("shop", await ServerProcess.start(await launch_of(server, project)), Deaf())
        await peer.close()
        with pytest.raises(PeerLost) as lost:
            await peer.request("tools/call", {"name": "lookup_order"}, deadline_s=5.0, headers={})
        return lost.value

    assert not asyncio.run(act()).has_left


def test_a_server_made_with_the_sdk_works_and_its_decimals_stay_exact(project: Path) -> None:
    command = ("python", "mcp_sdk_shop.py")
    sdk_shop = McpServer(name="shop", command=command, trusted_because="a test", source=HERE)

    async def act(tools: McpTools) -> tuple[str, ToolAnswer]:
        tool = spec("lookup_order")
        pin_offering(project, sdk_shop, await tools.offering("shop"))
        return await tools.ready(tool), await tools.execute(asked(tool, {"order_id": "#W2"}))

    why_not, answer = with_server(project, act, command)

    assert why_not == ""
    assert answer == ToolOk(value={"order_id": "#W2", "total": Decimal("49.90")})


def test_a_server_that_the_project_does_not_have_is_named_with_the_nearest(project: Path) -> None:
    answer = execute(project, asked(spec("lookup_order", server="shpo")))

    assert isinstance(answer, ToolLost)
    assert "Did you mean 'shop'?" in answer.message


def test_the_first_restart_comes_at_once_and_later_ones_wait_longer_up_to_a_limit() -> None:
    waits = [back_off_s(failures) for failures in (0, 1, 2, 3, 4, 9, 10_000)]

    assert waits == [0.0, 0.0, 0.25, 0.5, 1.0, 30.0, 30.0]
