"""Keys, kill switches, raised budgets, endorsements: one generation, one guard, and rows that nobody forges."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from leverframe.domain.authority import ApiKey, Authority, BudgetRaise, Endorsement, KeyScope, KillScope, KillSwitch
from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.errors import AuthorityForged
from leverframe.domain.evidence import EventType
from leverframe.domain.ids import BudgetId, EnvironmentName, KeyId, PrincipalId, RunId, Sha256, StepPath, TeamName
from leverframe.domain.labels import Integrity
from leverframe.domain.proposals import (
    AuthorityIs,
    Change,
    CommitResult,
    Committed,
    Proposal,
    PutEndorsement,
    PutKey,
    PutKill,
    PutRaise,
)
from tests.store_samples import ACME, GLOBEX, NOW, WORKFLOW, Bench, after, an_entry, new_step

LENA = PrincipalId("person:lena")
MONTH = BudgetId("tenant/acme/month")
Script = Callable[..., None]


# Any of the fields of a key, by name
def a_key(key_id: str = "key_1", **changes: object) -> ApiKey:
    key = ApiKey(
        key_id=KeyId(key_id),
        tenant=ACME,
        team=TeamName("support"),
        name="bot",
        secret_sha256=Sha256("5" * 64),
        workflows=frozenset({WORKFLOW}),
        environments=frozenset({EnvironmentName("sandbox")}),
        scopes=frozenset({KeyScope.CALL}),
        owner=LENA,
        created_at=NOW,
        expires_at=NOW + timedelta(days=90),
    )
    return replace(key, **changes)  # type: ignore[arg-type]  # the fields are checked by the dataclass's users


EVERYTHING = KillSwitch(scope=KillScope.EVERYTHING, by=LENA, at=NOW, reason_ref="why")
OF_TOOL = KillSwitch(scope=KillScope.TOOL, name="issue_refund", tenant=ACME, by=LENA, at=NOW)
RAISED = BudgetRaise(
    budget=MONTH, tenant=ACME, unit=BudgetUnit.USD, amount=50_000_000, until=after(7_200), by=LENA, at=NOW
)

ENDORSED = Endorsement(
    run_id=RunId("run_1"),
    tenant=ACME,
    step=StepPath("0"),
    integrity=Integrity.TENANT_RECORD,
    value_digest=b"\x05" * 32,
    detail_ref="a digest",
    by=LENA,
    at=NOW,
)


def authority(bench: Bench) -> Authority:
    return bench.do(bench.store.authority.authority())


@pytest.fixture
def shell(tmp_path: Path) -> Script:
    """Change the database as somebody with SQL would."""

    def run(*statements: str) -> None:
        with closing(sqlite3.connect(tmp_path / "leverframe.db")) as db, db:
            for statement in statements:
                assert db.execute(statement).rowcount, statement

    return run


@pytest.fixture
def governed(bench: Bench) -> Bench:
    """One key, one kill switch and one raised budget, each told in the log."""
    changes: list[tuple[Change, EventType]] = [
        (PutKey(key=a_key()), EventType.KEY_CREATED),
        (PutKill(kill=EVERYTHING, is_on=True), EventType.KILLSWITCH_SET),
        (PutRaise(budget_raise=RAISED), EventType.BUDGET_RAISED),
    ]
    for number, (change, event) in enumerate(changes, start=1):
        bench.commit(change, entries=(an_entry(f"change {number}", type=event, detail={"generation": number}),))
    return bench


def test_a_store_that_nobody_changed_is_at_generation_zero_with_nothing(bench: Bench) -> None:
    assert authority(bench) == Authority()
    assert bench.do(bench.store.authority.generation()) == 0


def test_what_was_put_is_read_back_and_every_change_is_a_generation(governed: Bench) -> None:
    assert authority(governed) == Authority(
        generation=3, keys={KeyId("key_1"): a_key()}, kills=(EVERYTHING,), raises=(RAISED,)
    )


def test_a_key_that_is_put_again_keeps_what_it_is_for_and_gets_a_new_end(governed: Bench) -> None:
    changed = a_key(expires_at=after(60), revoked_at=after(30), name="other", workflows=frozenset({"more"}))

    governed.commit(PutKey(key=replace(a_key(), expires_at=after(60), revoked_at=after(30))))

    assert authority(governed).keys[KeyId("key_1")] == replace(changed, name="bot", workflows=frozenset({WORKFLOW}))


def test_a_switch_is_cleared_by_its_scope_name_and_tenant_alone(governed: Bench) -> None:
    governed.commit(PutKill(kill=OF_TOOL, is_on=True))

    governed.commit(PutKill(kill=replace(OF_TOOL, tenant=None), is_on=False))
    assert authority(governed).kills == (EVERYTHING, OF_TOOL)
    governed.commit(PutKill(kill=replace(OF_TOOL, by=PrincipalId("os:maria"), at=after(9)), is_on=False))

    assert authority(governed).kills == (EVERYTHING,)


def test_raises_add_up_and_those_that_are_over_go(governed: Bench) -> None:
    later = replace(RAISED, at=after(7_200), until=after(9_000))

    governed.commit(PutRaise(budget_raise=replace(RAISED, amount=1, at=after(10))))
    assert [one.amount for one in authority(governed).raises] == [50_000_000, 1]
    governed.commit(PutRaise(budget_raise=later))

    assert authority(governed).raises == (later,)


@pytest.mark.parametrize(
    "change",
    [
        PutKey(key=a_key(tenant=GLOBEX)),
        PutKey(key=a_key(workflows=frozenset())),
        PutKey(key=a_key(environments=frozenset())),
        PutKey(key=a_key(scopes=frozenset())),
        PutRaise(budget_raise=replace(RAISED, tenant=GLOBEX)),
        PutRaise(budget_raise=replace(RAISED, amount=0)),
        PutEndorsement(endorsement=replace(ENDORSED, tenant=GLOBEX)),
    ],
)
def test_a_change_of_another_tenant_or_for_nothing_is_a_bug_and_changes_nothing(
    bench: Bench, change: PutKey | PutRaise | PutEndorsement
) -> None:
    with pytest.raises(ValueError, match=r"is of 'globex', not of 'acme'|is for nothing|A row of a proposal"):
        bench.propose(change)

    assert authority(bench) == Authority()


def test_a_proposal_that_rests_on_an_older_generation_is_refused_whole(governed: Bench) -> None:
    governed.open_run()
    guard = AuthorityIs(generation=3)
    governed.commit(new_step("1"), guards=(guard,))
    governed.commit(PutKill(kill=OF_TOOL, is_on=True))

    failed = governed.refuse(new_step("2"), guards=(guard,))

    assert failed.guard == "AuthorityIs"
    assert "generation 4, decided under 3" in failed.detail
    assert [step.path for step in governed.do(governed.store.journal.steps(new_step().step.run_id))] == ["1"]


def test_in_one_transaction_the_guard_sees_what_the_proposals_before_it_changed(governed: Bench) -> None:
    """All wait at once, so that they share a batch: the number is read once, and again after a change."""
    governed.open_run()
    writer = governed.store.writer
    throw = PutKill(kill=OF_TOOL, is_on=True)
    stale = PutKill(kill=replace(OF_TOOL, name="other"), is_on=True)

    asked: list[tuple[int, Change]] = [
        (3, new_step("1")),
        (3, throw),
        (3, new_step("2")),
        (3, stale),
        (4, new_step("3")),
    ]

    async def all_at_once() -> list[CommitResult]:
        guarded = [
            Proposal(tenant=ACME, guards=(AuthorityIs(generation=number),), changes=(change,))
            for number, change in asked
        ]
        return await asyncio.gather(*(writer.commit(one) for one in guarded))

    results = governed.do(all_at_once())

    assert [isinstance(one, Committed) for one in results] == [True, True, False, False, True]
    assert authority(governed).generation == 4


def test_a_change_that_fails_after_its_row_leaves_no_generation_behind(governed: Bench) -> None:
    """Both wait at once: the second must be judged by the generation that stands, not by that of the failed one."""
    governed.open_run()
    governed.commit(new_step("1"))
    writer = governed.store.writer
    fails = Proposal(tenant=ACME, changes=(PutKill(kill=OF_TOOL, is_on=True), new_step("1")))
    rests = Proposal(tenant=ACME, guards=(AuthorityIs(generation=3),), changes=(new_step("2"),))

    async def both() -> tuple[CommitResult | BaseException, CommitResult | BaseException]:
        return await asyncio.gather(writer.commit(fails), writer.commit(rests), return_exceptions=True)

    first, second = governed.do(both())

    assert not isinstance(first, Committed)
    assert isinstance(second, Committed)
    assert authority(governed).kills == (EVERYTHING,)


PUT_A_KEY = """
INSERT INTO api_keys SELECT 'key_2', tenant, team, 'mine', secret_sha256, '["everything"]', environments, scopes, owner,
                            created_us, NULL, NULL, NULL, tag FROM api_keys
