"""The books of one transaction: the windows and reservations that its proposals move, read once and written once.

Knows: reserve, settle, void, on rows that were read inside this transaction and are written before it ends.  Nobody
else can write meanwhile, so the rows in memory are the rows of the database.  Never: is gone on with
after its transaction where another connection has committed since (`Batch.goes_on`).
Invariants: those of `windows`, kept here; tests/property/test_store_races.py and tests/contract/test_store_ceilings.py.
Rules: docs/adr/0007-visible-and-durable.md, docs/adr/0011-a-batch-writes-each-row-once.md.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from leverframe.domain.budgets import BudgetUnit
from leverframe.domain.ids import ReservationId, RunId, TenantId
from leverframe.domain.proposals import (
    BooksAre,
    Change,
    EnsureWindow,
    GuardFailed,
    NothingOpen,
    OpenRun,
    Proposal,
    SettleDirect,
    SettleReserves,
    SettleRun,
    TakeReserves,
    VoidReserves,
)
from leverframe.domain.time import to_us
from leverframe.store.sqlite import reservations, windows
from leverframe.store.sqlite.half_done import HalfDone, of_several
from leverframe.store.sqlite.reservations import Reservation

_LARGEST = 2**63 - 1

# A ceiling is raised by a part of the limit.  A small part costs more flushes; a large one leaves more idle after a
# power cut.  A run ends soon, so a large part of its own windows may lapse with it.
_LEASE_OF_RUN, _LEASE_OF_SHARED = 2, 64

# Beyond this many all are read again, so that a process that lives long does not grow.
_MOST_KNOWN = 4_096

_Place = tuple[str, str]  # window id, unit


@dataclass(slots=True, eq=False)
class _Window:
    """A row of `windows`, as this transaction leaves it."""

    tenant: str
    run_id: str | None
    limit: int
    ceiling: int
    settled: int
    reserved: int
    source: tuple[str, int, str, int | None]  # file, line, key, the end of its period


class Books:
    """Windows and reservations within one transaction.

    `is_careful`: a reservation is looked for before it is taken; otherwise it is believed new, and `write` raises
    HalfDone where it was there.  `moves` counts what changed; `is_raised` says whether a ceiling was raised, so that
    the batch is flushed before anyone in it is answered.
    """

    def __init__(self, tx: sqlite3.Connection, *, is_careful: bool) -> None:
        self._tx = tx
        self._is_careful = is_careful
        self._windows: dict[_Place, _Window] = {}
        self._read: set[str] = set()
        self._reservations: dict[str, Reservation | None] = {}
        self._moved: dict[_Place, _Window] = {}
        self._opened: dict[str, reservations.Row] = {}
        self._closed: dict[str, str] = {}
        self.moves = 0
        self.is_raised = False

    def again(self) -> None:
        """Another transaction begins, and nobody else has written since the last."""
        self.is_raised = False
        if len(self._windows) > _MOST_KNOWN or len(self._reservations) > _MOST_KNOWN:
            self.forget()

    def prefetch(self, proposals: Iterable[Proposal]) -> None:
        """Read in two questions what these proposals will move."""
        window_ids: set[str] = set()
        wanted: set[str] = set()
        for proposal in proposals:
            for change in proposal.changes:
                _note(change, window_ids, wanted)
        unknown = wanted - self._reservations.keys()
        if unknown:
            self._reservations.update(dict.fromkeys(unknown))
            self._reservations.update(reservations.read(self._tx, unknown))
        for reservation_id in wanted:
            found = self._reservations[reservation_id]
            if found is not None and found.state == "open":
                window_ids.update([window_id for window_id, _, _ in found.amounts])
        self._load(window_ids - self._read)

    def write(self) -> None:
        """Write what moved.

        Raises:
            HalfDone: a reservation that was believed new is there already, or one that was open is not any more.
        """
        if self._moved or self._opened or self._closed:
            with of_several(is_careful=self._is_careful):
                self._write()
            for known in (self._moved, self._opened, self._closed):
                known.clear()

    def forget(self) -> None:
        """Drop what is known and not written: a savepoint was rolled back, or somebody else writes these tables."""
        for known in (self._windows, self._read, self._reservations, self._moved, self._opened, self._closed):
            known.clear()

    def nothing_open(self, guard: NothingOpen) -> GuardFailed | None:
        """The guard `NothingOpen`, counting what waits to be written."""
        there = [one for one in reservations.open_of_run(self._tx, guard.run_id) if one not in self._closed]
        waiting = [row for row in self._opened.values() if reservations.is_open(row, guard.run_id)]
        if not (there or waiting):
            return None
        return GuardFailed(
            guard="NothingOpen", detail=f"{len(there) + len(waiting)} calls of {guard.run_id} are on their way"
        )

    def are(self, guard: BooksAre) -> GuardFailed | None:
        """The guard `BooksAre`, counting what waits to be written."""
        for (window_id, unit), settled in guard.settled.items():
            window = self._known((window_id, unit.value))
            found = "no window" if window is None else window.settled
            if found != settled:
                return GuardFailed(guard="BooksAre", detail=f"{window_id} {unit.value}: is {found}, expected {settled}")
        return None

    def opened(self, change: OpenRun) -> None:
        """A run was written with its windows: look for them again."""
        self._read -= {one.window_id for one in change.windows}

    def ensure(self, tenant: TenantId, change: EnsureWindow) -> None:
        """Make a shared window, or let the one that is there follow the project's file."""
        if change.tenant != tenant:
            raise ValueError(f"Window {change.window.window_id!r} is of {change.tenant!r}, not of {tenant!r}")
        if self._is_as_wanted(change):
            return
        self.write()
        windows.ensure(self._tx, change)
        self.forget()

    def take(self, tenant: TenantId, change: TakeReserves) -> GuardFailed | None:
        """Reserve in every window or in none.

        Idempotent: an id that is open or settled takes nothing more.  A voided one is refused: its money is gone.
        """
        earlier = self._earlier(change.reservation_id)
        if earlier is not None:
            return _taken(earlier, change)
        try:
            refused, found = self._room(tenant, change)
        except ValueError:
            if self._reservation(change.reservation_id) is None:
                raise
            refused, found = None, None
        if found is None:
            # What was believed new may have been taken before, when there was room or a window for it.
            earlier = self._reservation(change.reservation_id)
            return refused if earlier is None else _taken(earlier, change)
        amounts = []
        for place, window, amount in found:
            self._move(place, window, 0, -amount)
            amounts.append((*place, amount))
        self._reservations[change.reservation_id] = Reservation(amounts=amounts, state="open")
        self._opened[change.reservation_id] = reservations.row_of(change, amounts)
        self.moves += 1
        return None

    def _room(
        self, tenant: TenantId, change: TakeReserves
    ) -> tuple[GuardFailed | None, list[tuple[_Place, _Window, int]] | None]:
        """Where a reservation finds room; or what refuses it."""
        asked: dict[_Place, int] = {}
        for reserve in change.reserves:
            if reserve.amount < 0:
                raise ValueError(f"A reservation holds zero or more, got {reserve!r}")
            place: _Place = (reserve.window_id, reserve.unit)
            asked[place] = asked.get(place, 0) + reserve.amount
        found = []
        for place in sorted(asked):
            amount, window = asked[place], self._window(tenant, place)
            left = window.limit - window.settled - window.reserved
            if amount > left:
                detail = f"{place[0]} {place[1]}: left {left}, asked {amount}"
                return GuardFailed(guard="TakeReserves", detail=detail), None
            found.append((place, window, amount))
        return None, found

    def settle(self, tenant: TenantId, change: SettleReserves) -> GuardFailed | None:
        """Turn what is open into spending.  A second settle changes nothing; a voided reservation is refused.

        An actual amount for a window in which nothing was reserved is spent there too: the books tell the truth.
        """
        found = self._reservation(change.reservation_id)
        if found is not None and found.state == "voided":
            return GuardFailed(guard="SettleReserves", detail=f"reservation {change.reservation_id} was voided")
        if found is not None and found.state == "settled":
            return None
        actual: dict[_Place, int] = {(place[0], place[1].value): spent for place, spent in change.actual.items()}
        if found is not None:
            for window_id, unit, amount in found.amounts:
                place: _Place = (window_id, unit)
                # A call that is over is not at work, whatever is known of what it took.
                spent = actual.pop(place, 0 if unit == BudgetUnit.IN_FLIGHT else amount)
                self._move(place, self._window(tenant, place), spent, amount)
            self._close(change.reservation_id, found, "settled")
        for rest, spent in sorted(actual.items()):
            self._move(rest, self._window(tenant, rest), spent, 0)
        return None

    def settle_run(self, tenant: TenantId, change: SettleRun) -> None:
        """Turn all that a run has open into spending, at its bound."""
        self.write()
        for reservation_id in reservations.open_of_run(self._tx, RunId(change.run_id)):
            self.settle(tenant, SettleReserves(reservation_id=reservation_id, actual={}))

    def void(self, tenant: TenantId, reservation_id: ReservationId) -> None:
        """Give back what is open.  Idempotent; what is settled stays settled."""
        found = self._reservation(reservation_id)
        if found is None or found.state != "open":
            return
        for window_id, unit, amount in found.amounts:
            place = (window_id, unit)
            self._move(place, self._window(tenant, place), 0, amount)
        self._close(reservation_id, found, "voided")

    def settle_direct(self, tenant: TenantId, change: SettleDirect) -> None:
        """Spend without a reservation and without asking for room."""
        place = (change.window_id, change.unit.value)
        self._move(place, self._window(tenant, place), change.amount, 0)

    def _write(self) -> None:
        windows.put_books(
            self._tx,
            [
                (*place, one.settled, one.reserved, one.ceiling)
                for place, one in sorted(self._moved.items(), key=_place)
            ],
        )
        if self._opened and reservations.open_(self._tx, list(self._opened.values())) != len(self._opened):
            raise HalfDone
        if self._closed and reservations.close(self._tx, self._closed) != len(self._closed):
            raise HalfDone

    def _move(self, place: _Place, window: _Window, actual: int, amount: int) -> None:
        """Spend `actual`, give back `amount` (reserve it where it is negative), raise the ceiling where it must be."""
        if actual < 0:
            raise ValueError(f"Spending is zero or more, got {actual!r} for {place[0]!r} of {place[1]!r}")
        settled, reserved = window.settled + actual, window.reserved - amount
        used = settled + reserved
        if reserved < 0 or used > _LARGEST:
            raise ValueError(f"The books of {place[0]!r} of {place[1]!r} cannot hold {settled} and {reserved}")
        self.moves += 1
        window.settled, window.reserved = settled, reserved
        self._moved[place] = window
        if used > window.ceiling:
            part = _LEASE_OF_SHARED if window.run_id is None else _LEASE_OF_RUN
            window.ceiling = max(used, min(window.limit, used + window.limit // part))
            self.is_raised = True

    def _close(self, reservation_id: ReservationId, found: Reservation, state: str) -> None:
        self._reservations[reservation_id] = Reservation(amounts=found.amounts, state=state)
        opened = self._opened.get(reservation_id)
        if opened is None:
            self._closed[reservation_id] = state
        else:
            self._opened[reservation_id] = (*opened[:-1], state)
        self.moves += 1

    def _known(self, place: _Place) -> _Window | None:
        window = self._windows.get(place)
        if window is None and place[0] not in self._read:
            self._load({place[0]})
            window = self._windows.get(place)
        return window

    def _window(self, tenant: TenantId, place: _Place) -> _Window:
        window = self._known(place)
        if window is None or window.tenant != tenant:
            raise ValueError(
                f"There is no budget window {place[0]!r} of {place[1]!r} for {tenant!r}; open it with its run"
            )
        return window

    def _load(self, window_ids: set[str]) -> None:
        for row in windows.rows(self._tx, window_ids):
            self._windows[row[0], row[1]] = _of_row(row)
        self._read |= window_ids

    def _earlier(self, reservation_id: ReservationId) -> Reservation | None:
        """A reservation that is about to be taken."""
        return self._reservation(reservation_id) if self._is_careful else self._reservations.get(reservation_id)

    def _reservation(self, reservation_id: ReservationId) -> Reservation | None:
        if reservation_id not in self._reservations:
            self._reservations[reservation_id] = reservations.read(self._tx, {reservation_id}).get(reservation_id)
        return self._reservations[reservation_id]

    def _is_as_wanted(self, change: EnsureWindow) -> bool:
        """Whether a shared window is there as the project's file has it."""
        wanted = change.window
        window = self._windows.get((wanted.window_id, wanted.unit.value))
        return (
            window is not None
            and window.run_id is None
            and window.tenant == change.tenant
            and window.limit == wanted.limit
            and window.ceiling <= max(window.limit, window.settled + window.reserved)
            and window.source == _source(change)
        )


def _taken(earlier: Reservation, change: TakeReserves) -> GuardFailed | None:
    if earlier.state == "voided":
        return GuardFailed(guard="TakeReserves", detail=f"reservation {change.reservation_id} was voided")
    return None


def _note(change: Change, window_ids: set[str], reservation_ids: set[str]) -> None:
    """Which windows a change moves, and which reservations it closes."""
    match change:
        case TakeReserves():
            window_ids.update([one.window_id for one in change.reserves])
        case SettleReserves():
            reservation_ids.add(change.reservation_id)
            window_ids.update([window_id for window_id, _ in change.actual])
        case VoidReserves():
            reservation_ids.add(change.reservation_id)
        case SettleDirect():
            window_ids.add(change.window_id)
        case EnsureWindow():
            window_ids.add(change.window.window_id)
        case _:
            pass


def _place(moved: tuple[_Place, _Window]) -> _Place:
    return moved[0]


def _source(change: EnsureWindow) -> tuple[str, int, str, int | None]:
    window = change.window
    resets_us = None if change.resets_at is None else to_us(change.resets_at)
    return window.source.file, window.source.line, window.key, resets_us


# Any: a row of SQLite has no static type; STRICT tables keep what each column may hold.
def _of_row(row: tuple[Any, ...]) -> _Window:
    _, _, tenant, run_id, limit, ceiling, settled, reserved, file, line, key, resets_us = row
    return _Window(tenant, run_id, limit, ceiling, settled, reserved, (file, line, key, resets_us))
