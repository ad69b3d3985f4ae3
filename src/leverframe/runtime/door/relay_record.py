"""Rooms 4 and 6 of relayed model calls: the rows and entries that a decision and an outcome become.

The same entries as for the loops of our own (`modelling`), written from bytes: a request that nothing is to be
withheld from is recorded to the byte, and nothing of it stays in memory.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from leverframe.core.policy.recorded import kill_json, reason_json
from leverframe.domain.authority import KillSwitch
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.calls import ModelBound
from leverframe.domain.contracts import ModelRef
from leverframe.domain.evidence import DetailValue, EntryDraft, EventType
from leverframe.domain.ids import ReservationId, StepPath, WindowId
from leverframe.domain.money import MicroUsd
from leverframe.domain.policy import Allow, Deny, Reason, Reserve
from leverframe.domain.proposals import (
    Change,
    Proposal,
    PutStep,
    RunIs,
    SettleDirect,
    SettleReserves,
    TakeReserves,
)
from leverframe.domain.records import replace
from leverframe.domain.relays import RelayedAnswer
from leverframe.domain.runs import RunState, Step, StepKind, StepState
from leverframe.runtime.bookings import run_out, set_aside, told_would
from leverframe.runtime.door.relay_books import Books
from leverframe.runtime.door.relay_run import RelayAsk, RelayRun, recordable
from leverframe.runtime.door.rows import one_step, reservation_id
from leverframe.runtime.entries import clear_place
from leverframe.runtime.refusals import recorded_refusal

NOTHING: Final = ModelBound(input_tokens=0, output_tokens=0, cost=MicroUsd(0))
_encode: Final = msgspec.json.Encoder(order="sorted").encode
_COUNTED: Final = (BudgetUnit.MODEL_CALLS, BudgetUnit.STEPS)


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt.  `used` None: nobody can tell, and the whole bound is spent."""

    state: StepState
    outcome: str  # ok | error | unknown
    used: ModelBound | None
    error: str = ""
    answer: bytes = b"null"
    detail: Mapping[str, DetailValue] = msgspec.field(default_factory=dict)


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A decision about one candidate, with all that it rested on."""

    path: StepPath
    earlier: Step | None  # the step as an earlier candidate left it
    model: ModelRef
    bound: ModelBound
    cost: Mapping[BudgetUnit, int]
    answer: Allow | Deny
    books: Books
    at: datetime
    killed: KillSwitch | None
    injected: int | None  # the maximum that is written into the call


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One call to one candidate, decided and on its way."""

    decision: Decision
    step: Step
    reserves: tuple[Reserve, ...]

    @property
    def model(self) -> ModelRef:
        """Who is asked."""
        return self.decision.model

    @property
    def bound(self) -> ModelBound:
        """The most that it can take."""
        return self.decision.bound


def decided(run: RelayRun, ask: RelayAsk, made: Decision) -> tuple[Attempt, Proposal]:
    """What a decision writes: the step, its reservation and `model.called`."""
    ctx, answer = run.ctx, made.answer
    sealed = run.seal("call", _inputs(ask, made))
    step = _step(run, made, args_ref=sealed[0].digest)
    rid = reservation_id(step.call_id)
    reserves = answer.reserves if isinstance(answer, Allow) else one_step(made.books.windows)
    expect = None if made.earlier is None else _AFTER_ERROR
    changes: list[Change] = [PutStep(step=step, expect=expect), *made.books.to_ensure]
    if reserves:
        changes.append(TakeReserves(reservation_id=rid, run_id=step.run_id, path=step.path, reserves=reserves))
    detail: dict[str, DetailValue] = {
        "rule_source": clear_place(step.rule_source),
        "wire": ask.call.wire.value,
        **run_out(answer),
        **told_would(answer),
        **set_aside(rid, reserves, made.books.windows),
    }
    if ask.refused_as:
        # It would not even have been read; what it asked for is passed on all the same.
        detail |= {"would": "deny", "wire_refused": ask.refused_as, "lacks": ask.lacks}
    if made.injected is not None:
        detail["max_output_tokens"] = made.injected
    if reserves and isinstance(answer, Deny):
        changes.append(SettleReserves(reservation_id=rid, actual={}))
        detail["settled"] = ()
    entry = EntryDraft(
        entry_id=ctx.services.mint.entry_id(),
        at=made.at,
        type=EventType.MODEL_CALLED,
        tenant=ctx.run.tenant,
        environment=ctx.run.environment,
        run_id=step.run_id,
        step=step.path,
        actor=ask.key.principal,
        policy_digest=ctx.run.policy_digest,
        rule=step.rule,
        decision=step.decision,
        labels=ctx.values.union,
        release_digest=ctx.run.release_digest,
        provider=made.model.provider,
        model=made.model.model,
        detail=detail,
        disclosures=sealed,
    )
    proposal = Proposal(
        tenant=ctx.run.tenant,
        guards=(RunIs(run_id=step.run_id, state=RunState.OPEN), ctx.services.authority.guard()),
        changes=tuple(changes),
        entries=(entry,),
        is_durable=False,
    )
    return Attempt(decision=made, step=step, reserves=reserves), proposal


