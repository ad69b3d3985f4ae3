"""The story that a log tells: each lie of someone who holds the key is named where it stands.

Every bent log here is signed properly, so that only its meaning is wrong.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from leverframe.domain.evidence import EventType
from leverframe.domain.ids import RunId
from leverframe.domain.records import replace
from leverframe.sdk.report import BROKEN, OK
from leverframe.sdk.verify import verify
from tests.evidence_log import DECIDE_BY, DENIED, READ, START, WRITE, Log, honest


def forge(check: str, place: str) -> Callable[[Callable[[Log], None]], Callable[[Log], None]]:
    def mark(bend: Callable[[Log], None]) -> Callable[[Log], None]:
        LIES.append(pytest.param(bend, check, place, id=bend.__name__))
        return bend

    return mark


LIES: list[object] = []
INTENDED = "entry 12 (call.intended)"
OTHER = "f" * 64


def drop(log: Log, kind: EventType, at: int = 0) -> None:
    found = [draft for draft in log.drafts if draft.type is kind]
    log.drafts.remove(found[at])


@forge("S1", "entry 12 (call.settled): no call.intended")
def an_effect_that_was_not_announced(log: Log) -> None:
    drop(log, EventType.CALL_INTENDED)


@forge("S1", "entry 13 (call.settled): no call.intended")
def an_effect_that_is_another_action_than_announced(log: Log) -> None:
    log.change(EventType.CALL_INTENDED, action_digest=DENIED[::-1])


@forge("S1", "entry 13 (call.intended): the action was announced before, at entry 12")
def an_action_announced_twice(log: Log) -> None:
    log.insert(13, 12, entry_id="ent_again")


@forge("S1", "entry 14 (call.settled): the action was settled before, as ok")
def an_action_settled_twice(log: Log) -> None:
    log.insert(14, 13, entry_id="ent_again", detail={}, disclosures=())


@forge("S2", "entry 11 (call.intended): no allow stands before it; the last decision is hold")
def an_effect_without_an_allow(log: Log) -> None:
    drop(log, EventType.CALL_DECIDED, 2)


@forge("S2", "entry 4 (model.answered): a model answered at step '1', where no call of one")
def a_model_call_that_nobody_decided(log: Log) -> None:
    log.change(EventType.MODEL_CALLED, step="9")


@forge("S2", "entry 4 (model.answered): a model answered at step '1', where no call of one was allowed")
def a_model_that_answered_although_it_was_denied(log: Log) -> None:
    log.change(EventType.MODEL_CALLED, decision="deny")


@forge("S2", "entry 5 (call.decided): policy 000000")
def an_allow_under_a_policy_that_the_log_never_saw(log: Log) -> None:
    log.put(5, policy_digest="0" * 64)


@forge("S3", "entry 10 (call.intended): the call was held, and no approval")
def a_held_call_without_an_approval(log: Log) -> None:
    drop(log, EventType.APPROVAL_REQUESTED)
    drop(log, EventType.APPROVAL_CONSUMED)


@forge("S3", f"{INTENDED}: 0 of 1 grants count: agent:refund is an initiator")
def an_initiator_who_grants(log: Log) -> None:
    log.change(EventType.APPROVAL_DECIDED, actor="agent:refund")


@forge("S3", f"{INTENDED}: 0 of 1 grants count: os:jan is an initiator")
def a_person_behind_the_run_who_grants(log: Log) -> None:
    log.change(EventType.APPROVAL_DECIDED, actor="os:jan")


@forge("S3", f"{INTENDED}: 0 of 1 grants count: os:eva is an initiator of the run or barred")
def a_barred_person_who_grants(log: Log) -> None:
    log.change(EventType.APPROVAL_DECIDED, actor="os:eva")


@forge("S3", f"{INTENDED}: 1 of 2 grants count")
def a_quorum_that_was_not_reached(log: Log) -> None:
    log.change(EventType.APPROVAL_REQUESTED, detail={"quorum": 2, "decide_by": DECIDE_BY})


@forge("S3", "entry 13 (call.intended): 1 of 2 grants count")
def one_person_who_counts_twice(log: Log) -> None:
    a_quorum_that_was_not_reached(log)
    log.insert(10, 9, entry_id="ent_again", disclosures=())


@forge("S3", f"{INTENDED}: 0 of 1 grants count: person:lena answered after 2029")
def a_grant_that_came_too_late(log: Log) -> None:
    log.change(EventType.APPROVAL_REQUESTED, detail={"quorum": 1, "decide_by": "2029-01-01T00:00:00.000000Z"})


@forge("S3", f"{INTENDED}: its time ended at 2030-01-01T00:00:05")
def a_grant_used_too_late(log: Log) -> None:
    log.change(EventType.APPROVAL_DECIDED, detail={"answer": "granted", "execute_by": "2030-01-01T00:00:05.000000Z"})


@forge("S3", f"{INTENDED}: 0 of 1 grants count: person:lena answered for another action")
def a_grant_of_another_action(log: Log) -> None:
    log.change(EventType.APPROVAL_DECIDED, action_digest=READ)


@forge("S3", f"{INTENDED}: the approval is for another action")
def an_approval_of_another_action(log: Log) -> None:
    log.change(EventType.APPROVAL_REQUESTED, action_digest=READ)


@forge("S3", f"{INTENDED}: 0 of 1 grants count: person:lena is in none of the groups asked")
def a_stranger_who_grants(log: Log) -> None:
    log.change(EventType.APPROVAL_REQUESTED, detail={"quorum": 1, "decide_by": DECIDE_BY, "from": ("payments",)})
    log.change(EventType.APPROVAL_DECIDED, detail={"answer": "granted", "groups": ("sales",)})


@forge("S3", f"{INTENDED}: the approval was denied")
def a_denied_call_that_ran(log: Log) -> None:
    log.change(EventType.APPROVAL_DECIDED, detail={"answer": "denied"})


@forge("S3", "entry 13 (call.intended): the approval was expired")
def an_expired_approval(log: Log) -> None:
    log.insert(12, 11, entry_id="ent_x", type=EventType.APPROVAL_EXPIRED)


@forge("S4", "entry 11 (call.intended): effect 1 of an approval consumed 0")
def an_approval_that_was_not_consumed(log: Log) -> None:
    drop(log, EventType.APPROVAL_CONSUMED)


@forge("S4", "entry 13 (call.intended): effect 2 of an approval consumed 1, good for 1")
def an_approval_used_twice(log: Log) -> None:
    log.insert(13, 12, entry_id="ent_again")


@forge("S5", "entry 13 (call.intended): a denial of this very action")
def a_denied_action_that_ran(log: Log) -> None:
    log.insert(10, 14, entry_id="ent_no", action_digest=WRITE)


@forge("S6", "entry 16 (run.ended): says cost_microusd 1, and its entries add up to 700")
def totals_that_do_not_add_up(log: Log) -> None:
    log.change(EventType.RUN_ENDED, cost_microusd=1)


@forge("S6", "entry 17 (call.decided): a call was allowed after the end")
def a_call_after_the_end(log: Log) -> None:
    log.insert(17, 5, entry_id="ent_late", at=log.drafts[16].at)


@forge("S6", "entry 17 (model.called): a call was allowed after the end")
def a_model_call_after_the_end(log: Log) -> None:
    log.insert(17, 3, entry_id="ent_late", at=log.drafts[16].at, detail={})


@forge("S7", "entry 3 (model.called): 'run/run_1/usd' holds 900 of 800")
def a_budget_that_was_exceeded(log: Log) -> None:
    log.change(EventType.MODEL_CALLED, detail={"reservation_id": "rsv_1", "reserved": ("run/run_1/usd=900/800",)})


@forge("S7", "entry 4 (model.answered): 'run/run_1/usd' took 950, 900 was set aside")
def a_settlement_above_its_reservation(log: Log) -> None:
    log.change(EventType.MODEL_ANSWERED, detail={"reservation_id": "rsv_1", "settled": ("run/run_1/usd=950",)})


@forge("S7", "entry 4 (model.answered): settles 'rsv_x' in windows where nothing was set aside")
def spending_from_nowhere(log: Log) -> None:
    log.change(EventType.MODEL_ANSWERED, detail={"reservation_id": "rsv_x", "settled": ("run/run_1/usd=1",)})


@forge("S11", "entry 15 (heartbeat): comes 901 s after")
def a_silence(log: Log) -> None:
    later = [replace(draft, at=draft.at + timedelta(seconds=900)) for draft in log.drafts[15:]]
    log.drafts[15:] = later


@forge("S12", "entry 12 (call.intended): 'run_1' ended without the outcome")
def an_effect_without_an_outcome(log: Log) -> None:
    drop(log, EventType.CALL_SETTLED, 1)


@forge("clock", "entry 8 (approval.requested): is at 2029-12-31T23:58")
def a_clock_that_went_back(log: Log) -> None:
    log.put(8, at=START - timedelta(seconds=99))


@forge("entries", "entry 9 (approval.decided): 'ent_8' stands a second time")
def a_replayed_entry(log: Log) -> None:
    log.put(9, entry_id="ent_8")


@forge("entries", "entry 9 (approval.decided): its cause 'ent_99' does not stand before it")
def a_cause_that_is_not_there(log: Log) -> None:
    log.put(9, cause="ent_99")


@forge("entries", "entry 9 (approval.decided): is of tenant 'other' in the log of 'acme'")
def an_entry_of_another_tenant(log: Log) -> None:
    log.put(9, tenant="other")


@forge("entries", "entry 9 (approval.decided): cannot be judged: KeyError('apr_2')")
def an_answer_to_a_question_that_was_never_asked(log: Log) -> None:
    log.put(9, approval_id="apr_2")


@pytest.mark.parametrize(("bend", "check", "place"), LIES)
def test_a_signed_lie_is_named(bend: Callable[[Log], None], check: str, place: str) -> None:
    log = honest()
    bend(log)

    report = verify(log.bundle(), log.trust())

    assert report.verdict == BROKEN
    assert any(one.startswith(place) for one in report.checks[check].places), report.text()


def test_an_honest_variant_is_not_called_a_lie() -> None:
    log = honest()
    log.change(EventType.APPROVAL_REQUESTED, detail={"quorum": 1, "decide_by": DECIDE_BY, "from": ("payments",)})
    log.put(5, action_digest=None)
    log.put(6, action_digest=None)
    log.insert(14, 13, entry_id="ent_late", detail={}, disclosures=())
    log.put(13, outcome="unknown")
    log.insert(5, 4, entry_id="ent_gone", step="1b", outcome="unknown", cost_microusd=None, detail={})
    log.insert(5, 3, entry_id="ent_asked", step="1b", detail={})
    log.change(EventType.RUN_ENDED, cost_microusd=950)

    report = verify(log.bundle(), log.trust())

    assert report.verdict == OK, report.text()
    assert report.checks["S3"].notes == ["the groups of 1 grants are not recorded"]


def test_what_is_still_on_its_way_or_unknown_is_counted() -> None:
    log = honest()
    log.put(13, outcome="unknown")
    log.insert(15, 12, entry_id="ent_b", action_digest=OTHER, approval_id=None)
    log.insert(15, 10, entry_id="ent_a", action_digest=OTHER, approval_id=None, detail={})
    del log.drafts[18:]

    report = verify(log.bundle(), log.trust())

    assert report.verdict == OK, report.text()
    assert report.checks["S12"].notes == ["1 on their way when this was made", "1 unknown, for a person"]


# Any: the detail of an entry, which a test varies.
Event = tuple[EventType, dict[str, Any]]


def with_a_key(log: Log, *events: Event) -> None:
    """A run of a key's own, one allowed model call in it, and what was done with the key around it."""
    key_run = RunId("run_key")
    for kind, detail in events:
        if kind is EventType.MODEL_CALLED:
            log.entry(
                kind,
                run=key_run,
                step="1",
                actor="key:key_a",
                decision="allow",
                rule="models",
                policy_digest=log.drafts[log.index(EventType.RUN_STARTED)].policy_digest,
                detail=detail,
            )
        else:
            log.entry(kind, run=None, actor="os:lena", detail=detail)


