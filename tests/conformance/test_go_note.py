"""Go's own checkpoint and tree code agrees with ours in both directions: `sumdb/note` and `sumdb/tlog`."""

import base64
import hashlib
import json
import os
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leverframe.core import merkle
from leverframe.core.notes import open_checkpoint, parse_vkey
from leverframe.domain.evidence import TreeState
from leverframe.domain.ids import RunId
from leverframe.sdk.heads import check_signature, is_included, is_prefix
from leverframe.sdk.report import Check
from tests.evidence_log import RUN, Log, honest
from tests.evidence_project import finished, granted, held, new_project
from tests.meta.tree import ROOT
from tests.typed import Shell

GO_CODE = "/usr/share/gocode"
pytestmark = pytest.mark.needs(program="go", folder=f"{GO_CODE}/src/golang.org/x/mod/sumdb")

# The documents of bundles and of the Go program: a test looks at the part that it is about.
Question = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """The compiled program of tests/conformance/go."""

    program: Path

    # Any: as Question.
    def ask(self, question: Question) -> dict[str, Any]:
        done = subprocess.run([self.program], input=json.dumps(question), capture_output=True, text=True, check=True)
        # Any: as Question.
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> Go:
    """Compiled from the sources that the system installed; no module is downloaded."""
    folder = tmp_path_factory.mktemp("go")
    offline = {"GO111MODULE": "off", "GOFLAGS": "", "GOPATH": GO_CODE, "GOCACHE": str(folder / "cache")}
    subprocess.run(
        ["go", "build", "-o", str(folder / "verify"), str(ROOT / "tests" / "conformance" / "go" / "verify.go")],
        env=os.environ | offline,
        check=True,
    )
    return Go(program=folder / "verify")


def text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def asked_of(files: dict[str, bytes], vkey: str, leaves: list[bytes] | None = None) -> Question:
    """A bundle of one run as a question: its checkpoint, and each of its entries with its proof."""
    proofs = [json.loads(line) for line in files["proofs.jsonl"].splitlines()]
    return {
        "VKey": vkey,
        "Note": text(files["checkpoint"]),
        "Inclusion": [
            {"Index": proof["index"], "Leaf": text(leaf), "Hashes": proof["hashes"]}
            for proof, leaf in zip(proofs, files["leaves.jsonl"].splitlines(), strict=True)
        ],
        "Leaves": [text(leaf) for leaf in leaves or []],
    }


def with_prefixes(question: Question, log: Log, files: dict[str, bytes]) -> Question:
    proofs = {proof["from"]: proof["hashes"] for proof in json.loads(files["consistency.json"])}
    seen = [
        {"Size": size, "Root": text(log.head(size).root), "Hashes": hashes} for size, hashes in sorted(proofs.items())
    ]
    return question | {"Consistency": seen}


def long_log() -> Log:
    """Fifty entries, so that proofs have several lengths."""
    log = honest()
    while len(log.drafts) < 50:
        log.drafts += honest().drafts
    del log.drafts[50:]
    return log


@pytest.fixture(scope="module")
def bundle() -> tuple[Log, dict[str, bytes]]:
    log = long_log()
    return log, log.bundle(run_id=RUN, consistency=range(1, 50))


def test_go_verifies_our_checkpoint_and_every_proof(go: Go, bundle: tuple[Log, dict[str, bytes]]) -> None:
    log, files = bundle

    answer = go.ask(with_prefixes(asked_of(files, log.signer().vkey), log, files))

    assert answer["Problems"] == []
    assert (answer["Origin"], answer["Size"]) == (log.head().origin, 50)
    assert base64.b64decode(answer["Root"]) == log.head().root


