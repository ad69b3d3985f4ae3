"""What an auditor saw in one epoch of a log, held against a later one."""

import base64
from dataclasses import replace

import pytest

from leverframe.domain.evidence import Checkpoint, EventType
from leverframe.sdk.report import BROKEN, OK, Leaf, Report
from leverframe.sdk.seen import epoch_of, key_for
from leverframe.sdk.verify import verify
from tests.evidence_log import ORIGIN, RUN, Log, honest

SECOND = f"{ORIGIN}/epoch-2"


def recovered(*, lost: Checkpoint, kept: int | None = None, epoch: int = 2) -> Log:
    """The honest log, given up after its last entry and recovered."""
    log = honest()
    detail = {
        "epoch": epoch,
        "kept": len(log.drafts) if kept is None else kept,
        "lost_origin": lost.origin,
        "lost_size": lost.size,
        "lost_root": lost.root.hex(),
    }
    log.entry(EventType.LOG_RECOVERED, run=None, detail=detail)
    return log


def lost_head(size: int = 40, root: bytes = b"r" * 32) -> Checkpoint:
    return replace(honest().head(), size=size, root=root)


def seen(size: int, root: bytes, *, origin: str = ORIGIN) -> Leaf:
    trust = honest().trust()
    return trust | {"origin": origin, "head": {"size": size, "root": base64.b64encode(root).decode()}}


def judged(log: Log, trust: Leaf | None, *, origin: str = SECOND) -> Report:
    head = replace(log.head(), origin=origin)
    note = log.signer().in_epoch(epoch_of(origin)[1]).sign(head)
    vkey = log.signer().in_epoch(epoch_of(origin)[1]).vkey
    return verify(log.bundle(checkpoint=note, origin=origin, vkey=vkey), trust)


def test_a_head_of_what_was_kept_is_a_prefix_as_ever() -> None:
    early = honest().head(5)

    report = judged(recovered(lost=lost_head()), seen(5, early.root))

    assert report.verdict == OK, report.text()
    assert report.checks["head"].notes == []


def test_a_head_that_was_given_up_is_counted_and_the_entry_named() -> None:
    size = len(honest().drafts)

    report = judged(recovered(lost=lost_head()), seen(40, b"r" * 32))

    assert report.verdict == OK, report.text()
    assert f"{40 - size} entries seen before were given up, as entry {size} says" in report.checks["head"].notes


@pytest.mark.parametrize(
    ("trust", "why"),
    [
        (seen(41, b"r" * 32), "names others"),
        (seen(40, b"x" * 32), "names others"),
        (seen(5, b"x" * 32), "forked or rewritten"),
    ],
    ids=["more was seen", "another head", "another prefix"],
)
def test_a_recovery_that_does_not_name_what_was_seen_is_a_failure(trust: Leaf, why: str) -> None:
    report = judged(recovered(lost=lost_head()), trust)

    assert report.verdict == BROKEN
    assert why in "".join(report.checks["head"].places)


def test_another_epoch_without_an_entry_that_says_why_is_a_failure() -> None:
    report = judged(honest(), seen(5, honest().head(5).root))

    assert report.verdict == BROKEN
    assert "no entry says why" in "".join(report.checks["head"].places)


def test_a_recovery_that_says_another_place_than_its_own_is_a_failure() -> None:
    report = judged(recovered(lost=lost_head(), kept=3), None)

    assert report.verdict == BROKEN
    assert "are said to be kept" in "".join(report.checks["entries"].places)


def test_the_log_of_an_earlier_epoch_is_behind_one_that_was_seen() -> None:
    trust = honest().trust() | {"origin": SECOND, "vkey": honest().signer().in_epoch(2).vkey}

    report = judged(honest(), trust, origin=ORIGIN)

    assert report.verdict == BROKEN
    assert report.checks["signature"].failed


@pytest.mark.parametrize("origin", [f"{ORIGIN}x/epoch-2", f"{ORIGIN}/epoch-2/epoch-3", "other/epoch-2"])
def test_a_key_is_good_for_the_epochs_of_its_own_log_alone(origin: str) -> None:
    vkey = honest().signer().vkey

    assert key_for(vkey, f"{origin}\n1\n".encode()) == vkey
    assert key_for(vkey, f"{SECOND}\n1\n".encode()) == honest().signer().in_epoch(2).vkey
    assert key_for("no key", f"{SECOND}\n1\n".encode()) == "no key"


def test_the_run_of_a_later_epoch_says_what_it_cannot_show() -> None:
    log = recovered(lost=lost_head())
    head = replace(log.head(), origin=SECOND)
    signer = log.signer().in_epoch(2)

    report = verify(
        log.bundle(run_id=RUN, checkpoint=signer.sign(head), origin=SECOND, vkey=signer.vkey), seen(40, b"r" * 32)
    )

    assert report.verdict == BROKEN
    assert "rolled back or cut" in "".join(report.checks["head"].places)
