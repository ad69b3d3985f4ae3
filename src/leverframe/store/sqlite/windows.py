"""SQL of `windows` and `reservations`: the three moves on a budget, and the bounds that survive a power cut.

Owner: budgets.  Writer: the store's writer.  Trust: trusted; whoever can edit this can spend more than a limit allows.
Invariants: `settled + reserved <= limit_value` unless the truth that was settled is above its reservation;
`reserved` is the sum of the window's open reservations (tests/property/test_store_races.py); `settled + reserved` is
at most `ceiling`, which is flushed before a caller is answered from it (tests/contract/test_store_ceilings.py).
Rules: docs/adr/0007-visible-and-durable.md.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.ids import ReservationId, RunId, TenantId, WindowId
from leverframe.domain.policy import SourceRef
from leverframe.domain.proposals import (
    EnsureWindow,
    GuardFailed,
    SettleDirect,
    SettleReserves,
    SettleRun,
    TakeReserves,
)
from leverframe.domain.runs import Run
from leverframe.domain.time import to_us

_INSERT = """
INSERT INTO windows (
    window_id, unit, tenant, run_id, resets_us, limit_value, ceiling, settled, reserved, source_file, source_line, key
) VALUES (
    :window_id, :unit, :tenant, :run_id, :resets_us, :limit_value, :ceiling, :settled, :reserved, :source_file,
    :source_line, :key
)
ON CONFLICT (window_id, unit) DO NOTHING
"""

_OF_RUN = """
SELECT window_id, unit, limit_value, settled, reserved, source_file, source_line, key
  FROM windows
 WHERE run_id = :run_id
 ORDER BY window_id, unit
"""

_SHARED = """
SELECT window_id, unit, limit_value, settled, reserved, source_file, source_line, key
  FROM windows
 WHERE window_id = :window_id AND run_id IS NULL
 ORDER BY unit
"""

_FOLLOW = """
UPDATE windows
   SET limit_value = :limit_value, source_file = :source_file, source_line = :source_line, key = :key,
       resets_us = :resets_us, ceiling = max(settled + reserved, min(ceiling, :limit_value))
 WHERE window_id = :window_id AND unit = :unit AND tenant = :tenant AND run_id IS NULL
"""

_LEFT = """
SELECT limit_value - settled - reserved FROM windows WHERE window_id = :window_id AND unit = :unit AND tenant = :tenant
"""

_TAKE = """
UPDATE windows SET reserved = reserved + ?3
 WHERE window_id = ?1 AND unit = ?2 AND tenant = ?4
   AND settled + reserved + ?3 <= limit_value AND settled + reserved + ?3 <= ceiling
"""

# A ceiling is raised by a part of the limit.  A small part costs more flushes; a large one leaves more idle after a
# power cut.  A run ends soon, so a large part of its own windows may lapse with it.
_TAKE_AND_RAISE = """
UPDATE windows
   SET reserved = reserved + :amount,
       ceiling = min(limit_value,
                     settled + reserved + :amount + limit_value / CASE WHEN run_id IS NULL THEN 64 ELSE 2 END)
 WHERE window_id = :window_id AND unit = :unit AND tenant = :tenant
   AND settled + reserved + :amount <= limit_value
"""

_SETTLE = """
UPDATE windows SET settled = settled + :actual, reserved = reserved - :amount
 WHERE window_id = :window_id AND unit = :unit AND tenant = :tenant
   AND settled + reserved + :actual - :amount <= ceiling
"""

_SETTLE_AND_RAISE = """
UPDATE windows
   SET settled = settled + :actual, reserved = reserved - :amount,
       ceiling = max(settled + reserved + :actual - :amount,
                     min(limit_value, settled + reserved + :actual - :amount
                                      + limit_value / CASE WHEN run_id IS NULL THEN 64 ELSE 2 END))
 WHERE window_id = :window_id AND unit = :unit AND tenant = :tenant
"""

_PUT_RESERVATION = """
INSERT INTO reservations (reservation_id, run_id, path, amounts, state)
VALUES (?1, ?2, ?3, ?4, 'open')
"""

_RESERVATION = "SELECT amounts, state FROM reservations WHERE reservation_id = :reservation_id"

_OPEN_OF_RUN = """
SELECT reservation_id FROM reservations INDEXED BY reservations_open
 WHERE run_id = :run_id AND state = 'open'
 ORDER BY reservation_id
