"""A question as it is recorded with its decision, and read back so that it can be decided again (invariant I9).

Knows: which inputs of `decide` a record holds: all that the release and the run do not say.  The two functions of each
kind undo each other (tests/property/test_recorded_questions.py).  Never: decides, or guesses what is not there.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from leverframe.core.policy.compiled import CompiledPolicy
from leverframe.core.policy.decide import needed_history
from leverframe.core.policy.question import (
    Asker,
    GrantedApproval,
    HistoryAnswers,
    ModelQuestion,
    Question,
    StickyDenial,
)
from leverframe.domain.authority import KillScope, KillSwitch
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.conditions import HistoryQuery
from leverframe.domain.ids import ApprovalId, BudgetId, PrincipalId, RuleId, Sha256, TenantId, ToolName, WindowId
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import CONFIDENTIALITY_WORDS, INTEGRITY_WORDS, Label
from leverframe.domain.pins import Closed
from leverframe.domain.plans import PlanState
from leverframe.domain.policy import Fact, Known, Reason, RunFacts, SourceRef, Unreadable
from leverframe.domain.time import rfc3339
from leverframe.domain.tools import ToolSpec

# What reading JSON of a shape that is only hoped for may raise.
_UNFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError)


class NotRecordedError(Exception):
    """The record does not hold what a decision needs."""


class OtherHistoryError(Exception):
    """The conditions of the release ask for another history than was recorded."""


def question_json(question: Question) -> dict[str, Json]:
    """What a question holds beyond its release, its run, its arguments and the values of its facts."""
    granted, denied = question.granted, question.denied_before
    return {
        "asker": question.asker.value,
        "schema_error": question.schema_error,
        "closed": None
        if question.closed is None
        else {"slug": question.closed.slug, "message": question.closed.message, "seen": question.closed.seen},
        # Lists, since under the name of a redacted argument a label would be taken for a value to withhold.
        "labels": [{"argument": name, **_label_json(label)} for name, label in question.arg_labels.items()],
        "union": None if question.union is None else _label_json(question.union),
        "plan": None if question.plan is None else _plan_json(question.plan),
        "suspicious": question.is_suspicious,
        "fact_labels": [
            {"fact": name, **_label_json(fact.label)}
            for name, fact in question.facts.items()
            if isinstance(fact, Known)
        ],
        "history": [
            {"query": _query_json(query), "answer": _plain(value)} for query, value in question.history.items()
        ],
        "windows": [window_json(window) for window in question.windows],
        "cost": {unit.value: amount for unit, amount in question.cost.items()},
        "once_per_seen": question.once_per_seen,
        "killed": kill_json(question.killed),
        "granted": None
        if granted is None
        else {"approval_id": granted.approval_id, "rules": list[Json](sorted(granted.rules))},
        "denied_before": None
        if denied is None
        else {
            "approval_id": denied.approval_id,
            "denied_by": denied.denied_by,
            "denied_at": rfc3339(denied.denied_at),
            "is_same_run": denied.is_same_run,
            "reason": denied.reason,
        },
    }


def recorded_question(recorded: JsonObject, run: RunFacts, spec: ToolSpec | None, policy: CompiledPolicy) -> Question:
    """The question that was recorded.

    Args:
        recorded: the `call` disclosure of the decision, whole.
        run: the run's facts, from its first entry.
        spec: the tool as the run's release has it.
        policy: that release's, which names the history that was asked for.

    Raises:
        NotRecordedError: something of it is missing or of another form.
        OtherHistoryError: what the policy asks of the history is not what was asked then.
    """
    try:
        envelope = recorded["envelope"]
        args = _object(recorded["args"] if envelope is None else _object(envelope)["args"])
        facts = {} if envelope is None else _facts(_object(_object(envelope)["facts"]), recorded["fact_labels"])
        tool = ToolName(_text(recorded["tool"]))
        asker = Asker(_text(recorded["asker"]))
        schema_error, closed = _text(recorded["schema_error"]), _closed(recorded["closed"])
        is_asking = spec is not None and closed is None and not schema_error and asker is not Asker.DOOR
        queries = needed_history(policy, tool, args, facts, run) if is_asking else ()
        return Question(
            tool=tool,
            spec=spec,
            args=args,
            run=run,
            schema_error=schema_error,
            closed=closed,
            facts=facts,
            history=_history(queries, _objects(recorded["history"])),
            windows=tuple(_window(one) for one in _objects(recorded["windows"])),
            cost=_cost(recorded["cost"]),
            arg_labels={_text(one["argument"]): _label(one) for one in _objects(recorded["labels"])},
            granted=_granted(recorded["granted"]),
            once_per_seen=_seen(recorded["once_per_seen"]),
            denied_before=_denied(recorded["denied_before"]),
            asker=asker,
            union=_union(recorded["union"]),
            killed=_killed(recorded["killed"]),
            plan=_plan(recorded["plan"]),
            is_suspicious=_truth(recorded["suspicious"]),
        )
    except _UNFORMED as err:
        raise NotRecordedError(f"{type(err).__name__}: {err}") from err


def model_question_json(question: ModelQuestion) -> dict[str, Json]:
    """What the question of a model call holds beyond its release and its run."""
    return {
        "model": question.model,
        "killed": kill_json(question.killed),
        "windows": [window_json(window) for window in question.windows],
        "cost": {unit.value: amount for unit, amount in question.cost.items()},
    }


def recorded_model_question(recorded: JsonObject, run: RunFacts) -> ModelQuestion:
    """The question of a model call that was recorded.  Raises NotRecordedError where something is missing."""
    try:
        return ModelQuestion(
            model=_text(recorded["model"]),
            run=run,
            windows=tuple(_window(one) for one in _objects(recorded["windows"])),
            cost=_cost(recorded["cost"]),
            killed=_killed(recorded["killed"]),
        )
    except _UNFORMED as err:
        raise NotRecordedError(f"{type(err).__name__}: {err}") from err


def reason_json(reason: Reason) -> dict[str, Json]:
    """One rule that took part, as it is recorded."""
    return {
        "rule": reason.rule,
        "then": reason.then.value,
        "source": str(reason.source),
        "text": reason.text,
        "is_unknown": reason.is_unknown,
    }


def _label_json(label: Label) -> dict[str, Json]:
    return {
        "integrity": label.integrity.word,
        "confidentiality": label.confidentiality.word,
        "origin": label.origin,
    }


def _label(item: JsonObject) -> Label:
    return Label(
        integrity=INTEGRITY_WORDS[_text(item["integrity"])],
        confidentiality=CONFIDENTIALITY_WORDS[_text(item["confidentiality"])],
        origin=_text(item["origin"]),
    )


def _plan_json(plan: PlanState) -> Json:
    declared = {} if plan.tools is None else plan.tools
    listed: list[Json] = [{"tool": name, "most": count} for name, count in declared.items()]
    tools = None if plan.tools is None else listed
    return {"tools": tools, "planner": plan.planner.word, "declared": plan.declared}


def _plan(item: Json) -> PlanState | None:
    if item is None:
        return None
    found = _object(item)
    tools = found["tools"]
    return PlanState(
        tools=None if tools is None else {ToolName(_text(one["tool"])): _whole(one["most"]) for one in _objects(tools)},
        planner=INTEGRITY_WORDS[_text(found["planner"])],
        declared=_whole(found["declared"]),
    )


def _union(item: Json) -> Label | None:
    return None if item is None else _label(_object(item))


def _query_json(query: HistoryQuery) -> Json:
    """A query without its value, which is one of the arguments or facts."""
    return {"kind": query.kind, "tool": query.tool, "arg": query.arg, "window_s": query.window_s, "scope": query.scope}


def _plain(value: object) -> Json:
    return value if isinstance(value, bool | int | Decimal | str) else None


def _history(queries: Sequence[HistoryQuery], recorded: Sequence[JsonObject]) -> HistoryAnswers:
    """The answers, by the queries that the same conditions ask: in the same order, as they are asked in one way."""
    if [_query_json(one) for one in queries] != [one["query"] for one in recorded]:
        raise OtherHistoryError("the conditions ask for another history than was recorded")
    return {query: one["answer"] for query, one in zip(queries, recorded, strict=True)}


def window_json(window: Window) -> Json:
    """One window as it is recorded with a decision."""
    found: dict[str, Json] = {
        "window_id": window.window_id,
        "unit": window.unit.value,
        "limit": window.limit,
        "settled": window.settled,
        "reserved": window.reserved,
        "source": str(window.source),
        "key": window.key,
    }
    if window.budget:
        found["budget"] = window.budget
    if window.resets_at is not None:
        found["resets_at"] = rfc3339(window.resets_at)
    return found


def _window(item: JsonObject) -> Window:
    return Window(
        window_id=WindowId(_text(item["window_id"])),
        unit=BudgetUnit(_text(item["unit"])),
        limit=_whole(item["limit"]),
        settled=_whole(item["settled"]),
        reserved=_whole(item["reserved"]),
        source=_source(_text(item["source"])),
        key=_text(item["key"]),
        budget=BudgetId(_text(item.get("budget", ""))),
        resets_at=_time(item["resets_at"]) if "resets_at" in item else None,
    )


def _source(text: str) -> SourceRef:
    file, _, line = text.rpartition(":")
    return SourceRef(file=file, line=int(line)) if file and line.isdecimal() else SourceRef(file=text)


def _facts(values: JsonObject, labels: Json) -> dict[str, Fact]:
    by_name = {_text(one["fact"]): _label(one) for one in _objects(labels)}
    facts: dict[str, Fact] = {}
    for name, item in values.items():
        fact = _object(item)
        if "unreadable" in fact:
            facts[name] = Unreadable(why=_text(fact["unreadable"]))
        else:
            facts[name] = Known(value=fact["value"], label=by_name[name])
    return facts


def _cost(item: Json) -> Mapping[BudgetUnit, int]:
    return {BudgetUnit(unit): _whole(amount) for unit, amount in _object(item).items()}


def _granted(item: Json) -> GrantedApproval | None:
    if item is None:
        return None
    found = _object(item)
    rules = found["rules"]
    if not isinstance(rules, list):
        raise TypeError("rules is no list")
    return GrantedApproval(
        approval_id=ApprovalId(_text(found["approval_id"])), rules=frozenset(RuleId(_text(one)) for one in rules)
    )


def _denied(item: Json) -> StickyDenial | None:
    if item is None:
        return None
    found = _object(item)
    return StickyDenial(
        approval_id=ApprovalId(_text(found["approval_id"])),
        denied_by=PrincipalId(_text(found["denied_by"])),
        denied_at=_time(found["denied_at"]),
        is_same_run=found["is_same_run"] is True,
        reason=_text(found["reason"]),
    )


def _closed(item: Json) -> Closed | None:
    if item is None:
        return None
    found = _object(item)
    return Closed(slug=_text(found["slug"]), message=_text(found["message"]), seen=Sha256(_text(found["seen"])))


def kill_json(switch: KillSwitch | None) -> Json:
    """The kill switch that stopped a call, as it is recorded."""
    if switch is None:
        return None
    return {
        "scope": switch.scope.value,
        "name": switch.name,
        "tenant": switch.tenant,
        "by": switch.by,
        "at": rfc3339(switch.at),
    }


def _killed(item: Json) -> KillSwitch | None:
    if item is None:
        return None
    found = _object(item)
    return KillSwitch(
        scope=KillScope(_text(found["scope"])),
        name=_text(found["name"]),
        tenant=None if found["tenant"] is None else TenantId(_text(found["tenant"])),
        by=PrincipalId(_text(found["by"])),
        at=_time(found["at"]),
    )


def _seen(item: Json) -> bool | None:
    if item is not None and not isinstance(item, bool):
        raise TypeError("once_per_seen is no truth value")
    return item


def _truth(item: Json) -> bool:
    if not isinstance(item, bool):
        raise TypeError(f"expected a truth value, got {type(item).__name__}")
    return item


def _time(item: Json) -> datetime:
    return datetime.fromisoformat(_text(item))


def _text(item: Json) -> str:
    if not isinstance(item, str):
        raise TypeError(f"expected a text, got {type(item).__name__}")
    return item


def _whole(item: Json) -> int:
    if not isinstance(item, int) or isinstance(item, bool):
        raise TypeError(f"expected a whole number, got {type(item).__name__}")
    return item


# Any: a JsonObject's values are Json, and mypy has no narrower name for an object that was found in one.
def _object(item: Any) -> JsonObject:
    if not isinstance(item, dict):
        raise TypeError(f"expected an object, got {type(item).__name__}")
    return item


def _objects(item: Json) -> list[JsonObject]:
    if not isinstance(item, list):
        raise TypeError(f"expected a list, got {type(item).__name__}")
    return [_object(one) for one in item]
