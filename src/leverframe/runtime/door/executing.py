"""Room 5 for tools: attempts within a deadline, retries as far as the effect class allows, the answer checked.

Knows: what each effect class permits after a lost answer (docs/effects.md).  Never: decides whether a call
may run; it is handed a call that was decided and, for a write, durably announced.
"""

import asyncio
from dataclasses import dataclass
from typing import assert_never

from leverframe.domain.calls import ToolAnswer, ToolFailed, ToolLost, ToolOk, ToolRequest
from leverframe.domain.errors import ToolBusy, ToolResting
from leverframe.domain.json import JsonObject
from leverframe.domain.pins import DRIFTED, QUARANTINED
from leverframe.domain.runs import Step, StepState
from leverframe.domain.tools import EffectClass, ToolSpec
from leverframe.ports.acting import ToolExecutor
from leverframe.ports.crash_points import crash_point
from leverframe.runtime.context import RunContext
from leverframe.runtime.door.recording import Outcome
from leverframe.runtime.door.taking_in import refused, taken_in
from leverframe.runtime.door.tool_gates import ToolGates, lost_of, pause_s
from leverframe.runtime.schemas import schema_error

# A write of these classes may be sent again after an answer was lost: the receiver makes the second one harmless.
_HARMLESS_AGAIN = frozenset({EffectClass.READ, EffectClass.IDEMPOTENT, EffectClass.KEYED})

_NAMED = frozenset({QUARANTINED, DRIFTED, ToolBusy.slug, ToolResting.slug})

OUTPUT_INVALID = "output-invalid"
_SHORTEST_S = 0.05  # a call that was decided gets this much, also at the very end of the wall clock


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRoom:
    """Room 5 of one door: who executes, and what each tool may take of this process."""

    tools: ToolExecutor
    gates: ToolGates


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """The last answer of a call and how many requests it took."""

    answer: ToolAnswer
    attempts: int


async def attempt(
    room: ToolRoom, ctx: RunContext, spec: ToolSpec, step: Step, args: JsonObject, *, wall_s: float
) -> Attempted:
    """Send until there is an answer, the retries or the wall clock are used up, or sending again could do harm.

    Each attempt has the tool's own timeout, or what is left of `wall_s`.
    """
    clock, attempts = ctx.services.clock, 0
    until = clock.monotonic() + wall_s
    answer: ToolAnswer | None = None
    while True:
        left_s = max(_SHORTEST_S, min(spec.timeout_s, until - clock.monotonic()))
        try:
            async with room.gates.entered(
                ctx.run.tenant, spec, clock, within_s=left_s, chance=ctx.services.mint.chance
            ) as entry:
                attempts += 1
                crash_point("before_send")
                entry.answer = answer = await room.tools.execute(
                    ToolRequest(
                        call_id=step.call_id,
                        tenant=ctx.run.tenant,
                        spec=spec,
                        args=args,
                        idempotency_key=step.idempotency_key,
                        deadline_s=left_s,
                        attempt=step.attempts + attempts,
                    )
                )
        except (ToolBusy, ToolResting) as err:
            # What an earlier attempt may have done is not undone by a later one that did not leave.
            return Attempted(answer=answer or lost_of(err), attempts=attempts)
        crash_point("after_answer")
        is_spent = attempts > spec.retries.max or clock.monotonic() >= until
        # A switch that was thrown meanwhile, or a key taken back, stops the next request, never the one that has left.
        if is_spent or not may_send_again(spec, answer) or ctx.stopped_by(spec.name):
            return Attempted(answer=answer, attempts=attempts)
        if not room.gates.takes_retry(ctx.run.tenant, spec):
            return Attempted(answer=answer, attempts=attempts)
        pause = pause_s(attempts, ctx.services.mint.chance())
        await asyncio.sleep(min(pause, max(0.0, until - clock.monotonic())))


def may_send_again(spec: ToolSpec, answer: ToolAnswer) -> bool:
    """Whether another request is allowed and wanted after this answer."""
    match answer:
        case ToolOk():
            return False
        case ToolFailed(kind=kind):
            # A 5xx may have had its effect; any other error is the receiver's own word that it had none.
            is_harmless = kind != "5xx" or spec.effect in _HARMLESS_AGAIN
            return is_harmless and kind in spec.retries.on
        case ToolLost(kind=kind, has_left=has_left):
            is_harmless = not has_left or spec.effect in _HARMLESS_AGAIN
            return is_harmless and kind in spec.retries.on
        case _:
            assert_never(answer)


def judge(ctx: RunContext, spec: ToolSpec, step: Step, attempted: Attempted) -> Outcome:
    """What an answer means for this tool: ok, error (without effect) or unknown; a good one is labelled and indexed."""
    match attempted.answer:
        case ToolOk(value=value):
            complaint = schema_error(spec.output_schema, value)
            if complaint:
                # The effect may well have happened: a weird answer of a write is not proof of the contrary, but the
                # receiver did answer.  The agent gets a typed error and never the raw bytes, which stay as evidence.
                return Outcome(
                    state=StepState.OK if spec.effect.is_write else StepState.ERROR,
                    value={"quarantined": value, "complaint": complaint},
                    error=OUTPUT_INVALID,
                    attempts=attempted.attempts,
                )
            return taken_in(ctx, spec, step, value, attempts=attempted.attempts)
        case ToolFailed(message=message, kind=kind) if kind != "5xx" or not spec.effect.is_write:
            return refused(message, state=StepState.ERROR, attempts=attempted.attempts)
        case ToolLost(message=message, kind=kind, has_left=has_left) if not has_left or not spec.effect.is_write:
            return Outcome(
                state=StepState.ERROR,
                value={"message": message},
                error=kind if kind in _NAMED else "tool-unavailable",
                attempts=attempted.attempts,
                is_free=not has_left,
            )
        case ToolFailed(message=message) | ToolLost(message=message):
            return refused(message, state=StepState.UNKNOWN, attempts=attempted.attempts)
        case _:
            assert_never(attempted.answer)
