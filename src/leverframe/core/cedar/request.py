"""One call as a request to Cedar: what an exported policy reads, and nothing else.

Knows: how each value becomes one of Cedar's.  Never: rounds, and never passes on an object that an agent wrote: only
scalars and lists of scalars reach the context, each under a name that the export chose, so that no argument can pose
as an entity or an extension of Cedar.
A value that Cedar cannot hold is left out and named in `withheld`, and the call is denied: unknown would not be enough,
since where no allow rule is true, a hold rule that is unknown makes a person's call of what is denied.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from leverframe.core.budgets import lacking, without_counts
from leverframe.core.cedar.export import (
    APPROVED,
    ARGUMENTS_VALID,
    NOT_DENIED_BEFORE,
    NOT_DENIED_IN_RUN,
    NOT_DONE_BEFORE,
    VALUES_FIT,
    WITHIN_BUDGET,
    CedarExport,
)
from leverframe.core.cedar.readings import Keys, Reading
from leverframe.core.cedar.scales import scaled
from leverframe.core.conditions import ConditionEnv, compile_condition, compile_value
from leverframe.core.conditions.values import is_number
from leverframe.core.policy import Asker, CompiledPolicy, Question
from leverframe.core.policy.environment import environment
from leverframe.core.policy.label_rules import by_labels
from leverframe.core.policy.output_rules import is_output
from leverframe.core.policy.plan_rules import plan_reason
from leverframe.domain.conditions import Compare, Has, Null, Path, Size
from leverframe.domain.errors import CedarUnsupported
from leverframe.domain.json import Json
from leverframe.domain.labels import Confidentiality, Integrity


@dataclass(frozen=True, slots=True, kw_only=True)
class CedarRequest:
    """A request in the form that Cedar engines take; `withheld` names what did not fit, for which it is denied."""

    principal: Mapping[str, str]
    action: Mapping[str, str]
    resource: Mapping[str, str]
    context: Mapping[str, Json]
    withheld: tuple[str, ...] = ()

    def asked(self, *, is_approved: bool) -> dict[str, Json]:
        """The request of one of the two evaluations, as JSON."""
        return {
            "principal": dict(self.principal),
            "action": dict(self.action),
            "resource": dict(self.resource),
            "context": {**self.context, APPROVED[0]: is_approved},
        }


def request_of(question: Question, policy: CompiledPolicy, export: CedarExport) -> CedarRequest:
    """Lay out a call for the policy that was exported.

    The grant of an earlier hold is not passed on: the second evaluation asks what every grant together would allow.

    Raises:
        CedarUnsupported: it is the door's own read, which no rule of a contract decides.
    """
    if question.asker is Asker.DOOR:
        raise CedarUnsupported(
            f"The door's own read of {question.tool!r} is decided by the contract's facts, and no rule of Cedar.",
            next_move="Ask about the agent's calls.",
        )
    cost = question.cost if question.asker is Asker.AGENT else without_counts(question.cost)
    denied = question.denied_before
    door: dict[Keys, Json] = {
        # Arguments are valid for the tool that was reviewed, and one that waits for its review has none.
        ARGUMENTS_VALID: question.spec is not None and question.closed is None and not question.schema_error,
        WITHIN_BUDGET: not lacking(question.windows, cost),
        NOT_DENIED_IN_RUN: denied is None or not denied.is_same_run,
        NOT_DENIED_BEFORE: denied is None,
        NOT_DONE_BEFORE: question.once_per_seen is False,
    }
    context: dict[str, Json] = {}
    for keys, value in door.items():
        _put(context, keys, value)
    withheld = _beside_policy(question, policy)
    layout = export.layouts.get(question.tool)
    plan = policy.plans.get(question.tool)
    if layout is not None and plan is not None:
        env = environment(
            plan,
            question.args,
            question.facts,
            question.run,
            history=question.history,
            arg_labels=question.arg_labels,
        )
        for reading, keys in layout.fields.items():
            found = _value(reading, env, layout.scales.get(reading.scale_key, 0), withheld)
            if found is not None:
                _put(context, keys, found)
    _put(context, VALUES_FIT, not withheld)
    return CedarRequest(
        principal={"type": "Principal", "id": question.run.initiator},
        action={"type": "Action", "id": question.tool},
        resource={"type": "Workflow", "id": export.workflow or question.run.workflow},
        context=context,
        withheld=tuple(withheld),
    )


def _beside_policy(question: Question, policy: CompiledPolicy) -> list[str]:
    """What stops or holds a call without being a rule of the policy's text, and so is none that was exported."""
    plan = policy.plans.get(question.tool)
    found = {"kill-switch": question.killed is not None, "tools.lock": question.closed is not None}
    if plan is not None and plan.labels is not None and question.union is not None:
        found["provenance"] = bool(
            by_labels(
                plan.labels, question.args, question.arg_labels, question.union, is_suspicious=question.is_suspicious
            )
        )
    if policy.plan is not None:
        found["plan"] = plan_reason(question, policy.plan) is not None
    found["audience"] = is_output(question)
    return [name for name, stands in found.items() if stands]


