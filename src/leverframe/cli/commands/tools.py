"""`leverframe tools`: what servers offer, what a person has reviewed of it, and what changed since."""

import asyncio
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from leverframe.cli.parser import CommandParser
from leverframe.cli.pasting import command
from leverframe.cli.project import load
from leverframe.cli.screen import Screen, Word
from leverframe.cli.tool_lines import document, tell_diff, tell_suspicions, tell_table, word_of
from leverframe.cli.tool_tests import add_test
from leverframe.config.draft import reads_by_hint
from leverframe.config.findings import did_you_mean
from leverframe.config.lock_file import LOCK_FILE, load_lock, lock_text, write_lock
from leverframe.config.project import load_project_lenient
from leverframe.core.pins import reached_by, with_pins
from leverframe.core.reviewing import Standing, survey
from leverframe.domain.contracts import Project
from leverframe.domain.errors import ConfigInvalid, NotFound, ToolUnavailable, UsageError
from leverframe.domain.ids import ToolName
from leverframe.domain.json import Json
from leverframe.domain.pins import DRIFTED, EffectPin, Offering, Reviewed, ToolsLock
from leverframe.domain.tools import EffectClass, McpOrigin
from leverframe.runtime.reviewing import Review, check_may_review, record_reviews
from leverframe.wiring.assembly import open_assembly
from leverframe.wiring.people import PROOF, enrol_launcher, identify
from leverframe.wiring.upstreams import open_upstreams


