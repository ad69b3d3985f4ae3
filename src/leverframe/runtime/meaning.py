"""What an agent that sees quoted or hidden text means by what it writes.

Knows: that copied marks are spaces and that handles stand for values, before a call is frozen and before an output is
given to people; and how much of a refusal an agent may read that sees no untrusted text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from leverframe.core.agent_view import Meant, handle_in, resolve_handles, unmarked, with_values, words_of_others
from leverframe.core.canonical import encode
from leverframe.core.hygiene import Removed, clean_output
from leverframe.core.policy.plan_rules import PLAN_MISSING, PLAN_MOVED
from leverframe.core.policy.reasons import BUDGET_EXHAUSTED, INVALID_ARGUMENTS, KILL_SWITCH, NOT_ALLOWED, UNKNOWN_TOOL
from leverframe.domain.context_rules import Untrusted
from leverframe.domain.json import Json, JsonObject
from leverframe.runtime.arguments import parsed
from leverframe.runtime.context import RunContext
from leverframe.runtime.outcomes import Answered, Failed, Lost, Refused, ToolOutcome
from leverframe.runtime.sessions import catch_up

# Their texts hold no value of a call.
_SAY_NO_VALUE = frozenset({PLAN_MISSING, PLAN_MOVED, BUDGET_EXHAUSTED, KILL_SWITCH, NOT_ALLOWED, UNKNOWN_TOOL})


async def meant(ctx: RunContext, args: JsonObject) -> Meant:
    """The arguments that an agent means.  A handle that another worker gave is known here too."""
    match ctx.contract.context.untrusted:
        case Untrusted.PLAIN:
            return Meant(args=args)
        case Untrusted.QUOTE:
            plain = unmarked(args, ctx.marker)
            return Meant(args=plain if isinstance(plain, Mapping) else args)
        case Untrusted.HIDE:
            found = resolve_handles(args, ctx.hidden)
            if found.unknown and ctx.is_outside:
                await catch_up(ctx)
                found = resolve_handles(args, ctx.hidden)
            return found


async def meant_of(ctx: RunContext, arguments: str | JsonObject) -> str | JsonObject:
    """The same of arguments that may be no object, which then stay what they are."""
    if ctx.contract.context.untrusted is Untrusted.PLAIN:
        return arguments
    args, complaint = parsed(arguments)
    return arguments if complaint else (await meant(ctx, args)).args


def meant_by_model(ctx: RunContext, value: Json) -> Json:
    """What a model of a chain wrote, for the steps after it: marks that it copied are spaces."""
    return unmarked(value, ctx.marker) if ctx.contract.context.untrusted is Untrusted.QUOTE else value


def as_seen(ctx: RunContext, outcome: ToolOutcome, *, has_handles: bool) -> ToolOutcome:
    """An outcome as the run's agent may see it.

    Args:
        ctx: the run.
        outcome: as the door has it.
        has_handles: whether the call's arguments held values that its agent has not seen.
    """
    rules = ctx.contract.context
    match outcome:
        case Answered(path=path, value=value):
            return replace(outcome, shown=ctx.shown.get(path, value))
        case Failed(words=words) | Lost(words=words) if words:
            said = words_of_others(words, how=rules.untrusted, is_cleaned=rules.is_cleaned, marker=ctx.marker)
            return replace(outcome, message=outcome.message.replace(words, said))
        case Refused(reasons=reasons) if rules.untrusted is Untrusted.HIDE:
            told = [
                f"{one.rule}: {one.text}"
                if one.rule in _SAY_NO_VALUE or (one.rule == INVALID_ARGUMENTS and not has_handles)
                else f"{one.rule} ({one.source})"
                for one in reasons
            ]
            return replace(outcome, message="; ".join(told))
        case _:
            return outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A run's output as people get it, and what was taken out of it."""

    value: Json
    removed: tuple[Removed, ...] = ()


def spoken(ctx: RunContext, output: Json) -> Spoken:
    """What a model meant by its output: marks are spaces, handles their values, links go where the contract allows."""
    removed: list[Removed] = []
    return Spoken(value=_spoken(ctx, output, removed), removed=tuple(removed))


def _spoken(ctx: RunContext, node: Json, removed: list[Removed]) -> Json:
    ref = handle_in(node) if ctx.hidden else None
    if ref is not None and ref in ctx.hidden:
        node = ctx.hidden[ref].value
    match node:
        case str():
            return _spoken_text(ctx, node, removed)
        case Mapping():
            return {key: _spoken(ctx, item, removed) for key, item in node.items()}
        case list() | tuple():
            return [_spoken(ctx, item, removed) for item in node]
        case _:
            return node


def _spoken_text(ctx: RunContext, text: str, removed: list[Removed]) -> str:
    rules = ctx.contract.context
    if rules.untrusted is Untrusted.QUOTE:
        text = text.replace(ctx.marker, " ")
    elif rules.untrusted is Untrusted.HIDE:
        text = with_values(text, ctx.hidden, _spelled)
    if not rules.is_cleaned:
        return text
    cleaned = clean_output(text, rules.link_hosts)
    removed.extend(cleaned.removed)
    return cleaned.text


def _spelled(value: Json) -> str:
    return value if isinstance(value, str) else encode(value).decode()
