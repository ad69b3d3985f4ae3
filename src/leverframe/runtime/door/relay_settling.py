"""Room 6 of relayed model calls: the rows and entries that an outcome becomes.

The same entries as for the loops of our own (`modelling`), written from bytes, and nothing of them stays in memory.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.calls import ModelBound
from leverframe.domain.evidence import DetailValue, EntryDraft, EventType
from leverframe.domain.ids import ReservationId, WindowId
from leverframe.domain.proposals import Change, Proposal, PutStep, SettleDirect, SettleReserves
from leverframe.domain.records import replace
from leverframe.domain.relays import RelayedAnswer
from leverframe.domain.runs import Step, StepState
from leverframe.runtime.context import RunContext
from leverframe.runtime.door.relay_record import Attempt
from leverframe.runtime.door.relay_run import RelayAsk, RelayRun, owner_of, recordable
from leverframe.runtime.door.rows import reservation_id
from leverframe.runtime.run_limits import UNLIMITED

_encode: Final = msgspec.json.Encoder(order="sorted").encode
# An enum's word takes longer to ask for than all else that is done with it here.
_USD, _INPUT, _OUTPUT, _IN_FLIGHT = (
    one.value for one in (BudgetUnit.USD, BudgetUnit.INPUT_TOKENS, BudgetUnit.OUTPUT_TOKENS, BudgetUnit.IN_FLIGHT)
)
_COUNTED: Final = (BudgetUnit.MODEL_CALLS, BudgetUnit.STEPS)


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt.  `used` None: nobody can tell, and the whole bound is spent."""

    state: StepState
    outcome: str  # ok | error | unknown
    used: ModelBound | None
    error: str = ""
    answer: bytes = b"null"
    detail: Mapping[str, DetailValue] = msgspec.field(default_factory=dict)
    ended_at: datetime | None = None  # where that was before it could be written


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
    took, wall_us = _took(attempt, used), _wall_us(done, settlement.ended_at or at)
    taken = took.actual if settlement.used is not None else {}
    uncounted = _uncounted(run, attempt, used)
    changes: list[Change] = [
        PutStep(step=done, expect=frozenset({attempt.step.state})),
        SettleReserves(reservation_id=rid, actual={**taken, **uncounted}),
        SettleDirect(window_id=ctx.window_id, unit=BudgetUnit.WALL_US, amount=wall_us),
    ]
    told = {"attempts": done.attempts, "recorded": False, **settlement.detail}
    if attempt.reserves:
        told["reservation_id"], told["settled"] = rid, took.told if settlement.used is not None else ()
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
    if settlement.used is not None and took.is_over:
        entries = (_overrun(run, ask, done, rid, at), entry)
    return Proposal(tenant=ctx.run.tenant, changes=tuple(changes), entries=entries, is_durable=False)


def answer_bytes(answer: RelayedAnswer, kind: str, message: str) -> bytes:
    """A relayed answer as the evidence holds it, in the form of the loops' own; with the error where it ends in one."""
    uses = [{"id": one.id, "name": one.name, "arguments": one.arguments} for one in answer.tool_uses]
    told: dict[str, object] = {
        "finish_reason": answer.finish_reason,
        "is_recorded": False,
        "text": answer.text,
        "tool_uses": uses,
    }
    if answer.is_cut:
        told["is_cut"] = True
    error = {"kind": kind, "message": message[:2_000]} if message else {}
    return _encode(told | error)


def lost_bytes(message: str, kind: str) -> bytes:
    """What is recorded of an attempt without an answer."""
    return _encode({"kind": kind, "message": message[:2_000]})


def is_over(attempt: Attempt, used: ModelBound) -> bool:
    """The vendor says that it took more than was set aside, in a window that has a limit."""
    amounts = _amounts(used)
    return any(amounts.get(part.unit, 0) > part.amount for part in attempt.reserves)


class _Took(msgspec.Struct, frozen=True, kw_only=True):
    """What a call took in each window that it was reserved in, where that may be another amount."""

    actual: dict[tuple[WindowId, BudgetUnit], int]
    told: tuple[str, ...]  # the same as an entry says it
    is_over: bool


def _took(attempt: Attempt, used: ModelBound) -> _Took:
    actual: dict[tuple[WindowId, BudgetUnit], int] = {}
    told: list[str] = []
    is_over = False
    marks, amounts = attempt.decision.books.marks, _amounts(used)
    for part in attempt.reserves:
        amount = amounts.get(part.unit)
        if amount is not None:
            mark = marks[part.window_id, part.unit]
            actual[part.window_id, mark.unit] = amount
            told.append(f"{mark.name}{amount}")
            is_over = is_over or amount > part.amount
    return _Took(actual=actual, told=tuple(told), is_over=is_over)


def _amounts(used: ModelBound) -> dict[str, int]:
    """By the unit's word; a call that is over is not at work."""
    return {_USD: used.cost, _INPUT: used.input_tokens, _OUTPUT: used.output_tokens, _IN_FLIGHT: 0}


def _uncounted(run: RelayRun, attempt: Attempt, used: ModelBound) -> dict[tuple[WindowId, BudgetUnit], int]:
    """What the call took in the run's windows without a limit, in which nothing was set aside."""
    window_id, amounts = run.ctx.window_id, _amounts(used)
    actual: dict[tuple[WindowId, BudgetUnit], int] = {}
    for unit in attempt.decision.books.uncounted:
        amount = amounts.get(unit)
        if unit in _COUNTED:
            amount = int(attempt.decision.earlier is None)
        if amount:
            actual[window_id, unit] = amount
    if not attempt.reserves:
        # Nothing was set aside for a call that is only observed: what it took is counted in every window all the same.
        for window in attempt.decision.books.windows:
            amount = int(window.unit in _COUNTED) or amounts.get(window.unit)
            if amount:
                actual[window.window_id, window.unit] = amount
    return actual


async def owed_uncounted(ctx: RunContext, step: Step) -> Mapping[tuple[WindowId, BudgetUnit], int]:
    """What a lost relayed call owes in the run's windows without a limit, in which relayed calls set nothing aside."""
    if not owner_of(step.path):
        return {}
    owed = {
        BudgetUnit.USD: int(step.cost),
        BudgetUnit.INPUT_TOKENS: step.input_tokens,
        BudgetUnit.OUTPUT_TOKENS: step.output_tokens,
        # An earlier candidate's end has counted it.
        BudgetUnit.MODEL_CALLS: int(not step.attempts),
        BudgetUnit.STEPS: int(not step.attempts),
    }
    windows = await ctx.services.journal.windows(step.run_id)
    unlimited = [one for one in windows if one.limit >= UNLIMITED and owed.get(one.unit)]
    return {(one.window_id, one.unit): owed[one.unit] for one in unlimited}


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