def add(parser: CommandParser) -> None:
    """Take the verbs."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser(
        "list",
        help="every tool, its effect, and whether it was reviewed",
        description=(
            "List every tool that the project names or has pinned; with --live, all that its servers offer now, and\n"
            "what looks wrong in it."
        ),
    )
    listing.add_argument("--live", action="store_true", help="start the servers and ask them")
    listing.set_defaults(act=_list)
    diff = verbs.add_parser(
        "diff",
        help="what is not as it was reviewed",
        description=(
            "Start the servers and show all that differs from what was reviewed: texts, schemas, the upstream itself.\n"
            "For arguments it says whether the change is breaking, widened (a new argument can carry data out), equal\n"
            "or unknown.  Exits 1 where anything differs."
        ),
    )
    diff.set_defaults(act=_diff)
    pin = verbs.add_parser(
        "pin",
        help="say that you have reviewed tools",
        description=(
            "Pin tools as their servers offer them now, in tools.lock; commit that file.  Without TOOL: each that\n"
            "nobody has reviewed yet; what changed since its review, or looks wrong, must be named, with a reason."
        ),
    )
    pin.add_argument(
        "--effect", choices=[one.value for one in EffectClass], help="what the one named TOOL does to the world"
    )
    pin.add_argument(
        "--believe-hints",
        action="store_true",
        help="say of every tool whose server hints readOnlyHint that its effect is read: your word, with a reason",
    )
    pin.add_argument("--because", default="", metavar="TEXT", help="why it is right; who and why are recorded")
    pin.set_defaults(act=_pin)
    add_test(verbs)
    for verb in (diff, pin):
        verb.add_argument("tool", nargs="*", metavar="TOOL", help="a tool of the project, or SERVER/TOOL of a server")


def run(args: Namespace) -> int:
    """Do what the verb says."""
    code: int = asyncio.run(args.act(args, load(args)))
    return code


@dataclass(frozen=True, slots=True, kw_only=True)
class _Survey:
    """The tools of a project beside the lock, and what the servers that were asked said."""

    lock: ToolsLock
    offers: Mapping[str, Offering]
    standings: tuple[Standing, ...]
    silent: Mapping[str, str]  # server -> why it gave no list


async def _list(args: Namespace, project: Project) -> int:
    screen, specs = Screen.of(args), {str(name): spec for name, spec in project.tools.items()}
    found = await _survey(project, project.servers if args.live else ())
    if screen.is_json:
        tools: list[Json] = [document(one, specs) for one in found.standings]
        screen.document({"tools": tools, "silent": dict(found.silent)})
        return 1 if found.silent else 0
    tell_table(screen, found.standings, specs)
    for one in found.standings:
        if one.suspicions:
            screen.line(one.key)
            tell_suspicions(screen, one)
    return _tell_end(screen, args, found)


async def _diff(args: Namespace, project: Project) -> int:
    screen, specs = Screen.of(args), {str(name): spec for name, spec in project.tools.items()}
    found = await _survey(project, _servers(project, args.tool))
    wanted = _wanted(found, args.tool)
    differing = [one for one in wanted if one.closed is not None]
    if screen.is_json:
        screen.document({"tools": [document(one, specs) for one in differing], "silent": dict(found.silent)})
        return 1 if differing or found.silent else 0
    for one in differing:
        server = one.origin.server
        reached = reached_by(project.servers[server]) if server in project.servers else None
        tell_diff(screen, one, found.lock.servers.get(server), found.offers.get(server), reached)
    if not differing:
        screen.line(f"{len(wanted)} of {len(wanted)} tools are exactly what was reviewed.")
    return _tell_end(screen, args, found)


async def _pin(args: Namespace, project: Project) -> int:
    if args.effect is not None and (len(args.tool) != 1 or not args.because):
        raise UsageError(
            "An effect is said of one tool, with a reason.",
            next_move=f"leverframe tools pin TOOL --effect {args.effect} --because TEXT",
        )
    if args.believe_hints and not args.because:
        raise UsageError(
            "To believe what servers hint of themselves is a decision, with a reason.",
            next_move="leverframe tools pin --believe-hints --because TEXT",
        )
    found = await _survey(project, _servers(project, args.tool))
    wanted = _wanted(found, args.tool)
    left = [one for one in wanted if _needs_a_reason(one) and not (args.tool and args.because)]
    now = [one for one in wanted if one.live is not None and one.closed is not None and one not in left]
    effects = {} if args.effect is None else {args.tool[0]: EffectClass(args.effect)}
    if args.believe_hints:
        effects |= _hinted(project, [one for one in wanted if one not in left])
    if not now and not effects:
        return _tell_pinned(Screen.of(args), args, found, now, left)
    async with open_assembly(project, create=True) as assembly:
        enrol_launcher(project)
        person = identify(project)
        await check_may_review(assembly.services, person)
        reviewed = Reviewed(by=person.id, at=assembly.services.mint.now(), because=args.because)
        lock, reviews = _pinned(project, found, now, reviewed)
        for tool, effect in effects.items():
            lock, said = _with_effect(project, lock, tool, effect, reviewed)
            reviews.append(said)
        _, problems = load_project_lenient(Path(project.root), supposed={LOCK_FILE: lock_text(lock).encode()})
        errors = [problem for problem in problems if problem.severity == "error"]
        if errors:
            raise ConfigInvalid(errors)
        await record_reviews(assembly.services, person, reviews, args.because, proof=PROOF)
        write_lock(Path(project.root), lock)
    if not Screen.of(args).is_json:
        for tool, effect in effects.items():
            Screen.of(args).line(f"{tool} is `effect: {effect.value}`, says {person.id}: {args.because}")
    return _tell_pinned(Screen.of(args), args, found, now, left)


def _pinned(
    project: Project, found: _Survey, now: Sequence[Standing], reviewed: Reviewed
) -> tuple[ToolsLock, list[Review]]:
    lock = found.lock
    for server in dict.fromkeys(one.origin.server for one in now):
        names = [one.origin.name for one in now if one.origin.server == server]
        lock = with_pins(
            lock,
            server,
            reached_by(project.servers[server]),
            found.offers[server],
            names=names,
            reviewed=reviewed,
        )
    reviews = [
        Review(tool=one.names[0] if one.names else None, pin=one.key, sha256=lock.tools[one.key].sha256) for one in now
    ]
    return lock, reviews


def _hinted(project: Project, standings: Sequence[Standing]) -> dict[str, EffectClass]:
    """The tools of which a server hints that they only read, and nobody has said anything yet."""
    return {
        name: EffectClass.READ
        for one in standings
        if one.live is not None and reads_by_hint(one.live)
        for name in one.names
        if project.tools[name].effect is EffectClass.IRREVERSIBLE
    }


def _with_effect(
    project: Project, lock: ToolsLock, tool: str, effect: EffectClass, reviewed: Reviewed
) -> tuple[ToolsLock, Review]:
    name = ToolName(tool)
    spec = project.tools.get(name)
    if spec is None:
        raise NotFound(
            f"The project has no tool {tool!r}; an effect is said of one that tools/ has.",
            next_move=did_you_mean(tool, project.tools) or "Write tools/NAME.yaml first.",
        )
    if effect is EffectClass.KEYED and not spec.idempotency_argument:
        raise UsageError(
            f"{tool!r} names no argument that carries a key.", next_move="Add idempotency: {argument: NAME}"
        )
    if effect is EffectClass.RECONCILABLE and spec.reconcile is None:
        raise UsageError(f"{tool!r} does not say how to ask whether it happened.", next_move="Add reconcile: {...}")
    pins = {**lock.effects, name: EffectPin(effect=effect, reviewed=reviewed)}
    return replace(lock, effects=pins), Review(tool=name, effect=effect)


def _tell_pinned(
    screen: Screen, args: Namespace, found: _Survey, now: Sequence[Standing], left: Sequence[Standing]
) -> int:
    code = 1 if left or found.silent else 0
    if screen.is_json:
        pinned: list[Json] = [one.key for one in now]
        rest: list[Json] = [one.key for one in left]
        screen.document({"pinned": pinned, "left": rest, "silent": dict(found.silent)})
        return code
    for one in now:
        names = f" as {', '.join(one.names)}" if one.names else ""
        screen.line(Word("pinned"), f" {one.key}{names}")
    if now:
        screen.line(f"{len(now)} pinned in {LOCK_FILE}; commit it.")
    for one in left:
        screen.line(f"{one.key}  ", Word(word_of(one)), "  was left: it needs your eyes and a reason")
        tell_suspicions(screen, one)
    if left:
        screen.line(f"Look: {command(args, 'tools', 'diff', left[0].key)}")
        screen.line(f"Then: {command(args, 'tools', 'pin', left[0].key, '--because', 'TEXT')}")
    elif not now and not found.silent:
        screen.line("Nothing to pin: every tool is what was reviewed.")
    return code | _tell_silent(screen, found)


def _tell_end(screen: Screen, args: Namespace, found: _Survey) -> int:
    closed = [one for one in found.standings if one.closed is not None]
    if closed:
        screen.line(f"{len(closed)} of {len(found.standings)} tools are closed: no call of them is sent.")
        screen.line(f"Next: {command(args, 'tools', 'pin' if args.verb == 'diff' else 'diff')}")
    is_red = args.verb == "diff" and bool(closed)
    return (1 if is_red else 0) | _tell_silent(screen, found)


def _tell_silent(screen: Screen, found: _Survey) -> int:
    for server, why in found.silent.items():
        screen.warn(f"The server {server!r} gave no list: {why}")
    return 1 if found.silent else 0


def _needs_a_reason(one: Standing) -> bool:
    """What changed since somebody looked, or looks wrong, is not pinned in passing."""
    if one.closed is None or one.live is None:
        return False
    return bool(one.suspicions) or one.closed.slug == DRIFTED


def _servers(project: Project, names: Sequence[str]) -> tuple[str, ...]:
    """The servers to ask: all, or those of the named tools."""
    if not names:
        return tuple(project.servers)
    found: dict[str, None] = {}
    for name in names:
        spec = project.tools.get(ToolName(name))
        server = name.partition("/")[0]
        if spec is not None:
            if isinstance(spec.origin, McpOrigin):
                found[spec.origin.server] = None
        elif "/" in name and server in project.servers:
            found[server] = None
        else:
            known = (*project.tools, *(f"{one}/TOOL" for one in project.servers))
            raise NotFound(f"There is no tool {name!r} here.", next_move=did_you_mean(name, known))
    return tuple(found)


def _wanted(found: _Survey, names: Sequence[str]) -> tuple[Standing, ...]:
    if not names:
        return found.standings
    wanted = tuple(one for one in found.standings if one.key in names or set(one.names) & set(names))
    for name in names:
        if "/" in name and name not in {one.key for one in wanted} and name.partition("/")[0] not in found.silent:
            raise NotFound(
                f"No server offers {name!r}.", next_move=did_you_mean(name, [one.key for one in found.standings])
            )
    return wanted


async def _survey(project: Project, servers: Sequence[str] | Mapping[str, object]) -> _Survey:
    lock, offers, silent = load_lock(Path(project.root)), dict[str, Offering](), dict[str, str]()
    async with open_upstreams(project) as upstreams:
        for server in servers:
            try:
                offers[server] = await upstreams.offering(server)
            except ToolUnavailable as err:
                silent[server] = str(err)
    standings = survey(project.tools.values(), lock, project.servers, offers)
    return _Survey(lock=lock, offers=offers, standings=standings, silent=silent)
