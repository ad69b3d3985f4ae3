"""Approvals against whoever has SQL: a row that Leverframe did not write grants nothing, and is named."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from leverframe.domain.approvals import ApprovalState
from leverframe.domain.errors import AuthorityForged
from leverframe.domain.evidence import EventType
from leverframe.domain.ids import ApprovalId
from leverframe.domain.proposals import ApprovalUsable, MoveApproval, Proposal, PutApproval
from leverframe.ports.audit import StoredApproval
from leverframe.store import open_audit
from tests.store_samples import (
    ACME,
    ACTION,
    NOW,
    Bench,
    after,
    an_answer,
    an_approval,
    an_entry,
    answering,
    new_step,
)
from tests.vaults import vault_beside

APPROVAL = ApprovalId("apr_1")
GRANTED, CONSUMED = ApprovalState.GRANTED, ApprovalState.CONSUMED
CONSUME = MoveApproval(approval_id=APPROVAL, expect=GRANTED, to=CONSUMED)
USABLE = ApprovalUsable(approval_id=APPROVAL, action_digest=ACTION, now=after(30))

Script = Callable[..., None]


@pytest.fixture
def shell(tmp_path: Path) -> Script:
    """Change the database as somebody with SQL would."""

    def run(*statements: str) -> None:
        with closing(sqlite3.connect(tmp_path / "leverframe.db")) as db, db:
            for statement in statements:
                assert db.execute(statement).rowcount, statement

    return run


@pytest.fixture
def held(bench: Bench) -> Bench:
    """One approval that nobody answered."""
    bench.open_run()
    bench.commit(PutApproval(approval=an_approval()))
    return bench


@pytest.fixture
def granted(held: Bench) -> Bench:
    """One that may be used."""
    held.commit(answering(GRANTED))
    return held


def use(bench: Bench) -> None:
    """Use the approval for the call that it was given for."""
    entry = an_entry("used", type=EventType.APPROVAL_CONSUMED, approval_id=APPROVAL)
    bench.commit(CONSUME, new_step(), guards=(USABLE,), entries=(entry,))


def refused(bench: Bench) -> str:
    """Try to use it; returns the problem's own words."""
    proposal = Proposal(tenant=ACME, guards=(USABLE,), changes=(CONSUME, new_step()), entries=(an_entry("used"),))
    with pytest.raises(AuthorityForged) as caught:
        bench.do(bench.store.writer.commit(proposal))
    assert bench.do(bench.store.journal.steps(an_approval().run_id)) == []
    return caught.value.message


GRANT_IT = "UPDATE approvals SET state = 'granted', execute_by_us = asked_us + 600000000"
ANSWER_IT = """INSERT INTO approval_answers (approval_id, principal, word, at_us, proof)
               VALUES ('apr_1', 'person:lena', 'grant', 1, 'os-user')"""


@pytest.mark.parametrize(
    "forgery",
    [
        (GRANT_IT,),
        (GRANT_IT, ANSWER_IT),
        (GRANT_IT, ANSWER_IT, "UPDATE approvals SET tag = zeroblob(33)"),
        (GRANT_IT, ANSWER_IT, "UPDATE approvals SET tag = NULL"),
        (GRANT_IT, ANSWER_IT, "UPDATE approvals SET tag = x'01'"),
    ],
)
def test_a_row_that_was_granted_with_sql_is_refused_and_named(
    held: Bench, shell: Script, forgery: tuple[str, ...]
) -> None:
    shell(*forgery)

    message = refused(held)

    assert message.startswith("Approval 'apr_1' was changed outside of Leverframe")


