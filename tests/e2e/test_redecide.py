"""Recorded decisions, decided again: the same inputs give the same answer, and anything else is told (I9)."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from leverframe.core.disclosures import seal
from leverframe.core.redaction import redaction_of
from leverframe.domain.evidence import Disclosure
from leverframe.domain.ids import RunId
from leverframe.domain.json import Json
from leverframe.runtime.outcomes import HeldBack
from leverframe.runtime.redeciding import Contracts, Redecided, RunRecord, Standing, _record, redecide, redecide_all
from tests.door_desk import CONTRACT, TENANT, Desk, open_desk, write_desk
from tests.evidence_project import asked, granted, held, new_project
from tests.meta.tree import ROOT

DENIED: dict[str, Json] = {
    "approval_id": "apr_1",
    "denied_by": "person:lena",
    "denied_at": "2026-01-01T00:00:00.000000Z",
    "reason": "",
}
RULES = """\
    - id: few-vouchers
      then: hold
      tools: [send_voucher]
      when: history.count("send_voucher", "24h", "run") >= 1
    - id: no-more-than
      then: deny
      tools: [issue_refund]
      when: history.sum("issue_refund", "amount_usd", "24h", "run") + args.amount_usd > 200
    - {id: only-users, then: hold, tools: [set_status], when: 'integrity(args.status) < "user"'}
