"""Ten thousand redacted fields in one export: every proof holds, and each is shown as withheld."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from leverframe.core.bundles import zipped
from leverframe.core.disclosures import redaction_from
from leverframe.domain.evidence import EventType
from leverframe.domain.ids import RunId
from leverframe.sdk.onefile import verify_py
from leverframe.sdk.report import BROKEN, OK
from leverframe.sdk.verify import verify
from tests.evidence_log import KEYS, POLICY, Log, honest
from tests.unit.test_verify_bundle import rehashed

ENTRIES, FIELDS = 100, 50
COUNT = ENTRIES * FIELDS  # each twice: under its key, and in a text
Files = dict[str, bytes]


MANY = RunId("run_many")


@pytest.fixture(scope="module")
def log() -> Log:
    """A run whose reads answered with many customers' addresses, each also said in the text beside it."""
    log = honest()
    log.entry(EventType.RUN_STARTED, run=MANY, policy_digest=POLICY, actor="agent:refund")
    for number in range(ENTRIES):
        people = [f"person{number * FIELDS + n}@example.org" for n in range(FIELDS)]
        rows = [{"email": one, "note": f"write to {one}, customer {n}"} for n, one in enumerate(people)]
        # A table of fields, as `entry` takes them.
        call: dict[str, Any] = {"run": MANY, "step": str(number)}
        log.entry(EventType.CALL_DECIDED, decision="allow", policy_digest=POLICY, **call)
        log.entry(EventType.CALL_SETTLED, effect_class="read", outcome="ok", value={"rows": rows}, **call)
    return log


@pytest.fixture(scope="module")
def files(log: Log) -> Files:
    """The bundle of the whole log, with all that the run has taught to redact."""
    return log.bundle(redactions={MANY: redaction_from(KEYS, log.disclosures)})


def withheld(files: Files) -> list[str]:
    lines = [json.loads(line) for line in files["disclosures.jsonl"].splitlines()]
    return [line["digest"] for line in lines if line.get("withheld") == "redacted"]


def test_every_proof_holds_and_each_redacted_field_is_shown_as_withheld(log: Log, files: Files) -> None:
    report = verify(files, log.trust(9))

    # Each address stands under its key and in the text; the honest run before has two of its own.
    assert len(withheld(files)) == 2 * COUNT + 3
    assert report.checks["disclosures"].notes == [f"{2 * COUNT + 3} withheld: redacted"]
    assert (report.verdict, report.checks["disclosures"].failed, report.checks["tree"].failed) == (OK, 0, 0)


def test_no_address_is_anywhere_in_the_bundle(files: Files) -> None:
    given = [json.loads(line) for line in files["disclosures.jsonl"].splitlines() if b'"disclosure"' in line]
    opened = b"".join(base64.urlsafe_b64decode(one["disclosure"] + "==") for one in given)

    assert b"@example.org" not in opened + b"".join(files.values())
    assert b"customer 0" in opened, "what is not redacted is given"


def test_every_inclusion_proof_of_the_run_holds_too(log: Log) -> None:
    of_others = {one.digest for one in honest().disclosures}
    of_many = [one for one in log.disclosures if one.digest not in of_others]
    files = log.bundle(
        run_id=MANY, consistency=[9], redactions={MANY: redaction_from(KEYS, log.disclosures)}, disclosures=of_many
    )

    report = verify(files, log.trust(9))

    assert (report.verdict, report.checks["tree"].checked) == (OK, len(files["leaves.jsonl"].splitlines()))
    assert report.checks["head"].status == "passed"


def test_one_that_is_missing_among_them_is_unexplained(log: Log, files: Files) -> None:
    gone = withheld(files)[COUNT]
    lines = [line for line in files["disclosures.jsonl"].splitlines(keepends=True) if gone.encode() not in line]

    report = verify(rehashed({**files, "disclosures.jsonl": b"".join(lines)}), log.trust())

    assert report.verdict == BROKEN
    assert report.checks["disclosures"].places == [
        f"a given value holds the place of {gone}, which is neither given nor explained"
    ]


def test_the_program_says_so_to_an_auditor(log: Log, files: Files, tmp_path: Path) -> None:
    (tmp_path / "bundle.zip").write_bytes(zipped(files))
    (tmp_path / "verify.py").write_bytes(verify_py())
    (tmp_path / "trust.json").write_text(json.dumps(log.trust()))

    done = subprocess.run(
        [sys.executable, "-I", "verify.py", "bundle.zip", "--trust", "trust.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "verdict: OK")
    assert f"{2 * COUNT + 3} withheld: redacted" in " ".join(done.stdout.split())
