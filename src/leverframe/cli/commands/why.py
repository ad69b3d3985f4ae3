"""`leverframe why ID`: the five questions on one screen, or as data.

Knows: how answers become at most 100 columns and about two dozen lines.  Never: finds an answer; `runtime.why` does.
"""

import asyncio
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap

from leverframe.cli.accounts import waited_text
from leverframe.cli.commands.policy import explain
from leverframe.cli.origins import endorsed_line, lines_of
from leverframe.cli.parser import CommandParser
from leverframe.cli.pasting import command
from leverframe.cli.project import folder
from leverframe.cli.screen import Part, Screen, Word
from leverframe.cli.why_data import document
from leverframe.config.project import load_project
from leverframe.domain.approvals import ApprovalState
from leverframe.domain.audiences import GIVE_OUTPUT
from leverframe.domain.errors import NotFound
from leverframe.domain.money import usd_text
from leverframe.domain.plans import DECLARE_PLAN
from leverframe.domain.runs import RunState, StepState
from leverframe.domain.time import duration_text
from leverframe.ports.store import RunFilter
from leverframe.runtime.origins import Argument
from leverframe.runtime.services import Services
from leverframe.runtime.showing import word
from leverframe.runtime.why import why
from leverframe.runtime.why_answers import (
    AnswerSeen,
    ApprovalSeen,
    CallSeen,
    DecisionSeen,
    FactSeen,
    PlanSeen,
    RemovedSeen,
    Why,
)
from leverframe.wiring.assembly import open_assembly

_WIDTH, _LABEL = 100, 13
_MAX_WORDS, _MAX_VALUE, _MAX_CALLS = 200, 44, 3
_MAX_LINES, _MAX_DATA_LINES = 24, 2
_PROOFS = {"os-user": "OS user of this machine, not a passkey"}
# The flags of `policy explain`, which a call in a file does without.
_NOT_GIVEN = dict.fromkeys(("workflow", "args", "facts", "subject", "input", "tenant", "environment"))
# What was declared and what was given stand in lines of their own.
_OURS = (DECLARE_PLAN, GIVE_OUTPUT)
_NEVER_DONE = (StepState.DENIED, StepState.HELD)


def add(parser: CommandParser) -> None:
    """Take what is asked about."""
    parser.description = (
        "Say what was called, on what data, which rule allowed it, who approved it and what it cost, each with its\n"
        "evidence.  ID is a run, a step of it (RUN/2.0), a call or an approval; or a JSON file with a call that was\n"
        "not made: then what the policy says about it, as `policy explain` does."
    )
    parser.add_argument(
        "id", nargs="?", metavar="ID", help="run_…, run_…/STEP, call_…, apr_… or FILE.json (the newest run)"
    )


def run(args: Namespace) -> int:
    """Explain it."""
    if args.id is not None and args.id.endswith(".json"):
        return explain(Namespace(**{**_NOT_GIVEN, **vars(args), "call": args.id}))
    screen = Screen.of(args)
    told = asyncio.run(_why(folder(args), args.id))
    if screen.is_json:
        screen.document(document(told))
    else:
        show(screen, told, args)
    return 0


async def _why(root: Path, wanted: str | None) -> Why:
    async with open_assembly(load_project(root), create=False) as assembly:
        return await why(assembly.services, wanted or await _newest(assembly.services))


async def _newest(services: Services) -> str:
    found = await services.journal.runs(RunFilter(limit=1))
    if not found:
        raise NotFound("No run is here to explain.", next_move="Start one: leverframe run WORKFLOW --input FILE")
    return found[0].run_id


def show(screen: Screen, told: Why, args: Namespace) -> None:
    """Print all answers: of a whole run on one screen, of one call as far as it goes."""
    rows = next(rows for most in range(_MAX_CALLS, 0, -1) if _fits(rows := _rows(told, args, most)) or most == 1)
    screen.line(*_header(told))
    for label, lines in rows:
        for number, parts in enumerate(lines):
            screen.line(f"{label if number == 0 else '':<{_LABEL}}", *parts)


_Lines = list[tuple[Part, ...]]


def _fits(rows: list[tuple[str, _Lines]]) -> bool:
    return 1 + sum(len(lines) for _, lines in rows) <= _MAX_LINES


