"""Evidence entries as the runtime writes them: one function for each kind of moment.

Which fields each type carries is written in docs/evidence-record.md; free text goes into disclosures only.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType

from leverframe.core.hygiene import Removed, counts, is_suspicious
from leverframe.domain.approvals import Answer, Approval
from leverframe.domain.evidence import DetailValue, Disclosure, EntryDraft, EventType
from leverframe.domain.ids import ApprovalId, EntryId, PrincipalId, ReservationId, RuleId, Sha256, StepPath
from leverframe.domain.labels import Label
from leverframe.domain.money import MicroUsd
from leverframe.domain.policy import Reason
from leverframe.domain.runs import Run, Step
from leverframe.domain.time import rfc3339
from leverframe.domain.tools import ToolSpec
from leverframe.runtime.context import RunContext


def decided_entry(
    ctx: RunContext,
    *,
    at: datetime,
    step: StepPath,
    spec: ToolSpec | None,
    decision: str,
    reason: Reason,
    action_digest: Sha256 | None,
    arg_labels: Mapping[str, Label],
    disclosures: tuple[Disclosure, ...],
    detail: Mapping[str, DetailValue],
    approval_id: ApprovalId | None = None,
) -> EntryDraft:
    """Policy answered for one tool call.  An unknown tool's name is outside text: it stands in the disclosure only."""
    return EntryDraft(
        entry_id=ctx.services.mint.entry_id(),
        at=at,
        type=EventType.CALL_DECIDED,
        tenant=ctx.run.tenant,
        environment=ctx.run.environment,
        run_id=ctx.run.run_id,
        step=step,
        actor=ctx.run.initiator,
        on_behalf_of=ctx.run.subject_digest.hex()[:32],
        tool=spec.name if spec is not None else None,
        tool_version=spec.version if spec is not None else None,
        tool_schema_sha256=spec.schema_sha256 if spec is not None else None,
        effect_class=spec.effect.value if spec is not None else "",
        action_digest=action_digest,
        policy_digest=ctx.run.policy_digest,
        rule=reason.rule,
        decision=decision,
        labels=ctx.values.union,
        argument_labels={clear_place(name): label.integrity for name, label in arg_labels.items()},
        approval_id=approval_id,
        release_digest=ctx.run.release_digest,
        detail={"rule_source": clear_place(str(reason.source)), **detail},
        disclosures=disclosures,
    )


def intended_entry(
    ctx: RunContext,
    *,
    at: datetime,
    step: StepPath,
    spec: ToolSpec,
    action_digest: Sha256,
    idempotency_key: str,
    approval_id: ApprovalId | None,
    cause: EntryId,
) -> EntryDraft:
    """A write is about to leave the process."""
    return EntryDraft(
        entry_id=ctx.services.mint.entry_id(),
        at=at,
        type=EventType.CALL_INTENDED,
        tenant=ctx.run.tenant,
        environment=ctx.run.environment,
        run_id=ctx.run.run_id,
        step=step,
        actor=ctx.run.initiator,
        tool=spec.name,
        tool_version=spec.version,
        tool_schema_sha256=spec.schema_sha256,
        effect_class=spec.effect.value,
        action_digest=action_digest,
        idempotency_key=idempotency_key,
        approval_id=approval_id,
        cause=cause,
    )


def settled_entry(
    ctx: RunContext,
    *,
    at: datetime,
    step: Step,
    spec: ToolSpec,
    outcome: str,
    cost: MicroUsd,
    labels: Label | None,
    disclosures: tuple[Disclosure, ...],
    detail: Mapping[str, DetailValue],
) -> EntryDraft:
    """A tool call came back: ok, error or unknown."""
    return EntryDraft(
        entry_id=ctx.services.mint.entry_id(),
        at=at,
        type=EventType.CALL_SETTLED,
        tenant=ctx.run.tenant,
        environment=ctx.run.environment,
        run_id=ctx.run.run_id,
        step=step.path,
        actor=ctx.run.initiator,
        tool=spec.name,
        tool_version=spec.version,
        effect_class=spec.effect.value,
        action_digest=step.action_digest or None,
        idempotency_key=step.idempotency_key,
        approval_id=step.approval_id or None,
        outcome=outcome,
        cost_microusd=cost,
        labels=labels,
        detail=detail,
        disclosures=disclosures,
    )


