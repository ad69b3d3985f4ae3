"""Calls of a tool that went well, with their exact arguments and answers, for a test of another version of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from leverframe.core.disclosures import open_
from leverframe.domain.evidence import Disclosure
from leverframe.domain.ids import RunId, ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.runs import Step, StepKind, StepState
from leverframe.ports.store import RunFilter
from leverframe.runtime.services import Services

_RUNS = 200  # looked through, newest first


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """One call that went well."""

    run_id: RunId
    args: JsonObject
    answer: Json


async def recorded_calls(services: Services, tool: ToolName, limit: int) -> tuple[RecordedCall, ...]:
    """At most `limit` calls of a tool, newest first; those whose values are not kept any more are left out."""
    found: list[RecordedCall] = []
    for run in await services.journal.runs(RunFilter(limit=_RUNS)):
        steps = [one for one in await services.journal.steps(run.run_id) if _went_well(one, tool)]
        if not steps:
            continue
        kept = {one.digest: one for one in await services.evidence.disclosures_of_run(run.tenant, run.run_id)}
        for step in reversed(steps):
            call = _opened(run.run_id, step, kept)
            if call is not None:
                found.append(call)
            if len(found) == limit:
                return tuple(found)
    return tuple(found)


def _went_well(step: Step, tool: ToolName) -> bool:
    return step.kind is StepKind.TOOL and step.name == tool and step.state is StepState.OK and not step.error


def _opened(run_id: RunId, step: Step, kept: Mapping[str, Disclosure]) -> RecordedCall | None:
    if step.args_ref not in kept or step.result_ref not in kept:
        return None
    recorded = open_(kept[step.args_ref], kept, {})
    envelope = recorded.get("envelope") if isinstance(recorded, Mapping) else None
    args = envelope.get("args") if isinstance(envelope, Mapping) else None
    if not isinstance(args, Mapping):
        return None
    return RecordedCall(run_id=run_id, args=args, answer=open_(kept[step.result_ref], kept, {}))
