"""Whether the books say what the evidence says: windows and reservations against the entries that moved them.

Knows: that a reservation is written, and closed, in the transaction of its entry, so that both say the same of it; and
that a window holds at least what entries settled in it.  What no entry speaks of (the clock of a run; what an unlimited
or only observed relayed call took of other units) may be there besides.  Never: says which of the two is right.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from leverframe.domain.budgets import BudgetUnit
from leverframe.ports.audit import StoredReservation, StoredWindow
from leverframe.sdk.report import Check, Leaf
from leverframe.sdk.told import TOTALS, windows_of
from leverframe.sdk.verify import UNFORMED

_AT_WORK = f"/{BudgetUnit.IN_FLIGHT.value}"
_SUMMED: Mapping[str, str] = {
    BudgetUnit.USD.value: "cost_microusd",
    BudgetUnit.INPUT_TOKENS.value: "input_tokens",
    BudgetUnit.OUTPUT_TOKENS.value: "output_tokens",
}
_OPEN, _SETTLED, _VOIDED = "open", "settled", "voided"


@dataclass(slots=True)
class _Run:
    """What the log says of one run's books: the sums of its entries, None where an entry leaves one open."""

    sums: dict[str, int] | None = field(default_factory=lambda: dict.fromkeys(TOTALS, 0))
    end: Leaf | None = None


@dataclass(slots=True)
class _Told:
    """What the log says of the books.  A place is `<window>/<unit>`."""

    reserved: dict[str, dict[str, int]] = field(default_factory=dict)  # by reservation, and by place
    of_step: dict[str, tuple[str, str]] = field(default_factory=dict)  # the run and step of a reservation
    closed: dict[str, str] = field(default_factory=dict)  # how each reservation ended
    spent: dict[str, int] = field(default_factory=dict)  # by place
    runs: dict[str, _Run] = field(default_factory=dict)

    def tell(self, entry: Leaf) -> None:
        """Take in the next entry.  Raises UNFORMED where it is none, which its story says already."""
        kind, detail, run_id = entry["type"], entry.get("detail", {}), entry.get("run_id", "")
        run = self.runs.get(run_id) or self.runs.setdefault(run_id, _Run())
        if kind == "run.ended":
            run.end = entry
        elif kind == "run.gap":
            run.sums = None
        elif kind == "budget.forfeited":
            self._spend(f"{detail['window_id']}/{detail['unit']}", detail["amount"])
            run.sums = None
        elif kind in ("call.settled", "model.answered"):
            # What a model took that nobody heard to its end is in the books at its bound, and in no entry.
            is_open = kind == "model.answered" and entry["outcome"] == "unknown"
            sums = None if is_open else run.sums
            run.sums = None if sums is None else {key: amount + entry.get(key, 0) for key, amount in sums.items()}
        if "reservation_id" in detail:
            self._book(detail["reservation_id"], entry, detail)

    def _book(self, rid: str, entry: Leaf, detail: Leaf) -> None:
        if "reserved" in detail and rid not in self.reserved:
            amounts = self.reserved[rid] = dict[str, int]()
            self.of_step[rid] = entry.get("run_id", ""), entry.get("step", "")
            for place, amount, _ in windows_of(detail["reserved"]):
                amounts[place] = amounts.get(place, 0) + amount
        if rid in self.closed:
            return
        if "voided" in detail:
            self.closed[rid] = _VOIDED
        elif "settled" in detail:
            self.closed[rid] = _SETTLED
            actual = {place: amount for place, amount, _ in windows_of(detail["settled"])}
            # A place that is not named was settled as reserved.
            for place, amount in (self.reserved.get(rid, {}) | actual).items():
                self._spend(place, amount)

    def _spend(self, place: str, amount: int) -> None:
        if not place.endswith(_AT_WORK):
            self.spent[place] = self.spent.get(place, 0) + amount


def check_books(
    windows: Sequence[StoredWindow], reservations: Sequence[StoredReservation], entries: Iterable[Leaf], check: Check
) -> None:
    """Hold the books of a tenant against the entries of its log."""
    told = _Told()
    for entry in entries:
        try:
            told.tell(entry)
        except UNFORMED:
            continue
    set_aside = _check_reservations(reservations, told, check)
    for window in windows:
        place = f"{window.window_id}/{window.unit}"
        # A window in which nothing moved yet is told of by no entry.
        wrong = _differences(window, set_aside.pop(place, 0), told.spent.pop(place, 0), told.runs)
        if wrong:
            check.fail(f"window {place!r} has another {', '.join(wrong)} in the journal than in the log")
    for place in sorted(told.spent.keys() | set_aside.keys()):
        check.fail(f"window {place!r} was spent or reserved in and is not in the journal")


def _check_reservations(rows: Sequence[StoredReservation], told: _Told, check: Check) -> dict[str, int]:
    """What is set aside in each place by those that are open."""
    set_aside: dict[str, int] = {}
    missing = dict.fromkeys(told.reserved)
    for row in rows:
        missing.pop(row.reservation_id, None)
        amounts = _amounts(row)
        said = told.reserved.get(row.reservation_id, {})
        same = {
            "amounts": amounts == said,
            "run or step": not said or (row.run_id, row.path) == told.of_step[row.reservation_id],
            # One in which nothing was set aside may be closed without a word.
            "state": row.state == told.closed.get(row.reservation_id, _OPEN if said else row.state),
        }
        wrong = [name for name, is_same in same.items() if not is_same]
        if wrong:
            check.fail(f"{row.reservation_id} has another {', '.join(wrong)} in the journal than in the log")
        for place, amount in amounts.items() if row.state == _OPEN and amounts else ():
            set_aside[place] = set_aside.get(place, 0) + amount
    for reservation_id in missing:
        check.fail(f"{reservation_id} was set aside in the log and is not in the journal")
    return set_aside


def _amounts(row: StoredReservation) -> dict[str, int]:
    amounts: dict[str, int] = {}
    for window_id, unit, amount in row.amounts:
        place = f"{window_id}/{unit}"
        amounts[place] = amounts.get(place, 0) + amount
    return amounts


def _differences(window: StoredWindow, set_aside: int, spent: int, runs: Mapping[str, _Run]) -> list[str]:
    """What a window says otherwise."""
    run = runs.get(window.run_id or "") if window.run_id else None
    wrong = ["reserved"] * (window.reserved != set_aside)
    is_wrong = window.settled < spent
    if run is not None and run.end is not None:
        detail = run.end.get("detail", {})
        total = detail.get(f"total_{window.unit}")
        # Its end was committed only if the books were these, and nothing is booked in a run after it.
        is_wrong = is_wrong or (total is not None and window.settled != total)
        limit = detail.get(f"limit_{window.unit}")
        wrong += ["limit"] * (limit is not None and window.limit != limit)
    elif run is not None and run.sums is not None and window.unit in _SUMMED:
        is_wrong = is_wrong or window.settled != run.sums[_SUMMED[window.unit]]
    return wrong + ["settled"] * is_wrong
