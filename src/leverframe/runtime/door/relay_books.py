"""What the windows of a relayed call held a moment ago, kept in memory, so that a call reads no database to be decided.

Knows: that the truth is in the store, which refuses a reservation without room; so what is kept here may be old, and
is read anew before anyone is told that there is no room.  Windows without a limit decide nothing and are left out;
what a call took is counted in them when it is settled.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from leverframe.core.budget_headers import BudgetHeaders, lay_out
from leverframe.core.budgets import at_work, not_yet_counted
from leverframe.core.canonical import encode
from leverframe.core.policy.recorded import window_json
from leverframe.domain.budgets import BudgetUnit, Window
from leverframe.domain.ids import WindowId
from leverframe.domain.policy import Reserve
from leverframe.domain.proposals import Change, EnsureWindow, SettleDirect, SettleReserves, TakeReserves
from leverframe.domain.records import replace
from leverframe.runtime.context import RunContext
from leverframe.runtime.run_limits import UNLIMITED
from leverframe.runtime.together import Together

# A reservation is refused by the store and never by these books, so their age costs at most a second look.
_FRESH_S: Final = 0.25
# Nobody is refused on older ones.  Of a burst each call would else read the same rows for itself.
_OF_NOW_S: Final = 0.01
# Windows that calls were counted in, as those of minutes follow each other; of more than so many all are read anew.
_MOST_USED: Final = 4_096
# What the store says of a reservation without room.
_TOLD: Final = re.compile(r"(\S+) (\w+): left (-?\d+), asked \d+")

# By how much more is settled and reserved, by window and unit.
Moved = Mapping[tuple[WindowId, str], tuple[int, int]]
# How much is set aside, by window and unit.
Taken = Mapping[tuple[WindowId, str], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How an entry names a window: `name` is `<window>/<unit>=`, `limit` is `/<limit>` or empty."""

    unit: BudgetUnit
    name: str
    limit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Every window with a limit that a call of this scope counts in, as the store had it at `read_at` (monotonic)."""

    windows: tuple[Window, ...]
    recorded: bytes  # the windows as the evidence holds them
    to_ensure: tuple[EnsureWindow, ...]  # shared windows that the store has not, or has otherwise
    at_work: Mapping[BudgetUnit, int]  # what a call adds to its cost while it is on its way
    uncounted: tuple[BudgetUnit, ...]  # units of the run's own windows without a limit
    left: Mapping[BudgetUnit, int]
    limits: Mapping[BudgetUnit, int]  # the lowest limit of a unit
    headers: BudgetHeaders  # what an answer tells of them
    marks: Mapping[tuple[WindowId, str], Mark]
    read_at: float
    until: datetime | None  # when the first of the periods ends
    read_by: float = 0.0  # when the reading was over: what was committed before may be in them
    shown: int = 0  # so many of the moves that this process made in them are shown; see `KnownBooks`

    def is_fresh(self, now: datetime, at: float) -> bool:
        """Whether a call may be decided on them."""
        return at - self.read_at < _FRESH_S and (self.until is None or now < self.until)

    def is_of_now(self, moves: int, at: float) -> bool:
        """Whether a call may be refused on them: they show every commit of this process, and are as good as new."""
        return at - self.read_at < _OF_NOW_S and self.shown == moves

    def has_room(self, cost: Mapping[BudgetUnit, int]) -> bool:
        """Whether a call finds room."""
        return all(cost.get(unit, 0) <= left for unit, left in self.left.items())

    def has_room_beside(self, taking: Taken, cost: Mapping[BudgetUnit, int]) -> bool:
        """Whether a call finds room beside what others take, which the books do not show yet."""
        for one in self.windows:
            amount = cost.get(one.unit)
            if amount and amount + taking.get((one.window_id, one.unit), 0) > one.left:
                return False
        return True

    def beside(self, taking: Taken) -> "Books":
        """The same once others have taken their room; of those that ask for more than there is some get none."""
        room = {(one.window_id, one.unit.value): max(0, one.left) for one in self.windows}
        return self.moved({place: (0, min(amount, room.get(place, 0))) for place, amount in taking.items()})

    def without(self, counted: AbstractSet[tuple[str, BudgetUnit]]) -> "Books":
        """The same for a call that was counted there already, when another candidate was asked."""
        if not counted:
            return self
        windows = not_yet_counted(self.windows, counted)
        return replace(self, windows=windows, recorded=_recorded(windows), left=_left(windows))

    def moved(self, moved: Moved) -> "Books":
        """The same after one more commit."""
        windows = tuple(_moved(one, moved) for one in self.windows)
        return replace(self, windows=windows, recorded=_recorded(windows), left=_left(windows), shown=self.shown + 1)

    def corrected(self, told: str, at: float, moves: int) -> "Books | None":
        """The same with the room that a refused reservation was told of; None where that was not the reason."""
        found = _TOLD.fullmatch(told)
        if found is None:
            return None
        name, unit, left = found[1], found[2], int(found[3])
        windows = tuple(
            replace(one, reserved=one.limit - one.settled - left) if (one.window_id, one.unit) == (name, unit) else one
            for one in self.windows
        )
        lowest = {**self.left, BudgetUnit(unit): min(left, self.left.get(BudgetUnit(unit), left))}
        return replace(
            self, windows=windows, recorded=_recorded(windows), left=lowest, read_at=at, read_by=at, shown=moves
        )


@dataclass(slots=True, kw_only=True, eq=False)
class KnownBooks:
    """The books of one run as its worker has them in memory, by model; `moves`: what it committed in them so far."""

    by_model: dict[str, Books] = field(default_factory=dict)
    reading: dict[str, Together[Books]] = field(default_factory=dict)  # those that are being read
    moves: int = 0
    used: dict[tuple[WindowId, str], int] = field(default_factory=dict)  # by its calls, settled or set aside
    taking: Taken = field(default_factory=dict)  # what is on its way into the store; never changed, but replaced
    _beside: tuple[Books, Taken, Books] | None = None

    @contextmanager
    def committing(self, reserves: Sequence[Reserve]) -> Iterator[None]:
        """So much is on its way into the store meanwhile.

        Each takes what it takes: reckoned by the cost of another call, a large one had no room beside small ones.
        """
        self._take(reserves, 1)
        try:
            yield
        finally:
            self._take(reserves, -1)

    def beside(self, known: Books) -> Books:
        """`known` once those that are on their way have taken their room; reckoned once for all calls of a burst."""
        last = self._beside
        if last is None or last[0] is not known or last[1] is not self.taking:
            last = self._beside = known, self.taking, known.beside(self.taking)
        return last[2]

    def _take(self, reserves: Sequence[Reserve], sign: int) -> None:
        taking = dict(self.taking)
        for part in reserves:
            place = part.window_id, part.unit
            taking[place] = taking.get(place, 0) + sign * part.amount
            if not taking[place]:
                del taking[place]
        self.taking = taking

    def moved(
        self, changes: Sequence[Change], reserves: Sequence[Reserve], *, began_at: float, is_followed: bool
    ) -> None:
        """What was proposed at `began_at` (monotonic) is committed, for a call that has set so much aside.

        `is_followed`: the books in memory go along, so that nobody has to read them anew.  Those that were read
        meanwhile may show it already; no other is refused on them before they are read again.
        """
        self.moves += 1
        _use(self.used, changes, reserves)
        if len(self.used) > _MOST_USED:
            self.used.clear()
            self.by_model.clear()
        if not is_followed:
            return
        moved = moves_of(changes, reserves)
        for model, known in self.by_model.items():
            if known.shown == self.moves - 1 and known.read_by < began_at:
                self.by_model[model] = known.moved(moved)

    def moved_by_others(self) -> None:
        """What moved them, and when, cannot be told: they are read anew before anyone is refused on them."""
        self.moves += 1


def moves_of(changes: Sequence[Change], reserves: Sequence[Reserve]) -> Moved:
    """What a call's proposal moves, where `reserves` is what the call has set aside."""
    moved: dict[tuple[WindowId, str], tuple[int, int]] = {}

    def add(window_id: WindowId, unit: str, settled: int, reserved: int) -> None:
        earlier = moved.get((window_id, unit), (0, 0))
        moved[window_id, unit] = earlier[0] + settled, earlier[1] + reserved

    for change in changes:
        match change:
            case TakeReserves():
                for part in change.reserves:
                    add(part.window_id, part.unit, 0, part.amount)
            case SettleReserves():
                for part in reserves:
                    unit = BudgetUnit(part.unit)
                    bound = 0 if unit is BudgetUnit.IN_FLIGHT else part.amount
                    add(part.window_id, part.unit, change.actual.get((part.window_id, unit), bound), -part.amount)
            case SettleDirect():
                add(change.window_id, change.unit, change.amount, 0)
    return moved


