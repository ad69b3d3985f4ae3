"""Verify a Leverframe evidence bundle, offline, with Python >= 3.11 and `cryptography`, and nothing of ours.

    python verify.py BUNDLE [--trust FILE] [--strict] [--json]

BUNDLE is a folder or a zip.  FILE is a trust file that you got elsewhere: without one only the bundle itself says
whose key is right, and the verdict is `self-consistent`, never OK.  Exit code: 0 OK or self-consistent, 1 BROKEN
(with --strict also self-consistent), 2 usage, 3 `cryptography` is missing.

A bundle cannot show that an allow was right, that a person saw what they granted, that a tool told the truth, what
never met the door, nor a tail newer than any head you know.  Source: RFC 6962; RFC 9162, section 2.1; RFC 9901;
C2SP signed-note and tlog-checkpoint; docs/evidence-bundle.md.
"""

import argparse
import base64
import hashlib
import json
import re
import stat
import sys
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from leverframe.sdk.heads import HASH_BYTES, Head, Tree, check_signature, is_included, read_hash
from leverframe.sdk.report import BROKEN, SELF_CONSISTENT, Check, Leaf, Report
from leverframe.sdk.seen import Recovery, check_seen, is_given_up, key_for, trusted_head
from leverframe.sdk.story import Story

BUNDLE_FORMAT, TRUST_FORMAT = "leverframe-bundle/1", "leverframe-trust/1"
MAX_FILES, MAX_TOTAL_BYTES, MAX_RATIO = 20_000, 8 << 30, 200
MAX_LEAF_BYTES, MAX_TRUST_BYTES = 65_535, 65_536
EXIT_OK, EXIT_BROKEN, EXIT_USAGE, EXIT_UNAVAILABLE = 0, 1, 2, 3
_NAME = re.compile(r"(?:policy/)?[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_PLACE = re.compile(rb'"\.\.\.":"([A-Za-z0-9_-]{43})"')
UNFORMED = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
_sha256 = hashlib.sha256
_decode = json.JSONDecoder().decode  # of a str, which spares it to guess an encoding


class Unreadable(Exception):
    """The bundle or trust file is not one, and nothing in it was believed."""


def read_bundle(path: Path) -> dict[str, bytes]:
    """All files of a folder or zip by name.  Raises Unreadable for links, odd names, and what unpacks too large."""
    try:
        if path.is_dir():
            found = [one for one in path.rglob("*") if one.is_symlink() or not one.is_dir()]
            sizes = [(one.relative_to(path).as_posix(), one.lstat()) for one in found]
            if any(not stat.S_ISREG(status.st_mode) for _, status in sizes):
                raise Unreadable(f"{str(path)!r} holds links or devices; a bundle has plain files only")
            _check_listing([(name, status.st_size) for name, status in sizes], MAX_TOTAL_BYTES)
            return {name: (path / name).read_bytes() for name, _ in sizes}
        with zipfile.ZipFile(path) as archive:
            infos = [one for one in archive.infolist() if not one.filename.endswith("/")]
            if any(one.flag_bits & 1 or stat.S_ISLNK(one.external_attr >> 16) for one in infos):
                raise Unreadable(f"{str(path)!r} holds encrypted files or links; a bundle has neither")
            most = min(MAX_TOTAL_BYTES, MAX_RATIO * path.stat().st_size)
            _check_listing([(one.filename, one.file_size) for one in infos], most)
            return {one.filename: archive.read(one) for one in infos}
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError) as err:
        raise Unreadable(f"{str(path)!r} cannot be read as a folder or zip: {err}") from err


def _check_listing(listing: list[tuple[str, int]], most: int) -> None:
    names = {name.casefold() for name, _ in listing}
    if len(listing) > MAX_FILES or len(names) != len(listing) or sum(size for _, size in listing) > most:
        raise Unreadable(f"{len(listing)} files that stand twice or unpack to over {most} bytes; that is no bundle")
    odd = [name for name, _ in listing if not _NAME.fullmatch(name)]
    if odd:
        raise Unreadable(f"{odd[0]!r} is no name of a file in a bundle")


