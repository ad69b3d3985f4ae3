"""Kind `chain`: a fixed list of steps, with typed answers between them.

Parse and check steps are pure, so they are done again on replay; model and tool steps are in the journal.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import assert_never

import re2

from leverframe.core.canonical import decode
from leverframe.domain.calls import Message, Role
from leverframe.domain.contracts import ChainStep, CheckStep, ModelStep, ParseStep, ToolStep
from leverframe.domain.errors import JsonInvalid
from leverframe.domain.ids import StepPath
from leverframe.domain.json import Json, JsonObject
from leverframe.runtime.context import RunContext
from leverframe.runtime.door import Door
from leverframe.runtime.entering import INPUT, token_shown
from leverframe.runtime.loops.agent import over_total_time
from leverframe.runtime.loops.ending import Advanced, fall_back, model_stopped, succeed, wait_for_person
from leverframe.runtime.meaning import meant_by_model, spoken
from leverframe.runtime.outcomes import Answered, Exhausted, Failed, HeldBack, Lost, ModelSaid, Refused, Stopped
from leverframe.runtime.paths import MISSING, resolve
from leverframe.runtime.prompts import chain_prompt, model_prompt
from leverframe.runtime.schemas import schema_error


async def run_chain(door: Door, ctx: RunContext) -> Advanced:
    """Advance the run step by step; step `i` of the list is step `i` of the run."""
    names: dict[str, Json] = {}
    shown: dict[str, Json] = {"input": ctx.shown[INPUT]}
    last: Json = None
    for number, step in enumerate(ctx.contract.steps):
        path = StepPath(str(number))
        limit = over_total_time(ctx)
        if limit:
            return await fall_back(ctx, limit, "The run took longer than its contract allows.")
        done = await _one(door, ctx, path, step, _Names(values={"input": ctx.input, **names}, shown=shown))
        if not isinstance(done, _Value):
            return done
        last = names[step.name] = done.value
        shown[step.name] = done.shown
    output = spoken(ctx, last)
    complaint = schema_error(ctx.contract.output_schema, output.value)
    if complaint:
        return await fall_back(ctx, "invalid_output", f"The last step's answer breaks `output:`: {complaint}")
    return await succeed(door, ctx, output)


class _Value:
    """What a step gave to the names of the chain: to its code, and as its models are shown it."""

    def __init__(self, value: Json, shown: Json) -> None:
        self.value = value
        self.shown = shown


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """What the steps so far gave: to code as it is, to models as they may see it."""

    values: JsonObject
    shown: JsonObject


async def _one(door: Door, ctx: RunContext, path: StepPath, step: ChainStep, names: _Names) -> "_Value | Advanced":
    roots = names.values
    match step:
        case ParseStep():
            token = _parsed(step, roots)
            is_as_shown = resolve(step.in_, names.shown) == resolve(step.in_, roots)
            return _Value(token, token if is_as_shown else token_shown(ctx, step.name, token))
        case CheckStep():
            values = [_present(resolve(place, roots)) for place in step.of]
            if ctx.services.functions.call(step.function, values) is True:
                return _Value(True, True)
            message = f"The check {step.name!r} ({step.source}) said no."
            return await fall_back(ctx, f"invalid_output {step.name} {step.source}", message)
        case ModelStep():
            return await _model(door, ctx, path, step, names.shown)
        case ToolStep():
            return await _tool(door, ctx, path, step, roots)
        case _:
            assert_never(step)


async def _model(
    door: Door, ctx: RunContext, path: StepPath, step: ModelStep, roots: JsonObject
) -> "_Value | Advanced":
    messages = (
        Message(role=Role.SYSTEM, text=model_prompt(ctx, step.prompt)),
        Message(role=Role.USER, text=chain_prompt(ctx, roots)),
    )
    said = await door.model_call(ctx, path, messages, output_schema=step.output_schema)
    if not isinstance(said, ModelSaid):
        return await model_stopped(ctx, said)
    return await _typed(ctx, step, said)


async def _typed(ctx: RunContext, step: ModelStep, said: ModelSaid) -> "_Value | Advanced":
    if step.output_schema is None:
        return _Value(meant_by_model(ctx, said.text), said.text)
    reason = f"invalid_output {step.name} {step.source}"
    try:
        value = decode(said.text.encode())
    except JsonInvalid as err:
        return await fall_back(ctx, reason, f"The model's answer at {step.name!r} is not JSON: {err.message}")
    complaint = schema_error(step.output_schema, value)
    if complaint:
        return await fall_back(ctx, reason, f"The model's answer at {step.name!r} breaks its schema: {complaint}")
    return _Value(meant_by_model(ctx, value), value)


async def _tool(door: Door, ctx: RunContext, path: StepPath, step: ToolStep, roots: JsonObject) -> "_Value | Advanced":
    args = {name: value for name, place in step.args.items() if (value := resolve(place, roots)) is not MISSING}
    outcome = await door.tool_call(ctx, path, step.tool, args)  # type: ignore[arg-type]  # MISSING was left out above
    match outcome:
        case Answered(value=value, shown=shown):
            return _Value(value, shown)
        case HeldBack() | Lost():
            return await wait_for_person(ctx, outcome)
        case Stopped():
            return await fall_back(ctx, outcome.limit, outcome.message)
        case Exhausted():
            return await fall_back(ctx, outcome.reason, outcome.message)
        case Refused() | Failed():
            return await fall_back(ctx, f"refused {step.tool}", outcome.message)


def _parsed(step: ParseStep, roots: JsonObject) -> Json:
    """The first match, or its first group; None where there is none, and the run goes on."""
    text = resolve(step.in_, roots)
    if not isinstance(text, str):
        return None
    match = _pattern(step.regex).search(text)
    if match is None:
        return None
    return str(match.group(1) if match.re.groups else match.group())


@lru_cache(maxsize=256)
def _pattern(text: str) -> "re2._Regexp":
    return re2.compile(text)


def _present(value: object) -> Json:
    return None if value is MISSING else value  # type: ignore[return-value]  # MISSING or a Json
