"""Relayed model calls: an outside agent's call to a model, in the vendor's own bytes, through the same rooms.

The way of one call: estimate its worst case, decide on the books in memory, one visible commit (step, reservation,
`model.called`), send, hand the answer on as it comes, one commit for what it took (`model.answered`).  Budget truth is
in the store; the books in memory are read anew before anyone is told that there is no room.
Never: asks another candidate after the first byte has reached the client, or keeps anything of a call that is over.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from leverframe.core.budgets import counted_places
from leverframe.core.policy import ModelQuestion, decide
from leverframe.domain.authority import KillSwitch
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.calls import ModelLost
from leverframe.domain.contracts import ModelRef
from leverframe.domain.errors import CallDenied, Contended
from leverframe.domain.ids import StepPath
from leverframe.domain.policy import Allow, Deny, Hold
from leverframe.domain.proposals import Committed, GuardFailed, Proposal
from leverframe.domain.records import replace
from leverframe.domain.relays import RelayRefusal
from leverframe.domain.runs import Step
from leverframe.ports.acting import ModelRelay
from leverframe.ports.crash_points import crash_point
from leverframe.runtime.door.cooling import Cooldowns
from leverframe.runtime.door.relay_books import Books, read_books
from leverframe.runtime.door.relay_checks import checked
from leverframe.runtime.door.relay_clamp import Clamped, clamp
from leverframe.runtime.door.relay_outcomes import Outcomes
from leverframe.runtime.door.relay_record import Attempt, Decision, decided
from leverframe.runtime.door.relay_refusals import RefusalRecords, counted
from leverframe.runtime.door.relay_room import (
    LOOKS_EVERY_S,
    MOST_WAITING,
    Look,
    is_on_their_way,
    let_look,
    looking_after,
    may_not_fit,
    stand_back,
    wait,
)
from leverframe.runtime.door.relay_run import RelayAsk, RelayRun
from leverframe.runtime.door.relay_stream import Relayed, settle_lost
from leverframe.runtime.outcomes import Exhausted, Refused, Stopped
from leverframe.runtime.refusals import refused
from leverframe.runtime.together import Together

_DEADLINE_S: Final = 600.0
_NEXT_MAY_DO_BETTER: Final = frozenset({"connect", "429", "5xx", "timeout"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """No candidate answered; `lost` is the last one's word."""

    lost: ModelLost | RelayRefusal
    path: StepPath


Denied = Refused | Stopped | Exhausted
RelayOutcome = Relayed | Unanswered | Denied


class _Way(msgspec.Struct, frozen=True, kw_only=True):
    """Where one call stands: its step, and the candidate that is asked next."""

    path: StepPath
    model: ModelRef
    earlier: Step | None  # the step as an earlier candidate left it
    counted: frozenset[tuple[str, BudgetUnit]]  # where the call was counted for those


class _Allowed(msgspec.Struct, frozen=True, kw_only=True):
    attempt: Attempt
    deadline_s: float


