"""The answers of `runtime.why` as a JSON document, for programs."""

from leverframe.cli.origins import document as argument
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.time import rfc3339
from leverframe.runtime.why_answers import ApprovalSeen, CallSeen, EndorsedSeen, ModelUse, PlanSeen, Why


def document(told: Why) -> JsonObject:
    """All answers; money in micro-dollars, times in RFC 3339."""
    run = told.run
    return {
        "run": {
            "run_id": run.run_id,
            "workflow": run.workflow,
            "tenant": run.tenant,
            "environment": run.environment,
            "state": run.state.value,
            "outcome": run.outcome.value if run.outcome is not None else None,
            "stop_reason": run.stop_reason,
            "handoff_queue": run.handoff_queue,
            "initiator": run.initiator,
            "launcher": run.launcher,
            "opened_at": rfc3339(run.opened_at),
            "ended_at": rfc3339(run.ended_at) if run.ended_at is not None else None,
            "policy_digest": run.policy_digest,
            "release_digest": run.release_digest,
        },
        "focus": told.focus,
        "asked_for": {
            "words": told.asked.words,
            "field": told.asked.field,
            "label": told.asked.label,
            "subject": told.asked.subject,
            "missing": told.asked.missing,
        },
        "calls": [_call(call) for call in told.calls],
        "plan": _plan(told.plan) if told.plan is not None else None,
        "removed": [
            {"of": one.of, "step": one.step, "counts": list(one.counts), "suspicious": one.is_suspicious}
            for one in told.removed
        ],
        "endorsed": [_endorsed(one) for one in told.endorsed],
        "tool_calls": {"used": told.tool_calls.used, "limit": told.tool_calls.limit},
        "models": [_model(one) for one in told.models],
        "cost_microusd": told.cost,
        "active_ms": int(told.active_s * 1000),
        "waited_ms": int(told.waited_s * 1000),
        "evidence": {
            "first_index": told.first_index,
            "last_index": told.last_index,
            "checked": told.inclusion.checked,
            "signed_size": told.inclusion.size,
            "origin": told.inclusion.origin,
            "is_verified": not told.inclusion.problem and told.inclusion.checked > 0,
            "problem": told.inclusion.problem,
        },
    }


def _model(one: ModelUse) -> Json:
    return {
        "model": one.model,
        "calls": one.calls,
        "failed": one.failed,
        "refused": one.refused,
        "decided": [
            {"decision": by.decision, "rule": by.rule, "source": by.source, "calls": by.calls, "would_refuse": by.would}
            for by in one.ruled
        ],
        "input_tokens": one.input_tokens,
        "output_tokens": one.output_tokens,
        "cost_microusd": one.cost,
        "is_recorded": one.is_recorded,
    }


def _endorsed(one: EndorsedSeen) -> Json:
    return {
        "entry": one.index,
        "place": one.place,
        "before": one.before,
        "integrity": one.integrity,
        "by": one.by,
        "because": one.because,
    }


def _plan(plan: PlanSeen) -> Json:
    return {
        "step": plan.step,
        "planner": plan.planner,
        "tools": [{"tool": tool, "made": made, "most": most} for tool, (made, most) in plan.tools.items()],
        "outside": [{"tool": tool, "made": made} for tool, made in plan.outside.items()],
        "declared": plan.declared,
        "granted": list(plan.granted),
    }


def _call(call: CallSeen) -> Json:
    return {
        "step": call.path,
        "call_id": call.call_id,
        "tool": call.tool,
        "is_write": call.is_write,
        "state": call.state.value,
        "error": call.error,
        "attempts": call.attempts,
        "sentence": call.sentence,
        "action_digest": call.action_digest,
        "cost_microusd": call.cost,
        "missing": call.missing,
        "arguments": [argument(one) for one in call.arguments],
        "facts": [
            {
                "name": one.name,
                "value": one.value,
                "integrity": one.integrity,
                "read_by": one.read_by,
                "unreadable": one.unreadable,
            }
            for one in call.facts
        ],
        "decisions": [
            {
                "index": one.index,
                "decision": one.decision,
                "rule": one.rule,
                "source": one.source,
                "policy_digest": one.policy_digest,
                "text": one.text,
            }
            for one in call.decisions
        ],
        "approval": _approval(call.approval) if call.approval is not None else None,
        "undo": None,
    }


def _approval(seen: ApprovalSeen) -> Json:
    approval = seen.approval
    return {
        "approval_id": approval.approval_id,
        "state": approval.state.value,
        "action_digest": approval.action_digest,
        "quorum": approval.requirement.quorum,
        "from_groups": list(approval.requirement.from_groups),
        "asked_at": rfc3339(approval.asked_at),
        "decide_by": rfc3339(approval.decide_by),
        "execute_by": rfc3339(approval.execute_by) if approval.execute_by is not None else None,
        "uses": seen.uses,
        "answers": [
            {
                "principal": one.principal,
                "answer": {"grant": "granted", "deny": "denied"}[one.word],
                "at": rfc3339(one.at),
                "viewed_at": rfc3339(one.viewed_at) if one.viewed_at is not None else None,
                "proof": one.proof,
                "reason": one.reason,
            }
            for one in seen.answers
        ],
    }