def drifted_entry(
    ctx: RunContext, *, at: datetime, step: StepPath, spec: ToolSpec, reason: str, seen: Sha256 | None = None
) -> EntryDraft:
    """A tool is not, or does not answer, what was reviewed; stands after the entry of the call that showed it."""
    detail: dict[str, DetailValue] = {"reason": reason}
    return EntryDraft(
        entry_id=ctx.services.mint.entry_id(),
        at=at,
        type=EventType.TOOL_DRIFTED,
        tenant=ctx.run.tenant,
        environment=ctx.run.environment,
        run_id=ctx.run.run_id,
        step=step,
        actor=ctx.run.initiator,
        tool=spec.name,
        tool_version=spec.version,
        tool_schema_sha256=spec.schema_sha256,
        detail={**detail, "seen_sha256": seen} if seen else detail,
    )


def endorsed_entry(ctx: RunContext, *, at: datetime, step: StepPath, spec: ToolSpec) -> EntryDraft:
    """The tool's declared validator eased the label of values of this answer; stands after the entry of the call."""
    return EntryDraft(
        entry_id=ctx.services.mint.entry_id(),
        at=at,
        type=EventType.LABEL_ENDORSED,
        tenant=ctx.run.tenant,
        environment=ctx.run.environment,
        run_id=ctx.run.run_id,
        step=step,
        actor=ctx.run.initiator,
        tool=spec.name,
        tool_version=spec.version,
        tool_schema_sha256=spec.schema_sha256,
        detail={"reason": "type-pattern"},
    )


def requested_entry(ctx: RunContext, approval: Approval, *, spec: ToolSpec, cause: EntryId) -> EntryDraft:
    """A held call waits for people."""
    return EntryDraft(
        entry_id=ctx.services.mint.entry_id(),
        at=approval.asked_at,
        type=EventType.APPROVAL_REQUESTED,
        tenant=ctx.run.tenant,
        environment=ctx.run.environment,
        run_id=ctx.run.run_id,
        step=approval.path,
        actor=ctx.run.initiator,
        tool=spec.name,
        tool_version=spec.version,
        tool_schema_sha256=spec.schema_sha256,
        action_digest=approval.action_digest,
        approval_id=approval.approval_id,
        cause=cause,
        detail={
            "quorum": approval.requirement.quorum,
            "decide_by": rfc3339(approval.decide_by),
            "execute_within_s": approval.requirement.execute_within_s,
            "from": approval.requirement.from_groups,
            "barred": (approval.launcher,) if "launcher" in approval.requirement.distinct_from else (),
            "initiator": approval.initiator,
            "launcher": approval.launcher,
            "rules": tuple(approval.rules),
        },
    )


def approval_entry(
    approval: Approval,
    run: Run,
    *,
    entry_id: EntryId,
    at: datetime,
    event: EventType,
    actor: PrincipalId | None = None,
    detail: Mapping[str, DetailValue] = MappingProxyType({}),
) -> EntryDraft:
    """An approval moved without a person's word (consumed, expired, …), or someone may not answer it."""
    return EntryDraft(
        entry_id=entry_id,
        at=at,
        type=event,
        tenant=approval.tenant,
        environment=run.environment,
        run_id=approval.run_id,
        step=approval.path,
        actor=actor,
        tool=approval.tool,
        action_digest=approval.action_digest,
        approval_id=approval.approval_id,
        detail=detail,
    )


