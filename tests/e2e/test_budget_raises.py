"""Budgets of keys and of what is at work through the door, and one that is raised for a while by a person."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.errors import ApprovalRefused, AuthorityForged, NotFound
from leverframe.domain.ids import BudgetId, EnvironmentName, TeamName, WindowId, WorkflowName
from leverframe.domain.json import JsonObject
from leverframe.domain.proposals import Proposal, SettleRun
from leverframe.domain.records import replace
from leverframe.runtime.keys import NewKey, Wanted, create_key, rotate_key
from leverframe.runtime.outcomes import Answered, Exhausted
from leverframe.runtime.outside import OutsideRun
from leverframe.runtime.raises import raise_budget
from leverframe.testing import FakeClock
from tests.door_desk import PROJECT_FILE, TENANT, Desk, open_desk, sent, write_desk
from tests.typed import Shell

MORNING = datetime(2026, 11, 22, 8, tzinfo=UTC)
PEEK: JsonObject = {"order_id": "W00001"}
BUDGETS = """\
budgets:
  - {key: bot, window: day, max_tool_calls: 2}
  - {team: support, window: hour, max_tool_calls: 3}
  - {tenant: default, max_in_flight: 2}
"""
KEY_DAY = BudgetId("key/default/bot/day")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    write_desk(tmp_path, project=PROJECT_FILE + BUDGETS)
    with open_desk(tmp_path, FakeClock(MORNING)) as opened:
        yield opened


def a_key(desk: Desk, name: str, team: str = "") -> NewKey:
    wanted = Wanted(
        tenant=TENANT,
        name=name,
        team=TeamName(team),
        workflows=frozenset({WorkflowName("desk")}),
        environments=frozenset({EnvironmentName("default")}),
        may_open_runs=False,
        lives_for=None,
    )
    return desk.do(create_key(desk.runner.services, desk.person("lena"), wanted, proof="test"))


def with_key(desk: Desk, made: NewKey | None) -> OutsideRun:
    run = desk.open()
    run.ctx.key = None if made is None else made.key
    return run


def in_flight(desk: Desk) -> tuple[int, int]:
    """Settled and reserved of what is at work."""
    (window,) = desk.do(desk.runner.services.journal.shared_windows([WindowId("tenant/default/now/now")]))
    return window.settled, window.reserved


def raised(desk: Desk, calls: int, hours: float, who: str = "lena") -> None:
    work = raise_budget(
        desk.runner.services,
        desk.person(who),
        KEY_DAY,
        {BudgetUnit.TOOL_CALLS: calls},
        lasts=timedelta(hours=hours),
        because="a busy day",
        proof="test",
    )
    desk.do(work)


def test_a_key_stops_at_its_budget_over_all_its_runs_and_its_successor_with_it(desk: Desk) -> None:
    bot = a_key(desk, "bot")
    first, second = with_key(desk, bot), with_key(desk, bot)
    assert isinstance(desk.call(first, "peek", PEEK), Answered)
    assert isinstance(desk.call(second, "peek", PEEK), Answered)
    new = rotate_key(desk.runner.services, desk.person("lena"), TENANT, "bot", overlap=timedelta(hours=1), proof="test")
    third = with_key(desk, desk.do(new))

    refused = desk.call(third, "peek", PEEK)
    beside = desk.call(with_key(desk, a_key(desk, "other")), "peek", PEEK)

    assert isinstance(refused, Exhausted)
    assert (refused.budget, refused.unit, refused.limit, refused.left) == (KEY_DAY, "tool_calls", 2, 0)
    assert refused.resets_at == datetime(2026, 11, 23, tzinfo=UTC)
    assert isinstance(beside, Answered)


def test_the_keys_of_a_team_share_its_budget_and_a_call_without_a_key_counts_in_neither(desk: Desk) -> None:
    one, two = (with_key(desk, a_key(desk, name, "support")) for name in ("one", "two"))
    for run in (one, two, one):
        assert isinstance(desk.call(run, "peek", PEEK), Answered)

    refused = desk.call(two, "peek", PEEK)

    assert isinstance(refused, Exhausted)
    assert refused.budget == "team/default/support/hour"
    assert isinstance(desk.call(with_key(desk, None), "peek", PEEK), Answered)


def test_a_raised_budget_lets_calls_through_until_it_ends_and_what_was_used_stays_used(desk: Desk) -> None:
    run = with_key(desk, a_key(desk, "bot"))
    for _ in range(2):
        desk.call(run, "peek", PEEK)
    assert isinstance(desk.call(run, "peek", PEEK), Exhausted)

    raised(desk, 2, hours=2)
    assert isinstance(desk.call(run, "peek", PEEK), Answered)
    desk.clock.advance(2 * 3600)
    refused = desk.call(run, "peek", PEEK)

    assert isinstance(refused, Exhausted)
    assert (refused.limit, refused.left) == (2, -1)
    assert isinstance(desk.call(run, "peek", PEEK, step="same"), Exhausted)


def test_a_refusal_that_is_asked_for_again_tells_the_same_limit_and_left(desk: Desk) -> None:
    run = with_key(desk, a_key(desk, "bot"))
    for _ in range(2):
        desk.call(run, "peek", PEEK)

    first, again = (desk.call(run, "peek", PEEK, step="third") for _ in range(2))

    assert isinstance(first, Exhausted)
    assert isinstance(again, Exhausted)
    assert replace(again, message="") == replace(first, message="")


def test_more_calls_than_may_be_at_work_are_refused_until_one_ends(desk: Desk) -> None:
    desk.mood("send_letter", "before:hang", times=2)

    async def three_at_once() -> tuple[object, object]:
        runs = [await desk.runner.open_outside(desk.contract(), desk.opening("desk", "c_1", {})) for _ in range(3)]
        busy = [asyncio.create_task(run.call_tool("send_letter", PEEK)) for run in runs[:2]]
        for run in runs[:2]:
            await sent(run)
        refused = await runs[2].call_tool("peek", PEEK)
        await asyncio.gather(*busy)
        return refused, await runs[2].call_tool("peek", PEEK)

    refused, later = desk.do(three_at_once())

    assert isinstance(refused, Exhausted)
    assert (refused.budget, refused.unit, refused.left) == ("tenant/default/now", "in_flight", 0)
    assert "There is room again when a call that is at work ends." in refused.message
    assert isinstance(later, Answered)
    assert in_flight(desk) == (0, 0)


def test_what_a_dead_process_had_at_work_is_not_at_work_once_it_is_settled(desk: Desk) -> None:
    """The store settles what nobody knows at its bound; a call that is over is not at work all the same."""
    desk.mood("send_letter", "before:hang")

    async def killed() -> OutsideRun:
        run = await desk.runner.open_outside(desk.contract(), desk.opening("desk", "c_1", {}))
        task = asyncio.create_task(run.call_tool("send_letter", PEEK))
        await sent(run)
        (open_,) = await desk.runner.services.journal.shared_windows([WindowId("tenant/default/now/now")])
        assert (open_.settled, open_.reserved) == (0, 1)
        change = SettleRun(run_id=run.run_id)
        await desk.runner.services.writer.commit(Proposal(tenant=TENANT, changes=(change,)))
        task.cancel()
        return run

    desk.do(killed())

    assert in_flight(desk) == (0, 0)


def test_an_approver_alone_raises_a_budget_that_is_there(desk: Desk) -> None:
    with pytest.raises(ApprovalRefused):
        raised(desk, 1, hours=1, who="paul")
    work = raise_budget(
        desk.runner.services,
        desk.person("lena"),
        BudgetId("key/default/bott/day"),
        {BudgetUnit.TOOL_CALLS: 1},
        lasts=timedelta(hours=1),
        because="",
        proof="test",
    )

    with pytest.raises(NotFound) as caught:
        desk.do(work)

    assert "key/default/bot/day" in caught.value.next_move


def test_a_raise_that_was_made_larger_with_sql_closes_the_door(desk: Desk) -> None:
    raised(desk, 1, hours=2)
    with closing(sqlite3.connect(desk.folder / ".leverframe" / "leverframe.db")) as db, db:
        db.execute("UPDATE budget_raises SET amount = 1000000")
    desk.do(desk.runner.services.authority.reload())

    with pytest.raises(AuthorityForged):
        desk.call(with_key(desk, None), "peek", PEEK)


def test_a_raise_is_typed_listed_and_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(tmp_path / "desk", capsys, monkeypatch)
    shell.init()
    text = (shell.root / "leverframe.yaml").read_text()
    shell.write("leverframe.yaml", f"{text}\nbudgets: [{{tenant: default, window: month, max_usd: 200}}]\n")
    assert shell.type("keys", "create", "bot", "--workflow", "refund_request").code == 0

    told = shell.type("budgets", "raise", "tenant/default/month", "--usd", "50", "--for", "2h", "--because", "launch")
    listed = shell.type("budgets", "list", "--json").json

    assert told.code == 0
    assert "$250.00 until " in told.out
    assert (listed[0]["limit"], listed[0]["left"]) == (Decimal(250), Decimal(250))
    assert [one["amount"] for one in listed[0]["raises"]] == [Decimal(50)]
    assert "RAISED" in shell.type("budgets", "list").out
    assert "by $50.00 until" in shell.type("budgets", "list").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tenant/default/month",), "Nothing says by how much"),
        (("tenant/default/month", "--usd", "-5"), "--usd takes dollars above zero"),
        (("tenant/default/month", "--usd", "NaN"), "--usd takes dollars above zero"),
        (("tenant/default/month", "--tool-calls", "1.5"), "--tool-calls takes a whole number"),
        (("tenant/default/month", "--tool-calls", "5"), "has no limit 'max_tool_calls' to raise; it has: max_usd"),
        (("tenant/default/moth", "--usd", "5"), "Did you mean 'tenant/default/month'?"),
    ],
)
def test_a_raise_of_nothing_or_of_what_is_not_there_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    said: str,
) -> None:
    shell = Shell(tmp_path / "desk", capsys, monkeypatch)
    shell.init()
    text = (shell.root / "leverframe.yaml").read_text()
    shell.write("leverframe.yaml", f"{text}\nbudgets: [{{tenant: default, window: month, max_usd: 200}}]\n")
    assert shell.type("keys", "create", "bot", "--workflow", "refund_request").code == 0

    told = shell.type("budgets", "raise", *words, "--for", "2h")

    assert told.code == 2
    assert said in told.err
