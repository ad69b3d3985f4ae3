"""The offline verifier: an honest bundle passes, and each kind of lie is named where it stands."""

import base64
import json
from collections.abc import Callable
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leverframe.core.redaction import redaction_of
from leverframe.domain.evidence import EventType, Withheld, WithheldReason
from leverframe.domain.ids import RunId
from leverframe.sdk.report import BROKEN, OK, SELF_CONSISTENT, Report
from leverframe.sdk.verify import verify
from tests.evidence_log import POLICY, READ, RUN, Log, honest

Files = dict[str, bytes]


def failed(report: Report) -> dict[str, list[str]]:
    return {name: check.places for name, check in report.checks.items() if check.failed}


def rehashed(files: Files) -> Files:
    """The manifest of a liar who changes it along with the files."""
    manifest = json.loads(files["manifest.json"])
    manifest["files"] = {name: sha256(data).hexdigest() for name, data in files.items() if name != "manifest.json"}
    return {**files, "manifest.json": json.dumps(manifest).encode()}


def test_an_honest_log_is_ok_with_a_trust_file_and_self_consistent_without() -> None:
    log = honest()

    report, alone = verify(log.bundle(), log.trust(5)), verify(log.bundle(), None)

    assert (failed(report), report.verdict) == ({}, OK)
    assert (failed(alone), alone.verdict) == ({}, SELF_CONSISTENT)
    assert "No trust file" in alone.text()


def test_each_check_is_passed_failed_or_not_checkable_here() -> None:
    log = honest()

    statuses = {name: check.status for name, check in verify(log.bundle(), log.trust()).checks.items()}

    assert {name for name, status in statuses.items() if status != "passed"} == {"S8", "S9", "S10"}
    assert {statuses[name] for name in ("S8", "S9", "S10")} == {"not checkable here"}


@pytest.mark.parametrize("size", [0, 1, 7, 18])
def test_a_head_seen_before_is_a_prefix_of_the_log(size: int) -> None:
    log = honest()

    report = verify(log.bundle(), log.trust(size))

    assert (report.verdict, report.checks["head"].status) == (OK, "passed")


def test_a_bundle_of_one_run_verifies_by_inclusion_proofs() -> None:
    log = honest()
    log.entry(EventType.RUN_STARTED, run=RunId("run_2"), policy_digest=POLICY, actor="agent:x")

    report = verify(log.bundle(run_id=RUN, consistency=[7]), log.trust(7))

    assert (failed(report), report.verdict) == ({}, OK)
    assert report.checks["tree"].checked == 14
    assert report.checks["head"].status == "passed"
    assert report.checks["S11"].status == "not checkable here"


def test_a_run_without_a_proof_from_the_head_seen_says_so() -> None:
    log = honest()

    report = verify(log.bundle(run_id=RUN), log.trust(7))

    assert (report.verdict, report.checks["head"].status) == (OK, "not checkable here")


def test_hashes_only_leaves_the_values_out_and_says_so() -> None:
    log = honest()
    files = log.bundle(has_values=False)

    report = verify(files, log.trust())

    assert (report.verdict, report.checks["disclosures"].status) == (OK, "not checkable here")
    assert "disclosures.jsonl" not in files


def test_what_is_redacted_is_nowhere_in_a_bundle_and_is_listed_as_withheld() -> None:
    log = honest()
    log.entry(
        EventType.CALL_SETTLED, action_digest=READ, effect_class="read", outcome="ok", value="call +49 151 at once"
    )
    learned = redaction_of(["email"], {"+49 151": "phone"})

    files = log.bundle(redactions={RUN: learned})

    everything = (
        b"".join(
            base64.urlsafe_b64decode(json.loads(line).get("disclosure", "") + "==") + line
            for line in files["disclosures.jsonl"].splitlines()
        )
        + files["leaves.jsonl"]
    )
    assert b"ana@b.org" not in everything
    assert b"+49 151" not in everything
    notes = verify(files, log.trust()).checks["disclosures"]
    assert (notes.status, notes.notes) == ("passed", ["1 withheld: contains-redacted", "3 withheld: redacted"])


def test_what_retention_deleted_is_explained_by_its_entry_only() -> None:
    log = honest()
    gone, log.disclosures = log.disclosures[0], log.disclosures[1:]
    log.withheld.append(Withheld(digest=gone.digest, name=gone.name, reason=WithheldReason.RETENTION))
    unexplained = verify(log.bundle(), log.trust())
    log.entry(EventType.RETENTION_PRUNED, run=None, detail={"before": "2030-01-01T00:00:09.000000Z"})

    explained = verify(log.bundle(), log.trust())

    assert list(failed(unexplained)) == ["disclosures"]
    assert explained.verdict == OK


