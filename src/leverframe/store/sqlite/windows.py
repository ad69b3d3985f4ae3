"""SQL of `windows`: what is settled and reserved in each, and the bounds that survive a power cut.

Owner: budgets.  Writer: the store's writer.  Trust: trusted; whoever can edit this can spend more than a limit allows,
and `evidence verify` holds it against the log.
Invariants: `settled + reserved <= limit_value` unless the truth that was settled is above its reservation;
`reserved` is the sum of the window's open reservations (tests/property/test_store_races.py); `settled + reserved` is
at most `ceiling`, which is flushed before a caller is answered from it (tests/contract/test_store_ceilings.py).
Rules: docs/adr/0007-visible-and-durable.md.
"""

import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.ids import RunId, WindowId
from leverframe.domain.policy import SourceRef
from leverframe.domain.proposals import EnsureWindow
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

_SOME = """
SELECT window_id, unit, tenant, run_id, limit_value, ceiling, settled, reserved, source_file, source_line, key,
       resets_us
  FROM windows
 WHERE window_id IN (SELECT value FROM json_each(?1))
"""

_PUT_BOOKS = """
UPDATE windows SET settled = ?3, reserved = ?4, ceiling = ?5 WHERE window_id = ?1 AND unit = ?2
"""


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


# Any: a row of SQLite has no static type; STRICT tables keep what each column may hold.
def rows(tx: sqlite3.Connection, window_ids: Collection[str]) -> Sequence[tuple[Any, ...]]:
    """Every unit of these windows, a run's own ones included, as `Books` reads them."""
    if not window_ids:
        return []
    return tx.execute(_SOME, (msgspec.json.encode(list(window_ids)).decode(),)).fetchall()


def put_books(tx: sqlite3.Connection, moved: Sequence[tuple[str, str, int, int, int]]) -> None:
    """Write window id, unit, settled, reserved and ceiling, in the order of id and unit."""
    tx.executemany(_PUT_BOOKS, moved)


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
