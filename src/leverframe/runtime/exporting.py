"""Audit bundles: what goes into one, and the entry that says that it was made.

Knows: which entries, values, policies and proofs belong to a run or a log, and why a value is missing.
Never: writes a file, and never lets a redacted value into a bundle, by key or by value: `core.bundles` sees to that
with all that each run has taught.  The layout is written in docs/evidence-bundle.md.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from leverframe.core.bundles import BundleParts, build_bundle, zipped
from leverframe.core.canonical import decode
from leverframe.core.disclosures import places_in, redaction_from
from leverframe.core.notes import SignedHead
from leverframe.core.redaction import Redaction
from leverframe.domain.errors import EvidenceBroken, NotFound
from leverframe.domain.evidence import Disclosure, EntryDraft, EventType, Withheld, WithheldReason
from leverframe.domain.ids import PrincipalId, RunId, Sha256, TenantId
from leverframe.domain.json import JsonObject
from leverframe.domain.proposals import Proposal
from leverframe.ports.store import LoggedLeaf
from leverframe.runtime.services import Services
from leverframe.runtime.sessions import find_run
from leverframe.runtime.showing import declared_redaction
from leverframe.runtime.verifying import consistency_proof, inclusion_proof, signed_note, stored_hashes
from leverframe.sdk.onefile import verify_py

PAGE = 1_000
_GONE = (b'"type":"retention.pruned"', b'"type":"disclosure.erased"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What to export: one run, or a tenant's whole log (`run_id` None).

    `seen`: heads that the reader holds; the bundle of a run proves that the log continues them.
    """

    tenant: TenantId
    run_id: RunId | None = None
    has_values: bool = True
    seen: tuple[SignedHead, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle ready to be written, and the head that it was made against."""

    scope: Scope
    content: bytes
    sha256: Sha256
    head: SignedHead
    vkey: str
    entries: int
    withheld: Mapping[str, int]  # how many values are not given, by reason


async def make_bundle(services: Services, scope: Scope) -> Bundle:
    """Collect a bundle.  Nothing is recorded yet: see `record_export`.

    Raises:
        EvidenceBroken: there is no key or no signed head, or hashes of the tree are missing.
        NotFound: there is no such run in that tenant's log, or nothing in the log.
    """
    head, note = await signed_note(services, scope.tenant)
    leaves = [leaf for leaf in await _leaves(services, scope, head) if leaf.index < head.size]
    if not leaves:
        what = f"run {scope.run_id!r}" if scope.run_id is not None else "entry"
        raise NotFound(f"There is no {what} in the signed log of {scope.tenant!r}; nothing to export.")
    vkey = services.signers[scope.tenant].vkey
    entries = [_Entry(leaf=leaf, fields=_fields(leaf)) for leaf in leaves]
    values = await _values(services, scope, entries)
    try:
        proofs, consistency = await _proofs(services, scope, head, leaves)
    except ValueError as err:
        raise EvidenceBroken(
            f"A proof for the log of {scope.tenant!r} cannot be made: {err}",
            next_move="Find the place: leverframe evidence verify",
        ) from err
    parts = BundleParts(
        origin=head.origin,
        vkey=vkey,
        tenant=scope.tenant,
        created_at=services.mint.now(),
        checkpoint=note,
        leaves=[(leaf.index, leaf.leaf) for leaf in leaves],
        verify_py=verify_py(),
        run_id=scope.run_id,
        proofs=proofs,
        consistency=consistency,
        disclosures=values.given,
        withheld=values.withheld,
        redactions=values.redactions,
        policies=await _policies(services, entries),
        has_values=scope.has_values,
    )
    files = build_bundle(parts)
    content = zipped(files)
    return Bundle(
        scope=scope,
        content=content,
        sha256=Sha256(hashlib.sha256(content).hexdigest()),
        head=head,
        vkey=vkey,
        entries=len(leaves),
        withheld=_reasons(files.get("disclosures.jsonl", b"")),
    )


async def record_export(services: Services, bundle: Bundle, actor: PrincipalId) -> None:
    """Record that a bundle was made; durable when this returns, so that none leaves unrecorded."""
    entry = EntryDraft(
        entry_id=services.mint.entry_id(),
        at=services.mint.now(),
        type=EventType.EXPORT_CREATED,
        tenant=bundle.scope.tenant,
        actor=actor,
        detail={
            "sha256": bundle.sha256,
            "scope": bundle.scope.run_id or "log",
            "values": "given" if bundle.scope.has_values else "withheld",
            "size": bundle.head.size,
        },
    )
    await services.writer.commit(Proposal(tenant=bundle.scope.tenant, entries=(entry,)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    leaf: LoggedLeaf
    fields: JsonObject

    @property
    def run_id(self) -> RunId:
        return RunId(str(self.fields.get("run_id", "")))

    @property
    def at(self) -> str:
        return str(self.fields.get("at", ""))

    @property
    def digests(self) -> tuple[str, ...]:
        sealed = self.fields.get("_sd")
        return tuple(str(one) for one in sealed) if isinstance(sealed, list) else ()


@dataclass(slots=True, kw_only=True)
class _Values:
    """What is given and what is not."""

    given: list[Disclosure] = field(default_factory=list)
    withheld: list[Withheld] = field(default_factory=list)
    redactions: dict[RunId, Redaction] = field(default_factory=dict)


async def _leaves(services: Services, scope: Scope, head: SignedHead) -> Sequence[LoggedLeaf]:
    if scope.run_id is not None:
        return await services.evidence.leaves_of_run(scope.tenant, scope.run_id)
    found: list[LoggedLeaf] = []
    for first in range(0, head.size, PAGE):
        found.extend(await services.evidence.leaves(scope.tenant, first, min(PAGE, head.size - first)))
    return found


async def _values(services: Services, scope: Scope, entries: Sequence[_Entry]) -> _Values:
    """The kept values with what each run redacts, and why the others are missing."""
    values = _Values()
    if not scope.has_values:
        return values
    kept: dict[str, Disclosure] = {}
    for run_id in dict.fromkeys(entry.run_id for entry in entries):
        if run_id:
            disclosures = await services.evidence.disclosures_of_run(scope.tenant, run_id)
            kept.update((one.digest, one) for one in disclosures)
            declared = declared_redaction(services, await find_run(services, run_id))
            values.redactions[run_id] = redaction_from(declared, disclosures)
    without_run = [entry.leaf.entry_id for entry in entries if entry.digests and not entry.run_id]
    kept.update(await services.evidence.disclosures(scope.tenant, without_run))
    # Of a run that goes on there may be values by now whose entries the head does not hold.
    committed = {digest for entry in entries for digest in entry.digests}
    values.given = [one for one in kept.values() if one.digest in committed or one.is_redacted]
    missing = [(entry, digest) for entry in entries for digest in _committed(entry, kept) if digest not in kept]
    if missing:
        gone = await gone_of(services, scope.tenant)
        values.withheld = [
            Withheld(digest=digest, name="", reason=reason)
            for entry, digest in missing
            if (reason := gone.reason(digest, entry.at, await _workflow(services, entry.run_id))) is not None
        ]
    return values


def _committed(entry: _Entry, kept: Mapping[str, Disclosure]) -> Iterable[str]:
    """What an entry commits to: its own values, and the redacted parts of those that are given."""
    for digest in entry.digests:
        yield digest
        if digest in kept:
            yield from places_in(kept[digest].value_bytes)


@dataclass(slots=True, kw_only=True)
class Gone:
    """What the log says was deleted: by workflow, values of entries older than a time; and single ones."""

    before: dict[str, str] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)

    def note(self, entry: JsonObject) -> None:
        """Take in an entry."""
        detail = entry.get("detail")
        said: JsonObject = detail if isinstance(detail, Mapping) else {}
        if entry.get("type") == EventType.RETENTION_PRUNED.value:
            workflow, before = str(said.get("workflow", "")), str(said.get("before", ""))
            self.before[workflow] = max(self.before.get(workflow, ""), before)
        digests = said.get("digests")
        if entry.get("type") == EventType.DISCLOSURE_ERASED.value and isinstance(digests, list):
            self.erased.update(str(one) for one in digests)

    def is_before(self, at: str) -> bool:
        """Whether values of that time were deleted in any workflow."""
        return any(at < before for before in self.before.values())

    def reason(self, digest: str, at: str, workflow: str) -> WithheldReason | None:
        """Why a value of an entry of that time is missing; None where the log does not say."""
        if digest in self.erased:
            return WithheldReason.ERASED
        return WithheldReason.RETENTION if at < self.before.get(workflow, "") else None


async def gone_of(services: Services, tenant: TenantId) -> Gone:
    """What a whole log says was deleted."""
    gone, size = Gone(), (await services.evidence.tree(tenant)).size
    for first in range(0, size, PAGE):
        for leaf in await services.evidence.leaves(tenant, first, PAGE):
            if any(kind in leaf.leaf for kind in _GONE):
                gone.note(_fields(leaf))
    return gone


async def _workflow(services: Services, run_id: RunId) -> str:
    run = await services.journal.run(run_id)
    return run.workflow if run is not None else ""


async def _proofs(
    services: Services, scope: Scope, head: SignedHead, leaves: Sequence[LoggedLeaf]
) -> tuple[dict[int, Sequence[bytes]], dict[int, Sequence[bytes]]]:
    """Of a run: the place of each entry, and that the log continues the heads that were seen."""
    if scope.run_id is None:
        return {}, {}
    get = stored_hashes(services, scope.tenant)
    proofs: dict[int, Sequence[bytes]] = {
        leaf.index: await inclusion_proof(get, leaf.index, head.size) for leaf in leaves
    }
    sizes = {seen.size for seen in scope.seen if 0 < seen.size < head.size}
    return proofs, {size: await consistency_proof(get, size, head.size) for size in sizes}


async def _policies(services: Services, entries: Sequence[_Entry]) -> tuple[bytes, ...]:
    """The texts of the policies, all of their releases but Python, and the manifests of these."""
    digests = dict.fromkeys(str(one.fields["release_digest"]) for one in entries if "release_digest" in one.fields)
    found: dict[bytes, None] = {}
    for digest in digests:
        files = await services.journal.artifacts(Sha256(digest))
        kept = [content for name, content in files.items() if _is_policy(name)]
        found.update(dict.fromkeys(kept))
    return tuple(found)


def _is_policy(name: str) -> bool:
    return name == "manifest" or name.startswith("policy:") or name.endswith((".yaml", ".yml"))


def _reasons(lines: bytes) -> dict[str, int]:
    counts: dict[str, int] = {}
    for line in lines.splitlines():
        item = decode(line)
        reason = item.get("withheld") if isinstance(item, Mapping) else None
        if isinstance(reason, str):
            counts[reason] = counts.get(reason, 0) + 1
    return counts


def _fields(leaf: LoggedLeaf) -> JsonObject:
    entry = decode(leaf.leaf)
    return entry if isinstance(entry, Mapping) else {}
