"""The default rules on where a call's values come from: untrusted text is never authority (invariant I6).

Knows: which arguments of a tool say who, which and how much, and what free text may go to whom.
Never: looks into a text for what it means; the order of labels and the roles of arguments are all it reads.
Source: docs/labels.md, "Default rules".  A contract tightens or, with a reason, loosens them: `policy.provenance`.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import re2

from leverframe.domain.contracts import Provenance, ProvenanceRule, ProvenanceRules
from leverframe.domain.ids import RuleId
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.labels import UNTRACED, Confidentiality, Integrity, Label
from leverframe.domain.policy import Reason, SourceRef, Then
from leverframe.domain.tools import ArgRole, ArgSpec, ToolSpec

UNTRACED_RECIPIENT: Final = RuleId("untraced-recipient")
UNTRACED_SELECTOR: Final = RuleId("untraced-selector")
UNTRACED_AMOUNT: Final = RuleId("untraced-amount")
THIRD_PARTY_TEXT: Final = RuleId("third-party-text")
THIRD_PARTY_LINK: Final = RuleId("third-party-link")
RULE_OF_TWO: Final = RuleId("rule-of-two")
SUSPICIOUS_TEXT: Final = RuleId("suspicious-text")
LABEL_RULES: Final = frozenset(
    (
        UNTRACED_RECIPIENT,
        UNTRACED_SELECTOR,
        UNTRACED_AMOUNT,
        THIRD_PARTY_TEXT,
        THIRD_PARTY_LINK,
        RULE_OF_TWO,
        SUSPICIOUS_TEXT,
    )
)

# What leads a reader somewhere: an address with a scheme or as people write it, whatever stands beside it; a link.
_HOST: Final = r"[\pL\pN_-]+(?:[.\x{3002}\x{ff0e}\x{ff61}][\pL\pN_-]+)*[.\x{3002}\x{ff0e}\x{ff61}]"
# Of hosts that stand alone, since programs make links of them: what is no ending of a file, nor of a sentence.
_ENDINGS: Final = "com|net|org|info|biz|dev|app|xyz|online|site|shop|club|link|live|click|cloud|page|web|store|example"
_LINK: Final = re2.compile(
    r"(?im)[a-z]:[/\\]|www\.|mailto:|javascript:|\]\(|^\s*\[[^\]]*\]:|\b(?:href|src)\s*=|(?:^|[^:/\w])//[\pL\pN]"
    rf"|{_HOST}\pL{{2,}}\.?(?:[/?#\\]|:[0-9])|{_HOST}(?:{_ENDINGS}|[a-z]{{2}}\.[a-z]{{2}})\b"
    r"|\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b"
)
# A member of an enumeration is looked up in a tenth of a microsecond, and these are asked for each argument.
_THIRD_PARTY: Final = Integrity.THIRD_PARTY
_SECRET: Final = Confidentiality.SECRET


@dataclass(frozen=True, slots=True)
class _Check:
    """What an argument is that must be as trusted as its spec says, and what follows where it is not."""

    what: str
    rule_id: RuleId
    rule: ProvenanceRule


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPlan:
    """What the default rules ask of one tool's calls.  `may_deny`: the contract tightens one of them to a denial."""

    asked: tuple[tuple[str, Integrity, _Check], ...]  # each argument, what it takes, and what follows where it is less
    recipients: tuple[str, ...]
    texts: tuple[str, ...]
    free_text: ProvenanceRule
    rule_of_two: ProvenanceRule
    suspicious: ProvenanceRule
    is_write: bool
    source: SourceRef
    may_deny: bool


def label_plan(
    spec: ToolSpec, rules: ProvenanceRules, *, bounded: Collection[str], source: SourceRef
) -> LabelPlan | None:
    """Prepare the rules for one tool; None where they ask nothing of it.

    Args:
        spec: the tool; a read is asked only where its values go, since reading changes nothing.
        rules: what the contract says of the defaults.
        bounded: arguments that a threshold or a rule of the contract compares.
        source: the contract, for the defaults that it does not mention.
    """
    by_role: dict[ArgRole, list[tuple[str, ArgSpec]]] = {}
    for name, arg in spec.args.items():
        if arg.role is not None:
            by_role.setdefault(arg.role, []).append((name, arg))
    is_write = spec.effect.is_write
    selectors = [*by_role.get(ArgRole.SELECTOR, ()), *by_role.get(ArgRole.COMMAND, ())] if is_write else []
    amounts = [each for each in by_role.get(ArgRole.AMOUNT, ()) if each[0] not in bounded] if is_write else []
    recipients = by_role.get(ArgRole.RECIPIENT, [])
    checks = (
        (_Check("recipient", UNTRACED_RECIPIENT, rules.of(Provenance.RECIPIENTS)), recipients),
        (_Check("selector", UNTRACED_SELECTOR, rules.of(Provenance.SELECTORS)), selectors),
        (_Check("amount", UNTRACED_AMOUNT, rules.of(Provenance.AMOUNTS)), amounts),
    )
    asked = tuple(
        (name, arg.accepts, check) for check, args in checks if check.rule.then is not None for name, arg in args
    )
    suspicious = rules.of(Provenance.SUSPICIOUS)
    if not (asked or recipients or (is_write and suspicious.then is not None)):
        return None
    return LabelPlan(
        asked=asked,
        recipients=tuple(name for name, _ in recipients),
        texts=tuple(name for name, _ in by_role.get(ArgRole.FREE_TEXT, ())),
        free_text=rules.of(Provenance.FREE_TEXT),
        rule_of_two=rules.of(Provenance.RULE_OF_TWO),
        suspicious=suspicious,
        is_write=is_write,
        source=source,
        may_deny=any(one.then is Then.DENY for one in rules.written.values()),
    )