def answered_entry(
    approval: Approval,
    run: Run,
    answer: Answer,
    *,
    entry_id: EntryId,
    groups: frozenset[str],
    disclosures: tuple[Disclosure, ...],
    execute_by: datetime | None,
) -> EntryDraft:
    """One person answered one held call, as a member of these groups."""
    detail: dict[str, DetailValue] = {
        "answer": "granted" if answer.word.value == "grant" else "denied",
        "proof": answer.proof,
        "groups": tuple(sorted(groups)),
    }
    if answer.viewed_at is not None:
        detail["viewed_at"] = rfc3339(answer.viewed_at)
    if execute_by is not None:
        detail["execute_by"] = rfc3339(execute_by)
    return EntryDraft(
        entry_id=entry_id,
        at=answer.at,
        type=EventType.APPROVAL_DECIDED,
        tenant=approval.tenant,
        environment=run.environment,
        run_id=approval.run_id,
        step=approval.path,
        actor=answer.principal,
        tool=approval.tool,
        action_digest=approval.action_digest,
        approval_id=approval.approval_id,
        detail=detail,
        disclosures=disclosures,
    )


def run_entry(
    run: Run,
    *,
    entry_id: EntryId,
    at: datetime,
    event: EventType,
    outcome: str = "",
    rule: RuleId | None = None,
    detail: Mapping[str, DetailValue],
    disclosures: tuple[Disclosure, ...] = (),
    cost: MicroUsd | None = None,
) -> EntryDraft:
    """A run started or ended."""
    return EntryDraft(
        entry_id=entry_id,
        at=at,
        type=event,
        tenant=run.tenant,
        environment=run.environment,
        run_id=run.run_id,
        actor=run.initiator,
        on_behalf_of=run.subject_digest.hex()[:32],
        policy_digest=run.policy_digest,
        release_digest=run.release_digest,
        rule=rule,
        outcome=outcome,
        cost_microusd=cost,
        detail=detail,
        disclosures=disclosures,
    )


def model_entry(
    ctx: RunContext,
    *,
    at: datetime,
    step: Step,
    event: EventType,
    disclosures: tuple[Disclosure, ...],
    outcome: str = "",
    detail: Mapping[str, DetailValue],
) -> EntryDraft:
    """A model call was decided and is about to leave, or came back."""
    is_answer = event is EventType.MODEL_ANSWERED
    provider, _, model = step.name.partition("/")
    return EntryDraft(
        entry_id=ctx.services.mint.entry_id(),
        at=at,
        type=event,
        tenant=ctx.run.tenant,
        environment=ctx.run.environment,
        run_id=ctx.run.run_id,
        step=step.path,
        actor=ctx.run.initiator,
        policy_digest=None if is_answer else ctx.run.policy_digest,
        rule=None if is_answer else step.rule,
        decision="" if is_answer else step.decision,
        labels=ctx.values.union,
        release_digest=ctx.run.release_digest,
        provider=provider,
        model=model,
        input_tokens=step.input_tokens if is_answer else None,
        output_tokens=step.output_tokens if is_answer else None,
        cost_microusd=step.cost if is_answer else None,
        outcome=outcome,
        detail=detail,
        disclosures=disclosures,
    )


def taken_out(removed: Iterable[Removed]) -> dict[str, DetailValue]:
    """What hygiene took out of a text, as an entry says it; nothing where it took nothing."""
    every = tuple(removed)
    if not every:
        return {}
    return {"removed": counts(every), **({"suspicious": True} if is_suspicious(every) else {})}


# A project has few rules, and every decision names one.
@lru_cache(maxsize=1024)
def clear_place(source: str) -> str:
    """Where a rule stands, as a leaf can hold it: white space in a path is written as `%20`."""
    return re.sub(r"[\s\x00-\x1f\x7f]", lambda found: f"%{ord(found.group()):02X}", source)[-256:]


def overrun_entry(ctx: RunContext, step: Step, *, reservation_id: ReservationId) -> EntryDraft:
    """A vendor took more than it declared; stands before the settlement that says how much."""
    return EntryDraft(
        entry_id=ctx.services.mint.entry_id(),
        at=step.finished_at or step.started_at,
        type=EventType.BUDGET_OVERRUN,
        tenant=ctx.run.tenant,
        environment=ctx.run.environment,
        run_id=ctx.run.run_id,
        step=step.path,
        cost_microusd=step.cost,
        detail={"reservation_id": reservation_id},
    )
