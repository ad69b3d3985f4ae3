"""S10, the part of it about kill switches: no entry of a log allows what a switch stops while it is on."""

from typing import Any

import pytest

from leverframe.domain.evidence import EventType
from leverframe.domain.ids import RunId, ToolName
from leverframe.sdk.report import BROKEN, OK
from leverframe.sdk.verify import verify
from tests.evidence_log import Log, honest

SET, CALLED, DECIDED = EventType.KILLSWITCH_SET, EventType.MODEL_CALLED, EventType.CALL_DECIDED
KEYED = RunId("run_key")


# Any: the detail of an entry, which a test varies.
def switch(scope: str, name: str = "", *, is_on: bool = True, **more: object) -> tuple[EventType, dict[str, Any]]:
    named = {"name": name} if name else {}
    return SET, {"scope": scope, "is_on": is_on, **named, **more}


# Any: as above.
Event = tuple[EventType, dict[str, Any]]
CREATED: Event = (EventType.KEY_CREATED, {"key": "key_a", "name": "desk"})
STARTED: Event = (EventType.RUN_STARTED, {"workflow": "desk"})
MODEL: Event = (CALLED, {})
TOOL: Event = (DECIDED, {})


def told(log: Log, *events: Event) -> None:
    """A run of a key with an allowed call of a model or of a tool, and what was done with switches around it."""
    policy = log.drafts[log.index(EventType.RUN_STARTED)].policy_digest
    for number, (kind, detail) in enumerate(events):
        if kind in (CALLED, DECIDED):
            named = {"provider": "vendor", "model": "gpt-4"} if kind is CALLED else {"tool": ToolName("peek")}
            allowed = {"decision": "allow", "rule": "r", "policy_digest": policy}
            log.entry(kind, run=KEYED, step=str(number), actor="key:key_a", detail=detail, **named, **allowed)
        elif kind is EventType.RUN_STARTED:
            log.entry(kind, run=KEYED, actor="key:key_a", policy_digest=policy, detail=detail)
        else:
            log.entry(kind, run=None, actor="os:lena", detail=detail)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((switch("everything"), MODEL), "the kill switch 'everything' was on"),
        ((switch("everything"), TOOL), "the kill switch 'everything' was on"),
        ((switch("everything", of_tenant="acme"), TOOL), "'everything' was on"),
        ((switch("everything", of_tenant="globex"), TOOL), ""),
        ((switch("everything"), switch("everything", is_on=False), TOOL), ""),
        ((MODEL, TOOL, switch("everything")), ""),
        ((switch("tenant", "acme"), MODEL), "'tenant acme' was on"),
        ((switch("tenant", "globex"), MODEL), ""),
        ((switch("workflow", "desk"), MODEL, TOOL), "'workflow desk' was on"),
        ((switch("workflow", "other"), MODEL, TOOL), ""),
        ((switch("tool", "peek"), TOOL), "'tool peek' was on"),
        ((switch("tool", "peek"), MODEL), ""),
        ((switch("tool", "poke"), TOOL), ""),
        ((switch("model", "vendor/gpt-4"), MODEL), "'model vendor/gpt-4' was on"),
        ((switch("model", "vendor"), MODEL), "'model vendor' was on"),
        ((switch("model", "vend"), MODEL, TOOL), ""),
        ((switch("key", "key_a"), MODEL), "'key key_a' was on"),
        ((switch("key", "desk"), MODEL), "'key desk' was on"),
        ((switch("key", "other"), MODEL), ""),
        # Whose run it is, and not who calls: a person's answer lets it go on without the key.
        ((switch("key", "desk"), TOOL), ""),
        ((switch("tool", "peek"), switch("tool", "poke"), switch("tool", "poke", is_on=False), TOOL), "'tool peek'"),
        # Told in this log a moment after it was thrown, and maybe after it was cleared again.
        ((switch("everything", elsewhere=True), MODEL), ""),
        ((switch("everything"), switch("everything", is_on=False, elsewhere=True), MODEL), ""),
    ],
)
def test_nothing_is_allowed_that_a_switch_stops_while_it_is_on(events: tuple[Event, ...], expected: str) -> None:
    log = honest()
    told(log, CREATED, STARTED, *events)

    report = verify(log.bundle(), log.trust())

    assert report.verdict == (BROKEN if expected else OK), report.text()
    assert expected in "".join(report.checks["S10"].places)
    assert bool(report.checks["S10"].failed) == bool(expected)


def test_what_was_on_its_way_ends_and_what_is_refused_is_refused() -> None:
    log = honest()
    kinds = [draft.type for draft in log.drafts]
    at = kinds.index(EventType.CALL_INTENDED) + 1
    log.entry(SET, run=None, actor="os:lena", detail={"scope": "everything", "is_on": True})
    log.drafts.insert(at, log.drafts.pop())
    told(log, CREATED, STARTED)
    log.entry(CALLED, run=KEYED, step="9", actor="key:key_a", decision="deny", rule="kill-switch")

    report = verify(log.bundle(), log.trust())

    assert report.verdict == OK, report.text()
