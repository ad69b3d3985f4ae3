"""What the door costs, measured in this run on this machine.

Knows: how a recorded decision becomes a question again, and how to call the shop's tool with and without the door.
Never: reports a figure of another day; each is the median of what was timed just now.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

from examples.returns_desk import hostile
from examples.returns_desk.desk import contract, open_run
from leverframe.core.policy import Asker, CompiledPolicy, Question, compile_contract, decide
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.calls import ToolOk, ToolRequest
from leverframe.domain.ids import CallId, RunId, ToolName, WindowId
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import INTEGRITY_WORDS, Label
from leverframe.domain.policy import Allow, Decision, Deny, Fact, Hold, Known, Unreadable
from leverframe.domain.runs import RunOutcome, Step, StepKind
from leverframe.runtime.context import RunContext
from leverframe.runtime.outcomes import Answered
from leverframe.wiring.assembly import Assembly

_READ: Final = ToolName("get_user_details")
_READ_ARGS: Final[JsonObject] = {"user_id": hostile.CUSTOMER}
_RUNS: Final = 3
_CALLS_A_RUN: Final = 16
_TIMES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Medians.  `decided_alike` of `questions` recorded decisions came out as recorded when they were decided again."""

    decision_us: float
    added_ms: float
    questions: int
    decided_alike: int


async def measure(assembly: Assembly, run_id: RunId) -> Costs:
    """Decide the agent's recorded calls of a run again, and time reads with and without the door."""
    ctx = (await assembly.runner.reopen_outside(run_id)).ctx
    policy = compile_contract(ctx.contract)
    asked = [
        (step, question)
        for step in ctx.steps.values()
        if step.kind is StepKind.TOOL and (question := _question(ctx, step)) is not None
    ]
    alike = sum(_word(decide(question, policy)) == step.decision for step, question in asked)
    return Costs(
        decision_us=median(_decision_us(question, policy) for _, question in asked),
        added_ms=await _added_ms(assembly),
        questions=len(asked),
        decided_alike=alike,
    )


def _decision_us(question: Question, policy: CompiledPolicy) -> float:
    taken: list[int] = []
    for _ in range(_TIMES):
        began = time.perf_counter_ns()
        decide(question, policy)
        taken.append(time.perf_counter_ns() - began)
    return median(taken) / 1_000


async def _added_ms(assembly: Assembly) -> float:
    """The difference of the medians of one read through the door and straight to the shop, taken in turns."""
    spec = contract(assembly.project).tools[_READ]
    through: list[float] = []
    straight: list[float] = []
    for _ in range(_RUNS):
        run = await open_run(assembly, hostile.CUSTOMER, hostile.WORDS)
        for number in range(_CALLS_A_RUN):
            request = ToolRequest(
                call_id=CallId(f"call_straight_{number}"),
                tenant=run.ctx.run.tenant,
                spec=spec,
                args=_READ_ARGS,
                idempotency_key="",
                deadline_s=spec.timeout_s,
            )
            began = time.perf_counter()
            answer = await assembly.tools.execute(request)
            between = time.perf_counter()
            outcome = await run.call_tool(_READ, _READ_ARGS)
            ended = time.perf_counter()
            if isinstance(answer, ToolOk) and isinstance(outcome, Answered):
                straight.append(between - began)
                through.append(ended - between)
        await run.end(RunOutcome.SUCCESS, {"calls": len(through)})
    return (median(through) - median(straight)) * 1_000


def _question(ctx: RunContext, step: Step) -> Question | None:
    """What one recorded decision was asked; None for a re-entry after a grant, whose grant is spent."""
    recorded = ctx.payload(step.args_ref)
    if not isinstance(recorded, Mapping) or recorded.get("asker") != Asker.AGENT:
        return None
    envelope = recorded.get("envelope")
    frozen = envelope if isinstance(envelope, Mapping) else recorded
    tool = ToolName(step.name)
    return Question(
        tool=tool,
        spec=ctx.contract.tools.get(tool),
        args=_object(frozen.get("args")),
        run=ctx.facts,
        schema_error=str(recorded.get("schema_error", "")),
        facts={name: _fact(value) for name, value in _object(frozen.get("facts")).items()},
        windows=tuple(_window(ctx, one) for one in _list(recorded.get("windows"))),
        cost={BudgetUnit.TOOL_CALLS: 1, BudgetUnit.STEPS: 1},
        arg_labels={str(one["argument"]): _label(one) for one in _list(recorded.get("labels"))},
        once_per_seen=_truth(recorded.get("once_per_seen")),
    )


def _fact(recorded: Json) -> Fact:
    told = _object(recorded)
    if "unreadable" in told:
        return Unreadable(why=str(told["unreadable"]))
    return Known(value=told.get("value"), label=_label(told))


def _label(told: JsonObject) -> Label:
    return Label(integrity=INTEGRITY_WORDS[str(told["integrity"])])


def _window(ctx: RunContext, told: JsonObject) -> Window:
    return Window(
        window_id=WindowId(ctx.window_id),
        unit=BudgetUnit(str(told["unit"])),
        limit=int(str(told["limit"])),
        settled=int(str(told["settled"])),
        reserved=int(str(told["reserved"])),
    )


def _truth(value: Json) -> bool | None:
    return value if isinstance(value, bool) else None


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[JsonObject]:
    return [_object(one) for one in value] if isinstance(value, list | tuple) else []


def _word(decision: Decision) -> str:
    match decision:
        case Allow():
            return "allow"
        case Hold():
            return "hold"
        case Deny():
            return "deny"
