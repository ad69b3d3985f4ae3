"""What to make of calls that an earlier process left behind, or whose answer was lost.

Knows: what a crash between `call.intended` and the outcome allows for each effect class (docs/effects.md).
Never: sends a write; it says whether the door may.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from leverframe.core.places import label_at, walk_labelled
from leverframe.core.provenance import label_output
from leverframe.domain.errors import Contended, LeverframeError
from leverframe.domain.ids import StepPath, ToolName, child_path
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import Label
from leverframe.domain.policy import Fact, Known
from leverframe.domain.proposals import GuardFailed, Proposal, PutStep
from leverframe.domain.records import replace
from leverframe.domain.runs import Step, StepKind, StepState
from leverframe.domain.tools import EffectClass, Reconcile, ToolSpec
from leverframe.runtime.context import RunContext
from leverframe.runtime.door.ownership import is_left_behind
from leverframe.runtime.door.recording import Outcome, settled
from leverframe.runtime.door.taking_in import taken_in
from leverframe.runtime.paths import MISSING, resolve
from leverframe.runtime.schemas import schema_error

ReadTool = Callable[[RunContext, StepPath, ToolName, JsonObject], Awaitable[Fact]]


async def after_crash(read: ReadTool, ctx: RunContext, spec: ToolSpec, step: Step, args: JsonObject) -> Outcome | None:
    """Answer for a call that was sent, perhaps, by a process that is gone.

    None: send it (again), with the same idempotency key.
    """
    match spec.effect:
        case EffectClass.READ | EffectClass.IDEMPOTENT | EffectClass.KEYED:
            return None
        case EffectClass.RECONCILABLE:
            await _let_pass(ctx, step, spec)
            happened = await _happened(read, ctx, spec, step, args)
            if happened is None:
                return unknown("the receiver could not be asked whether it happened")
            found, answer = happened
            return _found(ctx, spec, step, answer) if found else None
        case EffectClass.IRREVERSIBLE:
            return unknown("the process stopped between sending and answer, and the tool cannot be asked")


async def reconciled(read: ReadTool, ctx: RunContext, spec: ToolSpec, step: Step, args: JsonObject) -> Outcome | None:
    """Ask the receiver after a lost answer.  Only a yes settles it: a no may be overtaken by the request itself."""
    happened = await _happened(read, ctx, spec, step, args)
    if happened is None or not happened[0]:
        return None
    return _found(ctx, spec, step, happened[1])


async def abandon_own_reads(ctx: RunContext) -> None:
    """Close the door's own reads that a process left unanswered: their fees are spent, and they are made anew."""
    left = [one for one in ctx.steps.values() if one.kind is StepKind.FACT and one.state is StepState.STARTED]
    for step in left:
        spec = ctx.contract.tools.get(ToolName(step.name))
        # A read belongs to the call that asks for it: `3.order` to step 3.
        if spec is None or not is_left_behind(ctx, StepPath(step.path.rpartition(".")[0])):
            continue
        done, proposal = settled(ctx, step, spec, abandoned(), at=ctx.services.mint.now())
        await ctx.services.writer.commit(proposal)
        ctx.steps[step.path] = done


async def _let_pass(ctx: RunContext, step: Step, spec: ToolSpec) -> None:
    """Wait until no request of the dead process can arrive: the deadlines of all its attempts, since it began."""
    longest_s = spec.timeout_s * (1 + spec.retries.max)
    left_s = (step.started_at + timedelta(seconds=longest_s) - ctx.services.clock.now()).total_seconds()
    # A clock that jumped back must not make a run wait for hours.
    await asyncio.sleep(max(0.0, min(left_s, longest_s)))


