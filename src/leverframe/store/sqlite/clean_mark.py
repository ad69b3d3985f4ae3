"""SQL of `meta`: the mark that something may be unflushed, and what follows when the machine ended under it.

Owner: the store.  Writer: the store's writer.  Trust: trusted; whoever can edit this can hide that a crash lost
reservations.  The mark is a boot id, flushed before anyone is answered from an unflushed commit, and taken away when a
writer ends with everything flushed.  A process that dies loses nothing that was committed, so a mark
of this boot means nothing; one of another boot means that the machine went down with something unflushed.
Rules: docs/adr/0007-visible-and-durable.md.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.ids import RunId, TenantId, WindowId
from leverframe.ports.store import Forfeited

_MARK = "SELECT value FROM meta WHERE name = 'boot'"

_PUT_MARK = """
INSERT INTO meta (name, value) VALUES ('boot', :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""

_TAKE_MARK = "DELETE FROM meta WHERE name = 'boot'"

_UNKNOWN_BOOT = "unknown"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_FORFEITABLE = """
SELECT w.window_id, w.unit, w.tenant, w.run_id, w.ceiling - w.settled - w.reserved
  FROM windows AS w
  LEFT JOIN runs AS r ON r.run_id = w.run_id
 WHERE w.ceiling > w.settled + w.reserved AND w.unit <> 'in_flight' AND (w.run_id IS NULL OR r.state <> 'ended')
 ORDER BY w.tenant, w.window_id, w.unit
"""

_FORFEIT = """
UPDATE windows SET settled = ceiling - reserved
 WHERE window_id = :window_id AND unit = :unit AND ceiling > settled + reserved
"""


def boot_id() -> str:
    """Which start of the machine this is; empty where the system does not say, so that every mark counts."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""


def is_there(tx: sqlite3.Connection, boot: str) -> bool:
    """Whether the mark of this boot stands; then it is flushed."""
    row = tx.execute(_MARK).fetchone()
    return row is not None and row[0] == (boot or _UNKNOWN_BOOT)


def put(tx: sqlite3.Connection, boot: str) -> None:
    """Say that something may be unflushed from here on.  The caller flushes it before anyone else can see it."""
    tx.execute(_PUT_MARK, {"value": boot or _UNKNOWN_BOOT})


def take_away(tx: sqlite3.Connection) -> None:
    """Say that all is flushed."""
    tx.execute(_TAKE_MARK)


def is_crashed(tx: sqlite3.Connection, boot: str) -> bool:
    """Whether the machine went down while something was unflushed."""
    return tx.execute(_MARK).fetchone() is not None and not (boot and is_there(tx, boot))


def forfeit(tx: sqlite3.Connection) -> Sequence[Forfeited]:
    """Use every window up to its ceiling; returns what that took.  Windows of ended runs are left alone."""
    found = [
        Forfeited(
            window_id=WindowId(window_id),
            unit=BudgetUnit(unit),
            tenant=TenantId(tenant),
            run_id=None if run_id is None else RunId(run_id),
            amount=amount,
        )
        for window_id, unit, tenant, run_id, amount in tx.execute(_FORFEITABLE)
    ]
    tx.executemany(_FORFEIT, [{"window_id": one.window_id, "unit": one.unit.value} for one in found])
    return found