def _put(context: dict[str, Json], keys: Keys, value: Json) -> None:
    node = context
    for key in keys[:-1]:
        # Every inner node was made here: no field is at once a value and an object (`core.cedar.readings`).
        node = node.setdefault(key, {})  # type: ignore[assignment]  # and so it is a dict
    node[keys[-1]] = value


def _value(reading: Reading, env: ConditionEnv, places: int, withheld: list[str]) -> Json:
    """What stands in a field; None where it is left out."""
    of = reading.of
    match reading.kind:
        case "has" if isinstance(of, Path) and of.keys:
            return compile_condition(Has(path=of)).evaluate(env)
        case "has":
            return True  # args, facts, run and call are always there
        case "null":
            return compile_condition(Compare(op="==", left=of, right=Null())).evaluate(env)
        case "size":
            return _scalar(reading, compile_value(Size(operand=of))(env), places, withheld)
        case "number" | "string" | "boolean":
            return _scalar(reading, compile_value(of)(env), places, withheld)
        case "empty":
            value = compile_value(of)(env)
            return isinstance(value, list | tuple) and not value
        case kind:
            return _several(reading, kind.removeprefix("only-"), compile_value(of)(env), places, withheld)


def _scalar(reading: Reading, value: object, places: int, withheld: list[str]) -> Json:
    """A value of the reading's own type; another type is unknown there, as it is in a condition."""
    match reading.kind:
        case "boolean":
            return value if isinstance(value, bool) else None
        case "string":
            return _text(reading, value, withheld) if type(value) is str else None
        case _ if isinstance(value, Integrity | Confidentiality):
            return int(value)
        case _:
            return _number(reading, value, places, withheld)


def _several(reading: Reading, kind: str, value: object, places: int, withheld: list[str]) -> Json:
    """The members of one type, or whether all are of it; a map's members are its keys, which are strings."""
    if isinstance(value, Mapping):
        members: Iterable[object] = value if kind == "strings" else ()
        if kind != "strings":
            return None
    elif isinstance(value, list | tuple):
        members = value
    else:
        return None
    every = tuple(members)
    found = [_member(reading, kind, each, places, withheld) for each in every]
    kept = [each for each in found if each is not None]
    return len(kept) == len(every) if reading.kind.startswith("only-") else kept


def _member(reading: Reading, kind: str, value: object, places: int, withheld: list[str]) -> Json:
    match kind:
        case "strings":
            return _text(reading, value, withheld) if type(value) is str else None
        case "booleans":
            return value if isinstance(value, bool) else None
        case _:
            return _number(reading, value, places, withheld)


def _number(reading: Reading, value: object, places: int, withheld: list[str]) -> int | None:
    if not is_number(value):
        return None
    number = scaled(value, places)
    if number is None:
        withheld.append(f"{reading.text}: the number has more than {places} decimal places, or is beyond 2**53")
    return number


def _text(reading: Reading, value: object, withheld: list[str]) -> str | None:
    try:
        text = str(value)
        text.encode()
    except UnicodeEncodeError:
        withheld.append(f"{reading.text}: the text is no valid Unicode, and Cedar's strings are")
        return None
    return text
