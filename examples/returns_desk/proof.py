"""Part 4: the evidence of this run, exported and verified by a program that knows nothing of Leverframe.

Knows: what an auditor holds apart (a trust file for each log, and the verifier of the release), and how to run it.
Never: judges an entry itself; what is printed is what `verify.py` said, as a process of its own.
"""

import asyncio
import json
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from examples.returns_desk.children import python
from examples.returns_desk.desk import ACME, BACKEND, entries
from examples.returns_desk.measuring import measure
from examples.returns_desk.promises import NotShown, Promises
from examples.returns_desk.screen import Screen
from leverframe.core.notes import parse_vkey
from leverframe.domain.evidence import EventType
from leverframe.domain.ids import RunId, TenantId
from leverframe.runtime.exporting import Scope, make_bundle, record_export
from leverframe.runtime.verifying import signed_head
from leverframe.sdk.onefile import verify_py
from leverframe.signing.trust import Trust, save_trust
from leverframe.wiring.assembly import Assembly

_LABEL_COLUMNS: Final = 29
_LEAVES: Final = "leaves.jsonl"
_EXIT_BROKEN: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Auditor:
    """What is held apart from the log, in a folder of its own: the verifier and the trust files."""

    folder: Path

    @property
    def verifier(self) -> Path:
        """The verifier as the release publishes it, not the copy in a bundle."""
        return self.folder / "verify.py"

    def trust(self, tenant: TenantId) -> Path:
        """The trust file of a tenant's log."""
        return self.folder / f"trust-{tenant}.json"

    def bundle(self, tenant: TenantId) -> Path:
        """Where a tenant's export goes."""
        return self.folder / f"returns_desk-{tenant}.zip"

    def prepare(self) -> None:
        """Make the folder, with the verifier in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.verifier.write_bytes(verify_py())

    async def verify(self, bundle: Path, tenant: TenantId) -> "Verified":
        """Run the verifier on a bundle, in a process that cannot import anything of ours."""
        words = ("-I", str(self.verifier), str(bundle), "--trust", str(self.trust(tenant)), "--json")
        async with python(*words) as process:
            said, complained = await process.communicate()
        if not said:
            raise NotShown(f"verify.py said nothing of {str(bundle)!r}: {complained.decode(errors='replace')[-300:]}")
        return Verified(exit_code=process.returncode or 0, report=json.loads(said))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What the verifier said.  `report` is its JSON."""

    exit_code: int
    # Any: the shape is that of verify.py --json.
    report: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        """OK, self-consistent or BROKEN."""
        return str(self.report["verdict"])

    @property
    def statuses(self) -> Counter[str]:
        """How many checks passed, failed, or could not be made on a bundle."""
        return Counter(str(check["status"]) for check in self.report["checks"])

    @property
    def places(self) -> list[str]:
        """Where something failed, in the words of the report."""
        return [str(place) for check in self.report["checks"] for place in check["places"]]


async def keep_trust(assembly: Assembly, folder: Path) -> Auditor:
    """Give an auditor the key and the present head of each log, before most of the work is done."""
    auditor = Auditor(folder=folder)
    auditor.prepare()
    for tenant, signer in assembly.services.signers.items():
        size = (await assembly.services.evidence.tree(tenant)).size
        head = await signed_head(assembly.services, tenant) if size else None
        save_trust(auditor.trust(tenant), Trust(vkey=parse_vkey(signer.vkey), head=head))
    return auditor


