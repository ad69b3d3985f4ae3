"""Rooms 4 and 6: what a decision and an outcome become in the journal and in the evidence.

Knows: which rows and entries each decision and each outcome writes, all in one proposal.  Never: decides or acts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from leverframe.core.disclosures import Placeholders, redact_json
from leverframe.core.hygiene import Removed
from leverframe.core.policy import Asker, decide, history_still_allows
from leverframe.core.policy.reasons import ONCE_PER
from leverframe.core.policy.recorded import question_json, reason_json
from leverframe.domain.approvals import Approval, ApprovalState
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.evidence import DetailValue, Disclosure, EntryDraft, EventType
from leverframe.domain.ids import ApprovalId, CallId, Sha256
from leverframe.domain.json import Json
from leverframe.domain.labels import Label
from leverframe.domain.money import MicroUsd
from leverframe.domain.pins import DRIFTED
from leverframe.domain.policy import Allow, Decision, Deny, Hold, Then
from leverframe.domain.proposals import (
    ApprovalUsable,
    AuthorityIs,
    Change,
    Guard,
    HistoryStill,
    HistoryValues,
    MoveApproval,
    Proposal,
    PutApproval,
    PutStep,
    RunIs,
    SettleDirect,
    SettleReserves,
    TakeReserves,
)
from leverframe.domain.records import replace
from leverframe.domain.runs import RunState, Step, StepKind, StepState
from leverframe.domain.tools import ToolSpec
from leverframe.runtime.bookings import ensured, run_out, set_aside, spent, taken, told_would
from leverframe.runtime.context import RunContext
from leverframe.runtime.door.asking import Ask, Loaded
from leverframe.runtime.door.envelopes import Envelope
from leverframe.runtime.door.rows import (
    count_id,
    counted,
    denied_counts,
    held_approval,
    held_counts,
    history_rows,
    outdated,
    outdated_entries,
    reservation_id,
)
from leverframe.runtime.entries import (
    approval_entry,
    decided_entry,
    drifted_entry,
    endorsed_entry,
    intended_entry,
    requested_entry,
    settled_entry,
    taken_out,
)
from leverframe.runtime.refusals import recorded_refusal

_MAX_NAME_CHARS = 200
_DRIFT = frozenset({DRIFTED, "output-invalid"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision ready to be committed."""

    decision: Decision
    step: Step
    proposal: Proposal
    approval: Approval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of an allowed call: `ok`, `error` or `unknown`, with what is disclosed of it."""

    state: StepState
    value: Json
    error: str = ""
    attempts: int = 1
    label: Label | None = None
    how: str = ""  # e.g. "reconciled", "repeated-key"
    is_free: bool = False  # nothing left the process: the fee is given back
    given_to: CallId = CallId("")  # the call whose answer this is, where it was used again
    endorsed: tuple[str, ...] = ()  # the types whose patterns eased the label of a value
    removed: tuple[Removed, ...] = ()  # what hygiene took out of what the agent is shown


def decided(
    ctx: RunContext, ask: Ask, loaded: Loaded, decision: Decision, expect: frozenset[StepState] | None
) -> Decided:
    """Turn a decision into its step, guards, changes and entries."""
    sealed = ctx.seal("call", _recorded_inputs(ctx, ask, loaded, decision))
    step = _step(ctx, ask, loaded, decision, args_ref=sealed[0].digest)
    entry = _decision_entry(ctx, ask, loaded, decision, step=step, sealed=sealed)
    guards: list[Guard] = [RunIs(run_id=ctx.run.run_id, state=RunState.OPEN)]
    changes: list[Change] = []
    entries = [entry]
    approval: Approval | None = None
    match decision:
        case Allow():
            guards += _allow_guards(ctx, loaded, decision)
            changes += [*ensured(ctx, loaded.question.windows), *_allow_changes(ctx, ask, decision)]
            entries += _allow_entries(ctx, ask, decision, step, entry)
        case Hold():
            spec, envelope = _frozen(ask, loaded)
            approval = held_approval(ctx, ask, loaded.now, decision, envelope.digest)
            step = replace(step, approval_id=approval.approval_id)
            # What a person endorsed a moment ago, in another process, may be what would have let it through.
            guards.append(AuthorityIs(generation=loaded.generation))
            changes += ensured(ctx, loaded.question.windows)
            changes += [*counted(ctx, ask, held_counts(loaded)), PutApproval(approval=approval)]
            entries.append(requested_entry(ctx, approval, spec=spec, cause=entry.entry_id))
        case Deny():
            changes += counted(ctx, ask, denied_counts(ask, loaded))
            entries += _drift_entries(ctx, ask, loaded)
    if not (isinstance(decision, Allow) and decision.consumes):
        changes += outdated(ask)
        entries += outdated_entries(ctx, ask, loaded.now)
    changes += [PutStep(step=step, expect=expect), *history_rows(ctx, ask, loaded)]
    proposal = Proposal(
        tenant=ctx.run.tenant,
        guards=tuple(guards),
        changes=tuple(changes),
        entries=tuple(entries),
        is_durable=step.state in {StepState.INTENDED, StepState.HELD},
    )
    return Decided(decision=decision, step=step, proposal=proposal, approval=approval)


def settled(ctx: RunContext, step: Step, spec: ToolSpec, outcome: Outcome, *, at: datetime) -> tuple[Step, Proposal]:
    """Turn an outcome into its step, settlement and entry."""
    sealed = ctx.seal("result", outcome.value)
    cost = MicroUsd(0) if outcome.is_free else spec.cost
    done = replace(
        step,
        state=outcome.state,
        attempts=step.attempts + outcome.attempts,
        finished_at=at,
        result_ref=sealed[0].digest,
        cost=cost,
        error=outcome.error,
    )
    rid = reservation_id(step.call_id)
    used = {BudgetUnit.USD: int(cost)}
    if outcome.given_to:
        # Nobody was asked: it counts in no limit of calls.
        used[BudgetUnit.TOOL_CALLS] = 0
    actual = taken(ctx, rid, used)
    word = {StepState.OK: "ok", StepState.ERROR: "error"}.get(outcome.state, "unknown")
    entry = settled_entry(
        ctx,
        at=at,
        step=done,
        spec=spec,
        outcome=word,
        cost=cost,
        labels=outcome.label,
        disclosures=sealed,
        detail={**_settled_detail(done, outcome), **spent(rid, actual)},
    )
    changes: tuple[Change, ...] = (
        PutStep(step=done, expect=frozenset({step.state})),
        SettleReserves(reservation_id=rid, actual=actual),
        SettleDirect(window_id=ctx.window_id, unit=BudgetUnit.WALL_US, amount=ctx.take_active_us()),
    )
    entries = [entry]
    if outcome.error in _DRIFT:
        entries.append(drifted_entry(ctx, at=at, step=done.path, spec=spec, reason=outcome.error))
    if outcome.endorsed:
        entries.append(endorsed_entry(ctx, at=at, step=done.path, spec=spec))
    return done, Proposal(tenant=ctx.run.tenant, changes=changes, entries=tuple(entries), is_durable=False)


def _drift_entries(ctx: RunContext, ask: Ask, loaded: Loaded) -> list[EntryDraft]:
    """A call was refused since its tool is another than the one that was reviewed."""
    if ask.spec is None or ask.closed is None or ask.closed.slug != DRIFTED:
        return []
    return [drifted_entry(ctx, at=loaded.now, step=ask.path, spec=ask.spec, reason=DRIFTED, seen=ask.closed.seen)]


def _settled_detail(done: Step, outcome: Outcome) -> dict[str, DetailValue]:
    detail: dict[str, DetailValue] = {"attempts": done.attempts}
    if outcome.error:
        detail["error"] = outcome.error
    if outcome.how:
        detail["how"] = outcome.how
    if outcome.given_to:
        detail["answer_of"] = outcome.given_to
    return {**detail, **taken_out(outcome.removed)}


def _frozen(ask: Ask, loaded: Loaded) -> tuple[ToolSpec, Envelope]:
    """A hold has a spec and an envelope: without a spec the answer was deny."""
    if ask.spec is None or loaded.envelope is None:
        msg = f"The unknown tool {ask.tool!r} was held, which policy never does"
        raise AssertionError(msg)
    return ask.spec, loaded.envelope


def _step(ctx: RunContext, ask: Ask, loaded: Loaded, decision: Decision, *, args_ref: str) -> Step:
    is_write = ask.spec is not None and ask.spec.effect.is_write
    match decision:
        case Allow():
            state, word = (StepState.INTENDED if is_write else StepState.STARTED), Then.ALLOW
        case Hold():
            state, word = StepState.HELD, Then.HOLD
        case Deny():
            state, word = StepState.DENIED, Then.DENY
    reason = decision.reasons[0]
    return Step(
        run_id=ctx.run.run_id,
        path=ask.path,
        kind=StepKind.FACT if ask.asker is Asker.DOOR else StepKind.TOOL,
        name=ask.tool if ask.spec is not None else _shown_name(ctx, ask.tool),
        request_digest=ask.request_digest,
        state=state,
        started_at=loaded.now,
        call_id=ask.call_id,
        action_digest=loaded.envelope.digest if loaded.envelope is not None else Sha256(""),
        decision=word.value,
        rule=reason.rule,
        rule_source=str(reason.source),
        args_ref=args_ref,
        idempotency_key=ask.idempotency_key if is_write else "",
        approval_id=_answered(ask),
        is_counted=ask.asker not in {Asker.DOOR, Asker.RUN},
        finished_at=loaded.now if state is StepState.DENIED else None,
    )


def _answered(ask: Ask) -> ApprovalId:
    """The approval that people answered for it; a question that is superseded is of other bytes."""
    if ask.approval is None or ask.approval.state is ApprovalState.PENDING:
        return ApprovalId("")
    return ask.approval.approval_id


def _shown_name(ctx: RunContext, name: str) -> str:
    """What the journal calls a tool that nobody knows: an agent's own text, so without what the run redacts."""
    return str(redact_json(name[:_MAX_NAME_CHARS], ctx.redaction, Placeholders()))


