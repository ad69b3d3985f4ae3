"""`leverframe runs`: what has run, how each stands, and a person's hand where one is needed."""

import asyncio
from argparse import Namespace
from datetime import datetime

from leverframe.cli.accounts import cut, run_document, run_row, seconds, tell_run, usd, word_of
from leverframe.cli.parser import CommandParser
from leverframe.cli.pasting import command
from leverframe.cli.project import load
from leverframe.cli.screen import Part, Screen, Word
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.contracts import Project
from leverframe.domain.errors import Contended, UsageError
from leverframe.domain.ids import RunId, StepPath, WorkflowName
from leverframe.domain.json import Json
from leverframe.domain.money import usd_text
from leverframe.domain.runs import Run, RunState, Step
from leverframe.domain.time import duration_text, rfc3339
from leverframe.ports.store import RunFilter
from leverframe.runtime.loops.ending import Busy
from leverframe.runtime.resolving import PersonsWord, end_by_hand, resolve
from leverframe.runtime.run_limits import UNLIMITED
from leverframe.runtime.standing import Standing, standing
from leverframe.wiring.assembly import Assembly, open_assembly
from leverframe.wiring.people import PROOF, identify

_LIMIT, _MOST = 20, 1_000_000
_US = 1_000_000


def add(parser: CommandParser) -> None:
    """Take the verbs."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="runs, newest first", description="List runs, newest first.")
    listing.add_argument("--workflow", metavar="NAME", help="of this workflow alone")
    listing.add_argument("--state", choices=[state.value for state in RunState], help="in this state alone")
    listing.add_argument("--limit", type=int, default=_LIMIT, metavar="N", help="at most so many (%(default)s)")
    listing.set_defaults(act=_list)
    one = verbs.add_parser(
        "show",
        help="one run, step by step",
        description="Show one run: its steps with decision, rule, state and cost, and its budget.",
    )
    one.set_defaults(act=_show)
    going_on = verbs.add_parser(
        "resume",
        help="take up a run that waits or was left behind",
        description="Take up a run that waits, or that a process left behind; what was done is not done again.",
    )
    going_on.set_defaults(act=_resume)
    settle = verbs.add_parser(
        "resolve",
        help="say whether a lost call happened",
        description="Say, as a person who looked, whether an unknown call happened; then the run goes on.",
    )
    settle.set_defaults(act=_resolve)
    end = verbs.add_parser(
        "end", help="end a run by hand", description="End a run that nobody wants to go on; its held calls never run."
    )
    end.set_defaults(act=_end)
    for verb in (one, going_on, settle, end):
        verb.add_argument("run_id", metavar="RUN", help="its id, run_…")
    settle.add_argument("step", metavar="STEP", help="the step's path, such as 2.0")
    settle.add_argument("said", choices=("happened", "did-not"), help="what the receiver shows")
    for verb in (settle, end):
        verb.add_argument("--because", required=True, metavar="TEXT", help="what you saw, for the record")


def run(args: Namespace) -> int:
    """Do what the verb says."""
    return asyncio.run(_opened(args, load(args)))


async def _opened(args: Namespace, project: Project) -> int:
    async with open_assembly(project, create=False) as assembly:
        code: int = await args.act(args, assembly)
        return code


async def _list(args: Namespace, assembly: Assembly) -> int:
    screen = Screen.of(args)
    wanted = RunFilter(
        workflow=WorkflowName(args.workflow) if args.workflow else None,
        state=RunState(args.state) if args.state else None,
        limit=min(max(1, args.limit), _MOST),
    )
    found = await assembly.services.journal.runs(wanted)
    if screen.is_json:
        screen.document({"runs": [run_row(one) for one in found]})
        return 0
    if not found:
        screen.line("No run is here.")
        screen.line(f"Next: {command(args, 'run')} WORKFLOW --input FILE")
        return 0
    now = assembly.services.mint.now()
    rows: list[tuple[Part, ...]] = [
        (
            one.run_id,
            one.workflow,
            Word(word_of(one)),
            _ago(one, now),
            _took(one),
            f"{one.stop_reason} {one.item}".strip(),
        )
        for one in found
    ]
    screen.table(("RUN", "WORKFLOW", "STANDS", "OPENED", "TOOK", "WHY, ITEM"), rows)
    return 0


async def _show(args: Namespace, assembly: Assembly) -> int:
    screen, services = Screen.of(args), assembly.services
    told = await standing(services, RunId(args.run_id))
    if screen.is_json:
        steps: list[Json] = [_step_document(step) for step in told.steps]
        budget: list[Json] = [_window_document(one) for one in _limits(told)]
        screen.document({**run_document(args, told), "input": told.input, "steps": steps, "budget": budget})
        return 0
    tell_run(screen, args, told, now=services.mint.now())
    screen.line()
    if told.steps:
        rows = [_step_row(step) for step in sorted(told.steps, key=lambda step: step.started_at)]
        screen.table(("STEP", "KIND", "NAME", "DECISION", "STATE", "COST", "TOOK", "RULE"), rows)
        screen.line()
    screen.pairs(((window.key, f"{_used(window)}  {window.source}") for window in _limits(told)), indent=2)
    return 0


async def _resume(args: Namespace, assembly: Assembly) -> int:
    run_id = RunId(args.run_id)
    if isinstance(await assembly.runner.resume(run_id), Busy):
        raise Contended(f"Another process advances {run_id!r} just now.", next_move="Wait for it.")
    return await _tell(args, assembly, run_id)


async def _resolve(args: Namespace, assembly: Assembly) -> int:
    run_id = RunId(args.run_id)
    word = _word(args, assembly)
    await resolve(assembly.runner, run_id, StepPath(args.step), word, happened=args.said == "happened")
    await assembly.runner.resume(run_id)
    return await _tell(args, assembly, run_id, note=f"{word.person.id} said that step {args.step} {_SAID[args.said]}")


async def _end(args: Namespace, assembly: Assembly) -> int:
    ended = await end_by_hand(assembly.runner, RunId(args.run_id), _word(args, assembly))
    await _tell(args, assembly, ended.run_id)
    return 0


_SAID = {"happened": "happened", "did-not": "did not happen"}


def _word(args: Namespace, assembly: Assembly) -> PersonsWord:
    if not args.because.strip():
        raise UsageError("--because is empty; the record says why.", next_move="Say what you saw.")
    return PersonsWord(person=identify(assembly.project), because=args.because, proof=PROOF)


async def _tell(args: Namespace, assembly: Assembly, run_id: RunId, *, note: str = "") -> int:
    told = await standing(assembly.services, run_id)
    return tell_run(Screen.of(args), args, told, now=assembly.services.mint.now(), note=note)


def _step_row(step: Step) -> tuple[Part, ...]:
    rule = f"{step.rule}  {step.rule_source}".strip()
    took = duration_text((step.finished_at - step.started_at).total_seconds()) if step.finished_at else "-"
    state: Part = f"{step.state.value} {step.error}".strip()
    decision: Part = Word(step.decision) if step.decision else "-"
    return step.path, step.kind.value, cut(step.name), decision, state, usd_text(step.cost), took, rule


def _step_document(step: Step) -> Json:
    return {
        "step": step.path,
        "kind": step.kind.value,
        "name": step.name,
        "state": step.state.value,
        "decision": step.decision,
        "rule": step.rule,
        "rule_source": step.rule_source,
        "error": step.error,
        "attempts": step.attempts,
        "approval_id": step.approval_id,
        "action_digest": step.action_digest,
        "cost_usd": usd(step.cost),
        "input_tokens": step.input_tokens,
        "output_tokens": step.output_tokens,
        "started_at": rfc3339(step.started_at),
        "finished_at": rfc3339(step.finished_at) if step.finished_at else None,
    }


def _limits(told: Standing) -> list[Window]:
    """The windows that the contract limits."""
    return [window for window in told.windows if window.limit < UNLIMITED and window.key]


def _used(window: Window) -> str:
    match window.unit:
        case BudgetUnit.USD:
            return f"{usd_text(window.settled)} of {usd_text(window.limit)}"
        case BudgetUnit.WALL_US:
            return f"{duration_text(window.settled / _US)} of {duration_text(window.limit / _US)}"
        case _:
            return f"{window.settled:,} of {window.limit:,}"


def _window_document(window: Window) -> Json:
    match window.unit:
        case BudgetUnit.USD:
            used, limit = usd(window.settled), usd(window.limit)
        case BudgetUnit.WALL_US:
            used, limit = seconds(window.settled), seconds(window.limit)
        case _:
            return {"key": window.key, "used": window.settled, "limit": window.limit, "source": str(window.source)}
    return {"key": window.key, "used": used, "limit": limit, "source": str(window.source)}


def _ago(one: Run, now: datetime) -> str:
    return f"{duration_text(max(0.0, (now - one.opened_at).total_seconds()))} ago"


def _took(one: Run) -> str:
    return duration_text(one.active_us / _US) if one.ended_at is not None else "-"
