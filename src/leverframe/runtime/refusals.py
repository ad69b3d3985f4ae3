"""A denial as its caller learns of it: once when it is decided, and the same again whenever that step is asked for.

Knows: the fields under which a denial is recorded with its step.  Never: decides.
"""

from datetime import datetime

from leverframe.domain.ids import BudgetId, StepPath
from leverframe.domain.json import Json
from leverframe.domain.policy import Decision, Deny, Reason, SourceRef, Then
from leverframe.domain.runs import Step
from leverframe.domain.time import rfc3339
from leverframe.runtime.outcomes import Exhausted, Refused, Stopped, deny_message


def refused(path: StepPath, deny: Deny) -> Refused | Stopped | Exhausted:
    """What a denial means: this call alone, the end of the run, or a budget that others share."""
    message = deny_message(deny)
    if deny.stops_run:
        return Stopped(path=path, limit=deny.stops_run, message=message)
    if deny.exhausted:
        return Exhausted(
            path=path,
            budget=deny.exhausted,
            resets_at=deny.resets_at,
            message=message,
            unit=deny.unit,
            limit=deny.limit,
            left=deny.left,
            fits_ever=deny.fits_ever,
        )
    return Refused(path=path, reasons=deny.reasons, message=message)


def recorded_refusal(decision: Decision) -> dict[str, Json]:
    """What is recorded of it beside the reasons, for `refused_again`."""
    if not isinstance(decision, Deny):
        return {"stops_run": "", "exhausted": None}
    resets_at = rfc3339(decision.resets_at) if decision.resets_at is not None else None
    full: Json = {
        "budget": decision.exhausted,
        "resets_at": resets_at,
        "unit": decision.unit,
        "limit": decision.limit,
        "left": decision.left,
    }
    return {"stops_run": decision.stops_run, "exhausted": full if decision.exhausted else None}


def refused_again(step: Step, recorded: Json) -> Refused | Stopped | Exhausted:
    """The recorded refusal of a step, told again; one that stopped the run stops it again."""
    found = recorded if isinstance(recorded, dict) else {}
    texts = "; ".join(f"{one['rule']}: {one['text']}" for one in found.get("reasons", ())) or f"{step.rule}: refused"
    if found.get("stops_run"):
        return Stopped(path=step.path, limit=str(found["stops_run"]), message=texts)
    full = found.get("exhausted")
    if isinstance(full, dict):
        resets_at = full.get("resets_at")
        return Exhausted(
            path=step.path,
            budget=BudgetId(str(full["budget"])),
            resets_at=datetime.fromisoformat(str(resets_at)) if resets_at else None,
            message=texts,
            unit=str(full.get("unit", "")),
            limit=_whole(full.get("limit")),
            left=_whole(full.get("left")),
        )
    reason = Reason(rule=step.rule, then=Then.DENY, source=SourceRef(file=step.rule_source), text=texts)
    return Refused(path=step.path, reasons=(reason,), message=texts)


def _whole(value: Json) -> int:
    return value if isinstance(value, int) else 0