def _recorded_inputs(ctx: RunContext, ask: Ask, loaded: Loaded, decision: Decision) -> Json:
    """What the decision rested on, so that an auditor can decide it again (I9): `runtime.redeciding` reads it."""
    recorded: dict[str, Json] = {
        "tool": ask.tool,
        "envelope": loaded.envelope.value if loaded.envelope is not None else None,
        "args": ask.args if loaded.envelope is None else None,
        "reasons": [reason_json(reason) for reason in decision.reasons],
        **recorded_refusal(decision),
        **question_json(loaded.question),
    }
    if ctx.today is not None and isinstance(decision, Deny) and isinstance(decide(loaded.question, ctx.policy), Allow):
        # The pinned release allows it: this denial is of the policy that the project had on that day.
        recorded["by_policy_of"] = "today"
    return recorded


def _decision_entry(
    ctx: RunContext, ask: Ask, loaded: Loaded, decision: Decision, *, step: Step, sealed: tuple[Disclosure, ...]
) -> EntryDraft:
    rules = tuple(reason.rule for reason in decision.reasons[:16])
    return decided_entry(
        ctx,
        at=loaded.now,
        step=ask.path,
        spec=ask.spec,
        decision=step.decision,
        reason=decision.reasons[0],
        action_digest=step.action_digest or None,
        arg_labels=_declared_labels(ask, loaded),
        disclosures=sealed,
        approval_id=step.approval_id or None,
        detail={
            "rules": rules,
            "asker": ask.asker.value,
            **_booked(ask, loaded, decision),
            **run_out(decision),
            **told_would(decision),
        },
    )


