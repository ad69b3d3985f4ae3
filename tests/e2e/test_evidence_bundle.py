"""Bundles of real runs: an outsider verifies them with one file, and nothing redacted is in them."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from leverframe.core.canonical import decode
from leverframe.domain.ids import RunId
from leverframe.sdk.onefile import verify_py
from tests.evidence_project import EMAIL, asked, finished, granted, held, hostile, new_project
from tests.typed import Shell


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunId]:
    """A project and its first run, which was held, granted and done; another waits, a third was hostile."""
    root = new_project(tmp_path_factory.mktemp("ran") / "desk", message=f" Write to {EMAIL}, please.")
    run_id = finished(root)
    held(root)
    hostile(root)
    return root, run_id


@pytest.fixture
def run_id(ran: tuple[Path, RunId]) -> RunId:
    return ran[1]


@pytest.fixture
def shell(
    ran: tuple[Path, RunId], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    return Shell(shutil.copytree(ran[0], tmp_path / "desk"), capsys, monkeypatch)


def exported(shell: Shell, *words: str) -> Path:
    """Export, with a trust file beside it."""
    out = shell.root.parent / "bundle.zip"
    told = shell.type("evidence", "export", *words, "--out", str(out), "--trust", str(out.with_suffix(".json")))
    assert told.code == 0, told.err
    return out


def judged(bundle: Path, *words: str) -> tuple[int, dict[str, str], str]:
    """What `verify.py` says as a program of its own: exit code, status of each check, verdict."""
    verifier = bundle.parent / "verify.py"
    verifier.write_bytes(verify_py())
    done = subprocess.run(
        [sys.executable, "-I", str(verifier), str(bundle), "--json", *words], capture_output=True, check=False
    )
    report = json.loads(done.stdout)
    return done.returncode, {one["name"]: one["status"] for one in report["checks"]}, report["verdict"]


def files_of(bundle: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def values_of(bundle: Path) -> list[bytes]:
    """Every given value of a bundle, as it is disclosed."""
    lines = [json.loads(line) for line in files_of(bundle)["disclosures.jsonl"].splitlines()]
    return [base64.urlsafe_b64decode(one["disclosure"] + "==") for one in lines if "disclosure" in one]


@pytest.mark.parametrize("scope", ["run", "log"])
def test_an_outsider_verifies_a_bundle_with_a_trust_file(shell: Shell, run_id: RunId, scope: str) -> None:
    bundle = exported(shell, *(["--all"] if scope == "log" else ["--run", run_id]))

    code, checks, verdict = judged(bundle, "--trust", str(bundle.with_suffix(".json")))

    not_here = {name for name, status in checks.items() if status == "not checkable here"}
    assert (code, verdict) == (0, "OK")
    assert not_here == {"S8", "S9", "S10"} | ({"S11"} if scope == "run" else set())


def test_without_a_trust_file_it_is_only_self_consistent(shell: Shell, run_id: RunId) -> None:
    bundle = exported(shell, "--run", run_id)

    code, checks, verdict = judged(bundle)

    assert (code, checks["head"], verdict) == (0, "not checkable here", "self-consistent")
    assert "trust.json" not in files_of(bundle)


@pytest.mark.parametrize("scope", ["run", "log"])
def test_nothing_redacted_is_in_a_bundle_by_key_or_by_value(shell: Shell, run_id: RunId, scope: str) -> None:
    bundle = exported(shell, *(["--all"] if scope == "log" else ["--run", run_id]))

    given = values_of(bundle)
    withheld = [json.loads(line) for line in files_of(bundle)["disclosures.jsonl"].splitlines() if b"withheld" in line]
    reasons = {one["withheld"] for one in withheld}
    assert [value for value in given if EMAIL.encode() in value.lower()] == []
    assert reasons == {"redacted", "contains-redacted"}
    assert all(EMAIL.encode() not in content for content in files_of(bundle).values())


def test_a_bundle_of_hashes_gives_no_value(shell: Shell, run_id: RunId) -> None:
    bundle = exported(shell, "--run", run_id, "--hashes-only")

    code, checks, verdict = judged(bundle, "--trust", str(bundle.with_suffix(".json")))

    assert (code, checks["disclosures"], verdict) == (0, "not checkable here", "OK")
    assert "disclosures.jsonl" not in files_of(bundle)


def test_the_policy_that_decided_is_in_the_bundle_under_its_digest(shell: Shell, run_id: RunId) -> None:
    bundle = exported(shell, "--run", run_id)

    entries = [decode(line) for line in files_of(bundle)["leaves.jsonl"].splitlines()]
    digests = {str(entry["policy_digest"]) for entry in entries if isinstance(entry, dict) and "policy_digest" in entry}
    policies = {name: content for name, content in files_of(bundle).items() if name.startswith("policy/")}
    assert all(hashlib.sha256(policies[f"policy/{digest}"]).hexdigest() == digest for digest in digests)
    assert any(b'- tool: "issue_refund"' in content for content in policies.values()), "the contract as it was written"


def test_an_export_is_recorded_with_the_digest_of_the_file(shell: Shell, run_id: RunId) -> None:
    bundle = exported(shell, "--run", run_id)

    ((leaf,),) = asked(shell.root, "SELECT leaf FROM leaves WHERE type = 'export.created'")
    assert isinstance(leaf, bytes)
    detail = json.loads(leaf)["detail"]
    assert detail["sha256"] == hashlib.sha256(bundle.read_bytes()).hexdigest()
    assert (detail["scope"], detail["values"]) == (run_id, "given")


def test_a_run_bundle_proves_that_the_log_continues_what_was_seen(shell: Shell, run_id: RunId) -> None:
    seen = shell.root.parent / "seen.json"
    shell.type("evidence", "trust", "--out", str(seen))
    _, approval_id = held(shell.root)
    granted(shell.root, approval_id)

    bundle = exported(shell, "--run", run_id, "--seen", str(seen))

    code, checks, verdict = judged(bundle, "--trust", str(seen))
    assert (code, checks["head"], verdict) == (0, "passed", "OK")


@pytest.mark.parametrize("name", ["leaves.jsonl", "disclosures.jsonl", "proofs.jsonl", "checkpoint", "manifest.json"])
def test_one_changed_byte_breaks_a_bundle(shell: Shell, run_id: RunId, name: str) -> None:
    bundle = exported(shell, "--run", run_id)
    files = files_of(bundle)
    at = len(files[name]) // 2
    while not files[name][at : at + 1].isalnum():
        at += 1
    changed = b"0" if files[name][at : at + 1] != b"0" else b"1"
    files[name] = files[name][:at] + changed + files[name][at + 1 :]
    with zipfile.ZipFile(bundle, "w") as archive:
        for each, content in files.items():
            archive.writestr(each, content)

    done = subprocess.run(
        [sys.executable, "-I", "-c", "import sys; sys.argv[0] = 'verify.py'; exec(sys.stdin.read())", str(bundle)],
        input=verify_py(),
        capture_output=True,
        check=False,
    )

    assert done.returncode == 1
    assert b"verdict: BROKEN" in done.stdout + done.stderr


def test_an_export_overwrites_nothing(shell: Shell, run_id: RunId) -> None:
    out = shell.root.parent / "bundle.zip"
    out.write_text("mine")

    told = shell.type("evidence", "export", "--run", run_id, "--out", str(out))

    assert (told.code, out.read_text()) == (2, "mine")
    assert asked(shell.root, "SELECT count(*) FROM leaves WHERE type = 'export.created'") == [(0,)]


def test_an_export_into_no_folder_records_nothing(shell: Shell, run_id: RunId) -> None:
    told = shell.type("evidence", "export", "--run", run_id, "--out", str(shell.root / "nowhere" / "bundle.zip"))

    assert told.code == 3
    assert "cannot be written" in told.err
    assert asked(shell.root, "SELECT count(*) FROM leaves WHERE type = 'export.created'") == [(0,)]


def test_a_run_that_is_not_there_is_said(shell: Shell) -> None:
    told = shell.type("evidence", "export", "--run", "run_nope", "--out", str(shell.root / "bundle.zip"))

    assert told.code == 2
    assert "There is no run 'run_nope' here." in told.err


def test_a_log_that_was_cut_renews_no_trust_file(shell: Shell) -> None:
    trust, state = shell.root.parent / "trust.json", shell.root / ".leverframe"
    shutil.copytree(state, shell.root.parent / "older")
    held(shell.root)
    shell.type("evidence", "trust", "--out", str(trust))
    before = trust.read_bytes()
    shutil.rmtree(state)
    shutil.copytree(shell.root.parent / "older", state)

    told = shell.type("evidence", "trust", "--out", str(trust))

    assert told.code == 1
    assert "cut or rolled back" in told.err
    assert trust.read_bytes() == before


def test_an_entry_is_shown_with_its_values_and_placeholders(shell: Shell, run_id: RunId) -> None:
    of_run, one = shell.type("evidence", "show", run_id, "--json"), shell.type("evidence", "show", "1")

    assert [entry["leaf"]["type"] for entry in of_run.json][:2] == ["run.started", "model.called"]
    assert "Write to [email withheld 1], please." in of_run.out
    assert EMAIL not in of_run.out + one.out
    assert one.out.splitlines()[0].split()[:2] == ["1", "run.started"]


@pytest.mark.parametrize("wanted", ["9999", "ent_nope", "run_nope", "apr_nope"])
def test_an_entry_that_is_not_there_is_said(shell: Shell, wanted: str) -> None:
    told = shell.type("evidence", "show", wanted)

    assert told.code == 2
    assert told.out == ""


def test_why_fits_on_one_screen(shell: Shell, run_id: RunId) -> None:
    told = shell.type("why", run_id)

    lines = told.out.splitlines()
    labels = ["asked for", "called", "data", "allowed by", "approved by", "cost", "evidence", "undo"]
    assert told.code == 0
    assert max(len(line) for line in lines) <= 100
    assert len(lines) <= 24
    assert [label for label in labels if not any(line.startswith(label) for line in lines)] == []
    assert "from a recording: no model was asked" in told.out
    assert "issue_refund/approval  workflows/refund_request.yaml:15" in told.out
    assert "used once" in told.out
    assert "verified now against" in told.out


def test_why_as_data_says_the_same(shell: Shell, run_id: RunId) -> None:
    told = shell.type("why", run_id, "--json").json

    refund = told["calls"][-1]
    assert (told["run"]["run_id"], told["evidence"]["is_verified"]) == (run_id, True)
    assert [one["decision"] for one in refund["decisions"]] == ["hold", "allow"]
    assert refund["approval"]["answers"][0]["answer"] == "granted"


def test_why_of_a_call_in_a_file_says_what_the_policy_says(shell: Shell) -> None:
    call = {"workflow": "refund_request", "tool": "issue_refund", "args": {"order_id": "#W1", "amount_usd": 20}}
    path = shell.write("call.json", json.dumps(call))

    told = shell.type("why", str(path))

    assert told.code == 0
    assert "HOLD by issue_refund/approval workflows/refund_request.yaml:15" in told.out
