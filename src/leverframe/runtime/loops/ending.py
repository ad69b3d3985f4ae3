"""How a loop comes to an end: done, parked, or stopped with the declared fallback."""

from dataclasses import dataclass

from leverframe.domain.errors import LeverframeError
from leverframe.domain.ids import ApprovalId, StepPath
from leverframe.domain.json import Json
from leverframe.domain.runs import Run, RunOutcome, Step
from leverframe.runtime.closing import RunEnd, park
from leverframe.runtime.context import RunContext
from leverframe.runtime.door import Door
from leverframe.runtime.leftovers import finish_run
from leverframe.runtime.meaning import Spoken, spoken
from leverframe.runtime.outcomes import Answered, Exhausted, Failed, HeldBack, Lost, Refused, Stopped, ToolOutcome

_OUTPUT = StepPath("output")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The run is over."""

    run: Run
    output: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """The run waits for a person: to answer a hold, or to say whether a lost call happened."""

    run: Run
    approval_id: ApprovalId | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """Someone else advances the run just now."""

    run: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """An outside agent's run: its unfinished calls were carried on; the agent goes on by itself."""

    run: Run
    calls: tuple[tuple[Step, ToolOutcome], ...]


Advanced = Ended | Parked | Busy | Collected


async def succeed(door: Door, ctx: RunContext, output: Spoken) -> Ended | Parked:
    """The loop is done, and its output passed its schema; it goes to its audience where the contract names one."""
    if ctx.contract.audience is not None:
        given = await door.give_output(ctx, _OUTPUT, output.value)
        if isinstance(given, HeldBack | Lost):
            return await wait_for_person(ctx, given)
        if not isinstance(given, Answered):
            return await fall_back(ctx, "audience", f"The output was not given: {given.message}")
    run = await finish_run(ctx, RunEnd(outcome=RunOutcome.SUCCESS, output=output.value, removed=output.removed))
    return Ended(run=run, output=output.value)


async def fall_back(ctx: RunContext, reason: str, message: str) -> Ended:
    """A stop condition: hand off with what was said, or stop; never silently.

    Args:
        ctx: the run.
        reason: the limit or slug, e.g. `max_tool_calls 20` or `invalid_output`.
        message: what happened, for the person who takes over.
    """
    fallback = ctx.contract.fallback
    # It may hold a receiver's words, as an agent is shown them; people get them like any output.
    said = spoken(ctx, message)
    output: Json = {"stopped_by": reason, "message": said.value, "say": fallback.say if fallback else ""}
    if fallback is not None and fallback.handoff_queue:
        end = RunEnd(
            outcome=RunOutcome.HANDOFF,
            output=output,
            stop_reason=reason,
            handoff_queue=fallback.handoff_queue,
            removed=said.removed,
        )
    else:
        end = RunEnd(outcome=RunOutcome.STOPPED, output=output, stop_reason=reason, removed=said.removed)
    return Ended(run=await finish_run(ctx, end), output=output)


async def model_stopped(ctx: RunContext, outcome: Stopped | Exhausted | Refused | Failed) -> Ended:
    """No model answer: by a limit, by policy, or since no candidate could be reached."""
    match outcome:
        case Stopped():
            return await fall_back(ctx, outcome.limit, outcome.message)
        case Exhausted():
            return await fall_back(ctx, outcome.reason, outcome.message)
        case Refused():
            return await fall_back(ctx, "model-refused", outcome.message)
        case Failed():
            return await fall_back(ctx, outcome.error, outcome.message)


async def fail(ctx: RunContext, error: LeverframeError) -> Ended:
    """A problem that no fallback answers: the run failed, with the problem's slug."""
    output: Json = {"error": error.slug, "message": error.message}
    run = await finish_run(ctx, RunEnd(outcome=RunOutcome.FAILED, output=output, stop_reason=error.slug))
    return Ended(run=run, output=output)


async def wait_for_person(ctx: RunContext, outcome: HeldBack | Lost) -> Parked:
    """Park the run until someone answers."""
    if isinstance(outcome, HeldBack):
        await park(ctx, "held")
        return Parked(run=ctx.run, approval_id=outcome.approval_id, message=outcome.message)
    await park(ctx, "effect-unknown")
    return Parked(run=ctx.run, approval_id=None, message=outcome.message)