def _declared_labels(ask: Ask, loaded: Loaded) -> dict[str, Label]:
    """The labels that stand in clear: an argument's name is the agent's own text unless the tool's schema has it."""
    properties = ask.spec.input_schema.get("properties") if ask.spec is not None and not ask.schema_error else None
    declared = properties if isinstance(properties, Mapping) else {}
    return {name: label for name, label in loaded.question.arg_labels.items() if name in declared}


def _booked(ask: Ask, loaded: Loaded, decision: Decision) -> dict[str, DetailValue]:
    """What the decision set aside; what only counts is settled at once."""
    windows = loaded.question.windows
    match decision:
        case Allow():
            return set_aside(reservation_id(ask.call_id), decision.reserves, windows)
        case Hold():
            counts = held_counts(loaded)
        case Deny():
            counts = denied_counts(ask, loaded)
    booked = set_aside(count_id(ask.call_id), counts, windows)
    return {**booked, "settled": ()} if booked else {}


def _allow_guards(ctx: RunContext, loaded: Loaded, decision: Allow) -> list[Guard]:
    guards: list[Guard] = [AuthorityIs(generation=loaded.generation)]
    if loaded.lookups:
        question, policy = loaded.question, ctx.policy

        def holds(values: HistoryValues) -> bool:
            return history_still_allows(question, policy, values)

        guards.append(HistoryStill(lookups=loaded.lookups, holds=holds))
    granted = loaded.question.granted
    if loaded.once is not None and (granted is None or ONCE_PER not in granted.rules):
        guards.append(loaded.once)
    if decision.consumes is not None and loaded.envelope is not None:
        guards.append(
            ApprovalUsable(approval_id=decision.consumes, action_digest=loaded.envelope.digest, now=loaded.now)
        )
    return guards


def _allow_changes(ctx: RunContext, ask: Ask, decision: Allow) -> list[Change]:
    # Of a call that sets nothing aside too: by its open reservation whoever ends the run sees that it is on its way.
    changes: list[Change] = [
        TakeReserves(
            reservation_id=reservation_id(ask.call_id),
            run_id=ctx.run.run_id,
            path=ask.path,
            reserves=decision.reserves,
        )
    ]
    if decision.consumes is not None:
        changes.append(
            MoveApproval(approval_id=decision.consumes, expect=ApprovalState.GRANTED, to=ApprovalState.CONSUMED)
        )
    return changes


def _allow_entries(ctx: RunContext, ask: Ask, decision: Allow, step: Step, entry: EntryDraft) -> list[EntryDraft]:
    entries: list[EntryDraft] = []
    if decision.consumes is not None and ask.approval is not None:
        entries.append(
            approval_entry(
                ask.approval,
                ctx.run,
                entry_id=ctx.services.mint.entry_id(),
                at=step.started_at,
                event=EventType.APPROVAL_CONSUMED,
            )
        )
    if step.state is StepState.INTENDED and ask.spec is not None:
        entries.append(
            intended_entry(
                ctx,
                at=step.started_at,
                step=ask.path,
                spec=ask.spec,
                action_digest=step.action_digest,
                idempotency_key=step.idempotency_key,
                approval_id=decision.consumes,
                cause=entry.entry_id,
            )
        )
    return entries
