"""`leverframe policy`: what the rules of a workflow say, before any call is made, here and in Cedar."""

import asyncio
from argparse import Namespace
from collections.abc import Mapping
from datetime import timedelta

from leverframe.cli.cedar import add_cedar
from leverframe.cli.durations import span_of
from leverframe.cli.origins import document as argument
from leverframe.cli.origins import lines_of
from leverframe.cli.parser import CommandParser
from leverframe.cli.project import contract_of, json_object, load, tenant_of
from leverframe.cli.screen import Screen, Word
from leverframe.config.findings import did_you_mean
from leverframe.core.explain import TraceLine, render
from leverframe.domain.errors import RefusedError, UsageError
from leverframe.domain.ids import EnvironmentName, ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.plans import DECLARE_PLAN
from leverframe.domain.policy import Hold
from leverframe.runtime.drafting import Draft, draft_from_runs
from leverframe.runtime.explaining import Explained, SupposedCall, explain_call
from leverframe.runtime.showing import effect_sentence
from leverframe.wiring.assembly import open_assembly

_CALL_KEYS = ("workflow", "tool", "args", "run", "facts")
_RUN_KEYS = ("subject", "input", "tenant", "environment")


def add(parser: CommandParser) -> None:
    """Take the verbs."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    one = verbs.add_parser(
        "explain",
        help="allow, hold or deny, rule by rule",
        description=(
            "Explain what the policy says about a call: every rule of its tool, and the decision.  Nothing is read or\n"
            "called: facts that are not given are unknown, no earlier call is supposed, and the budgets are full.\n"
            'CALL is a tool, or JSON or a JSON file: {"workflow": …, "tool": …, "args": {…}, "run": {"subject": …},\n'
            '"facts": {…}}.'
        ),
    )
    one.add_argument("call", metavar="CALL", help="a tool's name, JSON text, a JSON file, or - for standard input")
    one.add_argument("--workflow", metavar="NAME", help="whose policy (needed where the project has several)")
    one.add_argument("--args", metavar="JSON", help="the call's arguments, as JSON text or a file")
    one.add_argument("--facts", metavar="JSON", help="what the door would have read, by the fact's name")
    one.add_argument("--subject", metavar="TEXT", help="whose data the run is about (run.subject)")
    one.add_argument("--input", metavar="JSON", help="the run's input, which arguments are traced to")
    one.add_argument("--tenant", metavar="NAME", help="run.tenant")
    one.add_argument("--environment", metavar="NAME", help="run.environment (the contract's first)")
    one.set_defaults(act=explain)
    draft = verbs.add_parser(
        "draft",
        help="write the narrowest contract that what was seen would pass",
        description=(
            "Draft a contract from the runs of a workflow: what its largest run took, which tools ran,\n"
            "what its calls asked of a vendor.  It goes to the screen; read it before you keep it."
        ),
    )
    draft.add_argument("--from-runs", metavar="SPAN", required=True, help="how far back: 24h, 7d")
    draft.add_argument("--workflow", metavar="NAME", help="whose runs (needed where the project has several)")
    draft.set_defaults(act=draft_contract)
    add_cedar(verbs)


def run(args: Namespace) -> int:
    """Do what the verb says."""
    code: int = args.act(args)
    return code


def draft_contract(args: Namespace) -> int:
    """Print the draft."""
    project = load(args)
    names = tuple(project.contracts)
    workflow = args.workflow or (names[0] if len(names) == 1 else "")
    if not workflow:
        raise UsageError(f"This project has several workflows: {', '.join(names)}.", next_move="Name one: --workflow")
    contract, span_s = contract_of(project, workflow), span_of(args.from_runs, "--from-runs")

    async def drafted() -> Draft:
        async with open_assembly(project, create=False) as assembly:
            services = assembly.services
            return await draft_from_runs(services, contract, services.mint.now() - timedelta(seconds=span_s))

    made, screen = asyncio.run(drafted()), Screen.of(args)
    if not made.runs:
        # It would bound nothing, and who keeps it would have a contract with less in it than before.
        raise RefusedError(
            f"No run of {workflow!r} within {args.from_runs} is here, so there is nothing to draft from.",
            next_move="Let agents work under `enforce: observe` first, or look further back with --from-runs.",
        )
    if screen.is_json:
        screen.document({"runs": made.runs, "contract": made.text})
    else:
        runs = "1 run" if made.runs == 1 else f"{made.runs} runs"
        screen.line(f"# From {runs} of {workflow} within {args.from_runs}")
        screen.lines(made.text.splitlines())
    return 0


def explain(args: Namespace) -> int:
    """Print the trace.  The exit code is 0 whatever the decision: it was explained."""
    project = load(args)
    written = _written(args)
    run_part = _object(written, "run")
    names = tuple(project.contracts)
    workflow = _word(written.get("workflow"), args.workflow) or (names[0] if len(names) == 1 else "")
    if not workflow:
        raise UsageError(
            f"This project has several workflows: {', '.join(names)}.", next_move="Name one with --workflow."
        )
    contract = contract_of(project, workflow, _word(run_part.get("environment"), args.environment) or None)
    environment = _word(run_part.get("environment"), args.environment) or contract.environments[0]
    tenant = _word(run_part.get("tenant"), args.tenant) or None
    call = SupposedCall(
        tool=ToolName(_word(written.get("tool"), None)),
        args=_given(args, written, "args"),
        tenant=tenant_of(project, tenant) if tenant or len(project.tenants) == 1 else project.tenants[0],
        environment=EnvironmentName(environment),
        subject=_word(run_part.get("subject"), args.subject) or None,
        input=_given(args, run_part, "input"),
        facts=_given(args, written, "facts"),
    )
    explained = explain_call(project, contract, call)
    screen = Screen.of(args)
    if screen.is_json:
        screen.document(_document(workflow, call, explained))
        return 0
    screen.line(f"{workflow}  {effect_sentence(None, call.tool, call.args)}")
    word = explained.trace.word.upper()
    for text in render(explained.trace):
        if text.startswith(f"{word} by "):
            screen.line(Word(word), text.removeprefix(word))
        else:
            screen.line(text)
    screen.lines(f"value     {text}" for text in lines_of(explained.arguments))
    screen.lines(_rests_on(explained))
    return 0


def _written(args: Namespace) -> JsonObject:
    """The call as it was written: JSON, or the shorthand that starts with a tool's name."""
    given: str = args.call
    if given != "-" and not given.lstrip().startswith("{") and not given.endswith(".json"):
        return {"tool": given}
    written = json_object(args, given, "The call")
    _refuse_unknown(written, _CALL_KEYS, "The call")
    if not isinstance(written.get("tool"), str):
        raise UsageError("The call names no tool.", next_move='For example: {"tool": "issue_refund", "args": {…}}')
    return written


