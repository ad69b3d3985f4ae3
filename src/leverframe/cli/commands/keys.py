"""`leverframe keys`: the credentials with which agents call, each of one tenant, for named workflows, for a while."""

import asyncio
import re
from argparse import Namespace
from datetime import datetime, timedelta
from shlex import quote
from urllib.parse import urlsplit

from leverframe.cli.durations import span_of
from leverframe.cli.parser import CommandParser
from leverframe.cli.project import contract_of, load, load_bare, tenant_of
from leverframe.cli.screen import Screen, Word
from leverframe.config.registry import NAME
from leverframe.domain.authority import ApiKey, KeyState
from leverframe.domain.contracts import Project
from leverframe.domain.errors import UsageError
from leverframe.domain.ids import EnvironmentName, TeamName, WorkflowName
from leverframe.domain.json import Json
from leverframe.domain.time import duration_text, rfc3339, rfc3339_s
from leverframe.runtime.keys import NewKey, Wanted, create_key, find_key, revoke_keys, rotate_key
from leverframe.wiring.assembly import Assembly, open_assembly
from leverframe.wiring.people import PROOF, enrol_launcher, identify

_URL = "http://127.0.0.1:8460"
_REVOKE = (
    "Take a key back: no call is made with it from here on.  A name takes back every key that has it, also\n"
    "one that a rotation lets work for a while; an id takes back that one alone."
)
_EXPIRES, _OVERLAP = "90d", "24h"


