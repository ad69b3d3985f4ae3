"""SQL of `reservations`: what was set aside for each call, until it is settled or voided.

Owner: budgets.  Writer: the store's writer.  Trust: trusted; whoever can edit this can spend more than a limit allows,
and `evidence verify` holds it against the log.
"""

import sqlite3
from collections.abc import Collection, Mapping, Sequence

import msgspec

from leverframe.domain.ids import ReservationId, RunId, StepPath
from leverframe.domain.proposals import TakeReserves
from leverframe.ports.live import OpenCall

_OPEN = """
INSERT INTO reservations (reservation_id, run_id, path, amounts, state) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (reservation_id) DO NOTHING
"""

_SOME = """
SELECT reservation_id, amounts, state FROM reservations WHERE reservation_id IN (SELECT value FROM json_each(?1))
"""

_OPEN_OF_RUN = """
SELECT reservation_id FROM reservations INDEXED BY reservations_open
 WHERE run_id = ?1 AND state = 'open'
 ORDER BY reservation_id
"""

_RUNS_WITH_OPEN = """
SELECT DISTINCT run_id FROM reservations INDEXED BY reservations_open WHERE state = 'open' ORDER BY run_id LIMIT ?1
"""

_OPEN_CALLS = """
SELECT run_id, path FROM reservations INDEXED BY reservations_open WHERE state = 'open' ORDER BY reservation_id LIMIT ?1
"""

_CLOSE = "UPDATE reservations SET state = ?2 WHERE reservation_id = ?1 AND state = 'open'"

Amounts = list[tuple[str, str, int]]  # window id, unit, amount; by id and unit
Row = tuple[str, str, str, str, str]
_encode = msgspec.json.Encoder().encode
_decode_amounts = msgspec.json.Decoder(Amounts).decode


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """What is set aside, and whether it still is: `open`, `settled` or `voided`."""

    amounts: Amounts
    state: str


def row_of(change: TakeReserves, amounts: Amounts) -> Row:
    """A new reservation as `open_` takes it; its state stands last."""
    return change.reservation_id, change.run_id, change.path, _encode(amounts).decode(), "open"


def is_open(row: Row, run_id: RunId) -> bool:
    """Whether a new reservation is of this run, and open."""
    return row[1] == run_id and row[-1] == "open"


def open_(tx: sqlite3.Connection, rows: Sequence[Row]) -> int:
    """Write new reservations; returns how many were new."""
    return tx.executemany(_OPEN, rows).rowcount


def close(tx: sqlite3.Connection, states: Mapping[str, str]) -> int:
    """Settle or void; returns how many were open."""
    return tx.executemany(_CLOSE, list(states.items())).rowcount


def read(tx: sqlite3.Connection, reservation_ids: Collection[str]) -> dict[str, Reservation]:
    """Those that are there."""
    rows = tx.execute(_SOME, (_encode(list(reservation_ids)).decode(),))
    return {one: Reservation(amounts=_decode_amounts(amounts), state=state) for one, amounts, state in rows}


def amounts_of(text: str) -> Amounts:
    """The column `amounts`, read.  Raises msgspec.MsgspecError where it is none."""
    return _decode_amounts(text)


def open_of_run(tx: sqlite3.Connection, run_id: RunId) -> Sequence[ReservationId]:
    """What a run has open, by id."""
    return [ReservationId(one) for (one,) in tx.execute(_OPEN_OF_RUN, (run_id,)).fetchall()]


def open_calls(tx: sqlite3.Connection, limit: int) -> Sequence[OpenCall]:
    """Calls with an open reservation; the id of a reservation begins with its time."""
    rows = tx.execute(_OPEN_CALLS, (limit,))
    return [OpenCall(run_id=RunId(run_id), path=StepPath(path)) for run_id, path in rows]


def unsettled(tx: sqlite3.Connection, limit: int) -> Sequence[RunId]:
    """Runs with an open reservation, by id."""
    return [RunId(run_id) for (run_id,) in tx.execute(_RUNS_WITH_OPEN, (limit,))]
