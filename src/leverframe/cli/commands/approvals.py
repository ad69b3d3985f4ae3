"""`leverframe approvals`: what waits for a person, and that person's answer."""

import asyncio
from argparse import Namespace
from contextlib import suppress
from datetime import datetime

from leverframe.cli.accounts import cut, rule_places, tell_run, who_may
from leverframe.cli.parser import CommandParser
from leverframe.cli.pasting import command
from leverframe.cli.project import load
from leverframe.cli.screen import Part, Screen, Word
from leverframe.core.approvals import state_at
from leverframe.domain.approvals import AnswerWord, Approval, ApprovalState
from leverframe.domain.contracts import Project
from leverframe.domain.errors import ApprovalAlreadyDecided, ApprovalRefused, KeyUnsafe
from leverframe.domain.ids import ApprovalId
from leverframe.domain.json import Json
from leverframe.domain.runs import RunState, StepState
from leverframe.domain.time import duration_text, rfc3339
from leverframe.runtime.answers import Shown, answer, record_viewed, show
from leverframe.runtime.loops.ending import Busy
from leverframe.runtime.showing import word
from leverframe.runtime.standing import Standing, standing
from leverframe.wiring.assembly import Assembly, open_assembly
from leverframe.wiring.people import PROOF, identify

_LIMIT, _MOST = 50, 1_000_000
_UNDONE = {
    StepState.DENIED: "the granted call was denied; it was not done",
    StepState.ERROR: "the granted call failed; it was not done",
    StepState.UNKNOWN: "nobody can tell whether the granted call was done",
}


