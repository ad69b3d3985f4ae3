"""The floor of a write: the same rows, committed in groups with one flush each, and nothing else.

No guard, no tree, no seal, no budget asked: rows are made before the clock starts, a batch goes in with `executemany`.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from leverframe.core.leaves import encode_leaf
from leverframe.core.merkle import leaf_hash
from leverframe.domain.proposals import Proposal, PutOnceKey, PutStep, PutValue, TakeReserves
from leverframe.domain.time import to_us
from leverframe.store.sqlite.connection import open_writer
from leverframe.store.sqlite.filelock import FileLock
from leverframe.store.sqlite.steps import _INSERT as PUT_STEP
from leverframe.store.sqlite.steps import row_of
from leverframe.store.sqlite.writer import MAX_BATCH

_Rows = dict[str, list[tuple[object, ...]]]

_STATEMENTS = {
    "windows": "UPDATE windows SET reserved = reserved + ?3 WHERE window_id = ?1 AND unit = ?2",
    "reservations": """
        INSERT INTO reservations (reservation_id, run_id, path, amounts, state) VALUES (?1, ?2, ?3, ?4, 'open')
    """,
    "values": """
        INSERT INTO call_values (step_id, arg, amount, value_digest)
        SELECT step_id, ?3, ?4, ?5 FROM steps WHERE run_id = ?1 AND path = ?2
    """,
    "leaves": """
        INSERT INTO leaves (tenant, leaf_index, entry_id, run_id, run_seq, type, at_us, leaf, leaf_hash)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    """,
    "disclosures": """
        INSERT INTO disclosures (tenant, digest, entry_id, key_id, sealed, created_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    """,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BareRows:
    """The rows of one write."""

    step: tuple[object, ...]
    others: _Rows


def rows_of(proposal: Proposal, place: int, tenant: str) -> BareRows:
    """What the store would write for this proposal; its leaves stand at `2 * place` of a log of their own."""
    rows: _Rows = {name: [] for name in _STATEMENTS}
    step: tuple[object, ...] = ()
    once: bytes | None = None
    for change in proposal.changes:
        match change:
            case TakeReserves():
                parts = [(one.window_id, one.unit, one.amount) for one in change.reserves]
                rows["windows"] += parts
                rows["reservations"].append((change.reservation_id, change.run_id, change.path, repr(parts)))
            case PutStep():
                step = row_of(change.step)
            case PutValue():
                rows["values"].append((change.run_id, change.path, change.arg, change.amount, change.value_digest))
            case PutOnceKey():
                once = change.key_digest
    for number, draft in enumerate(proposal.entries):
        index = 2 * place + number
        leaf, at_us = encode_leaf(draft, index + 1), to_us(draft.at)
        rows["leaves"].append(
            (tenant, index, draft.entry_id, draft.run_id, index + 1, draft.type.value, at_us, leaf, leaf_hash(leaf))
        )
        rows["disclosures"] += [
            # As large as a sealed one: all of it, a nonce and a tag.
            (tenant, one.digest, draft.entry_id, b"key", one.value_bytes + bytes(len(one.salt) + 36), at_us)
            for one in draft.disclosures
        ]
    return BareRows(step=(*step, None, once), others=rows)


class BareWriter:
    """Group commit of rows that are there already, under the same lock, pragmas and batch size."""

    def __init__(self, path: Path) -> None:
        self._connection = open_writer(path)
        self._connection.execute("PRAGMA synchronous = FULL")
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        self._waiting: SimpleQueue[tuple[BareRows, asyncio.Future[None]] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    async def commit(self, rows: BareRows) -> None:
        """Return when the rows are flushed."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.put((rows, future))
        await future

    async def close(self) -> None:
        """Stop."""
        self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()

    def _serve(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, failed = [first], None
            with self._lock:
                with suppress(Empty):
                    while len(batch) < MAX_BATCH and (more := self._waiting.get_nowait()) is not None:
                        batch.append(more)
                try:
                    self._write([rows for rows, _ in batch])
                except sqlite3.Error as err:
                    failed = err
            self._loop.call_soon_threadsafe(_settle, [future for _, future in batch], failed)

    def _write(self, batch: Sequence[BareRows]) -> None:
        tx: sqlite3.Connection = self._connection
        tx.execute("BEGIN IMMEDIATE")
        tx.executemany(PUT_STEP, [rows.step for rows in batch])
        for name, statement in _STATEMENTS.items():
            tx.executemany(statement, [row for rows in batch for row in rows.others[name]])
        tx.execute("COMMIT")


def _settle(futures: list[asyncio.Future[None]], failed: Exception | None) -> None:
    for future in futures:
        if failed is None:
            future.set_result(None)
        else:
            future.set_exception(failed)
