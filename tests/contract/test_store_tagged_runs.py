"""Runs against whoever has SQL: a row that Leverframe did not write is not gone on with, and is named."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from leverframe.domain.errors import AuthorityForged
from leverframe.domain.evidence import EntryDraft, EventType
from leverframe.domain.proposals import OpenRun, Proposal, PutRun, RunIs
from leverframe.domain.runs import Run, RunOutcome, RunState
from leverframe.ports.audit import StoredRun, Unreadable
from leverframe.ports.store import RunFilter
from leverframe.store import Store, open_audit, open_sqlite
from tests.store_samples import ACME, RUN, Bench, a_disclosure, a_run, after, an_entry, new_step
from tests.vaults import vault_beside

OPEN = RunIs(run_id=RUN, state=RunState.OPEN)
INPUT = a_disclosure("input", b'"a late parcel"')
Shell = Callable[..., None]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Change the database as somebody with SQL would."""

    def run(*statements: str) -> None:
        with closing(sqlite3.connect(tmp_path / "leverframe.db")) as db, db:
            for statement in statements:
                assert db.execute(statement).rowcount, statement

    return run


@pytest.fixture
def opened(bench: Bench) -> Bench:
    """One open run with its first entry."""
    run = a_run(input_ref=INPUT.digest)
    bench.commit(OpenRun(run=run, windows=()), entries=(began(run),))
    return bench


def began(run: Run) -> EntryDraft:
    """The entry that a run's row is told by."""
    return an_entry(
        f"began {run.run_id}",
        type=EventType.RUN_STARTED,
        run_id=run.run_id,
        actor=run.initiator,
        release_digest=run.release_digest,
        policy_digest=run.policy_digest,
        environment=run.environment,
        detail={"workflow": run.workflow, "kind": run.kind, "launcher": run.launcher},
        disclosures=(INPUT,),
    )


def refused(bench: Bench) -> str:
    """Write under the guard that every write of a run stands under; returns the problem's own words."""
    with pytest.raises(AuthorityForged) as caught:
        bench.propose(new_step(), guards=(OPEN,))
    assert bench.do(bench.store.journal.steps(RUN)) == []
    return caught.value.message


COLUMNS = [
    "environment = 'prod'",
    "workflow = 'other'",
    "kind = 'chain'",
    "release_digest = 'b'",
    "policy_digest = 'b'",
    "initiator = 'agent:other'",
    "launcher = 'os:other'",
    "opened_us = opened_us + 1",
    "state = 'parked'",
    "outcome = 'success'",
    "stop_reason = 'x'",
    "handoff_queue = 'x'",
    "ended_us = 1",
    "active_us = 1",
    "waited_us = 1",
    "subject_digest = x'00'",
    "item = 'line-1'",
    "input_ref = 'x'",
    "output_ref = 'x'",
    "is_recorded_model = 1",
    "tenant = 'globex'",
    "tag = NULL",
    "tag = x'01'",
    "tag = zeroblob(33)",
]


def test_every_column_is_tried() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        schema = Path("src/leverframe/store/schema.sql").read_text(encoding="utf-8")
        db.executescript(schema)
        names = {name for _, name, *_ in db.execute("PRAGMA table_info(runs)")}

    assert {change.split(" = ")[0] for change in COLUMNS} == names - {"run_id"}


@pytest.mark.parametrize("change", COLUMNS)
def test_a_row_that_was_changed_is_neither_read_nor_listed(opened: Bench, shell: Shell, change: str) -> None:
    shell(f"UPDATE runs SET {change}")  # noqa: S608 - the cases are above

    with pytest.raises(AuthorityForged, match="Run 'run_1' was changed outside of Leverframe"):
        opened.do(opened.store.journal.run(RUN))
    with pytest.raises(AuthorityForged):
        opened.do(opened.store.journal.runs(RunFilter()))


@pytest.mark.parametrize("forged", ["state = 'ended'", "state = 'parked'", "state = 'nonsense'"])
def test_a_guard_fails_closed_on_another_state(opened: Bench, shell: Shell, forged: str) -> None:
    shell(f"UPDATE runs SET {forged}")  # noqa: S608 - the cases are above

    assert opened.refuse(new_step(), guards=(OPEN,)).guard == "RunIs"


def parked(bench: Bench) -> None:
    bench.commit(PutRun(run=a_run(input_ref=INPUT.digest, state=RunState.PARKED), expect=RunState.OPEN))


def test_a_run_that_was_opened_with_sql_takes_no_write(opened: Bench, shell: Shell) -> None:
    parked(opened)
    shell("UPDATE runs SET state = 'open'")

    assert refused(opened).startswith("Run 'run_1' was changed outside of Leverframe")
    with pytest.raises(AuthorityForged):
        opened.propose(PutRun(run=a_run(), expect=RunState.OPEN))


