"""Model calls through the door: the worst case is reserved, the answer is settled by the vendor's own usage.

Knows: which candidate of a tier is asked next, and what a crash in
mid-call costs (its whole bound, since the vendor may bill for it).  Never: speaks a vendor's wire format.
"""

from leverframe.core.budgets import at_work, counted_places, not_yet_counted
from leverframe.core.canonical import decode, encode
from leverframe.core.policy import ModelQuestion, decide
from leverframe.core.policy.recorded import model_question_json, reason_json
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.calls import (
    Message,
    ModelBound,
    ModelLost,
    ModelOk,
    OfferedTool,
    ToolUse,
)
from leverframe.domain.contracts import ModelRef
from leverframe.domain.errors import Contended, NondeterministicRun, ProviderUnavailable
from leverframe.domain.evidence import EntryDraft, EventType
from leverframe.domain.ids import Sha256, StepPath
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.money import MicroUsd
from leverframe.domain.policy import Allow, Deny, Hold
from leverframe.domain.proposals import (
    AuthorityIs,
    Change,
    GuardFailed,
    Proposal,
    PutRun,
    PutStep,
    RunIs,
    SettleDirect,
    SettleReserves,
    TakeReserves,
)
from leverframe.domain.records import replace
from leverframe.domain.runs import RunState, Step, StepKind, StepState
from leverframe.ports.acting import ModelCaller
from leverframe.ports.crash_points import crash_point
from leverframe.runtime.bookings import booked, ensured, run_out, set_aside, spent, taken
from leverframe.runtime.context import RunContext
from leverframe.runtime.door.clamping import Asked, Wanted, clamped
from leverframe.runtime.door.relay_settling import owed_uncounted
from leverframe.runtime.door.rows import one_step, reservation_id
from leverframe.runtime.entries import clear_place, model_entry, overrun_entry
from leverframe.runtime.outcomes import Failed, ModelOutcome, ModelSaid
from leverframe.runtime.refusals import recorded_refusal, refused, refused_again

_TRIES = 3
ABANDONED = "model-abandoned"


async def model_call(
    models: ModelCaller,
    ctx: RunContext,
    path: StepPath,
    messages: tuple[Message, ...],
    *,
    tools: tuple[OfferedTool, ...],
    output_schema: JsonObject | None,
) -> ModelOutcome:
    """Ask the candidates of the workflow's tier in order until one answers."""
    digest = ctx.fingerprint("model", _logical(messages, tools, output_schema))
    wanted = Wanted(path=path, messages=messages, tools=tools, output_schema=output_schema, digest=digest)
    candidates = ctx.services.project.tiers.get(ctx.contract.tier, ())
    recorded = ctx.steps.get(path)
    if recorded is not None:
        if recorded.request_digest != digest:
            raise NondeterministicRun(
                f"Run {ctx.run.run_id} asks its model at step {path} something else than it recorded there.",
                next_move=f"See both: leverframe runs show {ctx.run.run_id}",
            )
        if recorded.state is StepState.STARTED:
            recorded = await settle_abandoned(ctx, recorded)
        candidates = _after(candidates, recorded)
        if not candidates:
            return _recorded(ctx, recorded)
    outcome: ModelOutcome | None = None
    for model in candidates:
        outcome = await _one_candidate(models, ctx, model, wanted)
        if not isinstance(outcome, Failed):
            break
    if outcome is None:
        raise ProviderUnavailable(
            f"Workflow {ctx.run.workflow!r} has no model: the tier {ctx.contract.tier!r} is empty.",
            next_move="Name a tier in `models:` of leverframe.yaml.",
        )
    return outcome


def _after(candidates: tuple[ModelRef, ...], recorded: Step) -> tuple[ModelRef, ...]:
    """The candidates that were not asked yet: none after an answer, all after a call that nobody saw the end of."""
    if recorded.error == ABANDONED:
        return candidates
    names = [str(model) for model in candidates]
    if recorded.state is not StepState.ERROR or recorded.name not in names:
        return ()
    return candidates[names.index(recorded.name) + 1 :]