class Relayer:
    """One for each process; it keeps nothing of a run, and of upstreams which to leave alone."""

    def __init__(self, relays: ModelRelay) -> None:
        self._relays = relays
        self._refusals = RefusalRecords()
        self._outcomes = Outcomes()
        self.cooldowns = Cooldowns()

    async def relay(self, run: RelayRun, ask: RelayAsk) -> RelayOutcome:
        """Ask the candidates in order until one answers.

        Raises:
            CallDenied: the run is over.
            Contended: others changed what the decision rests on again and again.
            ProviderUnavailable: a candidate has no known price.
            WireRefused: an id in it is of no answer of this run, or it asks for more answers than a step may write.
        """
        ask = await checked(self._relays, run, ask)
        path = run.next_path(ask.step)
        outcome: Unanswered | None = None
        earlier: Step | None = None
        counted: frozenset[tuple[str, BudgetUnit]] = frozenset()
        for model in self.cooldowns.ordered(ask.candidates, ask.began_at):
            allowed: _Allowed | Denied | None = None
            self._refusals.deciding += 1
            try:
                allowed = await self._decide(run, ask, _Way(path=path, model=model, earlier=earlier, counted=counted))
            finally:
                self._refusals.deciding -= 1
                let_look(run, looking_after(run, is_allowed=isinstance(allowed, _Allowed)))
            if not isinstance(allowed, _Allowed):
                return outcome or allowed
            sent = await self._send(run, ask, allowed)
            if isinstance(sent, Relayed):
                return sent
            outcome = Unanswered(lost=sent, path=path)
            if sent.kind not in _NEXT_MAY_DO_BETTER:
                break
            counted |= counted_places(allowed.attempt.decision.books.windows)
            earlier = replace(allowed.attempt.step, attempts=allowed.attempt.step.attempts + 1)
        if outcome is None:
            raise CallDenied("There is no model to ask.", next_move="Name a tier in `models:` of leverframe.yaml.")
        return outcome

    async def close(self) -> None:
        """Let go of connections."""
        await self._refusals.close()
        await self._outcomes.close()
        await self._relays.close()

    async def _decide(self, run: RelayRun, ask: RelayAsk, way: _Way) -> _Allowed | Denied:
        """Rooms 2 to 4, again as long as a guard fails."""
        # Where the last call found no room, old books would only be decided on twice.
        look, lost = Look(began_at=run.ctx.services.clock.monotonic(), is_asked_anew=run.is_short), ""
        while look.tries:
            made = await self._looked(run, ask, way, look)
            if made is None:
                continue
            if isinstance(made.answer, Deny) and made.answer.exhausted:
                run.refused_at = run.ctx.services.clock.monotonic()
                await self._refusals.write(run, ask, made)
                return refused(way.path, made.answer)
            made = counted(run, made)
            if isinstance(made.answer, Deny) and made.unrecorded is None:
                return refused(way.path, made.answer)
            attempt, proposal = decided(run, ask, made)
            failed = await self._commit(run, attempt, proposal)
            if failed is None:
                if isinstance(made.answer, Deny):
                    return refused(way.path, made.answer)
                run.used_at = run.ctx.services.clock.monotonic()
                return _Allowed(attempt=attempt, deadline_s=_deadline_s(made.books))
            _correct(run, way.model, failed)
            lost, look.tries, look.is_asked_anew = failed.detail, look.tries - 1, True  # the writer's word is of now
        raise Contended(
            f"The call of {str(way.model)!r} in {run.ctx.run.run_id} was not sent: others went first (last: {lost}).",
            next_move="Ask again.",
        )

    async def _looked(self, run: RelayRun, ask: RelayAsk, way: _Way, look: Look) -> Decision | None:
        """Policy's answer on the books as they are; None where it is to be asked again, once others have moved them."""
        clock = run.ctx.services.clock
        books = (await _books(run, way.model, is_asked_anew=look.is_asked_anew)).without(way.counted)
        if look.clamped is None or not look.clamped.is_fixed:
            look.clamped = clamp(self._relays, ask.call, way.model, run.ctx.contract, books)
        cost = {**_cost(look.clamped), **books.at_work}
        is_of_now = look.is_asked_anew or books.is_of_now(run.books.moves, clock.monotonic())
        if may_not_fit(run, books, cost):
            if look.left_s(run) > 0:
                look.is_asked_anew = True
                await stand_back(run)
                return None
            books = run.books.beside(books)
        run.ctx.services.authority.check_live(ask.key)  # under the generation that the commit is guarded by
        killed = _killed(run, ask, way)
        answer = _answer(
            run, ModelQuestion(model=str(way.model), run=run.facts, windows=books.windows, cost=cost, killed=killed)
        )
        run.is_short = isinstance(answer, Deny) and bool(answer.exhausted)
        if isinstance(answer, Deny) and (answer.exhausted or answer.stops_run):
            if not is_of_now:
                look.is_asked_anew = True
                return None
            left_s = look.left_s(run)
            if left_s > 0 and run.waiting < MOST_WAITING and is_on_their_way(books, cost):
                let_look(run, 1)
                await wait(run, min(LOOKS_EVERY_S[look.waits > 0], left_s))
                look.waits += 1
                return None
        return Decision(
            path=way.path,
            earlier=way.earlier,
            model=way.model,
            bound=look.clamped.bound,
            cost=cost,
            answer=answer,
            books=books,
            at=run.ctx.services.mint.now(),
            killed=killed,
            injected=look.clamped.injected,
        )

    async def _commit(self, run: RelayRun, attempt: Attempt, proposal: Proposal) -> GuardFailed | None:
        """Room 4; None when it is recorded."""
        services = run.ctx.services
        began_at = services.clock.monotonic()
        with run.books.committing(attempt.reserves):
            result = await services.writer.commit(proposal)
        match result:
            case Committed():
                run.moved(proposal, attempt.reserves, began_at)
                return None
            case GuardFailed(guard="RunIs") as failed:
                run.is_over = True
                raise CallDenied(
                    f"Nothing is called in {run.ctx.run.run_id} any more: {failed.detail}.",
                    next_move="Open a new run.",
                )
            case GuardFailed(guard="AuthorityIs") as failed:
                await services.authority.reload()
                return failed
            case GuardFailed() as failed:
                return failed

    async def _send(self, run: RelayRun, ask: RelayAsk, allowed: _Allowed) -> Relayed | ModelLost | RelayRefusal:
        """Rooms 5 and, where nobody answered, 6."""
        crash_point("before_send")
        model, sent_at = allowed.attempt.model, run.ctx.services.clock.monotonic()
        sent = self._relays.send(
            ask.call,
            model,
            max_output_tokens=allowed.attempt.decision.injected,
            deadline_s=allowed.deadline_s,
            headers=ask.headers,
            is_observed=run.is_observed,
        )
        stream = await self._outcomes.sending(run, ask, allowed.attempt, sent)
        if isinstance(stream, ModelLost | RelayRefusal):
            crash_point("after_answer")
            if stream.kind in _NEXT_MAY_DO_BETTER:
                retry_after_s = stream.retry_after_s if isinstance(stream, RelayRefusal) else None
                self.cooldowns.failed(model.provider, sent_at, retry_after_s=retry_after_s)
            await settle_lost(self._outcomes, run, ask, allowed.attempt, stream, sent_at=sent_at)
            return stream
        self.cooldowns.worked(model.provider)
        return Relayed(
            run=run,
            ask=ask,
            attempt=allowed.attempt,
            stream=stream,
            relays=self._relays,
            outcomes=self._outcomes,
            sent_at=sent_at,
        )