def _json(data: bytes, what: str) -> Leaf:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Unreadable(f"{what} is not a JSON object")
    return value


@dataclass(slots=True)
class Sealed:
    """The disclosures of a bundle: digests given and withheld, and those that a given one holds the places of."""

    check: Check
    given: set[str] = field(default_factory=set)
    withheld: dict[str, str] = field(default_factory=dict)
    places: set[str] = field(default_factory=set)
    claimed: set[str] = field(default_factory=set)
    pending: list[tuple[int, Leaf, str]] = field(default_factory=list)

    def read(self, data: bytes) -> None:
        """Take in disclosures.jsonl."""
        for number, line in enumerate(data.splitlines(), start=1):
            try:
                item = _decode(line.decode())
                if "disclosure" in item:
                    encoded = item["disclosure"].encode("ascii")
                    digest = base64.urlsafe_b64encode(_sha256(encoded).digest())[:-1].decode()
                    self.places.update(
                        found.decode() for found in _PLACE.findall(base64.urlsafe_b64decode(encoded + b"=="))
                    )
                    self.given.add(digest)
                else:
                    self.withheld[item["digest"]] = item["withheld"]
            except UNFORMED as err:
                self.check.fail(f"line {number} of disclosures.jsonl cannot be read: {err!r}")

    def match(self, index: int, leaf: Leaf) -> None:
        """Find what an entry commits to."""
        for digest in leaf.get("_sd", ()):
            self.check.checked += 1
            if digest in self.given:
                self.claimed.add(digest)
            elif digest in self.withheld:
                self.claimed.add(digest)
                self.pending.append((index, leaf, digest))
            else:
                self.check.fail(f"the value of {digest} is neither given nor explained", index, leaf["type"])

    def finish(self, story: Story) -> None:
        """Judge what is withheld, and what nobody committed to."""
        for index, leaf, digest in self.pending:
            reason = self.withheld[digest]
            is_unexplained = (reason == "retention" and not story.is_pruned(leaf)) or (
                reason == "erased" and digest not in story.erased
            )
            if is_unexplained and story.is_whole:
                self.check.fail(
                    f"{digest} is said to be withheld by {reason}, and no entry says so", index, leaf["type"]
                )
        for digest in self.places - self.withheld.keys() - self.given:
            self.check.fail(f"a given value holds the place of {digest}, which is neither given nor explained")
        for digest in (self.given | self.withheld.keys()) - self.claimed - self.places:
            self.check.fail(f"{digest} is in disclosures.jsonl, and no entry commits to it")
        for reason in sorted(set(self.withheld.values())):
            self.check.notes.append(f"{sum(1 for one in self.withheld.values() if one == reason)} withheld: {reason}")


def verify(files: dict[str, bytes], trust: Leaf | None) -> Report:
    """Judge a bundle.  Raises Unreadable where it is none."""
    report, manifest = Report(has_trust=trust is not None), _json(files.get("manifest.json", b""), "manifest.json")
    checks = report.checks
    if manifest.get("format") != BUNDLE_FORMAT:
        raise Unreadable(f"manifest.json is of format {manifest.get('format')!r}, expected {BUNDLE_FORMAT!r}")
    _check_files(files, manifest, checks["files"])
    vkey = str((trust or manifest).get("vkey"))
    note = files.get("checkpoint", b"")
    head = check_signature(note, key_for(vkey, note), checks["signature"]) or Head("", 0, b"")
    if trust is None:
        checks["signature"].notes.append("under the key that came with it")
    seen = trusted_head(trust, checks["head"])
    story = Story(checks, is_whole=manifest.get("scope") == "log")
    sealed = Sealed(checks["disclosures"]) if manifest.get("disclosures") == "given" else None
    if sealed is None:
        checks["disclosures"].not_here = "the bundle was made with hashes only"
    else:
        sealed.read(files.get("disclosures.jsonl", b""))
    lines = files.get("leaves.jsonl", b"").split(b"\n")
    if lines.pop():
        checks["entries"].fail("leaves.jsonl does not end with a line feed: it was cut")
    if story.is_whole:
        seen_root = _check_tree(lines, files, head, seen.size if seen else -1, checks["tree"])
        indexes = list(range(len(lines)))
    else:
        seen_root, indexes = None, _check_proofs(lines, files, head, checks["tree"])
    recoveries = _tell(lines, indexes, story, sealed)
    if seen and not is_given_up(seen, head, recoveries, checks["head"], is_whole=story.is_whole):
        check_seen(seen, head, seen_root, files.get("consistency.json", b"[]"), checks["head"])
    _check_policies(files, story, manifest, checks)
    report.about = f"log {head.origin!r}: {len(lines)} of {head.size} entries, {len(story.runs.keys() - {''})} runs"
    return report