"""

_RUNS_WITH_OPEN = """
SELECT DISTINCT run_id FROM reservations INDEXED BY reservations_open WHERE state = 'open' ORDER BY run_id LIMIT :limit
"""

_CLOSE = """
UPDATE reservations SET state = :state WHERE reservation_id = :reservation_id AND state = 'open'
"""

_Place = tuple[TenantId, str, str]  # tenant, window id, unit
_Amounts = list[tuple[str, str, int]]
_encode_amounts = msgspec.json.Encoder().encode
_decode_amounts = msgspec.json.Decoder(_Amounts).decode


@dataclass(slots=True, kw_only=True)
class Leases:
    """What a batch did and found once for all of its proposals.

    `is_raised`: a ceiling was raised, so the batch is flushed before anyone in it is answered.  `generation` is the
    authority's, as this transaction found it; None until somebody asks.
    """

    is_raised: bool = False
    generation: int | None = None


def insert(tx: sqlite3.Connection, run: Run, window: Window) -> None:
    """Write a new window of a run."""
    # Nobody knows the run before its caller was answered, and opening a run is durable: the first lease is free.
    lease = max(window.settled + window.reserved, window.limit // 2)
    params = {**_params(window), "ceiling": lease, "tenant": run.tenant, "run_id": run.run_id, "resets_us": None}
    if tx.execute(_INSERT, params).rowcount != 1:
        raise ValueError(f"There is a budget window {window.window_id!r} of {window.unit!r} already")


def ensure(tx: sqlite3.Connection, change: EnsureWindow) -> None:
    """Make a shared window, or let the one that is there follow the project's file."""
    window = change.window
    empty = {"settled": 0, "reserved": 0, "ceiling": 0}
    scope = {
        "tenant": change.tenant,
        "run_id": None,
        "resets_us": None if change.resets_at is None else to_us(change.resets_at),
    }
    params = {**_params(window), **empty, **scope}
    if tx.execute(_INSERT, params).rowcount == 1:
        return
    if tx.execute(_FOLLOW, params).rowcount != 1:
        raise ValueError(
            f"The budget window {window.window_id!r} is of a run or of another tenant than {change.tenant!r}"
        )


def of_run(tx: sqlite3.Connection, run_id: RunId) -> Sequence[Window]:
    """The run's windows by id and unit."""
    return [_window(row) for row in tx.execute(_OF_RUN, {"run_id": run_id})]


def shared(tx: sqlite3.Connection, window_ids: Sequence[WindowId]) -> Sequence[Window]:
    """Shared windows by id and unit."""
    return [
        _window(row) for window_id in sorted(set(window_ids)) for row in tx.execute(_SHARED, {"window_id": window_id})
    ]


def unsettled(tx: sqlite3.Connection, limit: int) -> Sequence[RunId]:
    """Runs with an open reservation, by id."""
    return [RunId(run_id) for (run_id,) in tx.execute(_RUNS_WITH_OPEN, {"limit": limit})]


def take(tx: sqlite3.Connection, leases: Leases, tenant: TenantId, change: TakeReserves) -> GuardFailed | None:
    """Reserve in every window or in none, in the order of window id and unit.

    Idempotent: an id that is open or settled takes nothing more.  One that was voided is refused: its money is gone.
    """
    earlier = _reservation(tx, change.reservation_id)
    if earlier is not None:
        if earlier.state == "voided":
            return GuardFailed(guard="TakeReserves", detail=f"reservation {change.reservation_id} was voided")
        return None
    asked: dict[tuple[str, str], int] = {}
    for reserve in change.reserves:
        if reserve.amount < 0:
            raise ValueError(f"A reservation holds zero or more, got {reserve!r}")
        place = (reserve.window_id, reserve.unit)
        asked[place] = asked.get(place, 0) + reserve.amount
    amounts = sorted((window_id, unit, amount) for (window_id, unit), amount in asked.items())
    for window_id, unit, amount in amounts:
        if tx.execute(_TAKE, (window_id, unit, amount, tenant)).rowcount != 1:
            params = {"window_id": window_id, "unit": unit, "tenant": tenant, "amount": amount}
            if tx.execute(_TAKE_AND_RAISE, params).rowcount != 1:
                row = tx.execute(_LEFT, params).fetchone()
                if row is None:
                    raise _no_window(tenant, window_id, unit)
                return GuardFailed(guard="TakeReserves", detail=f"{window_id} {unit}: left {row[0]}, asked {amount}")
            leases.is_raised = True
    text = _encode_amounts(amounts).decode()
    tx.execute(_PUT_RESERVATION, (change.reservation_id, change.run_id, change.path, text))
    return None


