"""`leverframe tools contract-test`: recorded calls against a new version, and keyed writes sent twice."""

import asyncio
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from leverframe.cli.pasting import command
from leverframe.cli.project import json_object
from leverframe.cli.screen import Screen, Word
from leverframe.config.findings import did_you_mean
from leverframe.config.lock_file import load_lock, write_lock
from leverframe.domain.contracts import Project
from leverframe.domain.errors import NotFound, RefusedError, ToolDrifted, ToolQuarantined, UsageError
from leverframe.domain.ids import EnvironmentName, ToolName
from leverframe.domain.json import Json, JsonObject
from leverframe.domain.pins import QUARANTINED, LostClass, Reviewed
from leverframe.domain.tools import EffectClass, McpOrigin, ToolSpec
from leverframe.runtime.recorded_calls import RecordedCall, recorded_calls
from leverframe.runtime.reviewing import Review, check_may_review, record_reviews
from leverframe.runtime.schemas import schema_error
from leverframe.wiring.assembly import Assembly, open_assembly
from leverframe.wiring.contract_testing import REAL_ENVIRONMENTS, Twice, TwiceResult, send_twice
from leverframe.wiring.people import PROOF, enrol_launcher, identify
from leverframe.wiring.upstreams import open_upstreams

_CALLS = 50


# Any: what argparse makes for sub-commands has no public type.
def add_test(verbs: Any) -> None:
    """Take the verb."""
    parser = verbs.add_parser(
        "contract-test",
        help="recorded calls against a new version; a keyed write twice with one key",
        description=(
            "Hold recorded arguments and answers of tools against what their servers offer now; nothing is called.\n"
            "With --twice, send a keyed write twice with one key, in an environment that is not production, and count\n"
            "its effects by the tool that its spec reconciles with; one that fails counts as irreversible from then on."
        ),
    )
    parser.add_argument("tool", nargs="*", metavar="TOOL", help="a tool of the project (without --twice: all)")
    parser.add_argument("--twice", action="store_true", help="send each named tool twice with one key: a real effect")
    parser.add_argument("--environment", metavar="NAME", help="where the effect lands; never prod")
    parser.add_argument(
        "--args", metavar="JSON", help="the arguments to send (default: those of the last recorded call)"
    )
    parser.set_defaults(act=_test)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Replayed:
    """How one tool's recorded calls fare against its definition as it is now."""

    tool: ToolName
    calls: int
    problems: tuple[str, ...]


async def _test(args: Namespace, project: Project) -> int:
    specs = _named(project, args.tool)
    if args.twice:
        return await _twice(args, project, specs)
    if args.environment is not None or args.args is not None:
        raise UsageError("--environment and --args are of --twice.", next_move="Add --twice, or leave them out.")
    screen, done = Screen.of(args), []
    async with open_assembly(project, create=False) as assembly, open_upstreams(project) as upstreams:
        for spec in specs:
            calls = await recorded_calls(assembly.services, spec.name, _CALLS)
            given, answer = spec.input_schema, spec.output_schema
            if isinstance(spec.origin, McpOrigin) and calls:
                live = (await upstreams.offering(spec.origin.server)).tools.get(spec.origin.name, {})
                given = _object(live.get("inputSchema"))
                answer = _object(live["outputSchema"]) if "outputSchema" in live else None
            done.append(_replayed(spec, calls, given, answer))
    return _tell_replayed(screen, done)


def _replayed(spec: ToolSpec, calls: Sequence[RecordedCall], given: JsonObject, answer: JsonObject | None) -> _Replayed:
    problems: dict[str, None] = {}
    for call in calls:
        # A server's schema has the key too, which no agent sends and no record holds; a function's is made without it.
        is_keyed = isinstance(spec.origin, McpOrigin) and spec.idempotency_argument
        sent = {**call.args, spec.idempotency_argument: "key"} if is_keyed else call.args
        for what, complaint in (
            ("arguments", schema_error(given, sent)),
            ("answer", schema_error(answer, call.answer)),
        ):
            if complaint:
                problems.setdefault(f"{what} of {call.run_id}: {complaint}")
    return _Replayed(tool=spec.name, calls=len(calls), problems=tuple(problems))


def _tell_replayed(screen: Screen, done: Sequence[_Replayed]) -> int:
    code = 1 if any(one.problems for one in done) else 0
    if screen.is_json:
        screen.document([{"tool": one.tool, "calls": one.calls, "problems": list[Json](one.problems)} for one in done])
        return code
    for one in done:
        word = Word("failed") if one.problems else Word("ok") if one.calls else "never called"
        screen.line(f"{one.tool}  ", word, f"  {one.calls} recorded calls")
        screen.lines(f"  {text}" for text in one.problems[:10])
    return code