def _use(used: dict[tuple[WindowId, str], int], changes: Sequence[Change], reserves: Sequence[Reserve]) -> None:
    """Add what `changes` set aside, spend and give back, for a call that has set `reserves` aside."""
    for change in changes:
        if isinstance(change, TakeReserves):
            for part in change.reserves:
                place = part.window_id, part.unit
                used[place] = used.get(place, 0) + part.amount
        elif isinstance(change, SettleReserves):
            for part in reserves:
                place = part.window_id, part.unit
                # Without a word of what it took, all that was set aside is spent; and nothing is at work any more.
                if place in change.actual or part.unit == BudgetUnit.IN_FLIGHT:
                    used[place] = used.get(place, 0) - part.amount
            for spent_in, spent in change.actual.items():
                used[spent_in] = used.get(spent_in, 0) + spent
        elif isinstance(change, SettleDirect):
            used[change.window_id, change.unit] = used.get((change.window_id, change.unit), 0) + change.amount


async def read_books(ctx: RunContext, now: datetime, model: str, known: KnownBooks) -> Books:
    """Read those of a call of `PROVIDER/MODEL` from the store; of `known` is what this process has moved so far."""
    shown, used = known.moves, dict(known.used)
    at = ctx.services.clock.monotonic()
    windows = await ctx.windows(now, model=model)
    limited = tuple(one for one in windows if one.limit < UNLIMITED)
    shared = [one for one in limited if one.budget]
    stored = {(one.window_id, one.unit): one for one in await _stored(ctx, shared)}
    ends = [one.resets_at for one in shared if one.resets_at is not None]
    limits: dict[BudgetUnit, int] = {}
    for one in limited:
        limits[one.unit] = min(one.limit, limits.get(one.unit, one.limit))
    return Books(
        windows=limited,
        recorded=_recorded(limited),
        to_ensure=tuple(
            EnsureWindow(window=one, tenant=ctx.run.tenant, resets_at=one.resets_at)
            for one in shared
            if not _is_kept(one, stored)
        ),
        at_work=at_work(limited),
        uncounted=tuple(one.unit for one in windows if one.limit >= UNLIMITED and not one.budget),
        left=_left(limited),
        limits=limits,
        headers=lay_out(limited, now, used),
        marks={(one.window_id, one.unit.value): _mark(one) for one in limited},
        read_at=at,
        until=min(ends, default=None),
        read_by=ctx.services.clock.monotonic(),
        shown=shown,
    )


