"""Two calls at once never both pass a history rule, a budget or a `once_per` that only one of them fits.

Through the door and the real store: runs of one subject in one process, in two stores on one file, in two processes.
"""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.errors import Contended
from leverframe.domain.json import JsonObject
from leverframe.runtime.advance import Runner
from leverframe.runtime.outcomes import Answered, Exhausted, HeldBack, Refused, Stopped, ToolOutcome
from leverframe.runtime.outside import OutsideRun
from leverframe.wiring.assembly import open_assembly
from tests.door_desk import Desk, open_desk, write_desk
from tests.sampling import ROOT

LIMIT = 100
CALLS_A_RUN = 4
SHARED_FEES = 6  # refunds a day that the budget of the workflow pays for

CONTRACT = f"""\
workflow: desk
input: {{type: object, properties: {{customer_id: {{type: string}}}}}}
subject: input.customer_id
budget: {{max_tool_calls: {CALLS_A_RUN}}}
policy:
  provenance: {{selectors: off, amounts: off, recipients: off, because: the races are about history and budgets}}
  allow_tools: [issue_refund, pay_out]
  rules:
    - id: velocity
      then: deny
      tools: [issue_refund]
      when: history.sum("issue_refund", "amount_usd", "24h", "subject") + args.amount_usd > {LIMIT}
"""
# Each refund has a fee of a cent.
PROJECT = f"budgets: [{{workflow: desk, window: day, max_usd: {Decimal(SHARED_FEES) / 100}}}]\n"
UNBOUNDED = CONTRACT.replace(f"budget: {{max_tool_calls: {CALLS_A_RUN}}}\n", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One refund: in which of two runs, of how much, and how many turns of the loop it waits before it asks."""

    run: int
    amount: int
    turns: int


CALLS = st.lists(
    st.builds(Call, run=st.integers(0, 1), amount=st.integers(1, 70), turns=st.integers(0, 4)), min_size=2, max_size=8
)


@dataclass(slots=True, kw_only=True)
class Races:
    """A desk, a second store on its file, and a new subject and day for each example."""

    desk: Desk
    runners: Sequence[Runner]
    numbers: Iterator[int]

    def open_two(self, *, in_two_stores: bool) -> tuple[str, list[OutsideRun]]:
        """Two runs of a subject that nobody had before, on a day of its own."""
        self.desk.clock.advance(2 * 86_400)
        subject = f"c_{next(self.numbers)}"
        opening = self.desk.opening("desk", subject, {})
        chosen = self.runners if in_two_stores else (self.runners[0], self.runners[0])
        return subject, [self.desk.do(one.open_outside(self.desk.contract(), opening)) for one in chosen]

    def race(self, runs: Sequence[OutsideRun], subject: str, calls: Sequence[Call]) -> list[ToolOutcome]:
        async def ask(number: int, call: Call) -> ToolOutcome:
            for _ in range(call.turns):
                await asyncio.sleep(0)
            args: JsonObject = {"order_id": subject, "amount_usd": call.amount, "note": str(number)}
            return await until_decided(runs[call.run], "issue_refund", args)

        async def all_at_once() -> list[ToolOutcome]:
            return list(await asyncio.gather(*(ask(number, call) for number, call in enumerate(calls))))

        return self.desk.do(all_at_once())


async def until_decided(run: OutsideRun, tool: str, args: JsonObject) -> ToolOutcome:
    """Ask again as long as others win, as an agent does."""
    while True:
        try:
            return await run.call_tool(tool, args)
        except Contended:
            continue


def opened(folder: Path, contract: str, project: str) -> Iterator[Races]:
    write_desk(folder, contract, project=project)
    with open_desk(folder) as desk:
        stack = AsyncExitStack()
        second = desk.do(stack.enter_async_context(open_assembly(desk.assembly.project, create=True)))
        services = replace(second.services, clock=desk.clock, mint=desk.runner.services.mint)
        runners = (desk.runner, replace(second.runner, services=services))
        yield Races(desk=desk, runners=runners, numbers=count())
        desk.do(stack.aclose())


@pytest.fixture(scope="module")
def unbounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Races]:
    yield from opened(tmp_path_factory.mktemp("unbounded"), UNBOUNDED, "{}\n")


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Races]:
    yield from opened(tmp_path_factory.mktemp("bounded"), CONTRACT, PROJECT)


def refunded(races: Races, subject: str) -> list[Decimal]:
    """What the shop really paid."""
    return [Decimal(amount) for (amount,) in races.desk.shop("SELECT amount FROM effects WHERE order_id = ?", subject)]


@settings(max_examples=settings().max_examples // 2)
@given(calls=CALLS, in_two_stores=st.booleans())
def test_calls_at_once_never_pass_a_history_rule_that_not_all_of_them_fit(
    unbounded: Races, calls: list[Call], *, in_two_stores: bool
) -> None:
    subject, runs = unbounded.open_two(in_two_stores=in_two_stores)

    outcomes = unbounded.race(runs, subject, calls)

    paid = refunded(unbounded, subject)
    allowed = [call.amount for call, one in zip(calls, outcomes, strict=True) if isinstance(one, Answered)]
    denied = [call.amount for call, one in zip(calls, outcomes, strict=True) if isinstance(one, Refused)]
    assert len(allowed) + len(denied) == len(calls)
    assert sorted(paid) == sorted(allowed)
    assert sum(paid) <= LIMIT
    # Nothing is given back, so what was denied does not fit in the end either.
    assert all(sum(paid) + amount > LIMIT for amount in denied)


@settings(max_examples=settings().max_examples // 2)
@given(calls=CALLS, in_two_stores=st.booleans())
def test_calls_at_once_never_pass_a_budget_that_not_all_of_them_fit(
    bounded: Races, calls: list[Call], *, in_two_stores: bool
) -> None:
    subject, runs = bounded.open_two(in_two_stores=in_two_stores)
    cheap = [replace(call, amount=1) for call in calls]

    outcomes = bounded.race(runs, subject, cheap)

    of_run = [[one for call, one in zip(calls, outcomes, strict=True) if call.run == number] for number in (0, 1)]
    for run, ended in zip(runs, of_run, strict=True):
        window = bounded.desk.windows(run.run_id)[BudgetUnit.TOOL_CALLS]
        done = sum(isinstance(one, Answered) for one in ended)
        assert (window.settled, window.reserved) == (done, 0)
        assert done <= CALLS_A_RUN
        stopped = sum(isinstance(one, Stopped) for one in ended)
        assert not stopped or done == CALLS_A_RUN
    fits = sum(min(len(ended), CALLS_A_RUN) for ended in of_run)
    paid = len(refunded(bounded, subject))
    assert paid == sum(isinstance(one, Answered) for one in outcomes) == min(fits, SHARED_FEES)
    assert all(isinstance(one, Answered | Stopped | Exhausted) for one in outcomes)


@settings(max_examples=settings().max_examples // 4)
@given(runs_of=st.lists(st.integers(0, 1), min_size=2, max_size=6), in_two_stores=st.booleans())
def test_a_business_act_that_is_asked_for_at_once_is_done_once_and_held_otherwise(
    unbounded: Races, runs_of: list[int], *, in_two_stores: bool
) -> None:
    subject, runs = unbounded.open_two(in_two_stores=in_two_stores)

    async def all_at_once() -> list[ToolOutcome]:
        asked = [
            until_decided(runs[which], "pay_out", {"order_id": subject, "amount_usd": 5, "memo": str(number)})
            for number, which in enumerate(runs_of)
        ]
        return list(await asyncio.gather(*asked))

    outcomes = unbounded.desk.do(all_at_once())

    assert len(refunded(unbounded, subject)) == 1
    assert sum(isinstance(one, Answered) for one in outcomes) == 1
    assert sum(isinstance(one, HeldBack) for one in outcomes) == len(runs_of) - 1


def test_two_processes_never_refund_more_than_the_rule_allows(tmp_path: Path) -> None:
    write_desk(tmp_path, UNBOUNDED, project="{}\n")
    # Made first, so that both processes only race for what this test is about.
    with open_desk(tmp_path):
        pass
    racers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.property.door_racer", str(tmp_path), name, "12", "7"],
            cwd=ROOT,
            env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for name in ("a", "b")
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == b"ready\n"
    said = [racer.communicate(b"go\n", timeout=120)[0].decode() for racer in racers]

    assert [racer.returncode for racer in racers] == [0, 0], said
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        (paid,) = shop.execute("SELECT count(*) FROM effects").fetchone()
    # Fourteen refunds of 7 fit into 100, whoever made them; 24 were asked for.
    assert paid == LIMIT // 7
    assert sum(int(one.split()[-1]) for one in said) == paid
