"""`leverframe evidence`: the log shown, verified and exported."""

import asyncio
import json
import os
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from leverframe.cli import recover, redecide
from leverframe.cli.parser import CommandParser
from leverframe.cli.pasting import command
from leverframe.cli.project import load, load_bare, tenant_of
from leverframe.cli.screen import Screen, Word
from leverframe.config.findings import did_you_mean
from leverframe.core.canonical import decode, encode
from leverframe.core.epochs import log_and_epoch
from leverframe.core.notes import SignedHead, parse_vkey
from leverframe.domain.contracts import Project
from leverframe.domain.errors import AlreadyExists, EvidenceBroken, NotFound, StoreUnavailable, UsageError
from leverframe.domain.ids import RunId, TenantId
from leverframe.domain.json import Json
from leverframe.runtime.auditing import is_empty, verify_database
from leverframe.runtime.exporting import Bundle, Scope, make_bundle, record_export
from leverframe.runtime.sessions import find_run
from leverframe.runtime.shown_entries import EntryShown, entries_of
from leverframe.runtime.verifying import check_continues, signed_head
from leverframe.sdk.report import BROKEN, NO_TRUST, OK, SELF_CONSISTENT, Check, Report
from leverframe.wiring.assembly import Assembly, open_assembly
from leverframe.wiring.evidence import StoredLogs, TrustFile, open_logs, read_trust, trust_json, write_trust
from leverframe.wiring.people import launcher

_WIDTH, _MAX_VALUE = 100, 400