def test_go_verifies_the_bundle_of_a_real_run(
    go: Go, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(new_project(tmp_path / "desk"), capsys, monkeypatch)
    run_id, seen = finished(shell.root), tmp_path / "seen.json"
    shell.type("evidence", "trust", "--out", str(seen))
    granted(shell.root, held(shell.root)[1])
    files, vkey = exported(shell, run_id, tmp_path / "bundle.zip", seen)
    head = json.loads(seen.read_text())["head"]
    (proof,) = json.loads(files["consistency.json"])
    prefix = {"Size": head["size"], "Root": head["root"], "Hashes": proof["hashes"]}

    answer = go.ask(asked_of(files, vkey) | {"Consistency": [prefix]})

    assert proof["from"] == head["size"] < answer["Size"]
    assert len(proof["hashes"]) > 0
    assert answer["Problems"] == []


def exported(shell: Shell, run_id: RunId, out: Path, seen: Path) -> tuple[dict[str, bytes], str]:
    told = shell.type("evidence", "export", "--run", run_id, "--out", str(out), "--seen", str(seen))
    assert told.code == 0, told.err
    with zipfile.ZipFile(out) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return files, json.loads(seen.read_text())["vkey"]


def test_go_and_we_make_the_same_tree_and_the_same_proofs(go: Go, bundle: tuple[Log, dict[str, bytes]]) -> None:
    log, files = bundle

    answer = go.ask(asked_of(files, log.signer().vkey, log.leaves()))

    grown = merkle.extend(TreeState(), [merkle.leaf_hash(leaf) for leaf in log.leaves()])
    nodes = {(node.level, node.index): node.hash for node in grown.nodes}

    def stored(level: int, index: int) -> bytes:
        return nodes[level, index]

    assert base64.b64decode(answer["OwnRoot"]) == merkle.root(grown.state)
    for one in answer["Inclusion"]:
        ours = [text(digest) for digest in merkle.inclusion_proof(one["Index"], 50, stored)]
        assert one["Hashes"] == ours
    for one in answer["Consistency"][:-1]:
        ours = [text(digest) for digest in merkle.consistency_proof(one["Size"], 50, stored)]
        assert (one["Hashes"], base64.b64decode(one["Root"])) == (ours, log.head(one["Size"]).root)


def test_we_verify_what_go_signs_and_proves(go: Go, bundle: tuple[Log, dict[str, bytes]]) -> None:
    log, files = bundle

    answer = go.ask(asked_of(files, log.signer().vkey, log.leaves()))

    note, vkey = base64.b64decode(answer["SignedNote"]), answer["SignedVKey"]
    head, check = open_checkpoint(note, parse_vkey(vkey)), Check("signature")
    read = check_signature(note, vkey, check)
    assert (head.size, head.root) == (50, log.head().root)
    assert read is not None
    assert (read.size, read.root, check.status) == (50, head.root, "passed")
    for one in answer["Inclusion"]:
        digest = hashlib.sha256(b"\x00" + base64.b64decode(one["Leaf"])).digest()
        proof = [base64.b64decode(each) for each in one["Hashes"]]
        assert is_included(digest, one["Index"], 50, proof, head.root)
        assert merkle.verify_inclusion(digest, one["Index"], 50, proof, head.root)
    for one in answer["Consistency"]:
        old, old_root = one["Size"], base64.b64decode(one["Root"])
        proof = [base64.b64decode(each) for each in one["Hashes"]]
        assert is_prefix(old, old_root, 50, head.root, proof)
        assert merkle.verify_consistency(old, old_root, 50, head.root, proof)


def flipped(encoded: str) -> str:
    raw = bytearray(base64.b64decode(encoded))
    raw[len(raw) // 2] ^= 1
    return text(bytes(raw))


def test_go_refuses_what_we_refuse(go: Go, bundle: tuple[Log, dict[str, bytes]]) -> None:
    log, files = bundle
    good = with_prefixes(asked_of(files, log.signer().vkey), log, files)
    wrong_leaf, wrong_place, forked = (json.loads(json.dumps(good)) for _ in range(3))
    wrong_leaf["Inclusion"][3]["Leaf"] = flipped(good["Inclusion"][3]["Leaf"])
    wrong_place["Inclusion"][3]["Index"] += 1
    forked["Consistency"][6]["Root"] = flipped(good["Consistency"][6]["Root"])

    index = good["Inclusion"][3]["Index"]
    assert problems(go, wrong_leaf) == [f"inclusion of {index}"]
    assert problems(go, wrong_place) == [f"inclusion of {index + 1}"]
    assert problems(go, forked) == ["consistency from 7"]
    assert problems(go, good | {"Note": flipped(good["Note"])})[0].startswith("note")
    assert problems(go, good | {"VKey": Log(key=Ed25519PrivateKey.generate()).signer().vkey})[0].startswith("note")


def problems(go: Go, question: Question) -> list[str]:
    return [one.split(":")[0] for one in go.ask(question)["Problems"]]