async def _twice(args: Namespace, project: Project, specs: Sequence[ToolSpec]) -> int:
    environment = _environment(args)
    if not args.tool:
        raise UsageError(
            "Only a tool that is named is sent twice.", next_move="leverframe tools contract-test TOOL --twice"
        )
    screen, results = Screen.of(args), list[tuple[ToolSpec, TwiceResult]]()
    async with open_assembly(project, create=True) as assembly:
        enrol_launcher(project)
        person = identify(project)
        await check_may_review(assembly.services, person)
        for spec in specs:
            _check_keyed(assembly, spec)
            given = await _arguments(args, assembly, spec)
            result = await send_twice(assembly, spec, given, environment, by=person.id)
            because = f"contract-test --twice in {environment}: {result.found.value}, run {result.run_id}"
            reviewed = Reviewed(by=person.id, at=assembly.services.mint.now(), because=because)
            await _keep(assembly, spec, result, reviewed)
            results.append((spec, result))
    return _tell_twice(screen, args, results)


async def _keep(assembly: Assembly, spec: ToolSpec, result: TwiceResult, reviewed: Reviewed) -> None:
    """What the test showed, in the log of every tenant and then in the lock."""
    root = Path(assembly.project.root)
    lock = load_lock(root)
    person = identify(assembly.project)
    if result.found is Twice.TWICE:
        review = Review(tool=spec.name, lost=EffectClass.KEYED)
        lock = replace(lock, lost={**lock.lost, spec.name: LostClass(claimed=EffectClass.KEYED, reviewed=reviewed)})
    elif result.found is Twice.ONCE:
        review = Review(tool=spec.name, effect=EffectClass.KEYED)
        lock = replace(lock, lost={name: one for name, one in lock.lost.items() if name != spec.name})
    else:
        return
    await record_reviews(assembly.services, person, (review,), reviewed.because, proof=PROOF)
    await asyncio.to_thread(write_lock, root, lock)


def _tell_twice(screen: Screen, args: Namespace, results: Sequence[tuple[ToolSpec, TwiceResult]]) -> int:
    code = 0 if all(result.found is Twice.ONCE for _, result in results) else 1
    if screen.is_json:
        screen.document(
            [
                {
                    "tool": spec.name,
                    "found": result.found.value,
                    "run": result.run_id,
                    "seen": list[Json](result.seen),
                    "why": result.why,
                }
                for spec, result in results
            ]
        )
        return code
    for spec, result in results:
        word = {Twice.ONCE: Word("ok"), Twice.TWICE: Word("failed"), Twice.UNSEEN: Word("unknown")}[result.found]
        screen.line(f"{spec.name}  ", word, f"  {result.found.value} of two sendings with one key  {result.why}")
        if result.found is Twice.TWICE:
            screen.line("  It counts as irreversible from now on (tools.lock), whatever its file says.")
        screen.line(f"  {command(args, 'runs', 'show', result.run_id)}")
    return code


def _environment(args: Namespace) -> EnvironmentName:
    name = args.environment
    if not name or name.lower() in REAL_ENVIRONMENTS:
        raise RefusedError(
            f"A write is sent twice only in an environment that is named and is not production, not in {name!r}.",
            next_move="For example: --environment sandbox",
        )
    return EnvironmentName(name)


def _check_keyed(assembly: Assembly, spec: ToolSpec) -> None:
    if not spec.idempotency_argument:
        raise UsageError(f"{spec.name!r} carries no idempotency key.", next_move="Only keyed tools are sent twice.")
    if spec.reconcile is None:
        raise UsageError(
            f"{spec.name!r} does not say how its effects are seen.",
            next_move="Add reconcile: {tool: find_refunds, args: {...}, match: {...}}, of a tool that lists them.",
        )
    closed = assembly.tools.closed(spec)
    if closed is not None:
        problem = ToolQuarantined if closed.slug == QUARANTINED else ToolDrifted
        raise problem(closed.message, next_move=f"leverframe tools diff {spec.name}")


async def _arguments(args: Namespace, assembly: Assembly, spec: ToolSpec) -> JsonObject:
    if args.args is not None:
        return json_object(args, args.args, "--args")
    calls = await recorded_calls(assembly.services, spec.name, 1)
    if not calls:
        raise UsageError(
            f"{spec.name!r} was never called here, so nobody knows with what.", next_move="Give --args JSON."
        )
    return calls[0].args


def _named(project: Project, names: Sequence[str]) -> tuple[ToolSpec, ...]:
    for name in names:
        if ToolName(name) not in project.tools:
            raise NotFound(f"There is no tool {name!r} here.", next_move=did_you_mean(name, project.tools))
    return tuple(spec for name, spec in sorted(project.tools.items()) if not names or name in names)


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}
