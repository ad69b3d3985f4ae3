"""SQL of `windows` and `reservations`: the three moves on a budget.

Owner: budgets.  Writer: the store's writer.  Trust: trusted; whoever can edit this can spend more than a limit allows.
Invariant: `settled + reserved <= limit_value` unless the truth that was settled is above its reservation, and
`reserved` is the sum of the window's open reservations (tests/property/test_store_races.py).
"""

import sqlite3
from collections.abc import Mapping, Sequence

from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.ids import ReservationId, RunId, WindowId
from leverframe.domain.policy import SourceRef
from leverframe.domain.proposals import GuardFailed, SettleDirect, SettleReserves, TakeReserves

_INSERT = """
INSERT INTO windows (
    window_id, unit, run_id, limit_value, settled, reserved, source_file, source_line, key
) VALUES (
    :window_id, :unit, :run_id, :limit_value, :settled, :reserved, :source_file, :source_line, :key
)
"""

_OF_RUN = """
SELECT window_id, unit, limit_value, settled, reserved, source_file, source_line, key
  FROM windows
 WHERE run_id = :run_id
 ORDER BY window_id, unit
"""

_LEFT = "SELECT limit_value - settled - reserved FROM windows WHERE window_id = :window_id AND unit = :unit"

_TAKE = """
UPDATE windows SET reserved = reserved + :amount
 WHERE window_id = :window_id AND unit = :unit AND limit_value - settled - reserved >= :amount
"""

_SETTLE = """
UPDATE windows SET settled = settled + :actual, reserved = reserved - :amount
 WHERE window_id = :window_id AND unit = :unit
"""

_PUT_RESERVATION = """
INSERT INTO reservations (reservation_id, window_id, unit, run_id, path, amount, state)
VALUES (:reservation_id, :window_id, :unit, :run_id, :path, :amount, 'open')
"""

_RESERVATION = """
SELECT window_id, unit, amount, state FROM reservations
 WHERE reservation_id = :reservation_id
 ORDER BY window_id, unit
"""

_CLOSE = """
UPDATE reservations SET state = :state
 WHERE reservation_id = :reservation_id AND window_id = :window_id AND unit = :unit AND state = 'open'
"""


def insert(tx: sqlite3.Connection, run_id: RunId, window: Window) -> None:
    """Write a new window of a run."""
    params = {
        "window_id": window.window_id,
        "unit": window.unit.value,
        "run_id": run_id,
        "limit_value": window.limit,
        "settled": window.settled,
        "reserved": window.reserved,
        "source_file": window.source.file,
        "source_line": window.source.line,
        "key": window.key,
    }
    tx.execute(_INSERT, params)


def of_run(tx: sqlite3.Connection, run_id: RunId) -> Sequence[Window]:
    """The run's windows by id and unit."""
    return [
        Window(
            window_id=WindowId(window_id),
            unit=BudgetUnit(unit),
            limit=limit,
            settled=settled,
            reserved=reserved,
            source=SourceRef(file=source_file, line=source_line),
            key=key,
        )
        for window_id, unit, limit, settled, reserved, source_file, source_line, key in tx.execute(
            _OF_RUN, {"run_id": run_id}
        )
    ]


def take(tx: sqlite3.Connection, change: TakeReserves) -> GuardFailed | None:
    """Reserve in every window or in none, in the order of window id and unit.

    Idempotent: an id that is open or settled takes nothing more.  One that was voided is refused: its money is gone.
    """
    earlier = _rows(tx, change.reservation_id)
    if any(state == "voided" for _, _, _, state in earlier):
        return GuardFailed(guard="TakeReserves", detail=f"reservation {change.reservation_id} was voided")
    if earlier:
        return None
    asked: dict[tuple[WindowId, str], int] = {}
    for reserve in change.reserves:
        if reserve.amount < 0:
            raise ValueError(f"A reservation holds zero or more, got {reserve!r}")
        place = (reserve.window_id, reserve.unit)
        asked[place] = asked.get(place, 0) + reserve.amount
    for (window_id, unit), amount in sorted(asked.items()):
        params = {"window_id": window_id, "unit": unit, "amount": amount}
        if tx.execute(_TAKE, params).rowcount != 1:
            row = tx.execute(_LEFT, {"window_id": window_id, "unit": unit}).fetchone()
            if row is None:
                raise ValueError(f"There is no budget window {window_id!r} of {unit!r}; open it with its run")
            return GuardFailed(guard="TakeReserves", detail=f"{window_id} {unit}: left {row[0]}, asked {amount}")
        owner = {"reservation_id": change.reservation_id, "run_id": change.run_id, "path": change.path}
        tx.execute(_PUT_RESERVATION, {**params, **owner})
    return None


def settle(tx: sqlite3.Connection, change: SettleReserves) -> GuardFailed | None:
    """Turn what is open into spending.  A second settle changes nothing; a voided reservation is refused.

    An actual amount for a window in which nothing was reserved is spent there too: the books tell the truth.
    """
    rows = _rows(tx, change.reservation_id)
    if any(state == "voided" for _, _, _, state in rows):
        return GuardFailed(guard="SettleReserves", detail=f"reservation {change.reservation_id} was voided")
    if any(state == "settled" for _, _, _, state in rows):
        return None
    actual: dict[tuple[str, str], int] = {(place[0], place[1].value): spent for place, spent in change.actual.items()}
    for window_id, unit, amount, _ in rows:
        _move(tx, window_id, unit, actual=actual.pop((window_id, unit), amount), amount=amount)
        _close(tx, change.reservation_id, (window_id, unit), "settled")
    for (window_id, unit), spent in sorted(actual.items()):
        _move(tx, window_id, unit, actual=spent, amount=0)
    return None


def void(tx: sqlite3.Connection, reservation_id: ReservationId) -> None:
    """Give back what is open.  Idempotent; what is settled stays settled."""
    for window_id, unit, amount, state in _rows(tx, reservation_id):
        if state == "open":
            _move(tx, window_id, unit, actual=0, amount=amount)
            _close(tx, reservation_id, (window_id, unit), "voided")


def settle_direct(tx: sqlite3.Connection, change: SettleDirect) -> None:
    """Spend without a reservation and without asking for room."""
    _move(tx, change.window_id, change.unit.value, actual=change.amount, amount=0)


def _rows(tx: sqlite3.Connection, reservation_id: ReservationId) -> Sequence[tuple[str, str, int, str]]:
    return tx.execute(_RESERVATION, {"reservation_id": reservation_id}).fetchall()


def _move(tx: sqlite3.Connection, window_id: str, unit: str, *, actual: int, amount: int) -> None:
    if actual < 0:
        raise ValueError(f"Spending is zero or more, got {actual!r} for {window_id!r} of {unit!r}")
    params: Mapping[str, object] = {"window_id": window_id, "unit": unit, "actual": actual, "amount": amount}
    if tx.execute(_SETTLE, params).rowcount != 1:
        raise ValueError(f"There is no budget window {window_id!r} of {unit!r}; open it with its run")


def _close(tx: sqlite3.Connection, reservation_id: ReservationId, place: tuple[str, str], state: str) -> None:
    window_id, unit = place
    params = {"reservation_id": reservation_id, "window_id": window_id, "unit": unit, "state": state}
    if tx.execute(_CLOSE, params).rowcount != 1:
        raise ValueError(f"Reservation {reservation_id!r} of {window_id!r} and {unit!r} is not open")
