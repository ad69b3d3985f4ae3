"""Each kind of tampering, at each place of a bundle of real runs: `verify.py` says BROKEN and names the place.

Whoever tampers here makes the manifest fit, and where it is said also `hashes.bin`: only the signature is out of reach.
LONG=1 takes every place of each kind; otherwise the commit draws some.
"""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from leverframe.core.bundles import zipped
from leverframe.core.merkle import leaf_hash
from leverframe.domain.ids import RunId
from leverframe.sdk.onefile import verify_py
from leverframe.sdk.report import BROKEN, OK, SELF_CONSISTENT, Leaf, Report
from leverframe.sdk.verify import read_bundle, read_trust, verify
from tests.sampling import sample
from tests.shop_runs import ShopRuns
from tests.typed import Shell

Files = dict[str, bytes]
PLACES = 10


class Exported:
    """A bundle of the project, with the trust file that was written beside it."""

    def __init__(self, shell: Shell, out: Path, *words: str) -> None:
        trust = out.with_suffix(".json")
        told = shell.type("evidence", "export", *words, "--out", str(out), "--trust", str(trust))
        assert told.code == 0, told.err
        self.files: Files = read_bundle(out)
        self.trust: Leaf = read_trust(trust)

    def lines(self, name: str) -> list[bytes]:
        return self.files[name].splitlines(keepends=True)

    def with_lines(self, name: str, lines: list[bytes]) -> Files:
        return refitted({**self.files, name: b"".join(lines)})


def refitted(files: Files) -> Files:
    """The manifest made to fit."""
    manifest = json.loads(files["manifest.json"])
    manifest["files"] = {
        name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != "manifest.json"
    }
    return {**files, "manifest.json": json.dumps(manifest).encode()}