def settle(tx: sqlite3.Connection, leases: Leases, tenant: TenantId, change: SettleReserves) -> GuardFailed | None:
    """Turn what is open into spending.  A second settle changes nothing; a voided reservation is refused.

    An actual amount for a window in which nothing was reserved is spent there too: the books tell the truth.
    """
    found = _reservation(tx, change.reservation_id)
    if found is not None and found.state == "voided":
        return GuardFailed(guard="SettleReserves", detail=f"reservation {change.reservation_id} was voided")
    if found is not None and found.state == "settled":
        return None
    actual: dict[tuple[str, str], int] = {(place[0], place[1].value): spent for place, spent in change.actual.items()}
    if found is not None:
        for window_id, unit, amount in found.amounts:
            spent = actual.pop((window_id, unit), amount)
            _move(tx, leases, (tenant, window_id, unit), actual=spent, amount=amount)
        _close(tx, change.reservation_id, "settled")
    for (window_id, unit), spent in sorted(actual.items()):
        _move(tx, leases, (tenant, window_id, unit), actual=spent, amount=0)
    return None


def settle_run(tx: sqlite3.Connection, leases: Leases, tenant: TenantId, change: SettleRun) -> None:
    """Turn all that a run has open into spending, at its bound."""
    for (reservation_id,) in tx.execute(_OPEN_OF_RUN, {"run_id": change.run_id}).fetchall():
        settle(tx, leases, tenant, SettleReserves(reservation_id=ReservationId(reservation_id), actual={}))


def void(tx: sqlite3.Connection, leases: Leases, tenant: TenantId, reservation_id: ReservationId) -> None:
    """Give back what is open.  Idempotent; what is settled stays settled."""
    found = _reservation(tx, reservation_id)
    if found is None or found.state != "open":
        return
    for window_id, unit, amount in found.amounts:
        _move(tx, leases, (tenant, window_id, unit), actual=0, amount=amount)
    _close(tx, reservation_id, "voided")


def settle_direct(tx: sqlite3.Connection, leases: Leases, tenant: TenantId, change: SettleDirect) -> None:
    """Spend without a reservation and without asking for room."""
    _move(tx, leases, (tenant, change.window_id, change.unit.value), actual=change.amount, amount=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reservation:
    amounts: _Amounts
    state: str


def _reservation(tx: sqlite3.Connection, reservation_id: ReservationId) -> _Reservation | None:
    row = tx.execute(_RESERVATION, {"reservation_id": reservation_id}).fetchone()
    return None if row is None else _Reservation(amounts=_decode_amounts(row[0]), state=row[1])


def _move(tx: sqlite3.Connection, leases: Leases, place: _Place, *, actual: int, amount: int) -> None:
    tenant, window_id, unit = place
    if actual < 0:
        raise ValueError(f"Spending is zero or more, got {actual!r} for {window_id!r} of {unit!r}")
    params = {"window_id": window_id, "unit": unit, "tenant": tenant, "actual": actual, "amount": amount}
    if tx.execute(_SETTLE, params).rowcount == 1:
        return
    if tx.execute(_SETTLE_AND_RAISE, params).rowcount != 1:
        raise _no_window(tenant, window_id, unit)
    leases.is_raised = True


def _close(tx: sqlite3.Connection, reservation_id: ReservationId, state: str) -> None:
    if tx.execute(_CLOSE, {"reservation_id": reservation_id, "state": state}).rowcount != 1:
        raise ValueError(f"Reservation {reservation_id!r} is not open")


def _no_window(tenant: TenantId, window_id: str, unit: str) -> ValueError:
    return ValueError(f"There is no budget window {window_id!r} of {unit!r} for {tenant!r}; open it with its run")


def _params(window: Window) -> dict[str, object]:
    return {
        "window_id": window.window_id,
        "unit": window.unit.value,
        "limit_value": window.limit,
        "ceiling": window.settled + window.reserved,
        "settled": window.settled,
        "reserved": window.reserved,
        "source_file": window.source.file,
        "source_line": window.source.line,
        "key": window.key,
    }


# Any: a row of SQLite has no static type; STRICT tables keep what each column may hold.
def _window(row: tuple[Any, ...]) -> Window:
    return Window(
        window_id=WindowId(row[0]),
        unit=BudgetUnit(row[1]),
        limit=row[2],
        settled=row[3],
        reserved=row[4],
        source=SourceRef(file=row[5], line=row[6]),
        key=row[7],
    )
