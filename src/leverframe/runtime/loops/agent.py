"""Kind `agent`: model and tools in a loop until the model is done, or something stops it."""

from collections.abc import Mapping

from leverframe.core.canonical import decode, encode
from leverframe.core.policy.plan_rules import planned_tools
from leverframe.domain.calls import Message, OfferedTool, Role, ToolUse
from leverframe.domain.errors import JsonInvalid
from leverframe.domain.ids import StepPath, ToolName, child_path
from leverframe.domain.json import Json
from leverframe.domain.plans import DECLARE_PLAN
from leverframe.domain.runs import StepState
from leverframe.runtime.context import RunContext
from leverframe.runtime.door import Door
from leverframe.runtime.loops.ending import Advanced, fall_back, model_stopped, succeed, wait_for_person
from leverframe.runtime.meaning import spoken
from leverframe.runtime.outcomes import Answered, Exhausted, HeldBack, Lost, ModelSaid, Stopped, ToolOutcome
from leverframe.runtime.prompts import system_prompt, user_message
from leverframe.runtime.schemas import schema_error


async def run_agent(door: Door, ctx: RunContext) -> Advanced:
    """Advance the run until it ends or must wait.  Turn `i` is step `i`, its tool calls `i.0`, `i.1` and so on."""
    # Kept here and not read off the journal: replay must offer at each turn what was offered then.
    plan: Mapping[ToolName, int] | None = None
    messages = [
        Message(role=Role.SYSTEM, text=system_prompt(ctx)),
        Message(role=Role.USER, text=user_message(ctx)),
    ]
    turn = 0
    while True:
        path = StepPath(str(turn))
        limit = over_total_time(ctx)
        if limit:
            return await fall_back(ctx, limit, "The run took longer than its contract allows.")
        said = await door.model_call(ctx, path, tuple(messages), tools=offered_tools(ctx, plan))
        if not isinstance(said, ModelSaid):
            return await model_stopped(ctx, said)
        if not said.tool_uses:
            return await _finish(door, ctx, said)
        messages.append(Message(role=Role.ASSISTANT, text=said.text, tool_uses=said.tool_uses))
        for position, use in enumerate(said.tool_uses):
            outcome = await door.tool_call(ctx, child_path(path, position), use.name, use.arguments)
            match outcome:
                case HeldBack() | Lost():
                    return await wait_for_person(ctx, outcome)
                case Stopped():
                    return await fall_back(ctx, outcome.limit, outcome.message)
                case Exhausted():
                    return await fall_back(ctx, outcome.reason, outcome.message)
                case _:
                    messages.append(_answer_message(use, outcome))
            plan = declared(plan, use, outcome)
        turn += 1


def declared(plan: Mapping[ToolName, int] | None, use: ToolUse, outcome: ToolOutcome) -> Mapping[ToolName, int] | None:
    """The plan after a call: that of a declaration that was let through, else the one from before."""
    if use.name != DECLARE_PLAN or not isinstance(outcome, Answered) or not isinstance(outcome.value, Mapping):
        return plan
    return planned_tools(outcome.value)


def offered_tools(ctx: RunContext, plan: Mapping[ToolName, int] | None = None) -> tuple[OfferedTool, ...]:
    """The tools that the contract lets an agent ask for, in contract order; once there is a plan, those of the plan."""
    return tuple(
        OfferedTool(name=name, description=spec.description, input_schema=spec.input_schema)
        for name in ctx.contract.callable_tools()
        if (spec := ctx.contract.tools.get(name)) is not None
        and (not spec.environments or ctx.run.environment in spec.environments)
        and (plan is None or ctx.policy.plan is None or name in plan or name == DECLARE_PLAN)
    )


def over_total_time(ctx: RunContext) -> str:
    """`max_total_s 600` when the run is older than that, waits included; else empty.

    A write that a dead process left is settled first, by asking its receiver or sending it again, whatever the time.
    """
    limit_s = ctx.contract.budget.max_total_s
    is_left = any(step.state is StepState.INTENDED for step in ctx.steps.values())
    if limit_s is None or is_left or ctx.total_seconds(ctx.services.mint.now()) <= limit_s:
        return ""
    return f"max_total_s {limit_s}"


async def _finish(door: Door, ctx: RunContext, said: ModelSaid) -> Advanced:
    """The model asks for nothing more: its text is the output, typed where the contract says so."""
    if ctx.contract.output_schema is None:
        return await succeed(door, ctx, spoken(ctx, said.text))
    try:
        output = spoken(ctx, decode(said.text.encode()))
    except JsonInvalid as err:
        return await fall_back(ctx, "invalid_output", f"The model's answer is not JSON: {err.message}")
    complaint = schema_error(ctx.contract.output_schema, output.value)
    if complaint:
        return await fall_back(ctx, "invalid_output", f"The model's answer breaks `output:`: {complaint}")
    return await succeed(door, ctx, output)


def _answer_message(use: ToolUse, outcome: ToolOutcome) -> Message:
    match outcome:
        case Answered(shown=shown):
            said: Json = shown
        case _:
            said = {"error": outcome.message}
    return Message(role=Role.TOOL, tool_use_id=use.id, text=encode(said).decode())
