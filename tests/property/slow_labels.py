"""The default rules on the origin of values, read from the table of docs/labels.md for every call; slow and obvious.

It shares no code with `core.policy.label_rules`: which arguments, which levels and what follows are found anew.
"""

from collections.abc import Iterator, Sequence

from leverframe.core.policy import Question
from leverframe.domain.conditions import Expr, Path
from leverframe.domain.contracts import Provenance, ProvenanceRules
from leverframe.domain.labels import Label
from leverframe.domain.policy import Rule, Then
from leverframe.domain.tools import ArgSpec, ToolSpec
from tests.property.slow_conditions import every_node

_OF_ROLE = {
    "recipient": (Provenance.RECIPIENTS, "untraced-recipient"),
    "selector": (Provenance.SELECTORS, "untraced-selector"),
    "command": (Provenance.SELECTORS, "untraced-selector"),
    "amount": (Provenance.AMOUNTS, "untraced-amount"),
}


def slow_labels(question: Question, spec: ToolSpec, says: ProvenanceRules, of_tool: Sequence[Rule]) -> dict[str, Then]:
    """Every default rule that matches, and what follows."""
    if question.union is None:
        return {}
    every = [*_untraced(question, spec, says, of_tool), *_outward(question, question.union, spec, says)]
    if question.is_suspicious and (spec.effect.value != "read" or _sends(question, spec)):
        every.append(("suspicious-text", says.written[Provenance.SUSPICIOUS].then if _asks(says) else None))
    return {rule: then for rule, then in every if then is not None}


def _untraced(
    question: Question, spec: ToolSpec, says: ProvenanceRules, of_tool: Sequence[Rule]
) -> Iterator[tuple[str, Then | None]]:
    for name, arg in spec.args.items():
        role = _role(arg)
        is_asked = role == "recipient" or (role in _OF_ROLE and spec.effect.value != "read")
        if role == "amount" and _is_bounded(name, of_tool):
            is_asked = False
        if is_asked and not _is_empty(question.args.get(name)) and _level(question, name) < arg.accepts.value:
            key, rule = _OF_ROLE[role]
            yield rule, says.of(key).then


def _outward(
    question: Question, union: Label, spec: ToolSpec, says: ProvenanceRules
) -> Iterator[tuple[str, Then | None]]:
    given = [name for name in spec.args if not _is_empty(question.args.get(name))]
    if union.integrity.word != "third-party" or not _sends(question, spec):
        return
    texts = [name for name in given if _role(spec.args[name]) == "free_text" and _level(question, name) == 0]
    for name in texts:
        if union.confidentiality.word != "public":
            yield "third-party-text", says.of(Provenance.FREE_TEXT).then
        elif "www." in str(question.args[name]) or "://" in str(question.args[name]):
            yield "third-party-link", says.of(Provenance.FREE_TEXT).then
    if union.confidentiality.word == "secret":
        yield "rule-of-two", says.of(Provenance.RULE_OF_TWO).then


def _sends(question: Question, spec: ToolSpec) -> bool:
    return any(_role(arg) == "recipient" and not _is_empty(question.args.get(name)) for name, arg in spec.args.items())


def _asks(says: ProvenanceRules) -> bool:
    return Provenance.SUSPICIOUS in says.written


def _role(arg: ArgSpec) -> str:
    return "" if arg.role is None else arg.role.value


def _level(question: Question, name: str) -> int:
    return question.arg_labels[name].integrity.value if name in question.arg_labels else 0


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str | list | dict) and len(value) == 0)


def _is_bounded(name: str, of_tool: Sequence[Rule]) -> bool:
    """Whether a threshold stands over the amounts, or a rule's condition reads this one's value."""
    return any(
        not rule.only_narrows and (rule.threshold_usd is not None or _reads(rule.when, name)) for rule in of_tool
    )


def _reads(when: Expr | None, name: str) -> bool:
    if when is None:
        return False
    return any(isinstance(node, Path) and node.root == "args" and node.keys[:1] == (name,) for node in every_node(when))
