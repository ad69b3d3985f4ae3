"""How a run is let go of: parked until a person answers, or ended with its totals.

Knows: the row, the totals and the entries of an end, and what becomes of approvals that nobody needs any more.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from leverframe.core.hygiene import Removed
from leverframe.domain.approvals import ApprovalState
from leverframe.domain.budgets import RUN_UNITS, BudgetUnit, Window
from leverframe.domain.errors import Contended
from leverframe.domain.evidence import DetailValue, Disclosure, EntryDraft, EventType
from leverframe.domain.json import Json
from leverframe.domain.money import MicroUsd
from leverframe.domain.proposals import BooksAre, Committed, GuardFailed, MoveApproval, NothingOpen, Proposal, PutRun
from leverframe.domain.runs import Run, RunOutcome, RunState, StepState
from leverframe.ports.crash_points import crash_point
from leverframe.runtime.context import RunContext
from leverframe.runtime.entries import approval_entry, run_entry, taken_out
from leverframe.runtime.run_limits import UNLIMITED

# Refusals count a step: in a burst of them the books move every few milliseconds.
_TRIES = 8
# What becomes of an approval whose run ends without it.
LET_GO = {
    ApprovalState.PENDING: (ApprovalState.CANCELLED, EventType.APPROVAL_CANCELLED),
    ApprovalState.GRANTED: (ApprovalState.REVOKED, EventType.APPROVAL_REVOKED),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a run ends.  `stop_reason` is a slug or a limit's name; `output` is disclosed."""

    outcome: RunOutcome
    output: Json
    stop_reason: str = ""
    handoff_queue: str = ""
    removed: tuple[Removed, ...] = ()  # what hygiene took out of the output


async def park(ctx: RunContext, reason: str) -> None:
    """Let go of a run that waits for a person: a row, no thread, no connection; its wall clock stands."""
    waiting = replace(ctx.run, state=RunState.PARKED, stop_reason=reason)
    await put_run(ctx, waiting, expect=RunState.OPEN)


async def put_run(ctx: RunContext, run: Run, *, expect: RunState) -> None:
    """Replace a run's row.

    Raises:
        Contended: it is no longer in `expect`.
    """
    result = await ctx.services.writer.commit(Proposal(tenant=run.tenant, changes=(PutRun(run=run, expect=expect),)))
    match result:
        case Committed():
            ctx.run = run
        case GuardFailed():
            raise Contended(
                f"Run {run.run_id} is no longer {expect.value}; someone else advanced it.",
                next_move=f"See: leverframe runs show {run.run_id}",
            )


async def end_run(ctx: RunContext, end: RunEnd, learn: Callable[[], Awaitable[None]]) -> Run | None:
    """End a run with its totals, and let every approval that still waits for it go; None: a call is on its way.

    Nothing is written of a run after its end but what a person says of it, so the transaction that ends it asks
    whether its totals are whole.  `learn` brings `ctx.steps` up to now.

    Raises:
        Contended: someone else ended or parked it, or its books are moved again and again.
    """
    crash_point("before_run_ended")
    sealed = ctx.seal("output", end.output)
    for _ in range(_TRIES):
        windows = await ctx.services.journal.windows(ctx.run.run_id)
        # After the books: a call that is held from now on counts in them, and this end is then asked for anew.
        await learn()
        moves, let_go = await _let_go(ctx)
        ended = _ended(ctx, end, windows, sealed)
        proposal = Proposal(
            tenant=ended.tenant,
            guards=(
                NothingOpen(run_id=ended.run_id),
                BooksAre(settled={(one.window_id, one.unit): one.settled for one in windows}),
            ),
            changes=(PutRun(run=ended, expect=ctx.run.state), *moves),
            entries=(*let_go, _entry(ctx, end, ended, windows, sealed)),
        )
        match await ctx.services.writer.commit(proposal):
            case Committed():
                ctx.take_active_us()
                ctx.run = ended
                return ended
            case GuardFailed(guard="NothingOpen"):
                return None
            case GuardFailed(guard="BooksAre" | "MoveApproval"):
                # A call was settled, or somebody answered an approval, in this moment: all of it is read again.
                continue
            case GuardFailed() as failed:
                raise Contended(
                    f"Run {ctx.run.run_id} was ended or parked by someone else ({failed.detail}).",
                    next_move=f"See: leverframe runs show {ctx.run.run_id}",
                )
    raise Contended(
        f"Calls or approvals of {ctx.run.run_id} are being settled just now; the run ends after them.",
        next_move="Ask again in a moment.",
    )


def _ended(ctx: RunContext, end: RunEnd, windows: Sequence[Window], sealed: tuple[Disclosure, ...]) -> Run:
    """The row of a run that has ended.  Its own time is counted once that is committed."""
    now = ctx.services.mint.now()
    active_us = _totals(windows).get(BudgetUnit.WALL_US, 0) + ctx.unsettled_active_us()
    waited_us = max(0, int((now - ctx.run.opened_at) / timedelta(microseconds=1)) - active_us)
    return replace(
        ctx.run,
        state=RunState.ENDED,
        outcome=end.outcome,
        stop_reason=end.stop_reason,
        handoff_queue=end.handoff_queue,
        ended_at=now,
        active_us=active_us,
        waited_us=waited_us,
        output_ref=sealed[0].digest,
    )


def _entry(
    ctx: RunContext, end: RunEnd, ended: Run, windows: Sequence[Window], sealed: tuple[Disclosure, ...]
) -> EntryDraft:
    """`run.ended`."""
    totals = _totals(windows)
    detail: dict[str, DetailValue] = {
        **{f"total_{unit.value}": totals.get(unit, 0) for unit in RUN_UNITS if unit is not BudgetUnit.WALL_US},
        **{f"limit_{window.unit.value}": window.limit for window in windows if window.limit < UNLIMITED},
        "steps": len(ctx.steps),
        **taken_out(end.removed),
    }
    if end.stop_reason:
        detail["stop_reason"] = end.stop_reason.replace(" ", "=")
    if end.handoff_queue:
        detail["handoff_queue"] = end.handoff_queue
    return run_entry(
        ended,
        entry_id=ctx.services.mint.entry_id(),
        at=ended.ended_at or ended.opened_at,
        event=EventType.RUN_ENDED,
        outcome=end.outcome.value,
        detail=detail,
        disclosures=sealed,
        cost=MicroUsd(totals.get(BudgetUnit.USD, 0)),
    )


def _totals(windows: Sequence[Window]) -> Mapping[BudgetUnit, int]:
    return {window.unit: window.settled for window in windows}


async def _let_go(ctx: RunContext) -> tuple[tuple[MoveApproval, ...], tuple[EntryDraft, ...]]:
    """The approvals that nobody needs any more: pending ones are cancelled, unused grants revoked."""
    moves: list[MoveApproval] = []
    entries: list[EntryDraft] = []
    now = ctx.services.mint.now()
    for step in ctx.steps.values():
        if step.state is not StepState.HELD:
            continue
        approval = await ctx.services.approvals.approval(step.approval_id)
        if approval is None or approval.state not in LET_GO:
            continue
        to, event = LET_GO[approval.state]
        moves.append(MoveApproval(approval_id=approval.approval_id, expect=approval.state, to=to))
        entries.append(approval_entry(approval, ctx.run, entry_id=ctx.services.mint.entry_id(), at=now, event=event))
    return tuple(moves), tuple(entries)
