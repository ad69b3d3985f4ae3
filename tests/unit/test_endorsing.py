"""A person endorses a value of a live run: who may, what it reaches, and what it never reaches."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from leverframe.core.endorsements import Named, named_at, traced_as
from leverframe.core.token_types import compile_types
from leverframe.domain.errors import ApprovalRefused, AuthorityForged, UsageError
from leverframe.domain.evidence import EventType
from leverframe.domain.ids import PrincipalId, StepPath, TenantId
from leverframe.domain.json import Json
from leverframe.domain.labels import Integrity
from leverframe.domain.runs import RunOutcome
from leverframe.runtime.endorsing import Endorsed, Place, endorse
from leverframe.runtime.outcomes import Answered, HeldBack
from leverframe.runtime.outside import OutsideRun
from leverframe.runtime.resolving import PersonsWord
from leverframe.sdk.report import new_checks
from leverframe.sdk.story import Story
from tests.door_desk import Desk, open_desk
from tests.endorsing_project import PARTNER, PEOPLE, sent, write_post

EMAIL = Place(step=StepPath("0"), pointer="/email")
LETTER: dict[str, Json] = {"to": PARTNER}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_desk(write_post(tmp_path, people=PEOPLE)) as opened:
        yield opened


def read(desk: Desk, initiator: str = "agent:post") -> OutsideRun:
    """A run that has read who the partner says they are."""
    opening = replace(desk.opening("post", "", {"name": "north"}), initiator=PrincipalId(initiator))
    run = desk.do(desk.runner.open_outside(desk.contract("post"), opening))
    assert isinstance(desk.call(run, "find_partner", {"name": "north"}), Answered)
    return run


def endorsed(
    desk: Desk, run: OutsideRun, place: Place = EMAIL, integrity: Integrity = Integrity.USER, who: str = "lena"
) -> Endorsed:
    desk.clock.advance(1)
    word = PersonsWord(person=desk.person(who), because="I called them", proof="test")
    done = desk.do(endorse(desk.runner, run.run_id, place, integrity, word))
    desk.clock.advance(1)
    return done


def test_a_live_run_sends_what_was_held_once_its_recipient_is_endorsed(desk: Desk) -> None:
    run = read(desk)
    assert isinstance(desk.call(run, "send_letter", LETTER), HeldBack)
    assert isinstance(desk.call(run, "send_letter", LETTER), HeldBack)

    done = endorsed(desk, run)

    assert (done.before, done.endorsement.integrity) == (Integrity.THIRD_PARTY, Integrity.USER)
    assert isinstance(desk.call(run, "send_letter", LETTER), Answered)
    assert sent(desk.folder) == [PARTNER]


def test_another_process_and_a_rebuilt_run_know_what_was_endorsed(desk: Desk) -> None:
    run = read(desk)
    assert isinstance(desk.call(run, "send_letter", LETTER), HeldBack)

    with open_desk(desk.folder, seed=1) as other:
        other.clock.advance(60)
        endorsed(other, run)
        rebuilt = other.do(other.runner.reopen_outside(run.run_id))
        assert isinstance(other.call(rebuilt, "send_letter", LETTER, step="second"), Answered)

    desk.clock.advance(120)
    assert isinstance(desk.call(run, "send_letter", LETTER), Answered)
    assert sent(desk.folder) == [PARTNER, PARTNER]


def test_a_value_is_endorsed_in_its_run_alone_and_only_as_far_as_was_said(desk: Desk) -> None:
    run, beside = read(desk), read(desk)

    endorsed(desk, run, integrity=Integrity.TENANT_RECORD)

    # The recipient of a letter must be the user's.
    assert isinstance(desk.call(run, "send_letter", LETTER), HeldBack)
    endorsed(desk, run)
    assert isinstance(desk.call(run, "send_letter", LETTER), Answered)
    assert isinstance(desk.call(beside, "send_letter", LETTER), HeldBack)


def test_a_copy_of_the_value_that_comes_later_does_not_take_the_endorsement_back(desk: Desk) -> None:
    run = read(desk)
    endorsed(desk, run)

    desk.call(run, "find_partner", {"name": "north"})

    assert isinstance(desk.call(run, "send_letter", LETTER), Answered)


def test_a_value_that_the_run_reads_after_the_endorsement_is_not_endorsed(desk: Desk) -> None:
    run = read(desk)
    endorsed(desk, run)

    desk.call(run, "find_partner", {"name": "south"})

    assert isinstance(desk.call(run, "send_letter", {"to": "partner@south.example"}), HeldBack)


def test_a_pasted_part_of_the_input_is_endorsed_as_well(desk: Desk) -> None:
    opening = desk.opening("post", "", {"name": "north", "note": PARTNER})
    run = desk.do(desk.runner.open_outside(desk.contract("post"), opening))

    done = endorsed(desk, run, Place(step=StepPath("input"), pointer="/note"))

    assert done.before is Integrity.THIRD_PARTY
    assert isinstance(desk.call(run, "send_letter", LETTER), Answered)


@pytest.mark.parametrize(
    ("who", "initiator", "reason"),
    [("paul", "agent:post", "not-an-approver"), ("lena", "person:lena", "is-initiator")],
)
def test_who_is_no_approver_or_is_behind_the_run_endorses_nothing_and_the_attempt_is_recorded(
    desk: Desk, who: str, initiator: str, reason: str
) -> None:
    run = read(desk, initiator)

    with pytest.raises(ApprovalRefused):
        endorsed(desk, run, who=who)

    assert isinstance(desk.call(run, "send_letter", LETTER), HeldBack)
    assert not desk.leaves(run.run_id, EventType.LABEL_ENDORSED)
    (refused,) = desk.leaves(run.run_id, EventType.AUTH_REFUSED)
    assert (refused["actor"], refused["detail"]["reason"]) == (f"person:{who}", reason)


def test_an_approver_of_another_tenant_is_none_of_this_one(desk: Desk) -> None:
    run = read(desk)
    stranger = replace(desk.person("lena"), tenants=frozenset({TenantId("elsewhere")}))
    word = PersonsWord(person=stranger, because="I called them", proof="test")

    with pytest.raises(ApprovalRefused, match="no approver of 'default'"):
        desk.do(endorse(desk.runner, run.run_id, EMAIL, Integrity.USER, word))


def test_nobody_calls_a_value_the_systems_own(desk: Desk) -> None:
    run = read(desk)

    with pytest.raises(UsageError, match="up to 'user'"):
        endorsed(desk, run, integrity=Integrity.SYSTEM)


def test_an_answer_that_was_exchanged_with_sql_after_its_endorsement_closes_the_door(desk: Desk) -> None:
    run = read(desk)
    desk.call(run, "find_partner", {"name": "south"})
    endorsed(desk, run)
    with closing(sqlite3.connect(desk.folder / ".leverframe" / "leverframe.db")) as db, db:
        db.execute("UPDATE steps SET result_ref = (SELECT result_ref FROM steps WHERE path = '1') WHERE path = '0'")

    with pytest.raises(AuthorityForged, match="another value than the one that person:lena endorsed"):
        desk.call(run, "send_letter", {"to": "partner@south.example"})

    assert sent(desk.folder) == []


def test_what_was_endorsed_before_a_run_ended_is_not_kept_for_ever(desk: Desk) -> None:
    first, second = read(desk), read(desk)
    endorsed(desk, first)
    with closing(sqlite3.connect(desk.folder / ".leverframe" / "leverframe.db")) as db:
        assert db.execute("SELECT run_id FROM endorsements").fetchall() == [(first.run_id,)]
    desk.do(first.end(RunOutcome.SUCCESS, None))

    endorsed(desk, second)

    assert [one.run_id for one in desk.runner.services.authority.current().endorsements] == [second.run_id]


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("/a/b", Named(name="b", value="x")),
        ("/a~1b", Named(name="a/b", value="y")),
        ("/list/1", Named(name="list", value="two")),
        ("", Named(name="", value=None)),
        ("/list/01", None),
        ("/list/2", None),
        ("/list/-", None),
        ("/list/²", None),
        ("a", None),
        ("/a/b/c", None),
        ("/none", None),
    ],
)
def test_a_pointer_names_one_value_or_nothing(pointer: str, found: Named | None) -> None:
    values: Json = {"a": {"b": "x"}, "a/b": "y", "list": ["one", "two"]}

    got = named_at(values, pointer)

    assert got == (replace(found, value=values) if found is not None and not pointer else found)


def test_text_is_traced_as_it_came_and_as_it_was_shown_and_a_whole_number_never() -> None:
    types = compile_types({"email": "[a-z]+@[a-z]+[.]example"})

    pairs = traced_as(Named(name="to", value="part\u200bner@north.example"), "/to", types, {})
    whole = traced_as(Named(name="to", value=7), "/to", types, {})

    assert ("email", PARTNER) in pairs
    assert ("to", PARTNER) in pairs
    assert whole == frozenset()


@pytest.mark.parametrize(
    ("changes", "before_it", "failed"),
    [
        ({}, (), 0),
        ({"actor": "agent:post"}, (), 1),
        ({}, ("run.ended",), 1),
        ({"integrity": "system"}, (), 1),
        ({"before": "user"}, (), 1),
        ({"before": "tenant-record", "integrity": "tenant-record"}, (), 1),
        ({"reason": "type-pattern"}, ("run.ended",), 0),
    ],
)
def test_a_log_in_which_a_value_was_eased_as_nobody_may_does_not_verify(
    changes: dict[str, str], before_it: tuple[str, ...], failed: int
) -> None:
    story = Story(new_checks(), is_whole=True)
    detail = {"reason": "person", "before": "third-party", "integrity": "user", "value": "00", **changes}
    actor = detail.pop("actor", "person:lena")
    told: list[dict[str, object]] = [
        {"type": "run.started", "actor": "agent:post", "policy_digest": "0" * 64, "detail": {"workflow": "post"}},
        *[dict[str, object](type=kind, actor="agent:post") for kind in before_it],
        {"type": "label.endorsed", "actor": actor, "step": "0", "detail": detail},
    ]
    for number, leaf in enumerate(told, start=1):
        common = {"entry_id": f"e{number}", "tenant": "default", "at": "2026-01-01T00:00:00.000000Z"}
        story.tell(number, {**common, "run_id": "run_1", "run_seq": number, **leaf})

    assert story.checks["S8"].failed == failed