def _rows(told: Why, args: Namespace, most: int) -> list[tuple[str, _Lines]]:
    calls, left = _worth_showing(told, most)
    more = [(f"{left} more: {command(args, 'why', f'{told.run.run_id}/STEP')}",)] if left else []
    return [
        ("asked for", _plain(_asked(told))),
        *([("plan", _plain(_plan(told.plan)))] if told.plan is not None else []),
        ("called", _plain(*_called(told))),
        ("data", [line for text in _data(told, calls) for line in _data_lines(told, text)]),
        *([("endorsed", _plain(*map(endorsed_line, told.endorsed)))] if told.endorsed else []),
        ("allowed by", list(_allowed(told, calls))),
        ("approved by", _plain(*_approved(told, args, most))),
        ("cost", _plain(_cost(told))),
        ("evidence", _plain(_evidence(told))),
        ("undo", [*_plain(_undo(told)), *more]),
    ]


def _data_lines(told: Why, text: str) -> _Lines:
    """What one call rests on: two lines of it on the screen of a run, all of it on its own."""
    lines = _plain(text)
    if told.focus is not None or len(lines) <= _MAX_DATA_LINES:
        return lines
    kept = lines[:_MAX_DATA_LINES]
    cut = str(kept[-1][0])[: _WIDTH - _LABEL - 2].rstrip(" ,;(")
    return [*kept[:-1], (f"{cut} …",)]


def _header(told: Why) -> tuple[Part, ...]:
    run = told.run
    place = run.tenant if run.environment == "default" else f"{run.tenant}/{run.environment}"
    state = run.outcome.value if run.outcome is not None else run.state.value
    tail = f"   by {run.stop_reason}" if run.stop_reason else ""
    tail += f" -> {run.handoff_queue}" if run.handoff_queue else ""
    focus = f"/{told.focus}" if told.focus is not None else ""
    return (f"{run.run_id}{focus}   {run.workflow}   {place}   ", Word(state), tail)


def _asked(told: Why) -> str:
    asked = told.asked
    subject = f"; subject {asked.subject}" if asked.subject else "; no subject"
    if asked.missing:
        return asked.missing + (subject if asked.subject else "")
    words = asked.words if len(asked.words) <= _MAX_WORDS else f"{asked.words[:_MAX_WORDS]}…"
    named = "the whole input, as the contract names no intent" if asked.field == "input" else asked.field
    return f'"{words}" {named}, label {asked.label or "unknown"}{subject}'


def _plan(plan: PlanSeen) -> str:
    """What was fixed before the run read anything, and what people let grow."""
    tools = [f"{tool} {made} of {most}" for tool, (made, most) in plan.tools.items()]
    beyond = [f"{tool} {made} beyond it" for tool, made in plan.outside.items()]
    seen = f"step {plan.step}, label {plan.planner or 'unknown'}"
    grown = f"; granted by {', '.join(plan.granted)}" if plan.granted else ""
    return f"{', '.join((*tools, *beyond)) or 'no tool'} ({seen}{grown})"


def _called(told: Why) -> Iterator[str]:
    if told.focus is not None and told.calls:
        call = told.calls[0]
        done = f"{call.state.value}{f' ({call.error})' if call.error else ''}"
        yield f"{call.tool} at step {call.path}: {call.sentence} -> {done}, {_count(call.attempts, 'attempt')}"
        return
    made = [call for call in told.calls if call.state not in _NEVER_DONE and call.tool not in _OURS]
    reads = [call.tool for call in made if not call.is_write]
    writes = [call.tool for call in made if call.is_write]
    failed = sum(call.state is StepState.ERROR for call in made)
    used = told.tool_calls
    rest = [
        f"{used.used} of {used.limit} calls" if used.limit is not None else _count(used.used, "call"),
        f"{failed} failed",
        *(f"{count} {state.value}" for state in (*_NEVER_DONE, StepState.UNKNOWN) if (count := _in(told, state))),
    ]
    yield f"{_tools(reads, 'read')}, {_tools(writes, 'write')}; {', '.join(rest)}"
    yield from _removed(told.removed)
    for model in told.models:
        answered = "from a recording: no model was asked" if model.is_recorded else f"{model.failed} failed"
        refused = f", {model.refused} refused" if model.refused else ""
        yield f"{model.model} {_count(model.calls, 'time')}, {answered}{refused}"


def _removed(removed: Sequence[RemovedSeen]) -> Iterator[str]:
    """What the agent, or whoever got the output, was not shown."""
    if not removed:
        return
    counts: Counter[str] = Counter()
    for one in removed:
        for each in one.counts:
            kind, _, number = each.partition("=")
            counts[kind] += int(number) if number.isdecimal() else 0
    places = ", ".join(dict.fromkeys(one.of for one in removed))
    hidden = "; something was hidden there" if any(one.is_suspicious for one in removed) else ""
    yield f"taken out of {places}: {', '.join(f'{number} {kind}' for kind, number in sorted(counts.items()))}{hidden}"