def add(parser: CommandParser) -> None:
    """Take the verbs."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    create = verbs.add_parser(
        "create",
        help="make a key; its secret is shown once",
        description=(
            "Make an API key of one tenant, for the workflows and environments that are named: no key is good for all\n"
            "of them.  Prints the two lines that point an agent here, and nothing else, on standard output; the\n"
            "secret is kept nowhere."
        ),
    )
    create.add_argument("name", metavar="NAME", help="what it is called, in its tenant")
    create.add_argument(
        "--workflow", action="append", default=[], metavar="W", help="a workflow it may call in; may be given again"
    )
    create.add_argument(
        "--environment",
        action="append",
        default=[],
        metavar="E",
        help="an environment it may call in; may be given again (default: the first of its workflows)",
    )
    create.add_argument("--team", default="", metavar="T", help="the team whose budgets it counts in too")
    create.add_argument(
        "--expires",
        default=_EXPIRES,
        metavar="SPAN",
        help="how long it lives, such as 12h or 30d, or never (%(default)s)",
    )
    create.add_argument(
        "--open-runs", action="store_true", help="let it open runs for an input and a subject, as a backend does"
    )
    create.set_defaults(act=_create)
    listing = verbs.add_parser(
        "list", help="every key, live ones first", description="List the keys of a tenant, or all."
    )
    listing.set_defaults(act=_list)
    show = verbs.add_parser("show", help="what one key may do", description="Show one key; never its secret.")
    show.set_defaults(act=_show)
    rotate = verbs.add_parser(
        "rotate",
        help="replace a key by a new one",
        description="Replace a key by a new one of the same name and rights; the old one works until the overlap ends.",
    )
    rotate.add_argument(
        "--overlap", default=_OVERLAP, metavar="SPAN", help="how long the old key still works, such as 1h (%(default)s)"
    )
    rotate.set_defaults(act=_rotate)
    revoke = verbs.add_parser("revoke", help="take a key back, now", description=_REVOKE)
    revoke.set_defaults(act=_revoke)
    for verb in (show, rotate, revoke):
        verb.add_argument("key", metavar="KEY", help="its id, key_…, or its name")
    for verb in (create, rotate):
        verb.add_argument("--url", default=_URL, metavar="URL", help="where agents reach the gateway (%(default)s)")
    for verb in (create, listing, show, rotate, revoke):
        verb.add_argument("--tenant", metavar="TENANT", help="whose it is, where the project has several")


def run(args: Namespace) -> int:
    """Do what the verb says."""
    project = load_bare(args) if args.act in {_list, _revoke} else load(args)
    return asyncio.run(_opened(args, project))


async def _opened(args: Namespace, project: Project) -> int:
    # A key is often the first thing that a project is asked for.
    if args.act in {_create, _rotate}:
        _check_url(args.url)
    async with open_assembly(project, create=args.act is _create) as assembly:
        code: int = await args.act(args, assembly)
        return code


async def _create(args: Namespace, assembly: Assembly) -> int:
    project = assembly.project
    workflows = _workflows(args, project)
    wanted = Wanted(
        tenant=tenant_of(project, args.tenant),
        name=_name(args.name, "The name of a key"),
        team=TeamName(_name(args.team, "The name of a team") if args.team else ""),
        workflows=workflows,
        environments=_environments(args, project, workflows),
        may_open_runs=args.open_runs,
        lives_for=None if args.expires == "never" else timedelta(seconds=span_of(args.expires, "--expires")),
    )
    enrol_launcher(project)
    made = await create_key(assembly.services, identify(project), wanted, proof=PROOF)
    return _tell_new(args, made, f"Key {made.key.name} ({made.key.key_id}) {_for(made.key)}.")


async def _rotate(args: Namespace, assembly: Assembly) -> int:
    project = assembly.project
    overlap = timedelta(seconds=span_of(args.overlap, "--overlap"))
    tenant, person = tenant_of(project, args.tenant), identify(project)
    made = await rotate_key(assembly.services, person, tenant, args.key, overlap=overlap, proof=PROOF)
    old = assembly.services.authority.current().keys[made.key.replaces or made.key.key_id]
    until = rfc3339_s(old.expires_at) if old.expires_at is not None else "it is revoked"
    said = f"Key {made.key.name} is {made.key.key_id} now, {_for(made.key)}; {old.key_id} works until {until}."
    return _tell_new(args, made, said)


async def _revoke(args: Namespace, assembly: Assembly) -> int:
    screen, project = Screen.of(args), assembly.project
    tenant = tenant_of(project, args.tenant)
    keys = await revoke_keys(assembly.services, identify(project), tenant, args.key, proof=PROOF)
    if screen.is_json:
        revoked = list[Json](one.key_id for one in keys)
        screen.document({**_document(keys[0], assembly.services.mint.now()), "revoked": revoked})
    else:
        for key in keys:
            screen.line(Word("revoked"), f" {key.key_id} ({key.name}); no call is made with it any more.")
    return 0


async def _list(args: Namespace, assembly: Assembly) -> int:
    screen, now = Screen.of(args), assembly.services.mint.now()
    wanted = tenant_of(assembly.project, args.tenant) if args.tenant else None
    keys = [one for one in assembly.services.authority.current().keys.values() if wanted in {None, one.tenant}]
    keys.sort(key=lambda one: (one.state_at(now) is not KeyState.LIVE, one.tenant, one.name, one.created_at))
    if screen.is_json:
        screen.document({"keys": [_document(one, now) for one in keys]})
        return 0
    if not keys:
        screen.line("There is no key yet.  For example: leverframe keys create my-agent --workflow WORKFLOW")
        return 0
    rows = [
        (
            one.key_id,
            one.name,
            one.tenant,
            one.team or "-",
            Word(one.state_at(now).value),
            ",".join(sorted(one.workflows)),
            ",".join(sorted(one.environments)),
            _end(one, now),
        )
        for one in keys
    ]
    screen.table(("KEY", "NAME", "TENANT", "TEAM", "STATE", "WORKFLOWS", "ENVIRONMENTS", "ENDS"), rows)
    return 0


async def _show(args: Namespace, assembly: Assembly) -> int:
    screen, now = Screen.of(args), assembly.services.mint.now()
    keys = assembly.services.authority.current().keys.values()
    key = find_key(keys, tenant_of(assembly.project, args.tenant), args.key, None)
    if screen.is_json:
        screen.document(_document(key, now))
        return 0
    screen.line(f"{key.key_id}  {key.name}  ", Word(key.state_at(now).value))
    screen.pairs(
        [
            ("tenant", key.tenant),
            ("team", key.team),
            ("workflows", ", ".join(sorted(key.workflows))),
            ("environments", ", ".join(sorted(key.environments))),
            ("may", ", ".join(sorted(key.scopes))),
            ("made by", f"{key.owner} at {rfc3339_s(key.created_at)}"),
            ("ends", _end(key, now)),
            ("replaces", key.replaces or ""),
        ],
        indent=2,
    )
    return 0


def _workflows(args: Namespace, project: Project) -> frozenset[WorkflowName]:
    if not args.workflow:
        known = ", ".join(sorted(project.contracts)) or "none yet"
        raise UsageError(
            f"A key is for workflows that are named, and none was; this project has: {known}.",
            next_move=f"For example: leverframe keys create {args.name} --workflow"
            f" {next(iter(sorted(project.contracts)), 'WORKFLOW')}",
        )
    return frozenset(contract_of(project, name).workflow for name in args.workflow)


def _environments(args: Namespace, project: Project, workflows: frozenset[WorkflowName]) -> frozenset[EnvironmentName]:
    if not args.environment:
        return frozenset(project.contracts[name].environments[0] for name in workflows)
    for name in workflows:
        if not set(args.environment) & set(project.contracts[name].environments):
            # Says which it has: a key that can call nothing in one of its workflows is a mistake.
            contract_of(project, name, args.environment[0])
    for environment in args.environment:
        if not any(environment in project.contracts[name].environments for name in workflows):
            contract_of(project, min(workflows), environment)
    return frozenset(EnvironmentName(name) for name in args.environment)


def _name(text: str, what: str) -> str:
    if not re.fullmatch(NAME.pattern, text):
        raise UsageError(f"{what} is {NAME.form}; got {text!r}.", next_move="For example: support-bot")
    return text


def _check_url(text: str) -> None:
    """Before a key is made whose secret would stand beside an address that leads nowhere."""
    try:
        has_host = bool(urlsplit(text).hostname)
    except ValueError:
        has_host = False
    if not has_host or not re.fullmatch(r"https?://[!-~]+", text):
        raise UsageError(f"--url takes an http or https address; got {text!r}.", next_move=f"For example: --url {_URL}")


def _tell_new(args: Namespace, made: NewKey, said: str) -> int:
    """The two lines to paste on standard output, and what a person should know beside them."""
    screen, key, text, url = Screen.of(args), made.key, made.text.text, args.url.rstrip("/").removesuffix("/v1")
    # A shell reads these lines.
    exports = (
        f"export OPENAI_BASE_URL={quote(url + '/v1')} OPENAI_API_KEY={text}",
        f"export ANTHROPIC_BASE_URL={quote(url)} ANTHROPIC_API_KEY={text}",
    )
    if screen.is_json:
        screen.document({**_document(key, key.created_at), "key": text, "exports": list(exports)})
        return 0
    screen.lines(exports)
    life = "It does not expire." if key.expires_at is None else f"It ends {_end(key, key.created_at)}."
    screen.warn(said, f"{life}  Its secret is shown here once, and kept nowhere.")
    return 0


def _for(key: ApiKey) -> str:
    of_team = f" of team {key.team}" if key.team else ""
    workflows, environments = ", ".join(sorted(key.workflows)), ", ".join(sorted(key.environments))
    return f"is for {workflows} in {environments}, tenant {key.tenant}{of_team}"


def _end(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return f"revoked {rfc3339_s(key.revoked_at)}"
    if key.expires_at is None:
        return "never"
    left_s = (key.expires_at - now).total_seconds()
    return rfc3339_s(key.expires_at) + (f", in {duration_text(left_s)}" if left_s > 0 else "")


def _document(key: ApiKey, now: datetime) -> dict[str, Json]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "tenant": key.tenant,
        "team": key.team or None,
        "state": key.state_at(now).value,
        "workflows": list[Json](sorted(key.workflows)),
        "environments": list[Json](sorted(key.environments)),
        "scopes": list[Json](sorted(key.scopes)),
        "owner": key.owner,
        "created_at": rfc3339(key.created_at),
        "expires_at": None if key.expires_at is None else rfc3339(key.expires_at),
        "revoked_at": None if key.revoked_at is None else rfc3339(key.revoked_at),
        "replaces": key.replaces,
    }
