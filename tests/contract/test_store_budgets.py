"""The contract of budget windows: reserve, settle, void."""

from typing import Any

import pytest

from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.ids import ReservationId, RunId, StepPath, WindowId
from leverframe.domain.policy import Reserve
from leverframe.domain.proposals import (
    EnsureWindow,
    Proposal,
    SettleDirect,
    SettleReserves,
    TakeReserves,
    VoidReserves,
)
from leverframe.domain.records import replace
from tests.store_samples import ACME, GLOBEX, RUN, Bench, a_run, a_window, after, an_entry, taking

WINDOW = WindowId("run/run_1")
CALLS, MONEY = BudgetUnit.TOOL_CALLS, BudgetUnit.USD
BOTH = TakeReserves(
    reservation_id=ReservationId("rsv_1"),
    run_id=RUN,
    path=StepPath("1"),
    reserves=(
        Reserve(window_id=WINDOW, unit=MONEY.value, amount=600),
        Reserve(window_id=WINDOW, unit=CALLS.value, amount=1),
    ),
)


def settling(reservation_id: str = "rsv_1", **actual: int) -> SettleReserves:
    return SettleReserves(
        reservation_id=ReservationId(reservation_id),
        actual={(WINDOW, BudgetUnit(unit)): amount for unit, amount in actual.items()},
    )


def voiding(reservation_id: str = "rsv_1") -> VoidReserves:
    return VoidReserves(reservation_id=ReservationId(reservation_id))


def books(bench: Bench) -> dict[str, tuple[int, int]]:
    """(settled, reserved) of each window by its unit."""
    return {one.unit.value: (one.settled, one.reserved) for one in bench.do(bench.store.journal.windows(RUN))}


def test_the_windows_of_a_run_come_back_as_they_were_opened(bench: Bench) -> None:
    windows = (a_window(10), a_window(1_000, MONEY))
    bench.open_run(None, *windows)
    bench.open_run(a_run("run_2"), a_window(3, window_id="run/run_2"))

    assert bench.do(bench.store.journal.windows(RUN)) == list(windows)
    assert bench.do(bench.store.journal.windows(RunId("run_9"))) == []


def test_a_reservation_takes_every_window_or_none(bench: Bench) -> None:
    bench.open_run(None, a_window(10), a_window(1_000, MONEY))

    bench.commit(BOTH)
    failed = bench.refuse(replace(BOTH, reservation_id=ReservationId("rsv_2")), entries=(an_entry("e1"),))

    assert (failed.guard, failed.detail) == ("TakeReserves", "run/run_1 usd: left 400, asked 600")
    assert books(bench) == {"tool_calls": (0, 1), "usd": (0, 600)}
    assert bench.do(bench.store.evidence.leaves_of_run(a_run().tenant, RUN)) == []


def test_what_is_left_can_be_taken_to_the_last_unit(bench: Bench) -> None:
    bench.open_run(None, a_window(2))

    bench.commit(taking("rsv_1", 2))

    assert bench.refuse(taking("rsv_2", 1)).detail == "run/run_1 tool_calls: left 0, asked 1"
    bench.commit(taking("rsv_3", 0))


def test_one_window_named_twice_is_asked_for_the_sum(bench: Bench) -> None:
    bench.open_run(None, a_window(3))
    part = taking("rsv_1", 2).reserves

    failed = bench.refuse(replace(taking("rsv_1", 2), reserves=(*part, *part)))

    assert failed.detail == "run/run_1 tool_calls: left 3, asked 4"


def test_the_same_reservation_again_takes_nothing_more(bench: Bench) -> None:
    bench.open_run(None, a_window(10))
    bench.commit(taking("rsv_1", 4))

    bench.commit(taking("rsv_1", 4))
    open_books = books(bench)
    bench.commit(settling("rsv_1"))
    bench.commit(taking("rsv_1", 4))

    assert open_books == {"tool_calls": (0, 4)}
    assert books(bench) == {"tool_calls": (4, 0)}


def test_settling_spends_what_was_used_and_frees_the_rest(bench: Bench) -> None:
    bench.open_run(None, a_window(10), a_window(1_000, MONEY))
    bench.commit(BOTH)

    bench.commit(settling(usd=250))
    bench.commit(settling(usd=999))

    assert books(bench) == {"tool_calls": (1, 0), "usd": (250, 0)}


def test_a_bill_above_the_reservation_is_settled_as_it_is(bench: Bench) -> None:
    bench.open_run(None, a_window(10), a_window(1_000, MONEY))
    bench.commit(BOTH)

    bench.commit(settling(usd=1_500))

    assert books(bench)["usd"] == (1_500, 0)
    assert bench.refuse(replace(BOTH, reservation_id=ReservationId("rsv_2"))).detail.endswith("left -500, asked 600")


def test_spending_in_a_window_without_a_reservation_is_counted_too(bench: Bench) -> None:
    bench.open_run(None, a_window(10), a_window(1_000, MONEY))
    bench.commit(taking("rsv_1"))

    bench.commit(settling(usd=30))

    assert books(bench) == {"tool_calls": (1, 0), "usd": (30, 0)}


def test_voiding_gives_back_once(bench: Bench) -> None:
    bench.open_run(None, a_window(10), a_window(1_000, MONEY))
    bench.commit(BOTH)

    bench.commit(voiding())
    bench.commit(voiding())

    assert books(bench) == {"tool_calls": (0, 0), "usd": (0, 0)}


def test_what_is_settled_stays_settled_when_it_is_voided(bench: Bench) -> None:
    bench.open_run(None, a_window(10))
    bench.commit(taking("rsv_1", 4))
    bench.commit(settling())

    bench.commit(voiding())

    assert books(bench) == {"tool_calls": (4, 0)}