async def show_evidence(
    assembly: Assembly, screen: Screen, promises: Promises, auditor: Auditor, run_id: RunId
) -> None:
    """Export each log, have it verified, flip a byte in a copy, and say what the door cost."""
    costs = await measure(assembly, run_id)
    exported = await _export(assembly, auditor)
    counts = sum((_types(auditor.bundle(tenant)) for tenant in exported), Counter())
    screen.line()
    screen.line(
        f"4  Evidence   {counts.total():,} entries in {len(exported)} logs, each head signed,"
        f" bundles {auditor.bundle(TenantId('*'))}"
    )
    await _show_verified(screen, promises, auditor, exported, counts)
    await _show_flipped(assembly, screen, promises, auditor, run_id)
    promises.expect("recorded decisions that came out alike again", costs.decided_alike, costs.questions)
    screen.line(
        f"a decision takes {costs.decision_us:.0f} us; the door adds {costs.added_ms:.1f} ms to a read"
        " (p50, this machine, this run)",
        indent=3,
    )


async def _export(assembly: Assembly, auditor: Auditor) -> list[TenantId]:
    """Write the bundle of each log that has entries; none leaves before the log says that it was made."""
    exported: list[TenantId] = []
    for tenant in assembly.project.tenants:
        if (await assembly.services.evidence.tree(tenant)).size:
            bundle = await make_bundle(assembly.services, Scope(tenant=tenant))
            await record_export(assembly.services, bundle, BACKEND)
            auditor.bundle(tenant).write_bytes(bundle.content)
            exported.append(tenant)
    return exported


async def _show_verified(
    screen: Screen, promises: Promises, auditor: Auditor, tenants: Iterable[TenantId], counts: Counter[str]
) -> None:
    verified = await asyncio.gather(*(auditor.verify(auditor.bundle(tenant), tenant) for tenant in tenants))
    worst = next((one for one in verified if one.verdict != "OK"), verified[0])
    writes, used = counts[EventType.CALL_INTENDED], counts[EventType.APPROVAL_CONSUMED]
    what = f"{writes} writes announced and allowed; {used} grants used once each"
    screen.decided(
        "verify.py with trust files",
        worst.verdict,
        what if worst.verdict == "OK" else worst.places[0],
        label_columns=_LABEL_COLUMNS,
    )
    for tenant, one in zip(tenants, verified, strict=True):
        promises.expect(f"verdict on the log of {tenant}", (one.verdict, one.exit_code, one.places), ("OK", 0, []))


async def _show_flipped(
    assembly: Assembly, screen: Screen, promises: Promises, auditor: Auditor, run_id: RunId
) -> None:
    """Change one bit of one denial in a copy of the bundle; the verifier must name that entry."""
    denial = next(one for one in await entries(assembly, run_id, EventType.CALL_DECIDED) if one["decision"] == "deny")
    copy = auditor.folder / "flipped"
    index = await asyncio.to_thread(flip_one_byte, auditor.bundle(ACME), copy, str(denial["entry_id"]))
    verified = await auditor.verify(copy, ACME)
    named = f"entry {index} "
    place = next((place for place in verified.places if place.startswith(named)), "no entry is named")
    saw = (verified.verdict, verified.exit_code, place.startswith(named))
    promises.expect("verdict on the flipped copy", saw, ("BROKEN", _EXIT_BROKEN, True))
    screen.decided(
        "one byte flipped in a copy",
        verified.verdict,
        f"{place} (exit {verified.exit_code})",
        label_columns=_LABEL_COLUMNS,
    )


def flip_one_byte(bundle: Path, copy: Path, entry_id: str) -> int:
    """Unpack a bundle into `copy` and flip the lowest bit of one byte of one entry; returns the entry's index."""
    shutil.rmtree(copy, ignore_errors=True)
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(copy)
    leaves = bytearray((copy / _LEAVES).read_bytes())
    at = leaves.index(entry_id.encode()) + len(entry_id) - 1
    leaves[at] ^= 1
    (copy / _LEAVES).write_bytes(leaves)
    return leaves.count(b"\n", 0, at)


def _types(bundle: Path) -> Counter[str]:
    """How many entries of each type a bundle holds."""
    with zipfile.ZipFile(bundle) as archive:
        return Counter(json.loads(line)["type"] for line in archive.read(_LEAVES).splitlines())