def test_a_row_that_was_inserted_with_sql_is_refused(opened: Bench, shell: Shell) -> None:
    columns = "tenant, environment, workflow, kind, release_digest, policy_digest, initiator, launcher, opened_us,"
    rest = """state, outcome, stop_reason, handoff_queue, ended_us, active_us, waited_us, subject_digest, item,
              input_ref, output_ref, is_recorded_model, tag"""
    # The names are those of our schema.
    shell(f"INSERT INTO runs (run_id, {columns} {rest}) SELECT 'run_2', {columns} {rest} FROM runs")  # noqa: S608

    with pytest.raises(AuthorityForged, match="'run_2'"):
        opened.do(opened.store.journal.run(type(RUN)("run_2")))
    assert opened.do(opened.store.journal.run(RUN)) == a_run(input_ref=INPUT.digest)


def test_an_ended_run_whose_older_row_is_put_back_is_refused(opened: Bench, shell: Shell) -> None:
    shell("CREATE TABLE saved AS SELECT * FROM runs")
    ended = a_run(state=RunState.ENDED, outcome=RunOutcome.SUCCESS, ended_at=after(1))
    entry = an_entry("ended", type=EventType.RUN_ENDED, outcome="success")
    opened.commit(PutRun(run=ended, expect=RunState.OPEN), entries=(entry,))

    shell("DELETE FROM runs", "INSERT INTO runs SELECT * FROM saved")

    with pytest.raises(AuthorityForged, match="it is open, and the log says that it has ended"):
        opened.do(opened.store.journal.run(RUN))


def test_other_runs_go_on_beside_a_forged_one(opened: Bench, shell: Shell) -> None:
    opened.open_run(a_run("run_2"))
    shell("UPDATE runs SET release_digest = 'b' WHERE run_id = 'run_1'")

    opened.commit(PutRun(run=a_run("run_2", state=RunState.PARKED), expect=RunState.OPEN))

    found = opened.do(opened.store.journal.run(a_run("run_2").run_id))
    assert found is not None
    assert found.state is RunState.PARKED


def test_another_process_that_wrote_the_row_is_believed(opened: Bench, tmp_path: Path) -> None:
    async def park_and_reopen() -> None:
        path = tmp_path / "leverframe.db"
        other = open_sqlite(path, create=False, vault=vault_beside(path))
        for state, expect in ((RunState.PARKED, RunState.OPEN), (RunState.OPEN, RunState.PARKED)):
            change = PutRun(run=a_run(state=state, active_us=7), expect=expect)
            await other.writer.commit(Proposal(tenant=ACME, changes=(change,)))
        await other.close()

    asyncio.run(park_and_reopen())

    opened.commit(new_step(), guards=(OPEN,))


def test_an_audit_says_which_row_is_not_tagged(opened: Bench, shell: Shell, tmp_path: Path) -> None:
    opened.open_run(a_run("run_2"))
    opened.open_run(a_run("run_3"))
    shell(
        "UPDATE runs SET initiator = 'agent:other' WHERE run_id = 'run_2'",
        "UPDATE runs SET state = 'x' WHERE run_id = 'run_3'",
    )
    path = tmp_path / "leverframe.db"

    with closing(open_audit(path, vault_beside(path))) as audit:
        found = audit.runs(ACME)

    assert {one.run.run_id: one.is_tagged for one in found if isinstance(one, StoredRun)} == {
        "run_1": True,
        "run_2": False,
    }
    assert [one.key for one in found if isinstance(one, Unreadable)] == ["run_3"]


def reopened(bench: Bench, path: Path) -> Store:
    bench.do(bench.store.close())
    return open_sqlite(path, create=False, vault=vault_beside(path))


def test_a_run_of_an_earlier_version_is_tagged_where_the_log_says_the_same(
    opened: Bench, shell: Shell, tmp_path: Path
) -> None:
    shell("UPDATE runs SET tag = NULL")

    store = reopened(opened, tmp_path / "leverframe.db")

    assert opened.do(store.journal.run(RUN)) == a_run(input_ref=INPUT.digest)
    opened.do(store.close())


@pytest.mark.parametrize(
    "forgery",
    [
        ("UPDATE runs SET release_digest = 'b'",),
        ("UPDATE runs SET policy_digest = 'b'",),
        ("UPDATE runs SET initiator = 'agent:other'",),
        ("UPDATE runs SET state = 'ended', outcome = 'success'",),
        ("UPDATE runs SET input_ref = ''",),
        (
            "UPDATE runs SET release_digest = replace(release_digest, '1111', '2222')",
            "UPDATE leaves SET leaf = CAST(replace(CAST(leaf AS TEXT), '1111', '2222') AS BLOB)",
        ),
        ("DELETE FROM leaves",),
        ("UPDATE leaves SET leaf = x'00'",),
        ("UPDATE leaves SET leaf = CAST('[]' AS BLOB)",),
    ],
)
def test_whoever_takes_the_tag_away_gets_no_forged_row_blessed(
    opened: Bench, shell: Shell, tmp_path: Path, forgery: tuple[str, ...]
) -> None:
    shell("UPDATE runs SET tag = NULL", *forgery)

    store = reopened(opened, tmp_path / "leverframe.db")

    with pytest.raises(AuthorityForged):
        opened.do(store.journal.run(RUN))
    opened.do(store.close())
