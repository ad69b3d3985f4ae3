"""The steps of one transaction: rows that wait to be written together.

Knows: that a step believed new is new, and one believed to be in an expected state is in it; `write` raises HalfDone
where one is not, and the batch is done again carefully, each row at once.  Never: lets a question of policy miss a row
that waits (`settle_for`).  Rules: docs/adr/0011-a-batch-writes-each-row-once.md.
"""

import sqlite3
from collections.abc import Iterable

from leverframe.domain.ids import RunId, StepPath
from leverframe.domain.proposals import GuardFailed, HistoryLookup, OnceFree, PutOnceKey, PutStep, PutValue
from leverframe.store.sqlite import steps
from leverframe.store.sqlite.half_done import HalfDone, of_several

_Key = tuple[RunId, StepPath]


class StepRows:
    """Steps, values and business acts within one transaction.  `moves` counts what changed."""

    def __init__(self, tx: sqlite3.Connection, *, is_careful: bool) -> None:
        self._tx = tx
        self._is_careful = is_careful
        self._next_id: int | None = None
        self._ids: dict[_Key, int] = {}
        self._new: dict[_Key, tuple[str, steps.Row, bytes | None]] = {}
        self._changed: list[steps.Row] = []
        self._changed_keys: set[_Key] = set()
        self._values: list[steps.Row] = []
        # What a question may be about: names of tools, runs, business acts.
        self._names: set[str] = set()
        self._runs: set[str] = set()
        self._acts: set[bytes] = set()
        self.moves = 0

    def again(self) -> None:
        """Another transaction begins, and nobody else has written since the last."""
        self._ids.clear()

    def put(self, change: PutStep) -> GuardFailed | None:
        """Write a step, new or over one in an expected state."""
        step, key = change.step, (change.step.run_id, change.step.path)
        if self._is_careful:
            return self._put_now(change)
        if change.expect is None:
            if key in self._new:
                return steps.lost_to(change, self._new[key][0])
            if key in self._changed_keys:
                self.write()
            # Now, since the order of the places is the order of the steps.
            self._ids[key] = self._take_id()
            self._new[key] = step.state.value, steps.row_of(step), None
        elif key in self._new:
            state, _, once = self._new[key]
            if state not in change.expect:
                return steps.lost_to(change, state)
            self._new[key] = step.state.value, steps.row_of(step), once
        else:
            self._changed.append((*steps.row_of(step), *steps.slots_of(change.expect)))
            self._changed_keys.add(key)
        self._names.add(step.name)
        self._runs.add(step.run_id)
        self.moves += 1
        return None

    def put_value(self, change: PutValue) -> None:
        """Keep one argument's value for history."""
        self._values.append(steps.value_of(self._id(change.run_id, change.path), change))
        self.moves += 1
        if self._is_careful:
            self.write()

    def put_once_key(self, change: PutOnceKey) -> None:
        """Keep the business act of a call."""
        key = (change.run_id, change.path)
        new = self._new.get(key)
        self.moves += 1
        if new is None:
            steps.put_once_key(self._tx, self._id(*key), change.key_digest)
        else:
            self._new[key] = new[0], new[1], change.key_digest
            self._acts.add(change.key_digest)

    def settle_for(self, lookups: Iterable[HistoryLookup]) -> None:
        """Write first what these questions may be about."""
        for one in lookups:
            if one.query.scope == "run":
                if one.run_id in self._runs:
                    return self.write()
            elif self._changed or one.query.tool in self._names:
                return self.write()
        return None

    def settle_for_act(self, guard: OnceFree) -> None:
        """Write first what may have done this business act, or no longer do it."""
        if self._changed or guard.key_digest in self._acts:
            self.write()

    def write(self) -> None:
        """Write what waits.

        Raises:
            HalfDone: a step was not as it was believed to be.
        """
        if not (self._new or self._changed or self._values):
            return
        with of_several(is_careful=self._is_careful):
            self._write()
        for known in (self._new, self._changed, self._changed_keys, self._values, self._names, self._runs, self._acts):
            known.clear()

    def forget(self) -> None:
        """Drop what is known: a savepoint was rolled back.  Nothing waits where each row is written at once."""
        self._next_id = None
        self._ids.clear()

    def _write(self) -> None:
        if self._new:
            rows = [(*row, self._ids[key], once) for key, (_, row, once) in self._new.items()]
            if steps.insert(self._tx, rows) != len(rows):
                raise HalfDone
        for row in self._changed:
            if not steps.update(self._tx, row):
                raise HalfDone
        if self._values:
            steps.put_values(self._tx, self._values)

    def _put_now(self, change: PutStep) -> GuardFailed | None:
        row = steps.row_of(change.step)
        if change.expect is None:
            is_done = steps.insert(self._tx, [(*row, steps.last_id(self._tx) + 1, None)]) == 1
        else:
            is_done = steps.update(self._tx, (*row, *steps.slots_of(change.expect)))
        if not is_done:
            return steps.lost(self._tx, change)
        self.moves += 1
        return None

    def _take_id(self) -> int:
        taken = steps.last_id(self._tx) + 1 if self._next_id is None else self._next_id
        self._next_id = taken + 1
        return taken

    def _id(self, run_id: RunId, path: StepPath) -> int:
        known = self._ids.get((run_id, path))
        if known is None:
            known = self._ids[run_id, path] = steps.id_of(self._tx, run_id, path)
        return known
