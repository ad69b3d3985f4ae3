"""The narrowest contract that what was seen would pass, drafted from the runs of a while.

Knows: what a recorded model call asked for and took, which tools ran, and what the present contract lacked for it.
Never: widens by itself: a draft is text for a person to read and keep.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from leverframe.core.canonical import decode
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.contracts import Contract
from leverframe.domain.evidence import EventType
from leverframe.domain.json import JsonObject
from leverframe.domain.money import MICRO
from leverframe.domain.runs import StepKind, StepState
from leverframe.ports.store import RunFilter
from leverframe.runtime.services import Services

_MOST_RUNS: Final = 10_000
_KEYS: Final[Mapping[BudgetUnit, str]] = {
    BudgetUnit.USD: "max_usd",
    BudgetUnit.MODEL_CALLS: "max_model_calls",
    BudgetUnit.TOOL_CALLS: "max_tool_calls",
    BudgetUnit.INPUT_TOKENS: "max_input_tokens",
    BudgetUnit.OUTPUT_TOKENS: "max_output_tokens",
}


@dataclass(slots=True)
class _Seen:
    runs: int = 0
    took: dict[BudgetUnit, int] = field(default_factory=dict)  # the most that a run took
    worst: dict[BudgetUnit, int] = field(default_factory=dict)  # the most that a call set aside
    tools: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    lacks: dict[str, set[str]] = field(default_factory=dict)

    def keep(self, into: dict[BudgetUnit, int], unit: BudgetUnit, amount: int) -> None:
        into[unit] = max(into.get(unit, 0), amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The text of a contract, and of how many runs it was made."""

    text: str
    runs: int


async def draft_from_runs(services: Services, contract: Contract, since: datetime) -> Draft:
    """Draft a contract that every run of this workflow since then would have passed."""
    seen = _Seen()
    for run in await services.journal.runs(RunFilter(workflow=contract.workflow, limit=_MOST_RUNS)):
        if run.opened_at < since:
            break
        seen.runs += 1
        for window in await services.journal.windows(run.run_id):
            seen.keep(seen.took, window.unit, window.settled)
        for leaf in await services.evidence.leaves_of_run(run.tenant, run.run_id):
            entry = decode(leaf.leaf)
            if isinstance(entry, dict) and entry.get("type") == EventType.MODEL_CALLED.value:
                _note_call(seen, entry)
        values = await services.evidence.disclosures_of_run(run.tenant, run.run_id)
        for cost in (decode(one.value_bytes) for one in values if one.name == "call"):
            _note_cost(seen, cost if isinstance(cost, dict) else {})
        for step in await services.journal.steps(run.run_id):
            if step.kind is StepKind.TOOL and step.state is not StepState.DENIED:
                seen.tools.add(step.name)
    return Draft(text=_text(contract, seen), runs=seen.runs)


def _note_call(seen: _Seen, entry: JsonObject) -> None:
    seen.models.add(f"{entry.get('provider')}/{entry.get('model')}")
    detail = entry.get("detail")
    lacks = detail.get("lacks") if isinstance(detail, Mapping) else None
    for one in lacks if isinstance(lacks, list) else ():
        key, _, name = str(one).partition("=")
        seen.lacks.setdefault(key, set()).add(name)


def _note_cost(seen: _Seen, recorded: JsonObject) -> None:
    cost = recorded.get("cost")
    for unit in _KEYS:
        amount = cost.get(unit.value) if isinstance(cost, Mapping) else None
        if isinstance(amount, int):
            seen.keep(seen.worst, unit, amount)


def _text(contract: Contract, seen: _Seen) -> str:
    lines = [f"workflow: {contract.workflow}"]
    budget = [line for unit, key in _KEYS.items() if (line := _limit(seen, unit, key))]
    if budget:
        lines += ["budget:", *budget]
    if contract.tier:
        lines += ["models:", f"  default: {contract.tier}"]
        lines += [f"  # seen: {', '.join(sorted(seen.models))}"] if seen.models else []
        lines += [
            f"  {key}: {json.dumps(sorted(names))}" for key, names in sorted(seen.lacks.items()) if key != "remote_urls"
        ]
        lines += ["  remote_urls: allowed"] if "remote_urls" in seen.lacks else []
    if seen.tools:
        lines += ["policy:", f"  allow_tools: {json.dumps(sorted(seen.tools))}"]
    if contract.logging.redact_fields:
        lines += ["logging:", f"  redact_fields: {json.dumps(sorted(contract.logging.redact_fields))}"]
    return "\n".join(lines) + "\n"


def _limit(seen: _Seen, unit: BudgetUnit, key: str) -> str:
    """What the largest run took, and room for the worst case of one more call: less would refuse its last one."""
    took = seen.took.get(unit, 0)
    if not took:
        return ""
    limit = took + seen.worst.get(unit, 0)
    amount = format((Decimal(limit) / MICRO).normalize(), "f") if unit is BudgetUnit.USD else str(limit)
    return f"  {key}: {amount}"