async def _books(run: RelayRun, model: ModelRef, *, is_asked_anew: bool) -> Books:
    """The books of a moment ago, or of now."""
    services, name = run.ctx.services, str(model)
    now, at = services.mint.now(), services.clock.monotonic()
    known = run.books.by_model.get(name)
    is_old = known is not None and is_asked_anew and not known.is_of_now(run.books.moves, at)
    if known is None or is_old or not known.is_fresh(now, at):
        return await _read_with_others(run, name)
    return known


async def _read_with_others(run: RelayRun, name: str) -> Books:
    """Of a burst one reads the books, and the others wait for it; each would read the same rows."""
    found = await _read_once(run, name)
    # What was settled while they were read may have made room.
    return found if found.shown == run.books.moves else await _read_once(run, name)


async def _read_once(run: RelayRun, name: str) -> Books:
    reading = run.books.reading.get(name)
    if reading is None:
        reading = run.books.reading[name] = Together(_read(run, name))
    return await reading.wait()


async def _read(run: RelayRun, name: str) -> Books:
    try:
        found = run.books.by_model[name] = await read_books(run.ctx, run.ctx.services.mint.now(), name, run.books)
    finally:
        run.books.reading.pop(name, None)
    return found


def _correct(run: RelayRun, model: ModelRef, failed: GuardFailed) -> None:
    """Go on with what the writer says is left: others took the room in a commit that no reader sees yet."""
    known = run.books.by_model.pop(str(model), None)
    if known is None:
        return
    told = known.corrected(failed.detail, run.ctx.services.clock.monotonic(), run.books.moves)
    if told is not None:
        run.books.by_model[str(model)] = told


def _cost(clamped: Clamped) -> dict[BudgetUnit, int]:
    """The worst case in every unit; a call counts once in a budget, however many candidates are asked for it."""
    bound = clamped.bound
    return {
        BudgetUnit.MODEL_CALLS: 1,
        BudgetUnit.STEPS: 1,
        BudgetUnit.INPUT_TOKENS: bound.input_tokens,
        BudgetUnit.OUTPUT_TOKENS: bound.output_tokens,
        BudgetUnit.USD: bound.cost,
    }


def _killed(run: RelayRun, ask: RelayAsk, way: _Way) -> KillSwitch | None:
    """The kill switch that stops such a call, as far as is known; the commit is guarded by the same generation."""
    workflow, authority = run.ctx.run.workflow, run.ctx.services.authority.current()
    if not authority.kills:
        return None
    return authority.killed(tenant=run.ctx.run.tenant, workflow=workflow, key=ask.key, model=str(way.model))


def _answer(run: RelayRun, question: ModelQuestion) -> Allow | Deny:
    """Policy's answer, today's denials included; a model call is never held."""
    ctx = run.ctx
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


def _deadline_s(books: Books) -> float:
    left_us = books.left.get(BudgetUnit.WALL_US)
    return _DEADLINE_S if left_us is None else max(0.05, min(_DEADLINE_S, left_us / 1_000_000))