async def sending_again(ctx: RunContext, step: Step) -> Step:
    """Record that a write is sent again from now on: whoever finds it after the next crash waits for this sending.

    The sending of the dead process, of which nobody knows whether it happened, counts as a used attempt.

    Raises:
        Contended: someone else settled the step, or a key or a kill switch was changed in this very moment.
    """
    again = replace(step, started_at=ctx.services.mint.now(), attempts=step.attempts + 1)
    change = PutStep(step=again, expect=frozenset({step.state}))
    guards = (ctx.services.authority.guard(),)
    result = await ctx.services.writer.commit(Proposal(tenant=ctx.run.tenant, guards=guards, changes=(change,)))
    if isinstance(result, GuardFailed) and result.guard == "AuthorityIs":
        raise Contended(
            f"Keys or kill switches were changed while step {step.path} of {step.run_id} was taken up again.",
            next_move="Ask again.",
        )
    if isinstance(result, GuardFailed):
        raise Contended(
            f"Step {step.path} of {step.run_id} was settled by someone else ({result.detail}); theirs stands.",
            next_move=f"See: leverframe runs show {step.run_id}",
        )
    ctx.steps[step.path] = again
    return again


async def _happened(
    read: ReadTool, ctx: RunContext, spec: ToolSpec, step: Step, args: JsonObject
) -> tuple[bool, Json] | None:
    """Whether the receiver says that it happened, with its answer; None where it cannot be asked."""
    how = spec.reconcile
    if how is None:
        return None
    roots: dict[str, Json] = {"args": args}
    asked = {name: resolve(path, roots) for name, path in how.args.items()}
    if MISSING in asked.values():
        return None
    fact = await read(ctx, child_path(step.path, "reconcile"), how.tool, asked)  # type: ignore[arg-type]  # MISSING was ruled out above
    if not isinstance(fact, Known):
        return None
    answer: Json = fact.value  # type: ignore[assignment]  # a tool's answer is Json
    if how.done is not None:
        try:
            return ctx.services.functions.call(how.done, [args, answer]) is True, answer
        except LeverframeError:
            return None
    return _matches(how, args, answer), answer


def _matches(how: Reconcile, args: JsonObject, answer: Json) -> bool:
    roots: dict[str, Json] = {"args": args}
    return all(
        resolve(f"result.{field}", {"result": answer}) == resolve(path, roots) != MISSING
        for field, path in how.match.items()
    )


def _found(ctx: RunContext, spec: ToolSpec, step: Step, answer: Json) -> Outcome:
    value: Json = answer
    if schema_error(spec.output_schema, answer):
        value = {"done": True, "confirmed_by": answer}
    if _is_raised(ctx, spec, value, answer):
        # It was asked of another tool, and would have the labels of this one.
        value = {"done": True}
    return ok_outcome(ctx, spec, step, value, how="reconciled")


def _is_raised(ctx: RunContext, spec: ToolSpec, value: Json, answer: Json) -> bool:
    """Whether a part of what a reading tool answered would be more trusted, or less secret, as the write's answer."""
    reader = ctx.contract.tools.get(spec.reconcile.tool) if spec.reconcile is not None else None
    if reader is None:
        return True
    types, within = ctx.values.types, "" if value is answer else "/confirmed_by"
    given = label_output(value, spec, types=types)
    return any(
        _is_better(label_at(given, f"{within}{place}"), label)
        for place, _, _, label in walk_labelled(answer, label_output(answer, reader, types=types))
    )


def _is_better(one: Label, other: Label) -> bool:
    return one.integrity > other.integrity or one.confidentiality < other.confidentiality


def ok_outcome(ctx: RunContext, spec: ToolSpec, step: Step, value: object, *, how: str = "") -> Outcome:
    """A good answer that came another way than by sending: labelled, and indexed where the agent sees it."""
    answer: Json = value  # type: ignore[assignment]  # a tool's answer is Json
    return taken_in(ctx, spec, step, answer, how=how)


def abandoned() -> Outcome:
    """What became of a read whose process stopped: it had no effect, and its fee is spent."""
    message = "the process stopped before the answer"
    return Outcome(state=StepState.ERROR, value={"message": message}, error="abandoned", attempts=0)


def unknown(why: str) -> Outcome:
    """An outcome that nobody can tell."""
    return Outcome(state=StepState.UNKNOWN, value={"message": why}, error="effect-unknown", attempts=0)