def _step(run: RelayRun, made: Decision, *, args_ref: str) -> Step:
    """The step of a call.  While it is on its way it has cost its bound: that is owed if nobody returns."""
    is_allowed, reason = isinstance(made.answer, Allow), made.answer.reasons[0]
    owed = made.bound if is_allowed else NOTHING
    return Step(
        run_id=run.ctx.run.run_id,
        path=made.path,
        kind=StepKind.MODEL,
        name=str(made.model),
        request_digest=b"",
        state=StepState.STARTED if is_allowed else StepState.DENIED,
        started_at=made.at,
        call_id=run.ctx.services.mint.call_id(),
        attempts=made.earlier.attempts if made.earlier is not None else 0,
        decision="allow" if is_allowed else "deny",
        rule=reason.rule,
        rule_source=str(reason.source),
        args_ref=args_ref,
        cost=owed.cost,
        input_tokens=owed.input_tokens,
        output_tokens=owed.output_tokens,
        finished_at=None if is_allowed else made.at,
    )


_AFTER_ERROR: Final = frozenset({StepState.ERROR})


def settled(run: RelayRun, ask: RelayAsk, attempt: Attempt, settlement: Settlement, *, at: datetime) -> Proposal:
    """What an outcome writes: the step, what it took in every window, and `model.answered`."""
    ctx, mint = run.ctx, run.ctx.services.mint
    used = attempt.bound if settlement.used is None else settlement.used
    sealed = run.seal("answer", recordable(settlement.answer))
    done = replace(
        attempt.step,
        state=settlement.state,
        finished_at=at,
        attempts=attempt.step.attempts + 1,
        cost=used.cost,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        error=settlement.error,
        result_ref=sealed[0].digest,
    )
    rid = reservation_id(done.call_id)
    taken = _taken(attempt, used) if settlement.used is not None else {}
    uncounted = _uncounted(run, attempt, used)
    changes: list[Change] = [
        PutStep(step=done, expect=frozenset({attempt.step.state})),
        SettleReserves(reservation_id=rid, actual={**taken, **uncounted}),
        SettleDirect(window_id=ctx.window_id, unit=BudgetUnit.WALL_US, amount=_wall_us(done, at)),
    ]
    told = {"attempts": done.attempts, "recorded": False, **settlement.detail, **_spent(rid, taken, attempt.reserves)}
    if settlement.error:
        told["error"] = settlement.error
    entry = EntryDraft(
        entry_id=mint.entry_id(),
        at=at,
        type=EventType.MODEL_ANSWERED,
        tenant=ctx.run.tenant,
        environment=ctx.run.environment,
        run_id=ctx.run.run_id,
        step=done.path,
        actor=ask.key.principal,
        labels=ctx.values.union,
        release_digest=ctx.run.release_digest,
        provider=attempt.model.provider,
        model=attempt.model.model,
        # Of what nobody can tell the bound is in the books, and no entry says that it was used.
        input_tokens=done.input_tokens if settlement.used is not None else None,
        output_tokens=done.output_tokens if settlement.used is not None else None,
        cost_microusd=done.cost if settlement.used is not None else None,
        outcome=settlement.outcome,
        detail=told,
        disclosures=sealed,
    )
    entries: tuple[EntryDraft, ...] = (entry,)
    if settlement.used is not None and is_over(attempt, used):
        entries = (_overrun(run, ask, done, rid, at), entry)
    return Proposal(tenant=ctx.run.tenant, changes=tuple(changes), entries=entries, is_durable=False)


def answer_bytes(answer: RelayedAnswer) -> bytes:
    """A relayed answer as the evidence holds it, in the form of the loops' own."""
    uses = [{"id": one.id, "name": one.name, "arguments": one.arguments} for one in answer.tool_uses]
    told: dict[str, object] = {
        "finish_reason": answer.finish_reason,
        "is_recorded": False,
        "text": answer.text,
        "tool_uses": uses,
    }
    if answer.is_cut:
        told["is_cut"] = True
    return _encode(told)


