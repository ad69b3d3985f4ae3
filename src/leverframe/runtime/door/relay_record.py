"""Room 4 of relayed model calls: the rows and entries that a decision becomes; `relay_settling` has those of room 6.

The same entries as for the loops of our own (`modelling`), written from bytes: a request that nothing is to be
withheld from is recorded to the byte, and nothing of it stays in memory.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final

import msgspec

from leverframe.core.policy.recorded import kill_json, reason_json
from leverframe.domain.authority import ApiKey, KillSwitch
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.calls import ModelBound
from leverframe.domain.contracts import ModelRef
from leverframe.domain.evidence import DetailValue, Disclosure, EntryDraft, EventType
from leverframe.domain.ids import ReservationId, StepPath
from leverframe.domain.money import MicroUsd
from leverframe.domain.policy import Allow, Deny, Reason, Reserve
from leverframe.domain.proposals import (
    Change,
    Proposal,
    PutStep,
    RunIs,
    SettleReserves,
    TakeReserves,
)
from leverframe.domain.runs import RunState, Step, StepKind, StepState
from leverframe.runtime.bookings import run_out, told_would
from leverframe.runtime.door.relay_books import Books
from leverframe.runtime.door.relay_run import RelayAsk, RelayRun, by_digest, recordable
from leverframe.runtime.door.rows import one_step, reservation_id
from leverframe.runtime.entries import clear_place
from leverframe.runtime.refusals import recorded_refusal

NOTHING: Final = ModelBound(input_tokens=0, output_tokens=0, cost=MicroUsd(0))
_encode: Final = msgspec.json.Encoder(order="sorted").encode
# Why a body of a watched workflow is none that a strict reader takes.
UNREADABLE: Final = frozenset({"duplicate_key", "malformed_json"})


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
    # Of a refusal: how many of its run before it nobody records; None where nobody records this one.
    unrecorded: int | None = 0


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
    if reserves or isinstance(answer, Allow):
        # Without a limit too: by its open reservation a call is found that a dead worker left on its way.
        changes.append(TakeReserves(reservation_id=rid, run_id=step.run_id, path=step.path, reserves=reserves))
    detail: dict[str, DetailValue] = {
        "rule_source": clear_place(step.rule_source),
        "wire": ask.call.wire.value,
        **run_out(answer),
        **told_would(answer),
        **_set_aside(rid, reserves, made.books),
    }
    if ask.refused_as:
        # It would not even have been read; what it asked for is passed on all the same.
        detail |= {"would": "deny", "wire_refused": ask.refused_as, "lacks": ask.lacks}
    if made.injected is not None:
        detail["max_output_tokens"] = made.injected
    if reserves and isinstance(answer, Deny):
        changes.append(SettleReserves(reservation_id=rid, actual={}))
        detail["settled"] = ()
    if made.unrecorded:
        detail["unrecorded"] = made.unrecorded
    entry = called(run, step, ask.key, sealed, detail=detail, model=made.model)
    proposal = Proposal(
        tenant=ctx.run.tenant,
        guards=(RunIs(run_id=step.run_id, state=RunState.OPEN), ctx.services.authority.guard()),
        changes=tuple(changes),
        entries=(entry,),
        is_durable=False,
    )
    return Attempt(decision=made, step=step, reserves=reserves), proposal


def called(
    run: RelayRun,
    step: Step,
    key: ApiKey,
    sealed: tuple[Disclosure, ...],
    *,
    detail: Mapping[str, DetailValue],
    model: ModelRef | None,
) -> EntryDraft:
    """The entry of a call as it was decided; `model` None: of a name that stands in the disclosure only."""
    ctx = run.ctx
    return EntryDraft(
        entry_id=ctx.services.mint.entry_id(),
        at=step.started_at,
        type=EventType.MODEL_CALLED,
        tenant=ctx.run.tenant,
        environment=ctx.run.environment,
        run_id=step.run_id,
        step=step.path,
        actor=key.principal,
        policy_digest=ctx.run.policy_digest,
        rule=step.rule,
        decision=step.decision,
        labels=ctx.values.union,
        release_digest=ctx.run.release_digest,
        provider="" if model is None else model.provider,
        model="" if model is None else model.model,
        detail=detail,
        disclosures=sealed,
    )


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
            _request(ask),
            b',"stops_run":',
            _encode(refusal["stops_run"]),
            b',"windows":',
            made.books.recorded,
            b"}",
        )
    )


def _request(ask: RelayAsk) -> bytes:
    """The body; of one that a watched workflow sent and that no strict reader takes, its length and SHA-256."""
    return by_digest(ask.call.body) if ask.refused_as in UNREADABLE else recordable(ask.call.body)


# Of the same few rules again and again.
@lru_cache(maxsize=1024)
def _reasons(reasons: tuple[Reason, ...]) -> bytes:
    return _encode([reason_json(one) for one in reasons])


def _set_aside(rid: ReservationId, reserves: tuple[Reserve, ...], books: Books) -> dict[str, DetailValue]:
    """The worst case of a call, in each window; empty where nothing was set aside."""
    if not reserves:
        return {}
    marks = books.marks
    parts = []
    for part in reserves:
        mark = marks[part.window_id, part.unit]
        parts.append(f"{mark.name}{part.amount}{mark.limit}")
    return {"reservation_id": rid, "reserved": tuple(parts)}
