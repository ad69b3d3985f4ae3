"""The rows that a decision writes beside its step: approvals, counts, and the values that history asks for.

Never: decides, or writes anything by itself; `recording` puts these into its one proposal.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from leverframe.core.budgets import counts, lacking, plan
from leverframe.core.policy import Asker
from leverframe.domain.approvals import Approval, ApprovalState
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.evidence import EntryDraft, EventType
from leverframe.domain.ids import ReservationId, Sha256
from leverframe.domain.money import scaled_amount
from leverframe.domain.policy import Hold, Reserve, Then
from leverframe.domain.proposals import (
    Change,
    MoveApproval,
    PutOnceKey,
    PutValue,
    SettleReserves,
    TakeReserves,
)
from leverframe.domain.tools import ToolSpec
from leverframe.runtime.context import RunContext
from leverframe.runtime.door.asking import Ask, Loaded
from leverframe.runtime.door.envelopes import sticky_digest, value_digest
from leverframe.runtime.entries import approval_entry

_ONE_STEP = {BudgetUnit.STEPS: 1}


def reservation_id(call_id: str) -> ReservationId:
    """The reservation of a call: found again after a crash without having been written down."""
    return ReservationId("rsv_" + call_id.removeprefix("call_"))


def count_id(call_id: str) -> ReservationId:
    """The reservation of what a held or denied call counts."""
    return ReservationId(reservation_id(call_id) + "_count")


def held_counts(loaded: Loaded) -> tuple[Reserve, ...]:
    """What a held call counts, in each window."""
    return plan(loaded.question.windows, counts(loaded.question.cost))


def denied_counts(ask: Ask, loaded: Loaded) -> tuple[Reserve, ...]:
    """What a denied call counts: a step, where one is left; where none is, the denial stops the run by itself."""
    return one_step(loaded.question.windows) if ask.asker is Asker.AGENT else ()


def one_step(windows: Iterable[Window]) -> tuple[Reserve, ...]:
    """A step in each window that counts them, as far as they have room."""
    steps = tuple(one for one in windows if one.unit is BudgetUnit.STEPS)
    return () if lacking(steps, _ONE_STEP) else plan(steps, _ONE_STEP)


def held_approval(ctx: RunContext, ask: Ask, now: datetime, decision: Hold, digest: Sha256) -> Approval:
    """The approval that a hold asks for."""
    rules = tuple(dict.fromkeys(reason.rule for reason in decision.reasons if reason.then is Then.HOLD))
    return Approval(
        approval_id=ctx.services.mint.approval_id(),
        tenant=ctx.run.tenant,
        run_id=ctx.run.run_id,
        path=ask.path,
        tool=ask.tool,
        action_digest=digest,
        rules=rules,
        requirement=decision.requirement,
        initiator=ctx.run.initiator,
        launcher=ctx.run.launcher,
        selector_digest=sticky_digest(ctx, ask.spec, ask.args) if ask.spec is not None else b"",
        subject_digest=ctx.run.subject_digest,
        asked_at=now,
        decide_by=now + timedelta(seconds=decision.requirement.decide_within_s),
    )


def outdated(ask: Ask) -> tuple[Change, ...]:
    """A grant that the call does not use is taken back: a fact changed, or the call is denied or needs none by now.

    A question that nobody answered yet is superseded: a value was endorsed since, and the call was frozen anew.
    """
    if ask.approval is None:
        return ()
    old, is_pending = ask.approval.approval_id, ask.approval.state is ApprovalState.PENDING
    to = ApprovalState.SUPERSEDED if is_pending else ApprovalState.REVOKED
    return (MoveApproval(approval_id=old, expect=ask.approval.state, to=to),)


def outdated_entries(ctx: RunContext, ask: Ask, now: datetime) -> tuple[EntryDraft, ...]:
    """The entry of the same."""
    if ask.approval is None:
        return ()
    entry_id, event = ctx.services.mint.entry_id(), EventType.APPROVAL_REVOKED
    if ask.approval.state is ApprovalState.PENDING:
        event = EventType.APPROVAL_SUPERSEDED
    return (approval_entry(ask.approval, ctx.run, entry_id=entry_id, at=now, event=event),)


def counted(ctx: RunContext, ask: Ask, reserves: tuple[Reserve, ...]) -> tuple[Change, ...]:
    """What counts without running: taken only where there is room, and settled at once."""
    if not reserves:
        return ()
    rid = count_id(ask.call_id)
    return (
        TakeReserves(reservation_id=rid, run_id=ctx.run.run_id, path=ask.path, reserves=reserves),
        SettleReserves(reservation_id=rid, actual={}),
    )


def history_rows(ctx: RunContext, ask: Ask, loaded: Loaded) -> list[Change]:
    """The values that rules may ask for later; of the agent's own calls only."""
    if ask.spec is None or ask.is_early or ask.asker is Asker.DOOR:
        return []
    rows: list[Change] = [] if ask.asker is Asker.REENTRY else _values(ctx, ask, ask.spec)
    # A re-entry may know what names the act where the hold did not: a fact was unreadable then.
    if loaded.once is not None:
        rows.append(PutOnceKey(run_id=ctx.run.run_id, path=ask.path, tool=ask.tool, key_digest=loaded.once.key_digest))
    return rows


def _values(ctx: RunContext, ask: Ask, spec: ToolSpec) -> list[Change]:
    return [
        PutValue(
            run_id=ctx.run.run_id,
            path=ask.path,
            tool=ask.tool,
            arg=arg,
            amount=scaled_amount(ask.args[arg]),
            value_digest=value_digest(ctx, ask.tool, arg, ask.args[arg]),
        )
        for arg in sorted(ask.args)
        if arg in spec.args or isinstance(ask.args[arg], str | int | Decimal)
    ]