def test_a_row_that_was_inserted_with_sql_is_refused(granted: Bench, shell: Script) -> None:
    shell(
        """INSERT INTO approvals SELECT 'apr_2', tenant, run_id, path, tool, action_digest, rules, requirement,
                  initiator, launcher, selector_digest, asked_us, decide_by_us, state, execute_by_us, decided_us,
                  subject_digest, tag FROM approvals""",
        """INSERT INTO approval_answers (approval_id, principal, word, at_us, proof, viewed_us)
             SELECT 'apr_2', principal, word, at_us, proof, viewed_us FROM approval_answers""",
    )

    guard = ApprovalUsable(approval_id=ApprovalId("apr_2"), action_digest=ACTION, now=after(30))
    with pytest.raises(AuthorityForged, match="'apr_2'"):
        granted.propose(new_step(), guards=(guard,))

    use(granted)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE approvals SET action_digest = 'b'",
        "UPDATE approvals SET execute_by_us = execute_by_us + 3600000000",
        "UPDATE approvals SET run_id = 'run_1', path = '7'",
        "UPDATE approvals SET initiator = 'agent:other'",
        "UPDATE approvals SET launcher = 'os:other'",
        "UPDATE approvals SET requirement = replace(requirement, '\"quorum\":2', '\"quorum\":1')",
        "UPDATE approvals SET rules = '[]'",
        "UPDATE approvals SET tool = 'other'",
        "UPDATE approvals SET subject_digest = x'00'",
        "UPDATE approvals SET decided_us = 0",
        "UPDATE approvals SET selector_digest = x'00'",
        "UPDATE approvals SET decide_by_us = 0",
        "UPDATE approvals SET asked_us = 0",
    ],
)
def test_every_column_is_bound(granted: Bench, shell: Script, change: str) -> None:
    shell(change)

    with pytest.raises(AuthorityForged, match="its row is not what Leverframe wrote"):
        granted.do(granted.store.approvals.approval(APPROVAL))

    assert "apr_1" in refused(granted)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE approval_answers SET principal = 'person:mallory'",
        "UPDATE approval_answers SET at_us = 0",
        "UPDATE approval_answers SET proof = 'passkey'",
        "UPDATE approval_answers SET viewed_us = 1",
        "DELETE FROM approval_answers",
    ],
)
def test_every_answer_is_bound(granted: Bench, shell: Script, change: str) -> None:
    shell(change)

    assert "apr_1" in refused(granted)


def test_an_answer_never_makes_a_changed_row_good(held: Bench, shell: Script) -> None:
    shell("UPDATE approvals SET requirement = replace(requirement, '\"quorum\":2', '\"quorum\":1')")

    with pytest.raises(AuthorityForged):
        held.propose(answering(GRANTED))
    with pytest.raises(AuthorityForged):
        held.propose(MoveApproval(approval_id=APPROVAL, expect=ApprovalState.PENDING, to=ApprovalState.EXPIRED))

    with pytest.raises(AuthorityForged):
        held.do(held.store.approvals.approval(APPROVAL))


def test_a_used_row_that_is_put_back_as_it_was_is_refused(granted: Bench, shell: Script) -> None:
    shell("CREATE TABLE saved AS SELECT * FROM approvals")
    use(granted)

    shell(
        "UPDATE approvals SET (state, tag) = (SELECT state, tag FROM saved)",
        "DELETE FROM steps",
    )

    assert refused(granted).endswith(
        "it is granted, and the log says that it was used.  The call that it is for will not run."
    )


def test_other_calls_go_on_beside_a_forged_row(held: Bench, shell: Script) -> None:
    held.commit(PutApproval(approval=an_approval("apr_2", selector_digest=b"another")))
    shell("UPDATE approvals SET state = 'granted' WHERE approval_id = 'apr_1'")

    held.commit(answering(GRANTED, approval_id="apr_2"))
    guard = ApprovalUsable(approval_id=ApprovalId("apr_2"), action_digest=ACTION, now=after(30))
    held.commit(new_step(), guards=(guard,))

    assert len(held.do(held.store.journal.steps(an_approval().run_id))) == 1


def test_a_denial_that_was_changed_is_not_passed_over(held: Bench, shell: Script) -> None:
    held.commit(answering(ApprovalState.DENIED, answer=an_answer()))
    shell("UPDATE approvals SET tool = 'another'")

    with pytest.raises(AuthorityForged):
        held.do(
            held.store.approvals.denied_like(
                ACME, b"selector", run_id=an_approval().run_id, subject_digest=b"", since=NOW
            )
        )


def test_an_audit_reads_every_row_and_says_which_is_not_tagged(granted: Bench, shell: Script, tmp_path: Path) -> None:
    granted.commit(PutApproval(approval=an_approval("apr_2")))
    shell("UPDATE approvals SET initiator = 'agent:other' WHERE approval_id = 'apr_2'")
    path = tmp_path / "leverframe.db"

    audit = open_audit(path, vault_beside(path))
    found = [one for one in audit.approvals(ACME) if isinstance(one, StoredApproval)]
    (tmp_path / "keys" / "acme.mac.key").unlink()
    without_key = open_audit(path, vault_beside(path))
    unchecked = [one.is_tagged for one in without_key.approvals(ACME) if isinstance(one, StoredApproval)]
    audit.close()
    without_key.close()

    assert {one.approval.approval_id: one.is_tagged for one in found} == {"apr_1": True, "apr_2": False}
    assert unchecked == [False, False]
    assert not (tmp_path / "keys" / "acme.mac.key").exists()