def _tell(lines: list[bytes], indexes: list[int], story: Story, sealed: Sealed | None) -> list[Recovery]:
    """Judge every entry in order; returns the recoveries among them."""
    check, recoveries = story.checks["entries"], list[Recovery]()
    for index, raw in zip(indexes, lines, strict=True):
        check.checked += 1
        story.kind = ""
        try:
            if len(raw) > MAX_LEAF_BYTES:
                check.fail(f"has {len(raw)} bytes, an entry at most {MAX_LEAF_BYTES}", index)
            leaf = _decode(raw.decode())
            story.tell(index, leaf)
            if leaf["type"] == "log.recovered":
                recoveries.append(Recovery.read(index, leaf))
            if sealed is not None:
                sealed.match(index, leaf)
        except UNFORMED as err:
            check.fail(f"cannot be judged: {err!r}"[:200], index, story.kind)
    story.finish()
    if sealed is not None:
        sealed.finish(story)
    return recoveries


def _check_tree(lines: list[bytes], files: dict[str, bytes], head: Head, seen_size: int, check: Check) -> bytes:
    """Compare with the signed root; the root of the first `seen_size` entries."""
    tree = Tree()
    seen_root = tree.root()
    for raw in lines:
        tree.append(_sha256(b"\x00" + raw).digest())
        if tree.size == seen_size:
            seen_root = tree.root()
    check.checked = tree.size
    if tree.size != head.size or tree.root() != head.root:
        _locate(lines, files.get("hashes.bin", b""), head, check)
    return seen_root


def _check_files(files: dict[str, bytes], manifest: Leaf, check: Check) -> None:
    named = manifest.get("files")
    if not isinstance(named, dict):
        raise Unreadable("manifest.json names no files")
    for name in sorted(named.keys() | files.keys() - {"manifest.json"}):
        check.checked += 1
        if name not in files:
            check.fail(f"{name!r} is missing")
        elif name not in named:
            check.fail(f"{name!r} is not in the manifest")
        elif _sha256(files[name]).hexdigest() != named[name]:
            check.fail(f"{name!r} is not the file that the manifest names")


def _check_proofs(lines: list[bytes], files: dict[str, bytes], head: Head, check: Check) -> list[int]:
    """Hold each entry against the signed root by its own proof; the place of each in the log, -1 where unknown."""
    proofs, indexes = files.get("proofs.jsonl", b"").splitlines(), list[int]()
    for number, raw in enumerate(lines):
        indexes.append(-1)
        try:
            item = json.loads(proofs[number])
            proof, index = [read_hash(one) for one in item["hashes"]], int(item["index"])
            check.checked += 1
            if not is_included(_sha256(b"\x00" + raw).digest(), index, head.size, proof, head.root):
                check.fail("its inclusion proof does not lead to the signed root", index, f"line {number + 1}")
            if index <= max(indexes):
                check.fail("does not come after the entry on the line above", index, f"line {number + 1}")
            indexes[-1] = index
        except (IndexError, *UNFORMED) as err:
            check.fail(f"line {number + 1} of leaves.jsonl has no readable proof: {err!r}")
    return indexes