def test_a_voided_reservation_is_neither_taken_nor_settled_again(bench: Bench) -> None:
    bench.open_run(None, a_window(10))
    bench.commit(taking("rsv_1", 4))
    bench.commit(voiding())

    taken, settled = bench.refuse(taking("rsv_1", 4)), bench.refuse(settling())

    assert (taken.guard, settled.guard) == ("TakeReserves", "SettleReserves")
    assert taken.detail == settled.detail == "reservation rsv_1 was voided"
    assert books(bench) == {"tool_calls": (0, 0)}


def test_settling_or_voiding_what_was_never_reserved_changes_nothing(bench: Bench) -> None:
    bench.open_run(None, a_window(10))

    bench.commit(settling("rsv_9"), voiding("rsv_9"))

    assert books(bench) == {"tool_calls": (0, 0)}


def test_counting_directly_asks_for_no_room(bench: Bench) -> None:
    bench.open_run(None, a_window(1))

    bench.commit(SettleDirect(window_id=WINDOW, unit=CALLS, amount=5))

    assert books(bench) == {"tool_calls": (5, 0)}


@pytest.mark.parametrize(
    "change",
    [
        taking("rsv_1", -1),
        taking("rsv_1", 1, MONEY),
        SettleDirect(window_id=WINDOW, unit=CALLS, amount=-1),
        SettleDirect(window_id=WindowId("run/run_9"), unit=CALLS, amount=1),
    ],
    ids=["negative", "no such unit", "negative spending", "no such window"],
)
def test_a_move_that_no_budget_can_mean_is_raised(bench: Bench, change: TakeReserves | SettleDirect) -> None:
    bench.open_run(None, a_window(10))

    with pytest.raises(ValueError, match=r"zero or more|no budget window"):
        bench.propose(change)

    assert books(bench) == {"tool_calls": (0, 0)}


def test_limits_of_any_size_that_money_has_are_exact(bench: Bench) -> None:
    huge = 2**62
    bench.open_run(None, a_window(huge, MONEY))

    bench.commit(taking("rsv_1", huge - 1, MONEY))
    failed = bench.refuse(taking("rsv_2", huge, MONEY))

    assert failed.detail == f"run/run_1 usd: left 1, asked {huge}"
    assert bench.do(bench.store.journal.windows(RUN))[0] == replace(window_of(huge), reserved=huge - 1)


def window_of(limit: int) -> Window:
    return a_window(limit, MONEY)


DAY = WindowId("acme/day/2026-03-01")


def ensuring(limit: int = 10, **changes: Any) -> EnsureWindow:  # Any: the fields of an EnsureWindow, by name
    window = a_window(limit, window_id=DAY)
    return replace(EnsureWindow(window=window, tenant=ACME, resets_at=after(86_400)), **changes)


def shared(bench: Bench, *window_ids: WindowId) -> list[Window]:
    return list(bench.do(bench.store.journal.shared_windows(window_ids or (DAY,))))


def test_a_window_of_a_tenant_is_shared_by_its_runs_and_outlives_them(bench: Bench) -> None:
    bench.commit(ensuring(10))
    bench.open_run()
    bench.open_run(a_run("run_2"))

    bench.commit(taking("rsv_1", 6, window_id=DAY))
    failed = bench.refuse(replace(taking("rsv_2", 5, window_id=DAY), run_id=RunId("run_2")))
    bench.commit(replace(taking("rsv_3", 4, window_id=DAY), run_id=RunId("run_2")))

    assert failed.detail == f"{DAY} tool_calls: left 4, asked 5"
    assert shared(bench) == [replace(a_window(10, window_id=DAY), reserved=10)]
    assert bench.do(bench.store.journal.windows(RUN)) == []


def test_ensuring_again_keeps_the_books_and_follows_the_limit(bench: Bench) -> None:
    bench.open_run()
    bench.commit(ensuring(10))
    bench.commit(taking("rsv_1", 6, window_id=DAY))

    bench.commit(ensuring(4))
    lowered = shared(bench)
    refused = bench.refuse(taking("rsv_2", 1, window_id=DAY))
    bench.commit(ensuring(20))
    bench.commit(taking("rsv_3", 14, window_id=DAY))

    assert (lowered[0].limit, lowered[0].reserved, refused.detail) == (4, 6, f"{DAY} tool_calls: left -2, asked 1")
    assert shared(bench) == [replace(a_window(20, window_id=DAY), reserved=20)]


def test_shared_windows_come_by_id_and_unit_and_unknown_ones_are_left_out(bench: Bench) -> None:
    month = WindowId("acme/month/2026-03")
    bench.commit(ensuring(10), ensuring(window=a_window(5, MONEY, window_id=month)))
    bench.commit(ensuring(window=a_window(7, MONEY, window_id=DAY)))

    found = shared(bench, month, DAY, WindowId("acme/never"), DAY)

    assert [(one.window_id, one.unit.value) for one in found] == [(DAY, "tool_calls"), (DAY, "usd"), (month, "usd")]


def test_a_run_of_another_tenant_cannot_touch_the_window(bench: Bench) -> None:
    bench.commit(ensuring(10))
    bench.open_run(None, a_window(10))
    take = taking("rsv_1", 1, window_id=DAY)

    for change in (take, SettleDirect(window_id=DAY, unit=CALLS, amount=1), ensuring(99), ensuring(99, tenant=GLOBEX)):
        with pytest.raises(ValueError, match=r"no budget window|another tenant|not of"):
            bench.do(bench.store.writer.commit(Proposal(tenant=GLOBEX, changes=(change,))))
    with pytest.raises(ValueError, match="is of a run"):
        bench.propose(ensuring(window=a_window(99)))

    assert shared(bench) == [a_window(10, window_id=DAY)]