def _data(told: Why, calls: list[CallSeen]) -> Iterator[str]:
    if not calls:
        yield "nothing was written, held or denied" if told.calls else "no tool was called"
    for call, name in zip(calls, _names(calls), strict=True):
        lead = f"{name}: " if len(calls) > 1 else ""
        if call.missing:
            yield f"{lead}{call.missing}"
            continue
        facts = [_fact(fact) for fact in call.facts]
        if told.focus is not None:
            yield from [*lines_of(call.arguments), *facts] or ["no arguments"]
            continue
        parts = [*_grouped(call.arguments), *facts]
        yield f"{lead}{'; '.join(parts) or 'no arguments'}"


def _grouped(arguments: tuple[Argument, ...]) -> Iterator[str]:
    """Arguments by where their values come from."""
    groups: dict[str, list[str]] = {}
    for one in arguments:
        value = word(one.value)
        short = value if len(value) <= _MAX_VALUE else f"{value[:_MAX_VALUE]}…"
        groups.setdefault(_origin(one), []).append(f"{one.name} {short}")
    for origin, names in groups.items():
        yield f"{', '.join(names)} ({origin})"


def _origin(one: Argument) -> str:
    if not one.origin:
        return f"{one.integrity}, no source found"
    step, _, pointer = one.origin.partition("/")
    if one.origin_tool:
        return f"{one.integrity}, from {one.origin_tool}, step {step}"
    return f"{one.integrity}, from {step}{f' /{pointer}' if pointer else ''}"


def _fact(fact: FactSeen) -> str:
    by = f"{fact.read_by}, " if fact.read_by else ""
    if fact.unreadable:
        return f"fact {fact.name} unreadable ({by}{fact.unreadable})"
    value = f" = {word(fact.value)}" if not isinstance(fact.value, dict | list) else ""
    return f"fact {fact.name}{value[: _MAX_VALUE + 3]} ({by}{fact.integrity})"


def _allowed(told: Why, calls: list[CallSeen]) -> Iterator[tuple[Part, ...]]:
    names = _names(calls)
    width = max((len(name) for name in names), default=0) if len(calls) > 1 else 0
    for call, name in zip(calls, names, strict=True):
        for number, (rule, decisions) in enumerate(_by_rule(call.decisions)):
            words: list[Part] = []
            for one in decisions:
                words += [" then " if words else "", Word(one.decision)]
            entries = ", ".join(f"{one.index:,}" for one in decisions)
            lead = f"{name if number == 0 else '':<{width}}  " if width else ""
            spoken = sum(len(part) if isinstance(part, str) else len(part.text) for part in words)
            is_long = len(lead) + spoken + len(rule) + len(entries) + len("    entry ") > _WIDTH - _LABEL
            yield lead, *words, f"  entry {entries}" if is_long else f"  {rule}  entry {entries}"
            if is_long:
                yield from _plain(f"  {rule}")
            if told.focus is not None and decisions[-1].text:
                yield from _plain(f"  {decisions[-1].text}")
        if not call.decisions:
            yield (f"{name}: no decision is in the log",)
    models = list(_models_ruled(told))
    if not calls:
        rules = dict.fromkeys(f"{one.rule} {one.source}" for call in told.calls for one in call.decisions)
        yield from [] if models and not rules else _plain("; ".join(rules) or "nothing had to be decided")
    yield from models
    digests = dict.fromkeys(one.policy_digest for call in told.calls for one in call.decisions)
    yield (f"policy {', '.join(_short(digest) for digest in digests) or _short(told.run.policy_digest)}",)


def _models_ruled(told: Why) -> Iterator[tuple[Part, ...]]:
    """What was decided on model calls; beside tool calls only of those that were not plainly allowed."""
    for model in told.models:
        for one in model.ruled:
            if told.calls and one.decision == "allow" and not one.would:
                continue
            would = f"; {one.would} of them refused once it is enforced" if one.would else ""
            yield f"{model.model}  ", Word(one.decision), f"  {one.rule}  {_count(one.calls, 'time')}"
            yield from _plain(f"  {one.source}{would}")


def _names(calls: list[CallSeen]) -> list[str]:
    """The tool of each call, with its step where the tool was called more than once."""
    tools = [call.tool for call in calls]
    return [call.tool if tools.count(call.tool) == 1 else f"{call.tool} {call.path}" for call in calls]


def _by_rule(decisions: tuple[DecisionSeen, ...]) -> list[tuple[str, list[DecisionSeen]]]:
    """Decisions by the rule that made them: a held call is decided again when it is granted."""
    groups: dict[str, list[DecisionSeen]] = {}
    for one in decisions:
        groups.setdefault(f"{one.rule}  {one.source}", []).append(one)
    return list(groups.items())