def lost_bytes(message: str, kind: str) -> bytes:
    """What is recorded of an attempt without an answer."""
    return _encode({"kind": kind, "message": message[:2_000]})


def is_over(attempt: Attempt, used: ModelBound) -> bool:
    """The vendor says that it took more than was set aside, in a window that has a limit."""
    for part in attempt.reserves:
        amount = _amount(BudgetUnit(part.unit), used)
        if amount is not None and amount > part.amount:
            return True
    return False


def _inputs(ask: RelayAsk, made: Decision) -> bytes:
    """All that the decision rested on, as `core.policy.recorded` reads it, and the request as the client sent it."""
    refusal = recorded_refusal(made.answer)
    return b"".join(
        (
            b'{"cost":',
            _encode(made.cost),
            b',"exhausted":',
            _encode(refusal["exhausted"]),
            b',"killed":',
            _encode(kill_json(made.killed)),
            b',"model":',
            _encode(str(made.model)),
            b',"reasons":',
            _reasons(made.answer.reasons),
            b',"request":',
            recordable(ask.call.body),
            b',"stops_run":',
            _encode(refusal["stops_run"]),
            b',"windows":',
            made.books.recorded,
            b"}",
        )
    )


def _reasons(reasons: tuple[Reason, ...]) -> bytes:
    return _encode([reason_json(one) for one in reasons])


def _taken(attempt: Attempt, used: ModelBound) -> dict[tuple[WindowId, BudgetUnit], int]:
    """What the call took in each window that it was reserved in, where that may be another amount."""
    actual: dict[tuple[WindowId, BudgetUnit], int] = {}
    for part in attempt.reserves:
        unit = BudgetUnit(part.unit)
        amount = _amount(unit, used)
        if amount is not None:
            actual[part.window_id, unit] = amount
    return actual


def _amount(unit: BudgetUnit, used: ModelBound) -> int | None:
    match unit:
        case BudgetUnit.USD:
            return used.cost
        case BudgetUnit.INPUT_TOKENS:
            return used.input_tokens
        case BudgetUnit.OUTPUT_TOKENS:
            return used.output_tokens
        case BudgetUnit.IN_FLIGHT:
            return 0
        case _:
            return None


def _uncounted(run: RelayRun, attempt: Attempt, used: ModelBound) -> dict[tuple[WindowId, BudgetUnit], int]:
    """What the call took in the run's windows without a limit, in which nothing was set aside."""
    window_id = run.ctx.window_id
    actual: dict[tuple[WindowId, BudgetUnit], int] = {}
    for unit in attempt.decision.books.uncounted:
        amount = _amount(unit, used)
        if unit in _COUNTED:
            amount = int(attempt.decision.earlier is None)
        if amount:
            actual[window_id, unit] = amount
    if not attempt.reserves:
        # Nothing was set aside for a call that is only observed: what it took is counted in every window all the same.
        for window in attempt.decision.books.windows:
            amount = int(window.unit in _COUNTED) or _amount(window.unit, used)
            if amount:
                actual[window.window_id, window.unit] = amount
    return actual


def _spent(
    rid: ReservationId, taken: Mapping[tuple[WindowId, BudgetUnit], int], reserves: tuple[Reserve, ...]
) -> dict[str, DetailValue]:
    if not reserves:
        return {}
    parts = tuple(f"{window_id}/{unit.value}={amount}" for (window_id, unit), amount in taken.items())
    return {"reservation_id": rid, "settled": parts}


def _overrun(run: RelayRun, ask: RelayAsk, done: Step, rid: ReservationId, at: datetime) -> EntryDraft:
    """Stands before the settlement that says how much."""
    ctx = run.ctx
    return EntryDraft(
        entry_id=ctx.services.mint.entry_id(),
        at=at,
        type=EventType.BUDGET_OVERRUN,
        tenant=ctx.run.tenant,
        environment=ctx.run.environment,
        run_id=ctx.run.run_id,
        step=done.path,
        actor=ask.key.principal,
        cost_microusd=done.cost,
        detail={"reservation_id": rid},
    )


def _wall_us(done: Step, at: datetime) -> int:
    """How long the call was on its way: the clock of an outside agent's run runs while one is."""
    elapsed = at - done.started_at
    return max(0, elapsed.days * 86_400_000_000 + elapsed.seconds * 1_000_000 + elapsed.microseconds)