@pytest.fixture
def shell(
    shop_runs: ShopRuns, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    return Shell(shutil.copytree(shop_runs.root, tmp_path / "desk"), capsys, monkeypatch)


@pytest.fixture
def log(shell: Shell, tmp_path: Path) -> Exported:
    return Exported(shell, tmp_path / "log.zip", "--all")


@pytest.fixture
def run(shell: Shell, shop_runs: ShopRuns, tmp_path: Path) -> Exported:
    return Exported(shell, tmp_path / "run.zip", "--run", shop_runs.runs["granted"])


def broken(files: Files, trust: Leaf | None) -> str:
    """Everything that failed."""
    report = verify(files, trust)
    assert report.verdict == BROKEN, report.text()
    return failures(report)


def failures(report: Report) -> str:
    return "\n".join(f"{check.name}: {place}" for check in report.checks.values() for place in check.places)


def names(said: str, index: int) -> bool:
    return re.search(rf"entry {index}\b", said) is not None


def flipped(raw: bytes) -> bytes:
    at = next(at for at in range(len(raw) // 2, len(raw)) if raw[at : at + 1].isalnum())
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


CHANGES: dict[str, Callable[[list[bytes], int], list[bytes]]] = {
    "edited": lambda all_, at: [*all_[:at], flipped(all_[at]), *all_[at + 1 :]],
    "deleted": lambda all_, at: [*all_[:at], *all_[at + 1 :]],
    "swapped": lambda all_, at: [*all_[: at - 1], all_[at], all_[at - 1], *all_[at + 1 :]],
    "repeated": lambda all_, at: [*all_[:at], all_[at - 1], *all_[at:]],
    "cut": lambda all_, at: all_[:at],
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_changed_entry_of_a_log_is_named_at_every_place(log: Exported, kind: str) -> None:
    lines = log.lines("leaves.jsonl")
    for index in sample(range(1, len(lines)), PLACES):
        changed = log.with_lines("leaves.jsonl", CHANGES[kind](lines, index))

        said = broken(changed, log.trust)

        assert names(said, index) or names(said, index - 1), (index, said)


@pytest.mark.parametrize("kind", CHANGES)
def test_a_changed_entry_of_a_run_is_named_at_every_place(run: Exported, kind: str) -> None:
    lines, proofs = run.lines("leaves.jsonl"), run.lines("proofs.jsonl")
    indexes = [json.loads(proof)["index"] for proof in proofs]
    for at in sample(range(1, len(lines)), PLACES):
        changed = run.with_lines("leaves.jsonl", CHANGES[kind](lines, at))
        changed = refitted(
            changed | {"proofs.jsonl": b"".join(CHANGES[kind](proofs, at) if kind != "edited" else proofs)}
        )

        if kind == "cut" or (kind == "deleted" and at == len(lines) - 1):
            # A run that goes on looks like this, but for values that are left over; what is not visible is said.
            report = verify(changed, run.trust)
            assert "whether the log holds later entries of the run is not visible here" in report.checks["S6"].notes
            continue
        said = broken(changed, run.trust)

        assert any(names(said, index) for index in indexes[at - 1 : at + 2]), (at, said)


@pytest.mark.parametrize("kind", CHANGES)
def test_with_its_hashes_changed_too_the_report_says_that_the_place_cannot_be_named(log: Exported, kind: str) -> None:
    lines = log.lines("leaves.jsonl")
    for index in sample(range(1, len(lines)), 4):
        leaves = CHANGES[kind](lines, index)
        changed = log.with_lines("leaves.jsonl", leaves)
        changed = refitted(changed | {"hashes.bin": b"".join(leaf_hash(leaf[:-1]) for leaf in leaves)})

        said = broken(changed, log.trust)

        assert f"tree: {len(leaves)} entries are here and do not give the root of the {len(lines)}" in said
        assert "so the place cannot be named" in said


def test_a_value_that_is_changed_or_gone_is_named_by_the_entry_that_commits_to_it(log: Exported) -> None:
    lines = log.lines("disclosures.jsonl")
    digests = {
        digest: at for at, leaf in enumerate(log.lines("leaves.jsonl")) for digest in json.loads(leaf).get("_sd", ())
    }
    for at in sample(range(len(lines)), PLACES):
        digest = digest_of(json.loads(lines[at]))

        said = broken(log.with_lines("disclosures.jsonl", [*lines[:at], *lines[at + 1 :]]), log.trust)

        expected = f"the value of {digest}" if digest in digests else f"the place of {digest}"
        assert expected in said
        assert digest not in digests or names(said, digests[digest])


def test_values_that_change_places_are_named(log: Exported) -> None:
    """The salt, the name and the value are one; another value under that salt is another disclosure."""
    given = [json.loads(line) for line in log.lines("disclosures.jsonl") if b'"disclosure"' in line]
    for at in sample(range(1, len(given)), PLACES):
        salt, name, _ = opened(given[at])
        other = opened(given[at - 1])[2]
        swapped = base64.urlsafe_b64encode(json.dumps([salt, name, other]).encode()).rstrip(b"=").decode()
        lines = [line for line in log.lines("disclosures.jsonl") if given[at]["disclosure"].encode() not in line]
        lines.append(json.dumps({"disclosure": swapped}).encode() + b"\n")

        said = broken(log.with_lines("disclosures.jsonl", lines), log.trust)

        assert f"the value of {digest_of(given[at])} is neither given nor explained" in said
        assert f"{digest_of({'disclosure': swapped})} is in disclosures.jsonl, and no entry commits to it" in said


def digest_of(item: Leaf) -> str:
    if "digest" in item:
        return str(item["digest"])
    return base64.urlsafe_b64encode(hashlib.sha256(item["disclosure"].encode()).digest()).rstrip(b"=").decode()


def opened(item: Leaf) -> tuple[str, str, object]:
    salt, name, value = json.loads(base64.urlsafe_b64decode(item["disclosure"] + "=="))
    return salt, name, value


def test_a_grant_that_nobody_gave_is_no_entry_of_the_signed_log(log: Exported) -> None:
    lines = log.lines("leaves.jsonl")
    asked = next(at for at, line in enumerate(lines) if b'"approval.requested"' in line)
    entry = json.loads(lines[asked]) | {"type": "approval.decided", "actor": "person:lena", "entry_id": "ent_forged"}
    entry["detail"] = {"answer": "granted", "proof": "os-user"}
    forged = json.dumps(entry, separators=(",", ":")).encode() + b"\n"

    said = broken(log.with_lines("leaves.jsonl", [*lines[: asked + 1], forged, *lines[asked + 1 :]]), log.trust)

    assert f"tree: entry {asked + 1} (line {asked + 2}): is no entry of the signed log" in said


def test_a_head_signed_by_another_key_is_seen_with_a_trust_file_and_said_to_be_invisible_without(
    log: Exported, shell: Shell, shop_runs: ShopRuns, tmp_path: Path
) -> None:
    shutil.rmtree(shell.root / ".leverframe")
    told = shell.type("run", "errands", "--input", str(shell.write("later.json", '{"order_id": "W00001"}')), "--json")
    forged = Exported(shell, tmp_path / "forged.zip", "--run", RunId(told.json["run_id"]))
    stolen = refitted({**log.files, "checkpoint": forged.files["checkpoint"]})

    alone, against = verify(forged.files, None), verify(forged.files, log.trust)

    assert (alone.verdict, against.verdict) == (SELF_CONSISTENT, BROKEN)
    assert "a log rewritten as a whole looks the same" in " ".join(alone.text().split())
    assert "signature: no signature of the key" in failures(against)
    assert "signature: no signature of the key" in broken(stolen, None)
    assert shop_runs.root.exists()


def test_a_bundle_of_a_log_that_was_rolled_back_or_forked_is_seen_with_a_trust_file(
    shell: Shell, shop_runs: ShopRuns, tmp_path: Path
) -> None:
    one_more_run(shell, "W00003")
    seen = Exported(shell, tmp_path / "seen.zip", "--all")
    shutil.rmtree(shell.root / ".leverframe")
    shutil.copytree(shop_runs.root / ".leverframe", shell.root / ".leverframe")
    rolled_back = Exported(shell, tmp_path / "older.zip", "--all")
    one_more_run(shell, "W00002")
    one_more_run(shell, "W00002")
    forked = Exported(shell, tmp_path / "forked.zip", "--all")

    alone = [verify(one.files, None).verdict for one in (rolled_back, forked)]

    assert alone == [SELF_CONSISTENT, SELF_CONSISTENT]
    assert "rolled back or cut" in broken(rolled_back.files, seen.trust)
    assert "forked or rewritten" in broken(forked.files, seen.trust)


def one_more_run(shell: Shell, order: str) -> None:
    told = shell.type("run", "errands", "--input", str(shell.write("later.json", f'{{"order_id": "{order}"}}')))
    assert told.code == 0, told.err


def test_a_bundle_of_another_run_or_tenant_replayed_is_named(run: Exported, shell: Shell, tmp_path: Path) -> None:
    """Proofs of one bundle do not fit the head of another; a manifest that names another tenant is caught."""
    one_more_run(shell, "W00003")
    newer = Exported(shell, tmp_path / "newer.zip", "--all")
    replayed = refitted({**run.files, "checkpoint": newer.files["checkpoint"]})
    manifest = json.loads(run.files["manifest.json"]) | {"tenant": "other"}
    renamed = {**run.files, "manifest.json": json.dumps(manifest).encode()}

    assert "its inclusion proof does not lead to the signed root" in broken(replayed, newer.trust)
    assert "the entries are of tenant 'default', the manifest says 'other'" in broken(renamed, run.trust)


def test_the_program_says_the_place_and_exits_1(log: Exported, tmp_path: Path) -> None:
    lines = log.lines("leaves.jsonl")
    (tmp_path / "bad.zip").write_bytes(zipped(log.with_lines("leaves.jsonl", CHANGES["edited"](lines, 9))))
    (tmp_path / "good.zip").write_bytes(zipped(log.files))
    (tmp_path / "verify.py").write_bytes(verify_py())
    (tmp_path / "trust.json").write_text(json.dumps(log.trust))

    good, bad = (
        subprocess.run(
            [sys.executable, "-I", "verify.py", name, "--trust", "trust.json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        for name in ("good.zip", "bad.zip")
    )

    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, f"verdict: {OK}")
    assert (bad.returncode, bad.stdout.splitlines()[-1]) == (1, f"verdict: {BROKEN}")
    assert "entry 9 (as logged): was changed or left out" in bad.stdout


def test_a_zip_cut_at_any_length_is_never_taken_for_a_bundle(log: Exported, tmp_path: Path) -> None:
    whole = zipped(log.files)
    path = tmp_path / "cut.zip"
    for size in sample(range(0, len(whole), 997), PLACES):
        path.write_bytes(whole[:size])
        done = subprocess.run(
            [sys.executable, "-I", "-c", "import sys; sys.argv[0] = 'verify.py'; exec(sys.stdin.read())", str(path)],
            input=verify_py(),
            capture_output=True,
            check=False,
        )

        assert done.returncode == 1, size
        assert b"cannot be read as a folder or zip" in done.stderr
        assert not zipfile.is_zipfile(path)
