"""One way through the door for tool and model calls.

Everything that calls a model or a tool holds a `Door`; nothing else holds the ports that act.
"""

import math
from dataclasses import replace
from functools import partial

from leverframe.core.policy import Asker, decide
from leverframe.domain.approvals import Approval
from leverframe.domain.audiences import GIVE_OUTPUT
from leverframe.domain.calls import Message, OfferedTool, ToolOk
from leverframe.domain.contracts import ToolFact
from leverframe.domain.errors import AuthRefused, CallDenied, Contended, NondeterministicRun, ProviderUnavailable
from leverframe.domain.ids import StepPath, ToolName, child_path
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import Integrity
from leverframe.domain.pins import Closed
from leverframe.domain.policy import Allow, Deny, Fact, Hold, Known, Unreadable
from leverframe.domain.proposals import Committed, GuardFailed
from leverframe.domain.runs import Step, StepState
from leverframe.domain.tools import BuiltIn, BuiltInOrigin, ToolSpec
from leverframe.ports.acting import ModelCaller, ModelRelay, ToolExecutor
from leverframe.ports.crash_points import crash_point
from leverframe.runtime.arguments import parsed
from leverframe.runtime.bookings import booked
from leverframe.runtime.context import RunContext
from leverframe.runtime.door import holding, modelling, recovering
from leverframe.runtime.door.asking import Ask, Loaded, ReadFact, load
from leverframe.runtime.door.drifting import DriftBreaker
from leverframe.runtime.door.envelopes import idempotency_key, request_digest
from leverframe.runtime.door.executing import OUTPUT_INVALID, Attempted, ToolRoom, attempt
from leverframe.runtime.door.extracting import extracted
from leverframe.runtime.door.ownership import in_hand
from leverframe.runtime.door.reading import Reads
from leverframe.runtime.door.recording import Decided, Outcome, decided, settled
from leverframe.runtime.door.relay_run import RelayAsk, RelayRun
from leverframe.runtime.door.relaying import Relayer, RelayOutcome
from leverframe.runtime.door.rows import reservation_id
from leverframe.runtime.door.taking_in import label_of_answer, with_words
from leverframe.runtime.door.telling import held_back, repeated, told
from leverframe.runtime.door.timing import patience_s, wall_s
from leverframe.runtime.door.tool_gates import ToolGates
from leverframe.runtime.entering import enter_sent
from leverframe.runtime.meaning import as_seen, meant
from leverframe.runtime.outcomes import (
    Answered,
    HeldBack,
    ModelOutcome,
    Refused,
    ToolOutcome,
)
from leverframe.runtime.refusals import refused, refused_again
from leverframe.runtime.schemas import schema_error
from leverframe.runtime.sessions import catch_up, current

_TRIES = 3