def edit(files: Files, name: str, change: Callable[[bytes], bytes]) -> Files:
    return rehashed({**files, name: change(files[name])})


def swap_lines(data: bytes, one: int, other: int) -> bytes:
    lines = data.splitlines(keepends=True)
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def without_line(data: bytes, number: int) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join(lines[:number] + lines[number + 1 :])


TAMPERED: list[tuple[str, Callable[[Files], Files], str, str]] = [
    (
        "edit",
        lambda f: edit(f, "leaves.jsonl", lambda d: d.replace(b'"ok"', b'"no"', 1)),
        "tree",
        "entry 4 (as logged)",
    ),
    (
        "delete",
        lambda f: edit(f, "leaves.jsonl", lambda d: without_line(d, 6)),
        "tree",
        "entry 6 (as logged): was changed",
    ),
    (
        "reorder",
        lambda f: edit(f, "leaves.jsonl", lambda d: swap_lines(d, 5, 6)),
        "tree",
        "entry 5 (line 6): entries stand",
    ),
    ("truncate", lambda f: edit(f, "leaves.jsonl", lambda d: without_line(d, 17)), "tree", "entry 17 (as logged)"),
    ("cut", lambda f: edit(f, "leaves.jsonl", lambda d: d[:-9]), "entries", "leaves.jsonl does not end"),
    (
        "insert",
        lambda f: edit(f, "leaves.jsonl", lambda d: d + d.splitlines(keepends=True)[0]),
        "tree",
        "entry 18 (line 19)",
    ),
    (
        "no hashes",
        lambda f: edit(edit(f, "leaves.jsonl", lambda d: d[9:]), "hashes.bin", lambda _: b""),
        "tree",
        "hashes.bin",
    ),
    (
        "garbage",
        lambda f: edit(f, "leaves.jsonl", lambda d: b"\xff{\n" + d),
        "entries",
        "entry 0 (unreadable): cannot be judged",
    ),
    ("policy", lambda f: edit(f, f"policy/{POLICY}", lambda d: d + b" "), "policy", f"'policy/{POLICY}'"),
    (
        "value",
        lambda f: edit(f, "disclosures.jsonl", lambda d: d.replace(b'{"disclosure":"W', b'{"disclosure":"X', 1)),
        "disclosures",
        "entry 2 (run.started): the value of",
    ),
    (
        "missing value",
        lambda f: edit(f, "disclosures.jsonl", lambda d: without_line(d, 0)),
        "disclosures",
        "entry 2 (run.started): the value of",
    ),
    (
        "foreign value",
        lambda f: edit(f, "disclosures.jsonl", lambda d: d + b'{"disclosure":"WyJ4Il0"}\n'),
        "disclosures",
        "",
    ),
    ("odd value", lambda f: edit(f, "disclosures.jsonl", lambda d: d + b"[]\n"), "disclosures", "line "),
    (
        "unnamed place",
        lambda f: edit(
            f, "disclosures.jsonl", lambda d: b"".join(x for x in d.splitlines(True) if b"withheld" not in x)
        ),
        "disclosures",
        "a given value holds the place of",
    ),
    (
        "checkpoint",
        lambda f: edit(f, "checkpoint", lambda d: d.replace(b"\n18\n", b"\n17\n")),
        "signature",
        "the signature of",
    ),
    (
        "no checkpoint",
        lambda f: rehashed({k: v for k, v in f.items() if k != "checkpoint"}),
        "signature",
        "the head or its",
    ),
    ("manifest", lambda f: {**f, "README.txt": b"x"}, "files", "'README.txt' is not the file"),
    ("extra", lambda f: {**f, "more": b"x"}, "files", "'more' is not in the manifest"),
    ("lost", lambda f: {k: v for k, v in f.items() if k != "hashes.bin"}, "files", "'hashes.bin' is missing"),
]


@pytest.mark.parametrize(("tamper", "check", "place"), [one[1:] for one in TAMPERED], ids=[one[0] for one in TAMPERED])
def test_a_changed_file_is_named_with_its_place(tamper: Callable[[Files], Files], check: str, place: str) -> None:
    log = honest()

    report = verify(tamper(log.bundle()), log.trust(3))

    assert report.verdict == BROKEN
    assert any(one.startswith(place) for one in failed(report).get(check, [])), failed(report)


def test_every_flipped_byte_of_entries_values_and_head_is_found() -> None:
    log = honest()
    files = log.bundle()

    for name in ("leaves.jsonl", "disclosures.jsonl", "checkpoint"):
        for at in range(0, len(files[name]), 31):
            flipped = bytearray(files[name])
            flipped[at] ^= 1 << (at % 7)

            report = verify(rehashed({**files, name: bytes(flipped)}), log.trust())

            is_a_name = name == "disclosures.jsonl" and b'"withheld"' in line_at(files[name], at)
            assert report.verdict == BROKEN or is_a_name, (name, at)