def add(parser: CommandParser) -> None:
    """Take the verbs."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser(
        "list",
        help="held calls, those that wait first",
        description="List held calls: those that wait for an answer first, then the newest.",
    )
    listing.add_argument("--limit", type=int, default=_LIMIT, metavar="N", help="at most so many (%(default)s)")
    listing.add_argument("--ids", action="store_true", help="print the ids of those that wait, one a line, and no more")
    listing.set_defaults(act=_list)
    one = verbs.add_parser(
        "show",
        help="one held call, from its frozen bytes",
        description="Show one held call: effect and arguments from the frozen bytes, rule, clocks and who may answer.",
    )
    one.set_defaults(act=_show)
    grant = verbs.add_parser(
        "grant",
        help="let exactly these bytes run, once",
        description="Grant one held call: exactly the bytes that `show` shows run, once; then the run goes on.",
    )
    grant.set_defaults(act=_grant)
    deny = verbs.add_parser(
        "deny",
        help="refuse it; it never runs",
        description="Deny one held call: it never runs, nor does the same act in other words; then the run goes on.",
    )
    deny.set_defaults(act=_deny)
    for verb in (one, grant, deny):
        verb.add_argument("approval", metavar="APPROVAL", help="its id, apr_…")
    for verb in (grant, deny):
        verb.add_argument("--reason", default="", metavar="TEXT", help="why, for the record")


def run(args: Namespace) -> int:
    """Do what the verb says."""
    project = load(args)
    return asyncio.run(_opened(args, project))


async def _opened(args: Namespace, project: Project) -> int:
    async with open_assembly(project, create=False, prunes=args.act in (_grant, _deny)) as assembly:
        code: int = await args.act(args, assembly)
        return code


async def _list(args: Namespace, assembly: Assembly) -> int:
    screen, services = Screen.of(args), assembly.services
    now = services.mint.now()
    limit = min(max(1, args.limit), _MOST)
    newest = await services.approvals.approvals(None, limit)
    waiting = await services.approvals.approvals(ApprovalState.PENDING, limit)
    found = {one.approval_id: one for one in (*waiting, *newest)}
    order = sorted(found.values(), key=lambda one: state_at(one, now) is not ApprovalState.PENDING)
    if args.ids and not screen.is_json:
        screen.lines(one.approval_id for one in order if state_at(one, now) is ApprovalState.PENDING)
        return 0
    shown = [await show(services, one.approval_id) for one in order[:limit]]
    if screen.is_json:
        screen.document({"approvals": [_document(one) for one in shown]})
        return 0
    if not shown:
        screen.line("No call has been held here.  A contract holds calls with `approval.required_for`.")
        return 0
    rows = [
        (one.approval.approval_id, _state(one), _age(one.approval, now), _clock(one, now), cut(one.sentence))
        for one in shown
    ]
    screen.table(("APPROVAL", "STATE", "AGE", "CLOCK", "WANTS"), rows)
    pending = [one for one in shown if one.state is ApprovalState.PENDING]
    if pending:
        screen.line(f"Next: {command(args, 'approvals', 'show', pending[0].approval.approval_id)}")
    return 0


async def _show(args: Namespace, assembly: Assembly) -> int:
    screen = Screen.of(args)
    shown = await show(assembly.services, ApprovalId(args.approval))
    # Whoever may answer leaves in the log when they first looked; anyone else looks unrecorded.
    with suppress(ApprovalRefused, KeyUnsafe):
        await record_viewed(assembly.services, shown.approval.approval_id, identify(assembly.project))
    if screen.is_json:
        screen.document(_document(shown))
        return 0
    _tell(screen, shown, assembly.services.mint.now())
    if shown.state is ApprovalState.PENDING:
        screen.line(f"Next: {command(args, 'approvals', 'grant', args.approval)}")
        screen.line(f" or: {command(args, 'approvals', 'deny', args.approval)}")
    return 0


async def _grant(args: Namespace, assembly: Assembly) -> int:
    return await _answer(args, assembly, AnswerWord.GRANT)


async def _deny(args: Namespace, assembly: Assembly) -> int:
    return await _answer(args, assembly, AnswerWord.DENY)


async def _answer(args: Namespace, assembly: Assembly, said: AnswerWord) -> int:
    screen, services = Screen.of(args), assembly.services
    shown = await show(services, ApprovalId(args.approval))
    _refuse_answered(shown)
    if not screen.is_json:
        # What is answered stands above the answer, from the frozen bytes, whoever prepared the command.
        screen.line(f"{shown.sentence}   ", _arguments_part(shown))
    person = identify(assembly.project)
    approval = await answer(services, shown.approval.approval_id, person, said, reason=args.reason, proof=PROOF)
    if not screen.is_json:
        told_word = Word("granted" if said is AnswerWord.GRANT else "denied")
        screen.line(told_word, f" by {person.id}, bytes {_short(approval.action_digest)}{_missing(approval)}")
    if approval.state is ApprovalState.PENDING:
        if screen.is_json:
            screen.document(_document(await show(services, approval.approval_id)))
        return 0
    advanced = await assembly.runner.resume(approval.run_id)
    told = await standing(services, approval.run_id)
    undone = _undone(told, approval) if said is AnswerWord.GRANT else ""
    note = "another process advances the run, and finds the answer there" if isinstance(advanced, Busy) else undone
    code = tell_run(screen, args, told, now=services.mint.now(), note=note)
    return code or int(bool(undone))


def _undone(told: Standing, approval: Approval) -> str:
    """What became of a granted call that was not done, whatever became of its run; empty where it was, or still may."""
    step = next((one for one in told.steps if one.path == approval.path), None)
    if step is not None and step.state is StepState.HELD and told.run.state is RunState.ENDED:
        return "the run ended before the granted call was done"
    return "" if step is None else _UNDONE.get(step.state, "")


def _refuse_answered(shown: Shown) -> None:
    """A second answer is refused before anyone is asked who they are; the runtime records an expired one."""
    approval, state = shown.approval, shown.state
    if state in {ApprovalState.PENDING, ApprovalState.EXPIRED}:
        return
    move = f"See it: leverframe approvals show {approval.approval_id}"
    if state is ApprovalState.GRANTED:
        move = f"The run goes on with: leverframe runs resume {approval.run_id}"
    raise ApprovalAlreadyDecided(
        f"Approval {approval.approval_id!r} is {state.value} already; the first answer stands.", next_move=move
    )


def _tell(screen: Screen, shown: Shown, now: datetime) -> None:
    approval = shown.approval
    screen.line(f"{approval.approval_id}  ", _state(shown), f"  {shown.sentence}")
    pairs: list[tuple[str, str | tuple[Part, ...]]] = [("tool", approval.tool)]
    pairs += [(f"  {name}", cut(word(value))) for name, value in _arguments(shown).items()]
    pairs += [("rule", place) for place in rule_places(shown)]
    pairs += [
        ("run", f"{approval.run_id}  step {approval.path}  of {shown.run.workflow}, launched by {approval.launcher}"),
        ("who", who_may(approval.requirement)),
        ("clock", _clock(shown, now)),
        ("bytes", f"{_short(approval.action_digest)}  sha256 {approval.action_digest}"),
    ]
    for given in approval.answers:
        answered = "granted" if given.word is AnswerWord.GRANT else "denied"
        pairs.append(
            (answered, f"by {given.principal} at {given.at:%Y-%m-%d %H:%M:%S} UTC ({given.proof}) {cut(given.reason)}")
        )
    screen.pairs(pairs, indent=2)


def _arguments(shown: Shown) -> dict[str, Json]:
    args = shown.envelope.get("args") if isinstance(shown.envelope, dict) else None
    return dict(args) if isinstance(args, dict) else {}


def _arguments_part(shown: Shown) -> Part:
    named = ", ".join(f"{name}={cut(word(value))}" for name, value in _arguments(shown).items())
    return f"{shown.approval.tool}({named})"


def _state(shown: Shown) -> Word:
    return Word("held" if shown.state is ApprovalState.PENDING else shown.state.value)


def _age(approval: Approval, now: datetime) -> str:
    return duration_text(max(0.0, (now - approval.asked_at).total_seconds()))


def _clock(shown: Shown, now: datetime) -> str:
    """Until when it can be answered, or used."""
    approval = shown.approval
    match shown.state:
        case ApprovalState.PENDING:
            return f"answer within {duration_text(max(0.0, (approval.decide_by - now).total_seconds()))}"
        case ApprovalState.GRANTED if approval.execute_by is not None:
            return f"runs within {duration_text(max(0.0, (approval.execute_by - now).total_seconds()))}"
        case _:
            return "-"


def _missing(approval: Approval) -> str:
    """How many more people must grant."""
    granted = {one.principal for one in approval.answers if one.word is AnswerWord.GRANT}
    missing = approval.requirement.quorum - len(granted)
    return f"; {missing} more must grant" if approval.state is ApprovalState.PENDING and missing > 0 else ""


def _short(digest: str) -> str:
    return f"{digest[:4]}…{digest[-4:]}"


def _document(shown: Shown) -> Json:
    approval = shown.approval
    return {
        "approval_id": approval.approval_id,
        "state": shown.state.value,
        "sentence": shown.sentence,
        "tool": approval.tool,
        "args": _arguments(shown),
        "rules": list(rule_places(shown)),
        "run_id": approval.run_id,
        "step": approval.path,
        "workflow": shown.run.workflow,
        "action_digest": approval.action_digest,
        "quorum": approval.requirement.quorum,
        "from": list(approval.requirement.from_groups),
        "distinct_from": sorted(approval.requirement.distinct_from),
        "initiator": approval.initiator,
        "launcher": approval.launcher,
        "asked_at": rfc3339(approval.asked_at),
        "decide_by": rfc3339(approval.decide_by),
        "execute_by": rfc3339(approval.execute_by) if approval.execute_by is not None else None,
        "answers": [
            {
                "principal": one.principal,
                "word": one.word.value,
                "at": rfc3339(one.at),
                "reason": one.reason,
                "proof": one.proof,
            }
            for one in approval.answers
        ],
    }
