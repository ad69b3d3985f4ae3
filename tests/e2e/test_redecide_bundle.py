"""Decisions of an export, made again on another machine: an auditor's checkout of the project and the bundle."""

import base64
import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest

from leverframe.cli.main import main
from leverframe.core.bundles import zipped
from leverframe.sdk.report import BROKEN, SELF_CONSISTENT
from leverframe.sdk.verify import read_bundle, verify
from tests.evidence_project import finished, hostile, new_project
from tests.typed import Shell

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a finished run and a hostile one, and the bundle of its log."""
    root = new_project(tmp_path_factory.mktemp("there") / "desk")
    finished(root)
    hostile(root)
    with pytest.MonkeyPatch.context() as monkeypatch:
        from_there(root, monkeypatch, "evidence", "export", "--all", "--out", str(root.parent / "bundle.zip"))
    return root


def from_there(root: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.chdir(root)
    assert main(list(words)) == 0


@pytest.fixture
def auditor(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A checkout without its log."""
    root = tmp_path / "checkout"
    shutil.copytree(made, root, ignore=shutil.ignore_patterns(".leverframe", "shop.db*"))
    shutil.copy(made.parent / "bundle.zip", root / "bundle.zip")
    monkeypatch.chdir(root)
    return Shell(root, capsys, monkeypatch)


def counts(shell: Shell, *words: str) -> dict[str, int]:
    told = shell.type("evidence", "redecide", "--bundle", "bundle.zip", *words, "--json")
    found: dict[str, int] = json.loads(told.out)["counts"]
    assert told.code == (1 if found["different"] else 0)
    return found


def repacked(shell: Shell, change: Callable[[Files], None]) -> None:
    path = shell.root / "bundle.zip"
    files = read_bundle(path)
    change(files)
    path.write_bytes(zipped(files))


def test_every_decision_of_a_bundle_is_made_again_without_the_log(auditor: Shell) -> None:
    found = counts(auditor)

    assert (found["different"], found["undecidable"]) == (0, 0)
    assert found["same"] >= 6
    assert not (auditor.root / ".leverframe").exists()


def test_one_run_of_it_may_be_named_and_one_that_is_not_in_it_is_refused(auditor: Shell) -> None:
    with ZipFile(auditor.root / "bundle.zip") as archive:
        entries = [json.loads(line) for line in archive.read("leaves.jsonl").splitlines()]
    run_ids = list(dict.fromkeys(entry["run_id"] for entry in entries if "run_id" in entry))

    each = [counts(auditor, run_id) for run_id in run_ids]
    other = auditor.type("evidence", "redecide", "--bundle", "bundle.zip", "run_x")

    assert len(each) == 2
    assert sum(one["same"] for one in each) == counts(auditor)["same"]
    assert (other.code, "has no run 'run_x'" in other.err) == (2, True)


def test_another_release_in_the_checkout_changes_no_answer(auditor: Shell) -> None:
    """The contract comes out of the bundle; the Python of its tools is the same file."""
    path = auditor.root / "workflows" / "refund_request.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("threshold_usd: 50", "threshold_usd: 5000"), "utf-8")

    found = counts(auditor)

    assert (found["different"], found["undecidable"]) == (0, 0)


def test_python_that_the_checkout_has_not_is_never_run_and_its_decisions_are_undecidable(
    auditor: Shell, tmp_path: Path
) -> None:
    trace = tmp_path / "was-run"
    tool_file = auditor.root / "tools" / "shop.py"
    original = tool_file.read_bytes()
    tool_file.write_bytes(original + b"\n# another\n")

    def plant(files: Files) -> None:
        """The tool's file under its own digest, and one that leaves a trace, as a hostile owner would pack them."""
        planted = original + f"\nopen({str(trace)!r}, 'w')\n".encode()
        files["policy/" + _sha(original)] = planted

    assert counts(auditor)["same"] == 0
    repacked(auditor, plant)
    auditor.type("evidence", "redecide", "--bundle", "bundle.zip")

    assert not trace.exists()


def _sha(content: bytes) -> str:
    return sha256(content).hexdigest()


def test_a_bundle_that_does_not_hold_together_is_not_decided(auditor: Shell) -> None:
    def change(files: Files) -> None:
        files["leaves.jsonl"] = files["leaves.jsonl"].replace(b'"allow"', b'"deny" ', 1)

    repacked(auditor, change)
    told = auditor.type("evidence", "redecide", "--bundle", "bundle.zip")

    assert told.code == 1
    assert "does not hold together" in told.err
    assert verify(read_bundle(auditor.root / "bundle.zip"), None).verdict == BROKEN


def test_what_is_no_bundle_is_said(auditor: Shell) -> None:
    (auditor.root / "bundle.zip").write_bytes(b"PK")

    told = auditor.type("evidence", "redecide", "--bundle", "bundle.zip")

    assert (told.code, "is no evidence bundle" in told.err) == (1, True)


def test_values_that_were_not_given_are_undecidable(auditor: Shell) -> None:
    def withhold(files: Files) -> None:
        lines = [json.loads(line) for line in files["disclosures.jsonl"].splitlines()]
        tops = [_digest(line["disclosure"]) for line in lines if "disclosure" in line]
        withheld = [{"digest": digest, "name": "x", "withheld": "out-of-scope"} for digest in tops]
        files["disclosures.jsonl"] = b"".join(json.dumps(line).encode() + b"\n" for line in withheld)
        manifest = json.loads(files["manifest.json"])
        manifest["files"]["disclosures.jsonl"] = _sha(files["disclosures.jsonl"])
        files["manifest.json"] = json.dumps(manifest).encode()

    repacked(auditor, withhold)

    found = counts(auditor)
    assert verify(read_bundle(auditor.root / "bundle.zip"), None).verdict == SELF_CONSISTENT
    assert (found["same"], found["different"]) == (0, 0)
    assert found["undecidable"] >= 6


def _digest(encoded: str) -> str:
    return base64.urlsafe_b64encode(sha256(encoded.encode()).digest()).rstrip(b"=").decode()
