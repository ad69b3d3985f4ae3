"""Entries of the log with the values that they commit to, for a person's eyes.

Knows: what an id or a place names in the log.  Never: shows a redacted value; `showing` sees to that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leverframe.core.canonical import decode
from leverframe.core.merkle import leaf_hash
from leverframe.core.redaction import Redaction
from leverframe.domain.errors import NotFound, UsageError
from leverframe.domain.ids import ApprovalId, RunId, TenantId
from leverframe.domain.json import Json, JsonObject
from leverframe.ports.store import LoggedLeaf
from leverframe.runtime.answers import find_approval
from leverframe.runtime.services import Services
from leverframe.runtime.sessions import find_run
from leverframe.runtime.showing import RunValues, values_of

_PAGE, _MAX_SHOWN = 1_000, 80
_MOST_DIGITS = 18  # no log is so long, and no database counts further


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueShown:
    """One value that an entry commits to.  `missing` says why it is not there, in which case there is no value."""

    digest: str
    name: str
    value: Json
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryShown:
    """One entry of the log with its values; `leaf` is parsed from the bytes that were hashed."""

    index: int
    leaf: JsonObject
    leaf_hash: str
    values: tuple[ValueShown, ...]


async def entries_of(services: Services, wanted: str, tenant: TenantId | None) -> tuple[EntryShown, ...]:
    """The entries that an id or a place names, in the order of the log.

    Args:
        services: the runtime's.
        wanted: `run_…`, `run_…/2.0`, `apr_…`, `ent_…`, an index, or two of them as `12-20`.
        tenant: whose log, for an entry or an index.

    Raises:
        NotFound: there is no such thing in the log.
        UsageError: an index, and no tenant where there are several.
    """
    found = await _leaves(services, wanted, tenant)
    if not found:
        raise NotFound(
            f"No entry of the log is {wanted[:_MAX_SHOWN]!r}.",
            next_move="A run's entries: leverframe evidence show RUN",
        )
    runs: dict[str, RunValues] = {}
    shown = []
    for leaf in found:
        entry = _entry(leaf)
        run_id = str(entry.get("run_id", ""))
        if run_id and run_id not in runs:
            runs[run_id] = await values_of(services, await find_run(services, RunId(run_id)))
        values = runs.get(run_id) or await _without_run(services, TenantId(str(entry.get("tenant"))), leaf)
        shown.append(
            EntryShown(
                index=leaf.index,
                leaf=entry,
                leaf_hash=leaf_hash(leaf.leaf).hex(),
                values=tuple(_shown(values, digest) for digest in _digests(entry)),
            )
        )
    return tuple(shown)


async def _leaves(services: Services, wanted: str, tenant: TenantId | None) -> Sequence[LoggedLeaf]:
    name, _, path = wanted.partition("/")
    if name.startswith("run_"):
        run = await find_run(services, RunId(name))
        leaves = await services.evidence.leaves_of_run(run.tenant, run.run_id)
        return [one for one in leaves if not path or _entry(one).get("step") == path]
    if name.startswith("apr_"):
        approval = await find_approval(services, ApprovalId(name))
        leaves = await services.evidence.leaves_of_run(approval.tenant, approval.run_id)
        return [one for one in leaves if _entry(one).get("approval_id") == name]
    tenants = [tenant] if tenant is not None else list(services.project.tenants)
    if name.startswith("ent_"):
        return [one for each in tenants for one in await _by_entry_id(services, each, name)]
    first, _, last = wanted.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal():
        raise UsageError(
            f"{wanted!r} names nothing of the log.", next_move="Give a run, an approval, an entry id, or an index."
        )
    if max(len(first), len(last)) > _MOST_DIGITS:
        return []
    if len(tenants) > 1:
        raise UsageError(
            f"Entry {wanted} of which log? There is one for each of {', '.join(tenants)}.",
            next_move="Name one with --tenant.",
        )
    return await services.evidence.leaves(tenants[0], int(first), int(last or first) - int(first) + 1)


async def _by_entry_id(services: Services, tenant: TenantId, entry_id: str) -> list[LoggedLeaf]:
    """Looked for page by page: ids of entries are for a person's questions, and no index is kept for them."""
    size = (await services.evidence.tree(tenant)).size
    for first in range(0, size, _PAGE):
        found = [one for one in await services.evidence.leaves(tenant, first, _PAGE) if one.entry_id == entry_id]
        if found:
            return found
    return []


async def _without_run(services: Services, tenant: TenantId, leaf: LoggedLeaf) -> RunValues:
    return RunValues(kept=await services.evidence.disclosures(tenant, (leaf.entry_id,)), redaction=Redaction())


def _shown(values: RunValues, digest: str) -> ValueShown:
    if values.has(digest):
        return ValueShown(digest=digest, name=values.kept[digest].name, value=values.value(digest))
    return ValueShown(digest=digest, name="", value=None, missing="not kept any more (retention or erasure)")


def _digests(entry: JsonObject) -> tuple[str, ...]:
    sealed = entry.get("_sd")
    return tuple(str(one) for one in sealed) if isinstance(sealed, list) else ()


def _entry(leaf: LoggedLeaf) -> JsonObject:
    entry = decode(leaf.leaf)
    return entry if isinstance(entry, Mapping) else {}