def line_at(data: bytes, at: int) -> bytes:
    return data[data.rfind(b"\n", 0, at) + 1 : data.find(b"\n", at)]


def test_a_log_rewritten_with_its_own_key_is_found_by_the_head_seen_and_by_nothing_else() -> None:
    log, rewritten = honest(), honest()
    rewritten.change(EventType.CALL_SETTLED, outcome="error")

    without, with_head = verify(rewritten.bundle(), None), verify(rewritten.bundle(), log.trust(10))

    assert without.verdict == SELF_CONSISTENT
    assert failed(with_head) == {"head": ["the first 10 entries are not those seen before: forked or rewritten"]}


def test_a_rolled_back_log_is_found_by_the_head_seen() -> None:
    log, shorter = honest(), honest()
    del shorter.drafts[14:]

    report = verify(shorter.bundle(has_values=False), log.trust())

    assert failed(report) == {"head": ["18 entries were seen before, and 14 are signed now: rolled back or cut"]}


def test_a_forked_run_is_found_by_its_consistency_proof() -> None:
    log, forked = honest(), honest()
    forked.change(EventType.CALL_SETTLED, outcome="error")

    report = verify(forked.bundle(run_id=RUN, consistency=[10]), log.trust(10))

    assert list(failed(report)) == ["head"]


def test_a_swapped_key_is_found_by_the_trust_file() -> None:
    log = honest()
    stranger = Log(key=Ed25519PrivateKey.from_private_bytes(b"x" * 32), drafts=log.drafts, disclosures=log.disclosures)

    report = verify(stranger.bundle(), log.trust())

    assert "no signature of the key" in failed(report)["signature"][0]
    assert verify(stranger.bundle(), None).verdict == SELF_CONSISTENT


def test_a_bundle_of_another_tenant_is_found() -> None:
    log = honest()

    report = verify(log.bundle(tenant="other"), log.trust())

    assert failed(report) == {"entries": ["the entries are of tenant 'acme', the manifest says 'other'"]}


def test_a_bundle_of_another_run_than_it_says_is_found() -> None:
    log = honest()
    log.entry(EventType.RUN_STARTED, run=RunId("run_2"), policy_digest=POLICY, actor="agent:x")
    files = log.bundle(run_id=RUN)
    claims = {**files, "manifest.json": files["manifest.json"].replace(b'"run_id": "run_1"', b'"run_id": "run_2"')}

    report = verify(claims, log.trust())

    assert failed(report) == {"entries": ["the entries are of 'run_1', the manifest says of run 'run_2'"]}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda d: without_line(d, 13), "line 14 of leaves.jsonl has no readable proof"),
        (lambda d: swap_lines(d, 3, 4), "entry 6 (line 4): its inclusion proof"),
        (lambda d: d.replace(b'"index":5', b'"index":7', 1), "entry 7 (line 4): its inclusion proof"),
    ],
)
def test_a_run_with_a_wrong_proof_is_named(change: Callable[[bytes], bytes], place: str) -> None:
    log = honest()

    report = verify(edit(log.bundle(run_id=RUN), "proofs.jsonl", change), log.trust())

    assert any(one.startswith(place) for one in failed(report)["tree"]), failed(report)


def test_an_entry_left_out_of_a_run_breaks_its_sequence() -> None:
    log = honest()
    files = log.bundle(run_id=RUN)
    cut = {name: without_line(files[name], 5) for name in ("leaves.jsonl", "proofs.jsonl")}

    report = verify(rehashed({**files, **cut}), log.trust())

    assert failed(report)["S6"][0].startswith("entry 8 (approval.requested): is number 7 of 'run_1', expected 6")


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note[:-1],
        lambda note: note[:-1] + b"\x0b",
        lambda note: note + b"\n",
        lambda note: note.replace("\u2014 ".encode(), b""),
        lambda note: note.replace("\u2014 ".encode(), b"- "),
        lambda note: note + "\u2014 other AAAA\n".encode(),
        lambda note: note + "\u2014 other not base64\n".encode(),
    ],
    ids=["no line feed", "another line end", "an empty line", "no dash", "another dash", "too short", "no base64"],
)
def test_a_note_that_other_tools_refuse_is_refused_here_too(change: Callable[[bytes], bytes]) -> None:
    log = honest()
    files = log.bundle()

    report = verify(rehashed({**files, "checkpoint": change(files["checkpoint"])}), log.trust())

    assert "signature" in failed(report)
