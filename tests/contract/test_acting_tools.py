"""Every executor of tools behaves alike: a function of the project and a tool of an MCP server."""

import asyncio
import shutil
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
from leverframe.domain.tools import EffectClass, McpOrigin, PythonOrigin, ToolSpec
from leverframe.identity.secrets import ProjectSecrets
from leverframe.tools.functions import PythonFunctions
from leverframe.tools.python_tools import PythonTools
from leverframe.tools.router import ToolRouter
from tests.pinning import SHOP, mcp_tools, pin_offering

T = TypeVar("T")

FIXTURES = Path(__file__).parent.parent / "fixtures"
HERE = SourceRef(file="tools/shop.yaml", line=1)
SERVER = McpServer(name="shop", command=("python", "mcp_shop.py", "effects.txt"), trusted_because="a test", source=HERE)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("mcp_shop.py", "python_shop.py"):
        shutil.copy(FIXTURES / name, tmp_path / name)
    pin_offering(tmp_path, SERVER, SHOP)
    return tmp_path


@pytest.fixture(params=["python", "mcp"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def router(project: Path) -> ToolRouter:
    secrets = ProjectSecrets(project, {"LOUD": "49.90", "WORD": "such order"})
    python = PythonTools(PythonFunctions(project), secrets)
    return ToolRouter(python=python, mcp=mcp_tools({"shop": SERVER}, project), secrets=secrets)


def spec(
    kind: str, name: str, *, effect: EffectClass = EffectClass.KEYED, key: str = "", credential: str = ""
) -> ToolSpec:
    python, mcp = PythonOrigin(file="python_shop.py", function=name), McpOrigin(server="shop", name=name)
    return ToolSpec(
        name=ToolName(name),
        version=1,
        origin=python if kind == "python" else mcp,
        effect=effect,
        description="",
        input_schema={"type": "object"},
        output_schema=None,
        schema_sha256=Sha256("0" * 64),
        source=HERE,
        idempotency_argument=key,
        credential=credential,
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


def with_tools(project: Path, act: Callable[[ToolRouter], Awaitable[T]]) -> T:
    async def whole() -> T:
        tools = router(project)
        try:
            return await act(tools)
        finally:
            await tools.close()
            await tools.close()

    return asyncio.run(whole())


def execute(project: Path, *requests: ToolRequest) -> list[ToolAnswer]:
    answers: list[ToolAnswer] = []

    async def act(tools: ToolRouter) -> None:
        for request in requests:
            answers.append(await tools.execute(request))  # noqa: PERF401 one after another

    with_tools(project, act)
    return answers


def test_an_answer_keeps_its_decimals_exact(project: Path, kind: str) -> None:
    (answer,) = execute(project, asked(spec(kind, "lookup_order")))

    assert answer == ToolOk(value={"order_id": "#W1", "total": Decimal("49.90"), "items": [1, 2]})
    assert isinstance(answer, ToolOk)
    assert "49.90" in str(answer.value)


def test_arguments_arrive_exact_and_the_key_under_its_name(project: Path, kind: str) -> None:
    (answer,) = execute(project, asked(spec(kind, "echo", key="key"), {"amount_usd": Decimal("0.10")}))

    assert isinstance(answer, ToolOk), answer
    assert answer.value == {"amount_usd": Decimal("0.10"), "key": "key-1"}
    assert "'0.10'" in str(answer.value)


def test_a_refusal_is_a_failure_with_its_words(project: Path, kind: str) -> None:
    (answer,) = execute(project, asked(spec(kind, "refuse")))

    assert isinstance(answer, ToolFailed)
    assert answer.message == "no such order"


def test_no_answer_in_time_may_have_had_its_effect(project: Path, kind: str) -> None:
    first, second = execute(project, asked(spec(kind, "lookup_order")), asked(spec(kind, "hang"), deadline_s=0.2))

    assert isinstance(first, ToolOk)
    assert isinstance(second, ToolLost)
    assert (second.kind, second.has_left) == ("timeout", True)
    assert "hang" in second.message


def test_a_crash_of_a_write_may_have_had_its_effect_and_the_next_call_works(project: Path, kind: str) -> None:
    crashed, after = execute(project, asked(spec(kind, "crash")), asked(spec(kind, "lookup_order")))

    assert isinstance(crashed, ToolLost)
    assert (crashed.kind, crashed.has_left) == ("crash", True)
    assert "segmentation fault, they say" in crashed.message
    assert isinstance(after, ToolOk)


def test_an_answer_over_the_limit_is_garbage(project: Path, kind: str) -> None:
    huge, after = execute(project, asked(spec(kind, "huge")), asked(spec(kind, "lookup_order")))

    assert isinstance(huge, ToolLost)
    assert (huge.kind, huge.has_left) == ("garbage", True)
    assert "1,048,576" in huge.message
    assert isinstance(after, ToolOk)


def test_a_tool_that_is_not_there_is_named_with_the_nearest_and_does_nothing(project: Path, kind: str) -> None:
    async def act(tools: ToolRouter) -> tuple[str, str, ToolAnswer]:
        missing = spec(kind, "lookup_ordr")
        return (
            await tools.ready(spec(kind, "lookup_order")),
            await tools.ready(missing),
            await tools.execute(asked(missing)),
        )

    there, reason, answer = with_tools(project, act)

    assert there == ""
    assert "'lookup_ordr'" in reason
    assert "Did you mean 'lookup_order'?" in reason
    assert isinstance(answer, ToolFailed) or (isinstance(answer, ToolLost) and not answer.has_left)


def test_parallel_calls_do_not_wait_for_each_other(project: Path, kind: str) -> None:
    async def act(tools: ToolRouter) -> list[ToolAnswer]:
        hanging = asyncio.create_task(tools.execute(asked(spec(kind, "hang"))))
        quick = await asyncio.gather(*(tools.execute(asked(spec(kind, "lookup_order"))) for _ in range(5)))
        assert not hanging.done()
        hanging.cancel()
        await asyncio.wait({hanging})
        return list(quick)

    answers = with_tools(project, act)

    assert all(isinstance(answer, ToolOk) for answer in answers)


def test_a_known_secret_is_in_no_answer(project: Path, kind: str) -> None:
    async def act(tools: ToolRouter) -> list[ToolAnswer]:
        for reference in ("secret://env/LOUD", "secret://env/WORD"):
            tools._secrets.resolve(reference)
        return [await tools.execute(asked(spec(kind, name))) for name in ("lookup_order", "refuse")]

    answers = with_tools(project, act)

    assert "49.90" not in str(answers)
    assert "such order" not in str(answers)
    assert str(answers).count("[secret]") >= 2