async def _one_candidate(models: ModelCaller, ctx: RunContext, model: ModelRef, wanted: Wanted) -> ModelOutcome:
    path = wanted.path
    for _ in range(_TRIES):
        authority = ctx.services.authority.current()
        now, before = ctx.services.mint.now(), ctx.steps.get(path)
        windows = await ctx.windows(now, model=str(model))
        if before is not None:
            # One call of the loop counts once in a budget, however many candidates are asked for it.
            windows = not_yet_counted(windows, counted_places(await ctx.windows(now, model=before.name)))
        asked = clamped(models, ctx, model, wanted, windows)
        cost = {
            BudgetUnit.MODEL_CALLS: 1,
            BudgetUnit.STEPS: 1,
            BudgetUnit.INPUT_TOKENS: asked.bound.input_tokens,
            BudgetUnit.OUTPUT_TOKENS: asked.bound.output_tokens,
            BudgetUnit.USD: asked.bound.cost,
            **at_work(windows),
        }
        killed = ctx.killed(authority, model=str(model))
        question = ModelQuestion(model=str(model), run=ctx.facts, windows=windows, cost=cost, killed=killed)
        decision = _answer(question, ctx)
        step = _step(ctx, wanted, asked, decision)
        expect = None if before is None else frozenset({before.state})
        step, proposal = _decided_proposal(ctx, step, decision, expect, question)
        proposal = replace(proposal, guards=(*proposal.guards, AuthorityIs(generation=authority.generation)))
        result = await ctx.services.writer.commit(proposal)
        if isinstance(result, GuardFailed):
            if result.guard == "AuthorityIs":
                await ctx.services.authority.reload()
            continue
        ctx.steps[path] = step
        booked(ctx, reservation_id(step.call_id), windows)
        if isinstance(decision, Deny):
            return refused(path, decision)
        return await _ask(models, ctx, step, asked)
    return Failed(path=path, error="contended", message="others took the budget three times in a row")


async def _ask(models: ModelCaller, ctx: RunContext, step: Step, asked: Asked) -> ModelOutcome:
    crash_point("before_send")
    answer = await models.answer(asked.request)
    crash_point("after_answer")
    now = ctx.services.mint.now()
    match answer:
        case ModelOk():
            value: Json = {
                "text": answer.text,
                "tool_uses": [{"id": u.id, "name": u.name, "arguments": u.arguments} for u in answer.tool_uses],
                "finish_reason": answer.finish_reason,
                "is_recorded": answer.is_recorded,
            }
            done = replace(
                step,
                state=StepState.OK,
                finished_at=now,
                attempts=step.attempts + 1,
                cost=answer.cost,
                input_tokens=answer.input_tokens,
                output_tokens=answer.output_tokens,
            )
        case ModelLost():
            value = {"message": answer.message, "kind": answer.kind}
            spent = asked.bound if answer.is_billed else ModelBound(input_tokens=0, output_tokens=0, cost=MicroUsd(0))
            done = replace(
                step,
                state=StepState.ERROR,
                finished_at=now,
                attempts=step.attempts + 1,
                cost=spent.cost,
                input_tokens=spent.input_tokens,
                output_tokens=spent.output_tokens,
                error=f"model-{answer.kind}",
            )
    is_recorded = isinstance(answer, ModelOk) and answer.is_recorded
    done = await _settle(ctx, step, done, value, bound=asked.bound, is_recorded=is_recorded)
    return _said(done, value)