CREATED: Event = (EventType.KEY_CREATED, {"key": "key_a", "name": "desk"})
CALLED: Event = (EventType.MODEL_CALLED, {})
LATER = "2036-01-01T00:00:00Z"
EARLIER = "2016-01-01T00:00:00Z"
_OVER = {"key": "key_b", "name": "desk", "replaces": "key_a", "overlap_until": EARLIER}
REPLACED: Event = (EventType.KEY_ROTATED, _OVER)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((CREATED, CALLED), ""),
        ((CREATED, CALLED, (EventType.KEY_REVOKED, {"key": "key_a", "name": "desk"})), ""),
        ((CREATED, (EventType.KEY_REVOKED, {"key": "key_a", "name": "desk"}), CALLED), "revoked before"),
        (((EventType.KEY_CREATED, {"key": "key_a", "expires_at": LATER}), CALLED), ""),
        (((EventType.KEY_CREATED, {"key": "key_a", "expires_at": EARLIER}), CALLED), "ended at"),
        ((CREATED, REPLACED, CALLED), "ended at"),
    ],
)
def test_nothing_is_allowed_to_a_key_after_its_end(events: tuple[Event, ...], expected: str) -> None:
    log = honest()
    with_a_key(log, *events)

    report = verify(log.bundle(), log.trust())

    found = report.checks["S10"]
    assert (found.status, found.checked) == ("failed" if expected else "passed", 1), report.text()
    assert expected in "".join(found.places)
    assert report.verdict == (BROKEN if expected else OK)


def test_calls_that_are_only_observed_are_counted_apart() -> None:
    log = honest()
    with_a_key(log, CREATED, (EventType.MODEL_CALLED, {"would": "deny"}), CALLED)

    report = verify(log.bundle(), log.trust())

    assert report.verdict == OK, report.text()
    assert report.checks["S2"].notes == ["1 calls only observed, which would have been refused or held"]
