"""The narrowest contract that what was seen would pass, drafted from the runs of a while.

Knows: what a recorded model call asked for and took, which tools ran, and what the present contract lacked for it.
Never: widens by itself: a draft is text for a person to read and keep.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from leverframe.config.kept_keys import written_keys
from leverframe.core.canonical import decode, encode
from leverframe.domain.audiences import GIVE_OUTPUT
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.contracts import Contract
from leverframe.domain.errors import ModelUnpriced
from leverframe.domain.evidence import EventType
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.money import MICRO
from leverframe.domain.plans import DECLARE_PLAN
from leverframe.domain.runs import Step, StepKind, StepState
from leverframe.ports.store import RunFilter
from leverframe.runtime.services import Services

_MOST_RUNS: Final = 10_000
_NO_MODEL: Final = "unknown_model"
_BEYOND: Final = frozenset({"duplicate_key", "malformed_json", "too_many_choices", "unpriced", "wrong_type"})
_OURS: Final = frozenset({DECLARE_PLAN, GIVE_OUTPUT})
_OF_STORED: Final = frozenset({"background", "previous_response_id"})
_DRAFTED: Final = frozenset({"workflow", "enforce", "budget", "models", "policy"})
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
    outside: set[str] = field(default_factory=set)  # models that are not of the contract's tier
    unpriced: set[str] = field(default_factory=set)  # models that answered and have no price
    unbounded: set[str] = field(default_factory=set)  # models of calls of which a part has no price or no bound
    lacks: dict[str, set[str]] = field(default_factory=dict)
    beyond: Counter[str] = field(default_factory=Counter)  # calls that no contract admits, by the word for why

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
        # An agent that is never idle is in one run for weeks, whenever that was opened.
        if run.ended_at is not None and run.ended_at < since:
            continue
        seen.runs += 1
        for window in await services.journal.windows(run.run_id):
            seen.keep(seen.took, window.unit, window.settled)
        for leaf in await services.evidence.leaves_of_run(run.tenant, run.run_id):
            entry = decode(leaf.leaf)
            # What was refused as it came names no model, and a draft admits nothing that was refused.
            if isinstance(entry, dict) and entry.get("type") == EventType.MODEL_CALLED.value and "model" in entry:
                _note_call(seen, entry)
            if isinstance(entry, dict) and entry.get("type") == EventType.MODEL_ANSWERED.value:
                _note_answer(seen, entry)
        values = await services.evidence.disclosures_of_run(run.tenant, run.run_id)
        for cost in (decode(one.value_bytes) for one in values if one.name == "call"):
            _note_cost(seen, cost if isinstance(cost, dict) else {})
        for step in await services.journal.steps(run.run_id):
            if _is_of_agent(contract, step):
                seen.tools.add(step.name)
    seen.outside = seen.models - {str(one) for one in services.project.tiers.get(contract.tier, ())}
    return Draft(text=_text(contract, seen), runs=seen.runs)


def _is_of_agent(contract: Contract, step: Step) -> bool:
    """Whether an agent asked for a tool and it was not refused; what the door reads for itself needs no leave."""
    parent, _, name = step.path.rpartition(".")
    is_own = bool(parent) and (name == "reconcile" or name in contract.facts)
    is_tool = step.kind is StepKind.TOOL and step.name in contract.tools and step.name not in _OURS
    return is_tool and not is_own and step.state is not StepState.DENIED


def _note_call(seen: _Seen, entry: JsonObject) -> None:
    seen.models.add(f"{entry.get('provider')}/{entry.get('model')}")
    detail = entry.get("detail")
    lacks = detail.get("lacks") if isinstance(detail, Mapping) else None
    for one in lacks if isinstance(lacks, list) else ():
        key, _, name = str(one).partition("=")
        seen.lacks.setdefault(key, set()).add(name)
    code = detail.get("wire_refused") if isinstance(detail, Mapping) else None
    if code == ModelUnpriced.slug:
        seen.unbounded.add(f"{entry.get('provider')}/{entry.get('model')}")
    elif isinstance(code, str) and code != _NO_MODEL and (code in _BEYOND or not lacks):
        seen.beyond[code] += 1


def _note_answer(seen: _Seen, entry: JsonObject) -> None:
    detail = entry.get("detail")
    if isinstance(detail, Mapping) and detail.get("price") == "unpriced":
        seen.unpriced.add(f"{entry.get('provider')}/{entry.get('model')}")


def _note_cost(seen: _Seen, recorded: JsonObject) -> None:
    cost = recorded.get("cost")
    for unit in _KEYS:
        amount = cost.get(unit.value) if isinstance(cost, Mapping) else None
        if isinstance(amount, int):
            seen.keep(seen.worst, unit, amount)


def _text(contract: Contract, seen: _Seen) -> str:
    lines = [f"workflow: {json.dumps(contract.workflow)}"]
    lines += [
        f"# no contract admits what {count} of the calls asked ({code}): refused once enforced"
        for code, count in sorted(seen.beyond.items())
    ]
    budget = [line for unit, key in _KEYS.items() if (line := _limit(seen, unit, key))]
    if budget:
        lines += ["budget:", *budget]
    lines += _models(contract, seen)
    written = written_keys(contract.source.file, contract.artifacts.get(contract.source.file, b""))
    lines += _policy(contract, seen, written.get("policy"))
    # What nobody can draft from calls stands as it stood: above all, what a person must answer.
    for key, value in written.items():
        if key not in _DRAFTED:
            lines += _block(key, value)
    return "\n".join(lines) + "\n"


def _models(contract: Contract, seen: _Seen) -> list[str]:
    admitted = contract.admitted
    kept = seen.lacks.get("vendor_state", set())
    names = {
        "pass_fields": admitted.fields | seen.lacks.get("pass_fields", set()),
        # What was answered is looked up where it was stored, and without `store` a vendor is told to store nothing.
        "vendor_state": admitted.state | kept | ({"store"} if kept & _OF_STORED else set()),
        "vendor_tools": admitted.vendor_tools | seen.lacks.get("vendor_tools", set()),
    }
    keys = [f"  default: {contract.tier}"] if contract.tier else []
    keys += [f"  # seen: {', '.join(sorted(seen.models))}"] if seen.models else []
    if seen.outside:
        tier = f"the tier {contract.tier!r}" if contract.tier else "a tier"
        keys += [f"  # refused once enforced, unless {tier} of leverframe.yaml has: {', '.join(sorted(seen.outside))}"]
    if seen.unpriced:
        named = ", ".join(sorted(seen.unpriced))
        keys += [f"  # refused once enforced, unless `priced_as` of leverframe.yaml says what they cost: {named}"]
    if seen.unbounded - seen.unpriced:
        named = ", ".join(sorted(seen.unbounded - seen.unpriced))
        keys += [f"  # refused once enforced, since a part of what was asked has no price or no bound: {named}"]
    if names["vendor_tools"]:
        keys += ["  # a call that says no `max_uses` or `max_tool_calls` for a vendor's tool is refused once enforced"]
    keys += [f"  prompt: {json.dumps(contract.prompt_path)}"] if contract.prompt_path else []
    keys += [f"  {key}: {json.dumps(sorted(some))}" for key, some in names.items() if some]
    keys += ["  remote_urls: allowed"] if admitted.remote_urls or "remote_urls" in seen.lacks else []
    return ["models:", *keys] if any(not key.startswith("  #") for key in keys) else []


def _policy(contract: Contract, seen: _Seen, written: Json) -> list[str]:
    """The tools that ran; what a person must answer stays theirs to answer, whatever they answered."""
    rest = dict(written) if isinstance(written, Mapping) else {}
    rest.pop("allow_tools", None)
    rest.pop("deny_tools", None)
    held = set(contract.deny_tools) & set(contract.callable_tools())
    allow = sorted(seen.tools - held)
    deny = [name for name in contract.deny_tools if name not in allow]
    lines = [f"  allow_tools: {json.dumps(allow)}"] if allow else []
    lines += [f"  deny_tools: {json.dumps(deny)}"] if deny else []
    lines += [f"  {line}" for key, value in rest.items() for line in _block(key, value)]
    return ["policy:", *lines] if lines else []


def _block(key: str, value: Json) -> list[str]:
    """One key; JSON is YAML, and a list or a map reads better with one item a line."""
    if isinstance(value, Mapping) and value:
        return [f"{key}:", *(f"  {name}: {_flow(one)}" for name, one in value.items())]
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return [f"{key}:", *(f"  - {_flow(one)}" for one in value)]
    return [f"{key}: {_flow(value)}"]


def _flow(value: Json) -> str:
    return encode(value).decode()


def _limit(seen: _Seen, unit: BudgetUnit, key: str) -> str:
    """What the largest run took, and room for the worst case of one more call: less would refuse its last one."""
    took = seen.took.get(unit, 0)
    if not took:
        return ""
    limit = took + seen.worst.get(unit, 0)
    amount = format((Decimal(limit) / MICRO).normalize(), "f") if unit is BudgetUnit.USD else str(limit)
    return f"  {key}: {amount}"