def _moved(window: Window, moved: Moved) -> Window:
    settled, reserved = moved.get((window.window_id, window.unit), (0, 0))
    if not (settled or reserved):
        return window
    return replace(window, settled=window.settled + settled, reserved=window.reserved + reserved)


def _recorded(windows: Sequence[Window]) -> bytes:
    return encode([window_json(one) for one in windows])


def _left(windows: Sequence[Window]) -> dict[BudgetUnit, int]:
    left: dict[BudgetUnit, int] = {}
    for one in windows:
        left[one.unit] = min(one.left, left.get(one.unit, one.left))
    return left


async def _stored(ctx: RunContext, shared: Sequence[Window]) -> Sequence[Window]:
    ids = tuple(dict.fromkeys(one.window_id for one in shared))
    return await ctx.services.journal.shared_windows(ids) if ids else ()


def _mark(window: Window) -> Mark:
    # How many were at work at once is not a sum that an auditor could make; its limit is left out.
    limit = "" if window.unit is BudgetUnit.IN_FLIGHT else f"/{window.limit}"
    return Mark(unit=window.unit, name=f"{window.window_id}/{window.unit.value}=", limit=limit)


def _is_kept(window: Window, known: Mapping[tuple[WindowId, BudgetUnit], Window]) -> bool:
    """Whether the store has it with this limit, so that a reservation finds it as the project's file says."""
    stored = known.get((window.window_id, window.unit))
    return stored is not None and (stored.limit, stored.source, stored.key) == (
        window.limit,
        window.source,
        window.key,
    )
