"""Each kind of edit of the books, at rows of real runs: `evidence verify` says BROKEN and names the row.

Windows and reservations carry no MAC: what they hold is held against the entries that moved them.  LONG=1 takes every
row; otherwise the commit draws some.
"""

import sqlite3
from contextlib import closing

import pytest

from leverframe.sdk.report import BROKEN
from tests.e2e.test_tamper_matrix_database import PLACES, Copy, copy
from tests.evidence_project import database
from tests.sampling import sample

__all__ = ["copy"]  # a fixture
KEYS = {"windows": "window_id || '/' || unit", "reservations": "reservation_id"}  # tables without a rowid
BOOKS = ("windows", "reservations")
# No entry tells of the clock of a run.
OF_ENDED = "run_id IN (SELECT run_id FROM runs WHERE state = 'ended') AND unit <> 'wall_us'"


@pytest.mark.parametrize(
    ("table", "sql"),
    [
        ("windows", "settled = settled - 1 WHERE settled > 0 AND unit <> 'wall_us'"),
        ("windows", "reserved = reserved + 1"),
        (
            "windows",
            f"settled = settled + 1 WHERE {OF_ENDED}",
        ),
        ("windows", "settled = settled + 1 WHERE unit IN ('usd', 'input_tokens', 'output_tokens')"),
        (
            "windows",
            f"limit_value = limit_value * 2 WHERE {OF_ENDED} AND limit_value < 1000000000000",
        ),
        ("reservations", "state = 'open' WHERE state = 'settled' AND amounts <> '[]'"),
        ("reservations", "state = 'voided' WHERE state = 'settled' AND amounts <> '[]'"),
        ("reservations", "amounts = '[]' WHERE amounts <> '[]'"),
        ("reservations", "amounts = 'x'"),
        ("reservations", "path = '99' WHERE amounts <> '[]'"),
        ("reservations", "reservation_id = reservation_id || 'x' WHERE amounts <> '[]'"),
    ],
)
def test_every_edited_row_of_the_books_is_named(copy: Copy, table: str, sql: str) -> None:
    head, where, tail = sql.partition(" WHERE ")
    key = KEYS[table]
    rows = copy.execute(f"SELECT {key} FROM {table} {where}{tail}")  # noqa: S608 - the cases are above
    assert rows
    for (one,) in sample(rows, PLACES):
        only = f"{where or ' WHERE '}{tail or 'true'} AND {key} = :one"
        with closing(sqlite3.connect(database(copy.root))) as db, db:
            db.execute(f"UPDATE {table} SET {head}{only}", {"one": one})  # noqa: S608 - the cases are above

        report = copy.verified()

        assert (report.verdict, bool(report.checks["S7"].failed)) == (BROKEN, True), one
        assert copy.broken()


@pytest.mark.parametrize("table", BOOKS)
def test_a_deleted_row_of_the_books_is_missed(copy: Copy, table: str) -> None:
    where = "amounts <> '[]'" if table == "reservations" else "settled > 0 AND unit <> 'wall_us'"
    rows = copy.execute(f"SELECT {KEYS[table]} FROM {table} WHERE {where}")  # noqa: S608 - our names
    for (one,) in sample(rows, PLACES):
        with closing(sqlite3.connect(database(copy.root))) as db, db:
            db.execute(f"DELETE FROM {table} WHERE {KEYS[table]} = ?", (one,))  # noqa: S608 - our names

        assert copy.broken(), one