def by_labels(
    plan: LabelPlan, args: JsonObject, labels: Mapping[str, Label], union: Label, *, is_suspicious: bool = False
) -> tuple[Reason, ...]:
    """The reasons of the default rules that a call matches.

    `union` joins all that the run has seen; `is_suspicious`: something was hidden in a text of it.
    """
    # Most calls match none: nothing is made, and no argument is looked at, before a label says that it matters.
    found: list[Reason] = []
    label_of = labels.get
    for name, accepts, check in plan.asked:
        label = label_of(name, UNTRACED)
        if label.integrity < accepts and not _is_nothing(args.get(name)):
            came = f" from {label.origin}" if label.origin else ", traced to nothing that entered the run"
            text = f"{check.what} args.{name} is {label.integrity.word}{came}; it takes {accepts.word} or better"
            found.append(_reason(plan, check.rule, check.rule_id, text))
    has_read_untrusted = union.integrity is _THIRD_PARTY
    if not (has_read_untrusted or is_suspicious):
        return tuple(found)
    has_recipient = _names_somebody(plan, args)
    if has_read_untrusted and has_recipient:
        texts: list[str] = []
        for name in plan.texts:
            if label_of(name, UNTRACED).integrity is _THIRD_PARTY and not _is_nothing(args.get(name)):
                texts += (name,)
        if texts or union.confidentiality is _SECRET:
            _outward(found, plan, args, texts, union)
    if is_suspicious and (plan.is_write or has_recipient):
        _hidden(found, plan)
    return tuple(found)


def _names_somebody(plan: LabelPlan, args: JsonObject) -> bool:
    for name in plan.recipients:
        value = args.get(name)
        if value or not _is_nothing(value):
            return True
    return False


def _hidden(found: list[Reason], plan: LabelPlan) -> None:
    """What a run does that has read a text with something hidden in it."""
    if plan.suspicious.then is not None:
        text = "the run has read text in which something was hidden from its readers"
        found.append(_reason(plan, plan.suspicious, SUSPICIOUS_TEXT, text))


def _outward(found: list[Reason], plan: LabelPlan, args: JsonObject, texts: list[str], union: Label) -> None:
    """What a run that has read untrusted text, or a secret beside it, sends to others; `texts` are not the user's."""
    if texts and plan.free_text.then is not None:
        if union.confidentiality is not Confidentiality.PUBLIC:
            found += [
                _reason(plan, plan.free_text, THIRD_PARTY_TEXT, f"args.{name} {_WRITTEN_AFTER}") for name in texts
            ]
        else:
            found += [
                _reason(plan, plan.free_text, THIRD_PARTY_LINK, f"args.{name} links {_WRITTEN_AFTER}")
                for name in texts
                if any(_LINK.search(text) for text in _strings(args.get(name)))
            ]
    if plan.rule_of_two.then is not None and union.confidentiality is _SECRET:
        text = "the run has read third-party text and a secret, and this call goes outside"
        found.append(_reason(plan, plan.rule_of_two, RULE_OF_TWO, text))


_WRITTEN_AFTER = "was written after third-party text was read, and goes to others than its readers"


def _reason(plan: LabelPlan, rule: ProvenanceRule, rule_id: RuleId, text: str) -> Reason:
    return Reason(rule=rule_id, then=rule.then or Then.HOLD, source=rule.source or plan.source, text=text)


def _is_nothing(value: Json) -> bool:
    """Whether an argument names nobody and nothing."""
    return value is None or (not value and isinstance(value, str | list | dict))


def _strings(value: Json) -> Iterable[str]:
    """Every text of a value, its keys too: whoever reads it reads those."""
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, Mapping):
            yield from node
            waiting.extend(node.values())
        elif isinstance(node, list | tuple):
            waiting.extend(node)
