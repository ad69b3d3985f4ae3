"""What the conditions of one call see.

Knows: how a question becomes the values of a `ConditionEnv`; what is not there is unknown.  Never: evaluates one.
"""

from collections.abc import Mapping

from leverframe.core.conditions import AttributePath, ConditionEnv
from leverframe.core.policy.compiled import ToolPlan
from leverframe.core.policy.question import HistoryAnswers
from leverframe.domain.json import JsonObject
from leverframe.domain.labels import Label
from leverframe.domain.policy import Fact, Known, RunFacts

_NO_HISTORY: HistoryAnswers = {}
_NO_LABELS: Mapping[str, Label] = {}
# One empty mapping for all: nobody writes to an environment.
_NO_FACTS: Mapping[str, object] = {}
_NO_LABELS_AT: Mapping[AttributePath, Label] = {}
_LABEL_DEPTH = 2  # a label is kept for a whole argument and a whole fact


def known_facts(facts: Mapping[str, Fact]) -> Mapping[str, object]:
    """The values of the facts that could be read."""
    return {name: fact.value for name, fact in facts.items() if isinstance(fact, Known)} if facts else _NO_FACTS


def environment(
    plan: ToolPlan,
    args: JsonObject,
    facts: Mapping[str, Fact],
    run: RunFacts,
    *,
    history: HistoryAnswers = _NO_HISTORY,
    arg_labels: Mapping[str, Label] = _NO_LABELS,
) -> ConditionEnv:
    """Lay out a call for its conditions; unreadable facts are left out, and so unknown."""
    return ConditionEnv(
        args=args,
        facts=known_facts(facts),
        run=run.values,
        call=plan.call,
        labels=_labels(plan.label_paths, facts, arg_labels) if plan.label_paths else _NO_LABELS_AT,
        history=history,
    )


def _labels(
    paths: tuple[AttributePath, ...], facts: Mapping[str, Fact], arg_labels: Mapping[str, Label]
) -> dict[AttributePath, Label]:
    found: dict[AttributePath, Label] = {}
    for path in paths:
        if len(path) < _LABEL_DEPTH:
            continue
        fact = facts.get(path[1]) if path[0] == "facts" else None
        label = fact.label if isinstance(fact, Known) else arg_labels.get(path[1]) if path[0] == "args" else None
        if label is not None:
            found[path] = label
    return found