"""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    write_desk(tmp_path, CONTRACT.replace("approval:\n", f"{RULES}approval:\n"))
    with open_desk(tmp_path) as opened:
        yield opened


def work(desk: Desk) -> RunId:
    """Calls of every kind: allowed, held, granted, denied by rules, a person and a schema; facts and history."""
    run = desk.open("c_1", message="Refund W00001, and set it to shipped", email="jane@example.com")
    desk.call(run, "look_up", {"order_id": "W00001"})
    desk.call(run, "look_up", {"order_id": "W00003"})
    desk.call(run, "no such tool", {"x": 1})
    desk.call(run, "issue_refund", {"order_id": "W00001"})
    desk.call(run, "issue_refund", {"order_id": "W00001", "amount_usd": 20, "note": "for jane@example.com"})
    held = desk.call(run, "issue_refund", {"order_id": "W00001", "amount_usd": 120}, step="big")
    assert isinstance(held, HeldBack)
    desk.grant(held)
    desk.call(run, "issue_refund", {"order_id": "W00001", "amount_usd": 120}, step="big")
    desk.call(run, "issue_refund", {"order_id": "W00001", "amount_usd": 100})
    refused = desk.call(run, "issue_refund", {"order_id": "W00002", "amount_usd": 55}, step="refused")
    desk.deny(refused, reason="not twice")
    desk.call(run, "issue_refund", {"order_id": "W00002", "amount_usd": 55}, step="refused")
    desk.call(run, "issue_refund", {"order_id": "W00002", "amount_usd": 5})
    for order in ("W00001", "W00002"):
        desk.call(run, "send_voucher", {"order_id": order})
    desk.call(run, "set_status", {"order_id": "W00001", "status": "shipped"})
    desk.call(run, "issue_refund", {"order_id": "W00009", "amount_usd": 5})
    return run.run_id


def again(desk: Desk, run_id: RunId | None = None) -> list[Redecided]:
    async def all_of_it() -> list[Redecided]:
        found = redecide_all(desk.runner.services, desk.runner.releases, TENANT, run_id)
        return [one async for one in found]

    return desk.do(all_of_it())


def test_every_recorded_decision_is_decided_alike(desk: Desk) -> None:
    run_id = work(desk)

    found = again(desk)

    decided = desk.leaves(run_id, "call.decided", "model.called")
    assert len(found) == len(decided) >= 20
    assert [one for one in found if one.standing not in {Standing.SAME, Standing.NOT_POLICY}] == []
    said = {(one.call, one.recorded) for one in found if one.standing is Standing.SAME}
    assert {("issue_refund", word) for word in ("allow", "hold", "deny")} <= said
    assert Counter(one.standing for one in found)[Standing.NOT_POLICY] == 1


def test_the_same_answer_comes_in_another_process_after_the_project_moved_on(desk: Desk, tmp_path: Path) -> None:
    run_id = work(desk)
    before = again(desk, run_id)
    desk.close()
    contract = (tmp_path / "workflows/desk.yaml").read_text(encoding="utf-8")
    (tmp_path / "workflows/desk.yaml").write_text(contract.replace("own-orders-only", "other-name"), encoding="utf-8")

    words = [sys.executable, "-m", "leverframe", "-C", str(tmp_path), "--json", "evidence", "redecide", run_id]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)

    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["counts"]["different"] == told["counts"]["undecidable"] == 0
    assert told["counts"]["same"] == sum(one.standing is Standing.SAME for one in before)


def record_of(desk: Desk, run_id: RunId) -> RunRecord:
    return desk.do(_record(desk.runner.services, TENANT, run_id))


def resealed(
    desk: Desk, record: RunRecord, entry_id: str, changes: dict[str, Json] | None = None, *, without: str = ""
) -> RunRecord:
    """The record with other inputs of one decision: what somebody who can write the database would leave."""
    entries = list(record.entries)
    at = next(n for n, one in enumerate(entries) if one["entry_id"] == entry_id)
    sealed = entries[at]["_sd"]
    assert isinstance(sealed, list)
    value = desk.disclosed(RunId(record.run_id), str(sealed[0]))
    inputs = {name: one for name, one in {**value, **(changes or {})}.items() if name != without}
    fresh = seal("call", inputs, redaction=redaction_of(()), salts=iter([b"s" * 16]), token_key=b"k")
    entries[at] = {**entries[at], "_sd": [fresh[0].digest]}
    kept: dict[str, Disclosure] = {**record.disclosures, fresh[0].digest: fresh[0]}
    return replace(record, entries=entries, disclosures=kept)


@pytest.mark.parametrize(
    "changes",
    [
        {"granted": None},
        {"reasons": []},
        {"schema_error": "/amount_usd: expected number"},
        {"asker": "door"},
        {"denied_before": {**DENIED, "is_same_run": True}},
        {"denied_before": {**DENIED, "is_same_run": False}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_other_inputs_or_another_answer_are_told(desk: Desk, changes: dict[str, Json]) -> None:
    run_id = work(desk)
    decided = desk.leaves(run_id, "call.decided")
    granted = next(leaf for leaf in decided if leaf["decision"] == "allow" and "approval_id" in leaf)
    forged = resealed(desk, record_of(desk, run_id), granted["entry_id"], changes)

    found = redecide(forged, Contracts(desk.runner.releases))

    told = {one.entry_id: one for one in found}
    assert told.pop(granted["entry_id"]).standing is Standing.DIFFERENT
    assert {one.standing for one in told.values()} <= {Standing.SAME, Standing.NOT_POLICY}


@pytest.mark.parametrize("missing", ["windows", "cost", "history", "envelope", "asker", "granted", "denied_before"])
def test_an_input_that_was_never_recorded_is_undecidable(desk: Desk, missing: str) -> None:
    run_id = work(desk)
    entry = desk.leaves(run_id, "call.decided")[0]
    forged = resealed(desk, record_of(desk, run_id), entry["entry_id"], without=missing)

    found = redecide(forged, Contracts(desk.runner.releases))

    assert next(one for one in found if one.entry_id == entry["entry_id"]).standing is Standing.UNDECIDABLE


def test_another_word_in_the_entry_is_told(desk: Desk) -> None:
    run_id = work(desk)
    record = record_of(desk, run_id)
    entries = [
        {**one, "decision": "allow"} if one.get("type") == "call.decided" and one["decision"] == "deny" else one
        for one in record.entries
    ]

    found = redecide(replace(record, entries=entries), Contracts(desk.runner.releases))

    differing = [one for one in found if one.standing is Standing.DIFFERENT]
    assert differing
    assert all("decided now deny" in one.why for one in differing)


def test_values_that_are_gone_are_undecidable_and_never_guessed(desk: Desk) -> None:
    run_id = work(desk)
    record = record_of(desk, run_id)
    lost = {digest for digest, one in record.disclosures.items() if one.is_redacted}
    assert lost

    without_parts = replace(
        record, disclosures={digest: one for digest, one in record.disclosures.items() if digest not in lost}
    )
    without_any = replace(record, disclosures={})
    without_release = replace(record, files={})

    for found in (without_parts, without_any, without_release):
        told = redecide(found, Contracts(desk.runner.releases))
        assert Standing.DIFFERENT not in {one.standing for one in told}
        assert Standing.UNDECIDABLE in {one.standing for one in told}
    assert {one.standing for one in redecide(without_any, Contracts(desk.runner.releases))} == {Standing.UNDECIDABLE}


def test_a_run_of_a_model_that_was_recorded_is_decided_again_and_goes_on_after_an_edit(tmp_path: Path) -> None:
    """The recording is the project's and in no release; a release loads beside it."""
    root = new_project(tmp_path / "desk")
    run_id, approval_id = held(root)
    path = root / "workflows" / "refund_request.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "\n# a later release\n", encoding="utf-8")
    project = root / "leverframe.yaml"
    bounded = "\nbudgets: [{workflow: later, window: day, max_usd: 5}]\n"
    project.write_text(project.read_text(encoding="utf-8") + bounded, encoding="utf-8")
    (root / "workflows" / "later.yaml").write_text(path.read_text("utf-8").replace("refund_request", "later"), "utf-8")

    granted(root, approval_id)

    words = [sys.executable, "-m", "leverframe", "-C", str(root), "--json", "evidence", "redecide", run_id]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    told = json.loads(done.stdout)
    assert asked(root, "SELECT state, outcome FROM runs") == [("ended", "success")]
    assert (told["counts"]["different"], told["counts"]["undecidable"]) == (0, 0)
    assert told["counts"]["same"] >= 6