class Door:
    """Rooms 2 to 6.  One for each process; it keeps no state of a run.

    Args:
        tools: the executor of every tool of the project.
        models: the caller of every model of the project.
        relays: what passes on the model calls of outside agents; None where nobody serves any.
    """

    def __init__(self, tools: ToolExecutor, models: ModelCaller, relays: ModelRelay | None = None) -> None:
        self._room = ToolRoom(tools=tools, gates=ToolGates())
        self._reads = Reads()
        self._breaker = DriftBreaker()
        self._models = models
        self._relayer = None if relays is None else Relayer(relays)

    async def tool_call(
        self,
        ctx: RunContext,
        path: StepPath,
        tool: str,
        arguments: str | JsonObject,
        *,
        planner: Integrity | None = None,
    ) -> ToolOutcome:
        """Ask for a tool.  A step that the journal already has is answered from it, or recovered.

        Args:
            ctx: the run, whose claim the caller holds.
            path: the step's place in the run; the same on every replay.
            tool: the name that was asked for, known or not.
            arguments: a JSON object, or the text a model wrote for one.
            planner: of whoever declares a plan, where that is not the run's agent.

        Raises:
            NondeterministicRun: the journal has another request at this path.
            CallDenied: the run is over.
            Contended: others changed what the decision rests on, three times in a row, or have this step in hand.
        """
        args, complaint = parsed(arguments)
        found = await meant(ctx, args)
        args = found.args
        digest = request_digest(ctx, tool, str(arguments).encode("utf-8", "replace").hex() if complaint else args)
        async with in_hand(ctx, path, patience_s=patience_s(ctx, tool)):
            recorded = await current(ctx, path)
            if recorded is None:
                ask = self._ask(ctx, path, tool, args, complaint=complaint or found.unknown)
                outcome = await self._pass(ctx, replace(ask, request_digest=digest, planner=planner), expect=None)
            elif recorded.request_digest != digest:
                outcome = await self._other_request(ctx, recorded, tool, args)
            else:
                outcome = await self._resumed(ctx, recorded, args)
        return as_seen(ctx, outcome, has_handles=bool(found.used))

    async def give_output(self, ctx: RunContext, path: StepPath, output: Json) -> ToolOutcome:
        """Give a run's output to its audience: allowed, or held as any call is.  The contract must have an audience.

        Raises: as `tool_call`.
        """
        args: JsonObject = {"output": output}
        digest = request_digest(ctx, GIVE_OUTPUT, args)
        async with in_hand(ctx, path, patience_s=patience_s(ctx, GIVE_OUTPUT)):
            recorded = await current(ctx, path)
            if recorded is None:
                return await self._pass(
                    ctx, replace(self._ask(ctx, path, GIVE_OUTPUT, args), asker=Asker.RUN), expect=None
                )
            if recorded.request_digest != digest:
                return await self._other_request(ctx, recorded, GIVE_OUTPUT, args)
            return await self._resumed(ctx, recorded, args)

    async def model_call(
        self,
        ctx: RunContext,
        path: StepPath,
        messages: tuple[Message, ...],
        *,
        tools: tuple[OfferedTool, ...] = (),
        output_schema: JsonObject | None = None,
    ) -> ModelOutcome:
        """Ask the workflow's model.  Same journal, same budgets, same evidence as a tool call."""
        return await modelling.model_call(self._models, ctx, path, messages, tools=tools, output_schema=output_schema)

    async def relay(self, run: RelayRun, ask: RelayAsk) -> RelayOutcome:
        """Pass on an outside agent's model call, in the vendor's own bytes.

        Raises:
            CallDenied: the run is over.
            Contended: others changed what the decision rests on again and again.
            ProviderUnavailable: a candidate has no known price, or this door passes nothing on.
        """
        if self._relayer is None:
            raise ProviderUnavailable("This door passes no model calls on.", next_move="Ask: leverframe serve")
        return await self._relayer.relay(run, ask)

    async def close(self) -> None:
        """Stop servers and let go of connections."""
        if self._relayer is not None:
            await self._relayer.close()
        await self._room.tools.close()
        await self._models.close()

    def _ask(self, ctx: RunContext, path: StepPath, tool: str, args: JsonObject, *, complaint: str = "") -> Ask:
        spec = ctx.contract.tools.get(ToolName(tool))
        digest = request_digest(ctx, tool, args)
        return Ask(
            path=path,
            tool=ToolName(tool),
            spec=spec,
            args=args,
            request_digest=digest,
            schema_error=complaint or (schema_error(spec.input_schema, args) if spec is not None else ""),
            closed=self._closed(ctx, spec) if spec is not None else None,
            asker=Asker.AGENT,
            call_id=ctx.services.mint.call_id(),
            nonce=ctx.services.mint.nonce(),
            idempotency_key=idempotency_key(ctx, path, digest),
        )

    def _closed(self, ctx: RunContext, spec: ToolSpec) -> Closed | None:
        now = ctx.services.clock.monotonic()
        return self._room.tools.closed(spec) or self._breaker.closed(ctx.run.tenant, spec.name, now)

    async def _pass(self, ctx: RunContext, ask: Ask, expect: frozenset[StepState] | None) -> ToolOutcome:
        """Rooms 2 to 6 for one call."""
        made, loaded = await self._decide(ctx, ask, expect)
        match made.decision:
            case Deny() as deny:
                return refused(ask.path, deny)
            case Hold() as hold:
                crash_point("after_held")
                return held_back(made, hold)
            case Allow():
                if ask.spec is None:
                    msg = f"The unknown tool {ask.tool!r} was allowed, which policy never does"
                    raise AssertionError(msg)
                if loaded.own_read is not None and not ask.spec.effect.is_write:
                    return await self._settle_own_read(ctx, made.step, ask.spec, loaded.own_read)
                enter_sent(ctx, ask.spec, made.step)
                if made.step.state is StepState.INTENDED:
                    crash_point("after_intended")
                return await self._act(ctx, made.step, ask.spec, ask.args, wall_s=wall_s(loaded.question.windows))

    async def _decide(self, ctx: RunContext, ask: Ask, expect: frozenset[StepState] | None) -> tuple[Decided, Loaded]:
        """Rooms 2 to 4, again as long as a guard fails, three times at most."""
        lost = ""
        for _ in range(_TRIES):
            loaded = await load(ctx, ask, self._fact_reader(ctx, ask))
            decision = decide(loaded.question, ctx.policy)
            if isinstance(decision, Allow) and ctx.today is not None:
                today = decide(loaded.question, ctx.today)
                # A run keeps the policy it pinned; what is denied today is denied all the same.
                decision = today if isinstance(today, Deny) else decision
            made = decided(ctx, ask, loaded, decision, expect)
            crash_point("after_decided")
            match await ctx.services.writer.commit(made.proposal):
                case Committed():
                    ctx.steps[ask.path] = made.step
                    if isinstance(decision, Allow):
                        booked(ctx, reservation_id(ask.call_id), loaded.question.windows)
                    return made, loaded
                case GuardFailed(guard="RunIs") as failed:
                    raise CallDenied(
                        f"Nothing is called in {ctx.run.run_id} any more: {failed.detail}.",
                        next_move="Open a new run.",
                    )
                case GuardFailed() as failed:
                    lost = f"{failed.guard}: {failed.detail}"
                    if failed.guard == "AuthorityIs":
                        await ctx.services.authority.reload()
                    if failed.guard == "PutStep":
                        # Someone was here before: what they did is what is told when this is asked for again.
                        await catch_up(ctx)
                        break
        raise Contended(
            f"The call {ask.tool!r} at step {ask.path} of {ctx.run.run_id} lost against others (last: {lost});"
            " it was not done.",
            next_move="Ask again.",
        )

    async def _act(
        self, ctx: RunContext, step: Step, spec: ToolSpec, args: JsonObject, *, wall_s: float
    ) -> ToolOutcome:
        """Rooms 5 and 6."""
        outcome, attempted = await self._reads.outcome(
            ctx,
            spec,
            step,
            args,
            pin=self._room.tools.pin(spec) if spec.cache_s else "",
            attempt=partial(self._attempted, ctx, step, spec, args, wall_s=wall_s),
        )
        if attempted is not None and isinstance(attempted.answer, ToolOk):
            now, is_broken = ctx.services.clock.monotonic(), outcome.error == OUTPUT_INVALID
            self._breaker.note(ctx.run.tenant, spec.name, now, is_broken=is_broken)
        if outcome.state is StepState.UNKNOWN and spec.reconcile is not None:
            outcome = await recovering.reconciled(self._read_tool, ctx, spec, step, args) or outcome
        return await self.settle(ctx, step, spec, outcome)

    async def _attempted(
        self, ctx: RunContext, step: Step, spec: ToolSpec, args: JsonObject, *, wall_s: float
    ) -> Attempted:
        if isinstance(spec.origin, BuiltInOrigin) and spec.origin.name is BuiltIn.EXTRACT:
            return Attempted(answer=await extracted(self._models, ctx, spec, step, args), attempts=1)
        return await attempt(self._room, ctx, spec, step, args, wall_s=wall_s)

    async def settle(self, ctx: RunContext, step: Step, spec: ToolSpec, outcome: Outcome) -> ToolOutcome:
        """Room 6: record an outcome and tell the caller."""
        outcome = with_words(ctx, spec, step, outcome)
        done, proposal = settled(ctx, step, spec, outcome, at=ctx.services.mint.now())
        match await ctx.services.writer.commit(proposal):
            case GuardFailed() as failed:
                raise Contended(
                    f"The outcome of {spec.name!r} at step {step.path} was recorded by someone else"
                    f" ({failed.detail}); theirs stands.",
                    next_move=f"See: leverframe why {ctx.run.run_id}",
                )
            case Committed():
                ctx.steps[step.path] = done
        crash_point("after_settled")
        return told(done, outcome.value)

    async def _settle_own_read(self, ctx: RunContext, step: Step, spec: ToolSpec, read: Known) -> ToolOutcome:
        from_read = recovering.ok_outcome(ctx, spec, step, read.value, how="read-as-fact")
        return await self.settle(ctx, step, spec, replace(from_read, is_free=True))

    async def _resumed(self, ctx: RunContext, step: Step, args: JsonObject) -> ToolOutcome:
        """A step that the journal has: answered from it, or taken up where an earlier process left it."""
        spec = ctx.contract.tools.get(ToolName(step.name))
        match step.state:
            case StepState.OK | StepState.ERROR | StepState.UNKNOWN:
                return repeated(told(step, ctx.payload(step.result_ref)))
            case StepState.DENIED:
                return refused_again(step, ctx.payload(step.detail_ref or step.args_ref))
            case StepState.HELD:
                return await self._reenter(ctx, step, args)
            case StepState.STARTED | StepState.INTENDED:
                if spec is None:
                    msg = f"Step {step.path} of {ctx.run.run_id} was sent to {step.name!r}, which its release lacks"
                    raise NondeterministicRun(msg)
                return await self._recovered(ctx, spec, step, args)

    async def _recovered(self, ctx: RunContext, spec: ToolSpec, step: Step, args: JsonObject) -> ToolOutcome:
        """A call that a process left behind: settled by what is known, or sent again where that is harmless."""
        verdict = await recovering.after_crash(self._read_tool, ctx, spec, step, args)
        if verdict is None:
            verdict = await self._stopped(ctx, spec)
        if verdict is None and await self._is_denied_today(ctx, step, args):
            verdict = recovering.unknown("it may have been sent before, and today's policy denies sending it again")
        if verdict is not None:
            return await self.settle(ctx, step, spec, verdict)
        if spec.effect.is_write:
            step = await recovering.sending_again(ctx, step)
        # It was decided within the run's time; cut short now, it would only be unknown once more.
        return await self._act(ctx, step, spec, args, wall_s=math.inf)

    async def _stopped(self, ctx: RunContext, spec: ToolSpec) -> Outcome | None:
        """What a call is that an earlier process left behind, where a switch, or its key's end, stops it."""
        await ctx.services.authority.refresh()
        if not (why := ctx.stopped_by(spec.name)):
            return None
        if spec.effect.is_write:
            return recovering.unknown(f"it may have been sent before, and {why} stops sending it again")
        return recovering.abandoned()

    async def _is_denied_today(self, ctx: RunContext, step: Step, args: JsonObject) -> bool:
        if ctx.today is None:
            return False
        ask = replace(self._ask(ctx, step.path, step.name, args), asker=Asker.REENTRY)
        loaded = await load(ctx, ask, self._fact_reader(ctx, ask))
        decision = decide(loaded.question, ctx.today)
        # Its budget was set aside when it was decided.
        return isinstance(decision, Deny) and not (decision.stops_run or decision.exhausted)

    async def _reenter(self, ctx: RunContext, step: Step, args: JsonObject) -> ToolOutcome:
        """A held call: decided anew when granted or eased, refused when denied or expired, else still held."""
        for _ in range(_TRIES):
            match await holding.standing(ctx, step):
                case HeldBack() as waiting:
                    return waiting
                case Refused() as ended:
                    if await holding.refuse(ctx, step, ended):
                        return ended
                case Approval() as approval:
                    again = self._reentry(ctx, step, args, approval)
                    try:
                        return await self._pass(ctx, again, frozenset({StepState.HELD}))
                    except AuthRefused:
                        if holding.ended_key(ctx) is None:
                            raise
        raise Contended(
            f"The approval {step.approval_id} of step {step.path} of {step.run_id} moved {_TRIES} times in a row.",
            next_move="Ask again.",
        )

    def _reentry(self, ctx: RunContext, step: Step, args: JsonObject, approval: Approval) -> Ask:
        """The same call: under its grant with the same frozen bytes, else frozen anew."""
        asked = self._ask(ctx, step.path, step.name, args)
        return replace(
            asked,
            asker=Asker.REENTRY,
            nonce=holding.nonce_of(ctx.payload(step.args_ref), approval) or asked.nonce,
            approval=approval,
        )

    async def _other_request(self, ctx: RunContext, recorded: Step, tool: str, args: JsonObject) -> ToolOutcome:
        """Another request where the journal has one: an outside agent that swaps bytes is refused; a loop is broken."""
        if not ctx.is_outside:
            raise NondeterministicRun(
                f"Run {ctx.run.run_id} asks for {tool!r} at step {recorded.path}, where it recorded another request of"
                f" {recorded.name!r}; the run is stopped rather than guessed at.",
                next_move=f"See both: leverframe runs show {ctx.run.run_id}",
            )
        ask = self._ask(ctx, holding.free_path(ctx, recorded.path), tool, args)
        return await holding.refuse_other_bytes(ctx, ask, recorded)

    async def _read_tool(self, ctx: RunContext, base: StepPath, tool: ToolName, args: JsonObject) -> Fact:
        """A read on the door's own account: through the same rooms, counted nowhere.

        Always a new step, also in a resumed run: an answer from before a crash may be untrue by now, and a stale
        "it did not happen" would send a write twice.
        """
        spec = ctx.contract.tools.get(tool)
        if spec is None:
            return Unreadable(why=f"the contract knows no tool {tool!r}")
        path = holding.free_path(ctx, base)
        outcome = await self._pass(ctx, replace(self._ask(ctx, path, tool, args), asker=Asker.DOOR), expect=None)
        match outcome:
            case Answered(value=value):
                return Known(value=value, label=label_of_answer(ctx, spec, ctx.steps[path], value))
            case _:
                return Unreadable(why=outcome.message)

    def _fact_reader(self, ctx: RunContext, ask: Ask) -> ReadFact:
        """Reads the facts of one decision, each a step below the call."""

        async def read(fact: ToolFact, args: JsonObject) -> Fact:
            return await self._read_tool(ctx, child_path(ask.path, fact.name), fact.tool, args)

        return read