async def _settle(
    ctx: RunContext, step: Step, done: Step, value: Json, *, bound: ModelBound, is_recorded: bool
) -> Step:
    """Settle by what the vendor says it used, even beyond the bound: the books tell the truth."""
    sealed = ctx.seal("answer", value)
    done = replace(done, result_ref=sealed[0].digest)
    rid = reservation_id(step.call_id)
    used = {
        BudgetUnit.INPUT_TOKENS: done.input_tokens,
        BudgetUnit.OUTPUT_TOKENS: done.output_tokens,
        BudgetUnit.USD: int(done.cost),
    }
    actual = taken(ctx, rid, used)
    changes: list[Change] = [
        PutStep(step=done, expect=frozenset({step.state})),
        SettleReserves(reservation_id=rid, actual=actual),
        SettleDirect(window_id=ctx.window_id, unit=BudgetUnit.WALL_US, amount=ctx.take_active_us()),
    ]
    if is_recorded and not ctx.run.is_recorded_model:
        run = replace(ctx.run, is_recorded_model=True)
        changes.append(PutRun(run=run, expect=RunState.OPEN))
        ctx.run = run
    entry = model_entry(
        ctx,
        at=done.finished_at or done.started_at,
        step=done,
        event=EventType.MODEL_ANSWERED,
        disclosures=sealed,
        outcome="ok" if done.state is StepState.OK else "error",
        detail={"recorded": is_recorded, **({"error": done.error} if done.error else {}), **spent(rid, actual)},
    )
    entries = (*_overrun(ctx, done, bound), entry)
    await _commit(ctx, done, Proposal(tenant=ctx.run.tenant, changes=tuple(changes), entries=entries, is_durable=False))
    crash_point("after_settled")
    return done


async def _commit(ctx: RunContext, done: Step, proposal: Proposal) -> None:
    result = await ctx.services.writer.commit(proposal)
    if isinstance(result, GuardFailed):
        raise Contended(
            f"The answer of {done.name!r} at step {done.path} of {done.run_id} was recorded by someone else"
            f" ({result.detail}); theirs stands.",
            next_move=f"See: leverframe runs show {done.run_id}",
        )
    ctx.steps[done.path] = done


def _overrun(ctx: RunContext, done: Step, bound: ModelBound) -> tuple[EntryDraft, ...]:
    """The vendor says that it took more than the most it could take."""
    is_over = (
        done.input_tokens > bound.input_tokens or done.output_tokens > bound.output_tokens or done.cost > bound.cost
    )
    return (overrun_entry(ctx, done, reservation_id=reservation_id(done.call_id)),) if is_over else ()


async def settle_abandoned(ctx: RunContext, step: Step) -> Step:
    """A process died in mid-call: the vendor may bill, so the whole bound is spent; then the call is asked anew."""
    lost = replace(
        step,
        state=StepState.ERROR,
        finished_at=ctx.services.mint.now(),
        attempts=step.attempts + 1,
        error=ABANDONED,
    )
    sealed = ctx.seal("answer", {"message": "the process stopped in mid-call", "kind": "abandoned"})
    lost = replace(lost, result_ref=sealed[0].digest)
    rid, uncounted = reservation_id(step.call_id), await owed_uncounted(ctx, step)
    entry = model_entry(
        ctx,
        at=lost.finished_at or lost.started_at,
        step=lost,
        event=EventType.MODEL_ANSWERED,
        disclosures=sealed,
        outcome="unknown",
        detail={"recorded": False, **spent(rid, {})},
    )
    changes = (
        PutStep(step=lost, expect=frozenset({StepState.STARTED})),
        SettleReserves(reservation_id=rid, actual=uncounted),
    )
    await _commit(ctx, lost, Proposal(tenant=ctx.run.tenant, changes=changes, entries=(entry,), is_durable=False))
    return lost


def _answer(question: ModelQuestion, ctx: RunContext) -> Allow | Deny:
    """Policy's answer, today's denials included; a model call is never held."""
    decision = decide(question, ctx.policy)
    if isinstance(decision, Allow) and ctx.today is not None:
        today = decide(question, ctx.today)
        decision = today if isinstance(today, Deny) else decision
    match decision:
        case Hold():
            msg = f"The model call {question.model!r} was held, which policy never does"
            raise AssertionError(msg)
        case _:
            return decision


