"""How a run is told: in two to six lines with the command to type next, or as a document.

Knows: the words and their order.  Never: reads anything; all of it stands in a `Standing`.
"""

from argparse import Namespace
from datetime import datetime
from decimal import Decimal

from leverframe.cli.pasting import command
from leverframe.cli.screen import Part, Screen, Word
from leverframe.domain.json import Json
from leverframe.domain.money import MICRO, usd_text
from leverframe.domain.policy import ApprovalRequirement
from leverframe.domain.runs import Run, RunOutcome, RunState, Step
from leverframe.domain.time import duration_text, rfc3339
from leverframe.runtime.answers import Shown
from leverframe.runtime.showing import word
from leverframe.runtime.standing import Standing

_MAX_TEXT = 240
_MAX_DENIED = 3
_US = 1_000_000
_ENDED_WELL = frozenset({RunOutcome.SUCCESS, RunOutcome.HANDOFF})


def tell_run(screen: Screen, args: Namespace, told: Standing, *, now: datetime, note: str = "") -> int:
    """Print how a run stands.  Returns the exit code: 0 where it ended well or waits for an answer."""
    if screen.is_json:
        screen.document(run_document(args, told))
        return exit_code(told)
    screen.line(f"{told.run.run_id}  {told.run.workflow}  ", Word(state_word(told)), _totals(told))
    pairs: list[tuple[str, str | tuple[Part, ...]]] = [("note", note)]
    for held in told.held:
        pairs += [("wants", held.sentence), ("rule", "; ".join(rule_places(held)))]
        pairs.append(("who", f"{who_may(held.approval.requirement)}; {_until(held.approval.decide_by, now)}"))
    pairs += _ending(told)
    if told.recorded_by is not None:
        pairs.append(("model", f"a recording; for a real one change {told.recorded_by}"))
    screen.pairs(pairs, indent=2)
    for number, text in enumerate(next_commands(args, told)):
        screen.line(f"{'Next:' if number == 0 else ' or:'} {text}")
    return exit_code(told)


def exit_code(told: Standing) -> int:
    """0 where the run ended well, is held or is on its way; 1 where it failed, was stopped, or nobody can tell."""
    if told.run.outcome is not None:
        return 0 if told.run.outcome in _ENDED_WELL else 1
    return 1 if told.unknown and not told.held else 0


def state_word(told: Standing) -> str:
    """One word for how it stands: its outcome, `held`, `unknown` or `open`."""
    return word_of(told.run) if told.run.state is RunState.ENDED or not told.unknown else "unknown"


def word_of(run: Run) -> str:
    """The same from the run's row alone."""
    if run.outcome is not None:
        return run.outcome.value
    if run.state is RunState.PARKED:
        return "held" if run.stop_reason == "held" else "unknown"
    return "open"


def next_commands(args: Namespace, told: Standing) -> tuple[str, ...]:
    """What to type next, most useful first."""
    run_id = told.run.run_id
    if told.held:
        approval_id = told.held[0].approval.approval_id
        return command(args, "approvals", "grant", approval_id), command(args, "approvals", "deny", approval_id)
    if told.run.state is not RunState.ENDED and told.unknown:
        path, because = told.unknown[0].path, ("--because", "what you saw at the receiver")
        return tuple(command(args, "runs", "resolve", run_id, path, said, *because) for said in ("happened", "did-not"))
    if told.run.state is not RunState.ENDED and not told.is_outside:
        return (command(args, "runs", "resume", run_id),)
    return (command(args, "why", run_id),)


def rule_places(held: Shown) -> tuple[str, ...]:
    """Each rule that holds a call with its file and line."""
    reasons = held.reasons if isinstance(held.reasons, list | tuple) else ()
    places = [f"{one.get('rule')}  {one.get('source')}" for one in reasons if isinstance(one, dict)]
    return tuple(dict.fromkeys(places)) or tuple(held.approval.rules)


def who_may(requirement: ApprovalRequirement) -> str:
    """Who may answer, in words."""
    groups = " or ".join(f"group:{name}" for name in requirement.from_groups)
    people = "one person" if requirement.quorum == 1 else f"{requirement.quorum} different people"
    who = f"of {groups}" if groups else "with the role approver"
    return f"{people} {who}, never the {' or the '.join(sorted(requirement.distinct_from | {'initiator'}))}"


