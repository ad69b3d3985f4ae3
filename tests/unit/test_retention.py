"""What is too old goes, once, recorded, and every proof still holds."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from leverframe.domain.proposals import CommitResult, Proposal
from leverframe.ports.store import Writer
from leverframe.runtime import retention
from leverframe.runtime.exporting import Scope, make_bundle
from leverframe.runtime.retention import Pruned, prune
from leverframe.runtime.why import why
from leverframe.runtime.why_answers import Why
from leverframe.wiring.assembly import Assembly
from leverframe.wiring.clock import SystemClock
from tests.evidence_project import TENANT, asked, finished, held, new_project, places, tamper, verified, within

KEPT_DAYS = 90
Travel = Callable[[int], None]


@pytest.fixture
def travel(monkeypatch: pytest.MonkeyPatch) -> Travel:
    """Let the clock of every process that is opened from now on run so many days ahead."""

    def ahead(days: int) -> None:
        class Later(SystemClock):
            def now(self) -> datetime:
                return super().now() + timedelta(days=days)

        monkeypatch.setattr("leverframe.wiring.assembly.SystemClock", Later)

    return ahead


def pruned(root: Path, at_most: int = retention.AT_MOST) -> tuple[Pruned, ...]:
    async def now(assembly: Assembly) -> tuple[Pruned, ...]:
        return await prune(assembly.services, at_most=at_most)

    return within(root, now, create=False)


def kept(root: Path) -> int:
    """How many values are stored."""
    ((found,),) = asked(root, "SELECT count(*) FROM disclosures")
    assert isinstance(found, int)
    return found


def recorded(root: Path) -> int:
    """How many entries say that values went."""
    return len(asked(root, "SELECT 1 FROM leaves WHERE type = 'retention.pruned'"))


class DiesAfter:
    """A writer whose process is killed after so many proposals."""

    def __init__(self, writer: Writer, proposals: int) -> None:
        self._writer = writer
        self._left = proposals

    async def commit(self, proposal: Proposal) -> CommitResult:
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1
        return await self._writer.commit(proposal)

    async def close(self) -> None:
        await self._writer.close()


def test_nothing_that_is_young_enough_is_touched(tmp_path: Path, travel: Travel) -> None:
    root = new_project(tmp_path / "desk")
    finished(root)
    before = kept(root)
    travel(KEPT_DAYS - 1)

    done = pruned(root)

    assert (done, kept(root), recorded(root)) == ((), before, 0)


def test_what_is_too_old_goes_with_one_entry_and_every_proof_holds(tmp_path: Path, travel: Travel) -> None:
    root = new_project(tmp_path / "desk")
    finished(root)
    before = kept(root)
    assert places(verified(root)) == ""
    travel(KEPT_DAYS + 1)

    (done,) = pruned(root)

    report = verified(root)
    assert (done.workflow, done.count, kept(root), recorded(root)) == ("refund_request", before, 0, 1)
    assert places(report) == ""
    assert report.checks["disclosures"].notes == ["18 withheld: retention"]


def test_a_run_that_has_not_ended_keeps_its_values(tmp_path: Path, travel: Travel) -> None:
    root = new_project(tmp_path / "desk")
    held(root)
    before = kept(root)
    travel(10 * KEPT_DAYS)

    done = pruned(root)

    assert (done, kept(root)) == ((), before)


def test_what_did_not_fit_into_one_start_goes_at_the_next(tmp_path: Path, travel: Travel) -> None:
    root = new_project(tmp_path / "desk")
    finished(root)
    before = kept(root)
    travel(KEPT_DAYS + 1)

    (first,) = pruned(root, at_most=7)
    between = verified(root)
    (second,) = pruned(root)

    assert (first.count, second.count, kept(root)) == (7, before - 7, 0)
    assert places(between) == ""
    assert places(verified(root)) == ""


def test_a_crash_between_two_batches_leaves_no_gap(
    tmp_path: Path, travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = new_project(tmp_path / "desk")
    finished(root)
    travel(KEPT_DAYS + 1)
    monkeypatch.setattr(retention, "BATCH", 5)

    async def cut_short(assembly: Assembly) -> None:
        services = assembly.services
        with pytest.raises(KeyboardInterrupt):
            await prune(replace(services, writer=DiesAfter(services.writer, proposals=2)))

    within(root, cut_short, create=False)

    assert kept(root) > 0
    assert places(verified(root)) == ""


def test_a_value_that_only_somebody_with_sql_deleted_is_not_explained(tmp_path: Path, travel: Travel) -> None:
    root = new_project(tmp_path / "desk")
    finished(root)
    travel(KEPT_DAYS + 1)
    pruned(root)
    finished(root)
    tamper(root, "DELETE FROM disclosures WHERE rowid = (SELECT max(rowid) FROM disclosures)")

    report = verified(root)

    assert "neither given nor explained" in places(report)
    assert report.verdict == "BROKEN"


def test_why_says_what_is_gone_and_still_proves_the_rest(tmp_path: Path, travel: Travel) -> None:
    root = new_project(tmp_path / "desk")
    run_id = finished(root)
    travel(KEPT_DAYS + 1)

    async def ask(assembly: Assembly) -> Why:
        return await why(assembly.services, run_id)

    answers = within(root, ask)

    gone = f"was deleted after its {KEPT_DAYS} days (retain_days); its digest and every proof stay"
    assert answers.asked.missing == f"the input {gone}"
    assert {call.missing for call in answers.calls} == {f"what it was called with {gone}"}
    assert [call.decisions[0].rule for call in answers.calls] == ["allow_tools", "allow_tools", "issue_refund/approval"]
    assert (answers.inclusion.problem, answers.inclusion.checked) == ("", 22)


def test_an_export_says_that_values_are_gone_by_retention(tmp_path: Path, travel: Travel) -> None:
    root = new_project(tmp_path / "desk")
    run_id = finished(root)
    travel(KEPT_DAYS + 1)

    async def collect(assembly: Assembly) -> dict[str, int]:
        return dict((await make_bundle(assembly.services, Scope(tenant=TENANT, run_id=run_id))).withheld)

    assert within(root, collect) == {"retention": 18}


def test_a_process_that_only_reads_deletes_nothing(tmp_path: Path, travel: Travel) -> None:
    root = new_project(tmp_path / "desk")
    finished(root)
    before = kept(root)
    travel(KEPT_DAYS + 1)

    async def read(assembly: Assembly) -> None:
        await assembly.services.evidence.tree(TENANT)

    within(root, read, create=False)
    after_reading = kept(root)
    within(root, read, create=True)

    assert (after_reading, kept(root)) == (before, 0)