def _step(ctx: RunContext, wanted: Wanted, asked: Asked, decision: Allow | Deny) -> Step:
    """The step of a model call.  While it is on its way it has cost its bound: that is owed if nobody returns."""
    reason = decision.reasons[0]
    before = ctx.steps.get(wanted.path)
    is_allowed = isinstance(decision, Allow)
    owed = asked.bound if is_allowed else ModelBound(input_tokens=0, output_tokens=0, cost=MicroUsd(0))
    return Step(
        run_id=ctx.run.run_id,
        path=wanted.path,
        kind=StepKind.MODEL,
        name=str(asked.request.model),
        request_digest=wanted.digest,
        state=StepState.STARTED if is_allowed else StepState.DENIED,
        started_at=ctx.services.mint.now(),
        call_id=asked.request.call_id,
        attempts=before.attempts if before is not None else 0,
        decision="allow" if is_allowed else "deny",
        rule=reason.rule,
        rule_source=str(reason.source),
        action_digest=Sha256(""),
        cost=owed.cost,
        input_tokens=owed.input_tokens,
        output_tokens=owed.output_tokens,
    )


def _decided_proposal(
    ctx: RunContext,
    step: Step,
    decision: Allow | Deny,
    expect: frozenset[StepState] | None,
    question: ModelQuestion,
) -> tuple[Step, Proposal]:
    # All that the decision rested on, as for a tool call, so that an auditor can decide it again (I9).
    inputs: Json = {
        "reasons": [reason_json(one) for one in decision.reasons],
        **recorded_refusal(decision),
        **model_question_json(question),
    }
    sealed = ctx.seal("call", inputs)
    step = replace(step, args_ref=sealed[0].digest)
    windows, rid = question.windows, reservation_id(step.call_id)
    # A denied call counts a step where one is left; where none is, the denial says so.
    reserves = decision.reserves if isinstance(decision, Allow) else one_step(windows)
    changes: list[Change] = [PutStep(step=step, expect=expect), *ensured(ctx, windows)]
    if reserves:
        changes.append(TakeReserves(reservation_id=rid, run_id=ctx.run.run_id, path=step.path, reserves=reserves))
    detail = {
        "rule_source": clear_place(step.rule_source),
        **run_out(decision),
        **set_aside(rid, reserves, windows),
    }
    if reserves and isinstance(decision, Deny):
        changes.append(SettleReserves(reservation_id=rid, actual={}))
        detail["settled"] = ()
    entry = model_entry(
        ctx, at=step.started_at, step=step, event=EventType.MODEL_CALLED, disclosures=sealed, detail=detail
    )
    proposal = Proposal(
        tenant=ctx.run.tenant,
        guards=(RunIs(run_id=ctx.run.run_id, state=RunState.OPEN),),
        changes=tuple(changes),
        entries=(entry,),
        is_durable=False,
    )
    return step, proposal


def _recorded(ctx: RunContext, step: Step) -> ModelOutcome:
    if step.state is StepState.DENIED:
        return refused_again(step, ctx.payload(step.args_ref))
    return _said(step, ctx.payload(step.result_ref))


def _said(step: Step, value: Json) -> ModelOutcome:
    if not isinstance(value, dict) or step.state is not StepState.OK:
        message = value.get("message") if isinstance(value, dict) else value
        return Failed(path=step.path, error=step.error, message=str(message))
    uses = value.get("tool_uses")
    return ModelSaid(
        path=step.path,
        text=str(value.get("text", "")),
        tool_uses=tuple(
            ToolUse(id=str(one["id"]), name=str(one["name"]), arguments=str(one["arguments"]))
            for one in (uses if isinstance(uses, list) else [])
            if isinstance(one, dict)
        ),
        finish_reason=str(value.get("finish_reason", "")),
        is_recorded=value.get("is_recorded") is True,
    )


def _logical(messages: tuple[Message, ...], tools: tuple[OfferedTool, ...], schema: JsonObject | None) -> Json:
    """The logical request: before clamp, route and retries, which never make a run nondeterministic."""
    return decode(
        encode(
            {
                "messages": [
                    {
                        "role": one.role.value,
                        "text": one.text,
                        "uses": [[use.name, use.arguments] for use in one.tool_uses],
                        "answers": one.tool_use_id,
                    }
                    for one in messages
                ],
                "tools": [tool.name for tool in tools],
                "schema": schema,
            }
        )
    )