def _object(written: JsonObject, key: str) -> JsonObject:
    found = written.get(key, {})
    if not isinstance(found, Mapping):
        raise UsageError(f"{key!r} of the call is no object.", next_move=f'For example: "{key}": {{}}')
    if key == "run":
        _refuse_unknown(found, _RUN_KEYS, "'run' of the call")
    return found


def _given(args: Namespace, written: JsonObject, key: str) -> JsonObject:
    """An object of the call, or of the flag of that name, which wins."""
    flag: str | None = getattr(args, key)
    return _object(written, key) if flag is None else json_object(args, flag, f"--{key}")


def _word(value: Json, flag: str | None) -> str:
    """A text of the call, or of the flag, which wins."""
    if flag is not None:
        return flag
    return "" if value is None else str(value)


def _refuse_unknown(found: JsonObject, known: tuple[str, ...], what: str) -> None:
    for key in found:
        if key not in known:
            raise UsageError(f"{what} has a key {key!r} that means nothing here.", next_move=did_you_mean(key, known))


def _rests_on(explained: Explained) -> list[str]:
    """What was not read, and what was taken for granted in its place."""
    lines = [
        f"unknown   facts.{name}: not given, and nothing was called; give it with --facts" for name in explained.unknown
    ]
    if any(query.tool == DECLARE_PLAN for query in explained.supposed):
        lines.append("supposed  a plan that has room for this call")
    if explained.supposed or explained.is_once_supposed:
        what = [f"{query.kind} of {query.tool}" for query in explained.supposed if query.tool != DECLARE_PLAN]
        what += ["once_per"] if explained.is_once_supposed else []
        lines.append(f"supposed  no earlier call ({', '.join(dict.fromkeys(what))})")
    if explained.are_values_supposed and explained.arguments:
        lines.append("supposed  that each value may go where it goes; --input says what the user wrote")
    return [*lines, "supposed  the budgets of a new run"]


def _document(workflow: str, call: SupposedCall, explained: Explained) -> Json:
    trace = explained.trace
    document: dict[str, Json] = {
        "workflow": workflow,
        "tool": call.tool,
        "decision": trace.word,
        "reasons": [
            {"rule": one.rule, "then": one.then.value, "source": str(one.source), "text": one.text}
            for one in trace.decision.reasons
        ],
        "trace": [_line_document(line) for line in trace.lines],
        "arguments": [argument(one) for one in explained.arguments],
        "values_supposed": explained.are_values_supposed,
        "unknown_facts": list(explained.unknown),
        "supposed_history": [f"{query.kind} of {query.tool}" for query in explained.supposed],
    }
    if isinstance(trace.decision, Hold):
        asked = trace.decision.requirement
        document["needs"] = {
            "quorum": asked.quorum,
            "from": list(asked.from_groups),
            "distinct_from": sorted(asked.distinct_from),
        }
    return document


def _line_document(line: TraceLine) -> Json:
    return {
        "rule": line.rule,
        "then": line.then.value,
        "took": line.took.value,
        "source": str(line.source),
        "text": line.text,
    }
