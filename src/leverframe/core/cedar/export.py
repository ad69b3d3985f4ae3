"""A contract's policy as Cedar text: any Cedar engine then answers as `core.policy.decide` does.

Knows: a call is asked twice.  Allowed with `context.approved` false: allow.  Allowed with true only: hold.  Else: deny.
What is not policy (histories, labels, whether the arguments fit, budgets, earlier denials) is computed by the caller
and passed in the context; `core.cedar.request` makes it.
Never: leaves a rule out.  What Cedar cannot say is refused, naming the rule.
Source: ADR-0006; property: `tests/property/test_cedar_equal.py`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from leverframe.core.canonical import encode
from leverframe.core.cedar.formula import (
    FALSE,
    TRUE,
    Atom,
    Formula,
    every,
    field,
    has_field,
    printed,
    some,
    text_literal,
)
from leverframe.core.cedar.kinds import ToolTypes
from leverframe.core.cedar.readings import Keys, Reading, names
from leverframe.core.cedar.scales import ScaleFinder, Scales, money_scales
from leverframe.core.cedar.sentences import Sentence, sentences_of
from leverframe.core.cedar.terms import Terms, Truths
from leverframe.core.policy import CompiledPolicy
from leverframe.core.policy.compiled import ToolPlan
from leverframe.domain.errors import CedarUnsupported
from leverframe.domain.ids import ToolName
from leverframe.domain.json import Json
from leverframe.domain.policy import ApprovalRequirement, Then

APPROVED: Keys = ("approved",)
DOOR = "door"
# What the door itself asks of every call, by the field of the context that says it is well.
ARGUMENTS_VALID: Keys = (DOOR, "arguments_valid")
WITHIN_BUDGET: Keys = (DOOR, "within_budget")
VALUES_FIT: Keys = (DOOR, "values_fit")
NOT_DENIED_IN_RUN: Keys = (DOOR, "not_denied_in_run")
NOT_DENIED_BEFORE: Keys = (DOOR, "not_denied_before")
NOT_DONE_BEFORE: Keys = (DOOR, "not_done_before")
DOOR_DENIES = (ARGUMENTS_VALID, VALUES_FIT, WITHIN_BUDGET, NOT_DENIED_IN_RUN)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLayout:
    """What a request about one tool must carry: where each field stands, and the scales of its numbers."""

    fields: Mapping[Reading, Keys]
    scales: Scales


@dataclass(frozen=True, slots=True, kw_only=True)
class CedarExport:
    """A policy in Cedar, and what its requests must carry for each tool that can be called."""

    text: str
    workflow: str
    layouts: Mapping[ToolName, ToolLayout]


@dataclass(frozen=True, slots=True)
class _Policy:
    """One policy of Cedar, less the tools that it is about."""

    effect: str
    annotations: tuple[tuple[str, str], ...]
    when: Formula
    unless: Formula


def export_policy(policy: CompiledPolicy, *, workflow: str = "") -> CedarExport:
    """Print a policy; policies that say the same of several tools become one.

    Args:
        policy: the compiled policy of a contract, as an environment narrows it.
        workflow: the resource that every policy is about; empty: any.

    Raises:
        CedarUnsupported: a rule has no form in Cedar; the message names it.
    """
    rules = sentences_of(policy)
    types = {name: ToolTypes(policy.plans[name].spec, policy) for name in rules}
    scales = {name: _scales(name, rules[name], types[name], policy) for name in rules}
    # Once to learn what is read, and once more with the names that follow from it.
    read = {name: _Namer(None) for name in rules}
    for name in rules:
        tuple(_of_tool(policy.plans[name], rules[name], Terms(types[name], scales[name], read[name].place), read[name]))
    fields = names(reading for namer in read.values() for reading in namer.found)
    found: dict[_Policy, list[ToolName]] = {}
    for name in rules:
        namer = _Namer(fields, scales[name])
        for each in _of_tool(policy.plans[name], rules[name], Terms(types[name], scales[name], namer.place), namer):
            found.setdefault(each, []).append(name)
    return CedarExport(
        text="\n".join([_HEAD, *(_printed(each, tools, workflow) for each, tools in found.items())]),
        workflow=workflow,
        layouts={
            name: ToolLayout(fields={each: fields[each] for each in read[name].found}, scales=scales[name])
            for name in rules
        },
    )


_HEAD = """\
// Ask twice.  Allowed with context.approved == false: allow.  Allowed with true only: hold.  Otherwise: deny.
// Numbers are integers: @places says how many decimal places each of them has (49.99 dollars are 4999).
// What is missing from the context denies or holds, as an unknown value does.
"""


class _Namer:
    """Says where each field stands, and remembers which were asked for: all of them, and those of the rule at hand."""

    def __init__(self, fields: Mapping[Reading, Keys] | None, scales: Scales | None = None) -> None:
        self._fields = fields
        self._scales = scales or {}
        self._of_rule: dict[Reading, None] = {}
        self.found: dict[Reading, None] = {}

    def place(self, reading: Reading) -> Keys:
        self.found[reading] = self._of_rule[reading] = None
        return ("values", reading.text) if self._fields is None else self._fields[reading]

    def places(self) -> dict[str, int]:
        """The decimal places of the numbers read since the last time, for whoever reads the text."""
        read = {reading.scale_key for reading in self._of_rule}
        self._of_rule.clear()
        return {key: self._scales[key] for key in sorted(read) if key in self._scales}


def _scales(tool: ToolName, rules: tuple[Sentence, ...], types: ToolTypes, policy: CompiledPolicy) -> Scales:
    specs = {name: plan.spec for name, plan in policy.plans.items()}
    finder = ScaleFinder(types, money_scales(specs[tool]), specs)
    for rule in rules:
        with _naming(rule):
            finder.add(rule.when)
    try:
        return finder.scales()
    except CedarUnsupported as err:
        raise CedarUnsupported(
            f"The rules about {tool!r} do not export: {err.message}", next_move=err.next_move
        ) from err


@contextmanager
def _naming(rule: Sentence) -> Iterator[None]:
    """Say which rule a refusal is about."""
    try:
        yield
    except CedarUnsupported as err:
        place = f" ({rule.source})" if rule.source else ""
        raise CedarUnsupported(
            f"The rule {rule.name!r}{place} does not export: {err.message}", next_move=err.next_move
        ) from err


def _of_tool(plan: ToolPlan, rules: tuple[Sentence, ...], terms: Terms, namer: _Namer) -> Iterator[_Policy]:
    for keys in DOOR_DENIES:
        yield _Policy("forbid", (("id", f"door/{keys[-1]}"),), TRUE, _flag(keys))
    allows = [rule for rule in rules if rule.then is Then.ALLOW]
    runs_by_itself = plan.is_listed and not allows
    if runs_by_itself:
        yield _Policy("permit", (("id", "allow_tools"),), TRUE, FALSE)
    # A grant of what is held stands in for the list and for allow rules; where the list is enough, it is not needed.
    needs_permit = not runs_by_itself
    held = [NOT_DENIED_BEFORE, *([NOT_DONE_BEFORE] if plan.spec.once_per is not None else [])]
    for keys in held:
        yield from _hold((("id", f"door/{keys[-1]}"),), _flag(keys), needs_permit=needs_permit)
    for rule in rules:
        with _naming(rule):
            truths = terms.test(rule.when)
        # Where a tool is not listed, a hold is all that makes it callable.
        stands_in = not rule.only_narrows or not plan.is_listed
        yield from _of_rule(rule, truths, namer.places(), needs_permit=needs_permit and stands_in)


def _of_rule(rule: Sentence, truths: Truths, places: dict[str, int], *, needs_permit: bool) -> Iterator[_Policy]:
    said = {
        "id": rule.name,
        "reason": rule.reason,
        "source": str(rule.source) if rule.source else "",
        "places": _json(dict(places)) if places else "",
    }
    annotations = tuple((key, text) for key, text in said.items() if text)
    match rule.then:
        case Then.DENY:
            yield _Policy("forbid", annotations, TRUE, truths.false)
        case Then.ALLOW:
            yield _Policy("permit", annotations, truths.true, FALSE)
        case Then.HOLD:
            asked = (("approval", _requirement(rule.approval)),) if rule.approval is not None else ()
            yield from _hold((*annotations, *asked), truths.false, needs_permit=needs_permit)


def _hold(annotations: tuple[tuple[str, str], ...], false: Formula, *, needs_permit: bool) -> Iterator[_Policy]:
    if false == TRUE:
        return
    yield _Policy("forbid", annotations, TRUE, some((false, _flag(APPROVED))))
    if needs_permit:
        kept = tuple((key, text) for key, text in annotations if key == "places")
        yield _Policy("permit", (("id", f"{annotations[0][1]}/approved"), *kept), _flag(APPROVED), false)


def _flag(keys: Keys) -> Formula:
    return every((has_field(keys), Atom(field(keys))))


def _requirement(requirement: ApprovalRequirement) -> str:
    return _json(
        {
            "from": list(requirement.from_groups),
            "quorum": requirement.quorum,
            "distinct_from": sorted(requirement.distinct_from),
            "decide_within_s": requirement.decide_within_s,
            "execute_within_s": requirement.execute_within_s,
        }
    )


def _json(value: Json) -> str:
    return encode(value).decode()


def _printed(policy: _Policy, tools: list[ToolName], workflow: str) -> str:
    actions = [f"Action::{text_literal(name)}" for name in tools]
    action = f"action == {actions[0]}" if len(actions) == 1 else f"action in [{', '.join(actions)}]"
    resource = f"resource == Workflow::{text_literal(workflow)}" if workflow else "resource"
    lines = [f"@{key}({text_literal(text)})" for key, text in policy.annotations]
    head = f"{policy.effect} (principal, {action}, {resource})"
    parts = [
        f"{word} {{\n  {printed(formula)}\n}}"
        for word, formula, neutral in (("when", policy.when, TRUE), ("unless", policy.unless, FALSE))
        if formula != neutral
    ]
    return "\n".join([*lines, "\n".join([head, *parts]) + ";", ""])