def run_document(args: Namespace, told: Standing) -> dict[str, Json]:
    """The same as JSON."""
    run = told.run
    document: dict[str, Json] = {
        **run_row(run),
        "output": told.output,
        "tool_calls": told.tool_calls,
        "model_calls": told.model_calls,
        "cost_usd": usd(told.cost),
        "held": [_held_document(held) for held in told.held],
        "denied": [_step_reasons(told, step) for step in told.denied],
        "unknown": [{"step": step.path, "tool": step.name} for step in told.unknown],
        "next": list(next_commands(args, told)),
    }
    if told.recorded_by is not None:
        document["model_recorded_by"] = str(told.recorded_by)
    return document


def run_row(run: Run) -> dict[str, Json]:
    """A run's row as JSON."""
    return {
        "run_id": run.run_id,
        "workflow": run.workflow,
        "tenant": run.tenant,
        "environment": run.environment,
        "state": run.state.value,
        "outcome": run.outcome.value if run.outcome is not None else None,
        "stop_reason": run.stop_reason,
        "handoff_queue": run.handoff_queue,
        "initiator": run.initiator,
        "launcher": run.launcher,
        "opened_at": rfc3339(run.opened_at),
        "ended_at": rfc3339(run.ended_at) if run.ended_at is not None else None,
        "active_s": seconds(run.active_us),
        "waited_s": seconds(run.waited_us),
        "item": run.item,
    }


def usd(amount_microusd: int) -> Decimal:
    """Micro-dollars as exact dollars."""
    return Decimal(amount_microusd) / MICRO


def seconds(span_us: int) -> Decimal:
    """Microseconds as exact seconds."""
    return Decimal(span_us) / _US


def cut(text: str) -> str:
    """A text that fits on a few lines."""
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"


def _totals(told: Standing) -> str:
    counts = [_counted(told.tool_calls, "tool call"), _counted(told.model_calls, "model call"), usd_text(told.cost)]
    if told.run.state is RunState.ENDED:
        counts.append(duration_text(told.run.active_us / _US))
    if told.run.waited_us >= _US:
        counts.append(waited_text(told.run.waited_us / _US, has_asked=any(step.approval_id for step in told.steps)))
    return "  " + ", ".join(counts)


def waited_text(seconds: float, *, has_asked: bool) -> str:
    """The time in which nothing of a run ran.  Where nobody was asked, no person is who it waited for."""
    return f"and {duration_text(seconds)} {'waiting for a person' if has_asked else 'between its calls'}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _ending(told: Standing) -> list[tuple[str, str | tuple[Part, ...]]]:
    """How it ended, which calls never ran, and what nobody knows."""
    run, output = told.run, told.output
    pairs: list[tuple[str, str | tuple[Part, ...]]] = []
    if run.outcome in {RunOutcome.STOPPED, RunOutcome.HANDOFF, RunOutcome.FAILED}:
        pairs.append(("why", cut(_why(told))))
    elif run.outcome is not None:
        pairs.append(("output", cut(word(output)) if output is not None else "not kept any more"))
    if run.handoff_queue:
        pairs.append(("given to", f"queue:{run.handoff_queue}"))
    for step in told.denied[:_MAX_DENIED]:
        rule, source, text = next(iter(told.reasons(step)), (step.rule, step.rule_source, ""))
        pairs.append(("denied", cut(f"{step.name}: {rule}  {source}  {text}")))
    if len(told.denied) > _MAX_DENIED:
        pairs.append(("", f"and {len(told.denied) - _MAX_DENIED} more"))
    if run.state is not RunState.ENDED and not told.held:
        pairs += [
            ("unknown", f"nobody can tell whether {step.name} happened (step {step.path})") for step in told.unknown
        ]
    return pairs


def _why(told: Standing) -> str:
    """Why a run was stopped: the limit or problem, where it is written, and what was said."""
    output = told.output
    message = str(output.get("message", "")) if isinstance(output, dict) else ""
    place = f"  {told.limit.source}" if told.limit is not None else ""
    return f"{told.run.stop_reason}{place}  {message}".strip()


def _until(decide_by: datetime, now: datetime) -> str:
    left_s = (decide_by - now).total_seconds()
    return f"until {decide_by:%Y-%m-%d %H:%M} UTC (in {duration_text(max(0.0, left_s))})"


def _held_document(held: Shown) -> Json:
    return {
        "approval_id": held.approval.approval_id,
        "tool": held.approval.tool,
        "sentence": held.sentence,
        "rules": list(rule_places(held)),
        "decide_by": rfc3339(held.approval.decide_by),
        "action_digest": held.approval.action_digest,
    }


def _step_reasons(told: Standing, step: Step) -> Json:
    return {
        "step": step.path,
        "tool": step.name,
        "reasons": [{"rule": rule, "source": source, "text": text} for rule, source, text in told.reasons(step)],
    }