def _locate(lines: list[bytes], hashes: bytes, head: Head, check: Check) -> None:
    """Name the entries that are not as signed, by the list of leaf hashes where that still fits the signed root."""
    check.fail(f"{len(lines)} entries are here and do not give the root of the {head.size} that were signed")
    logged = [hashes[start : start + HASH_BYTES] for start in range(0, len(hashes), HASH_BYTES)]
    tree = Tree()
    for digest in logged:
        tree.append(digest)
    if tree.size != head.size or tree.root() != head.root:
        check.fail("hashes.bin does not fit the signed root either, so the place cannot be named")
        return
    given = [_sha256(b"\x00" + raw).digest() for raw in lines]
    known, here = set(logged), set(given)
    for index, digest in enumerate(logged):
        if digest not in here:
            check.fail("was changed or left out", index, "as logged")
    for index, digest in enumerate(given):
        if digest not in known:
            check.fail("is no entry of the signed log", index, f"line {index + 1}")
    if known == here:
        index = next(
            (at for at, (one, other) in enumerate(zip(logged, given, strict=False)) if one != other), head.size
        )
        check.fail("entries stand twice or in another order from here on", index, f"line {index + 1}")


def _check_policies(files: dict[str, bytes], story: Story, manifest: Leaf, checks: dict[str, Check]) -> None:
    check = checks["policy"]
    if manifest.get("tenant") != story.tenant:
        checks["entries"].fail(
            f"the entries are of tenant {story.tenant!r}, the manifest says {manifest.get('tenant')!r}"
        )
    if not story.is_whole and story.runs.keys() != {manifest.get("run_id")}:
        found = ", ".join(map(repr, sorted(map(str, story.runs))[:3]))
        checks["entries"].fail(f"the entries are of {found}, the manifest says of run {manifest.get('run_id')!r}")
    for name, data in files.items():
        if name.startswith("policy/"):
            check.checked += 1
            if _sha256(data).hexdigest() != name.removeprefix("policy/"):
                check.fail(f"{name!r} does not have the digest that is its name")
    missing = [digest for digest in sorted(map(str, story.policies_used)) if f"policy/{digest}" not in files]
    if missing:
        check.not_here = f"{len(missing)} policies are not in the bundle, the first {missing[0][:16]}"


def read_trust(path: Path) -> Leaf:
    """Read a trust file.  Raises Unreadable where it is none."""
    try:
        trust = _json(path.read_bytes()[:MAX_TRUST_BYTES], f"the trust file {str(path)!r}")
        head = trust.get("head")
        is_headed = head is None or (
            isinstance(head["size"], int) and head["size"] >= 0 and bool(read_hash(head["root"]))
        )
    except (OSError, *UNFORMED) as err:
        raise Unreadable(f"the trust file {str(path)!r} cannot be read: {err!r}") from err
    if (
        trust.get("format") != TRUST_FORMAT
        or not is_headed
        or str(trust.get("vkey")).split("+")[0] != trust.get("origin")
    ):
        raise Unreadable(f"{str(path)!r} is no trust file of format {TRUST_FORMAT!r}")
    return trust


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="verify.py", description="Verify a Leverframe evidence bundle, offline.")
    parser.add_argument("bundle", type=Path, help="a folder or zip that `leverframe evidence export` made")
    parser.add_argument("--trust", type=Path, help="a trust file that you got elsewhere")
    parser.add_argument("--strict", action="store_true", help="exit 1 without a trust file")
    parser.add_argument("--json", action="store_true", help="report as JSON")
    options = parser.parse_args(arguments)
    if not options.bundle.exists():
        sys.stderr.write(f"verify.py: {str(options.bundle)!r} is not there.\n")
        return EXIT_USAGE
    try:
        report = verify(read_bundle(options.bundle), read_trust(options.trust) if options.trust else None)
    except Unreadable as err:
        sys.stderr.write(f"verify.py: {err}\nverdict: {BROKEN}\n")
        return EXIT_BROKEN
    except ModuleNotFoundError as err:
        sys.stderr.write(f"verify.py: {err}; signatures need it: python -m pip install cryptography\n")
        return EXIT_UNAVAILABLE
    sys.stdout.write(report.json() if options.json else report.text())
    is_refused = report.verdict == BROKEN or (options.strict and report.verdict == SELF_CONSISTENT)
    return EXIT_BROKEN if is_refused else EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
