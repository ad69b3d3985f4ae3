"""How a readiness card is told, and what is missing on it."""

from argparse import Namespace
from collections.abc import Iterator
from textwrap import wrap

from leverframe.cli.accounts import who_may
from leverframe.cli.pasting import pasteable
from leverframe.cli.screen import Part, Screen, Word
from leverframe.domain.contracts import Enforce
from leverframe.domain.json import Json
from leverframe.domain.policy import Then
from leverframe.runtime.readiness import AllowedTool, Card, Condition, Gap

_PARTS = {1: "what it may do", 2: "where it stops", 3: "what it leaves"}
_FIELD_COLUMNS = 90


def tell_card(screen: Screen, args: Namespace, card: Card) -> None:
    """Print the three parts, and what is missing."""
    contract = card.contract
    screen.line(f"{contract.workflow}  {contract.source}  owner {contract.owner or 'nobody'}  ", _ready(card))
    if contract.description:
        screen.line(f"  {contract.description}")
    screen.line()
    models = f"model {', '.join(card.models)}" if card.models else "no model"
    screen.line(f"1  What it may do, and nothing else ({contract.kind.value}, {models})")
    screen.table(("TOOL", "EFFECT", "RUNS", "WRITTEN AT"), [_tool_row(action) for action in card.actions], indent=3)
    for action in card.actions:
        screen.lines(f"   {line}" for line in _condition_lines(action))
    if card.own_reads:
        screen.line(f"   the door itself reads {', '.join(card.own_reads)}")
    screen.line()
    screen.line("2  Where it stops")
    if contract.enforce is Enforce.OBSERVE:
        screen.line("   only observed: model calls and reads go on beyond all of these; writes do not")
    screen.pairs(((stop.what, str(stop.source)) for stop in card.stops), indent=3)
    screen.line(f"   then: {card.follows}")
    screen.line()
    hidden = ", ".join(sorted(contract.logging.redact_fields)) or "nothing"
    screen.line(f"3  What it leaves: values for {contract.logging.retain_days} days, {hidden} withheld; and for ever")
    if card.record:
        screen.line(f"   (a dry run of {card.record_of}, with nothing sent)")
    width = max((len(entry.type) for entry in card.record), default=0)
    for entry in card.record:
        lines = wrap(", ".join(entry.fields), _FIELD_COLUMNS)
        screen.lines(f"   {entry.type if not number else '':<{width}}  {line}" for number, line in enumerate(lines))
    if card.gaps:
        screen.line()
        tell_gaps(screen, args, card)


def tell_gaps(screen: Screen, args: Namespace, card: Card) -> None:
    """Print whether it is ready, and each part that is missing with what to do."""
    screen.line(f"{card.contract.workflow}  ", _ready(card))
    for gap in card.gaps:
        screen.line(f"   part {gap.part}, {_PARTS[gap.part]}: {gap.text}")
        screen.line(f"      {pasteable(gap.next_move, args)}")


def card_document(card: Card) -> Json:
    """The card as JSON."""
    contract = card.contract
    return {
        "workflow": contract.workflow,
        "source": str(contract.source),
        "owner": contract.owner,
        "kind": contract.kind.value,
        "enforce": contract.enforce.value,
        "models": list(card.models),
        "actions": [_action_document(action) for action in card.actions],
        "own_reads": list(card.own_reads),
        "stops": [{"what": stop.what, "source": str(stop.source)} for stop in card.stops],
        "follows": card.follows,
        "retain_days": contract.logging.retain_days,
        "redact_fields": sorted(contract.logging.redact_fields),
        "record_of": card.record_of,
        "record": [{"type": entry.type, "fields": list(entry.fields)} for entry in card.record],
        "is_ready": not card.gaps,
        "gaps": [gap_document(gap) for gap in card.gaps],
    }


def gap_document(gap: Gap) -> Json:
    """One gap as JSON."""
    return {"part": gap.part, "code": gap.code, "text": gap.text, "next_move": gap.next_move}


def _ready(card: Card) -> Word:
    return Word("not ready" if card.gaps else "ready")


def _tool_row(action: AllowedTool) -> tuple[Part, ...]:
    holds = [condition for condition in action.conditions if condition.then is Then.HOLD]
    if not action.by_itself or any(condition.when == "every call" for condition in holds):
        runs = "after a person's grant"
    else:
        runs = "by itself, unless:" if action.conditions else "by itself"
    return action.tool, action.effect, runs, str(action.source)


def _condition_lines(action: AllowedTool) -> Iterator[str]:
    for condition in action.conditions:
        yield f"{action.tool}: {_said(condition)}  {condition.rule}  {condition.source}"
        if condition.who is not None:
            yield f"{'':<{len(action.tool)}}  by {who_may(condition.who)}"
    if action.broad_because:
        yield f"{action.tool}: broad, since {action.broad_because}"
    if action.unguarded:
        yield f"{action.tool}: past the egress guard: {action.unguarded}"


def _said(condition: Condition) -> str:
    match condition.then:
        case Then.DENY:
            return f"never when {condition.when}"
        case Then.HOLD:
            return f"asked for when {condition.when}" if condition.when != "every call" else "asked for on every call"
        case Then.ALLOW:
            return f"by itself only when {condition.when}"


def _action_document(action: AllowedTool) -> Json:
    return {
        "tool": action.tool,
        "effect": action.effect,
        "by_itself": action.by_itself,
        "source": str(action.source),
        "broad_because": action.broad_because,
        "unguarded": action.unguarded,
        "conditions": [
            {
                "then": condition.then.value,
                "rule": condition.rule,
                "when": condition.when,
                "source": str(condition.source),
                "who": who_may(condition.who) if condition.who is not None else None,
            }
            for condition in action.conditions
        ],
    }