def _approved(told: Why, args: Namespace, most: int) -> Iterator[str]:
    asked = [(call, call.approval) for call in told.calls if call.approval is not None]
    if not asked:
        yield "nobody had to: no rule held a call"
    for call, seen in asked[:most]:
        name = f"{call.tool}: " if len(asked) > 1 else ""
        bound = f"bytes {_short(seen.approval.action_digest)}, {_used(seen)}"
        people = "; ".join(_answer(one) for one in seen.answers) or _nobody(seen, args)
        yield f"{name}{people}; {bound}"


def _answer(one: AnswerSeen) -> str:
    looked = (
        f"looked {duration_text((one.at - one.viewed_at).total_seconds())}"
        if one.viewed_at is not None
        else "how long they looked was not recorded"
    )
    said = "" if one.word == "grant" else "DENIED by "
    because = f', "{one.reason[:_MAX_VALUE]}"' if one.reason else ""
    return f"{said}{one.principal} ({_PROOFS.get(one.proof, one.proof)}; {looked}{because})"


def _nobody(seen: ApprovalSeen, args: Namespace) -> str:
    approval = seen.approval
    if approval.state is not ApprovalState.PENDING:
        return f"nobody: {approval.state.value}"
    who = " or ".join(approval.requirement.from_groups) or "the role approver"
    move = command(args, "approvals", "grant", approval.approval_id)
    return f"nobody yet; waits for {who} until {approval.decide_by:%Y-%m-%d %H:%M} UTC: {move}"


def _used(seen: ApprovalSeen) -> str:
    return {0: "not used", 1: "used once"}.get(seen.uses, f"used {seen.uses} times")


def _cost(told: Why) -> str:
    tokens_in, tokens_out = (
        sum(model.input_tokens for model in told.models),
        sum(model.output_tokens for model in told.models),
    )
    tokens = f", {tokens_in:,} tokens in and {tokens_out:,} out" if told.models else ", no model was asked"
    waited = f", {waited_text(told.waited_s, has_asked=told.has_asked)}" if told.waited_s >= 1 else ""
    ended = "" if told.run.state is RunState.ENDED else " so far"
    return f"{usd_text(told.cost)}{tokens}; {duration_text(told.active_s)}{waited}{ended}"


def _evidence(told: Why) -> str:
    found, count = told.inclusion, told.last_index - told.first_index + 1
    if told.first_index < 0:
        return "no entry of this run is in the log"
    span = f"entries {told.first_index:,} to {told.last_index:,}"
    span = (
        span
        if found.checked in (0, count)
        else f"{found.checked:,} entries from {told.first_index:,} to {told.last_index:,}"
    )
    if found.problem:
        return f"{span}, NOT verified: {found.problem}"
    return f"{span}, verified now against the {found.size:,} that {found.origin} signed"


def _undo(told: Why) -> str:
    writes = dict.fromkeys(call.tool for call in told.calls if call.is_write and call.state is StepState.OK)
    unknown = [call.tool for call in told.calls if call.state is StepState.UNKNOWN]
    if unknown:
        return f"nobody can tell whether {', '.join(unknown)} happened: a person looks, then settles it"
    return f"none declared for {', '.join(writes)}" if writes else "nothing to undo: no write was done"


def _worth_showing(told: Why, most: int) -> tuple[list[CallSeen], int]:
    """The calls that an auditor looks at first, in the order in which they were made; and how many are left out."""
    if told.focus is not None:
        return list(told.calls), 0
    wanted = [call for call in told.calls if call.is_write or call.state in {*_NEVER_DONE, StepState.UNKNOWN}]
    first = sorted(wanted, key=lambda call: (call.state is StepState.OK, call.approval is None))[:most]
    return [call for call in wanted if call in first], len(wanted) - len(first)


def _tools(names: Sequence[str], kind: str) -> str:
    counted = [name if names.count(name) == 1 else f"{names.count(name)} {name}" for name in dict.fromkeys(names)]
    return f"{_count(len(names), kind)} ({', '.join(counted)})" if names else f"0 {kind}s"


def _in(told: Why, state: StepState) -> int:
    return sum(call.state is state for call in told.calls)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _short(digest: str) -> str:
    return f"{digest[:4]}…{digest[-4:]}"


def _plain(*texts: str) -> list[tuple[Part, ...]]:
    """Texts as lines of at most 100 columns."""
    return [(line,) for text in texts for line in wrap(text, _WIDTH - _LABEL, break_on_hyphens=False)]