def add(parser: CommandParser) -> None:
    """Take the verbs."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    shown = verbs.add_parser(
        "show",
        help="entries with their values",
        description="Show entries of the log with the values that they commit to; redacted ones as placeholders.",
    )
    shown.add_argument("id", metavar="ID", help="run_…, run_…/STEP, apr_…, ent_…, an index, or two of them: 12-20")
    shown.set_defaults(act=_show)
    verified = verbs.add_parser(
        "verify",
        help="hold the log against its signed head",
        description=(
            "Verify every log of the project as it is stored: tree, signatures, values, what the entries say\n"
            "happened, and that the journal says the same.  Exit code 1 where anything is BROKEN."
        ),
    )
    verified.add_argument(
        "--trust", action="append", default=[], metavar="FILE", help="a trust file that was kept elsewhere; repeatable"
    )
    verified.add_argument("--strict", action="store_true", help="exit 1 without a trust file too")
    verified.add_argument("--checks", action="store_true", help="print every check, not the failed ones alone")
    verified.set_defaults(act=_verify)
    exported = verbs.add_parser(
        "export",
        help="write a bundle that an auditor verifies offline",
        description=(
            "Write one zip of a run or of a whole log: entries, values, proofs, policies and verify.py.  What the\n"
            "contract redacts is in no bundle.  The export is recorded in the log."
        ),
    )
    _add_scope(exported)
    exported.set_defaults(act=_export)
    trusted = verbs.add_parser(
        "trust",
        help="write the key and the present head, to be kept elsewhere",
        description=(
            "Write or renew a trust file: the log's key and its present head.  Kept where the log's owner cannot\n"
            "write, it shows a rollback, a fork and a rewritten log."
        ),
    )
    trusted.add_argument("--out", required=True, metavar="FILE", help="the file; one that is there must be continued")
    trusted.set_defaults(act=_trust)
    again = verbs.add_parser("redecide", help=redecide.HELP, description=redecide.DESCRIPTION)
    redecide.add(again)
    recover.add(verbs.add_parser("recover", help=recover.HELP, description=recover.DESCRIPTION))
    for verb in (shown, verified, exported, trusted, again):
        verb.add_argument("--tenant", metavar="NAME", help="whose log, where a project has several")


def _add_scope(exported: CommandParser) -> None:
    what = exported.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", metavar="RUN", dest="run_id", help="one run")
    what.add_argument("--all", action="store_true", help="the whole log of a tenant")
    exported.add_argument("--out", required=True, metavar="FILE", help="the zip to write; nothing is overwritten")
    exported.add_argument("--hashes-only", action="store_true", help="no values, only what the entries say in clear")
    exported.add_argument("--trust", metavar="FILE", help="write a trust file as well; give it to the auditor apart")
    exported.add_argument(
        "--seen", action="append", default=[], metavar="FILE", help="prove that the log continues this trust file"
    )


def run(args: Namespace) -> int:
    """Do what the verb says."""
    project = load_bare(args) if args.act is _verify else load(args)
    code: int = args.act(args, project)
    return code


def _show(args: Namespace, project: Project) -> int:
    tenant = tenant_of(project, args.tenant) if args.tenant else None

    async def read() -> tuple[EntryShown, ...]:
        async with open_assembly(project, create=False) as assembly:
            return await entries_of(assembly.services, args.id, tenant)

    screen, entries = Screen.of(args), asyncio.run(read())
    if screen.is_json:
        screen.document([_entry_document(entry) for entry in entries])
        return 0
    for entry in entries:
        _tell_entry(screen, entry)
    return 0


def _tell_entry(screen: Screen, entry: EntryShown) -> None:
    leaf = entry.leaf
    head = ("type", "at", "entry_id", "v", "_sd", "detail")
    screen.line(f"{entry.index:>6,}  {leaf.get('type')}  {leaf.get('at')}  {leaf.get('entry_id')}")
    facts = [f"{key}={_word(value)}" for key, value in leaf.items() if key not in head]
    detail = leaf.get("detail")
    facts += [f"{key}={_word(value)}" for key, value in detail.items()] if isinstance(detail, Mapping) else []
    for line in _filled(facts):
        screen.line(f"        {line}")
    for value in entry.values:
        text = value.missing or encode(value.value).decode()
        cut = text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}… ({len(text):,} characters; --json shows all)"
        screen.line(f"        {value.name or value.digest}: {cut}")


def _filled(words: list[str]) -> Iterator[str]:
    line = ""
    for text in words:
        if line and len(line) + len(text) + 10 > _WIDTH:
            yield line
            line = ""
        line = f"{line}  {text}" if line else text
    if line:
        yield line


def _word(value: Json) -> str:
    return value if isinstance(value, str) else encode(value).decode()


def _entry_document(entry: EntryShown) -> Json:
    return {
        "index": entry.index,
        "leaf": entry.leaf,
        "leaf_hash": entry.leaf_hash,
        "values": [
            {"digest": one.digest, "name": one.name, "value": one.value, "missing": one.missing} for one in entry.values
        ],
    }


def _verify(args: Namespace, project: Project) -> int:
    screen = Screen.of(args)
    with open_logs(project) as logs:
        reports, holder = dict(_reports(args, project, logs)), logs.holder
    verdict = _overall(reports)
    if screen.is_json:
        found: dict[str, Json] = {tenant: decode(report.json().encode()) for tenant, report in reports.items()}
        key = {"held_by": holder.who, "stops": holder.stops, "does_not_stop": holder.does_not_stop}
        screen.document({"verdict": verdict, "logs": found, "key": key})
    else:
        for report in reports.values():
            _tell_report(screen, report, is_whole=args.checks)
        if not reports:
            screen.line("There is no entry in any log of this project yet.")
        if verdict == SELF_CONSISTENT:
            screen.line(NO_TRUST)
        screen.line(f"key and last head: {holder.who}")
        screen.line(f"  stops          {holder.stops}")
        screen.line(f"  does not stop  {holder.does_not_stop}")
        screen.line("verdict: ", Word(verdict) if verdict != SELF_CONSISTENT else verdict)
    return 1 if verdict == BROKEN or (args.strict and verdict == SELF_CONSISTENT) else 0


def _reports(args: Namespace, project: Project, logs: StoredLogs) -> Iterator[tuple[TenantId, Report]]:
    """One report for each log that is asked about and has, or should have, an entry."""
    trusts = [read_trust(Path(name)) for name in args.trust]
    by_origin = {log_and_epoch(trust.vkey.name)[0]: trust for trust in trusts}
    wanted = [tenant_of(project, args.tenant)] if args.tenant else list(project.tenants)
    for tenant in wanted:
        trust = by_origin.pop(f"leverframe/{tenant}", None)
        if trust is None and is_empty(logs.audit, tenant):
            continue
        vkey, remembered = logs.vkeys.get(tenant, ""), logs.remembered.get(tenant)
        yield tenant, verify_database(logs.audit, tenant, vkey, trust_json(trust), remembered)
    if by_origin:
        origin = next(iter(by_origin))
        raise UsageError(
            f"The trust file is of the log {origin!r}, which is none of those looked at.",
            next_move=did_you_mean(origin, [f"leverframe/{tenant}" for tenant in wanted])
            or f"Logs here: {', '.join(wanted)}.",
        )


def _overall(reports: Mapping[TenantId, Report]) -> str:
    verdicts = {report.verdict for report in reports.values()}
    if BROKEN in verdicts:
        return BROKEN
    return OK if verdicts == {OK} else SELF_CONSISTENT


def _tell_report(screen: Screen, report: Report, *, is_whole: bool) -> None:
    if is_whole:
        screen.verbatim(report.text())
        return
    by_status: dict[str, list[Check]] = {}
    for check in report.checks.values():
        by_status.setdefault(check.status, []).append(check)
    failed, unseen = by_status.get("failed", []), by_status.get("not checkable here", [])
    counts = f"{len(by_status.get('passed', []))} checks passed, {len(failed)} failed"
    screen.line(f"{report.about}   ", report.verdict if report.verdict == SELF_CONSISTENT else Word(report.verdict))
    screen.line(f"  {counts}, {len(unseen)} not checkable here ({', '.join(check.name for check in unseen)})")
    for check in failed:
        for place in check.places:
            screen.line(f"  {check.name}: {place}")
        if check.failed > len(check.places):
            screen.line(f"  {check.name}: and {check.failed - len(check.places)} more")


def _export(args: Namespace, project: Project) -> int:
    screen, out = Screen.of(args), Path(args.out)
    if args.trust and Path(args.trust).exists():
        raise AlreadyExists(
            f"{args.trust!r} is there already; nothing was written.",
            next_move=f"Renew it: {command(args, 'evidence', 'trust', '--out', args.trust)}",
        )
    bundle = asyncio.run(_exported(args, project, out))
    if args.trust:
        write_trust(Path(args.trust), bundle.vkey, bundle.head)
    if screen.is_json:
        screen.document(
            {
                "file": str(out),
                "sha256": bundle.sha256,
                "entries": bundle.entries,
                "withheld": dict(bundle.withheld),
                "origin": bundle.head.origin,
                "size": bundle.head.size,
                "trust": args.trust,
            }
        )
        return 0
    withheld = ", ".join(f"{count} {reason}" for reason, count in sorted(bundle.withheld.items())) or "none"
    screen.line(f"{out}   {bundle.entries:,} entries of {bundle.head.origin}; values withheld: {withheld}")
    screen.line(f"sha256 {bundle.sha256}, recorded as export.created")
    if args.trust:
        screen.line(f"{args.trust}   key and head; give it to the auditor by another way than the bundle")
    else:
        screen.line(f"A trust file, to be kept elsewhere: {command(args, 'evidence', 'trust', '--out', 'trust.json')}")
    return 0


async def _exported(args: Namespace, project: Project, out: Path) -> Bundle:
    async with open_assembly(project, create=False) as assembly:
        scope = await _scope(args, assembly)
        bundle = await make_bundle(assembly.services, scope)
        with _staged(out, bundle.content):
            await record_export(assembly.services, bundle, launcher())
        return bundle


async def _scope(args: Namespace, assembly: Assembly) -> Scope:
    seen = tuple(head for name in args.seen if (head := read_trust(Path(name)).head) is not None)
    if args.run_id is None:
        tenant = tenant_of(assembly.project, args.tenant)
        return Scope(tenant=tenant, has_values=not args.hashes_only, seen=seen)
    run_id = RunId(args.run_id)
    tenant = (await find_run(assembly.services, run_id)).tenant
    if args.tenant not in (None, tenant):
        # As for any run that is not there: what one tenant has is nobody else's to know.
        raise NotFound(f"There is no run {run_id!r} of {args.tenant!r}.", next_move="List them: leverframe runs list")
    return Scope(tenant=tenant, run_id=run_id, has_values=not args.hashes_only, seen=seen)


@contextmanager
def _staged(out: Path, content: bytes) -> Iterator[None]:
    """Write a new file beside its place, let the caller record it, and only then give it its name."""
    if out.exists():
        raise AlreadyExists(f"{str(out)!r} is there already; nothing was written.", next_move="Name another file.")
    try:
        handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    except OSError as err:
        raise StoreUnavailable(
            f"{str(out)!r} cannot be written: {err.strerror}.", next_move="Name a file in a folder that is there."
        ) from err
    staged = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield
        staged.rename(out)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def _trust(args: Namespace, project: Project) -> int:
    out = Path(args.out)
    head, vkey = asyncio.run(_renewed(args, project, read_trust(out) if out.exists() else None))
    write_trust(out, vkey, head)
    screen = Screen.of(args)
    if screen.is_json:
        screen.document(json.loads(out.read_bytes()))
        return 0
    screen.line(f"{out}   key of {head.origin} and its head of {head.size:,} entries")
    screen.line("Keep it where whoever runs this log cannot write; renew it there with the same command.")
    return 0


async def _renewed(args: Namespace, project: Project, trust: TrustFile | None) -> tuple[SignedHead, str]:
    """The present head, which must continue the one that was kept."""
    tenant = tenant_of(project, args.tenant)
    async with open_assembly(project, create=False) as assembly:
        services = assembly.services
        head = await signed_head(services, tenant)
        vkey = services.signers[tenant].vkey
        if trust is not None and str(trust.vkey) != vkey:
            if trust.vkey.public_key == parse_vkey(vkey).public_key:
                raise EvidenceBroken(
                    f"{args.out!r} is of {trust.vkey.name!r}; a backup was restored since: {head.origin!r}.",
                    next_move="Read what log.recovered says was given up, then write a trust file of another name.",
                )
            raise EvidenceBroken(
                f"{args.out!r} holds another key than the log of {tenant!r} has now.",
                next_move="Find out who changed the key before you trust the new one.",
            )
        if trust is not None and trust.head is not None:
            await check_continues(services, tenant, trust.head, head)
    return head, vkey