"""
CLEAR_THE_KILL = "DELETE FROM kill_switches"
RAISE_IT_TWICE = """
INSERT INTO budget_raises SELECT 99, budget, tenant, unit, amount, until_us, raised_by, at_us, reason_ref, tag
                            FROM budget_raises
"""
RAISE_IT_MORE = "UPDATE budget_raises SET amount = amount * 100"


@pytest.mark.parametrize(
    "forgery",
    [
        (PUT_A_KEY,),
        ("UPDATE api_keys SET expires_us = NULL",),
        ("UPDATE api_keys SET workflows = '[\"other\"]'",),
        ("UPDATE api_keys SET secret_sha256 = 'mine'", "UPDATE api_keys SET tag = zeroblob(33)"),
        ("DELETE FROM api_keys",),
        (CLEAR_THE_KILL,),
        (CLEAR_THE_KILL, "UPDATE authority SET generation = 4"),
        (CLEAR_THE_KILL, "DELETE FROM authority"),
        ("UPDATE kill_switches SET scope = 'tool', name = 'nothing'",),
        (RAISE_IT_MORE,),
        ("UPDATE budget_raises SET until_us = until_us + 1",),
        (RAISE_IT_TWICE,),
        ("UPDATE authority SET generation = 2",),
        ("DELETE FROM authority", "DELETE FROM api_keys", CLEAR_THE_KILL, "DELETE FROM budget_raises"),
    ],
)  # fmt: skip
def test_rows_that_were_changed_with_sql_are_refused_and_nothing_is_built_on_them(
    governed: Bench, shell: Script, forgery: tuple[str, ...]
) -> None:
    shell(*forgery)

    with pytest.raises(AuthorityForged, match="changed outside of Leverframe"):
        authority(governed)
    with pytest.raises(AuthorityForged):
        governed.propose(PutKill(kill=OF_TOOL, is_on=True))


def endorse(bench: Bench) -> None:
    entry = an_entry("endorsed", type=EventType.LABEL_ENDORSED, detail={"generation": 4})
    bench.commit(PutEndorsement(endorsement=ENDORSED), entries=(entry,))


def test_an_endorsement_is_read_back_beside_the_rest_and_is_a_generation(governed: Bench) -> None:
    endorse(governed)

    found = authority(governed)

    assert (found.generation, found.endorsements, found.raises) == (4, (ENDORSED,), (RAISED,))
    assert found.endorsed(RunId("run_2")) == ()


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE endorsements SET integrity = 'user'",
        "UPDATE endorsements SET run_id = 'run_2'",
        "UPDATE endorsements SET step = '1'",
        "UPDATE endorsements SET value_digest = zeroblob(32)",
        "UPDATE endorsements SET detail_ref = 'another digest'",
        "DELETE FROM endorsements",
    ],
)
def test_an_endorsement_that_was_changed_with_sql_is_refused(governed: Bench, shell: Script, forgery: str) -> None:
    endorse(governed)
    shell(forgery)

    with pytest.raises(AuthorityForged, match="changed outside of Leverframe"):
        authority(governed)


def test_all_of_it_put_back_as_it_was_is_seen_since_the_log_knows_a_later_generation(
    governed: Bench, tmp_path: Path
) -> None:
    tables = ("authority", "api_keys", "kill_switches", "budget_raises")
    with closing(sqlite3.connect(tmp_path / "leverframe.db")) as db:
        before = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in tables}  # noqa: S608 - our names
    entry = an_entry("revoked", type=EventType.KEY_REVOKED, detail={"generation": 4})
    governed.commit(PutKey(key=a_key(revoked_at=NOW)), entries=(entry,))

    with closing(sqlite3.connect(tmp_path / "leverframe.db")) as db, db:
        for name, rows in before.items():
            db.execute(f"DELETE FROM {name}")  # noqa: S608 - our names
            marks = ", ".join("?" * len(rows[0]))
            db.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)  # noqa: S608 - our names

    with pytest.raises(AuthorityForged, match="the log has generation 4"):
        authority(governed)
